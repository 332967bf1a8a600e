//! Batches as the network takes them, read ahead while the last one is computed.
//!
//! Images are decoded on a thread of their own, one batch ahead; rows of a table come at once. Which items make up a batch
//! is `order`'s business.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use dede_model::backend::Task;
use dede_model::data::{Batch, DataKind, Dataset, Samples};
use dede_model::error::{Error, Result};

use super::Prepare;
use super::loss::Goal;
use super::order::Order;

/// A batch ready for the device.
#[derive(Debug, PartialEq)]
pub(super) struct Ready {
    /// `[items, elements]`, row-major.
    pub(super) inputs: Vec<f32>,
    /// `[items, outputs]`, row-major; see [`Goal`].
    pub(super) goals: Vec<f32>,
    /// Number of items.
    pub(super) items: usize,
}

/// Turns items of a data set into batches.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a dyn Dataset,
    pub(super) prepare: &'a Prepare,
    /// Values of one sample.
    pub(super) elements: usize,
    pub(super) task: Task,
    pub(super) class_weights: &'a [f32],
}

impl Source<'_> {
    /// Reads and prepares the items at `indices`.
    fn ready(&self, indices: &[usize]) -> Result<Ready> {
        let batch = self.data.batch(indices)?;
        let inputs = self.inputs(&batch.samples)?;
        let targets = targets_of(&batch)?;
        let goals = Goal::new(targets, self.task, self.class_weights)?.into_values();
        Ok(Ready { inputs, goals, items: indices.len() })
    }

    /// The values of samples, `[items, elements]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when a sample has another number of values than the network takes.
    pub(super) fn inputs(&self, samples: &Samples) -> Result<Vec<f32>> {
        let tensor = (self.prepare)(samples)?;
        if tensor.rows() != samples.len() || tensor.row_len() != self.elements {
            let found = tensor.row_len();
            let text = format!("the network takes {} values per sample, found {found}", self.elements);
            return Err(Error::bad_parameter_at("parameters.input", text));
        }
        Ok(tensor.into_values())
    }
}

/// The targets of a batch.
///
/// # Errors
/// [`Error::BadInput`] when the data has none.
pub(super) fn targets_of(batch: &Batch) -> Result<&dede_model::data::Targets> {
    batch.targets.as_ref().ok_or_else(|| Error::bad_input("training data needs labels, found none"))
}

/// Where the next batch comes from.
pub(super) enum Feed<'a> {
    /// Read when asked for.
    Direct { source: Source<'a>, order: Order, next: u64 },
    /// Read ahead by a thread, which ends when this end of the channel is dropped.
    Ahead(Receiver<Result<Ready>>),
}

impl<'a> Feed<'a> {
    /// Starts with the 0-based batch `first`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the thread cannot be started.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        kind: DataKind,
        source: Source<'a>,
        mut order: Order,
        first: u64,
    ) -> Result<Self>
    where
        'a: 'scope,
    {
        match kind {
            DataKind::Table => Ok(Self::Direct { source, order, next: first }),
            DataKind::Images => {
                let (sender, receiver) = sync_channel(1);
                let read = move || {
                    for batch in first.. {
                        let ready = source.ready(&order.batch(batch));
                        let failed = ready.is_err();
                        if sender.send(ready).is_err() || failed {
                            break;
                        }
                    }
                };
                let started = std::thread::Builder::new().name("training-data".to_owned()).spawn_scoped(scope, read);
                started.map_err(|error| Error::Internal(format!("start the reading thread: {error}")))?;
                Ok(Self::Ahead(receiver))
            }
        }
    }

    /// The next batch.
    ///
    /// # Errors
    /// Whatever reading its items met.
    pub(super) fn next(&mut self) -> Result<Ready> {
        match self {
            Self::Direct { source, order, next } => {
                let indices = order.batch(*next);
                *next += 1;
                source.ready(&indices)
            }
            Self::Ahead(receiver) => receiver
                .recv()
                .unwrap_or_else(|_| Err(Error::Internal("the reading thread ended without a word".to_owned()))),
        }
    }
}
