//! Every target on what is in its corpus, and on mutants of that: `DEDE_FUZZ_TARGET_S` seconds each (1 without it), the same ones for the
//! same `DEDE_FUZZ_SEED`. A mutant that a target does not survive is in the message.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dede_fuzz::{Run, TARGETS};
use dede_testing::mutants::{Random, from_environment};

/// Longest time that a target may take for one input.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest mutant, bytes.
const LARGEST: usize = 64 << 10;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("readable")).collect()
}

fn survives(target: &str, run: Run, input: &[u8]) {
    let began = Instant::now();
    let shown = || input.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect::<String>();
    assert!(catch_unwind(|| run(input)).is_ok(), "{target} panics on {}", shown());
    assert!(began.elapsed() < PATIENCE, "{target} takes {:?} for {}", began.elapsed(), shown());
}

fn fuzz(target: &str, run: Run, seed: u64, time: Duration) {
    let originals = corpus(target);
    originals.iter().for_each(|original| survives(target, run, original));
    let (mut random, began, mut mutants) = (Random::seeded(seed), Instant::now(), 0_u64);
    while began.elapsed() < time {
        let mut mutant = random.mutant(&originals);
        mutant.truncate(LARGEST);
        survives(target, run, &mutant);
        mutants += 1;
    }
    eprintln!("{target}: {mutants} mutants of {}, seed {seed}", originals.len());
}

#[test]
fn no_target_panics_or_hangs() {
    let time = Duration::from_secs(from_environment("DEDE_FUZZ_TARGET_S", 1));
    let (seed, next) = (from_environment("DEDE_FUZZ_SEED", 1), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((target, run)) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    fuzz(target, *run, seed, time);
                }
            });
        }
    });
}

#[test]
#[should_panic(expected = "broken panics on \\x00a")]
fn a_target_that_panics_is_reported_with_its_input() {
    survives("broken", |bytes| assert!(bytes.is_empty()), b"\0a");
}
