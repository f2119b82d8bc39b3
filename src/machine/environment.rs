//! What a process's environment tells of its place in a job.

use crate::machine::binding_request::BindingRequest;
use crate::machine::gpu::Gpu;

/// Variables as they were when the program was started: what a running process sets for itself is not seen, but in what it
/// starts. `None` for a variable that was not set, or whose value is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// LOCAL_RANK: among the job's processes of this machine.
    pub local_rank: Option<u32>,
    /// RANK: in the whole job.
    pub rank: Option<u32>,
    /// TORCHELASTIC_RUN_ID: the job, as torchrun calls it.
    pub run_id: Option<String>,
    /// MASTER_PORT: where the job's ranks meet. Two jobs of one machine cannot share it.
    pub master_port: Option<u32>,
    /// CUDA_VISIBLE_DEVICES: indexes, UUIDs or their beginnings, or names of MIG instances.
    pub visible_devices: Option<String>,
    /// The bindings that variables ask for.
    pub asks: Vec<BindingRequest>,
}

impl Environment {
    /// The GPU, by index, that these variables mean: a hint, and no more. A process that sees one GPU means that; of
    /// several that it sees LOCAL_RANK picks one. torchrun's --virtual-local-rank has LOCAL_RANK 0 in all, and one GPU to
    /// see in each. `None` where they say nothing, or name what is not there.
    pub fn gpu_hint(&self, gpus: &[Gpu]) -> Option<u32> {
        let local_rank = || self.local_rank.and_then(|rank| usize::try_from(rank).ok());
        let Some(visible) = &self.visible_devices else {
            return Some(gpus.get(local_rank()?)?.index);
        };
        let names: Vec<&str> = visible.split(',').map(str::trim).collect();
        let name = match names.as_slice() {
            [one] => one,
            several => several.get(local_rank()?)?,
        };
        // As CUDA counts them where they are all of one kind: by PCI address, which is NVML's order.
        if let Ok(at) = name.parse::<usize>() {
            return Some(gpus.get(at)?.index);
        }
        let is_meant = |gpu: &&Gpu| {
            let mut instances = gpu.mig_devices.iter();
            if instances.any(|device| device.uuid.as_deref() == Some(name)) {
                return true;
            }
            let uuid = gpu.uuid.as_deref().unwrap_or_default();
            // `MIG-GPU-…/1/0` is how drivers before 470 named an instance.
            let old_name = name.strip_prefix("MIG-").unwrap_or(name);
            let old_name = old_name.split('/').next().unwrap_or_default();
            old_name.starts_with("GPU-")
                && old_name.len() > "GPU-".len()
                && uuid.starts_with(old_name)
        };
        let mut meant = gpus.iter().filter(is_meant);
        let gpu = meant.next()?;
        meant.next().is_none().then_some(gpu.index)
    }

    /// What tells a rank of one job from all others: RANK with the job's name or its port.
    pub fn rank_of_job(&self) -> Option<(u32, Option<&str>, Option<u32>)> {
        let is_told = self.run_id.is_some() || self.master_port.is_some();
        is_told.then_some((self.rank?, self.run_id.as_deref(), self.master_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(visible: Option<&str>, local_rank: Option<u32>) -> Option<u32> {
        let gpus: Vec<Gpu> = [(0, "GPU-aa11"), (1, "GPU-aa22"), (2, "GPU-bb33")]
            .map(|(index, uuid)| Gpu {
                index,
                uuid: Some(uuid.into()),
                ..Gpu::default()
            })
            .into();
        let environment = Environment {
            visible_devices: visible.map(Into::into),
            local_rank,
            ..Environment::default()
        };
        environment.gpu_hint(&gpus)
    }

    #[test]
    fn means_a_gpu_by_index_or_uuid() {
        assert_eq!(hint(Some("2"), None), Some(2));
        assert_eq!(hint(Some("GPU-aa2"), None), Some(1));
        assert_eq!(hint(Some("MIG-GPU-bb33/1/0"), None), Some(2));
        // --virtual-local-rank
        assert_eq!(hint(Some("1"), Some(0)), Some(1));
        assert_eq!(hint(Some("2,0"), Some(1)), Some(0));
        assert_eq!(hint(None, Some(1)), Some(1));
    }

    #[test]
    fn says_nothing_rather_than_to_guess() {
        for (visible, local_rank) in [
            (None, None),
            (None, Some(3)),
            (Some(""), Some(0)),
            (Some("0,1"), None),
            (Some("0,1"), Some(2)),
            (Some("GPU-aa"), None),
            (Some("GPU-"), None),
            (Some("NoDevFiles"), Some(0)),
            (Some("7"), None),
            (Some("-1"), None),
        ] {
            assert_eq!(
                hint(visible, local_rank),
                None,
                "{visible:?} {local_rank:?}"
            );
        }
    }
}
