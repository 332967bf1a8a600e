//! Activations, products and sums with broadcast weights, and layers that move values.

use burn::tensor::{Tensor, activation};
use dede_graph::layer::{BroadcastOperation, Eltwise, Scale};
use rand::Rng;

use super::super::order::{Stream, generator};
use super::{Matrix, Phase, Place, image, matrix, split};

/// `x > 0 ? x : slope · x`.
pub(super) fn relu(x: Matrix, negative_slope: f32) -> Matrix {
    match negative_slope {
        0.0 => activation::relu(x),
        slope => activation::leaky_relu(x, f64::from(slope)),
    }
}

/// [`relu`] with a trained slope per channel, or one for all.
pub(super) fn prelu(place: &Place<'_>, x: Matrix) -> Matrix {
    let [batch, elements] = x.dims();
    let [_, channels, rest] = split(place.input(), 1, 1);
    activation::prelu(x.reshape([batch, channels, rest]), place.weight("slope")).reshape([batch, elements])
}

/// Multiplies by weights along some axes, and may add a bias.
pub(super) fn scale(place: &Place<'_>, x: Matrix, options: &Scale) -> Matrix {
    let [batch, elements] = x.dims();
    let extents = split(place.input(), options.axis, options.axes);
    let weight = place.weight("weight").reshape([1, 1, extents[1], 1]);
    let mut y = image(x, extents) * weight;
    if options.bias {
        y = y + place.weight("bias").reshape([1, 1, extents[1], 1]);
    }
    y.reshape([batch, elements])
}

/// Adds weights along some axes.
pub(super) fn bias(place: &Place<'_>, x: Matrix, axis: usize, axes: usize) -> Matrix {
    let [batch, elements] = x.dims();
    let extents = split(place.input(), axis, axes);
    let bias = place.weight("bias").reshape([1, 1, extents[1], 1]);
    (image(x, extents) + bias).reshape([batch, elements])
}

/// Combines `a` with a `b` whose extents are the first ones of `a`.
pub(super) fn broadcast(a: Matrix, b: Matrix, operation: BroadcastOperation) -> Matrix {
    let [batch, elements] = a.dims();
    let [_, shared] = b.dims();
    let a: Tensor<3> = a.reshape([batch, shared, elements / shared]);
    let b: Tensor<3> = b.reshape([batch, shared, 1]);
    let y = match operation {
        BroadcastOperation::Product => a * b,
        BroadcastOperation::Sum => a + b,
    };
    y.reshape([batch, elements])
}

/// Combines inputs of one shape.
pub(super) fn eltwise(inputs: Vec<Matrix>, options: &Eltwise) -> Matrix {
    let combine = |inputs: Vec<Matrix>, with: fn(Matrix, Matrix) -> Matrix| {
        inputs.into_iter().reduce(with).expect("the graph has checked that there is an input")
    };
    match options {
        Eltwise::Sum { coefficients } if coefficients.is_empty() => combine(inputs, |a, b| a + b),
        Eltwise::Sum { coefficients } => {
            let weighted = inputs.into_iter().zip(coefficients).map(|(x, coefficient)| x * *coefficient);
            combine(weighted.collect(), |a, b| a + b)
        }
        Eltwise::Product => combine(inputs, |a, b| a * b),
        Eltwise::Max => combine(inputs, Matrix::max_pair),
    }
}

/// Joins values along an axis.
pub(super) fn concat(place: &Place<'_>, inputs: Vec<Matrix>, axis: usize) -> Matrix {
    let shapes = place.node.inputs.iter().map(|name| place.shapes[name].dims());
    let parts: Vec<Tensor<4>> =
        inputs.into_iter().zip(shapes).map(|(x, dims)| image(x, split(dims, axis, 1))).collect();
    let joined = Tensor::cat(parts, 2);
    let [batch, ..] = joined.dims();
    joined.reshape([batch, place.output().iter().product()])
}

/// Cuts a value along an axis.
pub(super) fn slice(place: &Place<'_>, x: Matrix, axis: usize, sizes: &[usize]) -> Vec<Matrix> {
    let [batch, _] = x.dims();
    let [before, whole, after] = split(place.input(), axis, 1);
    let x = image(x, [before, whole, after]);
    let mut start = 0;
    let pieces = sizes.iter().map(|size| {
        let piece = x.clone().narrow(2, start, *size);
        start += size;
        piece.reshape([batch, before * size * after])
    });
    pieces.collect()
}

/// `exp(x_i) / sum_j exp(x_j)` along an axis.
pub(super) fn softmax(place: &Place<'_>, x: Matrix, axis: usize) -> Matrix {
    let [batch, elements] = x.dims();
    activation::softmax(image(x, split(place.input(), axis, 1)), 2).reshape([batch, elements])
}

/// Zeros a share of the values and enlarges the others by as much.
pub(super) fn dropout(place: &Place<'_>, x: Matrix, ratio: f32) -> Matrix {
    let Phase::Train { seed, batch } = place.phase else { return x };
    let [rows, columns] = x.dims();
    let mut random = generator(seed, Stream::Dropout { batch, layer: place.index as u64 });
    let kept = 1.0 / (1.0 - ratio);
    // 32-bit draws below this are dropped.
    let threshold = (f64::from(ratio) * 2f64.powi(32)) as u64;
    let draw = |_| if u64::from(random.next_u32()) < threshold { 0.0 } else { kept };
    let mask = matrix((0..rows * columns).map(draw).collect(), rows, columns, &x.device());
    x * mask
}
