//! One connection of a client: one request, one answer, and its end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::latest::Latest;
use super::request::{Answer, MOST_BYTES, answer};

/// How long a client has for its request and for reading the answer.
const TIME: Duration = Duration::from_secs(10);

/// How long what a client sends after its request is read and thrown away: with unread bytes the kernel would take back the
/// answer.
const END: Duration = Duration::from_secs(1);

/// A connection that never blocks.
pub(super) struct Connection {
    stream: TcpStream,
    until: Instant,
    stage: Stage,
}

enum Stage {
    Reads(Vec<u8>),
    Writes { answer: Answer, sent: usize },
    Ends,
}

impl Connection {
    /// # Errors
    /// Where the connection cannot be made one that does not block.
    pub(super) fn new(stream: TcpStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            until: now + TIME,
            stage: Stage::Reads(Vec::new()),
        })
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// The file and what to wait for on it.
    pub(super) fn waits_for(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = match self.stage {
            Stage::Reads(_) | Stage::Ends => PollFlags::IN,
            Stage::Writes { .. } => PollFlags::OUT,
        };
        (self.stream.as_fd(), flags)
    }

    /// Does what can be done without waiting. Returns whether the connection goes on.
    pub(super) fn advance(&mut self, latest: &Latest, now: Instant) -> bool {
        loop {
            let step = match &mut self.stage {
                Stage::Reads(request) => read(&mut self.stream, request, latest),
                Stage::Writes { answer, sent } => write(&mut self.stream, answer, sent),
                Stage::Ends => discard(&mut self.stream),
            };
            match step {
                Ok(Some(next)) => {
                    if matches!(next, Stage::Ends) {
                        self.until = self.until.min(now + END);
                    }
                    self.stage = next;
                }
                Ok(None) => return false,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// Each step gives the next stage, `None` at the end, or an error: the usual one is that it would have to wait.
type Step = io::Result<Option<Stage>>;

fn read(stream: &mut TcpStream, request: &mut Vec<u8>, latest: &Latest) -> Step {
    let mut chunk = [0; 1024];
    loop {
        let room = chunk.len().min(MOST_BYTES - request.len());
        let size = retried(|| stream.read(&mut chunk[..room]))?;
        if size == 0 {
            return Ok(None);
        }
        request.extend_from_slice(&chunk[..size]);
        if let Some(answer) = answer(request, latest) {
            return Ok(Some(Stage::Writes { answer, sent: 0 }));
        }
    }
}

fn write(stream: &mut TcpStream, answer: &Answer, sent: &mut usize) -> Step {
    let head = answer.head.as_bytes();
    loop {
        let rest = match head.get(*sent..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => &answer.body[*sent - head.len()..],
        };
        if rest.is_empty() {
            stream.shutdown(Shutdown::Write)?;
            return Ok(Some(Stage::Ends));
        }
        *sent += retried(|| stream.write(rest))?;
    }
}

fn discard(stream: &mut TcpStream) -> Step {
    let mut chunk = [0; 1024];
    // Not without end: a client can send faster than this reads.
    for _ in 0..64 {
        if retried(|| stream.read(&mut chunk))? == 0 {
            return Ok(None);
        }
    }
    Err(ErrorKind::WouldBlock.into())
}

fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
