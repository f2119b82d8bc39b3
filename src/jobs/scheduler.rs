//! The container, the Kubernetes pod and the jobs of schedulers of a process, from its control groups and its environment.

use crate::machine::{ControlGroup, Environment, SchedulerJob};

/// Schedulers and the variables that name their jobs.
pub(crate) const JOB_VARIABLES: [(&str, &str); 5] = [
    ("Slurm", "SLURM_JOB_ID"),
    ("PBS", "PBS_JOBID"),
    ("LSF", "LSB_JOBID"),
    ("Flux", "FLUX_JOB_ID"),
    ("Ray", "RAY_JOB_ID"),
];

/// The values of [`JOB_VARIABLES`], in their order.
pub(crate) type JobValues<'a> = [Option<&'a [u8]>; JOB_VARIABLES.len()];

/// The jobs that variables name. Slurm's are numbers.
pub(crate) fn jobs_of_variables(values: JobValues) -> Vec<SchedulerJob> {
    /// Longer than any scheduler's name for a job.
    const LONGEST: usize = 128;
    let jobs = JOB_VARIABLES.into_iter().zip(values);
    let jobs = jobs.filter_map(|((scheduler, source), value)| {
        let value = value.filter(|value| !value.is_empty() && value.len() <= LONGEST)?;
        let is_number = value.iter().all(u8::is_ascii_digit);
        (is_number || scheduler != SLURM).then(|| SchedulerJob {
            scheduler,
            id: String::from_utf8_lossy(value).into_owned(),
            source,
        })
    });
    jobs.collect()
}

/// All jobs of schedulers that a process is in. A control group is not chosen by the process: Slurm's own counts first.
pub(crate) fn scheduler_jobs(
    groups: &[ControlGroup],
    environment: Option<&Environment>,
) -> Vec<SchedulerJob> {
    let slurm = slurm_job(groups).map(|id| SchedulerJob {
        scheduler: SLURM,
        id,
        source: "cgroup",
    });
    let has_slurm = slurm.is_some();
    let named = environment.iter().flat_map(|of| &of.scheduler_jobs);
    let named = named.filter(|job| !has_slurm || job.scheduler != SLURM);
    slurm.into_iter().chain(named.cloned()).collect()
}

/// Slurm's name.
pub(crate) const SLURM: &str = "Slurm";

/// The container's id: 64 hexadecimal digits in the group's name, alone or in `docker-….scope` and similar names, as Docker,
/// containerd, CRI-O and Podman write them.
pub(crate) fn container(groups: &[ControlGroup]) -> Option<String> {
    let names = groups.iter().flat_map(|group| group.path.rsplit('/'));
    let mut ids = names.filter_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = name.rsplit('-').next()?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    });
    ids.next().map(str::to_owned)
}

/// The UID of the Kubernetes pod: `podUID` below kubelet's group, with dashes where systemd needs underscores.
pub(crate) fn pod(groups: &[ControlGroup]) -> Option<String> {
    let kubelets = groups
        .iter()
        .filter(|group| group.path.contains("kubepods"));
    let names = kubelets.flat_map(|group| group.path.split('/'));
    let mut uids = names.filter_map(|name| {
        let name = name.strip_suffix(".slice").unwrap_or(name);
        let uid = name
            .rsplit_once("pod")
            .map(|(_, uid)| uid.replace('_', "-"))?;
        is_pod_uid(&uid).then_some(uid)
    });
    uids.next()
}

/// 32 digits in five parts; for a static pod, a digest of 32 digits.
fn is_pod_uid(uid: &str) -> bool {
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
    digits == 32 && digits + dashes == uid.len()
}

/// The pod's UID in the value of POD_UID, the usual name of the variable for it.
pub(crate) fn pod_of_variable(value: &[u8]) -> Option<String> {
    let uid = std::str::from_utf8(value).ok()?;
    is_pod_uid(uid).then(|| uid.to_owned())
}

/// The number of the Slurm job: `job_N` below Slurm's group.
pub(crate) fn slurm_job(groups: &[ControlGroup]) -> Option<String> {
    let slurm = groups.iter().filter(|group| group.path.contains("slurm"));
    let mut numbers = slurm
        .flat_map(|group| group.path.split('/'))
        .filter_map(|name| name.strip_prefix("job_"))
        .filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(path: &str) -> Vec<ControlGroup> {
        vec![ControlGroup {
            controllers: Vec::new(),
            is_v2: true,
            path: path.to_owned(),
        }]
    }

    #[test]
    fn finds_the_container_in_all_runtimes_names() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod12.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container(&group(&path)), Some(id.clone()), "{path}");
        }
        assert_eq!(container(&group("/user.slice/session-3.scope")), None);
    }

    #[test]
    fn finds_the_pod_in_kubelets_groups() {
        let uid = "2f48ee08-1f5c-4a2f-8d6c-111122223333";
        for path in [
            format!("/kubepods/burstable/pod{uid}/0123"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-01.scope",
                uid.replace('-', "_")
            ),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{}.slice",
                uid.replace('-', "_")
            ),
        ] {
            assert_eq!(pod(&group(&path)).as_deref(), Some(uid), "{path}");
        }
        assert_eq!(pod(&group(&format!("/user/pod{uid}"))), None);
        assert_eq!(pod(&group("/kubepods/burstable/podx")), None);
    }

    #[test]
    fn variables_name_jobs_of_several_schedulers() {
        let values: JobValues = [
            Some(b"99"),
            Some(b"12.server"),
            Some(b""),
            None,
            Some(b"0100"),
        ];
        let environment = Environment {
            scheduler_jobs: jobs_of_variables(values),
            ..Environment::default()
        };
        let names = |groups: &[ControlGroup]| {
            let jobs = scheduler_jobs(groups, Some(&environment)).into_iter();
            let names = jobs.map(|job| format!("{} {} ({})", job.scheduler, job.id, job.source));
            names.collect::<Vec<_>>()
        };
        let others = ["PBS 12.server (PBS_JOBID)", "Ray 0100 (RAY_JOB_ID)"];
        assert_eq!(names(&[])[0], "Slurm 99 (SLURM_JOB_ID)");
        assert_eq!(names(&[])[1..], others);
        let group = group("/slurm/uid_1000/job_4711/step_0");
        assert_eq!(names(&group)[0], "Slurm 4711 (cgroup)");
        assert_eq!(names(&group)[1..], others);
    }

    #[test]
    fn a_job_that_cannot_be_has_no_name() {
        let long = vec![b'x'; 129];
        let values: JobValues = [Some(b"9 9"), Some(&long), None, None, None];
        assert_eq!(jobs_of_variables(values), []);
        assert_eq!(pod_of_variable(b"trainer-0"), None);
        let uid = "2f48ee08-1f5c-4a2f-8d6c-111122223333";
        assert_eq!(pod_of_variable(uid.as_bytes()).as_deref(), Some(uid));
    }

    #[test]
    fn finds_the_job_in_slurms_groups() {
        for path in [
            "/slurm/uid_1000/job_4711/step_0/task_0",
            "/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0",
        ] {
            assert_eq!(slurm_job(&group(path)).as_deref(), Some("4711"));
        }
        assert_eq!(slurm_job(&group("/user/job_1")), None);
    }
}
