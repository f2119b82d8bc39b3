//! CPUs and sets of CPUs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::list::{LIMIT, parse_list, parse_numbers, ranges};
use crate::units::text::{Malformed, malformed, value};

/// A logical CPU's number, as in `/sys/devices/system/cpu/cpuN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cpu(pub(crate) u32);

/// A set of CPUs. As text, also in JSON, it is the kernel's list: `0-23,48-71`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct CpuSet {
    /// Bit `n % 64` of word `n / 64` is CPU `n`. The last word is never zero, so that equal sets
    /// compare equal.
    words: Vec<u64>,
}

impl CpuSet {
    /// The CPUs, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cpu> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| Cpu(at * 64 + bit))
        })
    }

    /// Whether the set has no CPU.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether `cpu` is in the set.
    pub(crate) fn contains(&self, cpu: Cpu) -> bool {
        let word = self.words.get(cpu.0 as usize / 64);
        word.is_some_and(|word| word >> (cpu.0 % 64) & 1 == 1)
    }

    /// A set from words of 64 bits, the lowest first.
    pub(crate) fn from_words(mut words: Vec<u64>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    /// Adds one CPU.
    pub(crate) fn insert(&mut self, cpu: Cpu) {
        let at = cpu.0 as usize / 64;
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (cpu.0 % 64);
    }
}

impl FromIterator<Cpu> for CpuSet {
    fn from_iter<I: IntoIterator<Item = Cpu>>(cpus: I) -> Self {
        let mut set = Self::default();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ranges(self.iter().map(|cpu| cpu.0)))
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

impl FromStr for CpuSet {
    type Err = Malformed;

    fn from_str(list: &str) -> Result<Self, Malformed> {
        Ok(parse_numbers(list)?.map(Cpu).collect())
    }
}

impl Serialize for CpuSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = String::deserialize(deserializer)?;
        list.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads a file with a list of CPUs. An empty line is the empty set.
pub(crate) fn parse_cpu_list(bytes: &[u8]) -> Result<CpuSet, Malformed> {
    Ok(parse_list(bytes)?.map(Cpu).collect())
}

/// Reads a file with a mask of CPUs (the kernel's `%*pb`): hexadecimal words of 32 bits, the most significant first. An
/// empty word is 0.
pub(crate) fn parse_cpu_mask(bytes: &[u8]) -> Result<CpuSet, Malformed> {
    let text = value(bytes);
    let mut cpus = CpuSet::default();
    for (word, at) in text.rsplit(',').zip(0u32..) {
        if at >= LIMIT / 32 || word.len() > 8 || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return malformed("not a mask of CPUs", text.as_bytes());
        }
        let bits = u32::from_str_radix(word, 16).unwrap_or(0);
        (0..32)
            .filter(|bit| bits >> bit & 1 == 1)
            .for_each(|bit| cpus.insert(Cpu(at * 32 + bit)));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_contains_what_was_inserted() {
        let set: CpuSet = [70, 0, 3].map(Cpu).into_iter().collect();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Cpu(0), Cpu(3), Cpu(70)],
            "ascending, across words"
        );
        assert!(set.contains(Cpu(70)) && !set.contains(Cpu(6)) && !set.contains(Cpu(9999)));
    }

    #[test]
    fn lists_are_read() {
        let list = |text: &str| parse_cpu_list(text.as_bytes()).map(|set| set.to_string());
        assert_eq!(list("0-1,4-5\n"), Ok("0-1,4-5".into()));
        assert_eq!(list("\n"), Ok(String::new()));
        assert_eq!(list("7\n\0\0\0"), Ok("7".into()), "a recorded file's NULs");
        for wrong in [
            "1-",
            "-1",
            "2-1",
            "a",
            "0,,1",
            "0-4294967295",
            "+1",
            "99999999999",
            "0-65535,0-65535",
            "3,1",
            "",
        ] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masks_are_read() {
        let mask = |text: &str| parse_cpu_mask(text.as_bytes()).map(|set| set.to_string());
        assert_eq!(mask("ff\n"), Ok("0-7".into()));
        assert_eq!(mask("00000001,00000000,80000003"), Ok("0-1,31,64".into()));
        assert_eq!(
            mask("0x1"),
            Err(Malformed("not a mask of CPUs: \"0x1\"".into()))
        );
        assert!(mask("100000000").is_err(), "longer than a word");
    }

    #[test]
    fn a_set_in_json_is_its_list() {
        let set: CpuSet = "0-3,8".parse().unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#""0-3,8""#);
        assert_eq!(serde_json::from_str::<CpuSet>(r#""0-3,8""#).unwrap(), set);
        assert!(serde_json::from_str::<CpuSet>(r#""""#).unwrap().is_empty());
        assert!(serde_json::from_str::<CpuSet>(r#""3-1""#).is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(cpus in proptest::collection::btree_set(0u32..2000, 0..80)) {
            let set: CpuSet = cpus.into_iter().map(Cpu).collect();
            prop_assert_eq!(parse_cpu_list(format!("{set}\n").as_bytes()), Ok(set.clone()));
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_cpu_list(&bytes);
            let _ = parse_cpu_mask(&bytes);
        }
    }
}
