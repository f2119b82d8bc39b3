//! The ways to read memory: a sample compared with every page, and what happens where the kernel refuses.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, with_trainer};
use crate::program::{Run, program, replay};
use crate::support::{passed_over, wait_for};

/// Python: anonymous and shared memory, a sparse part of the address space, and threads.
const HOG: &str = "
import mmap, threading, time
anonymous = b'x' * (160 << 20)
shared = mmap.mmap(-1, 64 << 20)
shared.write(anonymous[:64 << 20])
sparse = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
for at in range(0, 64 << 30, 1 << 30):
    sparse[at:at + (256 << 10)] = anonymous[:256 << 10]
for _ in range(3):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print('ready', flush=True)
time.sleep(600)
";

/// A process with much memory, which is stopped: no thread of it allocates, frees or writes between two readings. It ends
/// with the test.
struct Hog(Child);

impl Hog {
    fn new() -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", HOG]).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("python3, which README names, is installed");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let hog = Self(child);
        hog.stop();
        hog
    }

    fn stop(&self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-STOP", &pid]).status();
        assert!(sent.unwrap().success());
        wait_for("a stopped process", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.contains(") T ").then_some(())
        });
    }

    fn command(&self, how: &str) -> Command {
        let mut command = program();
        let pid = self.0.id().to_string();
        command.args(["--nvml-lib", "/nonexistent", "--json", "--pid", &pid]);
        command.args(["--memory", how]);
        command
    }

    fn memory(&self, how: &str) -> Value {
        memory(&mut self.command(how))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn memory(command: &mut Command) -> Value {
    let run: Run = command.output().unwrap().into();
    run.json()["processes"][0]["memory"].clone()
}

fn sum(by_node: &Value) -> f64 {
    let nodes = by_node.as_object().into_iter().flatten();
    nodes.map(|(_, bytes)| bytes.as_f64().unwrap()).sum()
}

/// A sample, and every page, of the same pages. The process is stopped, so that only the kernel can change its pages
/// (reclaim them, or migrate them by NUMA balancing): where it did between two exact readings, they are read again.
fn sample_and_exact(hog: &Hog) -> (Value, Value) {
    for _ in 0..50 {
        let (before, sample, after) = (
            hog.memory("exact"),
            hog.memory("sample"),
            hog.memory("exact"),
        );
        if before["by_kind"] == after["by_kind"] {
            return (sample, after);
        }
    }
    panic!("the kernel changed the pages of a stopped process 50 times");
}

/// This holds however busy the machine is: the program is patient here, so that the clock never cuts the sample short, and
/// the pages that it asks for depend only on the process's mappings.
#[test]
fn a_sample_is_within_its_error_of_every_page() {
    let hog = Hog::new();
    let (sample, exact) = sample_and_exact(&hog);
    assert_eq!(exact["exact"], true);
    assert_eq!(
        (&exact["error"], &exact["sample_pages"]),
        (&Value::Null, &Value::Null)
    );
    if sample["exact"] == true {
        passed_over("move_pages(2) is not permitted");
        return;
    }
    let asked = sample["sample_pages"].as_u64().unwrap();
    assert!((256..80_000).contains(&asked), "{asked}");
    let error = sample["error"].as_f64().unwrap();
    assert!((0.0..0.1).contains(&error), "{error}");
    assert_eq!(
        sample["by_kind"]["file"],
        Value::Null,
        "files are not sampled"
    );
    for kind in ["anonymous", "shared"] {
        let (ours, all) = (sum(&sample["by_kind"][kind]), sum(&exact["by_kind"][kind]));
        assert!((ours / all - 1.0).abs() < 0.03, "{kind}: {ours} of {all}");
    }
    let share = |memory: &Value, node: &str| {
        let by_node = &memory["by_node_bytes"];
        by_node[node].as_f64().unwrap_or(0.0) / sum(by_node)
    };
    for node in exact["by_node_bytes"].as_object().unwrap().keys() {
        let off = (share(&sample, node) - share(&exact, node)).abs();
        assert!(off <= error, "node {node}: off by {off}, not {error}");
    }
    assert_eq!(sample["policy"], exact["policy"]);
    for memory in [sample, exact] {
        let policies = memory["thread_policies"].as_object().unwrap();
        let threads = policies.values().map(|count| count.as_u64().unwrap());
        assert_eq!(threads.sum::<u64>(), 4);
    }
}

/// Forbids move_pages(2), as a container's seccomp filter does.
#[allow(unsafe_code)]
fn without_move_pages(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let step = |code: u32, k: u32, jf: u8| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf,
        k,
    };
    let number = u32::try_from(libc::SYS_move_pages).unwrap();
    let errno = u32::try_from(libc::EPERM).unwrap();
    let filter = [
        // Load the call's number; any other number skips the refusal.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number, 1),
        step(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | errno,
            0,
        ),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let install = move || {
        let program = libc::sock_fprog {
            len: 4,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: the program has as many steps as it says and outlives the call, which copies it.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ) == 0
        };
        match installed {
            true => Ok(()),
            false => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only prctl(2) is called, which is safe there.
    unsafe { command.pre_exec(install) };
}

#[test]
fn without_move_pages_every_page_is_counted() {
    let hog = Hog::new();
    let mut command = hog.command("sample");
    without_move_pages(&mut command);
    let counted = memory(&mut command);
    assert_eq!(counted["exact"], true);
    let exact = hog.memory("exact");
    assert_eq!(counted["by_node_bytes"], exact["by_node_bytes"]);
}

#[test]
fn without_memory_the_cpus_are_still_judged() {
    let whole = replay("p4d-bound", &["--json"]);
    let without = replay("p4d-bound", &["--json", "--memory", "none"]);
    let (all, cpus) = (whole.json(), without.json());
    assert_eq!(whole.code, Some(0));
    assert_eq!(without.code, Some(0), "all that was asked for is known");
    for (one, other) in all["processes"]
        .as_array()
        .unwrap()
        .iter()
        .zip(cpus["processes"].as_array().unwrap())
    {
        assert_eq!(one["cpu"], other["cpu"]);
        assert_eq!(other["memory"]["by_node_bytes"], Value::Null);
        if one["verdict"] == "ok" {
            assert_eq!(other["memory"]["verdict"], "unknown");
            assert_eq!(other["verdict"], "unknown", "its memory was not read");
        }
    }
    let gap = &cpus["incomplete"][0];
    assert_eq!(
        (&gap["what"], &gap["reason"]),
        (&json!("memory"), &json!("not asked for"))
    );
    // A mismatch of CPUs is still one, and what is unknown is still unknown.
    let tree = with_trainer(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    assert_eq!(tree.audit(&["--memory", "none"]).code, Some(1));
    let tree = with_trainer(&PLACED);
    tree.file("sys/devices/system/node/node1/cpulist", "nonsense\n");
    assert_eq!(tree.audit(&["--memory", "none"]).code, Some(3));
}

#[test]
fn where_memory_cannot_be_read_that_of_the_control_group_is_reported() {
    let tree = with_trainer(&PLACED);
    tree.file(
        "sys/fs/cgroup/memory.numa_stat",
        "anon N0=4096 N1=8192\nfile N0=1 N1=1\nshmem N0=0 N1=4096\n",
    );
    let own = tree.audit(&["--json"]).json();
    assert_eq!(
        own["processes"][0]["memory"]["group_by_node_bytes"],
        Value::Null
    );
    tree.file(
        "snapshot.json",
        "{\"format\": 1, \"denied\": [\"proc/100/numa_maps\"]}",
    );
    let memory = &tree.audit_as_recorded(&["--json"]).json()["processes"][0]["memory"];
    assert_eq!(
        memory["group_by_node_bytes"],
        json!({"0": 4096, "1": 12288})
    );
    assert_eq!(memory["by_node_bytes"], Value::Null);
    assert_eq!(
        memory["verdict"], "unknown",
        "other processes have a part in it"
    );
}
