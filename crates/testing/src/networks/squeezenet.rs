//! SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) with the layer names of DeepDetect's Caffe template.

use super::description::{Builder, Convolution, Description, Fill};

/// Fire modules: number, squeeze width, width of each of the two expansions.
const FIRES: [(usize, usize, usize); 8] =
    [(2, 16, 64), (3, 16, 64), (4, 32, 128), (5, 32, 128), (6, 48, 192), (7, 48, 192), (8, 64, 256), (9, 64, 256)];

/// Averaging over all positions shrinks the differences between images; this restores them.
const LAST_GAIN: f32 = 6.0;

pub(super) fn describe(classes: usize) -> Description {
    let mut net = Builder::new("squeezenet", 227, [79.3518, 95.773, 83.81344]);
    let first = Convolution { outputs: 64, kernel: 3, stride: 2, weights: Fill::OnPixels, ..Convolution::default() };
    let mut x = net.convolution("conv1", "data", first);
    net.relu("relu_conv1", &x);
    x = net.max_pool("pool1", &x);
    let mut channels = 64;
    for (number, squeeze, expand) in FIRES {
        x = fire(&mut net, &x, number, channels, squeeze, expand);
        channels = 2 * expand;
        if number == 3 || number == 5 {
            x = net.max_pool(&format!("pool{number}"), &x);
        }
    }
    let last = Convolution {
        inputs: channels,
        outputs: classes,
        weights: Fill::Centred { gain: LAST_GAIN },
        ..Convolution::default()
    };
    x = net.convolution("conv10", &x, last);
    net.relu("relu_conv10", &x);
    x = net.global_average_pool("pool10", &x);
    net.softmax(&x);
    net.finish("squeezenet")
}

fn fire(net: &mut Builder, bottom: &str, number: usize, inputs: usize, squeeze: usize, expand: usize) -> String {
    let mut convolution = |name: &str, bottom: &str, shape: Convolution| {
        let top = net.convolution(&format!("fire{number}/{name}"), bottom, shape);
        net.relu(&format!("fire{number}/relu_{name}"), &top);
        top
    };
    let squeezed =
        convolution("squeeze1x1", bottom, Convolution { inputs, outputs: squeeze, ..Convolution::default() });
    let one = Convolution { inputs: squeeze, outputs: expand, ..Convolution::default() };
    let narrow = convolution("expand1x1", &squeezed, one);
    let wide = convolution("expand3x3", &squeezed, Convolution { kernel: 3, pad: 1, ..one });
    let name = format!("fire{number}/concat");
    net.layer(&name, "Concat", &[&narrow, &wide], &name, String::new(), Vec::new())
}
