//! Splits files into lines, within bounds.

use std::ops::ControlFlow;

use crate::machine::Reason;

/// The largest file that is read by lines. A `numa_maps` of 100,000 mappings has 8 MB.
pub(crate) const LARGEST_BY_LINES: u64 = 256 << 20;

/// The longest line: a path with each byte escaped, and counts on a thousand nodes.
const LONGEST_LINE: usize = 64 << 10;

/// Splits the bytes of a file into lines as they are read.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    /// The start of a line that the last bytes did not complete.
    begun: Vec<u8>,
    total: u64,
}

impl LineSplitter {
    /// Takes the next bytes of the file and passes each line that they complete to `take`, without its newline.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, Reason>,
    ) -> Result<ControlFlow<()>, Reason> {
        self.total += bytes.len() as u64;
        if self.total > LARGEST_BY_LINES {
            return malformed("larger than 256 MiB");
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            if self.begun.len() + line.len() >= LONGEST_LINE {
                return too_long();
            }
            let flow = if self.begun.is_empty() {
                take(line)?
            } else {
                self.begun.extend_from_slice(line);
                let flow = take(&self.begun)?;
                self.begun.clear();
                flow
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        if self.begun.len() + rest.len() >= LONGEST_LINE {
            return too_long();
        }
        self.begun.extend_from_slice(rest);
        Ok(ControlFlow::Continue(()))
    }

    /// The end of the file. Every line has to end with a newline.
    pub(crate) fn finish(self) -> Result<(), Reason> {
        if self.begun.is_empty() {
            Ok(())
        } else {
            malformed("ends within a line")
        }
    }
}

fn too_long<T>() -> Result<T, Reason> {
    malformed("has a line of more than 64 KiB")
}

fn malformed<T>(what: &str) -> Result<T, Reason> {
    Err(Reason::Malformed(what.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], size: usize) -> Result<Vec<Vec<u8>>, Reason> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        for bytes in text.chunks(size) {
            let _ = splitter.push(bytes, |line| {
                lines.push(line.to_owned());
                Ok(ControlFlow::Continue(()))
            })?;
        }
        splitter.finish()?;
        Ok(lines)
    }

    #[test]
    fn the_lines_do_not_depend_on_the_size_of_the_reads() {
        let text = b"one\n\na longer line\n";
        for size in [1, 2, 7, 64] {
            let expected: [&[u8]; 3] = [b"one", b"", b"a longer line"];
            assert_eq!(lines(text, size).unwrap(), expected, "{size}");
        }
        assert_eq!(lines(b"", 1), Ok(Vec::new()));
    }

    #[test]
    fn a_cut_line_and_an_endless_one_are_refused() {
        let reason = |text: &[u8]| lines(text, 4096).unwrap_err().to_string();
        assert_eq!(reason(b"one\ntw"), "malformed: ends within a line");
        let endless = vec![b'x'; 65 << 10];
        let too_long = "malformed: has a line of more than 64 KiB";
        assert_eq!(reason(&endless), too_long);
        assert_eq!(reason(&[&endless[..], b"\n"].concat()), too_long);
    }

    #[test]
    fn a_break_ends_the_reading() {
        let (mut splitter, mut count) = (LineSplitter::default(), 0);
        let flow = splitter.push(b"one\ntwo\nthree\n", |line| {
            count += 1;
            Ok(match line {
                b"two" => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        });
        assert_eq!((flow, count), (Ok(ControlFlow::Break(())), 2));
    }
}
