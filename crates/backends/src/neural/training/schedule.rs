//! The learning rate of each iteration.
//!
//! Formulas and names are Caffe's (`SGDSolver::GetLearningRate` and the comments of `SolverParameter.lr_policy`). This file
//! must not know how parameters are written in a request.

/// How the rate falls. Closed: a policy is its formula.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Policy {
    /// `base`
    Fixed,
    /// `base · gamma^⌊t / step⌋`
    Step { gamma: f64, step: u64 },
    /// `base · gamma^t`
    Exponential { gamma: f64 },
    /// `base · (1 + gamma · t)^-power`
    Inverse { gamma: f64, power: f64 },
    /// `base · gamma^(number of steps at or before t)`, steps ascending
    MultiStep { gamma: f64, steps: Vec<u64> },
    /// `base · (1 - t / iterations)^power`
    Polynomial { power: f64 },
    /// `base / (1 + e^(-gamma · (t - step)))`
    Sigmoid { gamma: f64, step: u64 },
}

/// A straight line from `rate` at iteration 0 to the base rate at `iterations`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WarmUp {
    pub(super) rate: f64,
    pub(super) iterations: u64,
}

/// Everything that decides the rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schedule {
    pub(super) base: f64,
    pub(super) policy: Policy,
    pub(super) warm_up: Option<WarmUp>,
    /// The policy's rate never falls below this.
    pub(super) minimum: f64,
    /// Iterations of the whole training, for [`Policy::Polynomial`].
    pub(super) iterations: u64,
}

impl Schedule {
    /// The rate of the 0-based `iteration`.
    pub(super) fn rate(&self, iteration: u64) -> f64 {
        if let Some(warm_up) = self.warm_up
            && iteration < warm_up.iterations
        {
            let share = iteration as f64 / warm_up.iterations as f64;
            return warm_up.rate + (self.base - warm_up.rate) * share;
        }
        (self.base * self.factor(iteration)).max(self.minimum)
    }

    fn factor(&self, iteration: u64) -> f64 {
        let t = iteration as f64;
        match &self.policy {
            Policy::Fixed => 1.0,
            Policy::Step { gamma, step } => gamma.powf((iteration / step) as f64),
            Policy::Exponential { gamma } => gamma.powf(t),
            Policy::Inverse { gamma, power } => (1.0 + gamma * t).powf(-power),
            Policy::MultiStep { gamma, steps } => {
                gamma.powf(steps.iter().filter(|step| **step <= iteration).count() as f64)
            }
            Policy::Polynomial { power } => (1.0 - t / self.iterations as f64).max(0.0).powf(*power),
            Policy::Sigmoid { gamma, step } => 1.0 / (1.0 + (-gamma * (t - *step as f64)).exp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(policy: Policy) -> Schedule {
        Schedule { base: 0.1, policy, warm_up: None, minimum: 0.0, iterations: 100 }
    }

    /// Expected values computed by hand from the formulas.
    #[test]
    fn each_policy_follows_its_formula() {
        let multistep = Policy::MultiStep { gamma: 0.5, steps: vec![10, 20] };
        let table = [
            (Policy::Fixed, vec![(0, 0.1), (99, 0.1)]),
            (Policy::Step { gamma: 0.1, step: 30 }, vec![(0, 0.1), (29, 0.1), (30, 0.01), (60, 0.001)]),
            (Policy::Exponential { gamma: 0.9 }, vec![(0, 0.1), (1, 0.09), (2, 0.081)]),
            (Policy::Inverse { gamma: 1.0, power: 0.5 }, vec![(0, 0.1), (3, 0.05), (99, 0.01)]),
            (multistep, vec![(9, 0.1), (10, 0.05), (19, 0.05), (20, 0.025)]),
            (Policy::Polynomial { power: 2.0 }, vec![(0, 0.1), (50, 0.025), (90, 0.001), (100, 0.0), (200, 0.0)]),
            (Policy::Sigmoid { gamma: -1.0, step: 5 }, vec![(5, 0.05), (6, 0.1 / (1.0 + 1f64.exp()))]),
        ];
        for (policy, points) in table {
            for (iteration, expected) in points {
                let found = schedule(policy.clone()).rate(iteration);
                assert!((found - expected).abs() < 1e-12, "{policy:?} at {iteration}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn warm_up_is_a_line_and_the_minimum_a_floor() {
        let warm_up = Some(WarmUp { rate: 0.02, iterations: 4 });
        let warm = Schedule { warm_up, ..schedule(Policy::Fixed) };
        let rates: Vec<f64> = (0..6).map(|iteration| warm.rate(iteration)).collect();
        for (found, expected) in rates.iter().zip([0.02, 0.04, 0.06, 0.08, 0.1, 0.1]) {
            assert!((found - expected).abs() < 1e-12, "{rates:?}");
        }
        let floored = Schedule { minimum: 0.03, ..schedule(Policy::Exponential { gamma: 0.5 }) };
        assert_eq!(floored.rate(1), 0.05);
        assert_eq!(floored.rate(2), 0.03);
    }
}
