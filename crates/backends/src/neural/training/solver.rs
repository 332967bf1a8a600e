//! Update rules on flat weights, with a state that can be stored.
//!
//! Formulas are Caffe's (`src/caffe/solvers`), with its constant `delta` 1e-8; ADAMW is the decoupled weight decay of Loshchilov and
//! Hutter (arXiv:1711.05101, algorithm 2, schedule multiplier folded into the rate). This file must not know tensors, networks or
//! files.

/// Added to denominators (`SolverParameter.delta`).
const DELTA: f32 = 1e-8;

/// How a gradient becomes a change. Closed: a rule is its formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// Gradient descent with momentum.
    Sgd { momentum: f32 },
    /// Momentum looked ahead.
    Nesterov { momentum: f32 },
    /// Rates fall with the sum of squared gradients.
    AdaGrad,
    /// Rates fall with a decaying mean of squared gradients.
    RmsProp { decay: f32 },
    /// Steps scaled by the ratio of past steps to past gradients.
    AdaDelta { momentum: f32 },
    /// First and second moments, bias-corrected.
    Adam { beta1: f32, beta2: f32 },
    /// [`Rule::Adam`] with weight decay apart from the gradient.
    AdamW { beta1: f32, beta2: f32 },
}

impl Rule {
    /// Values kept per weight.
    pub(super) fn slots(self) -> usize {
        match self {
            Self::Sgd { .. } | Self::Nesterov { .. } | Self::AdaGrad | Self::RmsProp { .. } => 1,
            Self::AdaDelta { .. } | Self::Adam { .. } | Self::AdamW { .. } => 2,
        }
    }

    fn decays_apart(self) -> bool {
        match self {
            Self::AdamW { .. } => true,
            Self::Sgd { .. }
            | Self::Nesterov { .. }
            | Self::AdaGrad
            | Self::RmsProp { .. }
            | Self::AdaDelta { .. }
            | Self::Adam { .. } => false,
        }
    }
}

/// A rule with what it remembers of every weight.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solver {
    rule: Rule,
    weight_decay: f32,
    /// `[array of weights][slot][weight]`
    state: Vec<Vec<Vec<f32>>>,
}

impl Solver {
    /// For arrays of weights of these lengths; nothing is remembered yet.
    pub(super) fn new(rule: Rule, weight_decay: f32, lengths: &[usize]) -> Self {
        let state = lengths.iter().map(|length| vec![vec![0.0; *length]; rule.slots()]).collect();
        Self { rule, weight_decay, state }
    }

    /// What is remembered of array `index`, slot by slot.
    pub(super) fn slots(&self, index: usize) -> &[Vec<f32>] {
        &self.state[index]
    }

    /// The same, to put back what a checkpoint holds.
    pub(super) fn slots_mut(&mut self, index: usize) -> &mut [Vec<f32>] {
        &mut self.state[index]
    }

    /// Changes array `index` of weights by one step. `iteration` is 0-based; `gradient` is used up.
    pub(super) fn step(&mut self, index: usize, iteration: u64, rate: f64, weights: &mut [f32], gradient: &mut [f32]) {
        let rate = rate as f32;
        if self.weight_decay != 0.0 {
            self.decay(rate, weights, gradient);
        }
        match (self.rule, self.state[index].as_mut_slice()) {
            (Rule::Sgd { momentum }, [history]) => sgd(momentum, rate, weights, gradient, history),
            (Rule::Nesterov { momentum }, [history]) => nesterov(momentum, rate, weights, gradient, history),
            (Rule::AdaGrad, [history]) => adagrad(rate, weights, gradient, history),
            (Rule::RmsProp { decay }, [history]) => rmsprop(decay, rate, weights, gradient, history),
            (Rule::AdaDelta { momentum }, [gradients, steps]) => {
                adadelta(momentum, rate, weights, gradient, gradients, steps);
            }
            (Rule::Adam { beta1, beta2 } | Rule::AdamW { beta1, beta2 }, [first, second]) => {
                let t = (iteration + 1) as f64;
                let correction = (1.0 - f64::from(beta2).powf(t)).sqrt() / (1.0 - f64::from(beta1).powf(t));
                let rate = (f64::from(rate) * correction) as f32;
                adam([beta1, beta2], rate, weights, gradient, first, second);
            }
            _ => unreachable!("Solver::new makes as many slots as the rule has"),
        }
    }

    /// L2 regularisation, in the gradient or, for ADAMW, in the weights.
    fn decay(&self, rate: f32, weights: &mut [f32], gradient: &mut [f32]) {
        if self.rule.decays_apart() {
            for weight in weights {
                *weight -= rate * self.weight_decay * *weight;
            }
        } else {
            for (gradient, weight) in gradient.iter_mut().zip(weights.iter()) {
                *gradient += self.weight_decay * weight;
            }
        }
    }
}

fn sgd(momentum: f32, rate: f32, weights: &mut [f32], gradient: &[f32], history: &mut [f32]) {
    for ((weight, gradient), history) in weights.iter_mut().zip(gradient).zip(history) {
        *history = momentum * *history + rate * gradient;
        *weight -= *history;
    }
}

fn nesterov(momentum: f32, rate: f32, weights: &mut [f32], gradient: &[f32], history: &mut [f32]) {
    for ((weight, gradient), history) in weights.iter_mut().zip(gradient).zip(history) {
        let before = *history;
        *history = momentum * before + rate * gradient;
        *weight -= (1.0 + momentum) * *history - momentum * before;
    }
}

fn adagrad(rate: f32, weights: &mut [f32], gradient: &[f32], history: &mut [f32]) {
    for ((weight, gradient), history) in weights.iter_mut().zip(gradient).zip(history) {
        *history += gradient * gradient;
        *weight -= rate * gradient / (history.sqrt() + DELTA);
    }
}

fn rmsprop(decay: f32, rate: f32, weights: &mut [f32], gradient: &[f32], history: &mut [f32]) {
    for ((weight, gradient), history) in weights.iter_mut().zip(gradient).zip(history) {
        *history = decay * *history + (1.0 - decay) * gradient * gradient;
        *weight -= rate * gradient / (history.sqrt() + DELTA);
    }
}

fn adadelta(momentum: f32, rate: f32, weights: &mut [f32], gradient: &[f32], gradients: &mut [f32], steps: &mut [f32]) {
    for (((weight, gradient), squared_gradient), squared_step) in
        weights.iter_mut().zip(gradient).zip(gradients).zip(steps)
    {
        *squared_gradient = momentum * *squared_gradient + (1.0 - momentum) * gradient * gradient;
        let step = gradient * ((*squared_step + DELTA) / (*squared_gradient + DELTA)).sqrt();
        *squared_step = momentum * *squared_step + (1.0 - momentum) * step * step;
        *weight -= rate * step;
    }
}

fn adam(betas: [f32; 2], rate: f32, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let [beta1, beta2] = betas;
    for (((weight, gradient), first), second) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
        *first = beta1 * *first + (1.0 - beta1) * gradient;
        *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
        *weight -= rate * *first / (second.sqrt() + DELTA);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One weight of 1, gradients 0.5 then -0.25, rate 0.1; the expected weights were worked out by hand with the
    /// formulas of Caffe, in double precision.
    #[test]
    fn two_steps_of_each_rule_match_hand_computed_weights() {
        let adam = Rule::Adam { beta1: 0.9, beta2: 0.999 };
        let adamw = Rule::AdamW { beta1: 0.9, beta2: 0.999 };
        let table = [
            // h = .05, w = .95; h = .9·.05 - .025 = .02, w = .93
            (Rule::Sgd { momentum: 0.9 }, 0.0, [0.95, 0.93]),
            // g = .5 + .1·1 = .6: w = .94; g = -.25 + .1·.94 = -.156: h = .9·.06 - .0156 = .0384, w = .9016
            (Rule::Sgd { momentum: 0.9 }, 0.1, [0.94, 0.9016]),
            // h = .05, w -= 1.9·.05; h = .02, w -= 1.9·.02 - .9·.05
            (Rule::Nesterov { momentum: 0.9 }, 0.0, [0.905, 0.912]),
            // w -= .1·.5/.5; h = .3125, w += .1·.25/.559017
            (Rule::AdaGrad, 0.0, [0.9, 0.944_721_36]),
            // h = .1·.25 = .025: w -= .05/.158114; h = .0225 + .00625 = .02875: w += .025/.169558
            (Rule::RmsProp { decay: 0.9 }, 0.0, [0.683_772_24, 0.831_214_4]),
            // correction √.001/.1; w -= .1 exactly, but for delta; then m = .02, v = 3.1225e-4: w -= .0266337
            (adam, 0.0, [0.9, 0.873_366_4]),
            // w = 1 - .1·.1 - .1 = .89; then w·.99 - .0266337
            (adamw, 0.1, [0.89, 0.854_466_4]),
        ];
        for (rule, weight_decay, expected) in table {
            let mut solver = Solver::new(rule, weight_decay, &[1]);
            let mut weights = [1.0];
            for (iteration, (gradient, expected)) in [0.5, -0.25].into_iter().zip(expected).enumerate() {
                solver.step(0, iteration as u64, 0.1, &mut weights, &mut [gradient]);
                let found: f32 = weights[0];
                assert!((found - expected).abs() < 2e-6, "{rule:?}, step {iteration}: {found}, not {expected}");
            }
        }
    }

    /// v = 0.05·0.25 = .0125, step = .5·√(1e-8 / .0125) = 4.472e-4, u = .05·2e-7 = 1e-8.
    #[test]
    fn adadelta_starts_with_tiny_steps() {
        let mut solver = Solver::new(Rule::AdaDelta { momentum: 0.95 }, 0.0, &[1]);
        let mut weights = [1.0];
        solver.step(0, 0, 1.0, &mut weights, &mut [0.5]);
        assert!((weights[0] - (1.0 - 4.472_134e-4_f32)).abs() < 1e-7, "{weights:?}");
        assert!((solver.slots(0)[0][0] - 0.0125).abs() < 1e-8);
        assert!((solver.slots(0)[1][0] - 1e-8).abs() < 1e-11);
    }
}
