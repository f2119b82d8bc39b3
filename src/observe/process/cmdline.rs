//! `/proc/PID/cmdline`: argv, NUL-separated.

use crate::machine::Reason;
use crate::observe::root::Root;
use crate::units::Pid;

/// At most this many bytes of argv are read. A process may make its argv as long as it likes at no cost (prctl(2),
/// PR_SET_MM_MAP).
pub(crate) const LONGEST_COMMAND: usize = 32 << 10;

/// No more bytes are read of the argv of all processes: a user may have tens of thousands. Of each at least
/// [`LEAST_OF_EACH`] are read.
const MOST_OF_ALL: usize = 32 << 20;

/// An interpreter, a script and some options.
const LEAST_OF_EACH: usize = 1 << 10;

/// At most this many words are kept. A trainer with all its options has some hundreds.
const MOST_WORDS: usize = 1024;

/// The last word of an argv that was cut.
const ELLIPSIS: &str = "…";

/// How many bytes are read of the argv of each of so many processes.
pub(crate) fn longest_command(processes: usize) -> usize {
    let share = MOST_OF_ALL / processes.max(1);
    share.clamp(LEAST_OF_EACH, LONGEST_COMMAND)
}

/// The first `longest` bytes of argv, in words.
pub(crate) fn read_command(root: &Root, pid: Pid, longest: usize) -> Result<Vec<String>, Reason> {
    // One byte more shows that there are more.
    let most = longest as u64 + 1;
    let start = root.read_start(&format!("{}/cmdline", root.process_folder(pid)), most)?;
    Ok(parse_command(&start, longest))
}

/// Parses argv. If it is too long, the start is kept, and a last word shows the cut. A process may overwrite its argv: nothing
/// in it is reliable.
pub(crate) fn parse_command(bytes: &[u8], longest: usize) -> Vec<String> {
    let start = &bytes[..bytes.len().min(longest)];
    let start = start.strip_suffix(b"\0").unwrap_or(start);
    let mut words = start.split(|byte| *byte == 0);
    let text = words.by_ref().take(MOST_WORDS);
    let mut command: Vec<String> = text
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if bytes.is_empty() {
        command.clear();
    }
    if bytes.len() > longest || words.next().is_some() {
        command.push(ELLIPSIS.to_owned());
    }
    command
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_argv_with_empty_words() {
        assert_eq!(
            parse_command(b"python3\0\0-c\0", LONGEST_COMMAND),
            ["python3", "", "-c"]
        );
        assert_eq!(
            parse_command(b"a title without end", LONGEST_COMMAND),
            ["a title without end"]
        );
        assert!(parse_command(b"", LONGEST_COMMAND).is_empty());
    }

    #[test]
    fn keeps_the_start_of_a_long_argv() {
        let long = [b"python3\0".as_slice(), &[b'x'; 9 << 20]].concat();
        let command = parse_command(&long, LONGEST_COMMAND);
        assert_eq!((command[0].as_str(), command.len()), ("python3", 3));
        assert_eq!(command[1].len(), LONGEST_COMMAND - "python3\0".len());
        assert_eq!(command[2], "…");
        let words = parse_command(&[0; 9 << 20], LONGEST_COMMAND);
        assert_eq!(words.len(), MOST_WORDS + 1);
        let whole = parse_command(&b"x\0".repeat(MOST_WORDS), LONGEST_COMMAND);
        assert!(whole.len() == MOST_WORDS && whole.iter().all(|word| word == "x"));
    }

    #[test]
    fn many_processes_have_less_each() {
        assert_eq!(longest_command(8), LONGEST_COMMAND);
        assert_eq!(longest_command(16 << 10), 2 << 10);
        assert_eq!(longest_command(10_000_000), LEAST_OF_EACH);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_command(&bytes, LONGEST_COMMAND);
        }
    }
}
