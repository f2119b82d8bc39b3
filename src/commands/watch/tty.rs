//! The terminal, which is left as it was whatever ends this process.
//!
//! Frames are written without waiting for the terminal: one that reads no more (a stalled connection) must not keep this process
//! from ending by a signal.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::commands::waiting::poll_until;
use crate::observe::own_process::reopened_output;

/// The other screen, without a cursor and cleared.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[0m\x1b[2J";

/// The usual screen with its cursor. The first byte ends a sequence of which only a part was written.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[?25h\x1b[?1049l";

/// Whether the terminal is to be left.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// Standard output, opened again so that writing to it never waits. `None` where that is not possible.
static OUTPUT: OnceLock<Option<OwnedFd>> = OnceLock::new();

fn output() -> BorrowedFd<'static> {
    let opened = OUTPUT.get_or_init(|| reopened_output().ok());
    // Standard output is never closed.
    opened
        .as_ref()
        .map_or(rustix::stdio::stdout(), |file| file.as_fd())
}

/// The terminal with its frames.
pub(super) struct Tty {
    frames: Terminal<CrosstermBackend<Sink>>,
    sink: Sink,
    /// What is not written yet.
    pending: Vec<u8>,
    written: usize,
}

/// Keeps what is drawn until it is written.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tty {
    /// Takes the terminal for frames. Only one such value may exist.
    ///
    /// # Errors
    /// Where the terminal cannot be set.
    pub(super) fn enter(size: (u16, u16), color: bool) -> io::Result<Self> {
        leave_at_panic();
        // What to print is decided by --color, not by the crate.
        force_color_output(color);
        let sink = Sink::default();
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, size.0, size.1)),
        };
        let frames = Terminal::with_options(CrosstermBackend::new(sink.clone()), options)?;
        let mut tty = Self {
            frames,
            sink,
            pending: Vec::new(),
            written: 0,
        };
        tty.enter_again(size)?;
        Ok(tty)
    }

    /// Takes the terminal again: after a stop it is the shell's, and its size may be another one.
    pub(super) fn enter_again(&mut self, size: (u16, u16)) -> io::Result<()> {
        IS_ENTERED.store(true, Ordering::SeqCst);
        // The crate sets nothing where it believes that nothing has changed.
        disable_raw_mode()?;
        enable_raw_mode()?;
        self.begin(size)
    }

    /// Draws everything anew, in this size.
    pub(super) fn begin(&mut self, size: (u16, u16)) -> io::Result<()> {
        self.pending = ENTER.to_vec();
        self.written = 0;
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, size.0, size.1)),
        };
        self.frames = Terminal::with_options(CrosstermBackend::new(self.sink.clone()), options)?;
        // The old one has written that it is gone.
        self.sink.0.borrow_mut().clear();
        Ok(())
    }

    /// Gives the terminal back for a while.
    pub(super) fn leave(&mut self) {
        self.pending.clear();
        self.written = 0;
        leave();
    }

    /// Draws a frame, which is then to be written. Only what differs from the last one is written.
    pub(super) fn draw(&mut self, fill: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.frames.draw(|frame| fill(frame.buffer_mut()))?;
        self.pending.append(&mut self.sink.0.borrow_mut());
        Ok(())
    }

    /// Whether a frame is not written yet. Then no other one is drawn.
    pub(super) fn is_writing(&self) -> bool {
        self.written < self.pending.len()
    }

    /// The file that can be written to when the terminal takes more.
    pub(super) fn file(&self) -> BorrowedFd<'static> {
        output()
    }

    /// Writes as much as the terminal takes now.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.is_writing() {
            match rustix::io::write(output(), &self.pending[self.written..]) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(size) => self.written += size,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        leave();
    }
}

/// The size of the terminal. One that does not know it (a serial line) counts as 80 x 24.
pub(super) fn size() -> (u16, u16) {
    const USUAL: (u16, u16) = (80, 24);
    /// A wider one would need too much memory for its frames.
    const MOST: u16 = 1000;
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
    match size {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (size.ws_col.min(MOST), size.ws_row.min(MOST))
        }
        _ => USUAL,
    }
}

/// Whether both ends of this program are a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Leaves the terminal as it was, if that was not done yet.
fn leave() {
    /// Longer a terminal that takes nothing is not waited for.
    const LONGEST: Duration = Duration::from_millis(500);
    if !IS_ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let until = Instant::now() + LONGEST;
    let mut rest = LEAVE;
    while !rest.is_empty() && Instant::now() < until {
        let mut files = [PollFd::from_borrowed_fd(output(), PollFlags::OUT)];
        poll_until(&mut files, until);
        if !files[0].revents().contains(PollFlags::OUT) {
            break;
        }
        match rustix::io::write(output(), rest) {
            Ok(size) => rest = &rest[size..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let _ = disable_raw_mode();
}

/// Leaves the terminal before the message of a panic is printed, also where a panic ends the process at once.
fn leave_at_panic() {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    if IS_SET.swap(true, Ordering::SeqCst) {
        return;
    }
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leave();
        print(panic);
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    /// The next test runs this in a terminal.
    #[test]
    #[ignore = "it panics, in a terminal"]
    #[allow(clippy::panic)]
    fn panics_on_the_screen() {
        let mut tty = Tty::enter(size(), true).unwrap();
        tty.draw(|buffer| {
            buffer.set_string(0, 0, "on the screen", ratatui::style::Style::new());
        })
        .unwrap();
        tty.write().unwrap();
        panic!("what the panic says");
    }

    #[test]
    fn a_panic_is_printed_on_the_usual_screen() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let terminal = ioctl_tiocgptpeer(&controller, flags).unwrap();
        let before = match tcgetattr(&terminal) {
            // qemu-user lacks TCGETS2.
            Err(Errno::NOSYS) => return,
            before => before.unwrap(),
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "commands::watch::tty::tests::panics_on_the_screen";
        command.args([
            name,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        command.env("RUST_BACKTRACE", "0");
        command.stdin(terminal.try_clone().unwrap());
        command.stdout(terminal.try_clone().unwrap());
        command.stderr(terminal.try_clone().unwrap());
        let status = command.status().unwrap();
        assert!(!status.success(), "it has panicked");
        let mut text = vec![0; 64 << 10];
        let size = rustix::io::read(&controller, &mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..size]);
        let leave = String::from_utf8_lossy(LEAVE);
        let (screen, after) = text
            .split_once(&*leave)
            .unwrap_or_else(|| panic!("{text:?}"));
        assert!(
            screen.contains("\x1b[?1049h") && screen.contains("screen"),
            "{text:?}"
        );
        assert!(
            after.contains("what the panic says") && !after.contains('\x1b'),
            "{text:?}"
        );
        let now = tcgetattr(&terminal).unwrap();
        assert_eq!(now.local_modes, before.local_modes);
        assert_eq!(now.input_modes, before.input_modes);
        assert_eq!(now.output_modes, before.output_modes);
    }
}
