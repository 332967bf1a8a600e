//! Requests that a service refused, where the other one cannot be asked about them: whether they are more than usual.

use dede_comparison::{ConfidenceSequence, Position};
use dede_engine::service::Service;

/// A share of refused requests that is nothing unusual.
pub(crate) const LEAST_SHARE: f64 = 0.02;

/// Requests of a service, and those of them that it refused.
pub(crate) struct Refusals {
    pub(crate) requests: u64,
    pub(crate) refused: u64,
}

impl Refusals {
    pub(crate) fn of(service: &Service) -> Self {
        let counters = service.statistics.snapshot();
        Self { requests: counters.successes + counters.failures, refused: counters.failures }
    }

    pub(crate) fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.refused as f64 / self.requests as f64 }
    }

    /// Whether all requests were refused, and that is as unlikely as `alpha` where each is refused with the probability
    /// `share`.
    pub(crate) fn are_all_refused(&self, share: f64, alpha: f64) -> bool {
        self.requests > 0 && self.refused == self.requests && share.powf(self.requests as f64) <= alpha
    }

    /// Whether the share of refused requests is above `share`; wrong with a probability of at most `alpha`, however
    /// often it is called.
    pub(crate) fn is_surely_above(&self, share: f64, alpha: f64) -> bool {
        let sequence = ConfidenceSequence::around(share.min(0.5));
        self.requests > 0
            && sequence.position(self.refused as f64, self.requests, share.min(0.99), alpha) == Position::Above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_requests_that_are_all_refused_are_told_from_chance() {
        let all = |refused, requests, usual| Refusals { requests, refused }.are_all_refused(usual, 0.01);
        for (refused, requests, usual, expected) in [
            (0, 0, 0.02, false),
            (1, 1, 0.02, false),
            (2, 2, 0.02, true),
            (2, 3, 0.02, false),
            (3, 3, 0.5, false),
            (7, 7, 0.5, true),
            (100, 100, 1.0, false),
        ] {
            assert_eq!(all(refused, requests, usual), expected, "{refused} of {requests}, usually {usual}");
        }
    }

    #[test]
    fn a_service_that_refuses_most_is_told_from_one_that_refuses_as_usual() {
        let above = |refused, requests, usual| Refusals { requests, refused }.is_surely_above(usual, 0.01);
        for (refused, requests, usual, expected) in [
            (0, 0, 0.02, false),
            (0, 1000, 0.02, false),
            (1, 1, 0.02, false),
            (10, 10, 0.02, true),
            (20, 1000, 0.02, false),
            (300, 1000, 0.25, false),
            (900, 1000, 0.25, true),
        ] {
            assert_eq!(above(refused, requests, usual), expected, "{refused} of {requests}, usually {usual}");
        }
    }
}
