//! Layers that slide a window over an image: convolutions and pooling. It owns what their parameters mean.

use crate::initializer::Initializer;
use crate::layer::{Convolution, Pooling, PoolingMethod, Rounding};
use crate::prototext::Message;
use crate::reading::{filler, outputs, pair};
use crate::shape::Shape;

/// `convolution_param`.
pub(super) fn convolution(param: &Message) -> Result<Convolution, String> {
    filters(param, outputs(param)?, param.number("group")?.unwrap_or(1))
}

/// `convolution_param` of DeepDetect's ConvolutionDepthwise, which has one filter for each channel of its input and looks at
/// neither `num_output` nor `group`; where they are given they must say the same.
pub(super) fn depthwise(param: &Message, input: &Shape) -> Result<Convolution, String> {
    let channels = input.dims().first().copied().unwrap_or(0);
    for name in ["num_output", "group"] {
        if let Some(found) = param.number::<usize>(name)?.filter(|&found| found != channels) {
            return Err(format!("{name} should be the number of channels, {channels}, found {found}"));
        }
    }
    filters(param, channels, channels)
}

/// A convolution of so many filters in so many groups, with what else its parameters say.
fn filters(param: &Message, outputs: usize, groups: usize) -> Result<Convolution, String> {
    // An image has four axes with the batch.
    if let Some(axis) = param.number::<i64>("axis")?.filter(|&axis| ![1, -3].contains(&axis)) {
        return Err(format!("the channels should be axis 1, or -3, found axis {axis}"));
    }
    Ok(Convolution {
        outputs,
        kernel: pair(param, "kernel_size", ["kernel_h", "kernel_w"], None)?,
        stride: pair(param, "stride", ["stride_h", "stride_w"], Some(1))?,
        padding: pair(param, "pad", ["pad_h", "pad_w"], Some(0))?,
        dilation: pair(param, "dilation", ["dilation_h", "dilation_w"], Some(1))?,
        groups,
        bias: param.number("bias_term")?.unwrap_or(true),
        weight_initializer: filler(param, "weight_filler", Initializer::ZERO)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    })
}

/// `pooling_param`.
pub(super) fn pooling(param: &Message) -> Result<Pooling, String> {
    let method = match param.text("pool") {
        None | Some("MAX" | "0") => PoolingMethod::Max,
        Some("AVE" | "1") => PoolingMethod::Average,
        Some(other) => return Err(format!("pool should be MAX or AVE, found {other:.64}")),
    };
    let global = param.number("global_pooling")?.unwrap_or(false);
    if global && let Some(name) = ["kernel_size", "kernel_h", "kernel_w"].into_iter().find(|name| param.has(name)) {
        return Err(format!("{name} stands beside global_pooling, expected one of them"));
    }
    let stride = pair(param, "stride", ["stride_h", "stride_w"], Some(1))?;
    let padding = pair(param, "pad", ["pad_h", "pad_w"], Some(0))?;
    if global && (stride, padding) != ([1, 1], [0, 0]) {
        return Err(format!("with global_pooling a stride of 1 and no pad expected, found {stride:?} and {padding:?}"));
    }
    Ok(Pooling {
        method,
        kernel: pair(param, "kernel_size", ["kernel_h", "kernel_w"], global.then_some(1))?,
        stride,
        padding,
        global,
        rounding: rounding(param)?,
    })
}

/// BVLC's `round_mode`, or `ceil_mode` of other forks.
fn rounding(param: &Message) -> Result<Rounding, String> {
    match (param.text("round_mode"), param.number("ceil_mode")?) {
        (Some(_), Some(_)) => {
            Err("round_mode and ceil_mode say the same in two places, expected one of them".to_owned())
        }
        (None | Some("CEIL" | "0"), None) | (None, Some(true)) => Ok(Rounding::Ceil),
        (Some("FLOOR" | "1"), None) | (None, Some(false)) => Ok(Rounding::Floor),
        (Some(other), None) => Err(format!("round_mode should be CEIL or FLOOR, found {other:.64}")),
    }
}
