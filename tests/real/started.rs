//! Programs that the tests start, and end again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{PATIENCE, PATIENT, passed_over};

/// A program that is ended with this value.
pub struct Started(Child);

impl Started {
    pub fn new(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program, patient.
pub fn numa_audit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    command.stdin(Stdio::null()).env(PATIENCE, PATIENT);
    command
}

/// `numa-audit metrics --listen`: what was started, and its address.
pub fn listening(arguments: &[&str]) -> (Started, String) {
    let mut command = numa_audit();
    command
        .args(["metrics", "--listen", "127.0.0.1:0"])
        .args(arguments);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let started = Started(child);
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("numa-audit: listening on http://");
    let address = address.and_then(|address| address.strip_suffix("/metrics"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    // What it complains about later is not waited for, and must not block it.
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
    (started, address)
}

/// The body of an answer with status 200; `None` where there is no such answer yet.
pub fn get(address: &str, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let status = String::from_utf8_lossy(&answer[..end]);
    let is_ok = status.split(' ').nth(1) == Some("200");
    is_ok.then(|| answer[end + 4..].to_vec())
}

/// An address of loopback whose port was free a moment ago.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Whether these programs are installed.
pub fn are_here(programs: &[&str]) -> bool {
    let is_here = |program: &&&str| {
        let mut command = Command::new(program);
        let output = command.arg("--version").stdin(Stdio::null()).output();
        output.is_err()
    };
    match programs.iter().find(is_here) {
        Some(program) => {
            passed_over(&format!("{program} is not installed"));
            false
        }
        None => true,
    }
}

/// A file of the checkout.
pub fn of_checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
