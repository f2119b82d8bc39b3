//! What could not be seen leaves the audit open: an answer that failed, an empty list, a link that may not be read, a GPU or a
//! process that only one source shows.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, finding, of_role, program};

/// The tree with this answer of NVML.
fn audit(tree: &Tree, gpus: &Value, arguments: &[&str]) -> Run {
    tree.file(
        "snapshot.json",
        "{\"format\": 1, \"hostname\": \"made-up\"}",
    );
    tree.file("nvml.json", &json!({ "gpus": gpus }).to_string());
    tree.command(arguments).output().unwrap().into()
}

/// A text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The facts in `incomplete` with their reasons.
fn gaps(document: &Value) -> Vec<(String, String)> {
    let gaps = document["incomplete"].as_array().unwrap().iter();
    let word = |gap: &Value, key: &str| gap[key].as_str().unwrap().to_owned();
    gaps.map(|gap| (word(gap, "what"), word(gap, "reason")))
        .collect()
}

#[track_caller]
fn has_gap(document: &Value, what: &str, reason: &str) {
    let gaps = gaps(document);
    let is_it = |(fact, why): &(String, String)| fact == what && why.contains(reason);
    assert!(gaps.iter().any(is_it), "{what}: {reason} in {gaps:#?}");
}

/// GPU 0 with a trainer, as NVML answers for it.
fn answer() -> Value {
    json!({
        "index": 0, "pci_bus_id": "00000000:10:1C.0", "uuid": "GPU-aaaa", "name": "NVIDIA A100", "minor_number": 0,
        "memory_used_bytes": 1_u64 << 30,
        "processes": [{"pid": 100, "kind": "compute", "used_memory_bytes": 1_u64 << 30}],
    })
}

fn with(fields: Value) -> Value {
    let mut answer = answer();
    for (name, value) in fields.as_object().unwrap() {
        answer[name] = value.clone();
    }
    json!([answer])
}

/// A tree with the trainer, and with the kernel module's list of GPUs.
fn with_module(gpus: &[(&str, u32)]) -> Tree {
    let tree = Tree::new();
    tree.process(&PLACED);
    for (address, minor) in gpus {
        let text = format!("Model: NVIDIA A100\nGPU UUID: GPU-{minor}\nDevice Minor: {minor}\n");
        tree.file(
            &format!("proc/driver/nvidia/gpus/{address}/information"),
            &text,
        );
    }
    tree
}

const GPU_0: (&str, u32) = ("0000:10:1c.0", 0);
const GPU_1: (&str, u32) = ("0000:90:1c.0", 1);

fn add_gpu_1(tree: &Tree) {
    for (name, text) in [
        ("class", "0x030200\n"),
        ("vendor", "0x10de\n"),
        ("numa_node", "1\n"),
    ] {
        tree.file(&format!("sys/bus/pci/devices/{}/{name}", GPU_1.0), text);
    }
}

#[test]
fn a_gpu_with_a_garbled_address_keeps_its_processes() {
    // The only GPU on the bus: its address is known nevertheless.
    let tree = with_module(&[]);
    for id in [json!("X".repeat(32)), json!(null), json!("")] {
        let document = audit(&tree, &with(json!({ "pci_bus_id": id })), &["--json"]).json();
        let gpu = &document["topology"]["gpus"][0];
        assert_eq!(gpu["pci_bus_id"], GPU_0.0, "{id}");
        assert_eq!(gpu["memory_used_bytes"], 1 << 30, "{id}");
        assert_eq!(of_role(&document, "trainer")[0]["pid"], 100, "{id}");
        assert_eq!(document["summary"]["verdict"], "ok", "{id}");
    }
    // No bus: a GPU without an address is still a GPU with users.
    std::fs::remove_dir_all(tree.folder.path().join("sys/bus")).unwrap();
    let run = audit(
        &tree,
        &with(json!({ "pci_bus_id": "X".repeat(32) })),
        &["--json"],
    );
    let document = run.json();
    assert_eq!(of_role(&document, "trainer")[0]["verdict"], "unknown");
    has_gap(&document, "PCI address of GPU 0", "XXXX");
    has_gap(&document, "home node of GPU 0", "no source");
    assert_eq!(run.code, Some(3));
}

#[test]
fn each_answer_that_failed_is_a_gap_and_costs_nothing_else() {
    let tree = with_trainer(&PLACED);
    for (field, key, what) in [
        ("uuid", "uuid", "UUID of GPU 0"),
        ("name", "name", "name of GPU 0"),
        ("minor_number", "minor_number", "minor number of GPU 0"),
        ("memory_used_bytes", "memory", "memory in use of GPU 0"),
    ] {
        let failed = json!({ field: null, "unanswered": { key: "an unknown internal error" } });
        let run = audit(&tree, &with(failed), &["--json"]);
        let document = run.json();
        has_gap(&document, what, "an unknown internal error");
        assert_eq!(of_role(&document, "trainer")[0]["verdict"], "ok", "{field}");
        assert_eq!(run.code, Some(0), "{field}: nothing is hidden by it");
    }
}

#[test]
fn the_kernel_modules_files_fill_in_what_nvml_did_not_answer() {
    let tree = with_module(&[GPU_0, GPU_1]);
    add_gpu_1(&tree);
    // Of two GPUs without an address, UUID and minor number tell which is which, whatever their order.
    let mut gpus = [answer(), answer()];
    for (gpu, (index, uuid, minor)) in gpus
        .iter_mut()
        .zip([(0, json!("GPU-1"), json!(null)), (1, json!(null), json!(0))])
    {
        gpu["pci_bus_id"] = json!("garbage");
        (gpu["index"], gpu["uuid"], gpu["minor_number"]) = (json!(index), uuid, minor);
    }
    gpus[0]["processes"] = json!([]);
    gpus[0]["memory_used_bytes"] = json!(0);
    let document = audit(&tree, &json!(gpus), &["--json"]).json();
    let listed = &document["topology"]["gpus"];
    assert_eq!(listed[0]["pci_bus_id"], GPU_1.0);
    assert_eq!(listed[1]["pci_bus_id"], GPU_0.0);
    assert_eq!(listed[1]["uuid"], "GPU-0");
    assert_eq!(of_role(&document, "trainer")[0]["gpus"], json!([1]));
    assert_eq!(gaps(&document), []);
}

#[test]
fn a_gpu_that_nvml_leaves_out_is_listed_and_its_users_are_unknown() {
    let tree = with_module(&[GPU_0, GPU_1]);
    add_gpu_1(&tree);
    let run = audit(&tree, &with(json!({})), &["--json"]);
    let document = run.json();
    let gpu = &document["topology"]["gpus"][1];
    assert_eq!(
        (&gpu["index"], &gpu["pci_bus_id"]),
        (&json!(1), &json!(GPU_1.0))
    );
    assert_eq!(gpu["processes_known"], false);
    has_gap(&document, "processes of GPU 1", "not in the list of NVML");
    let findings = document["findings"].to_string();
    assert!(!findings.contains("node-without-gpus"), "{findings}");
    assert_eq!(run.code, Some(3));
    // One that the driver was told not to use is not missed.
    let excluded = "Model: NVIDIA A100\nDevice Minor: 1\nGPU Excluded:\t Yes\n";
    tree.file("proc/driver/nvidia/gpus/0000:90:1c.0/information", excluded);
    assert_eq!(audit(&tree, &with(json!({})), &[]).code, Some(0));
}

#[test]
fn a_container_that_was_given_one_gpu_of_two_is_complete() {
    let tree = with_module(&[GPU_0]);
    add_gpu_1(&tree);
    let run = audit(&tree, &with(json!({})), &["--json"]);
    let findings = run.json()["findings"].to_string();
    assert!(!findings.contains("node-without-gpus"), "{findings}");
    assert_eq!(run.code, Some(0));
    // Without the other one on the bus, the node really has none.
    std::fs::remove_dir_all(tree.folder.path().join("sys/bus/pci/devices/0000:90:1c.0")).unwrap();
    let document = audit(&tree, &with(json!({})), &["--json"]).json();
    finding(&document, "node-without-gpus");
}

#[test]
fn a_process_with_a_gpu_that_nobody_lists_leaves_the_audit_open() {
    let tree = with_module(&[]);
    tree.process(&Process { pid: 200, ..PLACED });
    tree.open(200, &["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia7"]);
    let run = audit(&tree, &with(json!({})), &["--json"]);
    let document = run.json();
    has_gap(&document, "GPU", "no GPU of minor number 7");
    let findings = document["findings"].to_string();
    assert!(!findings.contains("node-without-gpus"), "{findings}");
    assert_eq!(run.code, Some(3));
    // Who asks for GPU 0 did not ask for that one.
    assert_eq!(
        audit(&tree, &with(json!({})), &["--gpu", "0"]).code,
        Some(0)
    );
    // Where the minor number of GPU 0 is unknown, it may be this one; two cannot.
    let unknown = with(json!({ "minor_number": null }));
    assert_eq!(audit(&tree, &unknown, &[]).code, Some(3));
    tree.process(&Process { pid: 201, ..PLACED });
    tree.open(100, &["/dev/nvidia7"]);
    std::fs::remove_dir_all(tree.folder.path().join("proc/200")).unwrap();
    assert_eq!(audit(&tree, &unknown, &[]).code, Some(0));
}

#[test]
fn an_empty_list_of_gpus_is_not_a_machine_without_gpus() {
    let tree = with_module(&[]);
    let run = audit(&tree, &json!([]), &["--json"]);
    let document = run.json();
    assert_eq!(document["topology"]["gpus"][0]["pci_bus_id"], GPU_0.0);
    has_gap(&document, "NVIDIA driver", "the NVIDIA driver lists no GPU");
    assert_eq!(run.code, Some(3));
    let tree = Tree::without_gpu();
    assert_eq!(audit(&tree, &json!([]), &[]).code, Some(3));
}

#[test]
fn no_list_and_no_memory_figure_say_nothing() {
    let tree = with_module(&[GPU_0]);
    let empty = json!({ "processes": [], "memory_used_bytes": null, "uuid": "GPU-0" });
    let run = audit(&tree, &with(empty.clone()), &["--json"]);
    let document = run.json();
    assert_eq!(document["topology"]["gpus"][0]["processes_known"], false);
    has_gap(
        &document,
        "processes of GPU 0",
        "does not report the memory in use",
    );
    assert_eq!(run.code, Some(3));
    // A user that its open files show.
    let fds: Vec<&str> = std::iter::repeat_n("/dev/nvidia0", 23).collect();
    tree.open(100, &fds);
    let run = audit(&tree, &with(empty), &["--json"]);
    assert_eq!(of_role(&run.json(), "trainer")[0]["gpu_source"], "fd");
    assert_eq!(run.code, Some(0));
    // A figure is an answer: the GPU is idle.
    let idle = json!({ "processes": [], "memory_used_bytes": 0, "uuid": "GPU-0" });
    assert_eq!(
        audit(&with_module(&[GPU_0]), &with(idle), &[]).code,
        Some(0)
    );
}

/// `stat` with a state and a number of threads.
fn stat(pid: u32, state: &str, threads: u32, cpu: u32) -> String {
    let zeros = "0 ".repeat(14);
    let after = "0 ".repeat(16);
    format!("{pid} (python3) {state} 1 {zeros} 0 {threads} 0 777 {after} {cpu} 0 0\n")
}

#[test]
fn a_trainer_whose_main_thread_has_ended_is_judged_by_the_others() {
    let tree = with_module(&[GPU_0]);
    // Its memory and files are to be found with the thread that lives.
    let folder = tree.folder.path().join("proc/100");
    std::fs::create_dir_all(folder.join("task/101")).unwrap();
    for file in ["cmdline", "environ", "numa_maps", "status"] {
        std::fs::copy(folder.join(file), folder.join("task/101").join(file)).unwrap();
        if file != "status" {
            std::fs::write(folder.join(file), "").unwrap();
        }
    }
    std::fs::create_dir_all(folder.join("fd")).unwrap();
    std::fs::create_dir_all(folder.join("task/101/fd")).unwrap();
    std::os::unix::fs::symlink("/dev/nvidia0", folder.join("task/101/fd/3")).unwrap();
    tree.file("proc/100/stat", &stat(100, "Z", 2, 3));
    tree.file("proc/100/task/100/stat", &stat(100, "Z", 2, 3));
    tree.file("proc/100/task/101/stat", &stat(101, "S", 2, 0));
    let gpu = with(json!({ "uuid": "GPU-0" }));
    let run = audit(&tree, &gpu, &["--json"]);
    let document = run.json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["verdict"], "ok", "{trainer}");
    assert_eq!(trainer["command"], "python3 train.py", "{trainer}");
    assert_eq!(gaps(&document), []);
    assert_eq!(run.code, Some(0));
    assert_eq!(audit(&tree, &gpu, &["--pid", "100"]).code, Some(0));
    // All are about to end.
    tree.file("proc/100/task/101/stat", &stat(101, "Z", 2, 0));
    let run = audit(&tree, &gpu, &["--json"]);
    has_gap(&run.json(), "process", "a zombie");
    assert_eq!(run.code, Some(3));
}

#[test]
fn a_listed_process_that_cannot_be_looked_at_is_named_with_its_gpu() {
    let tree = with_module(&[GPU_0]);
    tree.file("proc/100/stat", &stat(100, "Z", 1, 0));
    let gpu = with(json!({ "uuid": "GPU-0" }));
    let run = audit(&tree, &gpu, &["--all"]);
    let text = words(&run.stdout);
    assert!(
        text.contains("the driver lists process 100 with 1.0 GiB (a zombie"),
        "{text}"
    );
    assert!(!text.contains("no process"), "{text}");
    assert_eq!(run.code, Some(3));
    audit(&tree, &gpu, &["--pid", "100"]).fails_with(
        "process 100 cannot be read: a zombie: it has ended, and its parent has not waited for it",
    );
    // A zombie that holds no GPU is nobody's concern.
    let other = with(json!({ "uuid": "GPU-0", "processes": [], "memory_used_bytes": 0 }));
    assert_eq!(audit(&tree, &other, &[]).code, Some(0));
    std::fs::remove_dir_all(tree.folder.path().join("proc/100")).unwrap();
    let run = audit(&tree, &gpu, &["--json"]);
    let unseen = &run.json()["topology"]["gpus"][0]["unseen_processes"][0];
    assert_eq!(unseen["pid"], 100);
    assert_eq!(unseen["memory_bytes"], 1 << 30);
    assert_eq!(unseen["reason"], "there is no such process here");
    assert_eq!(run.code, Some(3));
}

#[test]
fn a_pid_of_another_namespace_is_named_with_its_gpu() {
    let tree = with_module(&[GPU_0]);
    tree.open(100, &["/dev/null"]);
    // Too little memory to be in use: the list alone says that there is a user.
    let gpu = with(json!({ "uuid": "GPU-0", "memory_used_bytes": 1 << 20 }));
    let run = audit(&tree, &gpu, &[]);
    let text = words(&run.stdout);
    assert!(
        text.contains(
            "the driver lists process 100 with 1.0 GiB (the PID is from another PID namespace)"
        ),
        "{text}"
    );
    assert_eq!(run.code, Some(3));
    // The process that has this PID here can be named nevertheless.
    let named = audit(&tree, &gpu, &["--json", "--pid", "100"]).json();
    assert_eq!(named["processes"][0]["pid"], 100);
    assert_eq!(named["processes"][0]["role"], Value::Null);
}

#[test]
fn links_that_may_not_be_read_are_not_links_that_do_not_exist() {
    let tree = with_module(&[GPU_0]);
    tree.open(100, &["/dev/null"]);
    let manifest = json!({"format": 1, "denied": ["proc/100/fd/0"]});
    tree.file("snapshot.json", &manifest.to_string());
    tree.file(
        "nvml.json",
        &json!({ "gpus": with(json!({ "uuid": "GPU-0" })) }).to_string(),
    );
    let run = Run::from(tree.command(&["--json"]).output().unwrap());
    assert_eq!(of_role(&run.json(), "trainer")[0]["pid"], 100);
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_gpu_that_was_typed_is_unknown_where_the_driver_did_not_answer() {
    let tree = Tree::without_gpu();
    tree.process(&PLACED);
    for arguments in [
        &["--gpu", "0"][..],
        &["--gpu-node", "0=0"],
        &["--gpu", "GPU-1234"],
        &["--gpu", "0000:10:1c.0"],
        &["topology", "--gpu-node", "0=0"],
    ] {
        let run = tree.audit(&[arguments, &["--json"]].concat());
        let document = run.json();
        let typed = arguments[arguments.len() - 1].split('=').next().unwrap();
        has_gap(
            &document,
            &format!("GPU {typed:?}"),
            "unknown whether it exists",
        );
        assert_eq!(run.code, Some(3), "{arguments:?}");
    }
    // A whole answer has no other GPU; but a UUID that NVML did not answer may be the one.
    let tree = with_module(&[]);
    audit(&tree, &with(json!({})), &["--gpu", "7"]).fails_with("no GPU \"7\": there are 0");
    audit(&tree, &with(json!({})), &["--gpu", "GPU-77"])
        .fails_with("no GPU \"GPU-77\": there are 0");
    let without = with(json!({ "uuid": null }));
    assert_eq!(audit(&tree, &without, &["--gpu", "GPU-77"]).code, Some(3));
}

#[test]
fn an_output_that_is_not_open_for_writing_is_an_error() {
    let tree = with_trainer(&PLACED);
    tree.audit(&[]);
    let folder = tree.folder.path().to_str().unwrap();
    let commands: &[&[&str]] = &[
        &["--snapshot", folder],
        &["--json", "--snapshot", folder],
        &["--csv", "--snapshot", folder],
        &["--remedies", "--snapshot", folder],
        &["diff", folder, folder],
        &["diff", "--json", folder, folder],
        &["topology", "--snapshot", folder],
        &["schema"],
        &["rules"],
        &["explain", "cpu-remote"],
        &["--help"],
        &["--version"],
    ];
    for arguments in commands {
        let output = |end: &str| {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" {end}")]);
            shell.arg(program().get_program()).args(*arguments);
            Run::from(shell.output().unwrap())
        };
        output(">&-").fails_with("cannot write the output: standard output is closed");
        output("1</dev/null")
            .fails_with("cannot write the output: standard output is not open for writing");
        output(">/dev/full")
            .fails_with("cannot write the output: No space left on device (os error 28)");
    }
}

#[test]
fn what_a_recording_could_not_show_is_still_unknown_in_its_replay() {
    let tree = with_module(&[GPU_0]);
    let gpus = with(json!({ "uuid": "GPU-0" }));
    tree.file("nvml.json", &json!({ "gpus": gpus }).to_string());
    let manifest = json!({"format": 1, "unlisted_gpus": {"300": "it has another GPU open"}});
    tree.file("snapshot.json", &manifest.to_string());
    let run = Run::from(tree.command(&["--json"]).output().unwrap());
    has_gap(&run.json(), "GPU", "it has another GPU open");
    assert_eq!(run.code, Some(3));
}

/// A running process whose main thread has ended.
const ENDED_MAIN_THREAD: &str = "import ctypes, threading, time
memory = bytearray(64 << 20)
threading.Thread(target=lambda: time.sleep(600)).start()
print(flush=True)
ctypes.CDLL(None).pthread_exit(None)";

#[test]
fn a_running_process_whose_main_thread_has_ended_is_read() {
    let mut command = std::process::Command::new("python3");
    command.args(["-c", ENDED_MAIN_THREAD]);
    let Ok(mut child) = command.stdout(std::process::Stdio::piped()).spawn() else {
        println!("no python3: passed over");
        return;
    };
    let pid = child.id();
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    while !stat().contains(") Z ") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let run = crate::program::run(["--json", "--pid", &pid.to_string()]);
    let kill = child.kill();
    child.wait().unwrap();
    kill.unwrap();
    let document = run.json();
    let process = &document["processes"][0];
    assert_eq!(process["pid"], pid);
    assert_eq!(process["cpu"]["threads"]["total"], 1, "{process}");
    let memory = process["memory"]["by_node_bytes"].as_object().unwrap();
    let bytes: u64 = memory.values().filter_map(Value::as_u64).sum();
    assert!(bytes > 60 << 20, "{process}");
    assert_eq!(gaps(&document), [], "{document:#}");
}
