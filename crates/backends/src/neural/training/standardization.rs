//! Makes images comparable before the first layer: each channel less its mean, divided by its standard deviation, both of the
//! training set.
//!
//! The original trains image networks on pixels less a mean image, and on raw ones without a database; templates drawn anew
//! do not learn from values up to 255. Here the statistics are weights of a batch normalisation that never updates them, so
//! they are part of the network and whatever serves it applies them.

use std::collections::BTreeMap;
use std::path::Path;

use dede_graph::layer::BatchNorm;
use dede_graph::{Graph, Layer, Node, Weight};
use dede_model::error::{Error, Result};

use super::checkpoint;
use super::feed::Source;
use super::order::Order;

/// Name of the layer, and of the value it makes.
const NAME: &str = "data_standardized";
/// Images that the statistics are taken from.
const SAMPLE: usize = 256;

/// Whether a network begins with this layer.
pub(super) fn is_in(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| node.name == NAME)
}

/// Whether the network of a checkpoint begins with this layer.
///
/// # Errors
/// As [`checkpoint::names`].
pub(super) fn is_in_checkpoint(path: &Path) -> Result<bool> {
    Ok(checkpoint::names(path)?.iter().any(|name| name.strip_prefix(NAME).is_some_and(|rest| rest.starts_with('.'))))
}

/// Puts the layer between the input and what reads it.
pub(super) fn insert(graph: &mut Graph) {
    let Some(input) = graph.inputs.first().map(|input| input.name.clone()) else { return };
    for name in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|name| **name == input) {
        NAME.clone_into(name);
    }
    let node = Node {
        name: NAME.to_owned(),
        // The share of the old statistics in an update is 1: they stay.
        layer: Layer::BatchNorm(BatchNorm { epsilon: 1e-5, momentum: 1.0, affine: false }),
        inputs: vec![input],
        outputs: vec![NAME.to_owned()],
    };
    graph.nodes.insert(0, node);
}

/// Sets the layer's weights from a sample of the training set, the same for the same seed.
///
/// # Errors
/// Whatever reading the images met.
pub(super) fn measure(graph: &mut Graph, channels: usize, source: &Source<'_>, seed: u64) -> Result<()> {
    let count = source.data.len().min(SAMPLE);
    let batch = source.data.batch(&Order::new(source.data.len(), count, seed, true).batch(0))?;
    let inputs = source.inputs(&batch.samples)?;
    let statistics = statistics(&inputs, channels, source.elements / channels);
    for (name, values) in statistics {
        let weight = Weight::new([channels], values).map_err(Error::Internal)?;
        graph.weights.insert(format!("{NAME}.{name}"), weight);
    }
    Ok(())
}

/// Mean and variance of each channel of `[items, channels, plane]`, accumulated in double precision.
fn statistics(inputs: &[f32], channels: usize, plane: usize) -> BTreeMap<&'static str, Vec<f32>> {
    let (mut means, mut variances) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
    for channel in 0..channels {
        let values = || {
            inputs.chunks_exact(channels * plane).flat_map(move |image| &image[channel * plane..(channel + 1) * plane])
        };
        let count = (inputs.len() / channels).max(1) as f64;
        let mean = values().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = values().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
        means.push(mean as f32);
        // A channel that never changes carries nothing; as it is, it does no harm.
        variances.push(if variance > 0.0 { variance as f32 } else { 1.0 });
    }
    BTreeMap::from([("running_mean", means), ("running_variance", variances)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_each_channel() {
        // Two images of two channels with two pixels: 1 3 5 7 and 7 7; the second channel is constant.
        let inputs = [1.0, 3.0, 7.0, 7.0, 5.0, 7.0, 7.0, 7.0];
        let found = statistics(&inputs, 2, 2);
        assert_eq!(found["running_mean"], [4.0, 7.0]);
        assert_eq!(found["running_variance"], [5.0, 1.0]);
    }
}
