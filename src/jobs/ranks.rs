//! The rank of a process, by the variables that launchers set.

use crate::machine::{Rank, Ranks};

/// The variables for the rank in the whole job and on this machine, by the launcher that sets them. The first launcher that
/// has set one counts. Launchers are nested, and each leaves the variables of the outer ones in place: torchrun in one
/// task of srun has RANK and the SLURM_PROCID of the task, mpirun in a batch script has its own variables and the
/// script's SLURM_PROCID=0. So what runs inside of another launcher comes first, and what owns the machines last.
pub(crate) const RANK_VARIABLES: [(&str, &str); 10] = [
    // torchrun, DeepSpeed, accelerate, Lightning, and scripts that copy another launcher's rank for PyTorch
    ("RANK", "LOCAL_RANK"),
    // Open MPI, Spectrum MPI
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    // MVAPICH2
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK"),
    // Hydra of MPICH and Intel MPI; Cray's PALS
    ("PMI_RANK", "MPI_LOCALRANKID"),
    ("PMI_RANK", "PMI_LOCAL_RANK"),
    // PRRTE, and srun --mpi=pmix; there is no variable for the local rank
    ("PMIX_RANK", ""),
    // jsrun of LSF
    ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK"),
    // mpiexec of PBS and Cray
    ("PALS_RANKID", "PALS_LOCAL_RANKID"),
    // flux run
    ("FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID"),
    // srun; a batch script and all that it starts have 0
    ("SLURM_PROCID", "SLURM_LOCALID"),
];

/// The numbers of [`RANK_VARIABLES`], in their order: of the rank in the job, and of that on the machine.
pub(crate) type RankValues = [(Option<u32>, Option<u32>); RANK_VARIABLES.len()];

/// The ranks that the first launcher has set. A number that it has not set is taken from another launcher that has the same
/// rank in the job: both have started the same process.
pub(crate) fn ranks_of_variables(values: RankValues) -> Ranks {
    let rows = RANK_VARIABLES.into_iter().zip(values);
    let rows = rows.map(|((rank, local_rank), numbers)| Ranks {
        rank: numbers.0.map(|number| Rank::by(rank, number)),
        local_rank: numbers.1.map(|number| Rank::by(local_rank, number)),
    });
    let rows: Vec<Ranks> = rows.collect();
    let is_set = |row: &&Ranks| row.rank.is_some() || row.local_rank.is_some();
    let Some(mut found) = rows.iter().find(is_set).copied() else {
        return Ranks::default();
    };
    let number = |row: &Ranks| row.rank.map(|rank| rank.number);
    if found.local_rank.is_none() {
        let same = rows.iter().filter(|row| number(row) == number(&found));
        found.local_rank = same.filter_map(|row| row.local_rank).next();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_ranks(variables: &[(&str, u32)], rank: &str, local_rank: &str) {
        let value = |name: &str| {
            let found = variables.iter().find(|(of, _)| *of == name);
            found.map(|(_, number)| *number)
        };
        let ranks = ranks_of_variables(
            RANK_VARIABLES.map(|(rank, local_rank)| (value(rank), value(local_rank))),
        );
        let text = |rank: Option<Rank>| {
            let rank = rank.map(|rank| format!("{}={}", rank.source, rank.number));
            rank.unwrap_or_default()
        };
        assert_eq!(
            [text(ranks.rank), text(ranks.local_rank)],
            [rank, local_rank],
            "{variables:?}"
        );
    }

    #[test]
    fn each_launcher_has_its_own_variables() {
        for (at, (rank, local_rank)) in RANK_VARIABLES.into_iter().enumerate() {
            if local_rank.is_empty() {
                assert_ranks(&[(rank, 5)], &format!("{rank}=5"), "");
                continue;
            }
            let (wanted, local) = (format!("{rank}=13"), format!("{local_rank}=5"));
            assert_ranks(&[(rank, 13), (local_rank, 5)], &wanted, &local);
            let names = RANK_VARIABLES.map(|(_, local_rank)| local_rank);
            assert!(!names[..at].contains(&local_rank), "{local_rank}");
        }
    }

    #[test]
    fn the_inner_launcher_counts() {
        let task = [("SLURM_PROCID", 0), ("SLURM_LOCALID", 0)];
        assert_ranks(&task, "SLURM_PROCID=0", "SLURM_LOCALID=0");
        let torchrun = [task.as_slice(), &[("RANK", 3), ("LOCAL_RANK", 3)]].concat();
        assert_ranks(&torchrun, "RANK=3", "LOCAL_RANK=3");
        let hydra = [task.as_slice(), &[("PMI_RANK", 2), ("MPI_LOCALRANKID", 2)]].concat();
        assert_ranks(&hydra, "PMI_RANK=2", "MPI_LOCALRANKID=2");
    }

    /// Lightning in a batch script: rank 1 does not have the script's rank 0.
    #[test]
    fn ranks_of_different_launchers_are_not_mixed() {
        assert_ranks(
            &[("LOCAL_RANK", 1), ("SLURM_PROCID", 0), ("SLURM_LOCALID", 0)],
            "",
            "LOCAL_RANK=1",
        );
        assert_ranks(
            &[("PMIX_RANK", 3), ("SLURM_PROCID", 0), ("SLURM_LOCALID", 0)],
            "PMIX_RANK=3",
            "",
        );
    }

    /// srun --mpi=pmix sets both, and a script may copy one for PyTorch.
    #[test]
    fn one_launcher_may_set_several_variables() {
        for name in ["PMIX_RANK", "RANK", "PMI_RANK"] {
            assert_ranks(
                &[(name, 9), ("SLURM_PROCID", 9), ("SLURM_LOCALID", 1)],
                &format!("{name}=9"),
                "SLURM_LOCALID=1",
            );
        }
    }
}
