//! Transposed convolution (Caffe's `deconv_layer.cpp`). It owns its arithmetic; the parameters are those of a convolution.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, Wanted, image, input};
use crate::fields::{CONVOLUTION, message};
use crate::initializer::Initializer;
use crate::operators::{Attribute, Emitter, ints};
use crate::prototext::Message;
use crate::reading::{filler, outputs, pair};
use crate::shape::Shape;

/// Each value of `[channels, height, width]` adds the kernel times itself to the output; windows lie `stride` apart, and `padding`
/// is cut off on each side. Weight `weight`: `[input channels, outputs / groups, kernel height, kernel width]`; `bias`: `[outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deconvolution {
    /// Number of output channels.
    pub outputs: usize,
    /// Extents of the kernel.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// What is cut off before and after.
    pub padding: [usize; 2],
    /// Distance between the taps of the kernel.
    pub dilation: [usize; 2],
    /// Number of independent groups of channels.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Where the weight starts.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Deconvolution", "DECONVOLUTION"],
    parameters: Some(message("convolution_param", CONVOLUTION)),
    read: |text, _| deconvolution(text.message("convolution_param")),
}];

fn deconvolution(param: &Message) -> Result<Operation, String> {
    // An image has four axes with the batch.
    if let Some(axis) = param.number::<i64>("axis")?.filter(|&axis| ![1, -3].contains(&axis)) {
        return Err(format!("the channels should be axis 1, or -3, found axis {axis}"));
    }
    Ok(Deconvolution {
        outputs: outputs(param)?,
        kernel: pair(param, "kernel_size", ["kernel_h", "kernel_w"], None)?,
        stride: pair(param, "stride", ["stride_h", "stride_w"], Some(1))?,
        padding: pair(param, "pad", ["pad_h", "pad_w"], Some(0))?,
        dilation: pair(param, "dilation", ["dilation_h", "dilation_w"], Some(1))?,
        groups: param.number("group")?.unwrap_or(1),
        bias: param.number("bias_term")?.unwrap_or(true),
        weight_initializer: filler(param, "weight_filler", Initializer::ZERO)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    }
    .into())
}

impl Deconvolution {
    /// The output's extent along an axis: `stride * (input - 1) + dilation * (kernel - 1) + 1 - 2 * padding`.
    fn along(&self, axis: usize, input: usize) -> Result<usize, String> {
        let reach = self.dilation[axis].checked_mul(self.kernel[axis] - 1).and_then(|reach| reach.checked_add(1));
        let whole = self.stride[axis].checked_mul(input - 1).and_then(|steps| steps.checked_add(reach?));
        let cut = self.padding[axis].checked_mul(2);
        whole.zip(cut).and_then(|(whole, cut)| whole.checked_sub(cut)).filter(|&extent| extent > 0).ok_or_else(|| {
            format!(
                "a kernel of {} with dilation {}, stride {} and padding {} leaves nothing of an input of {input}, or too much",
                self.kernel[axis], self.dilation[axis], self.stride[axis], self.padding[axis]
            )
        })
    }
}

impl Definition for Deconvolution {
    fn kind(&self) -> &'static str {
        "Deconvolution"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (channels, height, width) = image(input(inputs, 0)?)?;
        let Self { outputs, kernel, stride, dilation, groups, .. } = self;
        if [*outputs, *groups].iter().chain(kernel).chain(stride).chain(dilation).any(|&value| value == 0) {
            return Err("number of outputs, groups, kernel, stride and dilation should be at least 1".to_owned());
        }
        if channels % groups != 0 || outputs % groups != 0 {
            return Err(format!("{channels} channels and {outputs} outputs cannot be divided into {groups} groups"));
        }
        Ok(vec![Shape::image(*outputs, self.along(0, height)?, self.along(1, width)?)])
    }

    fn weights(&self, inputs: &[&Shape]) -> Result<Vec<Wanted>, String> {
        let (channels, _, _) = image(input(inputs, 0)?)?;
        let [height, width] = self.kernel;
        let shape = vec![channels, self.outputs / self.groups.max(1), height, width];
        let mut weights = vec![Wanted { name: "weight", shape, initializer: self.weight_initializer }];
        if self.bias {
            let shape = vec![self.outputs];
            weights.push(Wanted { name: "bias", shape, initializer: self.bias_initializer });
        }
        Ok(weights)
    }

    fn uses_of_weights(&self, input: &Shape) -> usize {
        input.dims().iter().skip(1).product()
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let mut inputs = vec![emit.x(), emit.plain_weight("weight")?];
        if self.bias {
            inputs.push(emit.plain_weight("bias")?);
        }
        let [top, left] = self.padding;
        let attributes = [
            ("kernel_shape", ints(&self.kernel)),
            ("strides", ints(&self.stride)),
            ("pads", ints(&[top, left, top, left])),
            ("dilations", ints(&self.dilation)),
            ("group", Attribute::Int(self.groups as i64)),
        ];
        let y = emit.y();
        emit.operator("ConvTranspose", inputs, y, attributes);
        Ok(())
    }
}
