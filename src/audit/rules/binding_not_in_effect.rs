//! A command line or an environment asks for a binding, and the process is not bound to its GPU's nodes.
//!
//! Why it costs: whoever typed the option believes that it is done. Binding tools fail silently: without the numactl
//! program, without a right, for a GPU whose node sysfs does not tell, for a start method that they do not know.
//!
//! What it cannot know: what the tool meant to do instead. It knows torchrun --numa-binding, vLLM --numa-bind, SGLang
//! --numa-node, DeepSpeed --bind_cores_to_rank, accelerate --enable_cpu_affinity and numactl in the job's own command
//! lines.
//!
//! What to do: look into the tool's log; bind by hand until it works.

use super::{Broken, Rule, Scene};
use crate::audit::Audited;
use crate::audit::attribution::Role;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::remedy::bind;
use crate::audit::words::{each, on_nodes, who};
use crate::model::topology::NodeSet;

pub(super) const RULE: Rule = Rule {
    name: "binding-not-in-effect",
    severity: Severity::Error,
    text: include_str!("binding_not_in_effect.rs"),
    check,
};

/// The words that ask for a binding of CPUs, alone or with a value behind `=`.
const OPTIONS: &[&str] = &[
    "--numa-binding",
    "--numa_binding",
    "--numa-bind",
    "--numa-node",
    "--bind_cores_to_rank",
    "--enable_cpu_affinity",
    "--cpunodebind",
];

fn check(scene: &Scene) -> Vec<Broken> {
    if scene.is_single_node() {
        return Vec::new();
    }
    let asks = |audited: &Audited| -> Option<&'static str> {
        let above = scene.launchers(audited);
        let mut all = std::iter::once(audited).chain(above);
        all.find_map(option)
    };
    let is_broken = |audited: &Audited| {
        let is_trainer = audited.part.role == Some(Role::Trainer);
        is_trainer && audited.cpu.bound == Some(false) && asks(audited).is_some()
    };
    let groups = scene.groups_by(is_broken, asks);
    let broken = groups.into_iter().map(|group| {
        let option = asks(group[0]).unwrap_or_default();
        let allowed: NodeSet = group
            .iter()
            .flat_map(|of| of.cpu.affinity_nodes.clone())
            .collect();
        Broken::by(
            &group,
            format!(
                "{option} asks for a binding, and {} may run on {} where {} {} on {}",
                who(&group),
                on_nodes(&allowed),
                each(&group, "its GPU", "their GPUs"),
                each(&group, "hangs", "hang"),
                on_nodes(&group[0].home_nodes),
            ),
            Evidence::from([
                ("option", Value::Text(option.to_owned())),
                ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
                ("affinity_nodes", Value::Nodes(allowed)),
            ]),
            bind(scene, &group),
        )
    });
    broken.collect()
}

/// The option of a command line that asks for a binding.
fn option(audited: &Audited) -> Option<&'static str> {
    let words = audited.process.command.iter().flatten();
    // A shell's `-c` has a whole command line for one word.
    let mut words = words.flat_map(|word| word.split_whitespace());
    words.find_map(|word| {
        let name = word.split('=').next().unwrap_or_default();
        OPTIONS.iter().find(|option| **option == name).copied()
    })
}
