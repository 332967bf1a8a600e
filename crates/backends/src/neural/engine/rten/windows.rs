//! Operators that slide a window: the attributes that ONNX lets out and rten wants, and padding that rten puts elsewhere.
//!
//! It owns the rules of `strides`, `dilations`, `pads` and `auto_pad`
//! (<https://github.com/onnx/onnx/blob/main/docs/Operators.md#conv>). rten reads the defaults of the first three for one dimension only,
//! and pads for `SAME_LOWER` as for `SAME_UPPER`.

use dede_graph::onnx::{Attribute, Change};

use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::NodeView;

/// How the padding of an operator is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Explicit,
    None,
    SameUpper,
    SameLower,
}

/// The same operator with its attributes written out; `None` where rten reads them right as they are.
pub(super) fn written_out(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Result<Option<Change>, &'static str> {
    let padding = match node.attribute("auto_pad").and_then(|mode| mode.text) {
        None | Some(b"NOTSET" | b"") => Padding::Explicit,
        Some(b"VALID") => Padding::None,
        Some(b"SAME_UPPER") => Padding::SameUpper,
        Some(b"SAME_LOWER") => Padding::SameLower,
        Some(_) => return Err("with an unknown auto_pad is not supported"),
    };
    if node.attribute("output_shape").is_some() {
        return Err("with output_shape is not supported");
    }
    let given = |name| node.attribute(name).map(|attribute| attribute.integers.clone()).filter(|list| !list.is_empty());
    let (strides, dilations, pads) = (given("strides"), given("dilations"), given("pads"));
    let is_pool = matches!(node.op, "MaxPool" | "AveragePool");
    if is_pool && dilations.as_ref().is_some_and(|dilations| dilations.iter().any(|&size| size != 1)) {
        return Err("with dilations other than 1 is not supported");
    }
    let kernel = given("kernel_shape").or_else(|| if is_pool { None } else { weight_extents(node, scope) });
    let pair = |list: &Vec<i64>| list.len() / 2;
    let rank = [kernel.as_ref(), strides.as_ref(), dilations.as_ref()].into_iter().flatten().map(Vec::len).next();
    let rank = rank.or(pads.as_ref().map(pair)).or_else(|| scope.rank(node, 0)?.checked_sub(2));
    let Some(rank) = rank else {
        return Err("without strides, dilations and kernel_shape, on values of unknown rank, is not supported");
    };
    let ones = || vec![1; rank];
    let mut changed = Vec::new();
    let mut set = |name, value| changed.push((name, Some(Attribute::Ints(value))));
    if strides.is_none() {
        set("strides", ones());
    }
    if dilations.is_none() && !is_pool {
        set("dilations", ones());
    }
    let window = Window { kernel, strides: strides.unwrap_or_else(ones), dilations: dilations.unwrap_or_else(ones) };
    match padding {
        Padding::Explicit if pads.is_some() => {}
        Padding::Explicit => set("pads", vec![0; 2 * rank]),
        Padding::None => {
            set("pads", vec![0; 2 * rank]);
            changed.push(("auto_pad", None));
        }
        Padding::SameUpper if node.op != "ConvTranspose" => {}
        Padding::SameUpper | Padding::SameLower => {
            set("pads", window.same(node, scope, padding == Padding::SameLower)?);
            // Whether the last window may reach over the end has no meaning with these.
            changed.extend([("auto_pad", None), ("ceil_mode", None)]);
        }
    }
    Ok((!changed.is_empty()).then_some(Change::Attributes(changed)))
}

/// Extents of the kernel, as its weights have them.
fn weight_extents(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<Vec<i64>> {
    let dims = scope.dims(node, 1)?;
    dims.get(2..)?.iter().map(|size| size.and_then(|size| i64::try_from(size).ok())).collect()
}

struct Window {
    kernel: Option<Vec<i64>>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
}

impl Window {
    /// The padding that makes the output as large as the input, divided or multiplied by the strides. An odd unit goes to the end, or with
    /// `lower` to the start.
    fn same(&self, node: &NodeView<'_>, scope: &Scope<'_, '_>, lower: bool) -> Result<Vec<i64>, &'static str> {
        const UNKNOWN: &str = "with auto_pad, on values whose size is not said in the file, is computed wrongly";
        let sizes = scope.dims(node, 0);
        let kernel = self.kernel.as_ref().ok_or(UNKNOWN)?;
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for (axis, ((&size, &stride), &dilation)) in kernel.iter().zip(&self.strides).zip(&self.dilations).enumerate() {
            let covered = size.checked_sub(1).and_then(|gaps| gaps.checked_mul(dilation)?.checked_add(1));
            let covered =
                covered.filter(|&covered| covered > 0 && stride > 0).ok_or("with such extents is not supported")?;
            let total = match (node.op, stride) {
                ("ConvTranspose", _) => {
                    let more = node.attribute("output_padding").and_then(|list| list.integers.get(axis).copied());
                    let total = covered.saturating_add(more.unwrap_or(0)).saturating_sub(stride);
                    if total < 0 {
                        return Err("with auto_pad and strides larger than the kernel is not supported");
                    }
                    total
                }
                (_, 1) => covered - 1,
                _ => {
                    let size = sizes.as_ref().and_then(|sizes| sizes.get(axis + 2).copied().flatten());
                    let size =
                        size.and_then(|size| i64::try_from(size).ok()).filter(|&size| size > 0).ok_or(UNKNOWN)?;
                    let windows = (size - 1) / stride + 1;
                    ((windows - 1) * stride).saturating_add(covered).saturating_sub(size).max(0)
                }
            };
            let half = total / 2;
            starts.push(if lower { total - half } else { half });
            ends.push(if lower { half } else { total - half });
        }
        Ok([starts, ends].concat())
    }
}
