//! A share with its confidence interval, for reports that are read once.

use serde::{Deserialize, Serialize};

/// A share and the interval that holds the true one with 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The share observed, from 0 to 1.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Rate {
    /// The standard normal quantile of 97.5 %.
    const Z: f64 = 1.959_963_984_540_054;

    /// `count` of `total`, observed in `independent` requests: answers of one request may be alike, so the interval (Wilson's
    /// score interval, J. Amer. Statist. Assoc. 22, 1927) is as wide as if each request had one answer. `None` without any.
    pub fn of(count: u64, total: u64, independent: u64) -> Option<Self> {
        if total == 0 || independent == 0 {
            return None;
        }
        let rate = count as f64 / total as f64;
        let n = independent.min(total) as f64;
        let square = Self::Z * Self::Z;
        let middle = (rate + square / (2.0 * n)) / (1.0 + square / n);
        let half = Self::Z / (1.0 + square / n) * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).sqrt();
        let (low, high) = ((middle - half).clamp(0.0, rate), (middle + half).clamp(rate, 1.0));
        Some(Self { rate, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        let rate = Rate::of(81, 263, 263).expect("some");
        assert!((rate.low - 0.2553).abs() < 1e-4 && (rate.high - 0.3662).abs() < 1e-4, "{rate:?}");
        let all = Rate::of(100, 100, 100).expect("some");
        assert!(all.high == 1.0 && (all.low - 0.9630).abs() < 1e-4, "{all:?}");
        assert_eq!(Rate::of(0, 0, 0), None);
    }

    #[test]
    fn answers_of_one_request_count_once() {
        let single = Rate::of(90, 100, 100).expect("some");
        let batches = Rate::of(900, 1000, 100).expect("some");
        assert_eq!(single, batches);
    }
}
