//! Layers that multiply by a matrix of weights.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use dede_graph::layer::{Convolution, InnerProduct};

use super::{Matrix, Place, image, split};

/// Cross-correlation of `[channels, height, width]`.
pub(super) fn convolution(place: &Place<'_>, x: Matrix, options: &Convolution) -> Matrix {
    let [batch, _] = x.dims();
    let &[channels, height, width] = place.input() else {
        unreachable!("the graph has checked that a convolution takes an image");
    };
    let [kernel_height, kernel_width] = options.kernel;
    let weight = place.weight("weight");
    let weight = weight.reshape([options.outputs, channels / options.groups, kernel_height, kernel_width]);
    let bias = options.bias.then(|| place.weight("bias"));
    let settings = ConvOptions::new(options.stride, options.padding, options.dilation, options.groups);
    let y = conv2d(image(x, [channels, height, width]), weight, bias, settings);
    y.reshape([batch, place.output().iter().product()])
}

/// `y = W x + b`, for every position before the axis.
pub(super) fn inner_product(place: &Place<'_>, x: Matrix, options: &InnerProduct) -> Matrix {
    let [batch, _] = x.dims();
    let axes = place.input().len() + 1 - options.axis;
    let [kept, flattened, _] = split(place.input(), options.axis, axes);
    let weight = place.weight("weight").reshape([options.outputs, flattened]);
    let rows = if kept == 1 { x } else { x.reshape([batch * kept, flattened]) };
    // In this order the gradient comes laid out as the weight is, which is the larger of the two in most networks.
    let mut y = weight.matmul(rows.transpose()).transpose();
    if options.bias {
        y = y + place.weight("bias").reshape([1, options.outputs]);
    }
    if kept == 1 { y } else { y.reshape([batch, kept * options.outputs]) }
}
