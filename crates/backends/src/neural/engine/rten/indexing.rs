//! Operators that choose places or count them, where rten comes to others than ONNX says.
//!
//! It owns which of them rten computes right, and what to put in place of the others. It must not know how rten is run.

use dede_graph::onnx::{Attribute, Change};

use super::replacement::Replacement;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, NodeView};

/// Why rten must not run this node.
pub(super) fn problem(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    match node.op {
        "ScatterElements" | "Scatter" if !has_indices_for_all(node, scope) => {
            Some("with indices that are or may be fewer than the data on another axis than its own is computed wrongly")
        }
        "Range" if may_round(node, scope) => Some("of numbers with fractions adds up their rounding"),
        "Resize" | "Upsample" if is_nearest(node) && !takes_nearest(node, scope) => {
            Some("with mode nearest, by a ratio that is or may be no power of two, takes other places")
        }
        _ => None,
    }
}

/// rten reads steps as axes where there are no axes.
pub(super) fn stepped_slice(
    mut new: Replacement<'_, '_>,
    scope: &Scope<'_, '_>,
) -> Result<Option<Change>, &'static str> {
    let node = new.node;
    let given = |place: usize| node.inputs.get(place).is_some_and(|name| !name.is_empty());
    if given(3) || !given(4) {
        return Ok(None);
    }
    let count = scope.dims(node, 1).and_then(|dims| i64::try_from((*dims.first()?)?).ok());
    let count =
        count.filter(|count| *count <= i64::from(u8::MAX)).ok_or("with steps and without axes is computed wrongly")?;
    let axes = new.add("Constant", &[], "axes", vec![("value_ints", Attribute::Ints((0..count).collect()))]);
    let inputs: Vec<String> = [0, 1, 2].map(|place| new.input(place)).into_iter().chain([axes, new.input(4)]).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let output = new.output();
    Ok(Some(new.finish("Slice", &inputs, output, vec![])))
}

/// rten multiplies by the reciprocal of one divisor, which is another number where it is rounded: seen where it decides a whole number or
/// a comparison.
pub(super) fn exact_quotient(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Option<Change> {
    let divisor = scope.constant(new.node.inputs.get(1)?)?;
    let is_float = matches!(divisor.element, ElementType::F32 | ElementType::F16);
    let number = divisor.single_number().filter(|_| is_float)?;
    let is_power = number.is_normal() && number.to_bits().trailing_zeros() >= f64::MANTISSA_DIGITS - 1;
    let decides = |taker: &&NodeView<'_>| match taker.op {
        "Floor" | "Ceil" | "Round" | "Mod" | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual"
        | "Sign" => true,
        "Cast" => !matches!(
            scope.element(taker.outputs.first().unwrap_or(&"")),
            Some(ElementType::F32 | ElementType::F64 | ElementType::F16)
        ),
        _ => false,
    };
    if is_power || !scope.takers(new.node.outputs.first()?).iter().any(|taker| decides(&&**taker)) {
        return None;
    }
    let (input, divisor, output) = (new.input(0), new.input(1), new.output());
    let shape = new.add("Shape", &[&input], "shape", vec![]);
    let divisors = new.add("Expand", &[&divisor, &shape], "divisors", vec![]);
    Some(new.finish("Div", &[&input, &divisors], output, vec![]))
}

fn has_indices_for_all(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let (Some(data), Some(indices)) = (scope.dims(node, 0), scope.dims(node, 1)) else { return false };
    let axis = node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(0);
    let axis = usize::try_from(if axis < 0 { axis + data.len() as i64 } else { axis }).unwrap_or(usize::MAX);
    let are_same = |(place, (one, other)): (usize, (&Option<usize>, &Option<usize>))| {
        place == axis || (one.is_some() && one == other)
    };
    data.len() == indices.len() && data.iter().zip(&indices).enumerate().all(are_same)
}

fn may_round(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let is_float = [0, 2]
        .iter()
        .any(|&place| matches!(scope.input(node, place), Some(ElementType::F32 | ElementType::F64 | ElementType::F16)));
    let is_whole = |place: usize| {
        let constant = node.inputs.get(place).and_then(|name| scope.constant(name));
        constant.and_then(|constant| constant.single_number()).is_some_and(|number| number.fract() == 0.0)
    };
    is_float && !(is_whole(0) && is_whole(2))
}

fn is_nearest(node: &NodeView<'_>) -> bool {
    node.attribute("mode").and_then(|mode| mode.text).is_none_or(|mode| mode == b"nearest")
}

/// Whether rten takes the nearest places of each axis. What an input of the network says is not known here.
fn takes_nearest(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let name = |place: usize| node.inputs.get(place).copied().filter(|name| !name.is_empty());
    let dims = scope.dims(node, 0);
    let counting = Counting::of(node);
    if let Some(sizes) = name(3) {
        let (Some(sizes), Some(dims)) = (last_sizes(sizes, scope), dims) else {
            return scope.maker(sizes).is_none() && scope.constant(sizes).is_none();
        };
        // In front of those that are known are the items and the channels, which stay.
        let has_others = dims.len() > sizes.len() + 2 || node.attribute("axes").is_some();
        let mut pairs = sizes.iter().rev().zip(dims.iter().rev());
        let agrees = |(&size, dim): (&i64, &Option<usize>)| {
            dim.zip(usize::try_from(size).ok())
                .is_some_and(|(from, to)| counting.agrees(from, to, to as f32 / from as f32))
        };
        return !has_others && pairs.all(agrees);
    }
    let attribute = node.attribute("scales").map(|scales| scales.floats.clone());
    let input = if node.op == "Resize" && node.inputs.len() > 2 { name(2) } else { name(1) };
    let constant = || {
        let scales = scope.constant(input?)?.single_precision()?;
        Some(scales.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<_>>())
    };
    let Some(scales) = attribute.or_else(constant) else {
        return input.is_none_or(|input| scope.maker(input).is_none());
    };
    let extent = |axis: usize| dims.as_ref().and_then(|dims| dims.get(axis).copied().flatten());
    scales.iter().enumerate().all(|(axis, &scale)| {
        let is_power = scale.is_normal() && scale.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1;
        is_power || extent(axis).is_some_and(|from| counting.agrees(from, (from as f32 * scale) as usize, scale))
    })
}

/// How the nearest place is found.
struct Counting<'n> {
    coordinates: &'n [u8],
    rounding: &'n [u8],
}

/// Most places of an axis that are looked at.
const MOST_PLACES: usize = 1 << 16;

impl<'n> Counting<'n> {
    fn of(node: &NodeView<'n>) -> Self {
        let text = |name, default| node.attribute(name).and_then(|attribute| attribute.text).unwrap_or(default);
        match node.op {
            "Upsample" => Self { coordinates: b"asymmetric", rounding: b"floor" },
            _ => Self {
                coordinates: text("coordinate_transformation_mode", b"half_pixel"),
                rounding: text("nearest_mode", b"round_prefer_floor"),
            },
        }
    }

    /// Whether the places are the same, found by the ratio of extents, as rten does, and by dividing by the scale, as ONNX says.
    fn agrees(&self, from: usize, to: usize, scale: f32) -> bool {
        let ratio = from as f32 / to as f32;
        to <= MOST_PLACES
            && (0..to).all(|place| {
                let place = place as f32;
                let (found, right) = match self.coordinates {
                    b"asymmetric" => (place * ratio, place / scale),
                    b"half_pixel" | b"pytorch_half_pixel" if to > 1 => {
                        ((place + 0.5) * ratio - 0.5, (place + 0.5) / scale - 0.5)
                    }
                    b"align_corners" if to > 1 => {
                        let (first, last) = ((from - 1) as f32, (to - 1) as f32);
                        (place * (first / last), place * first / last)
                    }
                    _ => return from == to,
                };
                self.rounded(found) == self.rounded(right)
            })
    }

    fn rounded(&self, place: f32) -> f32 {
        match self.rounding {
            b"round_prefer_ceil" => (place + 0.5).floor(),
            b"floor" => place.floor(),
            b"ceil" => place.ceil(),
            _ => (place - 0.5).ceil(),
        }
    }
}

/// The last of some sizes that are constants, as far as they are: all, or what is joined behind sizes of a value.
fn last_sizes(name: &str, scope: &Scope<'_, '_>) -> Option<Vec<i64>> {
    let constant = |name: &str| Some(scope.constant(name)?.longs().collect::<Vec<_>>());
    if let Some(sizes) = constant(name) {
        return Some(sizes);
    }
    let joined = scope.maker(name).filter(|maker| maker.op == "Concat")?;
    let parts = joined.inputs.iter().rev().map_while(|input| constant(input));
    let parts: Vec<Vec<i64>> = parts.collect();
    Some(parts.into_iter().rev().flatten().collect())
}
