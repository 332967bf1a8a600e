//! Moves under saturation: two servers, clients that never pause, and everything that a move can come to.
//!
//! Every request is answered once, 200, by exactly the version that is right at that moment: a request that begins
//! after the first answer of the new version never gets the old one, and none gets the new one while it is only being
//! proved. Counters of the server equal those of the clients, version by version. After a good move the source is gone,
//! with its files, before the target's answers are looked at.

mod bad;
mod commands;
mod exchange;
mod good;
mod meddling;
mod stage;

/// Test functions of this module; each answers its share of the requests.
const SCENARIOS: u64 = 17;
/// Requests of all of them together; with `DEDE_FULL` set as many as the product promises.
const REQUESTS: u64 = 30_000;
const REQUESTS_FULL: u64 = 1_000_000;

/// Requests that one scenario answers at least.
fn share() -> u64 {
    let all = if std::env::var_os("DEDE_FULL").is_some() { REQUESTS_FULL } else { REQUESTS };
    all.div_ceil(SCENARIOS)
}
