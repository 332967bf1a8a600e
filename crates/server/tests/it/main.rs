//! Tests of the server as a process, over loopback: one binary, one module per topic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod aliases;
mod asking_files;
#[cfg(target_os = "linux")]
mod attack;
mod calls;
mod cases;
mod chains;
mod chance;
mod class_names;
mod clients;
mod commands;
#[cfg(feature = "failpoints")]
mod crash;
mod detection;
mod distribution;
#[cfg(target_os = "linux")]
mod endurance;
mod forwarding;
mod from_directory;
mod fuzz;
mod hand_move;
mod hostile;
mod http;
mod identity;
mod keeping;
mod keys;
#[cfg(target_os = "linux")]
mod large;
mod lifecycle;
mod models;
mod moving;
mod predict;
mod process;
mod proxy;
mod relay;
mod replay;
mod restart;
mod right;
mod routes;
mod security;
mod seed;
mod server;
mod tensorrt;
mod together;
mod tree;
mod upgrade;
