//! A recorded machine with very many threads, as a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Threads of each process.
const THREADS: usize = 1000;

/// Less than the most links that a file may have on any common file system (ext4: 65,000).
const MOST_LINKS: usize = 30_000;

/// The first process; the others are its descendants.
pub const FIRST: usize = 1000;

/// A machine of two nodes to which processes are added.
#[derive(Debug)]
pub struct Recorded {
    folder: PathBuf,
    threads: usize,
}

impl Recorded {
    /// The machine without a process.
    pub fn new(folder: PathBuf) -> io::Result<Self> {
        let recorded = Self { folder, threads: 0 };
        let file = |path: &str, text: &str| recorded.file(path, text);
        file("snapshot.json", "{\"format\": 1}\n")?;
        file("nvml.json", "{\"gpus\": []}\n")?;
        file("sys/devices/system/node/online", "0-1\n")?;
        for (node, cpus) in [(0, "0-47\n"), (1, "48-95\n")] {
            let folder = format!("sys/devices/system/node/node{node}");
            file(&format!("{folder}/cpulist"), cpus)?;
            let memory =
                format!("Node {node} MemTotal: 1048576 kB\nNode {node} MemFree: 1024 kB\n");
            file(&format!("{folder}/meminfo"), &memory)?;
            let distances = if node == 0 { "10 21\n" } else { "21 10\n" };
            file(&format!("{folder}/distance"), distances)?;
        }
        Ok(recorded)
    }

    /// Its path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds processes until there are this many threads.
    pub fn grow(&mut self, threads: usize) -> io::Result<()> {
        while self.threads < threads {
            self.process(FIRST + self.threads)?;
            self.threads += THREADS;
        }
        Ok(())
    }

    fn process(&self, pid: usize) -> io::Result<()> {
        let ppid = if pid == FIRST { 1 } else { FIRST };
        let folder = format!("proc/{pid}");
        self.file(&format!("{folder}/stat"), &stat(pid, ppid))?;
        self.file(&format!("{folder}/status"), STATUS)?;
        self.file(&format!("{folder}/cmdline"), "python3\0train.py\0")?;
        self.file(&format!("{folder}/environ"), "RANK=0\0")?;
        self.file(&format!("{folder}/cgroup"), "0::/job\n")?;
        let memory = "7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n";
        self.file(&format!("{folder}/numa_maps"), memory)?;
        for thread in 0..THREADS {
            let tid = pid + thread;
            let of_thread = format!("{folder}/task/{tid}");
            self.file(&format!("{of_thread}/stat"), &stat(tid, ppid))?;
            // A file of its own for each would take 4 KiB.
            self.linked(&format!("{of_thread}/status"), tid)?;
        }
        Ok(())
    }

    fn file(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }

    fn linked(&self, path: &str, tid: usize) -> io::Result<()> {
        let one = self.folder.join(format!("status-{}", tid / MOST_LINKS));
        if !one.exists() {
            fs::write(&one, STATUS)?;
        }
        fs::hard_link(one, self.folder.join(path))
    }
}

fn stat(pid: usize, ppid: usize) -> String {
    let cpu = pid % 96;
    format!(
        "{pid} (python3) S {ppid} 9 9 0 -1 4194304 8571 0 0 0 270 215 0 0 20 0 5 0 831 393789440 22205 \
         18446744073709551615 1 1 1 0 0 0 0 16781318 0 0 0 0 17 {cpu} 0 0 0 0 0 1 1 1 1 1 1 1 0\n"
    )
}

const STATUS: &str = "Name:\tpython3\nUid:\t0\t0\t0\t0\nNSpid:\t1\nCpus_allowed_list:\t0-95\nMems_allowed_list:\t0-1\n";
