//! Maximum and average of windows, by Caffe's rounding and divisor rules.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, TensorData};
use dede_graph::Windows;
use dede_graph::layer::{Pooling, PoolingMethod};

use super::{Matrix, Place, image};

/// Pools `[channels, height, width]`.
pub(super) fn pool(place: &Place<'_>, x: Matrix, options: &Pooling) -> Matrix {
    let [batch, _] = x.dims();
    let &[channels, height, width] = place.input() else {
        unreachable!("the graph has checked that a pooling takes an image");
    };
    let windows = options.windows([height, width]).expect("the graph has checked the windows");
    let kernel = windows.map(|along| along.kernel);
    let stride = windows.map(|along| along.stride);
    let padding = windows.map(|along| (along.padding, along.end_padding()));
    let x = image(x, [channels, height, width]);
    let y = match options.method {
        PoolingMethod::Max => {
            max_pool2d(x, MaxPoolOptions::new(kernel).with_stride(stride).with_padding_pairs(padding))
        }
        PoolingMethod::Average => {
            let settings = AvgPoolOptions::new(kernel).with_stride(stride).with_padding_pairs(padding);
            correct_divisors(avg_pool2d(x, settings.with_count_include_pad(true)), windows)
        }
    };
    y.reshape([batch, place.output().iter().product()])
}

/// Averages come divided by the whole kernel; windows that reach beyond the padding have a smaller divisor.
fn correct_divisors(y: Tensor<4>, windows: [Windows; 2]) -> Tensor<4> {
    if windows.iter().all(|along| along.uncounted_padding() == 0) {
        return y;
    }
    let [rows, columns] =
        windows.map(|along| along.spans().map(|(_, _, divisor)| divisor as f32).collect::<Vec<f32>>());
    let whole = (windows[0].kernel * windows[1].kernel) as f32;
    let factors = rows.iter().flat_map(|row| columns.iter().map(move |column| whole / (row * column)));
    let data = TensorData::new(factors.collect::<Vec<f32>>(), [1, 1, rows.len(), columns.len()]);
    let device = y.device();
    y * Tensor::<4>::from_data(data, &device)
}
