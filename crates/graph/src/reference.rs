//! A plain interpreter of graphs for tests: each layer as its documentation defines it, one sample at a time, in `f64`, with
//! no thought of speed. What engines and training compute is compared with it.

use std::collections::BTreeMap;

use crate::graph::{Graph, Node};
use crate::layer::{BroadcastOperation, Convolution, Eltwise, Layer, Lrn, LrnRegion, Pooling, PoolingMethod};
use crate::shape::Shape;
use crate::weights::Weight;

/// Reproducible numbers uniform in `[0, 1)`: a linear congruential generator with Knuth's MMIX constants.
pub(crate) fn generator(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// All values of a network for one sample of its only input.
pub(crate) fn run(graph: &Graph, sample: &[f64]) -> BTreeMap<String, Vec<f64>> {
    let shapes = graph.shapes().unwrap();
    let mut values = BTreeMap::from([(graph.inputs[0].name.clone(), sample.to_vec())]);
    for node in &graph.nodes {
        let inputs: Vec<(&Shape, &[f64])> =
            node.inputs.iter().map(|name| (&shapes[name], values[name].as_slice())).collect();
        let outputs = compute(graph, node, &inputs);
        for (name, output) in node.outputs.iter().zip(outputs) {
            assert_eq!(output.len(), shapes[name].elements().unwrap(), "{name}");
            values.insert(name.clone(), output);
        }
    }
    values
}

/// Position of an element in an image of `[channels, height, width]`; zero outside.
fn at(dims: &[usize], x: &[f64], channel: usize, row: isize, column: isize) -> f64 {
    let (height, width) = (dims[1] as isize, dims[2] as isize);
    if (0..height).contains(&row) && (0..width).contains(&column) {
        x[(channel * dims[1] + row as usize) * dims[2] + column as usize]
    } else {
        0.0
    }
}

/// `(outer, extent, inner)` around an axis that counts the batch.
fn around(shape: &Shape, axis: usize) -> (usize, usize, usize) {
    let dims = shape.dims();
    (dims[..axis - 1].iter().product(), dims[axis - 1], dims[axis..].iter().product())
}

fn compute(graph: &Graph, node: &Node, inputs: &[(&Shape, &[f64])]) -> Vec<Vec<f64>> {
    let weight = |name: &str| graph.weights.get(&format!("{}.{name}", node.name)).unwrap();
    let (shape, x) = inputs[0];
    let each = |f: &dyn Fn(f64) -> f64| vec![x.iter().map(|&x| f(x)).collect()];
    let along = |axis: usize, axes: usize, f: &dyn Fn(f64, usize) -> f64| {
        let inner: usize = shape.dims()[axis - 1 + axes..].iter().product();
        let count: usize = shape.dims()[axis - 1..axis - 1 + axes].iter().product();
        vec![x.iter().enumerate().map(|(index, &x)| f(x, index / inner % count)).collect()]
    };
    let value = |weight: &Weight, index: usize| f64::from(weight.data()[index]);
    match &node.layer {
        Layer::Convolution(convolution) => {
            vec![convolve(convolution, shape, x, weight("weight"), convolution.bias.then(|| weight("bias")))]
        }
        Layer::InnerProduct(inner) => {
            let count: usize = shape.dims()[inner.axis - 1..].iter().product();
            let row = |x: &[f64], output: usize| {
                let bias = if inner.bias { value(weight("bias"), output) } else { 0.0 };
                bias + x.iter().enumerate().map(|(i, x)| x * value(weight("weight"), output * count + i)).sum::<f64>()
            };
            vec![x.chunks(count).flat_map(|x| (0..inner.outputs).map(move |output| row(x, output))).collect()]
        }
        Layer::Relu { negative_slope } => each(&|x| if x > 0.0 { x } else { f64::from(*negative_slope) * x }),
        Layer::Prelu { channel_shared, .. } => along(1, 1, &|x, channel| {
            let slope = value(weight("slope"), if *channel_shared { 0 } else { channel });
            if x > 0.0 { x } else { slope * x }
        }),
        Layer::Elu { alpha } => each(&|x| if x > 0.0 { x } else { f64::from(*alpha) * x.exp_m1() }),
        Layer::Sigmoid => each(&|x| 1.0 / (1.0 + (-x).exp())),
        Layer::Tanh => each(&f64::tanh),
        Layer::Pooling(pooling) => vec![pool(pooling, shape.dims(), x)],
        Layer::Lrn(lrn) => vec![normalize(lrn, shape.dims(), x)],
        Layer::BatchNorm(norm) => along(1, 1, &|x, channel| {
            let variance = value(weight("running_variance"), channel) + f64::from(norm.epsilon);
            let normal = (x - value(weight("running_mean"), channel)) / variance.sqrt();
            if norm.affine {
                normal * value(weight("weight"), channel) + value(weight("bias"), channel)
            } else {
                normal
            }
        }),
        Layer::Scale(scale) => along(scale.axis, scale.axes, &|x, index| {
            x * value(weight("weight"), index) + if scale.bias { value(weight("bias"), index) } else { 0.0 }
        }),
        Layer::Bias(bias) => along(bias.axis, bias.axes, &|x, index| x + value(weight("bias"), index)),
        Layer::Broadcast { operation } => {
            let second = inputs[1].1;
            along(1, inputs[1].0.dims().len(), &|x, index| match operation {
                BroadcastOperation::Product => x * second[index],
                BroadcastOperation::Sum => x + second[index],
            })
        }
        Layer::Concat { axis } => {
            let outer = around(shape, *axis).0;
            let piece = |(_, x): &(&Shape, &[f64]), index: usize| {
                let size = x.len() / outer;
                x[index * size..(index + 1) * size].to_vec()
            };
            vec![(0..outer).flat_map(|index| inputs.iter().flat_map(move |input| piece(input, index))).collect()]
        }
        Layer::Eltwise(eltwise) => vec![(0..x.len()).map(|index| combine(eltwise, inputs, index)).collect()],
        Layer::Dropout { .. } | Layer::Flatten | Layer::Reshape { .. } => vec![x.to_vec()],
        Layer::Split => vec![x.to_vec(); node.outputs.len()],
        Layer::Operation(operation) => panic!("{operation:?} is compared with what other programs compute"),
        Layer::Softmax { axis } => {
            let (_, extent, inner) = around(shape, *axis);
            let sum = |index: usize| -> f64 {
                let start = index / (extent * inner) * extent * inner + index % inner;
                (0..extent).map(|step| x[start + step * inner].exp()).sum()
            };
            vec![x.iter().enumerate().map(|(index, x)| x.exp() / sum(index)).collect()]
        }
        Layer::Slice { axis, sizes } => {
            let (outer, extent, inner) = around(shape, *axis);
            let mut start = 0;
            let mut pieces = Vec::new();
            for &size in sizes {
                let piece =
                    |index: usize| &x[(index * extent + start) * inner..(index * extent + start + size) * inner];
                pieces.push((0..outer).flat_map(piece).copied().collect());
                start += size;
            }
            pieces
        }
    }
}

fn combine(eltwise: &Eltwise, inputs: &[(&Shape, &[f64])], index: usize) -> f64 {
    let mut terms = inputs.iter().map(|(_, x)| x[index]).enumerate();
    match eltwise {
        Eltwise::Sum { coefficients } => {
            terms.map(|(input, x)| coefficients.get(input).map_or(1.0, |&factor| f64::from(factor)) * x).sum()
        }
        Eltwise::Product => terms.map(|(_, x)| x).product(),
        Eltwise::Max => terms.by_ref().map(|(_, x)| x).fold(f64::NEG_INFINITY, f64::max),
    }
}

fn convolve(c: &Convolution, shape: &Shape, x: &[f64], weight: &Weight, bias: Option<&Weight>) -> Vec<f64> {
    let dims = shape.dims();
    let &[_, group_inputs, kernel_height, kernel_width] = weight.shape() else { unreachable!() };
    let count = |axis: usize| {
        (dims[axis + 1] + 2 * c.padding[axis] - c.dilation[axis] * (c.kernel[axis] - 1) - 1) / c.stride[axis] + 1
    };
    let mut y = Vec::new();
    for output in 0..c.outputs {
        let first = output / (c.outputs / c.groups) * group_inputs;
        for (row, column) in (0..count(0)).flat_map(|row| (0..count(1)).map(move |column| (row, column))) {
            let mut sum = bias.map_or(0.0, |bias| f64::from(bias.data()[output]));
            for (input, i, j) in (0..group_inputs)
                .flat_map(|input| (0..kernel_height).map(move |i| (input, i)))
                .flat_map(|(input, i)| (0..kernel_width).map(move |j| (input, i, j)))
            {
                let place = |axis: usize, step: usize, tap: usize| {
                    (step * c.stride[axis] + tap * c.dilation[axis]) as isize - c.padding[axis] as isize
                };
                let index = ((output * group_inputs + input) * kernel_height + i) * kernel_width + j;
                sum +=
                    f64::from(weight.data()[index]) * at(dims, x, first + input, place(0, row, i), place(1, column, j));
            }
            y.push(sum);
        }
    }
    y
}

fn pool(pooling: &Pooling, dims: &[usize], x: &[f64]) -> Vec<f64> {
    let [rows, columns] = pooling.windows([dims[1], dims[2]]).unwrap();
    let mut y = Vec::new();
    for channel in 0..dims[0] {
        for (top, bottom, height) in rows.spans() {
            for (left, right, width) in columns.spans() {
                let window = (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column)));
                let window = window.map(|(row, column)| at(dims, x, channel, row as isize, column as isize));
                y.push(match pooling.method {
                    PoolingMethod::Max => window.fold(f64::NEG_INFINITY, f64::max),
                    PoolingMethod::Average => window.sum::<f64>() / (height * width) as f64,
                });
            }
        }
    }
    y
}

fn normalize(lrn: &Lrn, dims: &[usize], x: &[f64]) -> Vec<f64> {
    let reach = (lrn.size / 2) as isize;
    let mut y = Vec::new();
    for (index, x_here) in x.iter().enumerate() {
        let (channel, place) = (index / (dims[1] * dims[2]), index % (dims[1] * dims[2]));
        let (row, column) = ((place / dims[2]) as isize, (place % dims[2]) as isize);
        let steps = || -reach..=reach;
        let (sum, count): (f64, usize) = match lrn.region {
            LrnRegion::AcrossChannels => {
                let neighbours = steps().filter_map(|step| channel.checked_add_signed(step)).filter(|&c| c < dims[0]);
                (neighbours.map(|channel| at(dims, x, channel, row, column).powi(2)).sum(), lrn.size)
            }
            LrnRegion::WithinChannel => {
                let neighbours = steps().flat_map(|i| steps().map(move |j| (i, j)));
                let square = |(i, j)| at(dims, x, channel, row + i, column + j).powi(2);
                (neighbours.map(square).sum(), lrn.size * lrn.size)
            }
        };
        let base = f64::from(lrn.k) + f64::from(lrn.alpha) / count as f64 * sum;
        y.push(x_here * base.powf(-f64::from(lrn.beta)));
    }
    y
}
