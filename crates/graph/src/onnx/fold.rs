//! Per-channel affine layers multiplied into the layer before them. It owns the arithmetic of folding; what it makes is a
//! graph like any other, with fewer nodes.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::initializer::Initializer;
use crate::layer::{Bias, Convolution, InnerProduct, Layer, Scale};
use crate::weights::{Weight, Weights};

/// `y = factor * x + offset` for each channel.
struct Affine {
    factor: Vec<f64>,
    offset: Vec<f64>,
}

/// Folds every BatchNorm, Scale and Bias along the channels into the convolution, inner product or affine layer that makes
/// its input, where nothing else reads that input; a BatchNorm that stays becomes a Scale.
pub(super) fn fold(graph: &Graph) -> Result<Graph> {
    let mut folded = Graph { nodes: Vec::new(), ..graph.clone() };
    for node in &graph.nodes {
        let affine = affine(node, &graph.weights).map_err(|message| Error::layer(&node.name, message))?;
        let Some(affine) = affine else {
            folded.nodes.push(node.clone());
            continue;
        };
        let input = &node.inputs[0];
        let alone = !graph.outputs.contains(input)
            && graph.nodes.iter().flat_map(|node| &node.inputs).filter(|name| *name == input).count() == 1;
        let fail = |message| Error::layer(&node.name, message);
        let before = folded.nodes.iter_mut().find(|node| node.outputs.first() == Some(input)).filter(|_| alone);
        if let Some(before) = before
            && absorb(before, &affine, &mut folded.weights).map_err(fail)?
        {
            before.outputs.clone_from(&node.outputs);
        } else {
            folded.nodes.push(as_scale(node, &affine, &mut folded.weights).map_err(fail)?);
        }
    }
    let mut used = Weights::new();
    for parameter in folded.parameters()? {
        if let Some(weight) = folded.weights.remove(&parameter.name) {
            used.insert(parameter.name, weight);
        }
    }
    folded.weights = used;
    folded.check()?;
    Ok(folded)
}

fn values(weights: &Weights, node: &str, name: &str) -> Result<Vec<f64>, String> {
    let name = format!("{node}.{name}");
    let weight = weights.get(&name).ok_or_else(|| format!("weight {name} is missing"))?;
    Ok(weight.data().iter().map(|&value| f64::from(value)).collect())
}

/// What a node does to each channel, if that is all it does.
fn affine(node: &Node, weights: &Weights) -> Result<Option<Affine>, String> {
    let get = |name| values(weights, &node.name, name);
    if let Layer::BatchNorm(batch_norm) = &node.layer {
        let epsilon = f64::from(batch_norm.epsilon);
        let mut factor: Vec<f64> =
            get("running_variance")?.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
        let mut offset = vec![0.0; factor.len()];
        if batch_norm.affine {
            factor.iter_mut().zip(get("weight")?).for_each(|(factor, weight)| *factor *= weight);
            offset = get("bias")?;
        }
        for ((offset, mean), factor) in offset.iter_mut().zip(get("running_mean")?).zip(&factor) {
            *offset -= mean * factor;
        }
        return Ok(Some(Affine { factor, offset }));
    }
    if let Layer::Scale(scale @ Scale { axis: 1, axes: 1, .. }) = &node.layer {
        let factor = get("weight")?;
        let offset = if scale.bias { get("bias")? } else { vec![0.0; factor.len()] };
        return Ok(Some(Affine { factor, offset }));
    }
    if let Layer::Bias(Bias { axis: 1, axes: 1, .. }) = &node.layer {
        let offset = get("bias")?;
        return Ok(Some(Affine { factor: vec![1.0; offset.len()], offset }));
    }
    Ok(None)
}

/// Whether there is a bias, of a layer whose outputs can be scaled by scaling its weight along the first axis.
fn foldable(layer: &mut Layer) -> Option<&mut bool> {
    if let Layer::Convolution(Convolution { bias, .. })
    | Layer::InnerProduct(InnerProduct { axis: 1, bias, .. })
    | Layer::Scale(Scale { axis: 1, axes: 1, bias, .. }) = layer
    {
        return Some(bias);
    }
    None
}

/// Makes a node compute `affine` of what it computed; `false` if its layer cannot.
fn absorb(node: &mut Node, affine: &Affine, weights: &mut Weights) -> Result<bool, String> {
    let Some(bias) = foldable(&mut node.layer) else { return Ok(false) };
    let name = format!("{}.weight", node.name);
    let weight = weights.get(&name).ok_or_else(|| format!("weight {name} is missing"))?;
    let count = affine.factor.len();
    if weight.shape().first() != Some(&count) {
        return Err(format!("weight {name} does not have {count} outputs"));
    }
    let row = weight.data().len() / count;
    let scaled = weight.data().iter().enumerate().map(|(index, &w)| (f64::from(w) * affine.factor[index / row]) as f32);
    let weight = Weight::new(weight.shape(), scaled.collect::<Arc<[f32]>>())?;
    let old = if *bias { values(weights, &node.name, "bias")? } else { vec![0.0; count] };
    *bias = true;
    let new = old.iter().zip(&affine.factor).zip(&affine.offset).map(|((old, factor), offset)| old * factor + offset);
    weights.insert(format!("{}.bias", node.name), vector(new)?);
    weights.insert(name, weight);
    Ok(true)
}

/// The affine itself as a node in the place of `node`.
fn as_scale(node: &Node, affine: &Affine, weights: &mut Weights) -> Result<Node, String> {
    weights.insert(format!("{}.weight", node.name), vector(affine.factor.iter().copied())?);
    weights.insert(format!("{}.bias", node.name), vector(affine.offset.iter().copied())?);
    let layer = Layer::Scale(Scale {
        axis: 1,
        axes: 1,
        bias: true,
        weight_initializer: Initializer::ONE,
        bias_initializer: Initializer::ZERO,
    });
    Ok(Node { layer, ..node.clone() })
}

fn vector(values: impl Iterator<Item = f64>) -> Result<Weight, String> {
    let data: Vec<f32> = values.map(|value| value as f32).collect();
    Weight::new([data.len()], data)
}
