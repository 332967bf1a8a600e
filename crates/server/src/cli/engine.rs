//! `dede engine`: which inference engines there are, and installing the fast one.

use std::io::{self, Write as _};

use clap::Subcommand;
use dede_backends::neural::engine::install::{Installed, install};
use dede_backends::neural::engine::{Availability, EngineReport, report};

/// Actions on inference engines.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum EngineCommand {
    /// List engines, say which one is used and why.
    List {
        /// As `dede serve --engine`.
        #[arg(long, value_name = "NAME")]
        engine: Option<String>,
    },
    /// Install ONNX Runtime for this user.
    Install,
}

/// Does it.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn run(command: &EngineCommand) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match command {
        EngineCommand::List { engine } => {
            for line in report(engine.as_deref()) {
                writeln!(out, "{}", shown(&line)).map_err(|error| error.to_string())?;
            }
            Ok(())
        }
        EngineCommand::Install => {
            let mut say = |step: &str| drop(writeln!(io::stderr(), "{step}"));
            let text = match install(&mut say).map_err(|error| error.to_string())? {
                Installed::Already(path) => format!("already installed: {}", path.display()),
                Installed::Fetched(path) => format!("installed: {}", path.display()),
            };
            writeln!(out, "{text}").map_err(|error| error.to_string())
        }
    }
}

fn shown(line: &EngineReport) -> String {
    let mark = if line.in_use { "in use  " } else { "        " };
    let detail = match &line.availability {
        Availability::Usable { version, origin } => format!("{version} ({origin})"),
        Availability::Unusable { reason } => format!("not usable: {reason}"),
    };
    format!("{mark}{:<12} {detail}", line.name)
}
