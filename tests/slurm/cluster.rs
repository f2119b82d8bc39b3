//! A small Slurm: munged, slurmctld and a slurmd for each node, in a folder of their own. They end with the value, or with the
//! thread that started them.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::{passed_over, wait_for};

pub const NODES: [&str; 3] = ["n1", "n2", "n3"];

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_numa-audit");

pub struct Cluster {
    pub folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

/// Whether root has all these programs. If not, the test is passed over.
pub fn has(programs: &[&str]) -> bool {
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        passed_over("Slurm's daemons are started by root");
        return false;
    }
    let is_there = |program: &&&str| {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
        folders.any(|folder| Path::new(folder).join(program).exists())
    };
    match programs.iter().find(|program| !is_there(program)) {
        Some(program) => {
            passed_over(&format!("there is no {program}"));
            false
        }
        None => true,
    }
}

impl Cluster {
    /// `None` where there is no Slurm. `more` is added to slurm.conf, with FOLDER for the cluster's folder.
    pub fn start(more: &str) -> Option<Self> {
        if !has(&[
            "munged",
            "slurmctld",
            "slurmd",
            "srun",
            "scontrol",
            "setpriv",
        ]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            folder,
            daemons: Vec::new(),
        };
        // munged refuses a key that others may read.
        let key: Vec<u8> = (0..=255).cycle().take(1024).collect();
        cluster.file("munge.key", &key, 0o400);
        fs::create_dir(cluster.path("state")).unwrap();
        cluster.write_configuration(more);
        cluster.begin(
            "munged",
            &[
                "--foreground",
                "--force",
                "--key-file=FOLDER/munge.key",
                "--socket=FOLDER/munge.socket",
                "--pid-file=FOLDER/munged.pid",
                "--log-file=FOLDER/munged.own.log",
                "--seed-file=FOLDER/munge.seed",
            ],
        );
        let socket = cluster.path("munge.socket");
        wait_for("munged's socket", || fs::metadata(&socket).ok());
        cluster.begin("slurmctld", &["-D"]);
        for node in NODES {
            cluster.begin("slurmd", &["-D", "-N", node]);
        }
        cluster.wait_until("all nodes are idle", || {
            let states = cluster.output(&["sinfo", "-h", "-N", "-o", "%t"]);
            states.lines().filter(|state| *state == "idle").count() == NODES.len()
        });
        Some(cluster)
    }

    fn write_configuration(&self, more: &str) {
        // All are held open until each has another one.
        let ports: Vec<TcpListener> = (0..=NODES.len())
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |index: usize| ports[index].local_addr().unwrap().port();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim();
        let mut text = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmUser=root\nSlurmdUser=root\n\
             AuthType=auth/munge\nAuthInfo=socket=FOLDER/munge.socket\nStateSaveLocation=FOLDER/state\n\
             SlurmdSpoolDir=FOLDER/spool.%n\nSlurmctldPidFile=FOLDER/slurmctld.pid\nSlurmdPidFile=FOLDER/%n.pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/affinity\nSlurmdParameters=config_overrides\n\
             MpiDefault=none\nReturnToService=2\nSlurmdTimeout=600\n{more}\n",
            port(0)
        );
        for (index, node) in (1..).zip(NODES) {
            text += &format!(
                "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=2\n",
                port(index)
            );
        }
        text += "PartitionName=all Nodes=ALL Default=YES OverSubscribe=FORCE:4 State=UP\n";
        self.file("slurm.conf", self.filled(&text).as_bytes(), 0o644);
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.path().display())
    }

    pub fn filled(&self, text: &str) -> String {
        text.replace("FOLDER", &self.folder.path().display().to_string())
    }

    pub fn file(&self, name: &str, text: &[u8], mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    /// Starts a daemon that ends with this thread at the latest.
    fn begin(&mut self, program: &str, arguments: &[&str]) {
        let log =
            fs::File::create(self.path(&format!("{program}.{}.log", self.daemons.len()))).unwrap();
        let daemon = self
            .command("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(arguments.iter().map(|argument| self.filled(argument)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemons.push(daemon);
    }

    /// A command in the environment of this Slurm.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .env("SLURM_CONF", self.path("slurm.conf"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        let (program, arguments) = words.split_first().unwrap();
        self.command(program).args(arguments).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn output(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        wait_for(what, || {
            std::thread::sleep(Duration::from_millis(100));
            holds().then_some(())
        });
    }

    /// The value of a field of a node that has a line of its own, or begins one; empty where there is none.
    pub fn field(&self, node: &str, name: &str) -> String {
        let shown = self.output(&["scontrol", "show", "node", node]);
        let start = format!("{name}=");
        let mut values = shown
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&start));
        values.next().unwrap_or_default().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The nodes first: they end their jobs' steps.
        for daemon in self.daemons.iter_mut().rev() {
            let pid = daemon.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
            let ended = (0..100).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                daemon.try_wait().is_ok_and(|status| status.is_some())
            });
            if !ended {
                let _ = daemon.kill();
                let _ = daemon.wait();
            }
        }
    }
}
