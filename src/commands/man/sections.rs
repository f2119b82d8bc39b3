//! The sections of the manual pages that are written by hand.

use Entry::{Term, Text};

/// A section of a page.
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) entries: &'static [Entry],
}

/// A part of a section.
pub(super) enum Entry {
    /// A paragraph.
    Text(&'static str),
    /// A term, such as a variable or a command line, and what it means.
    Term(&'static str, &'static str),
}

/// Programs, with the sections of their pages, that show a part of what this one shows.
pub(super) const OTHER_PROGRAMS: &[(&str, u8)] = &[
    ("hwloc-ls", 1),
    ("nvidia-smi", 1),
    ("taskset", 1),
    ("migratepages", 8),
    ("numactl", 8),
    ("numastat", 8),
    ("numa", 7),
];

/// The sections of the page of this subcommand, of the main page without one.
pub(super) fn of(subcommand: Option<&str>) -> &'static [Section] {
    match subcommand {
        None => MAIN,
        Some("audit") => AUDIT,
        Some("topology") => TOPOLOGY,
        Some("diff") => DIFF,
        Some("metrics") => METRICS,
        Some("watch") => WATCH,
        Some("show") => SHOW,
        Some("fleet") => FLEET,
        Some("plan") => PLAN,
        Some("schema") => SCHEMA,
        Some("record") => RECORD,
        Some("explain") => EXPLAIN,
        Some("man") => MAN,
        Some("completions") => COMPLETIONS,
        Some(_) => &[],
    }
}

/// The subcommands to which the page of this one refers.
pub(super) fn related(subcommand: &str) -> &'static [&'static str] {
    match subcommand {
        "audit" => &["diff", "explain", "record", "rules", "topology", "watch"],
        "topology" => &["audit", "plan"],
        "plan" => &["audit", "diff", "schema", "topology"],
        "diff" => &["audit", "record", "show"],
        "show" => &["audit", "diff", "schema"],
        "metrics" => &["audit", "explain", "rules"],
        "watch" => &["audit", "explain", "record"],
        "fleet" => &["audit", "record", "schema", "show", "topology"],
        "schema" => &["audit", "fleet", "plan", "show"],
        "record" => &["audit", "diff"],
        "rules" => &["explain"],
        "explain" => &["rules"],
        _ => &[],
    }
}

const MAIN: &[Section] = &[
    Section {
        heading: "ENVIRONMENT",
        entries: &[
            Term(
                "NO_COLOR",
                "If it is set and not empty, --color auto prints without colour.",
            ),
            Term("TERM", "If it is dumb, --color auto prints without colour."),
            Term(
                "COLUMNS",
                "The width of tables where standard output is not a terminal. Without it tables are 100 columns wide.",
            ),
        ],
    },
    Section {
        heading: "FILES",
        entries: &[
            Text(
                "All of these are only read. Files of another user's processes need root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.",
            ),
            Term(
                "/proc/PID/{stat,status,cmdline,cgroup,fd,task,environ}",
                "What each process is, and on which CPUs its threads run and may run. Of environ only RANK, CUDA_VISIBLE_DEVICES and similar variables are used.",
            ),
            Term(
                "/proc/PID/{maps,numa_maps,pagemap}",
                "Where its memory is, and its memory policy.",
            ),
            Term(
                "/sys/devices/system/{node,cpu}",
                "NUMA nodes, their CPUs, memory and distances.",
            ),
            Term(
                "/sys/bus/pci/devices",
                "GPUs and other devices, and the node that each is attached to.",
            ),
            Term(
                "/sys/fs/cgroup",
                "The CPUs and nodes that a control group leaves to its processes.",
            ),
            Term(
                "libnvidia-ml.so.1",
                "The library of the NVIDIA driver, if there is one (see --nvml-lib). A process of its own loads it.",
            ),
        ],
    },
    Section {
        heading: "EXAMPLES",
        entries: &[
            Term("numa-audit", "Audit this machine."),
            Term(
                "numa-audit --remedies",
                "Print the fixes as a commented script, without running it.",
            ),
            Term(
                "numa-audit --for 10s",
                "Observe for a while: where CPU time was spent, and which threads moved between nodes.",
            ),
            Term(
                "numa-audit --pid 4711 4712",
                "Audit these processes and their descendants, with or without a GPU.",
            ),
            Term(
                "numa-audit --json > before.json; numa-audit diff before.json",
                "Save an audit, and compare it later with the machine as it is then.",
            ),
            Term(
                "numa-audit record box.tar.gz; numa-audit --snapshot box.tar.gz",
                "Record what an audit reads, and audit it elsewhere.",
            ),
        ],
    },
];

const AUDIT: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[Term(
        "numa-audit audit --fail-on at-risk",
        "The same as numa-audit --fail-on at-risk: exit with 1 if a process is only at risk, too.",
    )],
}];

const TOPOLOGY: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term(
            "numa-audit topology --json > golden.json",
            "On a good machine: save its map.",
        ),
        Term(
            "numa-audit topology --expect golden.json",
            "On the others: exit with 1 if they differ from it.",
        ),
    ],
}];

const DIFF: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term(
            "numa-audit diff before.json",
            "Compare a saved audit with this machine as it is now.",
        ),
        Term(
            "numa-audit diff monday.tar.gz tuesday.tar.gz",
            "Compare two recordings.",
        ),
    ],
}];

const METRICS: &[Section] = &[
    Section {
        heading: "METRICS",
        entries: &[
            Text(
                "All are gauges. A value that is unknown has no series. PIDs, commands, users and hosts are never labels.",
            ),
            Term(
                "numa_audit_processes{gpu,role,verdict}",
                "Trainers and workers of each GPU, by verdict; gpu is unknown for those whose GPU is not known. Where not all processes of a GPU are known, a verdict that none has is left out.",
            ),
            Term(
                "numa_audit_memory_bytes{gpu,place}, numa_audit_pinned_bytes{gpu,place}",
                "Their working memory, and what of it is pinned. A place is local, near (another node of the GPU's socket) or remote.",
            ),
            Term(
                "numa_audit_threads_astray{gpu}",
                "Their threads that ran off the GPU's local nodes.",
            ),
            Term(
                "numa_audit_cpu_time_ratio{gpu,place}",
                "With --for: the share of their CPU time that was spent there.",
            ),
            Term(
                "numa_audit_findings{rule,severity}",
                "Findings of each rule. numa-audit rules lists the rules.",
            ),
            Term(
                "numa_audit_gpu_info{gpu,uuid,pci_bus_id,name,home_nodes,home_source}",
                "Always 1: what each GPU is, and the nodes that it is attached to.",
            ),
            Term(
                "numa_audit_complete, numa_audit_gaps{what}",
                "Whether everything that uses a GPU could be judged, and how many facts of each kind could not be learnt.",
            ),
            Term(
                "numa_audit_last_run_timestamp_seconds, numa_audit_last_run_duration_seconds, numa_audit_build_info{version}",
                "When the machine was looked at, how long that took (not of a recording), and by which version.",
            ),
            Text(
                "With --by job the metrics with a GPU have the label job. Where Prometheus has a label of that name itself, it calls this one exported_job, unless honor_labels is set.",
            ),
        ],
    },
    Section {
        heading: "EXAMPLES",
        entries: &[
            Term("numa-audit metrics", "Print the metrics of one audit."),
            Term(
                "numa-audit metrics --every 60s --output /var/lib/prometheus/node-exporter/numa_audit.prom",
                "Write them every minute to the folder of node_exporter's textfile collector (that of Debian).",
            ),
            Term(
                "numa-audit metrics --listen 9101 --every 5m",
                "Serve them at http://127.0.0.1:9101/metrics, audited every five minutes.",
            ),
            Term(
                "numa-audit metrics --listen 10.0.0.7:9101 --for 10s",
                "Serve them to other machines, each time after an observation of ten seconds.",
            ),
        ],
    },
];

const WATCH: &[Section] = &[
    Section {
        heading: "SCREEN",
        entries: &[
            Text(
                "At the top are the result in one sentence, the counts of the verdicts, and a line for each NUMA node with its GPUs, the CPU time that the processes used there, and their memory, apart for processes that should have it there and for others. Below are the rows of the audit, then the findings, the worst first. The line above the last one has the latest change.",
            ),
            Term(
                "CPU",
                "CPU time since the last audit, in percent of one CPU. CPU NODE has the nodes where it was used.",
            ),
            Term(
                "MOVES",
                "How often threads were seen on another node than before. They are looked at up to four times a second, so they may have moved more often.",
            ),
            Term(
                "*",
                "Something changed in this row. The cell is underlined for ten seconds.",
            ),
        ],
    },
    Section {
        heading: "KEYS",
        entries: &[
            Term("arrows, j, k, PgUp, PgDn, Home, End", "Move."),
            Term(
                "Enter",
                "Open a process with its threads, its memory by node and kind and its findings; or a finding with its explanation, its evidence and its commands. Left and right open the previous and the next one; Esc closes.",
            ),
            Term("Tab", "Change between processes and findings."),
            Term("/", "Show only processes that contain a text."),
            Term(
                "s, r",
                "Choose the column to sort by; sort the other way round.",
            ),
            Term("a", "A row for each process, or one for equal workers."),
            Term("c", "All changes since the start."),
            Term("p, space", "Pause: no audits until it is pressed again."),
            Term("Ctrl-L, Ctrl-Z", "Draw the whole screen again; suspend."),
            Term("?, h", "Help."),
            Term("q, Esc, Ctrl-C", "End."),
        ],
    },
    Section {
        heading: "ENVIRONMENT",
        entries: &[
            Term(
                "LC_ALL, LC_CTYPE, LANG",
                "Where the first of them that is set does not name UTF-8, the screen has only the letters of ASCII.",
            ),
            Term(
                "NO_COLOR",
                "If it is set and not empty, --color auto shows bold and underlined text instead of colours.",
            ),
        ],
    },
    Section {
        heading: "EXAMPLES",
        entries: &[
            Term("numa-audit watch", "Watch this machine."),
            Term(
                "numa-audit watch --every 5s --job self",
                "Watch the job that this shell runs in.",
            ),
            Term(
                "numa-audit watch --snapshot box.tar.gz",
                "Look at a recording.",
            ),
        ],
    },
];

const SHOW: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[Term(
        "ssh box numa-audit --json | numa-audit show -",
        "Audit another machine, and print the table here.",
    )],
}];

const FLEET: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term(
            "srun -N16 --ntasks-per-node=1 -o 'DIR/%t.json' numa-audit --json; numa-audit fleet DIR",
            "Slurm: a file for each node.",
        ),
        Term(
            "srun -l -N16 --ntasks-per-node=1 numa-audit --json | numa-audit fleet -",
            "The same through a pipe. Without -l the lines of the nodes are mixed.",
        ),
        Term(
            "pdsh -w 'node[01-16]' numa-audit --json | numa-audit fleet --hosts 'node[01-16]' -",
            "pdsh; a node that does not answer is missing.",
        ),
        Term(
            "for host in a b; do ssh $host numa-audit --json; done | numa-audit fleet --hosts a,b -",
            "ssh, one host after the other.",
        ),
        Term(
            "numa-audit fleet --expect golden.json DIR",
            "Compare every machine with a saved map too.",
        ),
    ],
}];

const PLAN: &[Section] = &[
    Section {
        heading: "THE PLAN",
        entries: &[
            Text(
                "Each rank has a GPU, and runs on the CPUs of the GPU's local nodes: the nodes that it is attached to or, where these have no CPUs, the nearest. With --exclusive the cores of a node are dealt to its ranks, whole and in equal parts; the lower GPUs get what is left over. Its loaders may use the same CPUs or, with --exclusive, all but the rank's first core, if there is a CPU for each loader then.",
            ),
            Text(
                "CPUs that are isolated from the scheduler, reserved with --reserve or outside of the cpuset, the allocation or the affinity of this command are left alone. A recording does not have that affinity.",
            ),
            Text(
                "Nothing is guessed. Where the local node of one GPU is unknown, or has no CPU or memory that may be used, there is no plan. Notes say what does not fit, such as more busy processes than CPUs.",
            ),
        ],
    },
    Section {
        heading: "FORMATS",
        entries: &[
            Text(
                "Each is made of the same plan. One that cannot express it, such as an option of a launcher that would bind otherwise, says why and prints nothing (exit status 1); the wrapper of --format sh always can.",
            ),
            Term("table, json", "For people, and for --expect."),
            Term(
                "sh, numactl, env, python",
                "A wrapper for each rank of any launcher; a script that starts all ranks of one machine; variables; functions for the script and its loaders. The first two need numactl.",
            ),
            Term(
                "torchrun, slurm, openmpi, accelerate",
                "The options of these launchers: --numa-binding of PyTorch 2.9 and later, masks for srun with the lines of gres.conf, a rank file for Open MPI 4, --enable_cpu_affinity of accelerate. All but those of Slurm bind CPUs only.",
            ),
            Term(
                "deepspeed, vllm, sglang, kubernetes",
                "Written after the documentation and the sources of these programs, and not tried with them.",
            ),
        ],
    },
    Section {
        heading: "EXAMPLES",
        entries: &[
            Term(
                "numa-audit plan --workers 8",
                "Where the ranks of a job with one rank for each GPU should run, each with 8 loaders.",
            ),
            Term(
                "numa-audit plan --exclusive --format sh > bind.sh; chmod +x bind.sh; torchrun --nproc-per-node=8 --no-python ./bind.sh python train.py",
                "Give each rank cores of its own.",
            ),
            Term(
                "numa-audit plan --gpus 0,2 --reserve 0-1 --format slurm",
                "Options for srun, for two GPUs; CPUs 0 and 1 are left to the system.",
            ),
            Term(
                "numa-audit plan --format env --dir /etc/train; systemd-run -p EnvironmentFile=/etc/train/rank0.env ...",
                "A file of variables for each rank.",
            ),
        ],
    },
];

const SCHEMA: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[Term(
        "numa-audit schema > numa-audit.schema.json",
        "Save the schema for a program that checks documents.",
    )],
}];

const RECORD: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term("numa-audit record box.tar.gz", "Record this machine."),
        Term(
            "numa-audit record --redact box.tar.gz --pid 4711",
            "Record one process and its descendants, without command lines and names.",
        ),
    ],
}];

const EXPLAIN: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[Term(
        "numa-audit explain cpu-remote",
        "Explain the rule of a finding that an audit printed.",
    )],
}];

const MAN: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term(
            "numa-audit man diff | man -l -",
            "Show the page of the subcommand diff.",
        ),
        Term(
            "numa-audit man --dir ~/.local/share/man/man1",
            "Install all pages for oneself; then man numa-audit finds them.",
        ),
    ],
}];

const COMPLETIONS: &[Section] = &[Section {
    heading: "EXAMPLES",
    entries: &[
        Term(
            "numa-audit completions bash > ~/.local/share/bash-completion/completions/numa-audit",
            "Install them for oneself in bash, where the package bash-completion loads them.",
        ),
        Term(
            "numa-audit completions zsh > DIR/_numa-audit",
            "Install them in zsh; DIR is a folder of $fpath.",
        ),
        Term(
            "numa-audit completions fish > ~/.config/fish/completions/numa-audit.fish",
            "Install them for oneself in fish.",
        ),
    ],
}];
