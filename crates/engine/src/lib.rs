//! Services and their catalogue, aliases, jobs, and the one way in.
//!
//! Read first: [`dispatch`], which every call goes through, and [`catalogue`], which owns the services. This crate knows no
//! HTTP, no data format and no native library, and nothing of moves.

pub mod answered;
pub mod call;
pub mod capture;
pub mod catalogue;
pub mod creation;
pub mod dispatch;
pub mod environment;
pub mod job;
pub mod limiter;
pub mod move_id;
pub mod name;
pub mod output;
pub mod percent;
pub mod protocol;
pub mod service;
pub mod shadow;
pub mod statistics;
pub mod trial;

mod rehearsal;
#[cfg(test)]
mod stage;
