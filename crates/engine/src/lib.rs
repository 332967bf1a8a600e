//! Services and their catalogue, aliases, jobs, and the one way in.
//!
//! This crate knows no HTTP, no data format and no native library, and nothing of moves: it knows connectors and backends by the traits of
//! `dede-model`, and protocols by [`Protocol`](protocol::Protocol) and [`Door`](dispatch::Door).
//!
//! # What to read first
//!
//! 1. [`dispatch`]: the [`Dispatcher`](dispatch::Dispatcher), which every call goes through, whatever protocol it came by. It routes a name,
//!    waits for a turn, computes, and tells what follows: counters, captured inputs, shadows.
//! 2. [`catalogue`]: the [`Catalogue`](catalogue::Catalogue) owns all services and aliases. Readers take a
//!    [`Snapshot`](catalogue::Snapshot); one thread changes it.
//! 3. [`service`]: a [`Service`](service::Service), its version that answers now, and its trainings ([`job`]).
//! 4. [`limiter`]: how many calls are inside, who is next, who is refused.
//! 5. [`chain`]: calls whose items are made of the answers of others, and the actions between them.
//!
//! ```text
//! Door ─► Dispatcher ─► Limiter ─► Service ─► Reader, Model ─► Answered ─► Door
//!            │ route                                    └─► statistics, capture, shadow
//!         Catalogue: DesiredState ── commands ──► StateStore ──► Snapshot
//! ```
//!
//! # Invariants
//!
//! - What should be is plain data, and a change of it a command that a pure function applies; it is durable before readers see it. What
//!   runs follows it, and is never the place where something is decided.
//! - A call holds the version that it began on until it is answered: replacing, deleting or unloading fails no call.
//! - The thread that answers a client waits for no shadow, no capture and no other client's items.
//! - Every queue is bounded, and what is beyond a bound is refused at once with [`Error::Overloaded`](dede_model::error::Error::Overloaded).
//! - A trained network is never overwritten; a training is published by one rename.
//!
//! # Who may know what
//!
//! [`dispatch`] knows [`catalogue`], [`service`], [`limiter`] and [`shadow`]; none of these knows it. [`chain`] knows [`dispatch`]. [`service`] does not know the catalogue. Moves
//! and protocols know this crate, and it knows neither.

pub mod answered;
pub mod call;
pub mod capture;
pub mod catalogue;
pub mod chain;
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
