//! The command line: its flags and help texts, and how they become options.
//!
//! It owns flags, help texts and defaults that depend on the machine. It must not know what a server does with them.

pub(crate) mod config;
mod directory;
pub(crate) mod engine;
mod follow;
mod gflags;
pub(crate) mod listing;
pub(crate) mod moves;
mod moving;
mod pace;
pub(crate) mod peers;
pub(crate) mod predict;
mod proof;
pub(crate) mod registry;
mod relay;
mod remote;
mod report;
pub(crate) mod serve;
mod time;
mod together;
mod transfer;
pub(crate) mod visible;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::settings::Settings;
use crate::config::{ConfigFile, shown};
pub(crate) use serve::ServeOptions;

/// A machine-learning server that speaks DeepDetect's REST API and moves live services.
///
/// Start it with `dede serve` and talk to it with curl. `dede -host 0.0.0.0 -port 8080`, as DeepDetect is started, works too.
#[derive(Debug, Parser)]
#[command(name = "dede", version, max_term_width = 100, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models over HTTP.
    Serve(Box<ServeOptions>),
    /// Show the main job: a model moves between two servers while clients keep calling.
    Demo,
    /// Move a running service from one server to another, with no failed request.
    Move(Box<moving::MoveOptions>),
    /// Show what a move would do, and write it down for `dede apply`.
    Plan(Box<moving::PlanOptions>),
    /// Carry out a plan exactly as written; refused if the source or the target has changed since.
    Apply(moving::ApplyOptions),
    /// List moves, or show one.
    Moves(moving::MovesOptions),
    /// Allow a move to switch.
    Promote(moving::ActOptions),
    /// Undo a move: before the switch everything is as it was, after it the former service serves again.
    Abort(moving::ActOptions),
    /// Go on with a move that a restart interrupted, or with relaying its source.
    Resume(moving::ResumeOptions),
    /// Point an alias back to what it pointed to before.
    Rollback(moving::RollbackOptions),
    /// Check the certificate of a move, offline.
    Verify(moving::VerifyOptions),
    /// Push a service to an OCI registry.
    Push(registry::PushOptions),
    /// Pull a service from an OCI registry into a directory.
    Pull(registry::PullOptions),
    /// Ask a service about files, and show the answers.
    Predict(predict::PredictOptions),
    /// List the services of a server.
    Services(moving::OnOptions),
    /// List the aliases of a server.
    Aliases(moving::OnOptions),
    /// List the servers of the configuration file, and whether they can be used.
    Peers(peers::PeersOptions),
    /// Check the configuration file, or show the settings of a server and where each came from.
    Config {
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Load what a server was asked to create, within memory and time bounds; only a server starts this.
    #[command(hide = true)]
    TryService,
    /// Show or install inference engines.
    Engine {
        #[command(subcommand)]
        command: engine::EngineCommand,
    },
}

/// Parses the arguments of this process, DeepDetect's spelling included, with what the configuration file says of a server as defaults.
/// Ends the process for `--help` and mistakes.
///
/// # Errors
/// A sentence with file, line and key: the configuration file is not right.
pub(crate) fn parse() -> Result<Cli, String> {
    understood(gflags::rewrite(std::env::args_os().collect())).map_err(|failure| match failure {
        Failure::Arguments(error) => error.exit(),
        Failure::File(reason) => reason,
    })
}

/// Why arguments cannot be followed.
#[derive(Debug)]
enum Failure {
    Arguments(clap::Error),
    File(String),
}

fn understood(arguments: Vec<OsString>) -> Result<Cli, Failure> {
    let mut matches = Cli::command().try_get_matches_from(&arguments).map_err(Failure::Arguments)?;
    let path: &[&str] = match matches.subcommand() {
        Some(("serve", _)) => &["serve"],
        Some(("config", config)) if config.subcommand_name() == Some("show") => &["config", "show"],
        _ => return Cli::from_arg_matches(&matches).map_err(Failure::Arguments),
    };
    // The file is known once the arguments are, and they are read again with what it says.
    let named = path.iter().try_fold(&matches, |matches, name| matches.subcommand_matches(name));
    let file = named.and_then(|matches| matches.get_one::<PathBuf>("config")).map(PathBuf::as_path);
    let file = ConfigFile::read(file).map_err(Failure::File)?;
    let settings = Settings::read(file.clone(), &serve_command()).map_err(Failure::File)?;
    let command = at_path(Cli::command(), path, &|command| settings.apply(command));
    matches = command.try_get_matches_from(arguments).map_err(Failure::Arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(Failure::Arguments)?;
    if let Command::Serve(options) = &mut cli.command {
        options.file = file;
    } else if let Command::Config { command: config::ConfigCommand::Show(options) } = &mut cli.command {
        let matches = path.iter().try_fold(&matches, |matches, name| matches.subcommand_matches(name));
        options.settings = matches.map(|matches| shown::of(&serve_command(), matches, &settings)).unwrap_or_default();
        options.serve.file = file;
    }
    Ok(cli)
}

/// What a file alone says: its settings, and the options of a server that is given no flag.
///
/// # Errors
/// A sentence with file, line and key.
fn configured(file: ConfigFile) -> Result<(Settings, ServeOptions), String> {
    let settings = Settings::read(file, &serve_command())?;
    let matches = settings.apply(serve_command()).no_binary_name(true).try_get_matches_from(Vec::<OsString>::new());
    let options = matches.and_then(|matches| ServeOptions::from_arg_matches(&matches));
    options.map(|options| (settings, options)).map_err(|error| error.to_string())
}

/// The flags of `dede serve`.
fn serve_command() -> clap::Command {
    ServeOptions::augment_args(clap::Command::new("serve"))
}

/// The command with the subcommand at `path` changed.
fn at_path(command: clap::Command, path: &[&str], change: &dyn Fn(clap::Command) -> clap::Command) -> clap::Command {
    match path {
        [] => change(command),
        [name, below @ ..] => command.mut_subcommand(name, |command| at_path(command, below, change)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(line: &str) -> ServeOptions {
        let arguments = gflags::rewrite(line.split_whitespace().map(OsString::from).collect());
        let Command::Serve(options) = Cli::try_parse_from(arguments).expect(line).command else {
            panic!("{line} is no serve");
        };
        *options
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn deepdetect_style_is_the_same_as_serve() {
        let expected = serve("dede serve --host 0.0.0.0 --port 8081 --allow-origin *");
        for line in [
            "dede -host 0.0.0.0 -port 8081 -allow_origin *",
            "dede --host=0.0.0.0 --port=8081 --allow_origin=*",
            "dede -host=0.0.0.0 -port=8081 -allow_origin * -nthreads 10 -jsonapi 0",
            "dede serve --host 0.0.0.0 --port 8081 --allow_origin *",
        ] {
            assert_eq!(serve(line), expected, "{line}");
        }
        let list = serve("dede -service_start_list list.txt -service_start_list_no_exit_on_failure");
        assert_eq!(list, serve("dede serve --service-start-list list.txt --service-start-list-no-exit-on-failure"));
        let list = serve("dede -service_start_list list.txt --noservice_start_list_no_exit_on_failure");
        assert!(!list.service_start_list_no_exit_on_failure);
        let last = serve("dede -service_start_list_no_exit_on_failure --noservice_start_list_no_exit_on_failure");
        assert!(!last.service_start_list_no_exit_on_failure, "the last one counts");
    }

    /// The options, settings and errors of a file with this content, and of these flags.
    fn with_file(text: &str, line: &str) -> (tempfile::TempDir, Result<Cli, String>) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("dede.toml");
        std::fs::write(&file, text).expect("written");
        let file = OsString::from(file);
        let arguments = line.split_whitespace().map(OsString::from).chain(["--config".into(), file]);
        let understood = understood(gflags::rewrite(arguments.collect())).map_err(|failure| match failure {
            Failure::Arguments(error) => error.to_string(),
            Failure::File(reason) => reason,
        });
        (directory, understood)
    }

    #[test]
    fn what_the_file_says_are_defaults_and_flags_win() {
        let text = "[server]\nhost = \"0.0.0.0\"\nport = 8_123\nstrict = true\nrequire_token = true\n\
                    token_file = \"dev.token\"\nallow_host = [\"a\", \"b\"]\nlog_format = \"json\"\n[limits]\nqueue = 0x10\n";
        let (directory, cli) = with_file(text, "dede -port 1 --strict=false --allow-host c");
        let Command::Serve(mut options) = cli.expect("good").command else { panic!("it is serve") };
        let expected = "dede serve --host 0.0.0.0 --port 1 --require-token --allow-host c --log-format json --queue 16";
        assert_eq!(options.access.token_file.take(), Some(directory.path().join("dev.token")));
        (options.config.config, options.file) = (None, ConfigFile::default());
        assert_eq!(*options, serve(expected));
    }

    #[test]
    fn mistakes_of_the_file_are_located() {
        for (text, expected) in [
            ("[server]\nprot = 3", "line 2, server.prot: no such key; did you mean server.port?"),
            ("[server]\n\n# a\nqueue = 3", "line 4, server.queue: expected in [limits]"),
            ("[limits]\nhost = \"a\"", "line 2, limits.host: expected in [server]"),
            ("[server]\nwhatever = 3", "line 2, server.whatever: no such key"),
            ("[server]\nconfig = \"a\"", "line 2, server.config: no such key"),
            ("[server]\nhelp = true", "line 2, server.help: no such key"),
            ("[server]\nport = \"80\"", "line 2, server.port: expected a whole number, found a value of type string"),
            ("[server]\nport = 99999", "line 2, server.port: 99999 is not in 0..=65535"),
            ("[server]\nport = -1", "line 2, server.port: -1 is not in 0..=65535"),
            ("[server]\nport = 1.5", "line 2, server.port: expected a whole number"),
            ("[server]\nstrict = 1", "line 2, server.strict: expected true or false"),
            ("[server]\nhost = 1", "line 2, server.host: expected a text"),
            ("[server]\nallow_host = \"a\"", "line 2, server.allow_host: expected a list"),
            ("[server]\nallow_fetch = [\"10.0.0.0/99\"]", "line 2, server.allow_fetch: expected addresses"),
            ("[server]\nlog_format = \"xml\"", "line 2, server.log_format: expected one of text, json"),
            ("[limits]\nqueue = 0", "line 2, limits.queue: number would be zero"),
            ("limits = 3", "line 1, limits: expected a section, [limits]"),
            ("[server]\ndata_root = [\"\"]", "line 2, server.data_root: expected a text, found an empty one"),
            ("[server]\nstate_dir = \"\"", "line 2, server.state_dir: expected a text, found an empty one"),
            ("[server]\nhost = \"\"", "line 2, server.host: expected a text, found an empty one"),
            ("[server]\ntoken = \"s3cret\"", "line 2, server.token: no such key; did you mean server.token_file?"),
            ("[server]\ntoken: \"s3cret\"", "line 2, token: "),
            ("[server]\ntoken s3cret", "line 2, token: "),
            ("[limits]\nmax_body = 17592186044416", "line 2, limits.max_body: 17592186044416 is not in"),
            ("[server\n", "line 1"),
        ] {
            let reason = with_file(text, "dede serve").1.expect_err(text);
            assert!(reason.contains(expected) && reason.contains("dede.toml"), "{reason} has no {expected}");
            assert!(!reason.contains("s3cret"), "{reason}");
        }
    }

    #[test]
    fn what_options_say_together_is_checked_wherever_they_are_said() {
        let both = "[server]\ntls_cert = \"a.pem\"\ntls_key = \"b.pem\"";
        for (text, line, expected) in [
            (both, "dede serve --tls-cert new.pem", ""),
            ("[server]\ntls_cert = \"a.pem\"", "dede serve", "--tls-cert: expected --tls-key"),
            ("", "dede serve --tls-key a.pem", "--tls-key: expected --tls-cert"),
            ("[server]\nrequire_token = true", "dede serve", "--require-token: expected --token-file"),
            ("[server]\npredict_wants_token = true", "dede serve", "--predict-wants-token: expected --token-file"),
            ("[server]\nengine = \"nosuch\"", "dede serve", "--engine: unknown engine nosuch"),
            ("[server]\nallow_origin = \"a\\nb\"", "dede serve", "--allow-origin cannot be sent"),
            ("[server]\nthreads = 4097", "dede serve", "--threads: expected at most 4096, found 4097"),
        ] {
            let Command::Serve(options) = with_file(text, line).1.expect("understood").command else {
                panic!("{line}")
            };
            let found = options.check().err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
        }
    }

    #[test]
    fn the_peers_of_a_server_are_those_of_the_file_that_was_read() {
        let (directory, cli) = with_file("[peers.dev]\nurl = \"http://dev:8080\"\n", "dede serve");
        drop(directory);
        let Command::Serve(options) = cli.expect("good").command else { panic!("it is serve") };
        let peers = crate::config::Configuration::of(&options.file).expect("read already");
        assert!(peers.peer("dev").is_ok());
    }

    #[test]
    fn what_is_shown_is_a_file_that_says_the_same() {
        let shown = |text: &str, flags: &str| {
            let (directory, cli) = with_file(text, &format!("dede config show {flags}"));
            let Command::Config { command: config::ConfigCommand::Show(options) } = cli.expect("good").command else {
                panic!("it is config show")
            };
            let peers = crate::config::Configuration::load(Some(&directory.path().join("dede.toml"))).expect("peers");
            let text = shown::file(&options.settings, &|_| None, &peers);
            (directory, options, text)
        };
        let text = "[server]\nport = 1\nstate_dir = \"a \\\"b\\\"\"\nallow_origin = \"a\\u007f\\u0001\"\n[limits]\nqueue = 3\n\
                    [peers.dev]\nurl = \"http://dev:8080\"\n[peers.\"dev.b\"]\nurl = \"http://b\"\ntoken_file = \"t\"\n";
        let (_directory, first, written) = shown(text, "--allow-host a --allow-host b --strict --queue 4");
        let (_other, again, rewritten) = shown(&written, "");
        let values = |options: &config::ShowOptions| -> Vec<_> {
            options.settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
        };
        assert_eq!(values(&first), values(&again));
        let peers = |text: &str| text.split("[peers.").skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((peers(&written), peers(&written).len()), (peers(&rewritten), 2));
        let origin = |key: &str| first.settings.iter().find(|setting| setting.key == key).map(|found| &*found.origin);
        assert_eq!(
            (origin("queue"), origin("strict"), origin("host")),
            (Some("--queue"), Some("--strict"), Some("default"))
        );
        assert!(origin("port").is_some_and(|origin| origin.ends_with("dede.toml, line 2")), "{:?}", origin("port"));
    }

    #[test]
    fn every_flag_of_a_server_has_its_key() {
        let command = serve_command();
        let without: Vec<&str> = command
            .get_arguments()
            .filter(|argument| crate::config::settings::Section::of(&command, argument).is_none())
            .map(|argument| argument.get_id().as_str())
            .collect();
        assert_eq!(without, ["config"]);
        let differs = |argument: &&clap::Arg| {
            argument.get_long().map(|long| long.replace('-', "_")).as_deref() != Some(argument.get_id().as_str())
        };
        assert!(!command.get_arguments().any(|argument| differs(&argument)), "keys are flags in snake case");
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "dede -prot 8080",
            "dede serve --port 99999",
            "dede -jsonapi 1",
            "dede nosuch",
            "dede serve x",
            "dede resume m1 --relay",
            "dede resume m1 --from dev",
            "dede apply plan.json --to prod --relay",
            "dede move --from-dir d --to prod --relay",
        ] {
            let arguments = gflags::rewrite(line.split_whitespace().map(OsString::from).collect());
            assert!(Cli::try_parse_from(arguments).is_err(), "{line}");
        }
    }
}
