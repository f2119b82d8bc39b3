//! `/var/log/pods`: the names of the node's Kubernetes pods. The kubelet makes a folder `NAMESPACE_NAME_UID` for the logs of
//! each (BuildPodLogsDirectory in its pkg/kubelet/kuberuntime/helpers.go). In a container it has to be mounted.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::scheduler;
use crate::machine::Process;
use crate::observe::root::Root;

/// The names of the pods of these processes, as `NAMESPACE/NAME`, by UID. A name only adds to the UID, so it is no gap where
/// there is none.
pub(crate) fn read_pod_names(root: &Root, processes: &[Process]) -> BTreeMap<String, String> {
    let groups = processes.iter().filter_map(|of| of.groups.as_deref());
    let uids: BTreeSet<String> = groups.filter_map(scheduler::pod).collect();
    if uids.is_empty() {
        return BTreeMap::new();
    }
    let folders = root.names("var/log/pods").unwrap_or_default();
    let names = folders.iter().filter_map(|folder| parse_pod_folder(folder));
    let names = names.filter(|(uid, _)| uids.contains(*uid));
    names.map(|(uid, name)| (uid.to_owned(), name)).collect()
}

/// The UID and the name of a pod from the name of its folder. The names of namespaces and pods have no underscores.
pub(crate) fn parse_pod_folder(folder: &str) -> Option<(&str, String)> {
    let mut parts = folder.split('_');
    let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && ![namespace, name, uid].contains(&"");
    is_whole.then(|| (uid, format!("{namespace}/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ControlGroup;
    use crate::observe::root::{RecordedEntry, RecordedTree};
    use crate::units::Pid;

    #[test]
    fn only_the_pods_of_the_processes_are_named() {
        const OWN: &str = "0f35b5a4-8d5b-4d10-9f4f-64d2b54d5a3e";
        let mut tree = RecordedTree::default();
        for uid in [OWN, "11111111-8d5b-4d10-9f4f-64d2b54d5a3e"] {
            let path = format!("var/log/pods/training_resnet_{uid}");
            tree.insert(path, RecordedEntry::Folder);
        }
        let root = Root::archive(tree);
        let mut process = Process::bare(Pid(7));
        assert_eq!(read_pod_names(&root, &[process.clone()]), BTreeMap::new());
        let group = ControlGroup {
            path: format!("/kubepods/burstable/pod{OWN}/x"),
            is_v2: true,
            controllers: Vec::new(),
        };
        process.groups = Some([group].into());
        let expected = BTreeMap::from([(OWN.to_owned(), "training/resnet".to_owned())]);
        assert_eq!(read_pod_names(&root, &[process]), expected);
    }

    #[test]
    fn a_folder_has_the_name_of_its_pod() {
        let uid = "0f35b5a4-8d5b-4d10-9f4f-64d2b54d5a3e";
        assert_eq!(
            parse_pod_folder(&format!("training_resnet-0_{uid}")),
            Some((uid, "training/resnet-0".to_owned()))
        );
        for folder in ["", "a_b", "_b_c", "a__c", "a_b_", "a_b_c_d", "lost+found"] {
            assert_eq!(parse_pod_folder(folder), None, "{folder}");
        }
    }
}
