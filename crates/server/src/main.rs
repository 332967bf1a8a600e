//! The `dede` binary: a machine-learning server that speaks DeepDetect's REST API.
//!
//! [`cli`] says what can be asked for, [`serve`] is the life of a server from its first line to its exit status, [`http`] what
//! clients see, [`catalog`] the list of what is built in. No behaviour of services lives here.

mod catalog;
mod cli;
mod demo;
mod http;
mod logging;
mod serve;
mod start_list;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    match cli::parse().command {
        Command::Serve(options) => {
            logging::start();
            serve::run(&options)
        }
        Command::Demo => exit_code("demo", demo::run()),
        Command::Engine { command } => exit_code("engine", cli::engine::run(&command)),
    }
}

/// Says why a command failed.
fn exit_code<E: std::fmt::Display>(command: &str, outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("dede {command}: {failure}");
            ExitCode::FAILURE
        }
    }
}
