//! For whom a process runs, from the paths of its control groups.

/// The container: the 64 hexadecimal digits that Docker, containerd, CRI-O and Podman name a group by,
/// alone or in `docker-….scope` and its kin.
pub fn container(cgroups: &[String]) -> Option<String> {
    let names = cgroups.iter().flat_map(|path| path.rsplit('/'));
    let mut ids = names.filter_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = name.rsplit('-').next()?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    });
    ids.next().map(str::to_owned)
}

/// The Slurm job: `job_N` below Slurm's own group.
pub fn slurm_job(cgroups: &[String]) -> Option<String> {
    let slurm = cgroups.iter().filter(|path| path.contains("slurm"));
    let mut numbers = slurm
        .flat_map(|path| path.split('/'))
        .filter_map(|name| name.strip_prefix("job_"))
        .filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_runtimes_ways_to_name_a_group() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod12.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(
                container(std::slice::from_ref(&path)),
                Some(id.clone()),
                "{path}"
            );
        }
        assert_eq!(container(&["/user.slice/session-3.scope".into()]), None);
    }

    #[test]
    fn reads_slurms_groups() {
        for path in [
            "/slurm/uid_1000/job_4711/step_0/task_0",
            "/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0",
        ] {
            assert_eq!(slurm_job(&[path.into()]).as_deref(), Some("4711"));
        }
        assert_eq!(slurm_job(&["/user/job_1".into()]), None);
    }
}
