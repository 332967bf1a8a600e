//! Layers that slide a window over an image: convolutions and pooling. It owns the three ways in which Caffe writes a pair of
//! extents, and which of them exclude each other.

use super::layers::filler;
use super::text::Message;
use crate::initializer::Initializer;
use crate::layer::{Convolution, Pooling, PoolingMethod, Rounding};
use crate::shape::Shape;

/// A pair that Caffe writes as one repeated field (`kernel_size: 3`, or height then width) or as two (`kernel_h`,
/// `kernel_w`); both ways at once are refused, as Caffe refuses them.
fn pair(param: &Message, both: &str, [height, width]: [&str; 2], default: Option<usize>) -> Result<[usize; 2], String> {
    let (rows, columns) = (param.number(height)?, param.number(width)?);
    let pair = match (param.numbers::<usize>(both)?.as_slice(), rows, columns) {
        ([], None, None) => [default; 2],
        // A missing padding is 0; a missing extent of a window or a step cannot be.
        ([], rows, columns) if default == Some(0) => [rows.or(default), columns.or(default)],
        ([], rows, columns) => [rows, columns],
        (_, Some(_), _) | (_, _, Some(_)) => {
            return Err(format!("{both} stands beside {height} or {width}, expected one way of saying it"));
        }
        (&[value], None, None) => [Some(value); 2],
        (&[rows, columns], None, None) => [Some(rows), Some(columns)],
        (more, None, None) => {
            return Err(format!("{both} should have one or two values (images have two axes), found {}", more.len()));
        }
    };
    match pair {
        [Some(rows), Some(columns)] => Ok([rows, columns]),
        [None, None] => Err(format!("{both} is missing")),
        [_, _] => Err(format!("{height} and {width} should both be given")),
    }
}

/// `num_output`, at least 1.
pub(super) fn outputs(param: &Message) -> Result<usize, String> {
    match param.number("num_output")? {
        Some(outputs) if outputs > 0 => Ok(outputs),
        Some(_) => Err("num_output is 0".to_owned()),
        None => Err("num_output is missing".to_owned()),
    }
}

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
