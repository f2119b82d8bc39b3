//! contrib/kubernetes: the manifests, and that the capabilities of the pod are enough, and needed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::Value;

use crate::man::subcommands;
use crate::program::{Run, program, run};
use crate::support::{PATIENCE, PATIENT, passed_over, wait_for};

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contrib/kubernetes");
    folder.join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The value behind `key: ` in the first line that has it.
#[track_caller]
fn value<'a>(manifest: &'a str, key: &str) -> &'a str {
    let lines = manifest
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    let mut values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    values.next().unwrap_or_else(|| panic!("no {key}"))
}

/// `["a", "b"]`
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap()
}

/// The validator of .ci/run. It knows the fields of each kind, but not the words of capabilities and similar fields.
#[test]
fn the_manifests_follow_the_schemas_of_kubernetes() {
    const VALIDATOR: &str = "NUMA_AUDIT_KUBERNETES_VALIDATE";
    let Some(validator) = std::env::var_os(VALIDATOR) else {
        return passed_over("NUMA_AUDIT_KUBERNETES_VALIDATE does not name kubernetes-validate");
    };
    let validate = |path: &PathBuf| {
        let mut command = Command::new(&validator);
        let output = command.args(["--strict", "-k", "1.30"]).arg(path).output();
        output.unwrap()
    };
    for name in ["namespace.yaml", "daemonset.yaml"] {
        let output = validate(&file(name));
        assert!(output.status.success(), "{name}: {output:?}");
    }
    // It would see a wrong field.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    fs::write(
        &wrong,
        text("daemonset.yaml").replace("hostPID:", "hostPid:"),
    )
    .unwrap();
    assert!(!validate(&wrong).status.success());
}

#[test]
fn the_words_of_the_manifest_are_words_of_kubernetes() {
    let manifest = text("daemonset.yaml");
    assert_eq!(list(value(&manifest, "drop")), ["ALL"]);
    assert_eq!(
        list(value(&manifest, "add")),
        ["SYS_PTRACE", "DAC_READ_SEARCH"]
    );
    for (key, word) in [
        ("hostPID", "true"),
        ("privileged", "false"),
        ("allowPrivilegeEscalation", "false"),
        ("readOnlyRootFilesystem", "true"),
        ("automountServiceAccountToken", "false"),
        ("maxUnavailable", "10%"),
        ("protocol", "TCP"),
        ("operator", "Exists"),
        ("memory", "64Mi"),
        ("cpu", "10m"),
        ("mountPath", "/sys/fs/cgroup"),
        ("readOnly", "true"),
    ] {
        assert_eq!(value(&manifest, key), word, "{key}");
    }
    for profile in ["seccompProfile:", "appArmorProfile:"] {
        let (_, behind) = manifest.split_once(profile).unwrap();
        assert_eq!(value(behind, "type"), "Unconfined", "{profile}");
    }
    let (_, volume) = manifest.split_once("hostPath:").unwrap();
    assert_eq!(value(volume, "type"), "Directory");
    assert_eq!(value(volume, "path"), value(&manifest, "mountPath"));
    for never in [
        "nvidia.com/gpu:",
        "hostNetwork",
        "SYS_ADMIN",
        "serviceAccountName",
    ] {
        let lines = manifest
            .lines()
            .filter(|line| !line.trim().starts_with('#'));
        assert!(!lines.clone().any(|line| line.contains(never)), "{never}");
    }
}

#[test]
fn the_parts_fit_together() {
    let manifest = text("daemonset.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&manifest, "image"), format!("numa-audit:{version}"));
    let container = text("Containerfile");
    assert!(
        container.contains(&format!("release/build.sh {version}\n")),
        "{container}"
    );
    // The deb has the name that release/deb.sh gives it.
    let deb = fs::read_to_string(file("../../release/deb.sh")).unwrap();
    assert!(deb.contains("numa-audit_$version-1_"), "{deb}");
    assert!(
        container.contains("COPY numa-audit_${VERSION}-1_${TARGETARCH}.deb "),
        "{container}"
    );
    let monitor = text("podmonitor.yaml");
    assert_eq!(value(&monitor, "port"), "metrics");
    assert_eq!(value(&manifest, "containerPort"), "9101");
    assert_eq!(
        value(&monitor, "app.kubernetes.io/name"),
        value(&manifest, "app.kubernetes.io/name")
    );
    let kustomization = text("kustomization.yaml");
    for name in ["namespace.yaml", "daemonset.yaml"] {
        assert!(kustomization.contains(&format!("- {name}\n")), "{name}");
    }
}

#[test]
fn the_program_takes_the_arguments_of_the_manifest() {
    if !subcommands().contains(&"metrics".to_owned()) {
        return passed_over("this program has no metrics");
    }
    let manifest = text("daemonset.yaml");
    let arguments = list(value(&manifest, "args"));
    assert_eq!(
        arguments[2].rsplit_once(':').unwrap().1,
        value(&manifest, "containerPort")
    );
    // A wrong word behind them is the only mistake.
    let run = run(arguments
        .iter()
        .map(String::as_str)
        .chain(["--no-such-option"]));
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("'--no-such-option'"), "{}", run.stderr);
}

/// A process of another user, with a rank.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args(["env", "RANK=3", "sleep", "1000"]);
        let child = command.spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        wait_for("sleep", || {
            let comm = fs::read_to_string(&comm);
            comm.is_ok_and(|comm| comm == "sleep\n").then_some(())
        });
        Self(child)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What root with these capabilities sees of the process: what is missing, and the rank.
fn seen(stranger: &Stranger, capabilities: &[&str]) -> (Vec<String>, Value) {
    let set: String = capabilities
        .iter()
        .map(|name| format!(",+{}", name.to_lowercase()))
        .collect();
    let set = format!("-all{set}");
    let audit = program();
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--bounding-set", &set, "--inh-caps", &set]);
    command.arg(audit.get_program()).args(["--json", "--pid"]);
    command.arg(stranger.0.id().to_string());
    command.env(PATIENCE, PATIENT);
    let run: Run = command.output().unwrap().into();
    let document = run.json();
    let missing = document["incomplete"].as_array().unwrap();
    let of_process = missing.iter().filter(|gap| !gap["pid"].is_null());
    let mut missing: Vec<String> = of_process
        .map(|gap| gap["what"].as_str().unwrap().to_owned())
        .collect();
    missing.sort();
    (missing, document["processes"][0]["rank"].clone())
}

#[test]
fn both_capabilities_are_needed_and_enough() {
    // The owner of its files is the process's effective user.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return passed_over("not root");
    }
    let stranger = Stranger::new();
    let manifest = text("daemonset.yaml");
    let both = list(value(&manifest, "add"));
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    let blind = ["environ", "memory"].map(str::to_owned).to_vec();
    assert_eq!(seen(&stranger, &[]), (blind.clone(), Value::Null));
    assert_eq!(seen(&stranger, &["DAC_READ_SEARCH"]), (blind, Value::Null));
    let without_environ = vec!["environ".to_owned()];
    assert_eq!(
        seen(&stranger, &["SYS_PTRACE"]),
        (without_environ, Value::Null)
    );
    assert_eq!(seen(&stranger, &both), (Vec::new(), Value::from(3)));
}
