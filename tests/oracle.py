#!/usr/bin/env python3
"""A second, independent reader of a recorded tree, to compare numa-audit's JSON report with.

    oracle.py SNAPSHOT REPORT.json    compare the report with the tree
    oracle.py --print SNAPSHOT        print this script's own reading, as JSON

SNAPSHOT is a recorded tree: a .tar.gz or a folder. REPORT.json is what numa-audit
said of it, JSON schema_version 1.

For each difference one line is printed, `PID/what: report says X, tree says Y`
(`topology/...`, `host/...` and `summary/...` for what is of no process), and at the
end `N facts compared, M differ`. The exit status is 0 when facts were compared and
none differs, else 1.

The script shares no code with numa-audit; it reads the kernel's files by itself.
Where the contract leaves a field open, the reading holds a Leeway: the answers that
are all right. It knows no topology files, and takes
GPU processes from NVML's recorded answers alone: a tree without them is refused.
"""

import argparse
import json
import os
import re
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Callable

MIB = 1024 * 1024
OFF_NODE_LIMIT_BYTES = 16 * MIB
VERDICTS_FROM_BEST = ["single-node", "ok", "at-risk", "unknown", "mismatch"]
JUDGED_ROLES = ("trainer", "worker")


# --- The recorded tree -------------------------------------------------------------


class Tree:
    """The files and links of a recorded tree, by path below its top folder."""

    def __init__(self, files, links):
        top = top_folder(files)
        self.files = below(top, files)
        self.links = below(top, links)
        self.names = {}
        for path in [*self.files, *self.links]:
            while path:
                folder, _, name = path.rpartition("/")
                self.names.setdefault(folder, set()).add(name)
                path = folder

    @staticmethod
    def open(path):
        return Tree(*(read_folder(path) if os.path.isdir(path) else read_archive(path)))

    def real(self, path):
        """The path with the links on its way followed, inside the tree."""
        for _ in range(40):
            parts = path.split("/")
            prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            link = next((p for p in prefixes if p in self.links), None)
            if link is None:
                return path
            target = os.path.join("/", os.path.dirname(link), self.links[link])
            path = os.path.normpath(target + path[len(link):]).lstrip("/")
        return path

    def bytes(self, path):
        """The file's bytes, None where there is no such file."""
        return self.files.get(self.real(path))

    def text(self, path):
        """The file's text up to the first NUL, stripped; None where there is no such file."""
        data = self.bytes(path)
        return None if data is None else utf8(data.split(b"\0")[0]).strip()

    def numbers_in(self, folder, prefix=""):
        """The numbers of the entries `prefixN` of a folder, ascending."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)")
        matches = map(pattern.fullmatch, self.names.get(self.real(folder), ()))
        return sorted(int(m[1]) for m in matches if m)


def read_archive(path):
    files, links = {}, {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = os.path.normpath(member.name)
            if member.isfile():
                files[name] = archive.extractfile(member).read()
            elif member.issym():
                links[name] = member.linkname
    return files, links


def read_folder(path):
    files, links = {}, {}
    for folder, subfolders, names in os.walk(path):
        for name in subfolders + names:
            full = os.path.join(folder, name)
            relative = os.path.relpath(full, path)
            if os.path.islink(full):
                links[relative] = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    files[relative] = file.read()
    return files, links


def top_folder(files):
    """The folder that holds snapshot.json, with its slash; "" for the root."""
    tops = [p[: -len("snapshot.json")] for p in files if re.fullmatch(r"([^/]+/)?snapshot\.json", p)]
    if not tops:
        sys.exit("no snapshot.json: not a recorded tree")
    return min(tops, key=len)


def below(top, entries):
    return {path[len(top):]: value for path, value in entries.items() if path.startswith(top)}


def utf8(data):
    return data.decode("utf-8", "replace")


# --- The kernel's text -------------------------------------------------------------


def parse_list(text):
    """A kernel list such as "0-1,4" as a set of numbers."""
    numbers = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def parse_stat(text):
    """comm and the fields from the third on, of a stat line."""
    comm = text[text.index("(") + 1 : text.rindex(")")]
    return comm, text[text.rindex(")") + 1 :].split()


def stat_field(fields, number):
    """The field with the number that proc(5) gives it; `fields` starts at the third."""
    return int(fields[number - 3])


def parse_status(text):
    pairs = (line.partition(":") for line in text.split("\n"))
    return {key: value.strip() for key, _, value in pairs}


def parse_argv(data):
    """The arguments of a cmdline file; the last terminator ends the last of them."""
    if not data:
        return []
    return [utf8(arg) for arg in data.removesuffix(b"\0").split(b"\0")]


def parse_environ(data):
    """The variables of an environ file; of a name set twice the first counts."""
    variables = {}
    for entry in (data or b"").split(b"\0"):
        name, _, value = entry.partition(b"=")
        variables.setdefault(utf8(name), utf8(value))
    return variables


def integer_or_none(text):
    return int(text) if text and re.fullmatch(r"-?[0-9]+", text) else None


@dataclass
class Mapping:
    """One line of numa_maps."""

    mode: str
    policy_nodes: list
    file: str
    huge: bool
    bytes_by_node: dict


MAPPING_LINE = re.compile(
    r"[0-9a-f]+ "
    r"(?P<mode>prefer \(many\)|weighted interleave|default|prefer|bind|interleave|local|unknown)"
    r"(=(?P<flags>[a-z|]+))?"
    r"(:(?P<nodes>[0-9,-]*))?"
    r"(?P<rest>( .*)?)"
)


def parse_numa_maps(text):
    return [parse_mapping(line) for line in text.split("\n") if line]


def parse_mapping(line):
    match = MAPPING_LINE.fullmatch(line)
    if not match:
        raise ValueError(f"no numa_maps line: {line!r}")
    words = match["rest"].split(" ")
    values = dict(word.split("=", 1) for word in words if "=" in word)
    page_size = int(values.get("kernelpagesize_kB", 0)) * 1024
    return Mapping(
        mode=match["mode"],
        policy_nodes=sorted(parse_list(match["nodes"] or "")),
        file=unescape(values["file"]) if "file" in values else None,
        huge="huge" in words,
        bytes_by_node={
            int(key[1:]): int(value) * page_size
            for key, value in values.items()
            if re.fullmatch(r"N\d+", key)
        },
    )


def unescape(name):
    """seq_path's four escapes undone; it escapes nothing else, not even the backslash."""
    escapes = {r"\011": "\t", r"\012": "\n", r"\040": " ", r"\075": "="}
    return re.sub(r"\\0(11|12|40|75)", lambda m: escapes[m[0]], name)


def memory_kind(mapping, holds_context):
    """The kind of the memory of a mapping, in a process with or without a GPU context."""
    if mapping.huge:
        return "huge"
    if mapping.file is None:
        return "anonymous"
    if mapping.file == "/dev/zero (deleted)":
        return "pinned" if holds_context else "shared"
    if re.fullmatch(r"/dev/nvidia(ctl|\d+)", mapping.file):
        return "pinned"
    if mapping.file == "/dev/nvidia-uvm":
        return "managed"
    if mapping.file.startswith(("/dev/shm/", "/memfd:", "/SYSV")):
        return "shared"
    return "file"


# --- Answers that are left open ----------------------------------------------------


@dataclass
class Leeway:
    """A field of which more than one report is right; `shown` is what --print shows."""

    shown: object
    accepts: Callable
    words: str


def one_of(*values):
    words = " or ".join(dict.fromkeys(as_json(value) for value in values))
    return Leeway(values[0], lambda reported: any(same(v, reported) for v in values), words)


def unjudged(shown=None):
    """A field that must exist; its value is not compared."""
    return Leeway(shown, lambda reported: True, "anything")


def either(first, second):
    """Two accepted readings: each field may be as in either."""
    if isinstance(first, dict) and isinstance(second, dict) and not isinstance(first, Map):
        return {key: either(first[key], second[key]) for key in first}
    if isinstance(first, Leeway):
        return first
    return first if same(first, second) else one_of(first, second)


class Map(dict):
    """A JSON object whose keys are data (nodes, kinds): a key too many is a difference."""


def node_map(values_by_node):
    return Map({str(node): values_by_node[node] for node in sorted(values_by_node)})


def shown_of(leeway):
    return leeway.shown


def as_json(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=shown_of)


def same(tree, reported):
    """Equality that distinguishes true from 1, and lets fractions differ by rounding."""
    if isinstance(tree, float):
        is_number = isinstance(reported, (int, float)) and not isinstance(reported, bool)
        return is_number and abs(tree - reported) <= 1e-9
    return as_json(tree) == as_json(reported)


# --- The machine: nodes and GPUs -------------------------------------------------------

NODES = "sys/devices/system/node"
PCI_DEVICES = "sys/bus/pci/devices"


@dataclass
class Node:
    id: int
    cpulist: str
    cpus: set
    packages: set
    memory: dict
    distances: dict


@dataclass
class Gpu:
    index: int
    pci_bus_id: str
    home_nodes: list
    home_source: str
    local_nodes: list
    local_memory_nodes: list
    own_memory_nodes: list
    information: dict
    nvml: dict


class Box:
    def __init__(self, tree):
        self.tree = tree
        self.snapshot = json.loads(tree.text("snapshot.json"))
        self.nvml = json.loads(tree.text("nvml.json") or "{}")
        if "gpus" not in self.nvml:
            sys.exit("no NVML answers in this tree: nothing to compare with")
        self.nodes = read_nodes(tree)
        self.gpus = [self.read_gpu(gpu) for gpu in sorted(self.nvml["gpus"], key=lambda g: g["index"])]

    @property
    def cpu_nodes(self):
        return [node.id for node in self.nodes.values() if node.cpus]

    @property
    def single_node(self):
        return len(self.cpu_nodes) == 1

    def cpus_of(self, node_ids):
        return set().union(*(self.nodes[node].cpus for node in node_ids if node in self.nodes))

    def node_of_cpu(self, cpu):
        return next((node.id for node in self.nodes.values() if cpu in node.cpus), None)

    def nodes_of_cpus(self, cpus):
        return [node.id for node in self.nodes.values() if node.cpus & cpus]

    def local_nodes(self, home_nodes):
        """The home nodes with CPUs, else the CPU-bearing nodes at the least distance of them."""
        return self.nearest(home_nodes, self.cpu_nodes)

    def local_memory_nodes(self, home_nodes):
        """The same of the nodes with memory. A GPU's own memory stands in for no node."""
        own = {node for gpu in self.nvml["gpus"] for node in own_memory_nodes(self.tree, normal_pci_bus_id(gpu["pci_bus_id"]))}
        with_memory = [n.id for n in self.nodes.values() if n.memory.get("MemTotal") != 0]
        if any(node in with_memory for node in home_nodes):
            return self.nearest(home_nodes, with_memory)
        if any("MemTotal" not in n.memory for n in self.nodes.values() if n.id not in own):
            return []
        return self.nearest(home_nodes, [node for node in with_memory if node not in own])

    def nearest(self, home_nodes, candidates):
        among = [node for node in home_nodes if node in candidates]
        if among or not home_nodes:
            return among
        rows = [self.nodes[home].distances for home in home_nodes if home in self.nodes]
        distance = {
            there: min(row[there] for row in rows)
            for there in candidates
            if any(rows)
        }
        return [node for node in distance if distance[node] == min(distance.values())]

    def is_near(self, node, local):
        """Whether a node shares a socket with one of the local nodes."""
        packages = [self.packages_near(n) for n in (node, *local)]
        return any(packages[0] & others for others in packages[1:])

    def packages_near(self, node):
        """The sockets of a node; of one without CPUs those of the nearest with CPUs, if they are of one socket."""
        if self.nodes[node].cpus:
            return self.nodes[node].packages
        distances = {n: self.nodes[node].distances.get(n) for n in self.cpu_nodes}
        known = [distance for distance in distances.values() if distance is not None]
        nearest = [n for n in self.cpu_nodes if known and distances[n] == min(known)]
        packages = set().union(*(self.nodes[n].packages for n in nearest))
        return packages if len(packages) == 1 else set()

    def home_of(self, pci_bus_id, nvml):
        """The home nodes of a GPU and their source: the first that names one node."""
        folder = self.tree.real(f"{PCI_DEVICES}/{pci_bus_id}")
        bridges = folder.split("/")[:-1]
        parents = ["/".join(bridges[:n]) for n in range(len(bridges), 0, -1)]
        above = [self.pci_node(path) for path in parents if re.search(r":..\..$", path)]
        near_cpus = parse_list(nvml.get("cpu_affinity") or "")
        ladder = [
            ("sysfs", self.pci_node(folder)),
            ("pci-parent", next((nodes for nodes in above if nodes), [])),
            ("nvml-memory-affinity", sorted(parse_list(nvml.get("memory_affinity") or ""))),
            ("nvml-cpu-affinity", self.nodes_of_cpus(near_cpus & self.cpus_of(self.nodes))),
            ("single-node", self.cpu_nodes),
        ]
        clear = ((nodes, source) for source, nodes in ladder if len(nodes) == 1)
        return next(clear, ([], "unknown"))

    def pci_node(self, folder):
        text = self.tree.text(f"{folder}/numa_node")
        return [int(text)] if text is not None and int(text) >= 0 else []

    def read_gpu(self, nvml):
        pci_bus_id = normal_pci_bus_id(nvml["pci_bus_id"])
        home_nodes, home_source = self.home_of(pci_bus_id, nvml)
        return Gpu(
            index=nvml["index"],
            pci_bus_id=pci_bus_id,
            home_nodes=home_nodes,
            home_source=home_source,
            local_nodes=self.local_nodes(home_nodes),
            local_memory_nodes=self.local_memory_nodes(home_nodes),
            own_memory_nodes=own_memory_nodes(self.tree, pci_bus_id),
            information=driver_information(self.tree, pci_bus_id),
            nvml=nvml,
        )

    def gpus_by_pid(self):
        """The GPUs on which each process holds a context, as NVML says."""
        gpus = {}
        for gpu in self.gpus:
            for entry in gpu.nvml["processes"] or []:
                if not (entry["kind"] == "mps" and entry["used_memory_bytes"] == 0):
                    gpus.setdefault(entry["pid"], set()).add(gpu.index)
        return {pid: sorted(indexes) for pid, indexes in gpus.items()}

    def union_over_gpus(self, indexes, attribute):
        """The node ids that the named attribute of these GPUs holds, together."""
        return sorted({n for gpu in self.gpus if gpu.index in indexes for n in getattr(gpu, attribute)})


def read_nodes(tree):
    online = tree.text(f"{NODES}/online")
    ids = tree.numbers_in(NODES, "node") if online is None else sorted(parse_list(online))
    return {id: read_node(tree, id, ids) for id in ids}


def read_node(tree, id, columns):
    folder = f"{NODES}/node{id}"
    cpulist = tree.text(f"{folder}/cpulist") or ""
    cpus = parse_list(cpulist)
    row = map(int, (tree.text(f"{folder}/distance") or "").split())
    meminfo = re.findall(r"(\w+): +(\d+) kB", tree.text(f"{folder}/meminfo") or "")
    return Node(
        id=id,
        cpulist=cpulist,
        cpus=cpus,
        packages=packages_of(tree, cpus),
        memory={name: int(kb) * 1024 for name, kb in meminfo},
        distances=dict(zip(columns, row)),
    )


def packages_of(tree, cpus):
    """The sockets of these CPUs; one that the kernel does not know (-1) is none."""
    path = "sys/devices/system/cpu/cpu{}/topology/physical_package_id"
    texts = (tree.text(path.format(cpu)) for cpu in cpus)
    return {int(text) for text in texts if text is not None and int(text) >= 0}


def normal_pci_bus_id(text):
    domain, bus, device, function = (int(part, 16) for part in re.split("[:.]", text))
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def driver_information(tree, pci_bus_id):
    """What the kernel module's file says about a GPU: NVML is not asked for that."""
    text = tree.text(f"proc/driver/nvidia/gpus/{pci_bus_id}/information") or ""
    return dict(re.findall(r"^(\w[\w ]*):[ \t]+(.*?)[ \t]*$", text, re.MULTILINE))


def own_memory_nodes(tree, pci_bus_id):
    """The node of the GPU's own memory, where the driver put it online as one."""
    text = tree.text(f"proc/driver/nvidia/gpus/{pci_bus_id}/numa_status") or ""
    fields = dict(re.findall(r"(\w+):\s+(\S+)", text))
    return [int(fields["Node"])] if fields.get("Status") == "online" else []


# --- Processes and their relations -------------------------------------


class Process:
    def __init__(self, tree, pid):
        self.tree = tree
        self.pid = pid
        self.folder = f"proc/{pid}"
        self.name, self.stat = parse_stat(tree.text(f"{self.folder}/stat"))
        self.ppid = stat_field(self.stat, 4)
        self.cmdline = tree.bytes(f"{self.folder}/cmdline")
        self.status = parse_status(tree.text(f"{self.folder}/status") or "")
        self.environ = parse_environ(tree.bytes(f"{self.folder}/environ"))

    def mappings(self):
        """The lines of numa_maps, None where it was not recorded."""
        text = self.tree.text(f"{self.folder}/numa_maps")
        return None if text is None else parse_numa_maps(text)

    def thread_texts(self, name):
        """The named file of each thread."""
        texts = (
            self.tree.text(f"{self.folder}/task/{tid}/{name}")
            for tid in self.tree.numbers_in(f"{self.folder}/task")
        )
        return [text for text in texts if text is not None]

    def thread_cpus(self):
        """The CPU on which each thread last ran."""
        return [stat_field(parse_stat(text)[1], 39) for text in self.thread_texts("stat")]

    def thread_affinities(self):
        """The CPUs on which each thread may run."""
        return [parse_list(parse_status(t)["Cpus_allowed_list"]) for t in self.thread_texts("status")]


def read_processes(tree):
    pids = [pid for pid in tree.numbers_in("proc") if tree.bytes(f"proc/{pid}/stat") is not None]
    return {pid: Process(tree, pid) for pid in pids}


@dataclass
class Family:
    """The processes with their roles; `ancestors` go from the parent up."""

    processes: dict
    contexts: dict
    ancestors: dict = field(default_factory=dict)
    roles: dict = field(default_factory=dict)

    def __post_init__(self):
        self.ancestors = {pid: self.way_up(pid) for pid in self.processes}
        trainers = [pid for pid in self.processes if pid in self.contexts]
        self.above_trainers = {above for pid in trainers for above in self.ancestors[pid]}
        self.roles = {pid: role for pid in self.processes if (role := self.role_of(pid))}

    def way_up(self, pid):
        way, above = [], self.processes[pid].ppid
        while above in self.processes and above not in way:
            way.append(above)
            above = self.processes[above].ppid
        return way

    def trainer_above(self, pid):
        return next((above for above in self.ancestors[pid] if above in self.contexts), None)

    def role_of(self, pid):
        """The process's role, None where it is not part of a GPU job."""
        if pid in self.contexts:
            return "trainer"
        is_worker = self.trainer_above(pid) is not None
        near_launcher = pid in self.above_trainers or self.processes[pid].ppid in self.above_trainers
        if (is_worker or near_launcher) and self.is_helper(pid):
            return "helper"
        if is_worker:
            return "worker"
        return "launcher" if pid in self.above_trainers else None

    def is_helper(self, pid):
        tracker = b"from multiprocessing.resource_tracker import main"
        return tracker in (self.processes[pid].cmdline or b"") or self.is_fork_server(pid)

    def is_fork_server(self, pid):
        """A fork server's children carry its command line; its parent does not."""
        process = self.processes[pid]
        parent = self.processes.get(process.ppid)
        return b"from multiprocessing.forkserver import main" in (process.cmdline or b"") and not (
            parent and parent.cmdline == process.cmdline
        )

    def attribution(self, worker):
        """The evidence that ties a worker to its trainer."""
        way = self.ancestors[worker]
        between = way[: way.index(self.trainer_above(worker))]
        return "forkserver" if any(map(self.is_fork_server, between)) else "ancestor"


# --- Verdicts ----------------------------------------------------------------------


def worst(verdicts):
    return max(verdicts, key=VERDICTS_FROM_BEST.index)


def cpu_verdict(box, local, allowed, last_node, thread_affinities):
    """The verdict on the main thread's CPUs, `allowed`, and on the other threads'."""
    if box.single_node:
        return "single-node"
    if not local or not allowed:
        return "unknown"
    home = box.cpus_of(local)
    if allowed <= home:
        strays = [cpus for cpus in thread_affinities if not cpus <= home]
        return "at-risk" if strays else "ok"
    if not allowed & home:
        return off_node_verdict(box, local, box.nodes_of_cpus(allowed))
    if last_node is None:
        return "unknown"
    return "at-risk" if last_node in local else off_node_verdict(box, local, [last_node])


def off_node_verdict(box, local, nodes):
    return "at-risk" if all(box.is_near(node, local) for node in nodes) else "mismatch"


def memory_verdict(box, local, working_bytes):
    """The verdict on working memory by node; `local` has the nodes of the GPUs' own memory too."""
    if working_bytes is None:
        return "unknown"
    if box.single_node:
        return "single-node"
    if not local:
        return "unknown"
    working = sum(working_bytes.values())
    off = {node: count for node, count in working_bytes.items() if node not in local}
    far = {node: count for node, count in off.items() if not box.is_near(node, local)}
    if not beyond_limits(sum(off.values()), working):
        return "ok"
    return "mismatch" if beyond_limits(sum(far.values()), working) else "at-risk"


def beyond_limits(part, working):
    return part * 10 > working and part > OFF_NODE_LIMIT_BYTES


# --- The reading of one process ----------------------------------------------------


def read_cpu(box, process, local, judged):
    """The "cpu" object of a process whose local nodes are `local` ([]: not known)."""
    known_cpus = box.cpus_of(box.nodes)
    affinity = process.status.get("Cpus_allowed_list")
    allowed = parse_list(affinity or "") & known_cpus
    last_node = box.node_of_cpu(stat_field(process.stat, 39))
    threads = [cpus & known_cpus for cpus in process.thread_affinities()]
    return {
        "node": last_node,
        "affinity": affinity,
        "affinity_nodes": box.nodes_of_cpus(allowed) if affinity else one_of(None, []),
        "bound": allowed <= box.cpus_of(local) if local and allowed else unjudged(),
        "verdict": cpu_verdict(box, local, allowed, last_node, threads) if judged else None,
        "threads": read_threads(box, process, local),
    }


def read_threads(box, process, local):
    nodes = [box.node_of_cpu(cpu) for cpu in process.thread_cpus()]
    return {
        "total": len(nodes),
        "by_node": node_map(Counter(node for node in nodes if node is not None)),
        "astray": sum(node not in local for node in nodes) if local else unjudged(),
    }


def read_memory(box, process, local, judged, holds_context):
    """The "memory" object of a process whose local nodes are `local` ([]: not known)."""
    mems_text = process.status.get("Mems_allowed_list")
    mems_allowed = sorted(parse_list(mems_text)) if mems_text else one_of(None, [])
    mappings = process.mappings()
    if mappings is None:
        return unread_memory(box, local, judged, mems_allowed)
    by_kind = bytes_by_kind(mappings, holds_context)
    working = sum((Counter(nodes) for kind, nodes in by_kind.items() if kind != "file"), Counter())
    task_policy = mappings[0] if mappings else None
    return {
        "node": min(working, key=lambda node: (-working[node], node)) if working else None,
        "policy": task_policy.mode if task_policy else None,
        "policy_nodes": task_policy.policy_nodes if task_policy else one_of([], None),
        "mems_allowed": mems_allowed,
        "exact": True,
        "verdict": memory_verdict(box, local, working) if judged else None,
        "by_node_bytes": node_map(working),
        "by_kind": Map({kind: node_map(nodes) for kind, nodes in sorted(by_kind.items())}),
        "local_fraction": local_fraction(working, local),
    }


def unread_memory(box, local, judged, mems_allowed):
    return {
        "node": None,
        "policy": None,
        "policy_nodes": one_of(None, []),
        "mems_allowed": mems_allowed,
        "exact": unjudged(),
        "verdict": memory_verdict(box, local, None) if judged else None,
        "by_node_bytes": None,
        "by_kind": None,
        "local_fraction": None,
    }


def bytes_by_kind(mappings, holds_context):
    """Bytes by kind and node; only kinds and nodes with pages."""
    by_kind = {}
    for mapping in mappings:
        for node, count in mapping.bytes_by_node.items():
            if count:
                by_kind.setdefault(memory_kind(mapping, holds_context), Counter())[node] += count
    return by_kind


def local_fraction(working, local):
    total = sum(working.values())
    if not local or not total:
        return None
    return sum(working.get(node, 0) for node in local) / total


def read_placement(box, family, process, gpus):
    """The facts that depend on the process's GPUs."""
    role = family.roles[process.pid]
    judged = role in JUDGED_ROLES
    local = box.union_over_gpus(gpus, "local_nodes")
    cpu = read_cpu(box, process, local, judged)
    # Pages on the memory of the process's own GPUs are not remote.
    own = box.union_over_gpus(gpus, "own_memory_nodes")
    near_memory = box.union_over_gpus(gpus, "local_memory_nodes")
    memory_local = sorted({*local, *near_memory, *own}) if local and near_memory else []
    memory = read_memory(box, process, memory_local, judged, process.pid in family.contexts)
    return {
        "gpus": gpus,
        "gpu_source": "nvml" if gpus else None,
        "home_nodes": box.union_over_gpus(gpus, "home_nodes"),
        "local_nodes": local,
        "local_memory_nodes": near_memory,
        "cpu": cpu,
        "memory": memory,
        "verdict": worst([cpu["verdict"], memory["verdict"]]) if judged else None,
    }


def read_ties(box, family, process):
    """The trainer and the GPUs of the process, and the nodes that follow."""
    pid, role = process.pid, family.roles[process.pid]
    if role == "trainer":
        ties = {"trainer_pid": one_of(pid, None), "attribution": "nvml"}
        return ties | read_placement(box, family, process, family.contexts[pid])
    trainer = family.trainer_above(pid)
    if role == "worker":
        ties = {"trainer_pid": trainer, "attribution": family.attribution(pid)}
        return ties | read_placement(box, family, process, family.contexts[trainer])
    alone = {"trainer_pid": None, "attribution": unjudged()}
    alone |= read_placement(box, family, process, [])
    if trainer is None:
        return alone
    tied = {"trainer_pid": trainer, "attribution": unjudged()}
    tied |= read_placement(box, family, process, family.contexts[trainer])
    return either(tied, alone)


def read_process(box, family, process):
    uid = next(iter(process.status.get("Uid", "").split()), None)
    return {
        "pid": process.pid,
        "ppid": process.ppid,
        "start_time_ticks": stat_field(process.stat, 22),
        "name": process.name,
        "command": None if process.cmdline is None else " ".join(parse_argv(process.cmdline)),
        "user": box.snapshot.get("users", {}).get(uid, uid),
        "role": family.roles[process.pid],
        "local_rank": integer_or_none(process.environ.get("LOCAL_RANK")),
        "rank": integer_or_none(process.environ.get("RANK")),
        "container": unjudged(),
        "job": unjudged(),
        **read_ties(box, family, process),
        "findings": unjudged([]),
    }


# --- Crowded CPUs ------------------------------------------------------------------


def put_crowds_at_risk(box, processes):
    """Trainers and workers that share a mask of too few CPUs are at risk at best, on a machine of one node too."""
    sharing = {}
    for process in processes:
        if process["role"] in JUDGED_ROLES and process["gpus"] and process["cpu"]["affinity"]:
            mask = parse_list(process["cpu"]["affinity"]) & box.cpus_of(box.nodes)
            sharing.setdefault(frozenset(mask), []).append(process)
    for mask, members in sharing.items():
        if is_crowded(box, mask, members):
            for process in members:
                process["cpu"]["verdict"] = worst([process["cpu"]["verdict"], "at-risk"])
                process["verdict"] = worst([process["verdict"], "at-risk"])


def is_crowded(box, mask, members):
    """A trainer waits for its GPU, so it may have a worker for each CPU; but it needs more than one CPU. Whole nodes are what
    binding gives."""
    if not mask or mask == box.cpus_of(box.nodes_of_cpus(mask)):
        return False
    trainers = [process for process in members if process["role"] == "trainer"]
    if trainers and len(mask) == 1:
        return True
    return len(members) > len(mask) + (1 if trainers else 0)


# --- The whole reading, in the report's layout -------------------------------------


def read_box(tree):
    box = Box(tree)
    family = Family(read_processes(tree), box.gpus_by_pid())
    processes = [read_process(box, family, family.processes[pid]) for pid in family.roles]
    put_crowds_at_risk(box, processes)
    return {
        "schema_version": 1,
        "tool": {"name": "numa-audit", "version": unjudged()},
        "host": read_host(box),
        "topology": read_topology(box),
        "processes": processes,
        "summary": read_summary(processes),
    }


def read_host(box):
    version = (box.tree.text("proc/version") or "").split()
    release = box.tree.text("proc/sys/kernel/osrelease")
    release = release.strip() if release else version[2] if len(version) > 2 else None
    return {
        "hostname": box.snapshot.get("hostname"),
        "kernel": release,
        "recorded_at": box.snapshot.get("recorded_at"),
        "source": "snapshot",
        "driver_version": box.nvml.get("driver_version"),
    }


def read_topology(box):
    return {
        "nodes": [
            {
                "id": node.id,
                "cpus": node.cpulist,
                "memory_total_bytes": node.memory.get("MemTotal"),
                "memory_free_bytes": node.memory.get("MemFree"),
                "distances": node_map(node.distances),
            }
            for node in box.nodes.values()
        ],
        "gpus": [
            {
                "index": gpu.index,
                "uuid": gpu.nvml.get("uuid") or gpu.information.get("GPU UUID"),
                "name": gpu.nvml.get("name") or gpu.information.get("Model"),
                "pci_bus_id": gpu.pci_bus_id,
                "home_nodes": gpu.home_nodes,
                "home_source": gpu.home_source,
                "local_nodes": gpu.local_nodes,
                "local_memory_nodes": gpu.local_memory_nodes,
                "own_memory_nodes": gpu.own_memory_nodes,
                "memory_total_bytes": gpu.nvml["memory_total_bytes"],
                "memory_used_bytes": gpu.nvml["memory_used_bytes"],
            }
            for gpu in box.gpus
        ],
        "devices": [read_device(box, bus_id) for bus_id in sorted(box.tree.names.get(PCI_DEVICES, ()))],
    }


def read_device(box, pci_bus_id):
    nodes = box.pci_node(f"{PCI_DEVICES}/{pci_bus_id}")
    base_class = (box.tree.text(f"{PCI_DEVICES}/{pci_bus_id}/class") or "")[:4]
    return {
        "pci_bus_id": pci_bus_id,
        "class": {"0x01": "storage", "0x02": "network"}.get(base_class, unjudged()),
        "name": unjudged(),
        "node": nodes[0] if nodes else None,
    }


def read_summary(processes):
    """Counts over the judged processes; a single-node verdict counts as ok."""
    judged = [process for process in processes if process["role"] in JUDGED_ROLES]
    verdicts = Counter(process["verdict"] for process in judged)
    return {
        "verdict": summary_verdict(verdicts),
        "processes": len(judged),
        "ok": verdicts["ok"] + verdicts["single-node"],
        "at_risk": verdicts["at-risk"],
        "mismatch": verdicts["mismatch"],
        "unknown": verdicts["unknown"],
        "local_fraction": mean_of([process["memory"]["local_fraction"] for process in judged]),
    }


def summary_verdict(verdicts):
    if not verdicts:
        return unjudged()
    worst_of_all = worst(verdicts)
    return one_of("single-node", "ok") if worst_of_all == "single-node" else worst_of_all


def mean_of(fractions):
    """Any mean of the processes' fractions: their weights are not specified."""
    known = [fraction for fraction in fractions if fraction is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    return Leeway(
        sum(known) / len(known),
        lambda r: isinstance(r, (int, float)) and low - 1e-9 <= r <= high + 1e-9,
        f"between {low} and {high}",
    )


# --- Comparing ---------------------------------------------------------------------


class Ledger:
    """Counts the facts compared and prints those that differ."""

    def __init__(self):
        self.compared = 0
        self.differing = 0

    def note(self, name, agrees, report_says, tree_says):
        self.compared += 1
        if not agrees:
            self.differing += 1
            print(f"{name}: report says {report_says}, tree says {tree_says}")

    def check(self, name, tree, reported):
        if isinstance(tree, Leeway):
            self.note(name, tree.accepts(reported), as_json(reported), tree.words)
        else:
            self.note(name, same(tree, reported), as_json(reported), as_json(tree))

    def missing(self, name, tree):
        self.note(name, False, "nothing (no such field)", as_json(tree))


def compare(ledger, name, tree, report):
    """Every field of `tree` with the field of `report` of that name."""
    if not isinstance(tree, dict):
        ledger.check(name, tree, report)
    elif not isinstance(report, dict):
        ledger.note(name, False, as_json(report), as_json(tree))
    else:
        compare_fields(ledger, name, tree, report)


def compare_fields(ledger, name, tree, report):
    for key, expected in tree.items():
        if key in report:
            compare(ledger, join(name, key), expected, report[key])
        else:
            ledger.missing(join(name, key), expected)
    if isinstance(tree, Map):
        ledger.check(f"{name} keys", sorted(tree), sorted(report))


def join(name, key):
    return f"{name}{key}" if name.endswith("/") else f"{name}.{key}"


def listed(ledger, report, *path):
    """The list of objects at this path of the report; [] and a difference where there is none."""
    found = report
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    is_list = isinstance(found, list) and all(isinstance(entry, dict) for entry in found)
    ledger.note("/".join(path), is_list, as_json(found)[:60], "a list of objects")
    return found if is_list else []


def compare_report(reading, report):
    ledger = Ledger()
    for part in ("schema_version", "tool", "host", "summary"):
        if part in report:
            compare(ledger, f"{part}/", reading[part], report[part])
        else:
            ledger.missing(part, reading[part])
    compare_topology(ledger, reading["topology"], report)
    processes = listed(ledger, report, "processes")
    compare_processes(ledger, reading["processes"], processes)
    compare_counts(ledger, report.get("summary"))
    compare_findings(ledger, processes, report)
    return ledger


def compare_topology(ledger, tree, report):
    nodes = listed(ledger, report, "topology", "nodes")
    compare_numbered(ledger, "topology/nodes", "id", tree["nodes"], nodes)
    compare_cpu_sets(ledger, tree["nodes"], nodes)
    gpus = listed(ledger, report, "topology", "gpus")
    compare_numbered(ledger, "topology/gpus", "index", tree["gpus"], gpus)
    compare_devices(ledger, tree["devices"], listed(ledger, report, "topology", "devices"))


def compare_numbered(ledger, name, key, tree, report):
    """Two lists of objects by their number; the report's must be the same and in order."""
    ledger.check(f"{name} {key}s", [entry[key] for entry in tree], [entry.get(key) for entry in report])
    by_key = {as_json(entry.get(key)): entry for entry in report}
    for entry in tree:
        if as_json(entry[key]) in by_key:
            compare(ledger, f"{name}.{entry[key]}", entry, by_key[as_json(entry[key])])


def compare_cpu_sets(ledger, tree, report):
    """The nodes' CPUs as sets: shows whether a list is wrong or only written differently."""
    texts = {node.get("id"): node.get("cpus") for node in report}
    for node in tree:
        text = texts.get(node["id"])
        is_list = isinstance(text, str) and re.fullmatch(r"[\d,-]*", text)
        reported = sorted(parse_list(text)) if is_list else None
        name = f"topology/nodes.{node['id']}.cpus as a set"
        ledger.check(name, sorted(parse_list(node["cpus"])), reported)


def compare_devices(ledger, tree, report):
    """The devices that the report lists; which ones it lists is not checked."""
    by_bus_id = {device["pci_bus_id"]: device for device in tree}
    for device in report:
        bus_id = device.get("pci_bus_id")
        if bus_id in by_bus_id:
            compare(ledger, f"topology/devices.{bus_id}", by_bus_id[bus_id], device)
        else:
            ledger.note("topology/devices", False, as_json(bus_id), "no such device")


def compare_processes(ledger, tree, report):
    pids = [process.get("pid") for process in report]
    numbers = {pid for pid in pids if isinstance(pid, int)}
    ledger.check("processes/each once and in order", sorted(numbers), pids)
    by_pid = {process.get("pid"): process for process in report}
    for process in tree:
        pid = process["pid"]
        if pid in by_pid:
            compare(ledger, f"{pid}/", process, by_pid[pid])
        else:
            ledger.note(f"{pid}/process", False, "nothing (not shown)", process["role"])
    for pid in by_pid.keys() - {process["pid"] for process in tree}:
        ledger.note(f"{pid}/process", False, by_pid[pid].get("role"), "not there, or no part of a GPU job")


def compare_counts(ledger, summary):
    """Checks that each judged process is in one of the counts."""
    summary = summary if isinstance(summary, dict) else {}
    counts = [summary.get(key) for key in ("ok", "at_risk", "mismatch", "unknown")]
    total = sum(counts) if all(isinstance(count, int) for count in counts) else None
    ledger.note(
        "summary/ok + at_risk + mismatch + unknown",
        total is not None and total == summary.get("processes"),
        f"{counts} of {summary.get('processes')}",
        "they add up to processes",
    )


def compare_findings(ledger, processes, report):
    """The shape of findings and gaps, and that findings and processes name each other."""
    pids = [process.get("pid") for process in processes]
    findings = listed(ledger, report, "findings")
    for number, finding in enumerate(findings):
        name = f"findings/{number}"
        fields = {key: unjudged() for key in ("rule", "gpu", "message", "remedy")}
        fields["severity"] = one_of("error", "warning", "info")
        fields["pids"] = list_within(pids)
        compare(ledger, name, fields, finding)
    for number, gap in enumerate(listed(ledger, report, "incomplete")):
        fields = {key: unjudged() for key in ("pid", "what", "reason")}
        compare(ledger, f"incomplete/{number}", fields, gap)
    rules = [finding.get("rule") for finding in findings]
    for process in processes:
        ledger.check(f"{process.get('pid')}/findings", list_within(rules), process.get("findings"))


def list_within(values):
    words = f"a list within {sorted(set(map(str, values)))}"
    return Leeway([], lambda r: isinstance(r, list) and all(v in values for v in r), words)


# --- The command line --------------------------------------------------------------


def parse_arguments():
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a recorded tree: .tar.gz or folder")
    parser.add_argument("report", metavar="REPORT.json", nargs="?", help="numa-audit's JSON report of it")
    parser.add_argument("--print", action="store_true", help="print the tree's own reading as JSON")
    arguments = parser.parse_args()
    if arguments.print == (arguments.report is not None):
        parser.error("give either REPORT.json or --print")
    return arguments


def main():
    arguments = parse_arguments()
    reading = read_box(Tree.open(arguments.snapshot))
    if arguments.print:
        print(json.dumps(reading, indent=1, ensure_ascii=False, default=shown_of))
        return 0
    with open(arguments.report, encoding="utf-8") as file:
        ledger = compare_report(reading, json.load(file))
    print(f"{ledger.compared} facts compared, {ledger.differing} differ")
    return 0 if ledger.compared and not ledger.differing else 1


if __name__ == "__main__":
    sys.exit(main())
