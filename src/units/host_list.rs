//! Names of hosts: Slurm's lists of them (`node[01-16,20],login`), and their order.

use crate::units::text::{Malformed, malformed, number};

/// No list names more hosts: the largest machines have some ten thousand.
const MOST: usize = 1 << 16;

/// More digits are a part of the name rather than a number.
const LONGEST_NUMBER: usize = 9;

/// The hosts of a list, each once, in the order of the list. Numbers in brackets have the width of the first of their range.
pub(crate) fn parse_host_list(text: &str) -> Result<Vec<String>, Malformed> {
    let mut hosts: Vec<String> = Vec::new();
    for part in parts(text) {
        hosts.extend(expanded(part)?);
        if hosts.len() > MOST {
            return malformed("more than 65536 hosts", part.as_bytes());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    Ok(hosts)
}

/// The parts between the commas that are not in brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_inside) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => is_inside = true,
            ']' => is_inside = false,
            ',' if !is_inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn expanded(part: &str) -> Result<Vec<String>, Malformed> {
    const WHAT: &str = "not a list of hosts such as node[01-16,20],login";
    let mut names = vec![String::new()];
    let mut rest = part;
    while let Some((before, behind)) = rest.split_once('[') {
        let Some((inside, after)) = behind.split_once(']').filter(|_| !before.contains(']')) else {
            return malformed(WHAT, part.as_bytes());
        };
        let numbers = numbers(inside)?;
        if names.len() * numbers.len() > MOST {
            return malformed("more than 65536 hosts", part.as_bytes());
        }
        let with_numbers = |name: &String| -> Vec<String> {
            let names = numbers
                .iter()
                .map(|digits| format!("{name}{before}{digits}"));
            names.collect()
        };
        names = names.iter().flat_map(with_numbers).collect();
        rest = after;
    }
    let is_blank = part.is_empty() || part.contains(char::is_whitespace);
    if is_blank || rest.contains(']') {
        return malformed(WHAT, part.as_bytes());
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// `01-16,20`
fn numbers(list: &str) -> Result<Vec<String>, Malformed> {
    const WHAT: &str = "not a list of numbers of hosts";
    let mut numbers = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let is_short = first.len() <= LONGEST_NUMBER && last.len() <= LONGEST_NUMBER;
        let from: usize = number(WHAT, first.as_bytes())?;
        let to: usize = number(WHAT, last.as_bytes())?;
        if !is_short || from > to || to - from >= MOST || numbers.len() > MOST {
            return malformed(WHAT, range.as_bytes());
        }
        let width = first.len();
        numbers.extend((from..=to).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

/// Hosts as Slurm writes a list of them, in parts: `["gpu[01-16,20]", "login"]`. A name that is no plain name of a host is
/// quoted.
pub(crate) fn fold_hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut hosts: Vec<&str> = hosts.into_iter().collect();
    hosts.sort_by_cached_key(|host| natural_order(host));
    hosts.dedup();
    let mut parts: Vec<Folded> = Vec::new();
    for host in hosts {
        let name = numbered(host);
        let last = parts.last_mut();
        match (name, last) {
            (Some(name), Some(part)) if part.takes(&name) => part.add(&name),
            (Some(name), _) => parts.push(Folded::new(host, &name)),
            (None, _) => parts.push(Folded::whole(host)),
        }
    }
    parts.iter().map(Folded::text).collect()
}

/// A name with a number in it.
struct Numbered<'a> {
    before: &'a str,
    digits: &'a str,
    after: &'a str,
}

impl Numbered<'_> {
    /// The digits of the next host.
    fn follower(&self) -> Option<String> {
        let (number, width) = (self.digits.parse::<u64>().ok()?, self.digits.len());
        Some(format!("{:0width$}", number + 1))
    }
}

fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    !name.is_empty() && name.bytes().all(is_letter)
}

/// The name apart at its last number.
fn numbered(name: &str) -> Option<Numbered<'_>> {
    let end = name.rfind(|letter: char| letter.is_ascii_digit())? + 1;
    let start = name[..end].rfind(|letter: char| !letter.is_ascii_digit());
    let start = start.map_or(0, |at| at + 1);
    let is_number = is_plain(name) && end - start <= LONGEST_NUMBER;
    is_number.then(|| Numbered {
        before: &name[..start],
        digits: &name[start..end],
        after: &name[end..],
    })
}

/// Hosts that differ only in a number.
struct Folded {
    /// The text of a host that stands alone.
    alone: String,
    before: String,
    after: String,
    /// First and last of each run.
    runs: Vec<(String, String)>,
}

impl Folded {
    fn whole(host: &str) -> Self {
        let alone = match is_plain(host) {
            true => host.to_owned(),
            false => format!("{host:?}"),
        };
        let (before, after) = (String::new(), String::new());
        Self {
            alone,
            before,
            after,
            runs: Vec::new(),
        }
    }

    fn new(host: &str, name: &Numbered) -> Self {
        Self {
            alone: host.to_owned(),
            before: name.before.to_owned(),
            after: name.after.to_owned(),
            runs: vec![(name.digits.to_owned(), name.digits.to_owned())],
        }
    }

    fn takes(&self, name: &Numbered) -> bool {
        !self.runs.is_empty() && self.before == name.before && self.after == name.after
    }

    fn add(&mut self, name: &Numbered) {
        if let Some((_, end)) = self.runs.last_mut() {
            let last = Numbered {
                before: "",
                digits: end,
                after: "",
            };
            if last.follower().as_deref() == Some(name.digits) {
                name.digits.clone_into(end);
                return;
            }
        }
        let digits = name.digits.to_owned();
        self.runs.push((digits.clone(), digits));
    }

    fn text(&self) -> String {
        let run = |(first, last): &(String, String)| match first == last {
            true => first.clone(),
            false => format!("{first}-{last}"),
        };
        match self.runs.as_slice() {
            [] => self.alone.clone(),
            [(first, last)] if first == last => self.alone.clone(),
            runs => {
                let runs: Vec<String> = runs.iter().map(run).collect();
                format!("{}[{}]{}", self.before, runs.join(","), self.after)
            }
        }
    }
}

/// The key of an order in which `n2` is before `n10`.
pub(crate) fn natural_order(name: &str) -> (Vec<(String, u64)>, String) {
    let mut parts: Vec<(String, u64)> = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let start = rest.find(|letter: char| letter.is_ascii_digit());
        let (text, behind) = rest.split_at(start.unwrap_or(rest.len()));
        let end = behind.find(|letter: char| !letter.is_ascii_digit());
        let (digits, behind) = behind.split_at(end.unwrap_or(behind.len()));
        parts.push((text.to_owned(), digits.parse().unwrap_or(0)));
        rest = behind;
    }
    (parts, name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(list: &str) -> Vec<String> {
        parse_host_list(list).unwrap()
    }

    fn folded(hosts: &[&str]) -> String {
        fold_hosts(hosts.iter().copied()).join(",")
    }

    #[test]
    fn a_list_of_slurm_is_read() {
        assert_eq!(
            hosts("node[01-03,20]"),
            ["node01", "node02", "node03", "node20"]
        );
        assert_eq!(hosts("a,b[9-10]-ib,a"), ["a", "b9-ib", "b10-ib"]);
        assert_eq!(hosts("r[1-2]n[1-2]"), ["r1n1", "r1n2", "r2n1", "r2n2"]);
        for wrong in [
            "",
            "a,",
            "n[1-",
            "n[]",
            "n[2-1]",
            "n1]",
            "a]b[1]",
            "n[1-99999999]",
            "n[a-b]",
            "a b",
            "n[-1]",
            "n[[1]]",
            "a[1-9999]b[1-9999]",
            "n[0000000001]",
        ] {
            assert!(parse_host_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_folded_as_slurm_folds_them() {
        assert_eq!(folded(&["n10", "n9", "n1", "login"]), "login,n[1,9-10]");
        assert_eq!(
            folded(&["n09", "n10", "n11", "n99", "n100"]),
            "n[09-11,99-100]"
        );
        assert_eq!(
            folded(&["gpu-1.x", "gpu-2.x", "gpu-2.y"]),
            "gpu-[1-2].x,gpu-2.y"
        );
        assert_eq!(folded(&["n1"]), "n1");
        assert_eq!(folded(&["n1,n2", "\x1b[31m"]), "\"\\u{1b}[31m\",\"n1,n2\"");
    }

    proptest! {
        #[test]
        fn what_is_folded_is_read_back(hosts in proptest::collection::btree_set("[a-c]{0,2}[0-9]{1,3}(-[a-z])?", 1..30)) {
            let list = fold_hosts(hosts.iter().map(String::as_str)).join(",");
            let mut read = parse_host_list(&list).unwrap();
            read.sort();
            prop_assert_eq!(read, hosts.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_text_causes_a_panic(text in "[a-z0-9\\[\\],\\- é]{0,30}") {
            let _ = parse_host_list(&text);
            let _ = fold_hosts([text.as_str()]);
        }
    }
}
