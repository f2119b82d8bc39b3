//! The container, Kubernetes pod and Slurm job of a process, from its control groups.

use crate::machine::ControlGroup;

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
        // 32 digits in five parts; for a static pod, a digest of 32 digits.
        let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
        let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
        (digits == 32 && digits + dashes == uid.len()).then_some(uid)
    });
    uids.next()
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
