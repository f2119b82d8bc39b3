//! Where a thread is, by its CPU affinity and its last CPU. The affinity decides first: the last CPU of a sleeping thread is old.

use std::collections::BTreeSet;

use crate::audit::place::{Locality, Verdict};

/// Where a thread is, and whether it may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CpuPlacement {
    /// It may run on local nodes only.
    Bound,
    /// It is on a local node and may leave it.
    Unbound,
    /// It may run on local or near nodes and on others, and has not run since its affinity changed: where it will run is open.
    Unsettled,
    /// It is on a node that is not local: near or remote.
    NonLocal(Locality),
}

impl CpuPlacement {
    /// What it means for a process.
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Bound => Verdict::Ok,
            Self::NonLocal(Locality::Remote) => Verdict::Mismatch,
            Self::Unbound | Self::Unsettled | Self::NonLocal(_) => Verdict::AtRisk,
        }
    }
}

/// Where a thread last ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastRun {
    /// On a CPU of such a node, which its affinity allows.
    On(Locality),
    /// On a CPU that its affinity does not allow any more.
    OnForbidden,
    /// That is unknown.
    Unknown,
}

/// The placement of a thread. `mask` are the localities of the nodes that its affinity allows; empty if the affinity is unknown.
/// `None` if the placement cannot be known.
pub(crate) fn decide(mask: &BTreeSet<Locality>, last: LastRun) -> Option<CpuPlacement> {
    use Locality::{Local, Near, Remote};
    let only = |locality| mask.len() == 1 && mask.contains(&locality);
    if mask.is_empty() {
        return match last {
            LastRun::On(far @ (Near | Remote)) => Some(CpuPlacement::NonLocal(far)),
            _ => None,
        };
    }
    if only(Local) {
        return Some(CpuPlacement::Bound);
    }
    if only(Near) || only(Remote) {
        return mask.first().copied().map(CpuPlacement::NonLocal);
    }
    match last {
        LastRun::On(ran) if !mask.contains(&ran) => Some(CpuPlacement::Unsettled),
        LastRun::On(Local) => Some(CpuPlacement::Unbound),
        LastRun::On(far) => Some(CpuPlacement::NonLocal(far)),
        LastRun::OnForbidden => Some(CpuPlacement::Unsettled),
        LastRun::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of nodes that an affinity can allow, with every last CPU.
    #[test]
    fn every_affinity_with_every_last_cpu() {
        use Locality::{Local, Near, Remote};
        use Verdict::{AtRisk, Mismatch, Ok};
        let lasts = [
            LastRun::On(Local),
            LastRun::On(Near),
            LastRun::On(Remote),
            LastRun::OnForbidden,
            LastRun::Unknown,
        ];
        type Row = (&'static [Locality], [Option<Verdict>; 5]);
        let table: [Row; 8] = [
            // Only the last CPU is known: a local one does not show that the thread stays.
            (&[], [None, Some(AtRisk), Some(Mismatch), None, None]),
            (&[Local], [Some(Ok); 5]),
            (&[Near], [Some(AtRisk); 5]),
            (&[Remote], [Some(Mismatch); 5]),
            (
                &[Local, Near],
                [Some(AtRisk), Some(AtRisk), Some(AtRisk), Some(AtRisk), None],
            ),
            (
                &[Local, Remote],
                [
                    Some(AtRisk),
                    Some(AtRisk),
                    Some(Mismatch),
                    Some(AtRisk),
                    None,
                ],
            ),
            (
                &[Near, Remote],
                [
                    Some(AtRisk),
                    Some(AtRisk),
                    Some(Mismatch),
                    Some(AtRisk),
                    None,
                ],
            ),
            (
                &[Local, Near, Remote],
                [
                    Some(AtRisk),
                    Some(AtRisk),
                    Some(Mismatch),
                    Some(AtRisk),
                    None,
                ],
            ),
        ];
        for (mask, verdicts) in table {
            let allowed: BTreeSet<Locality> = mask.iter().copied().collect();
            for (last, expected) in lasts.into_iter().zip(verdicts) {
                let found = decide(&allowed, last).map(CpuPlacement::verdict);
                assert_eq!(found, expected, "{mask:?} {last:?}");
            }
        }
    }

    #[test]
    fn the_finding_says_where_it_is() {
        use Locality::{Local, Near, Remote};
        let decide = |mask: &[Locality], last| decide(&mask.iter().copied().collect(), last);
        let (local, near, remote) = (LastRun::On(Local), LastRun::On(Near), LastRun::On(Remote));
        let all = [Local, Near, Remote];
        assert_eq!(decide(&all, local), Some(CpuPlacement::Unbound));
        assert_eq!(decide(&all, near), Some(CpuPlacement::NonLocal(Near)));
        assert_eq!(decide(&all, remote), Some(CpuPlacement::NonLocal(Remote)));
        // Its last CPU is of a kind that the affinity does not have: it got a new one.
        let unsettled = Some(CpuPlacement::Unsettled);
        assert_eq!(decide(&[Local, Near], remote), unsettled);
        assert_eq!(decide(&[Near, Remote], local), unsettled);
        assert_eq!(decide(&all, LastRun::OnForbidden), unsettled);
    }
}
