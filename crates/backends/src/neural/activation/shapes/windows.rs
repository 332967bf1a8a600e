//! Extents of what windows over places of images make, by the formulas of the operators' specification
//! (<https://onnx.ai/onnx/operators/>).
//!
//! It must not know where items are.

use super::Shaping;
use crate::neural::activation::attributes::{integer, integers};
use crate::neural::activation::forms::Form;
use crate::neural::activation::numbers::Count;

/// Axes in front of the places: items and channels.
const FRONT: usize = 2;

/// A window along one axis.
struct Window {
    /// Places it covers, those that it leaves out between them included.
    covered: i64,
    stride: i64,
    /// Places around the image, in front and behind.
    around: (i64, i64),
}

impl Shaping<'_, '_, '_> {
    /// Extent of the axis number `place` behind the channels; `weights` are those of a convolution.
    pub(super) fn windowed(&self, form: &Form, weights: Option<&Form>, place: usize) -> Option<i64> {
        if self.node.op.contains("Global") {
            return Some(1);
        }
        let extent = form.extent(FRONT + place).filter(|&extent| extent > 0);
        match self.node.op {
            "Resize" | "Upsample" => self.resized_places(extent, FRONT + place),
            "Pad" => {
                let pads = self.longs("pads", 1).or_else(|| self.longs("paddings", 1))?;
                let has_axes = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
                let (front, back) = (pads.get(FRONT + place)?, pads.get(FRONT + place + pads.len() / 2)?);
                if has_axes { None } else { extent?.checked_add(*front)?.checked_add(*back) }
            }
            "DepthToSpace" => extent?.checked_mul(integer(self.node, "blocksize")?),
            "SpaceToDepth" => extent?.checked_div(integer(self.node, "blocksize")?),
            "ConvTranspose" => self.spread_places(extent?, weights, place),
            _ => self.covered_places(extent?, weights, place),
        }
        .filter(|&extent| extent > 0)
    }

    fn window(&self, weights: Option<&Form>, place: usize) -> Option<Window> {
        let listed = |name: &str, default: i64| match integers(self.node, name) {
            Some(list) if !list.is_empty() => list.get(place).copied(),
            Some(_) | None => Some(default),
        };
        let kernel = match integers(self.node, "kernel_shape").filter(|kernel| !kernel.is_empty()) {
            Some(kernel) => *kernel.get(place)?,
            None => weights?.extent(FRONT + place)?,
        };
        let covered = listed("dilations", 1)?.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        let around = match integers(self.node, "pads").filter(|pads| !pads.is_empty()) {
            Some(pads) => (*pads.get(place)?, *pads.get(place + pads.len() / 2)?),
            None => (0, 0),
        };
        let stride = listed("strides", 1)?;
        (covered > 0 && stride > 0).then_some(Window { covered, stride, around })
    }

    fn auto_pad(&self) -> &[u8] {
        let text = self.node.attribute("auto_pad").and_then(|auto_pad| auto_pad.text);
        text.filter(|text| *text != b"NOTSET").unwrap_or_default()
    }

    fn covered_places(&self, extent: i64, weights: Option<&Form>, place: usize) -> Option<i64> {
        let Window { covered, stride, around: (front, back) } = self.window(weights, place)?;
        let rounds_up = integer(self.node, "ceil_mode").is_some_and(|flag| flag != 0);
        let around = match self.auto_pad() {
            b"" => front.checked_add(back)?,
            b"VALID" => 0,
            // Engines do not agree on windows with holes.
            _ if integers(self.node, "dilations").is_some_and(|list| list.iter().any(|&step| step != 1)) => {
                return None;
            }
            _ => return extent.checked_add(stride - 1)?.checked_div(stride),
        };
        let span = extent.checked_add(around)?.checked_sub(covered).filter(|&span| span >= 0)?;
        let whole = span / stride + 1;
        // One more where a part of a window is left that begins within the image or in front of it.
        let has_more = rounds_up && span % stride != 0 && whole.checked_mul(stride)? < extent.checked_add(front)?;
        if has_more { whole.checked_add(1) } else { Some(whole) }
    }

    fn spread_places(&self, extent: i64, weights: Option<&Form>, place: usize) -> Option<i64> {
        if let Some(shape) = integers(self.node, "output_shape").filter(|shape| !shape.is_empty()) {
            return shape.get(place).copied();
        }
        let Window { covered, stride, around: (front, back) } = self.window(weights, place)?;
        let more = integers(self.node, "output_padding").and_then(|more| more.get(place).copied()).unwrap_or(0);
        let around = match self.auto_pad() {
            b"" => front.checked_add(back)?,
            b"VALID" => 0,
            // Where strides leave places out, engines do not agree.
            _ if covered < stride => return None,
            _ => return extent.checked_mul(stride),
        };
        let span = extent.checked_sub(1)?.checked_mul(stride)?.checked_add(covered)?;
        span.checked_add(more)?.checked_sub(around)
    }

    fn resized_places(&self, extent: Option<i64>, axis: usize) -> Option<i64> {
        if self.node.attribute("axes").is_some() || self.keeps_ratio() {
            return None;
        }
        let has_sizes = self.node.inputs.get(3).is_some_and(|sizes| !sizes.is_empty());
        if has_sizes {
            return self.extents("sizes", 3)?.get(axis).copied().and_then(Count::known);
        }
        // In single precision, as engines do.
        let scaled = (extent? as f32 * *self.scale_list()?.get(axis)?).floor();
        // Of larger numbers single precision has not all.
        (0.0..=(1 << 24) as f32).contains(&scaled).then_some(scaled as i64)
    }

    /// Whether sizes are bounds, within which an image keeps its ratio.
    pub(super) fn keeps_ratio(&self) -> bool {
        let policy = self.node.attribute("keep_aspect_ratio_policy").and_then(|policy| policy.text);
        policy.is_some_and(|policy| policy != b"stretch")
    }
}
