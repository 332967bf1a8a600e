//! One layer's text as a typed [`Layer`]. It owns the names and defaults of Caffe's layer parameters; it knows nothing of
//! the network around the layer but the shapes of its inputs.

use std::collections::BTreeSet;

use super::windows;
use crate::initializer::Initializer;
use crate::layer::{BatchNorm, Bias, BroadcastOperation, Eltwise, InnerProduct, Layer, Lrn, LrnRegion, Scale};
use crate::operations;
use crate::prototext::Message;
use crate::reading::{axis, filler, outputs, resolve_axis};
use crate::shape::Shape;

/// What the importer does with a layer of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It makes input values, as a layer of this type does.
    Data(&'static str),
    /// It is part of the network, under this type name.
    Network(&'static str),
    /// It is part of the network, as a layer of this type on its first bottom: its other bottoms are labels.
    Loss(&'static str),
    /// It says that a value is no output.
    Silence,
    /// It serves training or reporting alone.
    Skipped,
}

/// The role of a type, written as `layer { type: "Convolution" }` or in the older `layers { type: CONVOLUTION }`.
///
/// # Errors
/// Names a type that is not supported.
pub(super) fn role(kind: &str) -> Result<Role, String> {
    Ok(match kind {
        "Input" => Role::Data("Input"),
        "MemoryData" | "MEMORY_DATA" => Role::Data("MemoryData"),
        "Data" | "DATA" => Role::Data("Data"),
        "ImageData" | "IMAGE_DATA" => Role::Data("ImageData"),
        "Convolution" | "DepthwiseConvolution" | "CONVOLUTION" => Role::Network("Convolution"),
        "ConvolutionDepthwise" => Role::Network("ConvolutionDepthwise"),
        "InnerProduct" | "INNER_PRODUCT" => Role::Network("InnerProduct"),
        "ReLU" | "RELU" => Role::Network("ReLU"),
        "PReLU" => Role::Network("PReLU"),
        "ELU" => Role::Network("ELU"),
        "Sigmoid" | "SIGMOID" => Role::Network("Sigmoid"),
        "TanH" | "TANH" => Role::Network("TanH"),
        "Pooling" | "POOLING" => Role::Network("Pooling"),
        "LRN" => Role::Network("LRN"),
        "BatchNorm" => Role::Network("BatchNorm"),
        "Scale" => Role::Network("Scale"),
        "Bias" => Role::Network("Bias"),
        "Concat" | "CONCAT" => Role::Network("Concat"),
        "Eltwise" | "ELTWISE" => Role::Network("Eltwise"),
        "Dropout" | "DROPOUT" => Role::Network("Dropout"),
        "Flatten" | "FLATTEN" => Role::Network("Flatten"),
        "Reshape" => Role::Network("Reshape"),
        "Softmax" | "SOFTMAX" => Role::Network("Softmax"),
        // Without labels a softmax loss is the softmax inside it.
        "SoftmaxWithLoss" | "SOFTMAX_LOSS" => Role::Loss("Softmax"),
        "Split" | "SPLIT" => Role::Network("Split"),
        "Slice" | "SLICE" => Role::Network("Slice"),
        "ContinuationIndicator" => Role::Network("ContinuationIndicator"),
        "Silence" | "SILENCE" => Role::Silence,
        "Accuracy"
        | "ACCURACY"
        | "EuclideanLoss"
        | "EUCLIDEAN_LOSS"
        | "HingeLoss"
        | "HINGE_LOSS"
        | "InfogainLoss"
        | "INFOGAIN_LOSS"
        | "MultinomialLogisticLoss"
        | "MULTINOMIAL_LOGISTIC_LOSS"
        | "SigmoidCrossEntropyLoss"
        | "SIGMOID_CROSS_ENTROPY_LOSS" => Role::Skipped,
        other => match operations::named(other) {
            Some(found) => Role::Network(found.name()),
            None => return Err(format!("layer type \"{other:.64}\" is not supported")),
        },
    })
}

/// What the network around a layer says of it.
pub(super) struct LayerContext<'a> {
    /// The shapes of its bottoms, one sample each.
    pub(super) inputs: &'a [&'a Shape],
    /// How many tops it has.
    pub(super) tops: usize,
    /// How many samples the file's own inputs have, which a request is free to change.
    pub(super) batches: &'a BTreeSet<i64>,
}

/// The layer of type `kind`, one of those [`role`] returns.
///
/// # Errors
/// Says which parameter is wrong and where.
pub(super) fn layer(kind: &str, text: &Message, context: &LayerContext<'_>) -> Result<Layer, String> {
    let LayerContext { inputs, tops, batches } = *context;
    let first = *inputs.first().ok_or("it has no bottom")?;
    match kind {
        "Convolution" => windows::convolution(text.message("convolution_param")).map(Layer::Convolution),
        "ConvolutionDepthwise" => windows::depthwise(text.message("convolution_param"), first).map(Layer::Convolution),
        "InnerProduct" => inner_product(text.message("inner_product_param"), first).map(Layer::InnerProduct),
        "ReLU" => {
            let slope = text.message("relu_param").number("negative_slope")?;
            Ok(Layer::Relu { negative_slope: slope.unwrap_or(0.0) })
        }
        "PReLU" => {
            let param = text.message("prelu_param");
            Ok(Layer::Prelu {
                channel_shared: param.number("channel_shared")?.unwrap_or(false),
                initializer: filler(param, "filler", Initializer::Constant { value: 0.25 })?,
            })
        }
        "ELU" => Ok(Layer::Elu { alpha: text.message("elu_param").number("alpha")?.unwrap_or(1.0) }),
        "Sigmoid" => Ok(Layer::Sigmoid),
        "TanH" => Ok(Layer::Tanh),
        "Pooling" if tops == 2 => {
            let pooling = windows::pooling(text.message("pooling_param"))?;
            operations::masked_pooling(&pooling).map(Layer::Operation)
        }
        "Pooling" => windows::pooling(text.message("pooling_param")).map(Layer::Pooling),
        "LRN" => lrn(text.message("lrn_param")).map(Layer::Lrn),
        "BatchNorm" => batch_norm(text.message("batch_norm_param")).map(Layer::BatchNorm),
        "Scale" => scale(text.message("scale_param"), inputs),
        "Bias" => bias(text.message("bias_param"), inputs),
        "Concat" => {
            let param = text.message("concat_param");
            Ok(Layer::Concat { axis: axis(param, &["axis", "concat_dim"], first)? })
        }
        "Eltwise" => eltwise(text.message("eltwise_param")).map(Layer::Eltwise),
        "Dropout" => {
            Ok(Layer::Dropout { ratio: text.message("dropout_param").number("dropout_ratio")?.unwrap_or(0.5) })
        }
        "Flatten" => flatten(text.message("flatten_param"), first),
        "Reshape" => reshape(text.message("reshape_param"), first, batches),
        "Softmax" => Ok(Layer::Softmax { axis: axis(text.message("softmax_param"), &["axis"], first)? }),
        "Split" => Ok(Layer::Split),
        "Slice" => slice(text.message("slice_param"), first, tops),
        other => match operations::named(other) {
            Some(found) => (found.read)(text, inputs).map(Layer::Operation),
            None => Err(format!("layer type \"{other:.64}\" is not supported")),
        },
    }
}

/// Without `transpose`, which is about how a file stores the weight.
fn inner_product(param: &Message, input: &Shape) -> Result<InnerProduct, String> {
    param.number::<bool>("transpose")?;
    Ok(InnerProduct {
        outputs: outputs(param)?,
        bias: param.number("bias_term")?.unwrap_or(true),
        axis: axis(param, &["axis"], input)?,
        weight_initializer: filler(param, "weight_filler", Initializer::ZERO)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    })
}

/// NVCaffe's layer has a scale and a bias of its own where `scale_bias` says so, or a filler of theirs is given; its epsilon
/// is at least 1e-5 then.
fn batch_norm(param: &Message) -> Result<BatchNorm, String> {
    let fillers = param.has("scale_filler") || param.has("bias_filler");
    let affine = param.number("scale_bias")?.unwrap_or(false) || fillers;
    let epsilon = param.number("eps")?.unwrap_or(1e-5);
    Ok(BatchNorm {
        epsilon: if affine { f32::max(epsilon, 1e-5) } else { epsilon },
        momentum: param.number("moving_average_fraction")?.unwrap_or(0.999),
        affine,
    })
}

fn lrn(param: &Message) -> Result<Lrn, String> {
    let region = match param.text("norm_region") {
        None | Some("ACROSS_CHANNELS" | "0") => LrnRegion::AcrossChannels,
        Some("WITHIN_CHANNEL" | "1") => LrnRegion::WithinChannel,
        Some(other) => {
            return Err(format!("norm_region should be ACROSS_CHANNELS or WITHIN_CHANNEL, found {other:.64}"));
        }
    };
    let k = match region {
        LrnRegion::AcrossChannels => param.number("k")?.unwrap_or(1.0),
        LrnRegion::WithinChannel => 1.0,
    };
    Ok(Lrn {
        region,
        size: param.number("local_size")?.unwrap_or(5),
        alpha: param.number("alpha")?.unwrap_or(1.0),
        beta: param.number("beta")?.unwrap_or(0.75),
        k,
    })
}

/// Number of axes a learned scale or bias covers; -1 means all from `axis` on.
fn axes(param: &Message, axis: usize, input: &Shape) -> Result<usize, String> {
    match param.number::<i64>("num_axes")?.unwrap_or(1) {
        -1 => Ok((input.dims().len() + 1).saturating_sub(axis)),
        count => usize::try_from(count)
            .ok()
            .filter(|&count| count > 0)
            .ok_or_else(|| format!("num_axes should be -1 or at least 1, found {count}")),
    }
}

fn scale(param: &Message, inputs: &[&Shape]) -> Result<Layer, String> {
    let bias = param.number("bias_term")?.unwrap_or(false);
    if inputs.len() == 2 {
        return broadcast(param, BroadcastOperation::Product, inputs, bias);
    }
    let axis = axis(param, &["axis"], inputs[0])?;
    Ok(Layer::Scale(Scale {
        axis,
        axes: axes(param, axis, inputs[0])?,
        bias,
        weight_initializer: filler(param, "filler", Initializer::ONE)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    }))
}

fn bias(param: &Message, inputs: &[&Shape]) -> Result<Layer, String> {
    if inputs.len() == 2 {
        return broadcast(param, BroadcastOperation::Sum, inputs, false);
    }
    let axis = axis(param, &["axis"], inputs[0])?;
    let axes = axes(param, axis, inputs[0])?;
    Ok(Layer::Bias(Bias { axis, axes, initializer: filler(param, "filler", Initializer::ZERO)? }))
}

/// A scale or bias that is a second bottom; its axes start with the batch.
fn broadcast(param: &Message, operation: BroadcastOperation, inputs: &[&Shape], bias: bool) -> Result<Layer, String> {
    let axis = param.number::<i64>("axis")?.unwrap_or(1);
    match resolve_axis(axis, inputs[0]) {
        Some(0) if !bias => Ok(Layer::Broadcast { operation }),
        Some(0) => Err("a bias_term beside two bottoms is not supported".to_owned()),
        _ => Err(format!("with two bottoms the axis should be 0, found {axis}")),
    }
}

fn eltwise(param: &Message) -> Result<Eltwise, String> {
    let coefficients: Vec<f32> = param.numbers("coeff")?;
    let sums = matches!(param.text("operation"), None | Some("SUM" | "1"));
    if !sums && !coefficients.is_empty() {
        return Err("coeff is for operation SUM alone".to_owned());
    }
    match param.text("operation") {
        None | Some("SUM" | "1") => Ok(Eltwise::Sum { coefficients }),
        Some("PROD" | "0") => Ok(Eltwise::Product),
        Some("MAX" | "2") => Ok(Eltwise::Max),
        Some(other) => Err(format!("operation should be SUM, PROD or MAX, found {other:.64}")),
    }
}

fn flatten(param: &Message, input: &Shape) -> Result<Layer, String> {
    let start = axis(param, &["axis"], input)?;
    let end = param.number::<i64>("end_axis")?.unwrap_or(-1);
    let end = resolve_axis(end, input).filter(|&end| end >= start).ok_or_else(|| {
        format!("end_axis {end} should be at least axis {start} and be an axis of one sample of shape {input}")
    })?;
    let dims = input.dims();
    if start == 1 && end == dims.len() {
        return Ok(Layer::Flatten);
    }
    let middle = crate::shape::element_count(&dims[start - 1..end])?;
    Ok(Layer::Reshape { dims: [&dims[..start - 1], &[middle], &dims[end..]].concat() })
}

/// Caffe's reshape: `shape.dim` replaces the axes `axis..axis + num_axes`; 0 copies an extent, -1 is what is left.
fn reshape(param: &Message, input: &Shape, batches: &BTreeSet<i64>) -> Result<Layer, String> {
    let shape = param.message("shape").numbers::<i64>("dim")?;
    if shape.iter().filter(|&&dim| dim == -1).count() > 1 {
        return Err(format!("shape {shape:?} has -1 more than once, so that no extent is certain"));
    }
    let old: Vec<i64> = std::iter::once(1).chain(input.dims().iter().map(|&dim| dim as i64)).collect();
    let start = reshape_start(param.number("axis")?.unwrap_or(0), old.len())?;
    let count = match param.number::<i64>("num_axes")?.unwrap_or(-1) {
        -1 => old.len() - start,
        count => usize::try_from(count).map_err(|_| format!("num_axes should be -1 or more, found {count}"))?,
    };
    let end = start.checked_add(count).filter(|&end| end <= old.len()).ok_or("num_axes passes its input's axes")?;
    if end == 0 && !shape.is_empty() {
        return Err("an axis before the batch is not supported".to_owned());
    }
    let mut dims = old[..start].to_vec();
    for (index, &dim) in shape.iter().enumerate() {
        let copied = || old.get(start + index).copied().ok_or("dim: 0 copies an axis that its input does not have");
        dims.push(if start + index == 0 {
            check_batch(dim, &shape, batches)?;
            1
        } else if dim == 0 {
            copied()?
        } else {
            dim
        });
    }
    dims.extend(&old[end..]);
    let wanted = input.elements()?;
    let known = dims
        .iter()
        .filter(|&&dim| dim != -1)
        .try_fold(1usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok().filter(|&dim| dim > 0)?));
    let known = known.ok_or_else(|| format!("shape {shape:?} should have extents of at least -1"))?;
    let resolved = dims.iter().skip(1).map(|&dim| usize::try_from(dim).unwrap_or(wanted / known)).collect();
    match dims.first() {
        Some(1) => Ok(Layer::Reshape { dims: resolved }),
        _ => Err("the batch axis cannot be reshaped".to_owned()),
    }
}

/// The batch is free: where Caffe's file fixes it, the number written there is not the batch of a request. Any other number spreads each
/// sample over several, or joins several.
fn check_batch(dim: i64, shape: &[i64], batches: &BTreeSet<i64>) -> Result<(), String> {
    match dim {
        -1..=1 => Ok(()),
        dim if batches.contains(&dim) => Ok(()),
        dim => {
            let own: Vec<String> = batches.iter().map(i64::to_string).collect();
            let own = if own.is_empty() { "unknown".to_owned() } else { own.join(" or ") };
            Err(format!(
                "shape {shape:?} should keep the batch with 0, -1, 1 or the number of samples of the input, {own}, as its \
                 first extent, found {dim}"
            ))
        }
    }
}

/// Where a reshape begins: at an axis of its input, or behind the last. Unlike anywhere else in Caffe -1 is behind the last axis,
/// and -2 is the last.
fn reshape_start(axis: i64, axes: usize) -> Result<usize, String> {
    let start = if axis < 0 { axis.saturating_add_unsigned(axes as u64 + 1) } else { axis };
    usize::try_from(start)
        .ok()
        .filter(|&start| start <= axes)
        .ok_or_else(|| format!("axis should be from -{} to {axes}, found {axis}", axes + 1))
}

fn slice(param: &Message, input: &Shape, tops: usize) -> Result<Layer, String> {
    let axis = axis(param, &["slice_dim", "axis"], input)?;
    let whole = input.dims()[axis - 1];
    let points = param.numbers::<usize>("slice_point")?;
    if points.is_empty() {
        return match tops > 0 && whole.is_multiple_of(tops) {
            true => Ok(Layer::Slice { axis, sizes: vec![whole / tops; tops] }),
            false => Err(format!("axis {axis} of extent {whole} cannot be cut into {tops} equal pieces")),
        };
    }
    let ends = points.iter().copied().chain([whole]);
    let starts = [0].into_iter().chain(points.iter().copied());
    let sizes: Option<Vec<usize>> = starts.zip(ends).map(|(start, end)| end.checked_sub(start)).collect();
    let sizes = sizes.ok_or_else(|| format!("slice points {points:?} should increase up to {whole}"))?;
    Ok(Layer::Slice { axis, sizes })
}
