//! The network being trained: a graph whose weights are flat arrays that a solver can change.

use std::sync::Arc;

use burn::tensor::Device;
use dede_graph::{Graph, Parameter, Weight, Weights};
use dede_model::error::{Error, Result};

use super::interpreter::{BatchStatistics, Leaves, vector};

/// Batches that running statistics count for when it is unknown how many they came from.
const ESTABLISHED_STATISTICS: u64 = 1_000;

/// A graph and its weights, in the order of [`Graph::parameters`].
#[derive(Debug)]
pub(super) struct Network {
    graph: Graph,
    parameters: Vec<Parameter>,
    weights: Vec<Vec<f32>>,
    /// Batches that the running statistics come from.
    statistics_batches: u64,
}

impl Network {
    /// Takes a graph with all its weights. `fresh`: they were drawn and not trained, so that running statistics start
    /// anew.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the layer whose weight is missing or has another shape.
    pub(super) fn new(mut graph: Graph, fresh: bool) -> Result<Self> {
        graph.check().map_err(bad_network)?;
        let parameters = graph.parameters().map_err(bad_network)?;
        let weights = std::mem::take(&mut graph.weights);
        let flat = |parameter: &Parameter| weights.get(&parameter.name).map(|weight| weight.data().to_vec());
        let weights = parameters.iter().filter_map(flat).collect();
        let statistics_batches = if fresh { 0 } else { ESTABLISHED_STATISTICS };
        Ok(Self { graph, parameters, weights, statistics_batches })
    }

    /// The graph, without weights.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What the arrays of weights are.
    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// All arrays of weights.
    pub(super) fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// All arrays of weights, to change them.
    pub(super) fn weights_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.weights
    }

    /// Batches that the running statistics come from.
    pub(super) fn statistics_batches(&self) -> u64 {
        self.statistics_batches
    }

    /// Puts back what a checkpoint holds.
    pub(super) fn set_statistics_batches(&mut self, batches: u64) {
        self.statistics_batches = batches;
    }

    /// Copies the weights to a device; on one with gradients, those that are trained ask for theirs.
    pub(super) fn leaves(&self, device: &Device) -> Leaves {
        let leaf = |(parameter, weights): (&Parameter, &Vec<f32>)| {
            let leaf = vector(weights.clone(), device);
            let leaf = if parameter.trainable && device.is_autodiff() { leaf.require_grad() } else { leaf };
            (parameter.name.clone(), leaf)
        };
        self.parameters.iter().zip(&self.weights).map(leaf).collect()
    }

    /// The graph with its present weights.
    ///
    /// # Errors
    /// Never for a network that [`Network::new`] took.
    pub(super) fn to_graph(&self) -> Result<Graph> {
        let mut weights = Weights::new();
        for (parameter, values) in self.parameters.iter().zip(&self.weights) {
            let weight = Weight::new(parameter.shape.clone(), Arc::<[f32]>::from(values.as_slice()));
            weights.insert(parameter.name.clone(), weight.map_err(Error::Internal)?);
        }
        Ok(Graph { weights, ..self.graph.clone() })
    }

    /// Moves running statistics towards those of a batch.
    ///
    /// Caffe keeps decaying sums and the sum of their weights; the ratio is a mean whose newest share is
    /// `(1 - m) / (1 - m^n)` after `n` batches, which is what is computed here.
    pub(super) fn update_statistics(&mut self, batch: &[BatchStatistics]) {
        if batch.is_empty() {
            return;
        }
        self.statistics_batches += 1;
        for statistics in batch {
            let momentum = f64::from(statistics.momentum);
            let share = (1.0 - momentum) / (1.0 - momentum.powf(self.statistics_batches as f64));
            let share = if share.is_finite() { share as f32 } else { 1.0 };
            for (name, new) in [("running_mean", &statistics.mean), ("running_variance", &statistics.variance)] {
                let name = format!("{}.{name}", statistics.node);
                let Some(index) = self.parameters.iter().position(|parameter| parameter.name == name) else { continue };
                for (old, new) in self.weights[index].iter_mut().zip(new) {
                    *old += share * (new - *old);
                }
            }
        }
    }
}

/// The mllib's complaint about a network.
pub(super) fn bad_network(error: dede_graph::Error) -> Error {
    Error::bad_parameter(error.to_string())
}

#[cfg(test)]
mod tests {
    use dede_graph::layer::BatchNorm;
    use dede_graph::{Input, Layer, Node, Shape};

    use super::*;

    fn normalized() -> Network {
        let node = Node {
            name: "norm".into(),
            layer: Layer::BatchNorm(BatchNorm { epsilon: 1e-5, momentum: 0.5, affine: false }),
            inputs: vec!["data".into()],
            outputs: vec!["y".into()],
        };
        let input =
            Input { name: "data".into(), shape: Shape::columns(1), transform: dede_graph::Transform::default() };
        let mut graph = Graph {
            name: String::new(),
            inputs: vec![input],
            nodes: vec![node],
            outputs: vec!["y".into()],
            weights: Weights::new(),
        };
        graph.initialize(|| 0.5).unwrap();
        Network::new(graph, true).unwrap()
    }

    /// Caffe after means 4 then 1 with fraction 0.5: sums 4, then 0.5·4 + 1 = 3; weights 1, then 1.5; ratios 4 and 2.
    #[test]
    fn running_statistics_are_the_ratio_of_caffes_decaying_sums() {
        let mut network = normalized();
        for (mean, expected) in [(4.0, 4.0), (1.0, 2.0)] {
            let batch =
                BatchStatistics { node: "norm".into(), mean: vec![mean], variance: vec![2.0 * mean], momentum: 0.5 };
            network.update_statistics(&[batch]);
            assert_eq!(network.weights(), [vec![expected], vec![2.0 * expected]]);
        }
        assert_eq!(network.statistics_batches(), 2);
    }
}
