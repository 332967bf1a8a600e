//! `dede config`: what the configuration file says, and what a server would run with.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use super::ServeOptions;
use super::peers::ConfigOption;
use crate::config::shown::{self, Setting};
use crate::config::{ConfigFile, Configuration};

/// What is asked of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration file: every key, value and peer.
    Check(CheckOptions),
    /// Show the settings that `dede serve` with these flags would run with, and where each came from.
    Show(Box<ShowOptions>),
}

/// The file to check.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    config: ConfigOption,
}

/// The settings to show.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    #[command(flatten)]
    pub(super) serve: ServeOptions,

    /// Filled in from how the arguments were understood.
    #[arg(skip)]
    pub(super) settings: Vec<Setting>,
}

/// Checks or shows the configuration.
///
/// # Errors
/// A sentence with file, line and key.
pub(crate) fn run(command: &ConfigCommand) -> Result<(), String> {
    match command {
        ConfigCommand::Check(options) => check(&options.config),
        ConfigCommand::Show(options) => show(options),
    }
}

fn check(options: &ConfigOption) -> Result<(), String> {
    let file = ConfigFile::read(options.config.as_deref())?;
    let configuration = Configuration::of(&file)?;
    let path = file.path.as_ref().map(|path| path.display().to_string());
    let (settings, serve) = super::configured(file)?;
    serve.check()?;
    let line = match path {
        Some(path) => format!("{path}: {} settings, {} peers", settings.len(), configuration.peers().count()),
        None => "there is no configuration file".to_owned(),
    };
    say(&line)
}

fn show(options: &ShowOptions) -> Result<(), String> {
    let configuration = Configuration::of(&options.serve.file)?;
    options.serve.check()?;
    let text = shown::file(&options.settings, &|key| options.serve.computed(key), &configuration);
    say(text.trim_end())
}

fn say(text: &str) -> Result<(), String> {
    writeln!(io::stdout().lock(), "{text}").map_err(|error| error.to_string())
}
