//! The command line: its flags and help texts, and how they become options.
//!
//! It owns flags, help texts and defaults that depend on the machine. It must not know what a server does with them.

mod directory;
pub(crate) mod engine;
mod follow;
mod gflags;
pub(crate) mod listing;
pub(crate) mod moves;
mod moving;
mod pace;
pub(crate) mod peers;
mod proof;
pub(crate) mod registry;
mod relay;
mod remote;
mod report;
pub(crate) mod serve;
mod time;
mod transfer;
pub(crate) mod visible;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

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
    Resume(relay::ResumeOptions),
    /// Point an alias back to what it pointed to before.
    Rollback(moving::RollbackOptions),
    /// Check the certificate of a move, offline.
    Verify(moving::VerifyOptions),
    /// Push a service to an OCI registry.
    Push(registry::PushOptions),
    /// Pull a service from an OCI registry into a directory.
    Pull(registry::PullOptions),
    /// List the services of a server.
    Services(moving::OnOptions),
    /// List the aliases of a server.
    Aliases(moving::OnOptions),
    /// List the servers of the configuration file, and whether they can be used.
    Peers(peers::PeersOptions),
    /// Load what a server was asked to create, within memory and time bounds; only a server starts this.
    #[command(hide = true)]
    TryService,
    /// Show or install inference engines.
    Engine {
        #[command(subcommand)]
        command: engine::EngineCommand,
    },
}

/// Parses the arguments of this process, DeepDetect's spelling included. Ends the process for `--help` and mistakes.
pub(crate) fn parse() -> Cli {
    Cli::parse_from(gflags::rewrite(std::env::args_os().collect::<Vec<OsString>>()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
