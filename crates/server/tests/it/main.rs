//! Tests of the server as a process, over loopback: one binary, one module per topic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod aliases;
mod calls;
mod commands;
mod hand_move;
mod hostile;
mod http;
mod lifecycle;
mod predict;
mod replay;
mod restart;
mod seed;
mod server;
