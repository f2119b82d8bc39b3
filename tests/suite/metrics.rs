//! `numa-audit metrics`: once, again and again, to a file and over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::live::NO_DRIVER;
use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{fixture, program, replay, run};
use crate::support::{PATIENCE, WITH_SIGNALS, wait_for};

/// A metrics command that goes on.
struct Audits {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
}

impl Audits {
    fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors }
    }

    /// The next line that it prints to standard error.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }

    /// The address at which it listens.
    fn address(&mut self) -> String {
        let line = self.line();
        let address = line
            .trim_end()
            .strip_prefix("numa-audit: listening on http://");
        let address = address.and_then(|address| address.strip_suffix("/metrics"));
        address.unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let kill = kill
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    fn ends(&mut self) -> ExitStatus {
        wait_for("its end", || self.child.try_wait().unwrap())
    }

    /// The process of the audit that runs now.
    fn audit(&self) -> Option<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Its resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }
}

impl Drop for Audits {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn metrics(arguments: &[&str]) -> Command {
    let mut command = Command::new(WITH_SIGNALS[0]);
    command
        .args(&WITH_SIGNALS[1..])
        .arg(program().get_program());
    command.arg("metrics").args(arguments).env_remove(PATIENCE);
    command
}

fn of_recording(arguments: &[&str]) -> Command {
    let mut command = metrics(arguments);
    command.arg("--snapshot").arg(fixture("p4d-do-not-match"));
    command
}

/// The whole answer.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn get(address: &str, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
}

/// The body of /metrics, once there is one.
fn scraped(address: &str) -> String {
    wait_for("the first audit", || {
        let answer = get(address, "/metrics");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
    })
}

#[test]
fn every_rule_and_verdict_is_there_with_zero_too() {
    let run = replay("p4d-bound", &["metrics"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let rules = crate::program::run(["rules", "--json"]).json();
    let rules = rules.as_array().unwrap();
    assert!(rules.len() > 20);
    for rule in rules {
        let start = format!("\nnuma_audit_findings{{rule={},severity=", rule["name"]);
        assert!(run.stdout.contains(&start), "{start}");
    }
    let mismatch = "\nnuma_audit_processes{gpu=\"0\",role=\"trainer\",verdict=\"mismatch\"} 0\n";
    assert!(run.stdout.contains(mismatch), "{}", run.stdout);
    assert!(run.stdout.contains("\nnuma_audit_complete 1\n"));
}

#[test]
fn a_mismatch_is_no_failure_of_the_command() {
    let run = replay("p4d-do-not-match", &["metrics"]);
    assert_eq!(run.code, Some(0));
    let mismatch = "\nnuma_audit_processes{gpu=\"0\",role=\"worker\",verdict=\"mismatch\"} 4\n";
    assert!(run.stdout.contains(mismatch), "{}", run.stdout);
    assert_eq!(run.stdout, replay("p4d-do-not-match", &["metrics"]).stdout);
}

#[test]
fn memory_that_could_not_be_read_has_no_series() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let text = tree.audit(&["metrics"]).stdout;
    assert!(text.contains("\nnuma_audit_complete 0\n"), "{text}");
    assert!(
        text.contains("\nnuma_audit_gaps{what=\"memory\"} 1\n"),
        "{text}"
    );
    assert!(!text.contains("memory_bytes"), "{text}");
    let unknown = "\nnuma_audit_processes{gpu=\"0\",role=\"trainer\",verdict=\"unknown\"} 1\n";
    assert!(text.contains(unknown), "{text}");
}

#[test]
fn another_node_of_the_socket_is_near() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 0), ("4-5", 1)]);
    tree.trainer(&Process {
        numa_maps: Some(
            "7f0000000000 default anon=30 N0=10 N1=20 kernelpagesize_kB=4\n7f0000100000 default anon=5 N2=5 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let text = tree.audit(&["metrics"]).stdout;
    for (place, pages) in [("local", 10), ("near", 20), ("remote", 5)] {
        let bytes = pages * 4096;
        let sample = format!("\nnuma_audit_memory_bytes{{gpu=\"0\",place=\"{place}\"}} {bytes}\n");
        assert!(text.contains(&sample), "{sample}{text}");
    }
}

#[test]
fn the_file_is_written_once_without_an_interval() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.prom");
    let output = of_recording(&["--output", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), output.stdout, output.stderr),
        (Some(0), vec![], vec![])
    );
    let printed = replay("p4d-do-not-match", &["metrics"]).stdout;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    let output = |path: &Path| {
        let every = of_recording(&["--every", "1h", "--output", path.to_str().unwrap()]).output();
        crate::program::Run::from(every.unwrap())
    };
    output(&link).fails_with(&format!("cannot write {}: it is a link", link.display()));
    output(Path::new("/dev/null")).fails_with("cannot write /dev/null: it is not a regular file");
    let none = ["metrics", "--snapshot", "/nonexistent", "--every", "1h"];
    let wrong = run(none);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
    assert_eq!(wrong.stderr, run(&none[..3]).stderr);
    run(["metrics", "--every", "1h", "--expect", "-"])
        .fails_with("each audit reads the file of --expect, so it cannot be standard input");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    run(["metrics", "--listen", &address]).fails_with(&format!(
        "cannot listen on {address}: Address already in use (os error 98)"
    ));
}

#[test]
fn it_goes_on_until_a_signal_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.prom");
    for signal in ["TERM", "INT"] {
        let arguments = ["--every", "1s", "--output", file.to_str().unwrap()];
        let mut audits = Audits::start(&mut of_recording(&arguments));
        for _ in 0..2 {
            wait_for("the file", || std::fs::remove_file(&file).ok());
        }
        audits.signal(signal);
        assert_eq!(audits.ends().code(), Some(0), "{signal}");
        assert_eq!(audits.line(), "");
        assert_eq!(
            std::fs::read_dir(folder.path())
                .unwrap()
                .flatten()
                .filter(|entry| entry.path() != file)
                .count(),
            0
        );
    }
}

#[test]
fn nobody_who_reads_is_a_quiet_end() {
    let mut command = of_recording(&["--every", "1s"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn an_audit_that_hangs_is_ended_and_the_next_one_counts() {
    let mut audits = Audits::start(&mut metrics(
        &[
            &[
                "--listen",
                ":0",
                "--every",
                "1s",
                "--deadline",
                "1s",
                "--for",
                "2s",
            ][..],
            &NO_DRIVER,
        ]
        .concat(),
    ));
    let address = audits.address();
    let first = scraped(&address);
    let hung = wait_for("an audit that stops", || {
        let audit = audits.audit()?;
        let mut kill = Command::new("kill");
        let _ = kill.args(["-s", "STOP", &audit.to_string()]).output();
        let stat = std::fs::read_to_string(format!("/proc/{audit}/stat")).ok()?;
        stat.contains(") T ").then_some(audit)
    });
    assert_eq!(
        audits.line(),
        "numa-audit: an audit did not end within 13s\n"
    );
    // The server answered meanwhile, and metrics come again.
    wait_for("a later audit", || {
        assert!(get(&address, "/healthz").contains("200 OK"));
        (scraped(&address) != first).then_some(())
    });
    wait_for("the end of the one that hung", || {
        (!Path::new(&format!("/proc/{hung}")).exists()).then_some(())
    });
}

/// Its duration shows which audit a text is of.
#[test]
fn a_scrape_starts_no_audit() {
    let arguments = [&["--listen", "0", "--every", "24h"][..], &NO_DRIVER].concat();
    let mut audits = Audits::start(&mut metrics(&arguments));
    let address = audits.address();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let first = scraped(&address);
    assert!(
        first.contains("numa_audit_last_run_duration_seconds"),
        "{first}"
    );
    for _ in 0..20 {
        assert_eq!(scraped(&address), first);
        assert_eq!(audits.audit(), None);
    }
}

#[test]
fn hostile_clients_keep_nobody_out_and_cost_no_memory() {
    let mut audits = Audits::start(&mut of_recording(&["--listen", ":0", "--every", "1s"]));
    let address = audits.address();
    let text = scraped(&address);
    let connect = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&address).unwrap();
        // It may have been ended already.
        let _ = stream.write_all(bytes);
        stream
    };
    let long = vec![b'A'; 64 << 10];
    let kinds: [&dyn Fn() -> TcpStream; 6] = [
        &|| connect(b""),
        &|| connect(b"GET /metr"),
        &|| connect(b"GET /metrics HTTP/1.1\r\n\r\n"),
        &|| connect(b"\x16\x03\x01\x02\x00garbage\xff\xfe\r\n\r\n"),
        &|| connect(&long),
        &|| {
            let stream = connect(b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
            let _ = stream.shutdown(Shutdown::Write);
            stream
        },
    ];
    let mut after_first = 0;
    for round in 0..30 {
        // 150 at once, none of which reads its answer, and more than the server holds.
        let held: Vec<TcpStream> = (0..150)
            .map(|number| kinds[number % kinds.len()]())
            .collect();
        assert_eq!(scraped(&address), text);
        assert!(get(&address, "/healthz").ends_with("\r\n\r\nok\n"));
        drop(held);
        if round == 0 {
            after_first = audits.memory();
        }
    }
    let grown = audits.memory().saturating_sub(after_first);
    assert!(grown < 4 << 10, "{grown} KiB more than {after_first} KiB");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("PUT /metrics HTTP/1.1\r\n\r\n", "405"),
        ("\u{1}\r\n\r\n", "400"),
    ] {
        let answer = ask(&address, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {answer}"
        );
    }
    audits.signal("TERM");
    assert_eq!(audits.ends().code(), Some(0));
}

#[test]
fn a_client_that_sends_slowly_is_cut_off() {
    let mut audits = Audits::start(&mut of_recording(&["--listen", ":0", "--every", "24h"]));
    let address = audits.address();
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // A byte now and then does not buy more time.
    wait_for("the end of the connection", || {
        let _ = slow.write_all(b"A");
        match slow.read(&mut [0; 64]) {
            Ok(0) => Some(()),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(()),
        }
    });
    scraped(&address);
}
