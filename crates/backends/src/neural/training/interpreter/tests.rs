//! Each layer against a computation by definition, and its gradients against finite differences.

use dede_graph::layer::{
    BatchNorm, Bias, BroadcastOperation, Convolution, Eltwise, InnerProduct, Lrn, LrnRegion, Pooling, PoolingMethod,
    Rounding, Scale,
};
use dede_graph::{Initializer, Input, Transform, Weights};

use super::super::network::Network;
use super::*;

const UNIFORM: Initializer = Initializer::Uniform { min: -1.0, max: 1.0 };

/// Deterministic numbers in [0, 1) (Knuth's MMIX generator).
fn uniform(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn node(name: &str, layer: Layer, inputs: &[&str], outputs: &[&str]) -> Node {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Node { name: name.into(), layer, inputs: names(inputs), outputs: names(outputs) }
}

fn network(shape: Shape, nodes: Vec<Node>) -> Network {
    let output = nodes.last().unwrap().outputs[0].clone();
    let input = Input { name: "data".into(), shape, transform: Transform::default() };
    let mut graph =
        Graph { name: String::new(), inputs: vec![input], nodes, outputs: vec![output], weights: Weights::new() };
    graph.initialize(uniform(5)).unwrap();
    Network::new(graph, true).unwrap()
}

fn one_layer(shape: Shape, layer: Layer) -> Network {
    network(shape, vec![node("layer", layer, &["data"], &["y"])])
}

fn forward(network: &Network, input: &[f32], phase: Phase) -> Vec<f32> {
    let graph = network.graph();
    let interpreter = Interpreter::new(graph, graph.output()).unwrap();
    let elements = graph.inputs[0].shape.elements().unwrap();
    let device = device();
    let input = matrix(input.to_vec(), input.len() / elements, elements, &device);
    let (y, _) = interpreter.run(graph.output(), input, &network.leaves(&device), phase).unwrap();
    values(y).unwrap()
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = uniform(seed);
    (0..count).map(|_| (2.0 * random() - 1.0) as f32).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let tolerance = 1e-5 * (1.0 + expected.abs());
        assert!((found - expected).abs() <= tolerance, "{what}, value {index}: {found}, not {expected}");
    }
}

fn convolution(kernel: [usize; 2], stride: usize, padding: usize, groups: usize) -> Convolution {
    Convolution {
        outputs: 4,
        kernel,
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups,
        bias: true,
        weight_initializer: UNIFORM,
        bias_initializer: UNIFORM,
    }
}

fn inner(outputs: usize, axis: usize) -> InnerProduct {
    InnerProduct { outputs, bias: true, axis, weight_initializer: UNIFORM, bias_initializer: UNIFORM }
}

fn pooling(method: PoolingMethod, kernel: usize, stride: usize, padding: usize, rounding: Rounding) -> Pooling {
    Pooling { method, kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], global: false, rounding }
}

fn scale(axis: usize, axes: usize) -> Scale {
    Scale { axis, axes, bias: true, weight_initializer: UNIFORM, bias_initializer: UNIFORM }
}

#[test]
fn convolution_by_its_definition() {
    let (channels, size, groups) = (2, 5, 2);
    for (stride, padding) in [(1, 0), (2, 1)] {
        let net = one_layer(
            Shape::image(channels, size, size),
            Layer::Convolution(convolution([3, 3], stride, padding, groups)),
        );
        let input = numbers(2 * channels * size * size, 3);
        let found = forward(&net, &input, Phase::Test);
        let [weight, bias] = [&net.weights()[0], &net.weights()[1]];
        let extent = (size + 2 * padding - 3) / stride + 1;
        let mut expected = Vec::new();
        for sample in input.chunks(channels * size * size) {
            for filter in 0..4 {
                // Two groups: filters 0 and 1 see channel 0, filters 2 and 3 channel 1.
                let channel = filter / 2;
                for (row, column) in (0..extent * extent).map(|place| (place / extent, place % extent)) {
                    let mut sum = bias[filter];
                    for (y, x) in (0..9).map(|tap| (tap / 3, tap % 3)) {
                        let (from_row, from_column) = (row * stride + y, column * stride + x);
                        let inside = padding..size + padding;
                        if inside.contains(&from_row) && inside.contains(&from_column) {
                            let at = channel * size * size + (from_row - padding) * size + from_column - padding;
                            sum += weight[filter * 9 + y * 3 + x] * sample[at];
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        assert_close(&found, &expected, "convolution");
    }
}

#[test]
fn pooling_by_caffes_rules() {
    for method in [PoolingMethod::Max, PoolingMethod::Average] {
        for (size, kernel, stride, padding) in [(5, 2, 2, 0), (4, 3, 2, 1), (6, 3, 2, 0), (7, 3, 3, 1)] {
            for rounding in [Rounding::Ceil, Rounding::Floor] {
                let options = pooling(method, kernel, stride, padding, rounding);
                let input = numbers(3 * size * size, 9);
                let [windows, _] = options.windows([size, size]).unwrap();
                let mut expected = Vec::new();
                for channel in input.chunks(size * size) {
                    for (top, bottom, rows) in windows.spans() {
                        for (left, right, columns) in windows.spans() {
                            let inside = (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column)));
                            let seen = inside.map(|(row, column)| channel[row * size + column]);
                            expected.push(match method {
                                PoolingMethod::Max => seen.fold(f32::NEG_INFINITY, f32::max),
                                PoolingMethod::Average => seen.sum::<f32>() / (rows * columns) as f32,
                            });
                        }
                    }
                }
                let what = format!("{options:?} of {size}");
                let net = one_layer(Shape::image(3, size, size), Layer::Pooling(options));
                assert_close(&forward(&net, &input, Phase::Test), &expected, &what);
            }
        }
    }
}

#[test]
fn local_response_normalisation_by_its_definition() {
    let (channels, size) = (5, 3);
    let input = numbers(channels * size * size, 4);
    let at = |channel: usize, row: usize, column: usize| input[(channel * size + row) * size + column];
    let near = |center: usize, limit: usize| center.saturating_sub(1)..(center + 2).min(limit);
    for region in [LrnRegion::AcrossChannels, LrnRegion::WithinChannel] {
        let options = Lrn { region, size: 3, alpha: 0.5, beta: 0.75, k: 1.0 };
        let mut expected = Vec::new();
        for (place, x) in input.iter().enumerate() {
            let (channel, row, column) = (place / 9, place / 3 % 3, place % 3);
            let (sum, count): (f32, f32) = match region {
                LrnRegion::AcrossChannels => (near(channel, 5).map(|c| at(c, row, column).powi(2)).sum(), 3.0),
                LrnRegion::WithinChannel => {
                    let places = near(row, 3).flat_map(|r| near(column, 3).map(move |c| (r, c)));
                    (places.map(|(r, c)| at(channel, r, c).powi(2)).sum(), 9.0)
                }
            };
            expected.push(x / (1.0 + 0.5 / count * sum).powf(0.75));
        }
        let net = one_layer(Shape::image(channels, size, size), Layer::Lrn(options));
        assert_close(&forward(&net, &input, Phase::Test), &expected, &format!("{region:?}"));
    }
}

#[test]
fn layers_that_move_values_by_hand() {
    let net = network(
        Shape::image(4, 1, 1),
        vec![
            node("cut", Layer::Slice { axis: 1, sizes: vec![1, 3] }, &["data"], &["a", "b"]),
            node("turn", Layer::Concat { axis: 1 }, &["b", "a"], &["c"]),
            node("both", Layer::Split, &["c"], &["d", "e"]),
            node("sum", Layer::Eltwise(Eltwise::Sum { coefficients: vec![2.0, -1.0] }), &["d", "data"], &["f"]),
            node("max", Layer::Eltwise(Eltwise::Max), &["f", "e"], &["g"]),
        ],
    );
    // c = 2 3 4 1; 2c - data = 3 4 5 -2; max with c.
    assert_eq!(forward(&net, &[1.0, 2.0, 3.0, 4.0], Phase::Test), [3.0, 4.0, 5.0, 1.0]);
    let net = network(
        Shape::image(2, 1, 2),
        vec![
            node("flat", Layer::Reshape { dims: vec![2, 2] }, &["data"], &["rows"]),
            node("soft", Layer::Softmax { axis: 2 }, &["rows"], &["p"]),
        ],
    );
    let third = 1.0 / 3.0;
    assert_close(&forward(&net, &[0.0, 2f32.ln(), 5.0, 5.0], Phase::Test), &[third, 2.0 * third, 0.5, 0.5], "softmax");
}

#[test]
fn inner_products_from_a_later_axis_keep_the_axes_before() {
    let net = one_layer(Shape::new([2, 3]), Layer::InnerProduct(inner(2, 2)));
    let [weight, bias] = [&net.weights()[0], &net.weights()[1]];
    let input = numbers(6, 8);
    let row = |x: &[f32], output: usize| bias[output] + (0..3).map(|i| weight[output * 3 + i] * x[i]).sum::<f32>();
    let expected: Vec<f32> = input.chunks(3).flat_map(|x| [row(x, 0), row(x, 1)]).collect();
    assert_close(&forward(&net, &input, Phase::Test), &expected, "inner product");
}

#[test]
fn dropout_keeps_the_mean_repeats_with_its_seed_and_is_off_in_tests() {
    let net = one_layer(Shape::columns(1000), Layer::Dropout { ratio: 0.25 });
    let ones = vec![1.0; 4000];
    assert_eq!(forward(&net, &ones, Phase::Test), ones);
    let masked = |batch| forward(&net, &ones, Phase::Train { seed: 3, batch });
    let first = masked(0);
    assert!(first.iter().all(|value| *value == 0.0 || *value == 1.0 / 0.75));
    let mean = first.iter().sum::<f32>() / 4000.0;
    assert!((mean - 1.0).abs() < 0.03, "{mean}");
    assert_eq!(first, masked(0));
    assert_ne!(first, masked(1));
}

#[test]
fn batch_normalisation_uses_the_batch_when_training_and_the_running_statistics_otherwise() {
    let mut net =
        one_layer(Shape::columns(1), Layer::BatchNorm(BatchNorm { epsilon: 0.0, momentum: 0.9, affine: false }));
    // Mean 3, variance 4 (of the population), 16/3 (unbiased).
    let input = [1.0, 1.0, 5.0, 5.0];
    assert_close(&forward(&net, &input, Phase::Train { seed: 0, batch: 0 }), &[-1.0, -1.0, 1.0, 1.0], "train");
    net.weights_mut()[0][0] = 1.0;
    net.weights_mut()[1][0] = 16.0;
    assert_close(&forward(&net, &input, Phase::Test), &[0.0, 0.0, 1.0, 1.0], "test");
    let graph = net.graph();
    let (_, statistics) = Interpreter::new(graph, "y")
        .unwrap()
        .run("y", matrix(input.to_vec(), 4, 1, &device()), &net.leaves(&device()), Phase::Train { seed: 0, batch: 0 })
        .unwrap();
    assert_close(&statistics[0].mean, &[3.0], "mean");
    assert_close(&statistics[0].variance, &[16.0 / 3.0], "variance");
}

/// Compares gradients with `(f(w + h) - f(w - h)) / 2h`, where `f` is a weighted sum of the outputs.
fn check_gradients(shape: Shape, nodes: Vec<Node>) {
    let what = format!("{:?}", nodes.iter().map(|node| node.layer.kind()).collect::<Vec<_>>());
    let mut net = network(shape, nodes);
    let elements = net.graph().inputs[0].shape.elements().unwrap();
    let input = numbers(3 * elements, 2);
    let phase = Phase::Train { seed: 1, batch: 0 };
    let outputs = forward(&net, &input, phase).len();
    let weights_of_sum = numbers(outputs, 6);
    let device = device().autodiff();
    let leaves = net.leaves(&device);
    let interpreter = Interpreter::new(net.graph(), net.graph().output()).unwrap();
    let (y, _) =
        interpreter.run(net.graph().output(), matrix(input.clone(), 3, elements, &device), &leaves, phase).unwrap();
    let gradients = (y * matrix(weights_of_sum.clone(), 3, outputs / 3, &device)).sum().backward();
    let sum = |net: &Network| -> f64 {
        let y = forward(net, &input, phase);
        y.iter().zip(&weights_of_sum).map(|(y, weight)| f64::from(*y) * f64::from(*weight)).sum()
    };
    let mut checked = 0;
    for (index, parameter) in net.parameters().to_vec().iter().enumerate().filter(|(_, parameter)| parameter.trainable)
    {
        let gradient = values(leaves[&parameter.name].grad(&gradients).unwrap()).unwrap();
        for (place, found) in gradient.iter().enumerate().take(12) {
            let step = 5e-3;
            let mut at = |change: f32| {
                net.weights_mut()[index][place] += change;
                let value = sum(&net);
                net.weights_mut()[index][place] -= change;
                value
            };
            let expected = (at(step) - at(-step)) / f64::from(2.0 * step);
            let found = f64::from(*found);
            let tolerance = 2e-2 * (1.0 + expected.abs());
            assert!(
                (found - expected).abs() < tolerance,
                "{what} {}[{place}]: {found}, not {expected}",
                parameter.name
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "{what}");
}

#[test]
fn gradients_match_finite_differences() {
    let first = || node("first", Layer::InnerProduct(inner(6, 1)), &["data"], &["x"]);
    let smooth = [
        Layer::Sigmoid,
        Layer::Tanh,
        Layer::Elu { alpha: 0.5 },
        Layer::Relu { negative_slope: 0.3 },
        Layer::Prelu { channel_shared: false, initializer: Initializer::Constant { value: 0.25 } },
        Layer::Softmax { axis: 1 },
        Layer::Dropout { ratio: 0.4 },
        Layer::BatchNorm(BatchNorm { epsilon: 1e-3, momentum: 0.9, affine: false }),
        Layer::Scale(scale(1, 1)),
        Layer::Bias(Bias { axis: 1, axes: 1, initializer: UNIFORM }),
        Layer::InnerProduct(inner(2, 1)),
        Layer::Slice { axis: 1, sizes: vec![6] },
    ];
    for layer in smooth {
        check_gradients(Shape::columns(4), vec![first(), node("second", layer, &["x"], &["y"])]);
    }
    let image = || node("first", Layer::Convolution(convolution([2, 2], 1, 1, 1)), &["data"], &["x"]);
    let spatial = [
        Layer::Convolution(convolution([3, 3], 2, 1, 2)),
        Layer::Pooling(pooling(PoolingMethod::Max, 2, 2, 0, Rounding::Ceil)),
        Layer::Pooling(pooling(PoolingMethod::Average, 3, 2, 1, Rounding::Ceil)),
        Layer::Lrn(Lrn { region: LrnRegion::AcrossChannels, size: 3, alpha: 0.5, beta: 0.75, k: 1.0 }),
        Layer::BatchNorm(BatchNorm { epsilon: 1e-3, momentum: 0.9, affine: true }),
        Layer::Flatten,
    ];
    for layer in spatial {
        check_gradients(Shape::image(2, 4, 4), vec![image(), node("second", layer, &["x"], &["y"])]);
    }
    let pool = Pooling { global: true, ..pooling(PoolingMethod::Average, 1, 1, 0, Rounding::Floor) };
    check_gradients(
        Shape::image(2, 4, 4),
        vec![
            image(),
            node("squeeze", Layer::Pooling(pool), &["x"], &["s"]),
            node("flat", Layer::Flatten, &["s"], &["t"]),
            node("gate", Layer::Broadcast { operation: BroadcastOperation::Product }, &["x", "t"], &["y"]),
        ],
    );
    let product = Layer::Eltwise(Eltwise::Product);
    check_gradients(Shape::columns(4), vec![first(), node("square", product, &["x", "x"], &["y"])]);
}
