//! `numa-audit plan`.

use clap::ValueEnum;

use super::folder::write_files;
use super::names::gpu_named;
use super::output::{print, terminal};
use super::settings::hints;
use super::trouble::complain;
use super::{Trouble, exit_code, guard, source};
use crate::audit::{Settings, map};
use crate::cli::PlanArgs;
use crate::document::{Document, PlanDocument};
use crate::machine::Machine;
use crate::observe::{Subjects, observe};
use crate::plan::{NoPlan, PlanRequest, plan, ranks_in_order};
use crate::print;
use crate::print::plan::{Inexpressible, PlanFormat};
use crate::words::GapKind;

pub(crate) fn run(arguments: &PlanArgs) -> Result<u8, Trouble> {
    if arguments.machine.snapshot.is_some() {
        return run_in_this_process(arguments);
    }
    guard::run(&[], || run_in_this_process(arguments))
}

fn run_in_this_process(arguments: &PlanArgs) -> Result<u8, Trouble> {
    if arguments.dir.is_some() && arguments.format != PlanFormat::Env {
        return Err("--dir is for --format env".into());
    }
    let source = source::source(&arguments.machine)?;
    let machine = observe(source, &Subjects::MachineOnly).machine;
    let settings = Settings {
        hints: hints(&arguments.home_nodes, &machine)?,
        ..Settings::default()
    };
    let only = only(arguments, &machine)?;
    let map = map(machine, &settings);
    let request = PlanRequest {
        gpus: gpus(arguments, only.as_deref(), &map)?,
        workers: arguments.workers,
        exclusive: arguments.exclusive,
        reserved: arguments.reserve.clone(),
    };
    if request.gpus.is_empty() {
        return without_gpus(&map);
    }
    match plan(&map, &request) {
        Ok(plan) => put_out(&plan, &map, arguments),
        Err(NoPlan::Unknown(why)) => Ok(refuse(&why, exit_code::INCOMPLETE)),
        Err(NoPlan::Impossible(why)) => Ok(refuse(&why, exit_code::FAILED)),
    }
}

/// Prints the plan, or writes it to the folder of --dir.
fn put_out(plan: &PlanDocument, map: &Document, arguments: &PlanArgs) -> Result<u8, Trouble> {
    if let Some(folder) = &arguments.dir {
        let files = print::plan::env_files(plan, map);
        let files = files.iter().map(|(name, text)| (&**name, text.as_bytes()));
        return write_files(folder, files).map(|()| exit_code::OK);
    }
    let format = arguments.format;
    match print::plan::text(plan, map, format, &terminal(&arguments.color)) {
        Ok(text) => print(&text).map(|()| exit_code::OK),
        Err(Inexpressible(why)) => {
            complain(&format!("--format {} cannot give this plan: {why}", name(format)).into());
            Ok(exit_code::FAILED)
        }
    }
}

/// A format as it is written on the command line.
fn name(format: PlanFormat) -> String {
    let value = format.to_possible_value();
    value.map_or(String::new(), |value| value.get_name().to_owned())
}

/// The GPUs of --gpus.
fn only(arguments: &PlanArgs, machine: &Machine) -> Result<Option<Vec<u32>>, Trouble> {
    if arguments.gpus.is_empty() {
        return Ok(None);
    }
    let mut indexes = Vec::new();
    for name in &arguments.gpus {
        match gpu_named(name, machine)? {
            Some(index) if indexes.contains(&index) => {
                return Err(format!("--gpus names GPU {index} twice").into());
            }
            Some(index) => indexes.push(index),
            None => return Err(format!("no GPU {name:?} is known here").into()),
        }
    }
    Ok(Some(indexes))
}

/// The GPU of each rank.
fn gpus(arguments: &PlanArgs, only: Option<&[u32]>, map: &Document) -> Result<Vec<u32>, Trouble> {
    let visible = std::env::var_os("CUDA_VISIBLE_DEVICES");
    let visible = visible.map(|list| list.to_string_lossy().into_owned());
    let mut gpus = ranks_in_order(map, only, &arguments.order, visible.as_deref())?;
    if let Some(ranks) = arguments.ranks {
        let ranks = ranks as usize;
        if ranks > gpus.len() {
            return Err(format!(
                "--ranks {ranks}: there are only {} GPUs, and each rank needs its own",
                gpus.len()
            )
            .into());
        }
        gpus.truncate(ranks);
    }
    Ok(gpus)
}

/// Without the driver's answer it is unknown whether there are GPUs.
fn without_gpus(map: &Document) -> Result<u8, Trouble> {
    let none = "there is no GPU to plan for: none is visible here";
    let driver = map
        .incomplete
        .iter()
        .find(|gap| gap.kind == GapKind::Driver);
    match driver {
        Some(gap) => Ok(refuse(
            &[format!("{none} ({}: {})", gap.what, gap.reason)],
            exit_code::INCOMPLETE,
        )),
        None => Err(none.into()),
    }
}

/// Says why there is no plan.
fn refuse(why: &[String], code: u8) -> u8 {
    for reason in why {
        complain(&format!("no plan: {reason}").into());
    }
    code
}
