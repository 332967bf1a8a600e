//! Options of the commands that move services: `move`, `plan`, `apply`, `rollback`, `moves`, `promote`, `abort`, `resume`.
//!
//! It owns flags and how they become the request of a move. It must not know how a server is reached.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dede_api::Object;
use dede_api::moves::{GoldenCase, MoveRequest};
use serde_json::Value;

use super::peers::ConfigOption;

/// Which move to make.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct MoveOptions {
    /// Service on the source; it is never changed. With --from-dir, its name [default: the directory's].
    #[arg(required_unless_present = "from_dir")]
    pub(crate) service: Option<String>,

    /// Server it comes from: a peer of the target, by name or URL.
    #[arg(long, value_name = "PEER", required_unless_present = "from_dir")]
    pub(crate) from: Option<String>,

    /// Repository directory on this machine instead of a server, such as an original DeepDetect's. Nothing is written there.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "with_requests", "with_training_state"])]
    pub(crate) from_dir: Option<PathBuf>,

    /// File with what a PUT of that service says, as JSON [default: the directory's config.json, where that suffices].
    #[arg(long, value_name = "FILE", requires = "from_dir")]
    pub(crate) parameters: Option<PathBuf>,

    /// Server it goes to: a peer in the configuration, or a URL.
    #[arg(long, value_name = "PEER")]
    pub(crate) to: String,

    /// Stable name that is switched to it on the target. Without it the service is only brought there.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) alias: Option<String>,

    /// Name on the target [default: the one it has].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Directory on the target for its files [default: below the state directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) repository: Option<String>,

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

/// What must be shown before the switch.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct ProofOptions {
    /// Recent requests of the source are the inputs whose answers must be reproduced; they travel.
    #[arg(long)]
    pub(crate) with_requests: bool,

    /// Directory of golden cases, one JSON file each: {"request": …, "predictions": […]}.
    #[arg(long, value_name = "DIR")]
    pub(crate) golden: Option<PathBuf>,

    /// What the new service must be, compared with the one it replaces [default: report].
    #[arg(long, value_enum)]
    pub(crate) expect: Option<Expect>,

    /// Requests that the new service may fail on [default: 0].
    #[arg(long, value_name = "N")]
    pub(crate) max_errors: Option<u64>,

    /// How much slower its p99 may be [default: 1.2].
    #[arg(long, value_name = "RATIO")]
    pub(crate) max_p99_ratio: Option<f64>,

    /// Share of requests that it may answer otherwise, with --expect same.
    #[arg(long, value_name = "SHARE")]
    pub(crate) max_disagreement: Option<f64>,

    /// Most live requests that are compared.
    #[arg(long, value_name = "N")]
    pub(crate) shadow_requests: Option<u64>,

    /// Longest time that live requests are compared, such as 90s, 10m, 1h.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "60s")]
    pub(crate) shadow_for: u64,

    /// Shares of the traffic that it answers before the switch, such as 1,10,50.
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',')]
    pub(crate) canary: Vec<u8>,

    /// Switch when the verdict is "safe", without waiting for `dede promote`.
    #[arg(long)]
    pub(crate) auto: bool,
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

    /// How long the former service stays loaded after the move, so that going back takes no loading; then it leaves memory, and
    /// its files stay [default: until somebody deletes it].
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "alias")]
    pub(crate) keep_for: Option<u64>,

    /// One JSON object per line instead of progress.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--expect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    /// The same answers, within the tolerance of the task.
    Same,
    /// Faster, with answers as they may be.
    BetterLatency,
    /// Anything that does not fail: differences are reported.
    Report,
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

/// `dede promote`, `abort`, `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ActOptions {
    /// Which move: m1, m2, …
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) on: OnOptions,
}

/// `dede rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct RollbackOptions {
    /// Which alias.
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
            plan: None,
            who: std::env::var("USER").ok().filter(|user| !user.is_empty()),
        }
    }
}

impl ProofOptions {
    /// The members of the policy that were given.
    fn policy(&self) -> Object {
        let expect = self.expect.map(|expect| match expect {
            Expect::Same => "same",
            Expect::BetterLatency => "better-latency",
            Expect::Report => "report",
        });
        let members: [(&str, Option<Value>); 5] = [
            ("expect", expect.map(Value::from)),
            ("max_errors", self.max_errors.map(Value::from)),
            ("max_p99_ratio", self.max_p99_ratio.map(Value::from)),
            ("max_disagreement", self.max_disagreement.map(Value::from)),
            ("requests", self.shadow_requests.map(Value::from)),
        ];
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// `90`, `90s`, `10m`, `1h` in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        Some((end, 'h')) => (&text[..end], 3600),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "expected a time such as 90s, 10m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1s", "1.5m", "10d", "99999999999999999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
