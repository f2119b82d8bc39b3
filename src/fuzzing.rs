//! What the fuzz targets call: one function for each, which parses its input and asserts what must hold. So that the
//! parsers need not be public, this is the only door for them, and only with the feature `fuzzing`.

#![allow(clippy::expect_used, missing_docs)]

mod machine;

pub use machine::{archive, tree};

use clap::ValueEnum;

use crate::compare;
use crate::document::{self, Document, FleetSource};
use crate::jobs::binding_requests::{kept_by_redaction as kept_request, parse_binding_requests};
use crate::jobs::gpu_users::nvidia::gpu_of_environment;
use crate::jobs::known_programs::{
    is_forkserver, is_job_boundary, is_worker_program, kept_by_redaction, task,
};
use crate::jobs::scheduler::{container, pod, slurm_job};
use crate::machine::Memory;
use crate::observe::Item;
use crate::observe::documents::read_stream;
use crate::observe::gpu::fdinfo::parse_fdinfo;
use crate::observe::gpu::kfd::{parse_location, parse_number, parse_render_minor};
use crate::observe::gpu::nvidia::{parse_information, parse_numa_status};
use crate::observe::gpu::nvml::parse_nvml;
use crate::observe::memory::maps::parse_mapping;
use crate::observe::memory::mountinfo::parse_huge_mount;
use crate::observe::memory::numa_stat::parse_numa_stat;
use crate::observe::memory::{NumaMaps, redact_line};
use crate::observe::nodes::{parse_distances, parse_node_meminfo};
use crate::observe::pci::{parse_hex, parse_numa_node};
use crate::observe::process::cmdline::{LONGEST_COMMAND, parse_command};
use crate::observe::process::environ::parse_environment;
use crate::observe::process::fd::{is_gpu_file, parse_driver_file, parse_drm_file, parse_pipe};
use crate::observe::process::pod_names::parse_pod_folder;
use crate::observe::process::{parse_cgroup, parse_stat, parse_status, parse_variables};
use crate::observe::root::parse_manifest;
use crate::observe::topology_file::parse_topology_file;
use crate::observe::watch::counters::{NUMASTAT, VMSTAT, counted_between, parse_counters};
use crate::observe::watch::sched::parse_pages_migrated;
use crate::plan::{GpuOrder, PlanRequest, plan, ranks_in_order};
use crate::print::picture::map::BoxStyle;
use crate::print::plan::{PlanFormat, text as print_plan};
use crate::print::{Terminal, harmless};
use crate::print::{
    csv, diff, diff_json, fleet as many, html, json, picture, remedies, table, topology,
};
use crate::units::{
    Bytes, NodeId, fold_hosts, parse_cpu_list, parse_cpu_mask, parse_host_list, parse_node_list,
};

const TERMINAL: Terminal = Terminal {
    width: 80,
    color: false,
};

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

/// The bindings that a command line and an environment ask for.
pub fn binding_requests(bytes: &[u8]) {
    let command = parse_command(bytes, LONGEST_COMMAND);
    let _ = parse_binding_requests(&command);
    let kept: Vec<&str> = command
        .iter()
        .filter_map(|word| kept_request(word))
        .collect();
    // Redaction changes nothing in a redacted recording.
    assert!(kept.iter().all(|word| kept_request(word) == Some(word)));
    let _ = parse_environment(bytes);
}

/// `/proc/PID/cgroup`, and what the groups' names show of a container, a pod and a job.
pub fn cgroup(bytes: &[u8]) {
    if let Ok(groups) = parse_cgroup(bytes) {
        let _ = (container(&groups), pod(&groups), slurm_job(&groups));
    }
    let _ = parse_pod_folder(&String::from_utf8_lossy(bytes));
}

/// `/proc/vmstat` and a node's `numastat`.
pub fn counters(bytes: &[u8]) {
    let (before, after) = bytes.split_at(bytes.len() / 2);
    for names in [NUMASTAT, VMSTAT] {
        if let (Ok(before), Ok(after)) =
            (parse_counters(before, names), parse_counters(after, names))
        {
            let between = counted_between(&before, &after);
            assert!(between.iter().all(|(name, count)| count <= &after[name]));
        }
    }
}

/// `/proc/PID/fdinfo/N` of a DRM file.
pub fn drm(bytes: &[u8]) {
    let _ = parse_fdinfo(bytes);
}

/// The target of `/proc/PID/fd/N`.
pub fn fd(target: &str) {
    let is_one = parse_driver_file(target).is_some() || parse_drm_file(target).is_some();
    assert!(!is_one || is_gpu_file(target));
    assert!(!is_gpu_file(target) || target.starts_with("/dev/"));
    let _ = parse_pipe(target);
}

/// The files of AMD's KFD.
pub fn kfd(bytes: &[u8]) {
    let _ = parse_render_minor(bytes);
    if let Ok((address, _)) = parse_location(bytes) {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    let _ = parse_number::<u32>(bytes);
    let _ = parse_number::<u64>(bytes);
}

/// Lists and masks of CPUs and nodes.
pub fn list(bytes: &[u8]) {
    for cpus in [parse_cpu_list(bytes), parse_cpu_mask(bytes)] {
        let Ok(cpus) = cpus else { continue };
        let printed = format!("{cpus}\n");
        assert_eq!(parse_cpu_list(printed.as_bytes()), Ok(cpus));
    }
    let _ = parse_node_list(bytes);
}

/// `/proc/PID/maps`.
pub fn maps(bytes: &[u8]) {
    for mapping in lines(bytes).filter_map(|line| parse_mapping(line).ok()) {
        let _ = (mapping.size(), mapping.backing(), mapping.torch_maker());
    }
}

/// `/proc/self/mountinfo`, for mounts of huge pages.
pub fn mountinfo(bytes: &[u8]) {
    for line in lines(bytes) {
        let _ = parse_huge_mount(line);
    }
}

/// The files of a NUMA node and of a PCI device.
pub fn node(bytes: &[u8]) {
    let _ = parse_node_meminfo(bytes);
    let _ = parse_numa_node(bytes);
    let _ = parse_hex(bytes);
    for online in [0, 1, 2, 8] {
        let online = (0..online).map(NodeId).collect();
        if let Ok(distances) = parse_distances(bytes, &online) {
            assert_eq!(distances.len(), online.len());
        }
    }
}

/// `/proc/PID/numa_maps`, and its lines as `record --redact` leaves them.
pub fn numa_maps(bytes: &[u8]) {
    let memory = memory_of(lines(bytes));
    let redacted: Vec<Vec<u8>> = lines(bytes).map(redact_line).collect();
    if lines(bytes).all(has_one_name_at_most) {
        assert_eq!(memory_of(redacted.iter().map(Vec::as_slice)), memory);
    }
}

/// The memory up to the first line that is malformed.
fn memory_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Memory> {
    let mut maps = NumaMaps::default();
    for line in lines {
        if maps.line(line).is_err() {
            break;
        }
    }
    maps.finish()
}

/// The kernel writes one name at most, after the policy.
fn has_one_name_at_most(line: &[u8]) -> bool {
    let names = line.windows(5).filter(|word| *word == b"file=").count();
    let policy = line.splitn(3, |byte| *byte == b' ').nth(1);
    names <= 1 && policy.is_none_or(|policy| !policy.starts_with(b"file="))
}

/// A control group's `memory.numa_stat`, of both versions.
pub fn numa_stat(bytes: &[u8]) {
    let _ = parse_numa_stat(bytes, None);
    let _ = parse_numa_stat(bytes, Some(Bytes(4096)));
}

/// The files of NVIDIA's driver, and a recording's `nvml.json`.
pub fn nvidia(bytes: &[u8]) {
    let _ = parse_information(bytes);
    let _ = parse_numa_status(bytes);
    if let Ok(answer) = parse_nvml(bytes) {
        let written = serde_json::to_vec(&answer).expect("what was read can be written");
        assert_eq!(parse_nvml(&written).as_ref(), Ok(&answer));
    }
}

/// Many documents, one after the other or with labels before their lines, and a list of hosts as their first line.
pub fn fleet(bytes: &[u8]) {
    let list = lines(bytes).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    let asked = parse_host_list(&list).unwrap_or_default();
    let folded = fold_hosts(asked.iter().map(String::as_str)).join(",");
    let mut fleet = compare::Fleet::default();
    let place = FleetSource::file("fuzzed".to_owned());
    read_stream(bytes, &place, &mut |source, item| match item {
        Item::Document(document) => {
            let outcome = compare::Outcome {
                failed: source.line.is_some_and(|line| line % 2 == 0),
                complete: source.label.is_none(),
            };
            fleet.add(source, &document, outcome);
        }
        Item::Broken(why) => fleet.add_unreadable(source, why),
        Item::Recording(_) | Item::PassedOver => {}
    });
    let document = fleet.into_document(Some(&asked));
    assert!(document.missing.len() <= asked.len(), "{folded}");
    assert_harmless(&many::fleet(&document, true, &TERMINAL));
    assert_harmless(&many::fleet(&document, false, &TERMINAL));
    assert_harmless(&json::text(&document));
}

/// Two JSON documents, with a zero byte between them, that `show`, `diff` and `--expect` take.
pub fn report(bytes: &[u8]) {
    let middle = bytes.iter().position(|byte| *byte == 0);
    let (before, after) = bytes.split_at(middle.unwrap_or(bytes.len()));
    let after = after.get(1..).unwrap_or(before);
    let Ok(before) = document::read(before) else {
        return;
    };
    show(&before);
    if let Ok(after) = document::read(after) {
        let difference = compare::diff(&before, &after);
        assert_harmless(&diff_json::diff(&difference));
        assert_harmless(&diff::diff(&difference, true, &TERMINAL));
    }
}

/// Prints a document in every form. Its JSON is read back as the same document.
fn show(document: &Document) {
    assert_harmless(&table::report(document, true, &TERMINAL));
    assert_harmless(&table::report(document, false, &TERMINAL));
    assert_harmless(&topology::topology(document, BoxStyle::Lines, &TERMINAL));
    assert_harmless(&remedies::remedies(document));
    let text = json::text(document);
    assert_harmless(&text);
    let read = document::read(text.as_bytes()).expect("what is written can be read");
    assert_eq!(json::text(&read), text);
    let mut rows = Vec::new();
    csv::processes(document, &mut rows).expect("a vector takes all");
    assert_harmless(&String::from_utf8(rows).expect("text"));
    let picture = picture::file(document);
    assert_harmless(&picture);
    roxmltree::Document::parse(&picture).expect("a picture is XML");
    let page = html::audit(document, &[]);
    assert_harmless(&page);
    assert_eq!(page.matches("<script").count(), 1);
    show_plans(document);
}

/// Plans a job for the machine, in every form.
fn show_plans(document: &Document) {
    let order = GpuOrder::default();
    let gpus = ranks_in_order(document, None, &order, None).unwrap_or_default();
    for exclusive in [false, true] {
        let request = PlanRequest {
            gpus: gpus.clone(),
            workers: 2,
            exclusive,
            ..PlanRequest::default()
        };
        let Ok(plan) = plan(document, &request) else {
            continue;
        };
        for format in PlanFormat::value_variants() {
            if let Ok(text) = print_plan(&plan, document, *format, &TERMINAL) {
                assert_harmless(&text);
            }
        }
    }
}

/// What --expect takes: a plan or a document, and a machine that is compared with it.
pub fn expected(bytes: &[u8]) {
    let middle = bytes.iter().position(|byte| *byte == 0);
    let (expected, found) = bytes.split_at(middle.unwrap_or(bytes.len()));
    let Ok(expected) = document::read_expected(expected) else {
        return;
    };
    if let Ok(found) = document::read(found.get(1..).unwrap_or_default()) {
        let compared = compare::expected::compare(&expected, &found, false, false);
        for unexpected in &compared.unexpected {
            let _ = unexpected.to_string();
        }
    }
}

fn assert_harmless(text: &str) {
    let acts = |letter: char| letter != '\n' && letter.is_control();
    assert!(!text.contains(acts), "{text:?}");
}

/// `/proc/PID/task/TID/sched`.
pub fn sched(bytes: &[u8]) {
    let _ = parse_pages_migrated(bytes);
}

/// A recording's `snapshot.json`.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(manifest) = parse_manifest(bytes) {
        let written = serde_json::to_vec(&manifest).expect("what was read can be written");
        assert_eq!(parse_manifest(&written), Ok(manifest));
    }
}

/// `/proc/PID/stat`.
pub fn stat(bytes: &[u8]) {
    if let Ok(stat) = parse_stat(bytes) {
        let _ = (stat.is_dead(), stat.is_of_kernel());
    }
}

/// `/proc/PID/status`.
pub fn status(bytes: &[u8]) {
    let _ = parse_status(bytes);
}

/// Text of a process on a terminal.
pub fn terminal(text: &str) {
    let shown = harmless(text);
    assert!(!shown.contains(acts_on_terminal), "{shown:?}");
    assert_eq!(harmless(&shown), shown);
    let terminal = Terminal {
        width: 60,
        color: false,
    };
    let wrapped = terminal.wrap("  ! ", &shown, 4);
    assert!(
        wrapped
            .chars()
            .all(|letter| letter == '\n' || !acts_on_terminal(letter))
    );
}

/// Whether a character acts on a terminal or reorders its line.
fn acts_on_terminal(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{061C}' | '\u{FEFF}')
}

/// Topology files, NCCL's and hwloc's.
pub fn topology_file(text: &str) {
    if let Ok(places) = parse_topology_file(text) {
        assert!(!places.is_empty());
    }
}

/// `/proc/PID/cmdline` and `/proc/PID/environ`, and what a command line shows of a process's task.
pub fn words(bytes: &[u8]) {
    let command = parse_command(bytes, LONGEST_COMMAND);
    let name = command.first().map_or("", String::as_str);
    let _ = (task(name, &command), is_forkserver(&command));
    let _ = (
        is_job_boundary(name, Some(&command)),
        is_worker_program(name, &command),
    );
    for word in &command {
        let _ = kept_by_redaction(word, true);
    }
    let environment = parse_environment(bytes);
    let _ = (
        gpu_of_environment(&environment, &[]),
        environment.rank_of_job(),
    );
    let _ = parse_variables(bytes, ["RANK", "LOCAL_RANK"]);
}
