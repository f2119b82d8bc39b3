//! Open MPI takes the rank file, and its processes are where the plan has them.

use super::*;

/// One node of two CPUs with two GPUs.
fn two_cpus() -> Tree {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1c.0", "0\n");
    tree.nodes(&[("0-1", 0)]);
    for cpu in 0..2 {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        tree.file(&file, &format!("{cpu}\n"));
    }
    tree
}

/// Whether this process may use the CPUs 0 and 1, and each is a core.
fn has_two_cores() -> bool {
    let here = fs::read_to_string("/proc/self/status").unwrap();
    let list = here
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
    let is_core = |cpu: u32| {
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        fs::read_to_string(file).is_ok_and(|siblings| siblings.trim() == cpu.to_string())
    };
    list.is_some_and(|list| list.starts_with("0-")) && is_core(0) && is_core(1)
}

#[test]
fn processes_run_where_the_rank_file_has_them() {
    if Command::new("mpirun").arg("--version").output().is_err() {
        return passed_over("openmpi-bin is not installed");
    }
    if !has_two_cores() {
        return passed_over("the CPUs 0 and 1 are not two cores that may be used here");
    }
    let tree = two_cpus();
    for (arguments, expected) in [
        (&["--exclusive"][..], ["0 0", "1 1"]),
        (
            &["--exclusive", "--order", "cuda-visible-devices=1,0"],
            ["0 1", "1 0"],
        ),
        (&[], ["0 0-1", "1 0-1"]),
    ] {
        let run = plan_of(&tree, &[&["--format", "openmpi"], arguments].concat());
        let text = text(&run);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rankfile"), text).unwrap();
        let mut commands = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   mpirun "));
        let options = commands
            .next()
            .unwrap()
            .strip_suffix(" python train.py")
            .unwrap();
        let mut mpirun = Command::new("mpirun");
        mpirun.args(options.split(' ')).current_dir(folder.path());
        let task = "echo $OMPI_COMM_WORLD_LOCAL_RANK $(sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status)";
        mpirun.args(["sh", "-c", task]);
        mpirun
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        let output = mpirun.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            expected,
            "{options}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
