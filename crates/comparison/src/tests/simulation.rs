//! How often verdicts are wrong when they are asked for after every request, and how early they come: 2,000 simulated runs each,
//! from a fixed seed.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::{ConfidenceSequence, Position};

const RUNS: usize = 2000;
const ALLOWED: f64 = 0.02;
const ALPHA: f64 = 0.01;

/// Shares of wrong and right ends, and the median length.
struct Ends {
    below: f64,
    above: f64,
    median: u64,
}

/// Observes until the position is clear or `most` observations are made.
fn simulate(seed: u64, most: u64, observation: impl Fn(&mut dyn FnMut() -> f64) -> f64) -> Ends {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = move || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let sequence = ConfidenceSequence::around(ALLOWED);
    let (mut below, mut above, mut lengths) = (0, 0, Vec::with_capacity(RUNS));
    for _ in 0..RUNS {
        let (mut sum, mut count, mut position) = (0.0, 0, Position::Unclear);
        while position == Position::Unclear && count < most {
            sum += observation(&mut uniform);
            count += 1;
            position = sequence.position(sum, count, ALLOWED, ALPHA);
        }
        below += usize::from(position == Position::Below);
        above += usize::from(position == Position::Above);
        lengths.push(count);
    }
    lengths.sort_unstable();
    Ends { below: below as f64 / RUNS as f64, above: above as f64 / RUNS as f64, median: lengths[RUNS / 2] }
}

fn yes_or_no(rate: f64) -> impl Fn(&mut dyn FnMut() -> f64) -> f64 {
    move |uniform| f64::from(u8::from(uniform() < rate))
}

/// The worst case of both errors is a rate exactly at the threshold: every end is wrong there.
#[test]
fn at_the_threshold_hardly_any_run_ends() {
    let ends = simulate(1, 5000, yes_or_no(ALLOWED));
    assert!(ends.below + ends.above <= ALPHA, "{} + {}", ends.below, ends.above);
}

/// Requests of several alike samples: the mean is the same, the spread is not.
#[test]
fn batches_of_alike_answers_end_no_run_wrongly() {
    let shares = |uniform: &mut dyn FnMut() -> f64| match uniform() {
        u if u < 2.0 * ALLOWED => uniform(),
        _ => 0.0,
    };
    let ends = simulate(2, 5000, shares);
    assert!(ends.below + ends.above <= ALPHA, "{} + {}", ends.below, ends.above);
}

/// Looking 5,000 times at an ordinary interval of the same confidence is wrong many times as often, so the test above tests something.
#[test]
fn an_ordinary_interval_would_be_wrong_far_more_often() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut wrong = 0;
    for _ in 0..200 {
        let mut sum = 0.0_f64;
        let ended = (1..=5000).any(|count| {
            sum += f64::from(u8::from(random.next_u64() < (ALLOWED * u64::MAX as f64) as u64));
            let deviation = (ALLOWED * (1.0 - ALLOWED) * f64::from(count)).sqrt();
            count > 100 && (sum - ALLOWED * f64::from(count)).abs() > 2.576 * deviation
        });
        wrong += usize::from(ended);
    }
    assert!(wrong >= 10, "{wrong} of 200");
}

#[test]
fn clear_cases_end_early_and_right() {
    // Rate, least and most median of requests, and which end is right.
    for (rate, medians, right) in [
        (0.0, 250..=350, Position::Below),
        (ALLOWED / 4.0, 400..=900, Position::Below),
        (ALLOWED / 2.0, 1000..=3000, Position::Below),
        (ALLOWED * 2.0, 500..=2000, Position::Above),
        (ALLOWED * 4.0, 50..=250, Position::Above),
        (0.5, 3..=15, Position::Above),
    ] {
        let ends = simulate(4, 20_000, yes_or_no(rate));
        let (right, wrong) = if right == Position::Below { (ends.below, ends.above) } else { (ends.above, ends.below) };
        assert!(wrong <= ALPHA && right >= 0.98, "rate {rate}: {right} right, {wrong} wrong");
        assert!(medians.contains(&ends.median), "rate {rate}: median {}", ends.median);
    }
}
