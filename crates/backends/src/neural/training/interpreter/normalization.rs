//! Layers that divide by statistics of their input.

use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Tensor, module};
use dede_graph::layer::{BatchNorm, Lrn, LrnRegion};
use dede_model::error::Result;

use super::{BatchStatistics, Matrix, Phase, Place, image, split, values};

/// Normalises each channel by the batch when training, by the running statistics otherwise, and always when they never
/// change.
pub(super) fn batch_norm(
    place: &Place<'_>,
    x: Matrix,
    options: &BatchNorm,
    statistics: &mut Vec<BatchStatistics>,
) -> Result<Matrix> {
    let [batch, elements] = x.dims();
    let [_, channels, rest] = split(place.input(), 1, 1);
    let device = x.device();
    let x = x.reshape([batch, channels, rest]);
    let (scale, bias) = if options.affine {
        (place.weight("weight"), place.weight("bias"))
    } else {
        (Tensor::ones([channels], &device), Tensor::zeros([channels], &device))
    };
    let epsilon = f64::from(options.epsilon);
    let y: Tensor<3> = match place.phase {
        Phase::Train { .. } if options.momentum < 1.0 => {
            let made = module::batch_norm_train(x, scale, bias, epsilon);
            let count = (batch * rest) as f32;
            let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
            statistics.push(BatchStatistics {
                node: place.node.name.clone(),
                mean: values(made.mean)?,
                variance: values(made.variance)?.into_iter().map(|variance| variance * unbiased).collect(),
                momentum: options.momentum,
            });
            made.output
        }
        Phase::Train { .. } | Phase::Test => {
            let [mean, variance] = ["running_mean", "running_variance"].map(|name| place.weight(name));
            module::batch_norm(x, scale, bias, mean, variance, epsilon)
        }
    };
    Ok(y.reshape([batch, elements]))
}

/// `x / (k + alpha · mean of x² over the neighbourhood)^beta`, zeros outside counted.
pub(super) fn lrn(place: &Place<'_>, x: Matrix, options: &Lrn) -> Matrix {
    let [batch, elements] = x.dims();
    let &[channels, height, width] = place.input() else {
        unreachable!("the graph has checked that this layer takes an image");
    };
    let (extents, kernel) = match options.region {
        LrnRegion::AcrossChannels => ([1, channels, height * width], [options.size, 1]),
        LrnRegion::WithinChannel => ([channels, height, width], [options.size; 2]),
    };
    let squares = image(x.clone() * x.clone(), extents);
    let settings = AvgPoolOptions::new(kernel)
        .with_stride([1, 1])
        .with_padding(kernel.map(|extent| extent / 2))
        .with_count_include_pad(true);
    let means = module::avg_pool2d(squares, settings).reshape([batch, elements]);
    x / (means * options.alpha + options.k).powf_scalar(options.beta)
}
