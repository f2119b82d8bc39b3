//! What the screen asks: a line for each audit.

use crate::units::Pid;

/// A question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// The process whose threads are wanted.
    pub(super) open: Option<Pid>,
    /// Whether there was no answer yet: then a process that does not exist is a mistake, and later it has ended.
    pub(super) is_first: bool,
}

impl Question {
    /// As a line.
    pub(super) fn line(self) -> String {
        match self.open {
            Some(pid) => format!("threads {pid}\n"),
            None if self.is_first => "first audit\n".to_owned(),
            None => "audit\n".to_owned(),
        }
    }

    fn of(line: &[u8]) -> Self {
        let pid = line.strip_prefix(b"threads ");
        let pid = pid.and_then(|pid| std::str::from_utf8(pid).ok()?.parse().ok());
        Self {
            open: pid,
            is_first: line == b"first audit",
        }
    }
}

/// Questions that came. Of several only the last one is answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// A line that has not ended yet.
    begun: Vec<u8>,
    last: Option<Question>,
}

impl Questions {
    /// Adds what was read.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.last = Some(Question::of(&std::mem::take(&mut self.begun)));
            } else {
                self.begun.push(*byte);
            }
        }
    }

    /// The last one that was not taken yet.
    pub(super) fn take(&mut self) -> Option<Question> {
        self.last.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_questions_counts() {
        let mut questions = Questions::default();
        let open = |pid| Question {
            open: pid,
            is_first: false,
        };
        questions.add(b"audit\nthrea");
        assert_eq!(questions.take(), Some(open(None)));
        questions.add(b"ds 12\naudit\n");
        questions.add(open(Some(Pid(4))).line().as_bytes());
        assert_eq!(questions.take(), Some(open(Some(Pid(4)))));
        assert_eq!(questions.take(), None);
    }

    #[test]
    fn a_question_is_read_as_it_was_written() {
        for (open, is_first) in [(None, true), (None, false), (Some(Pid(7)), false)] {
            let question = Question { open, is_first };
            let mut questions = Questions::default();
            questions.add(question.line().as_bytes());
            assert_eq!(questions.take(), Some(question));
        }
    }
}
