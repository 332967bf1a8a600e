//! Layers, and how their weights are drawn. It must not know file formats.

/// A network, layer by layer in order of execution.
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) layers: Vec<Layer>,
}

/// One Caffe layer.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) bottoms: Vec<String>,
    pub(super) tops: Vec<String>,
    /// The parameter message in protobuf text format, complete; may be empty.
    pub(super) parameters: String,
    pub(super) blobs: Vec<Blob>,
}

/// One array of weights.
pub(super) struct Blob {
    /// Size of each dimension, outermost first.
    pub(super) shape: Vec<usize>,
    pub(super) fill: Fill,
}

/// How the values of a blob are made.
#[derive(Clone, Copy)]
pub(super) enum Fill {
    Constant(f32),
    /// Uniform between the two.
    Uniform(f32, f32),
    /// Weights of a layer that follows a ReLU: uniform with standard deviation `gain × √(2.93 / fan-in)`, and the
    /// mean of each output's weights taken away.
    ///
    /// He et al. 2015 (arXiv:1502.01852) keep the second moment with `√(2 / fan-in)`. Outputs of a ReLU have a positive mean, which
    /// all images share: without taking it away every image of a deep random network gets the same best class.
    /// What remains of the second moment of a normal variable after a ReLU is `1 - 1/π`, hence 2.93.
    Centred {
        gain: f32,
    },
    /// Weights of a first layer: `√(2 / fan-in)` over the standard deviation of pixel values, with their means, so
    /// that plain areas count.
    OnPixels,
}

/// Geometry of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Convolution {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
    pub(super) bias: bool,
    pub(super) weights: Fill,
}

impl Default for Convolution {
    fn default() -> Self {
        Self { inputs: 3, outputs: 64, kernel: 1, stride: 1, pad: 0, bias: true, weights: Fill::Centred { gain: 1.0 } }
    }
}

/// Appends layers; every method returns the name of the blob it makes.
pub(super) struct Builder {
    layers: Vec<Layer>,
}

impl Builder {
    /// Starts with a `MemoryData` layer named `name` for colour images of `size` × `size`.
    pub(super) fn new(name: &str, size: usize, mean: [f32; 3]) -> Self {
        let [blue, green, red] = mean;
        let parameters = format!(
            "transform_param {{\n  mean_value: {blue}\n  mean_value: {green}\n  mean_value: {red}\n}}\nmemory_data_param {{\n  \
             batch_size: 1\n  channels: 3\n  height: {size}\n  width: {size}\n}}"
        );
        let tops = vec!["data".to_owned(), "label".to_owned()];
        let input = Layer {
            name: name.to_owned(),
            kind: "MemoryData",
            bottoms: Vec::new(),
            tops,
            parameters,
            blobs: Vec::new(),
        };
        Self { layers: vec![input] }
    }

    pub(super) fn finish(self, name: &'static str) -> Description {
        Description { name, layers: self.layers }
    }

    /// Any layer with one top; in place when `top` is one of `bottoms`.
    pub(super) fn layer(
        &mut self,
        name: &str,
        kind: &'static str,
        bottoms: &[&str],
        top: &str,
        parameters: String,
        blobs: Vec<Blob>,
    ) -> String {
        self.layers.push(Layer {
            name: name.to_owned(),
            kind,
            bottoms: bottoms.iter().map(|&bottom| bottom.to_owned()).collect(),
            tops: vec![top.to_owned()],
            parameters,
            blobs,
        });
        top.to_owned()
    }

    pub(super) fn convolution(&mut self, name: &str, bottom: &str, shape: Convolution) -> String {
        let Convolution { inputs, outputs, kernel, stride, pad, bias, weights } = shape;
        let mut parameters = format!("convolution_param {{\n  num_output: {outputs}\n");
        if !bias {
            parameters.push_str("  bias_term: false\n");
        }
        if pad > 0 {
            parameters.push_str(&format!("  pad: {pad}\n"));
        }
        parameters.push_str(&format!("  kernel_size: {kernel}\n"));
        if stride > 1 {
            parameters.push_str(&format!("  stride: {stride}\n"));
        }
        parameters.push('}');
        let mut blobs = vec![Blob { shape: vec![outputs, inputs, kernel, kernel], fill: weights }];
        if bias {
            blobs.push(Blob { shape: vec![outputs], fill: Fill::Uniform(-0.02, 0.02) });
        }
        self.layer(name, "Convolution", &[bottom], name, parameters, blobs)
    }

    pub(super) fn relu(&mut self, name: &str, bottom: &str) -> String {
        self.layer(name, "ReLU", &[bottom], bottom, String::new(), Vec::new())
    }

    pub(super) fn max_pool(&mut self, name: &str, bottom: &str) -> String {
        let parameters = "pooling_param {\n  pool: MAX\n  kernel_size: 3\n  stride: 2\n}".to_owned();
        self.layer(name, "Pooling", &[bottom], name, parameters, Vec::new())
    }

    pub(super) fn global_average_pool(&mut self, name: &str, bottom: &str) -> String {
        let parameters = "pooling_param {\n  pool: AVE\n  global_pooling: true\n}".to_owned();
        self.layer(name, "Pooling", &[bottom], name, parameters, Vec::new())
    }

    pub(super) fn softmax(&mut self, bottom: &str) -> String {
        self.layer("prob", "Softmax", &[bottom], "prob", String::new(), Vec::new())
    }
}
