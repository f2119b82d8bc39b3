//! The program in a terminal of its own, and what it shows there.

use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::program::program;
use crate::support::{HANG, PATIENCE, PATIENT, wait_for};

/// A terminal with a program in it.
pub struct Pty {
    /// The terminal's own side: the screen and the keyboard.
    controller: OwnedFd,
    /// The program's side.
    terminal: Option<OwnedFd>,
    before: Termios,
    pub child: Child,
    screen: vt100::Parser,
}

impl Pty {
    /// Runs `watch` with these arguments in a terminal of this size, in a session of its own.
    pub fn watch(columns: u16, lines: u16, arguments: &[&str]) -> Self {
        Self::start(columns, lines, &["setsid", "--ctty"], arguments)
    }

    /// The same without a session: nothing but the terminal itself shows that it is gone.
    pub fn watch_without_session(columns: u16, lines: u16, arguments: &[&str]) -> Self {
        Self::start(columns, lines, &["env"], arguments)
    }

    fn start(columns: u16, lines: u16, through: &[&str], arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let terminal = ioctl_tiocgptpeer(&controller, flags).unwrap();
        tcsetwinsize(&terminal, size(columns, lines)).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let mut command = Command::new(through[0]);
        command.args(&through[1..]);
        // The tests may run in the background of a shell, which then ignores these.
        command.args(["env", "--default-signal=HUP,INT,QUIT,TERM,TSTP"]);
        command
            .arg(program().get_program())
            .arg("watch")
            .args(arguments);
        for variable in ["COLUMNS", "NO_COLOR", "LC_CTYPE", "LANG"] {
            command.env_remove(variable);
        }
        command
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8");
        command.env(PATIENCE, PATIENT);
        command.stdin(terminal.try_clone().unwrap());
        command.stdout(terminal.try_clone().unwrap());
        command.stderr(terminal.try_clone().unwrap());
        Self {
            controller,
            terminal: Some(terminal),
            before,
            child: command.spawn().unwrap(),
            screen: vt100::Parser::new(cells(lines), cells(columns), 0),
        }
    }

    /// What the screen shows, once it has this text.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> String {
        self.shows_that(text, |screen| screen.contains(text))
    }

    /// What the screen shows, once this is true of it.
    #[track_caller]
    pub fn shows_that(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let contents = self.screen.screen().contents();
            if is(&contents) {
                return contents;
            }
            let waited = start.elapsed();
            assert!(
                waited < HANG,
                "the screen never shows {what:?}:\n{contents}"
            );
            let ended = self.child.try_wait().unwrap();
            let is_over = !self.read() && ended.is_some();
            assert!(
                !is_over,
                "it ended without {what:?} ({ended:?}):\n{contents}"
            );
        }
    }

    /// Reads what the program has written, or waits for a moment. Returns whether there was something.
    fn read(&mut self) -> bool {
        let mut files = [PollFd::new(&self.controller, PollFlags::IN)];
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        poll(&mut files, Some(&moment)).unwrap();
        if !files[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut bytes = [0; 4096];
        let size = rustix::io::read(&self.controller, &mut bytes).unwrap_or(0);
        self.screen.process(&bytes[..size]);
        size > 0
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        rustix::io::write(&self.controller, keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.screen
            .screen_mut()
            .set_size(cells(lines), cells(columns));
        tcsetwinsize(self.controller.as_fd(), size(columns, lines)).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The process that observes.
    pub fn observer(&self) -> u32 {
        wait_for("the observer", || {
            children(self.child.id()).first().copied()
        })
    }

    /// The status of the program after its end, which comes by itself now. The screen has what it wrote.
    pub fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let has_read = self.read();
            if let Some(status) = ended.filter(|_| !has_read) {
                return status;
            }
            assert!(
                start.elapsed() < HANG,
                "it does not end:\n{}",
                self.screen.screen().contents()
            );
        }
    }

    /// Whether the program has the terminal for itself.
    pub fn is_taken(&self) -> bool {
        let screen = self.screen.screen();
        screen.alternate_screen() && screen.hide_cursor()
    }

    /// The terminal is as it was before the program started.
    #[track_caller]
    pub fn is_as_before(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the other screen");
        assert!(!screen.hide_cursor(), "no cursor");
        assert_eq!(screen.fgcolor(), vt100::Color::Default);
        let (before, now) = (
            &self.before,
            tcgetattr(self.terminal.as_ref().unwrap()).unwrap(),
        );
        assert_eq!(now.local_modes, before.local_modes);
        assert_eq!(now.input_modes, before.input_modes);
        assert_eq!(now.output_modes, before.output_modes);
        assert_eq!(now.control_modes, before.control_modes);
    }

    /// Closes the terminal. Returns the program, which may still run.
    pub fn close(self) -> Child {
        self.child
    }

    /// What the screen shows now.
    pub fn contents(&self) -> String {
        self.screen.screen().contents()
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize {
        ws_col: columns,
        ws_row: lines,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// The living children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// The state letter of a process; `None` where it does not exist, or is a zombie.
pub fn state(pid: u32) -> Option<char> {
    let path: PathBuf = format!("/proc/{pid}/stat").into();
    let stat = std::fs::read_to_string(path).ok()?;
    let letter = stat.rsplit_once(") ")?.1.chars().next()?;
    (letter != 'Z').then_some(letter)
}
