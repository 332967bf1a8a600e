//! Durations in bounded memory, with guaranteed bounds on their quantiles.

use std::time::Duration;

use super::sequence::ConfidenceSequence;

/// Buckets of one nanosecond each below this.
const LINEAR: u64 = 128;
/// Buckets per doubling above.
const PER_DOUBLING: u64 = 64;
/// Durations from 2^43 ns (2.4 hours) on share the last bucket.
const DOUBLINGS: u64 = 36;

/// A log-linear histogram (as HdrHistogram): any duration is known within 1/64 of itself, a quantile, answered as the middle of its
/// bucket, within 0.8 %, in 20 kB.
#[derive(Debug, Clone)]
pub struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    sum: Duration,
    max: Duration,
}

/// Bounds that a quantile surely lies between, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileBounds {
    /// Not below.
    pub low_ms: f64,
    /// Not above; `None` while there are too few durations to say.
    pub high_ms: Option<f64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let buckets = vec![0; (LINEAR + DOUBLINGS * PER_DOUBLING) as usize];
        Self { buckets, count: 0, sum: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
        self.max = self.max.max(took);
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean, milliseconds; 0 without any.
    pub fn mean_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum.as_secs_f64() * 1e3 / self.count as f64 }
    }

    /// The longest one, milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.max.as_secs_f64() * 1e3
    }

    /// The duration below which `share` of them are, milliseconds; 0 without any.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        self.at(rank).map_or(0.0, |(low, high)| f64::midpoint(low, high))
    }

    /// Where the quantile of the distribution they come from lies, whatever that is: order statistics of a confidence
    /// sequence, so that the answer may be asked for at any time. `alpha` is the chance to be ever wrong.
    pub fn quantile_bounds(&self, share: f64, alpha: f64) -> QuantileBounds {
        let sequence = ConfidenceSequence::around(1.0 - share);
        let (low, high) = sequence.quantile_ranks(share, self.count, alpha);
        QuantileBounds {
            low_ms: low.and_then(|rank| self.at(rank)).map_or(0.0, |(low, _)| low),
            high_ms: high.and_then(|rank| self.at(rank)).map(|(_, high)| high),
        }
    }

    /// The bucket of the value of this rank (from 1), milliseconds.
    fn at(&self, rank: u64) -> Option<(f64, f64)> {
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|index| {
            let (low, high) = edges(index as u64);
            (low as f64 / 1e6, high as f64 / 1e6)
        })
    }
}

fn bucket(nanoseconds: u64) -> usize {
    if nanoseconds < LINEAR {
        return nanoseconds as usize;
    }
    let doubling = u64::from(nanoseconds.ilog2() - LINEAR.ilog2());
    if doubling >= DOUBLINGS {
        return (LINEAR + DOUBLINGS * PER_DOUBLING - 1) as usize;
    }
    let within = (nanoseconds >> (doubling + 1)) - PER_DOUBLING;
    (LINEAR + doubling * PER_DOUBLING + within) as usize
}

/// Smallest and largest nanoseconds of a bucket.
fn edges(index: u64) -> (u64, u64) {
    if index < LINEAR {
        return (index, index);
    }
    let (doubling, within) = ((index - LINEAR) / PER_DOUBLING, (index - LINEAR) % PER_DOUBLING);
    let low = (PER_DOUBLING + within) << (doubling + 1);
    (low, low + (1 << (doubling + 1)) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_duration_is_known_within_a_sixty_fourth(nanoseconds in 0_u64..(1 << 42)) {
            let (low, high) = edges(bucket(nanoseconds) as u64);
            prop_assert!((low..=high).contains(&nanoseconds), "{low} {high}");
            prop_assert!(high - low <= nanoseconds / 64);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_list(mut micros in prop::collection::vec(1_u64..10_000_000, 1..200)) {
            let mut latencies = Latencies::default();
            micros.iter().for_each(|&micros| latencies.record(Duration::from_micros(micros)));
            micros.sort_unstable();
            for share in [0.5, 0.9, 0.99, 1.0] {
                let rank = ((share * micros.len() as f64).ceil() as usize).max(1);
                let exact = micros[rank - 1] as f64 / 1e3;
                prop_assert!((latencies.quantile_ms(share) - exact).abs() <= 0.008 * exact, "{share} of {micros:?}");
            }
        }
    }

    #[test]
    fn extremes_have_a_bucket() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.quantile_ms(0.5), latencies.mean_ms()), (0.0, 0.0));
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.quantile_ms(1.0) > 8e6);
    }

    #[test]
    fn bounds_hold_the_quantile_and_need_enough_values() {
        let mut latencies = Latencies::default();
        for step in 1..=20_000_u64 {
            latencies.record(Duration::from_micros(step * 7919 % 20_000 + 1));
            if step == 100 {
                assert_eq!(latencies.quantile_bounds(0.99, 0.005).high_ms, None);
            }
        }
        let bounds = latencies.quantile_bounds(0.99, 0.005);
        let high_ms = bounds.high_ms.expect("enough values");
        assert!(bounds.low_ms < 19.8 && 19.8 < high_ms, "{bounds:?}");
        assert!(bounds.low_ms > 19.6 && high_ms < 20.3, "{bounds:?}");
    }
}
