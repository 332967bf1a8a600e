//! The `dede` binary: a machine-learning server that speaks DeepDetect's REST API.
//!
//! [`cli`] says what can be asked for, [`serve`] is the life of a server from its first line to its exit status, [`http`] what
//! clients see, [`catalog`] the list of what is built in. No behaviour of services lives here.

mod catalog;
mod cli;
mod config;
mod deepdetect;
mod demo;
mod host;
mod http;
mod leaving;
mod logging;
mod peer;
mod serve;
mod start_list;
mod tls;
mod token;
mod tokens;
mod trial;

use std::process::ExitCode;

use cli::Command;
use logging::LogFormat;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(reason) => {
            eprintln!("{}", cli::visible::lines(&format!("dede: {reason}")));
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        Command::Serve(options) => {
            logging::start(options.log_format);
            leaving::leave(serve::run(&options))
        }
        Command::Demo => exit_code("demo", demo::run()),
        Command::Move(options) => exit_code("move", cli::moves::make(&options)),
        Command::Plan(options) => exit_code("plan", cli::moves::plan(&options)),
        Command::Apply(options) => exit_code("apply", cli::moves::apply(&options)),
        Command::Moves(options) => exit_code("moves", cli::moves::list(&options)),
        Command::Promote(options) => exit_code("promote", cli::moves::act("promote", &options)),
        Command::Abort(options) => exit_code("abort", cli::moves::act("abort", &options)),
        Command::Resume(options) => exit_code("resume", cli::moves::resume(&options)),
        Command::Rollback(options) => exit_code("rollback", cli::moves::roll_back(&options)),
        Command::Verify(options) => exit_code("verify", cli::moves::verify(&options)),
        Command::Push(options) => exit_code("push", cli::registry::push(&options)),
        Command::Pull(options) => exit_code("pull", cli::registry::pull(&options)),
        Command::Predict(options) => exit_code("predict", cli::predict::run(&options)),
        Command::Services(options) => exit_code("services", cli::listing::services(&options)),
        Command::Aliases(options) => exit_code("aliases", cli::listing::aliases(&options)),
        Command::Peers(options) => {
            logging::start(LogFormat::Text);
            exit_code("peers", cli::peers::run(&options))
        }
        Command::Config { command } => exit_code("config", cli::config::run(&command)),
        Command::TryService => exit_code("try-service", trial::run()),
        Command::Engine { command } => exit_code("engine", cli::engine::run(&command)),
    }
}

/// Says why a command failed.
fn exit_code<E: std::fmt::Display>(command: &str, outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", cli::visible::lines(&format!("dede {command}: {failure}")));
            ExitCode::FAILURE
        }
    }
}
