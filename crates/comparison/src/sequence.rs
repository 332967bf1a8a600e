//! Confidence sequences: bounds on a rate, or on a quantile, that hold even when they are looked at after every
//! observation.
//!
//! An ordinary confidence interval is right 99 times in 100 when it is looked at once. Looked at after each of thousands of requests,
//! until it says what one hoped for, it is wrong far more often. A *confidence sequence* is right at all times at once with that probability,
//! so that a test may stop whenever it is sure.
//!
//! Observations are numbers from 0 to 1 whose mean, given the past, is `m`: nothing is asked of their distribution, so a
//! request with several samples counts as one observation, the share of its answers that differ, however alike those are. For any
//! `p`, `∏ (p/m)^x ((1-p)/(1-m))^(1-x)` is then a nonnegative supermartingale that starts at 1 (a weighted geometric mean is at most the
//! arithmetic one, whose expectation is 1), and so is its mean over `p ~ Beta(a, b)`:
//!
//! `M(m) = B(a + s, b + n - s) / B(a, b) / (m^s (1-m)^(n-s))`, where `s` is the sum of `n` observations.
//!
//! By Ville's inequality `M` of the true mean ever reaches `1/alpha` with a probability of at most `alpha`; the means whose `M` has not are the
//! confidence sequence. (Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Statist. 41, 1970;
//! Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Statist. 49, 2021,
//! where this is the beta-binomial mixture; for quantiles, Howard and Ramdas, "Sequential estimation of quantiles", Bernoulli 28, 2022.)
//!
//! Wald's sequential probability ratio test would stop a little earlier at the two rates it is made for, but says nothing of the rates between
//! them; this one is right about the threshold itself.

use std::ops::RangeInclusive;

/// Where a mean lies, seen from a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Surely below.
    Below,
    /// Surely above.
    Above,
    /// It cannot be said yet.
    Unclear,
}

/// A beta-binomial mixture, sharpest for rates of the size it is made for, and right for all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceSequence {
    a: f64,
    b: f64,
}

impl ConfidenceSequence {
    /// For rates of about `rate`: `Beta(1/2, …)` with that mean. It must be chosen before the first observation.
    pub fn around(rate: f64) -> Self {
        let rate = rate.clamp(1e-6, 1.0 - 1e-6);
        Self { a: 0.5, b: 0.5 * (1.0 - rate) / rate }
    }

    /// `ln M(mean)`: how much the observations speak against that mean.
    fn evidence(self, sum: f64, count: u64, mean: f64) -> f64 {
        let rest = (count as f64 - sum).max(0.0);
        let likelihood = times_ln(sum, mean) + times_ln(rest, 1.0 - mean);
        ln_beta(self.a + sum, self.b + rest) - ln_beta(self.a, self.b) - likelihood
    }

    /// Where the mean of `count` observations with this sum lies. `alpha` is the chance to be ever wrong.
    pub fn position(self, sum: f64, count: u64, threshold: f64, alpha: f64) -> Position {
        if count == 0 || self.evidence(sum, count, threshold) < -alpha.ln() {
            return Position::Unclear;
        }
        if sum < threshold * count as f64 { Position::Below } else { Position::Above }
    }

    /// The means that are not ruled out.
    pub fn bounds(self, sum: f64, count: u64, alpha: f64) -> RangeInclusive<f64> {
        if count == 0 {
            return 0.0..=1.0;
        }
        let mean = sum / count as f64;
        let ruled_out = |mean: f64| self.evidence(sum, count, mean) >= -alpha.ln();
        let low = if ruled_out(0.0) { boundary(mean, 0.0, ruled_out) } else { 0.0 };
        let high = if ruled_out(1.0) { boundary(mean, 1.0, ruled_out) } else { 1.0 };
        low..=high
    }

    /// The order statistics (1-based ranks) of `count` values between which the quantile `share` lies; `None` where there are not
    /// enough values for that side. Use a sequence around `1 - share`.
    pub fn quantile_ranks(self, share: f64, count: u64, alpha: f64) -> (Option<u64>, Option<u64>) {
        let ruled_out = |rank: u64| self.evidence((count - rank) as f64, count, 1.0 - share) >= -alpha.ln();
        let middle = (share * count as f64).round() as u64;
        // The ranks ruled out are those far from the middle: `evidence` is convex.
        let low = ruled_out(0).then(|| partition(0, middle, |rank| !ruled_out(rank)));
        let high = ruled_out(count).then(|| partition(middle, count, ruled_out));
        (low.filter(|rank| *rank > 0), high)
    }
}

/// Between a value that is not ruled out and one that is: the limit, on the ruled-out side.
fn boundary(inside: f64, outside: f64, ruled_out: impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (inside, outside);
    for _ in 0..60 {
        let middle = f64::midpoint(inside, outside);
        if ruled_out(middle) { outside = middle } else { inside = middle }
    }
    outside
}

/// The first number in `from..=to` for which `holds`, which holds from there on.
fn partition(from: u64, to: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut from, mut to) = (from, to);
    while from < to {
        let middle = u64::midpoint(from, to);
        if holds(middle) { to = middle } else { from = middle + 1 }
    }
    to
}

/// `factor × ln(value)`, 0 for a factor of 0.
fn times_ln(factor: f64, value: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { factor * value.ln() }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Stirling's series, shifted to where it is exact to the last digits (Abramowitz and Stegun 6.1.41).
fn ln_gamma(value: f64) -> f64 {
    let mut shifted = value;
    let mut product = 1.0;
    while shifted < 10.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    let series = inverse / 12.0
        * (1.0
            - square / 30.0 * (1.0 - square * 2.0 / 7.0 * (1.0 - square * 3.0 / 4.0 * (1.0 - square * 140.0 / 99.0))));
    let half_ln_two_pi = 0.918_938_533_204_672_8;
    (shifted - 0.5) * shifted.ln() - shifted + half_ln_two_pi + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_is_the_logarithm_of_factorials() {
        let mut factorial = 1.0_f64;
        for number in 1..100_u32 {
            let found = ln_gamma(f64::from(number));
            assert!((found - factorial.ln()).abs() <= 1e-12 * factorial.ln().max(1.0), "{number}: {found}");
            factorial *= f64::from(number);
        }
        let root_of_pi = std::f64::consts::PI.sqrt();
        assert!((ln_gamma(0.5) - root_of_pi.ln()).abs() < 1e-13);
    }

    #[test]
    fn bounds_hold_the_mean_and_narrow() {
        let sequence = ConfidenceSequence::around(0.02);
        assert_eq!(sequence.bounds(0.0, 0, 0.01), 0.0..=1.0);
        let mut width = 1.0;
        for count in [10, 100, 1000, 10_000, 1_000_000_u64] {
            let bounds = sequence.bounds(count as f64 * 0.05, count, 0.01);
            assert!(bounds.contains(&0.05), "{bounds:?}");
            assert!(bounds.end() - bounds.start() < width, "{bounds:?}");
            width = bounds.end() - bounds.start();
        }
        assert_eq!(*sequence.bounds(0.0, 1000, 0.01).start(), 0.0);
        assert_eq!(*sequence.bounds(1000.0, 1000, 0.01).end(), 1.0);
    }

    #[test]
    fn positions_are_what_bounds_say() {
        let sequence = ConfidenceSequence::around(0.02);
        for (sum, count) in [(0.0, 100), (0.0, 1000), (3.5, 1000), (20.0, 1000), (60.0, 1000), (10.0, 10)] {
            let bounds = sequence.bounds(sum, count, 0.01);
            let expected = match bounds {
                bounds if *bounds.end() < 0.02 => Position::Below,
                bounds if *bounds.start() > 0.02 => Position::Above,
                _ => Position::Unclear,
            };
            assert_eq!(sequence.position(sum, count, 0.02, 0.01), expected, "{sum} of {count}");
        }
    }

    #[test]
    fn ranks_of_quantiles_need_enough_values() {
        let tail = ConfidenceSequence::around(0.01);
        assert_eq!(tail.quantile_ranks(0.99, 100, 0.005).1, None, "nobody knows a p99 from 100 values");
        let least = (1..).find(|&count| tail.quantile_ranks(0.99, count, 0.005).1.is_some()).expect("some number is");
        assert!((600..800).contains(&least), "{least}");
        let (low, high) = tail.quantile_ranks(0.99, 10_000, 0.005);
        let (low, high) = (low.expect("enough values"), high.expect("enough values"));
        assert!(low < 9_900 && 9_900 < high && low > 9_800 && high < 9_990, "{low} {high}");
    }
}
