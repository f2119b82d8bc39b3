//! The loop: waits for keys, answers, signals and time, and draws.

mod questions;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;

use super::client::Client;
use super::locale::has_utf8;
use super::tty::{self, Tty};
use crate::audit::rules;
use crate::cli::WatchArgs;
use crate::commands::exit_code;
use crate::commands::guard::Signals;
use crate::commands::output::terminal;
use crate::commands::source::limit;
use crate::commands::trouble::Trouble;
use crate::commands::waiting::poll_until;
use crate::observe::own_process::deadly_signals;
use crate::screen::{Event, Input, Key, Look, Options, State, draw, update};
use crate::units::Pid;

/// The time between two frames in which only times change.
const TICK: Duration = Duration::from_secs(1);

/// How long the rest of a key's sequence may take.
const REST_OF_KEY: Duration = Duration::from_millis(50);

/// Shows the screen until the user ends it.
pub(super) fn run(arguments: &WatchArgs) -> Result<u8, Trouble> {
    if arguments.expect.as_deref() == Some(Path::new("-")) {
        return Err("each audit reads the file of --expect, so it cannot be standard input".into());
    }
    if !tty::is_there() {
        return Err("watch needs a terminal for its input and its output; without one `numa-audit` prints a table".into());
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err("watch needs a terminal that can move its cursor, and TERM names none".into());
    }
    let mut session = Session::new(arguments)?;
    let end = session.live();
    session.tty.leave();
    match end? {
        End::User => Ok(exit_code::OK),
        End::Gone => Ok(exit_code::COULD_NOT_RUN),
        End::Refused(text) => Err(text.into()),
        End::Signal(signal) => {
            drop(session);
            emulate_default_handler(signal)?;
            Ok(exit_code::COULD_NOT_RUN)
        }
    }
}

/// What ends the screen.
enum End {
    /// The user.
    User,
    /// The terminal is gone.
    Gone,
    /// The first audit could not run.
    Refused(String),
    /// A signal that ends this program.
    Signal(i32),
}

struct Session {
    tty: Tty,
    look: Look,
    client: Client,
    input: Input,
    /// `None` only while an event is applied.
    state: Option<State>,
    start: Instant,
    /// When the last question was asked, and what was open then.
    asked: Option<(Instant, Option<Pid>)>,
    deadly: Signals,
    stops: Signals,
    others: Signals,
    /// Whether something has changed since the last frame.
    is_stale: bool,
    next_tick: Instant,
}

/// What has come.
struct Ready {
    keys: bool,
    is_gone: bool,
}

impl Session {
    fn new(arguments: &WatchArgs) -> Result<Self, Trouble> {
        let cannot = |error: io::Error| format!("cannot handle signals: {error}");
        let deadly = Signals::hold(&deadly_signals()).map_err(cannot)?;
        let stops = Signals::hold(&[SIGTSTP]).map_err(cannot)?;
        let others = Signals::hold(&[SIGWINCH, SIGCONT]).map_err(cannot)?;
        let limit = limit(&arguments.machine, Duration::ZERO)?;
        let options = Options {
            every: arguments.every,
            is_recording: arguments.machine.snapshot.is_some(),
            all: arguments.all,
            rules: rules::texts(),
        };
        let look = Look {
            color: terminal(&arguments.color).color,
            ascii: !has_utf8(),
        };
        let size = tty::size();
        let tty = Tty::enter(size, look.color)
            .map_err(|error| format!("cannot use the terminal: {error}"))?;
        Ok(Self {
            tty,
            look,
            client: Client::new(limit),
            input: Input::default(),
            state: Some(State::new(options, size)),
            start: Instant::now(),
            asked: None,
            deadly,
            stops,
            others,
            is_stale: true,
            next_tick: Instant::now() + TICK,
        })
    }

    fn live(&mut self) -> Result<End, Trouble> {
        loop {
            if let Some(signal) = self.deadly.take() {
                return Ok(End::Signal(signal));
            }
            if self.stops.take().is_some() {
                self.stop()?;
            }
            if self.others.take().is_some() {
                self.resized()?;
            }
            if let Some(end) = self.ask_and_hear() {
                return Ok(end);
            }
            if self.next_tick <= Instant::now() {
                self.apply(Event::Time);
            }
            if self.show().is_err() {
                return Ok(End::Gone);
            }
            let ready = self.wait();
            if ready.is_gone {
                return Ok(End::Gone);
            }
            match self.keys(ready.keys) {
                Ok(keys) => {
                    for key in keys {
                        self.press(key)?;
                    }
                }
                Err(_) => return Ok(End::Gone),
            }
            if self.state.as_ref().is_none_or(|state| state.has_ended) {
                return Ok(End::User);
            }
        }
    }

    fn apply(&mut self, event: Event) {
        let now = self.start.elapsed();
        self.state = self.state.take().map(|state| update(state, event, now));
        self.is_stale = true;
        self.next_tick = Instant::now() + TICK;
    }

    fn press(&mut self, key: Key) -> Result<(), Trouble> {
        match key {
            Key::Suspend => self.stop()?,
            Key::Redraw => self.resized()?,
            key => self.apply(Event::Key(key)),
        }
        Ok(())
    }

    /// Draws, if there is something new and the terminal has taken the last frame.
    fn show(&mut self) -> io::Result<()> {
        if self.is_stale
            && !self.tty.is_writing()
            && let Some(state) = &self.state
        {
            let look = self.look;
            self.tty.draw(|buffer| draw(state, look, buffer))?;
            self.is_stale = false;
        }
        self.tty.write()
    }

    /// Waits until there is something to do.
    fn wait(&self) -> Ready {
        let readable = |file| PollFd::from_borrowed_fd(file, PollFlags::IN);
        let stdin = io::stdin();
        let mut files = vec![readable(stdin.as_fd())];
        if self.tty.is_writing() {
            files.push(PollFd::from_borrowed_fd(self.tty.file(), PollFlags::OUT));
        }
        files.extend([&self.deadly, &self.stops, &self.others].map(|of| readable(of.file())));
        files.extend(self.client.files().map(readable));
        let mut until = self.next_tick;
        if let Some(next) = self.next_question() {
            until = until.min(next);
        }
        if self.input.is_open() {
            until = until.min(Instant::now() + REST_OF_KEY);
        }
        poll_until(&mut files, until);
        let keys = files[0].revents();
        Ready {
            keys: keys.contains(PollFlags::IN),
            is_gone: keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
        }
    }

    /// The keys that were pressed.
    ///
    /// # Errors
    /// Where the terminal is gone.
    fn keys(&mut self, is_ready: bool) -> io::Result<Vec<Key>> {
        if !is_ready {
            return Ok(self.input.close());
        }
        let mut bytes = [0; 256];
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(size) => Ok(self.input.add(&bytes[..size])),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the terminal back, stops, and takes it again.
    fn stop(&mut self) -> Result<(), Trouble> {
        self.tty.leave();
        emulate_default_handler(SIGTSTP)?;
        let size = tty::size();
        self.tty.enter_again(size)?;
        self.apply(Event::Size(size.0, size.1));
        Ok(())
    }

    /// Draws everything anew in the size that the terminal has now. After a stop that came without a warning it is the shell's.
    fn resized(&mut self) -> Result<(), Trouble> {
        let size = tty::size();
        self.tty.enter_again(size)?;
        self.apply(Event::Size(size.0, size.1));
        Ok(())
    }
}
