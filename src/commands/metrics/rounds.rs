//! Audits once, or again and again, and passes on each text: to a file, to those who scrape, or to standard output.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;

use super::latest::Latest;
use super::round::{Outcome, Rounds, wait_for_signal};
use super::server;
use crate::cli::MetricsArgs;
use crate::commands::exit_code;
use crate::commands::guard::Signals;
use crate::commands::output::print_by;
use crate::commands::replaced_file::{self, Readers};
use crate::commands::source::limit;
use crate::commands::trouble::{Trouble, complain};
use crate::observe::own_process::deadly_signals;

/// The interval of --listen without --every.
const USUAL_INTERVAL: Duration = Duration::from_secs(60);

/// The least time between two audits, if one takes longer than the interval.
const PAUSE: Duration = Duration::from_secs(1);

/// After so many intervals without an audit that ended well, /healthz says so.
const MISSED: u32 = 3;

pub(super) fn run(arguments: &MetricsArgs) -> Result<u8, Trouble> {
    if arguments.expect.as_deref() == Some(Path::new("-")) {
        return Err("each audit reads the file of --expect, so it cannot be standard input".into());
    }
    let signals = Signals::hold(&deadly_signals())
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    let every = arguments.every.or(arguments.listen.map(|_| USUAL_INTERVAL));
    let limit = limit(&arguments.machine, arguments.window.unwrap_or_default())?;
    let stale = every.unwrap_or_default().saturating_mul(MISSED) + limit;
    let latest = Arc::new(Latest::new(stale));
    if let Some(address) = arguments.listen {
        listen(address, latest.clone())?;
    }
    let mut rounds = Rounds::new(limit);
    let mut is_first = true;
    loop {
        let start = Instant::now();
        let done = match rounds.audit(&signals) {
            Outcome::Signal(signal) => return end(signal),
            Outcome::Text(text) => pass_on(&text, arguments, &latest),
            Outcome::Refused if is_first => return Ok(exit_code::COULD_NOT_RUN),
            Outcome::Refused => Ok(Reader::Listens),
            // It hung or crashed: the next one may not.
            Outcome::Failed(why) if every.is_some() => {
                complain(&why.into());
                Ok(Reader::Listens)
            }
            Outcome::Failed(why) => Err(why.into()),
        };
        match (done, every) {
            (Ok(Reader::IsGone), _) | (Ok(_), None) => return Ok(exit_code::OK),
            (Err(trouble), _) if is_first => return Err(trouble),
            (Err(trouble), _) => complain(&trouble),
            (Ok(_), Some(_)) => {}
        }
        is_first = false;
        let next = start + every.unwrap_or_default();
        if let Some(signal) = wait_for_signal(&signals, next.max(Instant::now() + PAUSE)) {
            return end(signal);
        }
    }
}

/// Answers scrapes from now on, in a thread of its own.
fn listen(address: SocketAddr, latest: Arc<Latest>) -> Result<(), Trouble> {
    let cannot = |error: io::Error| format!("cannot listen on {address}: {error}");
    let listener = TcpListener::bind(address).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    std::thread::Builder::new()
        .name("answers scrapes".to_owned())
        .spawn(move || server::serve(&listener, &latest))
        .map_err(cannot)?;
    // Port 0 is any free one.
    let _ = writeln!(
        io::stderr(),
        "numa-audit: listening on http://{address}/metrics"
    );
    Ok(())
}

/// Whether somebody still reads standard output.
#[derive(Clone, Copy)]
enum Reader {
    Listens,
    IsGone,
}

fn pass_on(text: &[u8], arguments: &MetricsArgs, latest: &Latest) -> Result<Reader, Trouble> {
    if let Some(path) = &arguments.output {
        replaced_file::write(path, text, Readers::All)?;
    }
    if arguments.listen.is_some() {
        latest.set(text);
    }
    if arguments.output.is_some() || arguments.listen.is_some() {
        return Ok(Reader::Listens);
    }
    let mut reader = Reader::Listens;
    print_by(|out| {
        let written = out.write_all(text).and_then(|()| out.flush());
        if written
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        {
            reader = Reader::IsGone;
        }
        written
    })?;
    Ok(reader)
}

/// Ctrl-C and SIGTERM are how this command is meant to end.
fn end(signal: i32) -> Result<u8, Trouble> {
    if ![SIGINT, SIGTERM].contains(&signal) {
        emulate_default_handler(signal)?;
    }
    Ok(exit_code::OK)
}
