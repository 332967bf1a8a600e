//! Options of the commands that move services: `move`, `plan`, `apply`, `rollback`, `moves`, `promote`, `abort`, `resume`.
//!
//! It owns flags and how they become the request of a move. It must not know how a server is reached.

use std::path::PathBuf;

use clap::Args;
use dede_api::moves::{GoldenCase, MoveRequest};

use super::peers::ConfigOption;
use super::proof::ProofOptions;
use super::time::seconds;

/// Which move to make.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct MoveOptions {
    /// Service on the source; it is never changed. With --from-dir, its name [default: the directory's]. Several as
    /// ALIAS=SERVICE move together: all of these aliases switch in one step, or none does.
    #[arg(value_name = "SERVICE", required_unless_present = "from_dir")]
    pub(crate) services: Vec<String>,

    /// Server it comes from, by name or URL: a peer of the target, with --relay of this configuration.
    #[arg(long, value_name = "PEER", required_unless_present = "from_dir")]
    pub(crate) from: Option<String>,

    /// This command asks the source on behalf of a target that cannot reach it; the target needs no such peer. It must
    /// run until the answers are verified.
    #[arg(long, conflicts_with = "from_dir")]
    pub(crate) relay: bool,

    /// Repository directory on this machine instead of a server, such as an original DeepDetect's. Nothing is written there.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "with_requests", "with_training_state"])]
    pub(crate) from_dir: Option<PathBuf>,

    /// File with what a PUT of that service says, as JSON [default: the directory's config.json, where that suffices].
    #[arg(long, value_name = "FILE", requires = "from_dir")]
    pub(crate) parameters: Option<PathBuf>,

    /// Server it goes to: a peer in the configuration, or a URL.
    #[arg(long, value_name = "PEER")]
    pub(crate) to: String,

    /// Stable name that is switched to the service on the target. Without it the service is only brought there.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) alias: Option<String>,

    /// Name on the target [default: the one it has].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Directory on the target for its files [default: below the state directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) repository: Option<String>,

    /// For networks that do not fit into memory side by side: the former service is unloaded first, and requests wait
    /// while the new one is loaded. Nothing is compared on live requests.
    #[arg(long, conflicts_with_all = ["canary", "keep_for"])]
    pub(crate) replace_first: bool,

    /// Longest time that requests wait meanwhile; later ones are answered 503.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10s")]
    pub(crate) hold_for: u64,

    /// Take checkpoints along, so that the training can go on there.
    #[arg(long)]
    pub(crate) with_training_state: bool,

    #[command(flatten)]
    pub(crate) proof: ProofOptions,

    #[command(flatten)]
    pub(crate) watch: WatchOptions,

    #[command(flatten)]
    pub(crate) config: ConfigOption,
}

/// What happens after the switch, and what is shown meanwhile.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Afterwards")]
pub(crate) struct WatchOptions {
    /// How long the former service is compared with the new one after the switch; a worse one is rolled back.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10s")]
    pub(crate) watch_for: u64,

    /// Longest wait for requests in flight on the former service.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "30s")]
    pub(crate) drain_for: u64,

    /// How long the former service stays loaded after the move, so that a rollback takes no loading; then it is
    /// unloaded, and its files stay [default: until it is deleted].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) keep_for: Option<u64>,

    /// One JSON object per line instead of progress.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a command about moves goes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct OnOptions {
    /// Server: a peer in the configuration, or a URL [default: the only peer there is].
    #[arg(long, value_name = "PEER")]
    pub(crate) on: Option<String>,

    /// One JSON object per line instead of tables and progress.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) config: ConfigOption,
}

/// `dede plan`.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) options: MoveOptions,

    /// Write the plan to this file, for `dede apply`.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `dede apply`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ApplyOptions {
    /// File that `dede plan --out` wrote.
    pub(crate) plan: PathBuf,

    /// Server it was made for: a peer in the configuration, or a URL.
    #[arg(long, value_name = "PEER")]
    pub(crate) to: String,

    /// One JSON object per line instead of progress.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) relay: RelayOptions,

    #[command(flatten)]
    pub(crate) config: ConfigOption,
}

/// `dede moves`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct MovesOptions {
    /// One move; it is followed until it is over.
    pub(crate) id: Option<String>,

    #[command(flatten)]
    pub(crate) on: OnOptions,
}

/// `dede promote`, `abort`; with what is said about relays, `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ActOptions {
    /// Which move: m1, m2, …
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) on: OnOptions,
}

/// Options to continue a move that was begun with `--relay`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct RelayOptions {
    /// This command asks the source on behalf of the target, for a move or a plan that was begun with --relay.
    #[arg(long, requires = "from")]
    pub(crate) relay: bool,

    /// With --relay, the server the service comes from: a peer in the configuration, or a URL.
    #[arg(long, value_name = "PEER", requires = "relay")]
    pub(crate) from: Option<String>,
}

/// `dede resume`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ResumeOptions {
    #[command(flatten)]
    pub(crate) act: ActOptions,

    #[command(flatten)]
    pub(crate) relay: RelayOptions,
}

/// `dede rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct RollbackOptions {
    /// Which alias. Those that were switched together with it go back in the same step.
    pub(crate) alias: String,

    #[command(flatten)]
    pub(crate) on: OnOptions,
}

/// `dede verify`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct VerifyOptions {
    /// File with a certificate, as GET /moves/ID/certificate answers it.
    pub(crate) certificate: PathBuf,

    /// Key that must have signed it, 64 hex digits [default: any; it is shown].
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

impl MoveOptions {
    /// The request that the target is sent: the service on a source, with the golden cases that were read.
    pub(crate) fn request(&self, service: String, source: String, golden: Vec<GoldenCase>) -> MoveRequest {
        let proof = &self.proof;
        MoveRequest {
            service,
            source,
            alias: self.alias.clone(),
            name: self.name.clone(),
            repository: self.repository.clone(),
            with_training_state: self.with_training_state,
            with_requests: proof.with_requests,
            golden,
            policy: proof.policy(),
            shadow_for_s: proof.shadow_for,
            canary: proof.canary.clone(),
            auto: proof.auto,
            watch_for_s: self.watch.watch_for,
            drain_for_s: self.watch.drain_for,
            keep_for_s: self.watch.keep_for,
            replace_first: self.replace_first,
            hold_for_s: self.hold_for,
            plan: None,
            who: std::env::var("USER").ok().filter(|user| !user.is_empty()),
            also: Vec::new(),
        }
    }

    /// The services that move together, each after its alias; none where one moves alone.
    ///
    /// # Errors
    /// A sentence, for what cannot be said of several.
    pub(crate) fn together(&self) -> Result<Vec<(String, String)>, String> {
        if self.services.len() < 2 {
            let wants_alias = [("--keep-for", self.watch.keep_for.is_some()), ("--replace-first", self.replace_first)];
            let without = wants_alias.iter().find(|(_, is_given)| *is_given && self.alias.is_none());
            return without.map_or_else(
                || Ok(Vec::new()),
                |(option, _)| Err(format!("{option} needs --as NAME: otherwise nothing is replaced")),
            );
        }
        let refused = [
            ("--as", self.alias.is_some(), "each ALIAS=SERVICE says its alias"),
            ("--name", self.name.is_some(), "one name for several services; POST /moves takes one for each"),
            (
                "--repository",
                self.repository.is_some(),
                "one directory for several services; POST /moves takes one for each",
            ),
            (
                "--golden",
                self.proof.golden.is_some(),
                "the cases would be of one service; POST /moves takes cases for each",
            ),
            ("--relay", self.relay, "a relay asks for one service"),
            ("--from-dir", self.from_dir.is_some(), "a directory is one service"),
            ("--replace-first", self.replace_first, "requests would wait until the last network is loaded"),
            (
                "--canary",
                !self.proof.canary.is_empty(),
                "shares are drawn for each alias, so clients would meet new and former services together",
            ),
        ];
        if let Some((option, _, reason)) = refused.into_iter().find(|(_, is_given, _)| *is_given) {
            return Err(format!("{option} does not go with several services: {reason}"));
        }
        let split = |word: &String| {
            let parts = word.split_once('=').map(|(alias, service)| (alias.to_owned(), service.to_owned()));
            parts.ok_or_else(|| format!("of several services each is written ALIAS=SERVICE, found {word}"))
        };
        self.services.iter().map(split).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: MoveOptions,
    }

    fn together(line: &str) -> Result<Vec<(String, String)>, String> {
        let words = format!("move {line} --from dev --to prod");
        Line::try_parse_from(words.split_whitespace()).map_err(|error| error.to_string())?.options.together()
    }

    #[test]
    fn several_services_are_written_with_their_aliases() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, s)| ((*a).to_owned(), (*s).to_owned())).collect();
        for (line, expected) in [
            ("service2 --as a", vec![]),
            ("a=b", vec![]),
            ("a=b --as c --keep-for 1h", vec![]),
            (
                "detector=live-detector reader=x=y --auto --keep-for 1h",
                pairs(&[("detector", "live-detector"), ("reader", "x=y")]),
            ),
        ] {
            assert_eq!(together(line), Ok(expected), "{line}");
        }
        for (line, complaint) in [
            ("a --keep-for 1h", "--keep-for needs --as NAME"),
            ("a --replace-first", "--replace-first needs --as NAME"),
            ("a=b c", "each is written ALIAS=SERVICE, found c"),
            ("a=b c=d --as e", "--as does not go with several"),
            ("a=b c=d --name e", "--name does not go with several"),
            ("a=b c=d --repository /e", "--repository does not go with several"),
            ("a=b c=d --golden e", "--golden does not go with several"),
            ("a=b c=d --relay", "--relay does not go with several"),
            ("a=b c=d --replace-first", "--replace-first does not go with several"),
            ("a=b c=d --canary 5", "--canary does not go with several"),
        ] {
            assert!(together(line).is_err_and(|error| error.contains(complaint)), "{line}: {:?}", together(line));
        }
    }
}
