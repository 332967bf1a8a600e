//! Shapes and weights of each layer from the shapes of its inputs. It owns the rules of every layer (arity, extents, weight
//! shapes) and checks them, so that whoever runs a network can rely on them; messages do not name the layer, callers do.

use crate::graph::Node;
use crate::initializer::Initializer;
use crate::layer::{Convolution, InnerProduct, Layer, Lrn, LrnRegion};
use crate::shape::{Shape, element_count};

/// A weight a layer wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// `<node>.<weight>`.
    pub name: String,
    /// Name of the node.
    pub node: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Where it starts.
    pub initializer: Initializer,
    /// Whether gradients change it; running statistics are not trained.
    pub trainable: bool,
}

/// Shapes of a node's outputs.
pub(crate) fn output_shapes(node: &Node, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
    check_arity(node)?;
    let Some(&first) = inputs.first() else { return Err("it has no input".to_owned()) };
    let one = |shape: Shape| Ok(vec![shape]);
    match &node.layer {
        Layer::Convolution(convolution) => one(convolution_shape(convolution, first)?),
        Layer::InnerProduct(inner) => {
            let (kept, _) = split_at_axis(first, inner.axis)?;
            one(Shape::new([kept, &[inner.outputs]].concat()))
        }
        Layer::Pooling(pooling) => {
            let (channels, height, width) = image(first)?;
            let [rows, columns] = pooling.windows([height, width])?;
            one(Shape::image(channels, rows.count, columns.count))
        }
        Layer::Lrn(lrn) => {
            image(first)?;
            check_lrn(lrn)?;
            one(first.clone())
        }
        Layer::Dropout { ratio } if !(0.0..1.0).contains(ratio) => {
            Err(format!("the ratio should be at least 0 and below 1, found {ratio}"))
        }
        Layer::Relu { .. }
        | Layer::Prelu { .. }
        | Layer::Elu { .. }
        | Layer::Sigmoid
        | Layer::Tanh
        | Layer::Dropout { .. }
        | Layer::BatchNorm(_) => one(first.clone()),
        Layer::Scale(scale) => axes_shape(first, scale.axis, scale.axes).and_then(|_| one(first.clone())),
        Layer::Bias(bias) => axes_shape(first, bias.axis, bias.axes).and_then(|_| one(first.clone())),
        Layer::Broadcast { .. } => {
            let second = inputs[1];
            match first.dims().starts_with(second.dims()) {
                true => one(first.clone()),
                false => Err(format!("shape {second} of the second input is not the beginning of {first}")),
            }
        }
        Layer::Concat { axis } => one(concat_shape(inputs, *axis)?),
        Layer::Eltwise(_) => match inputs.iter().find(|shape| **shape != first) {
            Some(other) => Err(format!("its inputs should have one shape, found {first} and {other}")),
            None => one(first.clone()),
        },
        Layer::Flatten => one(Shape::columns(first.elements()?)),
        Layer::Reshape { dims } => {
            let (wanted, found) = (element_count(dims)?, first.elements()?);
            match wanted == found {
                true => one(Shape::new(dims.clone())),
                false => Err(format!("shape {dims:?} has {wanted} elements, the input {first} has {found}")),
            }
        }
        Layer::Softmax { axis } => extent(first, *axis).and_then(|_| one(first.clone())),
        Layer::Split => Ok(vec![first.clone(); node.outputs.len()]),
        Layer::Slice { axis, sizes } => slice_shapes(first, *axis, sizes),
        Layer::Operation(operation) => operation.definition().output_shapes(inputs),
    }
}

/// The weights a node wants, in the order they are initialised.
pub(crate) fn parameters(node: &Node, inputs: &[&Shape]) -> Result<Vec<Parameter>, String> {
    let Some(&first) = inputs.first() else { return Err("it has no input".to_owned()) };
    let mut list = Vec::new();
    let mut add = |name: &str, shape: Vec<usize>, initializer: Initializer, trainable: bool| {
        element_count(&shape).map_err(|message| format!("weight {name}: {message}"))?;
        let name = format!("{}.{name}", node.name);
        list.push(Parameter { name, node: node.name.clone(), shape, initializer, trainable });
        Ok::<(), String>(())
    };
    match &node.layer {
        Layer::Convolution(convolution) => {
            let (channels, _, _) = image(first)?;
            let [height, width] = convolution.kernel;
            let shape = vec![convolution.outputs, channels / convolution.groups.max(1), height, width];
            add("weight", shape, convolution.weight_initializer, true)?;
            if convolution.bias {
                add("bias", vec![convolution.outputs], convolution.bias_initializer, true)?;
            }
        }
        Layer::InnerProduct(InnerProduct { outputs, bias, axis, weight_initializer, bias_initializer }) => {
            let (_, flattened) = split_at_axis(first, *axis)?;
            add("weight", vec![*outputs, element_count(flattened)?], *weight_initializer, true)?;
            if *bias {
                add("bias", vec![*outputs], *bias_initializer, true)?;
            }
        }
        Layer::Prelu { channel_shared, initializer } => {
            let channels = if *channel_shared { 1 } else { extent(first, 1)? };
            add("slope", vec![channels], *initializer, true)?;
        }
        Layer::BatchNorm(batch_norm) => {
            let channels = extent(first, 1)?;
            add("running_mean", vec![channels], Initializer::ZERO, false)?;
            add("running_variance", vec![channels], Initializer::ONE, false)?;
            if batch_norm.affine {
                add("weight", vec![channels], Initializer::ONE, true)?;
                add("bias", vec![channels], Initializer::ZERO, true)?;
            }
        }
        Layer::Scale(scale) => {
            let shape = axes_shape(first, scale.axis, scale.axes)?;
            add("weight", shape.clone(), scale.weight_initializer, true)?;
            if scale.bias {
                add("bias", shape, scale.bias_initializer, true)?;
            }
        }
        Layer::Bias(bias) => add("bias", axes_shape(first, bias.axis, bias.axes)?, bias.initializer, true)?,
        Layer::Relu { .. }
        | Layer::Elu { .. }
        | Layer::Sigmoid
        | Layer::Tanh
        | Layer::Pooling(_)
        | Layer::Lrn(_)
        | Layer::Broadcast { .. }
        | Layer::Concat { .. }
        | Layer::Eltwise(_)
        | Layer::Dropout { .. }
        | Layer::Flatten
        | Layer::Reshape { .. }
        | Layer::Softmax { .. }
        | Layer::Split
        | Layer::Slice { .. } => {}
        Layer::Operation(operation) => {
            for wanted in operation.definition().weights(inputs)? {
                add(wanted.name, wanted.shape, wanted.initializer, true)?;
            }
        }
    }
    Ok(list)
}

/// Checks the numbers of inputs and outputs.
fn check_arity(node: &Node) -> Result<(), String> {
    let (inputs, outputs) = (node.inputs.len(), node.outputs.len());
    let fits = match &node.layer {
        Layer::Concat { .. } | Layer::Eltwise(_) => inputs >= 1 && outputs == 1,
        Layer::Broadcast { .. } => inputs == 2 && outputs == 1,
        Layer::Split => inputs == 1 && outputs >= 1,
        Layer::Slice { sizes, .. } => inputs == 1 && outputs == sizes.len(),
        Layer::Operation(operation) => operation.definition().arity() == (inputs, outputs),
        Layer::Convolution(_)
        | Layer::InnerProduct(_)
        | Layer::Relu { .. }
        | Layer::Prelu { .. }
        | Layer::Elu { .. }
        | Layer::Sigmoid
        | Layer::Tanh
        | Layer::Pooling(_)
        | Layer::Lrn(_)
        | Layer::BatchNorm(_)
        | Layer::Scale(_)
        | Layer::Bias(_)
        | Layer::Dropout { .. }
        | Layer::Flatten
        | Layer::Reshape { .. }
        | Layer::Softmax { .. } => inputs == 1 && outputs == 1,
    };
    if let Layer::Eltwise(crate::layer::Eltwise::Sum { coefficients }) = &node.layer
        && !coefficients.is_empty()
        && coefficients.len() != inputs
    {
        return Err(format!("it has {inputs} inputs but {} coefficients", coefficients.len()));
    }
    match fits {
        true => Ok(()),
        false => Err(format!("a {} cannot have {inputs} inputs and {outputs} outputs", node.layer.kind())),
    }
}

fn image(shape: &Shape) -> Result<(usize, usize, usize), String> {
    shape.as_image().ok_or_else(|| format!("its input should be [channels, height, width], found {shape}"))
}

fn extent(shape: &Shape, axis: usize) -> Result<usize, String> {
    shape.axis(axis).ok_or_else(|| format!("axis {axis} is not an axis of one sample of shape {shape}"))
}

/// The extents before an axis and from it on.
fn split_at_axis(shape: &Shape, axis: usize) -> Result<(&[usize], &[usize]), String> {
    extent(shape, axis)?;
    Ok(shape.dims().split_at(axis - 1))
}

/// The extents of `axes` axes from `axis` on.
fn axes_shape(shape: &Shape, axis: usize, axes: usize) -> Result<Vec<usize>, String> {
    let (_, rest) = split_at_axis(shape, axis)?;
    match rest.get(..axes) {
        Some(extents) if axes > 0 => Ok(extents.to_vec()),
        _ => Err(format!("{axes} axes from axis {axis} on do not fit shape {shape}")),
    }
}

fn convolution_shape(convolution: &Convolution, input: &Shape) -> Result<Shape, String> {
    let (channels, height, width) = image(input)?;
    let Convolution { outputs, kernel, stride, padding, dilation, groups, .. } = convolution;
    if [*outputs, *groups].iter().chain(kernel).chain(stride).chain(dilation).any(|&value| value == 0) {
        return Err("number of outputs, groups, kernel, stride and dilation should be at least 1".to_owned());
    }
    if channels % groups != 0 || outputs % groups != 0 {
        return Err(format!("{channels} channels and {outputs} outputs cannot be divided into {groups} groups"));
    }
    let along = |axis: usize, input: usize| {
        let reach = dilation[axis].checked_mul(kernel[axis] - 1).and_then(|reach| reach.checked_add(1));
        let padded = padding[axis].checked_mul(2).and_then(|padding| padding.checked_add(input));
        match (reach, padded) {
            (Some(reach), Some(padded)) if reach <= padded => Ok((padded - reach) / stride[axis] + 1),
            _ => Err(format!(
                "a kernel of {} with dilation {} does not fit an input of {input} with padding {}",
                kernel[axis], dilation[axis], padding[axis]
            )),
        }
    };
    Ok(Shape::image(*outputs, along(0, height)?, along(1, width)?))
}

fn check_lrn(lrn: &Lrn) -> Result<(), String> {
    if lrn.size.is_multiple_of(2) {
        return Err(format!("the neighbourhood should have an odd size, found {}", lrn.size));
    }
    match lrn.region {
        LrnRegion::WithinChannel if lrn.k != 1.0 => Err(format!("k is 1 within a channel, found {}", lrn.k)),
        LrnRegion::WithinChannel | LrnRegion::AcrossChannels => Ok(()),
    }
}

fn concat_shape(inputs: &[&Shape], axis: usize) -> Result<Shape, String> {
    let mut dims = inputs[0].dims().to_vec();
    extent(inputs[0], axis)?;
    dims[axis - 1] = 0;
    for input in inputs {
        let added = extent(input, axis)?;
        let sum = dims[axis - 1].checked_add(added).ok_or("the sum of its inputs is too large")?;
        dims[axis - 1] = sum;
        let same = dims.len() == input.dims().len()
            && dims.iter().zip(input.dims()).enumerate().all(|(index, (a, b))| index == axis - 1 || a == b);
        if !same {
            return Err(format!("its inputs should differ along axis {axis} alone, found {} and {input}", inputs[0]));
        }
    }
    Ok(Shape::new(dims))
}

fn slice_shapes(input: &Shape, axis: usize, sizes: &[usize]) -> Result<Vec<Shape>, String> {
    let whole = extent(input, axis)?;
    let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size).filter(|_| size > 0));
    if sum != Some(whole) {
        return Err(format!("pieces of {sizes:?} do not make up the {whole} of axis {axis}"));
    }
    let piece = |&size: &usize| {
        let mut dims = input.dims().to_vec();
        dims[axis - 1] = size;
        Shape::new(dims)
    };
    Ok(sizes.iter().map(piece).collect())
}
