//! Tests of the server as a process, over loopback: one binary, one module per topic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod aliases;
mod calls;
mod commands;
mod forwarding;
mod hand_move;
mod hostile;
mod http;
mod lifecycle;
mod predict;
mod replay;
mod restart;
mod routes;
mod security;
mod seed;
mod server;
