//! The `dede` binary: a machine-learning server that speaks DeepDetect's REST API.
//!
//! [`cli`] says what can be asked for, [`serve`] is the life of a server from its first line to its exit status, [`http`] what
//! clients see, [`catalog`] the list of what is built in. No behaviour of services lives here.

mod catalog;
mod cli;
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
    }
}
