//! Which process belongs to which job, GPU and trainer: pure decisions about facts that `observe` reads.

pub(crate) mod attribution;
pub(crate) mod binding_requests;
pub(crate) mod gpu_users;
pub(crate) mod job_members;
pub(crate) mod known_programs;
pub(crate) mod rank_lookup;
pub(crate) mod ranks;
pub(crate) mod scheduler;
pub(crate) mod scope;
pub(crate) mod selection;
pub(crate) mod ties;
pub(crate) mod tree;

pub(crate) use attribution::Membership;
pub(crate) use binding_requests::{
    OPENMP_VARIABLES, VARIABLES, needs_of, parse_binding_requests, requests_of_variables,
};
pub(crate) use gpu_users::users_of;
pub(crate) use job_members::{WantedJob, jobs_of};
pub(crate) use known_programs::{
    DATA_LOADER, Task, TaskKind, is_forkserver, is_job_boundary, is_worker_program, serves_gpus,
    task,
};
pub(crate) use rank_lookup::{Family, is_same_program};
pub(crate) use ranks::{RANK_VARIABLES, ranks_of_variables};
pub(crate) use scheduler::{JOB_VARIABLES, jobs_of_variables, pod_of_variable, scheduler_jobs};
pub(crate) use selection::{ProcessReads, Selection, select};
pub(crate) use ties::{TrainerMatch, Trainers};
pub(crate) use tree::{ProcessTree, ProgramFacts, Step};
