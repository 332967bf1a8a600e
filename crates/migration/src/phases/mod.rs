//! The phases of a move, a file each: functions over an [`Execution`](crate::execution::Execution), called in the order of
//! `procedure`.
//!
//! Each phase is recorded before anything of it is done, and may be done again from its start.

pub(crate) mod compare;
pub(crate) mod copy;
pub(crate) mod drain;
pub(crate) mod finish;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod refusals;
pub(crate) mod shadow;
pub(crate) mod switch;
pub(crate) mod together;
pub(crate) mod verify;
pub(crate) mod warm;
pub(crate) mod watch;
