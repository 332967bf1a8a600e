//! Options that say what a move has to prove before it switches.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dede_api::Object;
use serde_json::Value;

use super::time::seconds;

/// What must be shown before the switch.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct ProofOptions {
    /// The inputs whose answers must be reproduced are recent requests of the source; they are sent to the target.
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

    /// Share of requests that it may answer otherwise, with --expect same or better-latency.
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

/// `--expect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    /// The same answers, within the tolerance of the task.
    Same,
    /// The same answers, with a p50 or p99 that is surely shorter.
    BetterLatency,
    /// Anything that does not fail: differences are reported.
    Report,
}

impl ProofOptions {
    /// The members of the policy that were given.
    pub(super) fn policy(&self) -> Object {
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
