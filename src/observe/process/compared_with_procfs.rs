//! Compares the parsers of `stat` and `status` with those of the procfs crate, on every process of this machine.

use procfs::FromRead;
use procfs::process::{Stat, Status};

use crate::observe::process::stat::parse_stat;
use crate::observe::process::status::parse_status;

#[test]
fn both_parsers_read_the_same() {
    let mut compared = 0;
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let (Ok(stat), Ok(status)) = (
            std::fs::read(path.join("stat")),
            std::fs::read(path.join("status")),
        ) else {
            continue;
        };
        let (Ok(theirs), Ok(their_status)) =
            (Stat::from_read(&stat[..]), Status::from_read(&status[..]))
        else {
            continue;
        };
        let ours = parse_stat(&stat).unwrap();
        assert_eq!(ours.name, theirs.comm);
        assert_eq!(char::from(ours.state), theirs.state);
        assert_eq!(ours.ppid.0 as i32, theirs.ppid);
        assert_eq!(ours.start_time_ticks, theirs.starttime);
        assert_eq!(Some(ours.last_cpu.0 as i32), theirs.processor);
        let ours = parse_status(&status).unwrap();
        assert_eq!(ours.uid, their_status.ruid);
        let ranges = |list: Option<Vec<(u32, u32)>>| {
            let ranges = list.unwrap_or_default();
            ranges
                .into_iter()
                .flat_map(|(first, last)| first..=last)
                .collect::<Vec<_>>()
        };
        let cpus: Vec<u32> = ours.affinity.iter().map(|cpu| cpu.0).collect();
        assert_eq!(cpus, ranges(their_status.cpus_allowed_list));
        let mems: Vec<u32> = ours
            .mems_allowed
            .iter()
            .flatten()
            .map(|node| node.0)
            .collect();
        assert_eq!(mems, ranges(their_status.mems_allowed_list));
        compared += 1;
    }
    assert!(compared > 0, "no process could be compared");
}
