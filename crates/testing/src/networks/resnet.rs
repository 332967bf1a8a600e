//! ResNet-18 and ResNet-50 (He et al. 2015, arXiv:1512.03385) the Caffe way: Convolution, BatchNorm, Scale, ReLU, Eltwise.
//!
//! The stride of a bottleneck is in its 3×3 convolution, as in torchvision's networks, so that the work is the same as that of
//! the ONNX networks of `benches/peers`.

use super::description::{Blob, Builder, Convolution, Description, Fill};

/// Width and first stride of the four stages.
const STAGES: [(usize, usize); 4] = [(64, 1), (128, 2), (256, 2), (512, 2)];

/// How much of a block's output is new: keeps sums of many blocks from growing.
const BRANCH_GAIN: f32 = 0.3;

/// The same for a projected shortcut.
const SHORTCUT_GAIN: f32 = 0.7;

/// Averaging over all positions shrinks the differences between images; this restores them.
const LAST_GAIN: f32 = 10.0;

/// What Caffe's BatchNorm divides its stored sums by after a long training with a moving average of 0.999.
const AVERAGE_FACTOR: f32 = 999.982;

pub(super) fn describe_18(classes: usize) -> Description {
    describe("ResNet-18", [2, 2, 2, 2], 1, basic, classes)
}

pub(super) fn describe_50(classes: usize) -> Description {
    describe("ResNet-50", [3, 4, 6, 3], 4, bottleneck, classes)
}

/// The convolutions of one block: `(builder, name, bottom, inputs, width, stride)`.
type Branch = fn(&mut Builder, &str, &str, usize, usize, usize) -> String;

fn describe(name: &'static str, blocks: [usize; 4], expansion: usize, branch: Branch, classes: usize) -> Description {
    let mut net = Builder::new("input", 224, [104.0, 117.0, 124.0]);
    let first =
        Convolution { kernel: 7, stride: 2, pad: 3, bias: false, weights: Fill::OnPixels, ..Convolution::default() };
    let mut x = normalised(&mut net, "conv1", "data", first);
    net.relu("conv1_relu", &x);
    x = net.max_pool("pool1", &x);
    let mut inputs = 64;
    for (stage, ((width, stride), count)) in STAGES.into_iter().zip(blocks).enumerate() {
        for block in 0..count {
            let name = format!("res{}{}", stage + 2, char::from(b'a' + block as u8));
            let stride = if block == 0 { stride } else { 1 };
            let outputs = width * expansion;
            let branch2 = branch(&mut net, &name, &x, inputs, width, stride);
            let branch1 = if inputs == outputs && stride == 1 {
                x
            } else {
                let shape = Convolution {
                    inputs,
                    outputs,
                    stride,
                    bias: false,
                    weights: Fill::Centred { gain: SHORTCUT_GAIN },
                    ..Convolution::default()
                };
                normalised(&mut net, &format!("{name}_branch1"), &x, shape)
            };
            x = net.layer(
                &name,
                "Eltwise",
                &[&branch1, &branch2],
                &name,
                "eltwise_param {\n  operation: SUM\n}".into(),
                Vec::new(),
            );
            net.relu(&format!("{name}_relu"), &x);
            inputs = outputs;
        }
    }
    x = net.global_average_pool("pool5", &x);
    let parameters = format!("inner_product_param {{\n  num_output: {classes}\n}}");
    let weights = Blob { shape: vec![classes, inputs], fill: Fill::Centred { gain: LAST_GAIN } };
    let bias = Blob { shape: vec![classes], fill: Fill::Uniform(-0.02, 0.02) };
    x = net.layer("fc1000", "InnerProduct", &[&x], "fc1000", parameters, vec![weights, bias]);
    net.softmax(&x);
    net.finish(name)
}

/// Two 3×3 convolutions.
fn basic(net: &mut Builder, name: &str, bottom: &str, inputs: usize, width: usize, stride: usize) -> String {
    let shape = Convolution { outputs: width, kernel: 3, pad: 1, bias: false, ..Convolution::default() };
    let x = activated(net, &format!("{name}_branch2a"), bottom, Convolution { inputs, stride, ..shape });
    normalised(
        net,
        &format!("{name}_branch2b"),
        &x,
        Convolution { inputs: width, weights: Fill::Centred { gain: BRANCH_GAIN }, ..shape },
    )
}

/// 1×1 to fewer channels, 3×3, 1×1 to four times as many.
fn bottleneck(net: &mut Builder, name: &str, bottom: &str, inputs: usize, width: usize, stride: usize) -> String {
    let shape = Convolution { inputs: width, outputs: width, bias: false, ..Convolution::default() };
    let x = activated(net, &format!("{name}_branch2a"), bottom, Convolution { inputs, ..shape });
    let x = activated(net, &format!("{name}_branch2b"), &x, Convolution { kernel: 3, pad: 1, stride, ..shape });
    normalised(
        net,
        &format!("{name}_branch2c"),
        &x,
        Convolution { outputs: 4 * width, weights: Fill::Centred { gain: BRANCH_GAIN }, ..shape },
    )
}

/// A convolution with BatchNorm, Scale and ReLU.
fn activated(net: &mut Builder, name: &str, bottom: &str, shape: Convolution) -> String {
    let top = normalised(net, name, bottom, shape);
    net.relu(&format!("{name}_relu"), &top)
}

/// A convolution with BatchNorm and Scale, both in place. Means and variances are those of a trained network in size
/// (near 0 and 1), so that nothing is lost when a reader ignores or misreads one of them and a test notices.
fn normalised(net: &mut Builder, name: &str, bottom: &str, shape: Convolution) -> String {
    let channels = vec![shape.outputs];
    let x = net.convolution(name, bottom, shape);
    let sums = |low: f32, high: f32| Fill::Uniform(low * AVERAGE_FACTOR, high * AVERAGE_FACTOR);
    let statistics = vec![
        Blob { shape: channels.clone(), fill: sums(-0.02, 0.02) },
        Blob { shape: channels.clone(), fill: sums(0.8, 1.2) },
        Blob { shape: vec![1], fill: Fill::Constant(AVERAGE_FACTOR) },
    ];
    let parameters = "batch_norm_param {\n  use_global_stats: true\n}".to_owned();
    net.layer(&format!("{name}_bn"), "BatchNorm", &[&x], &x, parameters, statistics);
    let scale = vec![
        Blob { shape: channels.clone(), fill: Fill::Uniform(0.9, 1.1) },
        Blob { shape: channels, fill: Fill::Uniform(-0.02, 0.02) },
    ];
    net.layer(&format!("{name}_scale"), "Scale", &[&x], &x, "scale_param {\n  bias_term: true\n}".to_owned(), scale)
}
