//! What several types of Caffe's layers write alike: axes, fillers, and the three ways of writing a pair of extents with which
//! of them exclude each other. It owns those forms; it knows no layer.

use crate::initializer::Initializer;
use crate::prototext::Message;
use crate::shape::Shape;

/// An axis of `shape` other than the batch, 1 when absent; Caffe counts negative ones from the end.
pub(crate) fn axis(param: &Message, names: &[&str], shape: &Shape) -> Result<usize, String> {
    let given: Vec<&str> = names.iter().copied().filter(|name| param.has(name)).collect();
    if let [first, second, ..] = given[..] {
        return Err(format!("{first} and {second} say the same in two places, expected one of them"));
    }
    let mut found = 1i64;
    for name in given {
        found = param.number(name)?.unwrap_or(found);
    }
    resolve_axis(found, shape).filter(|&axis| axis >= 1).ok_or_else(|| {
        format!("axis {found} is the batch or none of the axes of one sample of shape {shape}, which is not supported")
    })
}

/// The axis as counted from the batch (axis 0), if the shape has it.
pub(crate) fn resolve_axis(axis: i64, shape: &Shape) -> Option<usize> {
    let axes = shape.dims().len() + 1;
    let axis =
        if axis < 0 { axes.checked_sub(usize::try_from(axis.unsigned_abs()).ok()?)? } else { axis.try_into().ok()? };
    (axis < axes).then_some(axis)
}

/// A filler. Weights come from a file as a rule, so a distribution that is not in [`Initializer`] is no error: Xavier stands
/// in for it.
pub(crate) fn filler(param: &Message, name: &str, default: Initializer) -> Result<Initializer, String> {
    if !param.has(name) {
        return Ok(default);
    }
    let filler = param.message(name);
    let number = |name| filler.number::<f32>(name);
    Ok(match filler.text("type") {
        None | Some("constant") => Initializer::Constant { value: number("value")?.unwrap_or(0.0) },
        Some("uniform") => {
            Initializer::Uniform { min: number("min")?.unwrap_or(0.0), max: number("max")?.unwrap_or(1.0) }
        }
        Some("gaussian") => {
            Initializer::Gaussian { mean: number("mean")?.unwrap_or(0.0), std: number("std")?.unwrap_or(1.0) }
        }
        Some("msra") => Initializer::Msra,
        Some(_) => Initializer::Xavier,
    })
}

/// A pair that Caffe writes as one repeated field (`kernel_size: 3`, or height then width) or as two (`kernel_h`,
/// `kernel_w`); both ways at once are refused, as Caffe refuses them.
pub(crate) fn pair(
    param: &Message,
    both: &str,
    [height, width]: [&str; 2],
    default: Option<usize>,
) -> Result<[usize; 2], String> {
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
pub(crate) fn outputs(param: &Message) -> Result<usize, String> {
    match param.number("num_output")? {
        Some(outputs) if outputs > 0 => Ok(outputs),
        Some(_) => Err("num_output is 0".to_owned()),
        None => Err("num_output is missing".to_owned()),
    }
}
