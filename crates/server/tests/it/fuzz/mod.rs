//! Random mutants of what clients and repositories bring, for `DEDE_FUZZ_S` seconds each (3 without it), the same ones for the same
//! `DEDE_FUZZ_SEED`. Whatever comes is answered: no 500, no panic, no memory that grows, and the server goes on.

mod images;
mod models;
mod parameters;
mod raw;

use std::time::{Duration, Instant};

use dede_testing::mutants::{Random, from_environment};

use crate::server::Server;

/// Memory that a server may take on in a run, MiB.
const GROWTH_MB: u64 = 400;

/// Runs `attempt` for the time that is set, and looks at the server afterwards.
fn run(what: &str, server: &Server, mut attempt: impl FnMut(&mut Random)) {
    let (seed, time) = (from_environment("DEDE_FUZZ_SEED", 1), Duration::from_secs(from_environment("DEDE_FUZZ_S", 3)));
    let mut random = Random::seeded(seed);
    let (began, before_mb, mut attempts) = (Instant::now(), server.resident_mb(), 0);
    while began.elapsed() < time {
        attempt(&mut random);
        attempts += 1;
    }
    assert_eq!(server.get("/info").0, 200, "{what}");
    let grown_mb = server.resident_mb().saturating_sub(before_mb);
    assert!(grown_mb < GROWTH_MB, "{what}: {grown_mb} MB more after {attempts} attempts");
    let log = server.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    eprintln!("{what}: {attempts} attempts, seed {seed}, {grown_mb} MB more");
}
