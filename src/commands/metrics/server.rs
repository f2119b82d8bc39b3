//! Answers scrapes: one thread, a bounded number of connections, none of which it waits for.
//!
//! The crate tiny_http has no limit for the time of a connection, for their number (each gets a thread) or for the size of a
//! request. So the sockets are those of the standard library, and only the parser is a crate.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Connection;
use super::latest::Latest;

/// So many connections at once. One more ends the oldest, so that clients that do nothing keep nobody out.
const MOST_CONNECTIONS: usize = 128;

/// The time between two looks for connections that are late.
const ROUND: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Answers without end.
pub(super) fn serve(listener: &TcpListener, latest: &Latest) {
    // The oldest first.
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let mut is_ready = wait(listener, &connections).into_iter();
        let now = Instant::now();
        connections.retain_mut(|connection| {
            let is_ready = is_ready.next().unwrap_or(false);
            !connection.is_late(now) && (!is_ready || connection.advance(latest, now))
        });
        accept(listener, &mut connections, now);
    }
}

/// Waits until there is something to do, for a while. Returns which connections can go on.
fn wait(listener: &TcpListener, connections: &[Connection]) -> Vec<bool> {
    let mut files = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    files.extend(connections.iter().map(|connection| {
        let (file, flags) = connection.waits_for();
        PollFd::from_borrowed_fd(file, flags)
    }));
    if poll(&mut files, Some(&ROUND)).is_err() {
        return Vec::new();
    }
    let connections = files.iter().skip(1);
    connections.map(|file| !file.revents().is_empty()).collect()
}

/// Takes new connections, not more at a time than there can be.
fn accept(listener: &TcpListener, connections: &mut Vec<Connection>, now: Instant) {
    for _ in 0..MOST_CONNECTIONS {
        match listener.accept() {
            Ok((stream, _)) => {
                if connections.len() == MOST_CONNECTIONS {
                    connections.remove(0);
                }
                connections.extend(Connection::new(stream, now));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                // Probably too many open files: it would come again at once.
                std::thread::sleep(Duration::from_millis(100));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;

    use super::*;

    /// Larger than all buffers of a connection.
    const SIZE: usize = 32 << 20;

    fn start() -> SocketAddr {
        let latest = Arc::new(Latest::new(Duration::from_secs(3600)));
        latest.set(&vec![b'x'; SIZE]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener, &latest));
        address
    }

    fn connect(address: SocketAddr, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request).unwrap();
        stream
    }

    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

    #[test]
    fn clients_that_do_not_read_keep_nobody_out() {
        let address = start();
        let slow: Vec<_> = (0..40).map(|_| connect(address, REQUEST)).collect();
        let mut answer = Vec::new();
        let mut client = connect(address, REQUEST);
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.len() > SIZE && answer.ends_with(b"xxx"));
        drop(slow);
    }

    #[test]
    fn the_oldest_connection_ends_when_there_are_too_many() {
        let address = start();
        let mut idle: Vec<_> = (0..=MOST_CONNECTIONS)
            .map(|_| connect(address, b"GET /he"))
            .collect();
        let mut answer = Vec::new();
        connect(address, b"GET /healthz HTTP/1.1\r\n\r\n")
            .read_to_end(&mut answer)
            .unwrap();
        assert!(answer.ends_with(b"\r\n\r\nok\n"));
        // An end, or a reset: what it sent may not have been read.
        let end = idle[0].read(&mut [0; 8]);
        assert!(!matches!(end, Ok(1..)), "{end:?}");
    }

    #[test]
    fn a_request_in_parts_is_answered() {
        let address = start();
        let mut client = connect(address, b"GET /hea");
        std::thread::sleep(Duration::from_millis(20));
        client.write_all(b"lthz HTTP/1.1\r\nHost: x\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        client.write_all(b"\r\nand more that is not read").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
}
