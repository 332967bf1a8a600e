//! The training loop: steps, tests, checkpoints, and what a run leaves in its directory.
//!
//! Iterations are counted as Caffe counts them: a test at iteration `n` sees the weights after `n` updates, and
//! `checkpoint-<n>` holds them.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use dede_graph::onnx;
use dede_model::backend::Best;
use dede_model::cancel::CancelToken;
use dede_model::error::{Error, Result};
use dede_model::measure;
use dede_model::progress::{IterationReport, Progress, TestResult};
use dede_storage::files::write_atomically;

use super::checkpoint::{self, Position};
use super::evaluation::Evaluation;
use super::feed::{Feed, Ready, Source};
use super::interpreter::{BatchStatistics, Interpreter, Leaves, Phase, matrix, values};
use super::loss::loss;
use super::network::{Network, bad_network};
use super::settings::Settings;
use super::solver::Solver;

/// Name of the network to serve in a run's directory.
pub(super) const NETWORK_FILE: &str = "model.onnx";
/// Losses that `train_loss` is the mean of.
const LOSS_WINDOW: usize = 20;
/// The most work that a kill of the process can undo.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(15);

/// A training under way.
pub(super) struct Trainer<'a> {
    pub(super) settings: &'a Settings,
    pub(super) network: Network,
    pub(super) solver: Solver,
    /// Computes the logits.
    pub(super) interpreter: Interpreter,
    pub(super) evaluation: Evaluation<'a>,
    pub(super) source: Source<'a>,
    /// Where gradients are computed.
    pub(super) device: Device,
    pub(super) directory: &'a Path,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancelToken,
    pub(super) position: Position,
}

/// What changes from iteration to iteration, apart from the weights.
struct Course {
    first: u64,
    started: Instant,
    elapsed_before_ms: f64,
    losses: VecDeque<f64>,
    last_checkpoint: Instant,
}

impl Trainer<'_> {
    /// Trains to the end, or until cancelled. Returns the best test result.
    ///
    /// # Errors
    /// Whatever reading data or writing files met; [`Error::BadParameter`] when the loss is no number any more.
    pub(super) fn train(mut self, mut feed: Feed<'_>) -> Result<Option<Best>> {
        let now = Instant::now();
        let mut course = Course {
            first: self.position.iteration,
            started: now,
            elapsed_before_ms: self.position.elapsed_ms,
            losses: VecDeque::with_capacity(LOSS_WINDOW),
            last_checkpoint: now,
        };
        self.progress.start(self.settings.iterations);
        if course.first >= self.settings.iterations {
            self.progress.reached(course.first.saturating_sub(1));
        }
        if let Some(best) = &self.position.best {
            self.write_best(best)?;
        }
        loop {
            self.position.elapsed_ms = course.elapsed_before_ms + milliseconds(course.started.elapsed());
            let cancelled = self.cancel.is_cancelled();
            let ended = cancelled || self.position.iteration >= self.settings.iterations;
            let improved = !cancelled && self.test_is_due(course.first) && self.test()?;
            if ended || improved || self.checkpoint_is_due(&course) {
                checkpoint::write(self.directory, &self.position, &self.network, &self.solver)?;
                self.remove_old_checkpoints()?;
                course.last_checkpoint = Instant::now();
            }
            if ended {
                return self.finish(cancelled);
            }
            self.iterate(&mut feed, &mut course)?;
        }
    }

    fn test_is_due(&self, first: u64) -> bool {
        let iteration = self.position.iteration;
        if self.evaluation.tests.is_empty() || self.evaluation.measures.is_empty() {
            return false;
        }
        if iteration >= self.settings.iterations {
            return true;
        }
        match iteration {
            0 => self.settings.test_initialization && self.settings.test_interval.is_some(),
            // A resumed training has been tested here before it was interrupted, or is tested soon.
            _ if iteration == first => false,
            _ => self.settings.test_interval.is_some_and(|interval| iteration.is_multiple_of(interval)),
        }
    }

    fn checkpoint_is_due(&self, course: &Course) -> bool {
        let iteration = self.position.iteration;
        let regular = self.settings.snapshot_interval.is_some_and(|interval| iteration.is_multiple_of(interval));
        iteration > course.first && (regular || course.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL)
    }

    /// Tests, and says whether this is the best result so far.
    fn test(&mut self) -> Result<bool> {
        let results = self.evaluation.run(&self.network, &self.source)?;
        let iteration = self.position.iteration;
        let found = results.first().and_then(|first| better(first, self.position.best.as_ref(), iteration));
        // After the last iteration, or where a resumed training had none left, the last one done is tested.
        let tested = if iteration >= self.settings.iterations { iteration - 1 } else { iteration };
        self.progress.test(tested, results);
        let Some(best) = found else { return Ok(false) };
        self.write_best(&best)?;
        self.position.best = Some(best);
        Ok(true)
    }

    /// The record of the best result, in DeepDetect's format (contract.md 3.8).
    fn write_best(&self, best: &Best) -> Result<()> {
        let text = format!("iteration:{}\n{}:{}\n", best.iteration, best.measure, best.value);
        write_atomically(&self.directory.join("best_model.txt"), text.as_bytes()).map_err(Error::from)
    }

    /// One update of the weights.
    fn iterate(&mut self, feed: &mut Feed<'_>, course: &mut Course) -> Result<()> {
        let started = Instant::now();
        let iteration = self.position.iteration;
        let rate = self.settings.schedule.rate(iteration);
        let (loss, mut gradients) = self.gradients(feed)?;
        if !loss.is_finite() {
            return Err(Error::bad_parameter_at(
                "parameters.mllib.solver.base_lr",
                format!("the training diverged: the loss is {loss} at iteration {iteration}; a lower base_lr may help"),
            ));
        }
        for (index, weights) in self.network.weights_mut().iter_mut().enumerate() {
            if let Some(gradient) = &mut gradients[index] {
                self.solver.step(index, iteration, rate, weights, gradient);
            }
        }
        self.position.iteration += 1;
        if course.losses.len() == LOSS_WINDOW {
            course.losses.pop_front();
        }
        course.losses.push_back(loss);
        self.progress.iteration(IterationReport {
            iteration,
            train_loss: course.losses.iter().sum::<f64>() / course.losses.len() as f64,
            learning_rate: rate,
            iteration_ms: milliseconds(started.elapsed()),
            elapsed_ms: course.elapsed_before_ms + milliseconds(course.started.elapsed()),
        });
        Ok(())
    }

    /// The loss and the gradient of each array of weights, means over the batches of one iteration; `None` for arrays that
    /// are not trained.
    fn gradients(&mut self, feed: &mut Feed<'_>) -> Result<(f64, Vec<Option<Vec<f32>>>)> {
        let leaves = self.network.leaves(&self.device);
        let batches = self.settings.batches_per_iteration;
        let mut sums: Vec<Option<Vec<f32>>> = vec![None; leaves.len()];
        let mut loss = 0.0;
        for index in 0..batches {
            let batch = self.position.iteration * batches + index;
            let (value, gradients, statistics) = self.backward(feed.next()?, batch, &leaves)?;
            loss += value / batches as f64;
            self.network.update_statistics(&statistics);
            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                match (sum, gradient) {
                    (Some(sum), Some(gradient)) => sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value),
                    (sum, gradient) => *sum = gradient,
                }
            }
        }
        if batches > 1 {
            let share = 1.0 / batches as f32;
            sums.iter_mut().flatten().flatten().for_each(|value| *value *= share);
        }
        Ok((loss, sums))
    }

    /// Forward and backward through one batch.
    fn backward(&self, ready: Ready, batch: u64, leaves: &Leaves) -> Result<Passed> {
        let task = self.settings.task;
        let inputs = matrix(ready.inputs, ready.items, self.source.elements, &self.device);
        let outputs = ready.goals.len() / ready.items;
        let goals = matrix(ready.goals, ready.items, outputs, &self.device);
        let phase = Phase::Train { seed: self.position.seed, batch };
        let (answers, statistics) = self.interpreter.run(self.network.graph().logits(), inputs, leaves, phase)?;
        let loss = loss(task, answers, goals);
        let mut gradients = loss.backward();
        let value = values(loss.without_autodiff())?.first().copied().unwrap_or(f32::NAN);
        let gradients = self
            .network
            .parameters()
            .iter()
            .map(|parameter| leaves[&parameter.name].grad_remove(&mut gradients).map(values).transpose())
            .collect::<Result<_>>()?;
        Ok((f64::from(value), gradients, statistics))
    }

    /// Keeps the newest checkpoint, the best one, and regular snapshots that were asked for.
    fn remove_old_checkpoints(&self) -> Result<()> {
        let best = self.position.best.as_ref().map(|best| best.iteration);
        let interval = self.settings.snapshot_interval.filter(|_| self.settings.keep_snapshots);
        for (iteration, path) in checkpoint::in_directory(self.directory)? {
            let regular = iteration > 0 && interval.is_some_and(|interval| iteration.is_multiple_of(interval));
            if iteration != self.position.iteration && Some(iteration) != best && !regular {
                std::fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }

    /// Writes the network to serve: the best one that a test found, or, without tests and when cancelled, the last.
    fn finish(mut self, cancelled: bool) -> Result<Option<Best>> {
        let best = self.position.best.clone();
        if let Some(best) = best.as_ref().filter(|best| !cancelled && best.iteration != self.position.iteration) {
            let path = self.directory.join(checkpoint::file_name(best.iteration));
            checkpoint::read(&path, &mut self.network, None)?;
        }
        let bytes = onnx::export(&self.network.to_graph()?, &onnx::ExportOptions::default()).map_err(bad_network)?;
        write_atomically(&self.directory.join(NETWORK_FILE), &bytes)?;
        Ok(best)
    }
}

/// Loss, gradients in the order of the network's arrays, and statistics of one batch.
type Passed = (f64, Vec<Option<Vec<f32>>>, Vec<BatchStatistics>);

/// The deciding measure of a test, if it is better than the best so far.
fn better(test: &TestResult, best: Option<&Best>, iteration: u64) -> Option<Best> {
    let (measure, value, larger_is_better) = measure::deciding(&test.values)?;
    let improved = best.is_none_or(|best| measure::is_better(value, best.value, larger_is_better));
    (improved && value.is_finite()).then(|| Best { iteration, measure: measure.to_owned(), value })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
