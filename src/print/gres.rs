//! Slurm's gres.conf for the GPUs of a machine.

use std::fmt::Write;

use crate::document::{Document, GpuEntry};
use crate::print::harmless;
use crate::units::{CpuSet, ranges};

/// The file. `nodes`: the names for NodeName=, empty for the file of this node alone. Of a GPU of which something is unknown
/// there is a comment instead of a line.
pub(crate) fn gres(document: &Document, nodes: &str) -> String {
    let mut out = head(document);
    let prefix = match nodes {
        "" => String::new(),
        nodes => format!("NodeName={nodes} "),
    };
    let mut types: Vec<(Option<String>, usize)> = Vec::new();
    for gpu in &document.topology.gpus {
        match entry(gpu, document) {
            Ok(text) => {
                let kind = kind(gpu);
                let name = kind.as_ref().map(|kind| format!("Type={kind} "));
                let name = name.unwrap_or_default();
                let _ = writeln!(out, "{prefix}Name=gpu {name}{text}");
                match types.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, count)) => *count += 1,
                    None => types.push((kind, 1)),
                }
            }
            Err(why) => {
                let _ = writeln!(out, "# GPU {}{}: {why}", gpu.index, name(gpu));
            }
        }
    }
    if document.topology.gpus.is_empty() {
        out += "# No GPU is visible here.\n";
    }
    let counts = types.iter().map(|(kind, count)| match kind {
        Some(kind) => format!("gpu:{kind}:{count}"),
        None => format!("gpu:{count}"),
    });
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        let counts = counts.join(",");
        let _ = writeln!(
            out,
            "# In slurm.conf: GresTypes=gpu, and on the node's line Gres={counts}"
        );
    }
    out
}

/// What the numbers mean, and what they assume.
fn head(document: &Document) -> String {
    let host = document.host.hostname.as_deref();
    let host = host.map_or(String::new(), |host| format!(" for {}", harmless(host)));
    let mut out = format!("# gres.conf{host}, made by numa-audit topology --gres\n");
    let cores = &document.topology.cores;
    if cores.is_empty() {
        return out;
    }
    let mut sockets: Vec<(u32, usize)> = Vec::new();
    for core in cores {
        match sockets
            .iter_mut()
            .find(|(package, _)| *package == core.package)
        {
            Some((_, count)) => *count += 1,
            None => sockets.push((core.package, 1)),
        }
    }
    let _ = writeln!(
        out,
        "# Cores= are logical numbers, as of lstopo -l: {} cores, in the order of their {} socket{}.",
        cores.len(),
        sockets.len(),
        if sockets.len() == 1 { "" } else { "s" }
    );
    out += "# Assumed: slurm.conf has the sockets and cores of `slurmd -C`, or NUMA nodes as sockets \
            (numa_node_as_socket).\n# With l3cache_as_socket compare with lstopo -l.\n";
    if sockets.iter().any(|(_, count)| *count != sockets[0].1) {
        out += "# The sockets have different numbers of cores, which slurm.conf cannot describe: check Cores=.\n";
    }
    out
}

/// `File=/dev/nvidia0 Cores=0-3`, or why there is none.
fn entry(gpu: &GpuEntry, document: &Document) -> Result<String, String> {
    if !gpu.mig_devices.is_empty() {
        return Err("it has MIG devices, which AutoDetect=nvml describes".to_owned());
    }
    if !gpu.partitions.is_empty() {
        return Err("it has partitions, which AutoDetect=rsmi describes".to_owned());
    }
    let file = gpu.device_file.as_deref().filter(|file| is_word(file));
    let file = file.ok_or("its device file is unknown")?;
    if gpu.local_nodes.is_empty() {
        return Err("its NUMA node is unknown (--gpu-node sets it)".to_owned());
    }
    let cores = cores(gpu, document)?;
    Ok(format!("File={file} Cores={cores}"))
}

/// The numbers of the cores of its local nodes.
fn cores(gpu: &GpuEntry, document: &Document) -> Result<String, String> {
    let all = &document.topology.cores;
    if all.is_empty() {
        return Err("the cores of this machine are unknown".to_owned());
    }
    let nodes = document.topology.nodes.iter();
    let local = nodes.filter(|node| gpu.local_nodes.contains(&node.id));
    let local: CpuSet = local
        .filter_map(|node| node.cpus.as_ref())
        .flat_map(CpuSet::iter)
        .collect();
    let numbered = (0..).zip(all);
    let is_local = |core: &CpuSet| core.iter().all(|cpu| local.contains(cpu));
    let cores = numbered.filter(|(_, core)| !core.cpus.is_empty() && is_local(&core.cpus));
    let cores = ranges(cores.map(|(number, _)| number));
    match cores.is_empty() {
        true => Err("no core is local to it".to_owned()),
        false => Ok(cores),
    }
}

/// The name as AutoDetect writes it: `nvidia_a100-sxm4-40gb`. `None` where it is unknown.
fn kind(gpu: &GpuEntry) -> Option<String> {
    let name = gpu.name.as_deref()?.to_ascii_lowercase();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let letters = name.trim().chars();
    let kind: String = letters
        .map(|letter| if letter == ' ' { '_' } else { letter })
        .filter(|letter| is_of_name(*letter))
        .collect();
    (!kind.is_empty()).then_some(kind)
}

/// ` (NVIDIA A100, 0000:10:1c.0)`
fn name(gpu: &GpuEntry) -> String {
    let name = gpu.name.as_deref().map(harmless);
    let address = gpu.pci_bus_id.map(|address| address.to_string());
    let words: Vec<String> = name.into_iter().chain(address).collect();
    match words.is_empty() {
        true => String::new(),
        false => format!(" ({})", words.join(", ")),
    }
}

/// Whether a path is one word of a line of Slurm.
fn is_word(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
}
