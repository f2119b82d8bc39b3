//! Words that messages of several rules use. [`Group`](super::group::Group) has those about processes.

pub(crate) use crate::document::names::{gpu_names, node_names, process_names};
use crate::units::NodeSet;

/// `GPU 0 is attached to node 0`, `GPUs 0-3 are attached to node 4 (nearest CPUs: node 0)`
pub(crate) fn gpus_attached(gpus: &[u32], home: &NodeSet, local: &NodeSet) -> String {
    let names = gpu_names(gpus);
    if home.is_empty() {
        return format!("the home node of {names} is unknown");
    }
    let are = if gpus.len() == 1 { "is" } else { "are" };
    let cpus = if local.is_empty() || local == home {
        String::new()
    } else {
        format!(" (nearest CPUs: {})", node_names(local))
    };
    format!("{names} {are} attached to {}{cpus}", node_names(home))
}

/// ` (text)`, or nothing
pub(crate) fn in_parentheses(text: Option<String>) -> String {
    text.map_or(String::new(), |text| format!(" ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NodeId;

    fn nodes(ids: &[u32]) -> NodeSet {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn the_nearest_cpus_are_named_where_the_home_nodes_are_not_local() {
        let (zero, four) = (nodes(&[0]), nodes(&[4]));
        assert_eq!(
            gpus_attached(&[1], &zero, &zero),
            "GPU 1 is attached to node 0"
        );
        assert_eq!(
            gpus_attached(&[0, 1], &four, &zero),
            "GPUs 0-1 are attached to node 4 (nearest CPUs: node 0)"
        );
        assert_eq!(
            gpus_attached(&[1], &four, &nodes(&[])),
            "GPU 1 is attached to node 4"
        );
        assert_eq!(
            gpus_attached(&[1], &nodes(&[]), &nodes(&[])),
            "the home node of GPU 1 is unknown"
        );
    }

    #[test]
    fn parentheses_only_around_text() {
        assert_eq!(in_parentheses(Some("why".to_owned())), " (why)");
        assert_eq!(in_parentheses(None), "");
    }
}
