//! Shapes of convolutions, pools and the like: items, channels, places.
//!
//! It must not know what the numbers are.

use super::{Shaped, Shaping, UNTOLD};
use crate::neural::activation::attributes::{integer, integers};
use crate::neural::activation::forms::{Form, Items};
use crate::neural::activation::numbers::Count;

impl Shaping<'_, '_, '_> {
    /// What windows make of an image. Whether items are among the places is told by the axes that are computed along.
    pub(super) fn over_places(&self) -> Shaped {
        let form = self.input(0);
        let weights = match self.node.op {
            "QLinearConv" => Some(self.input(3)),
            "Conv" | "ConvInteger" | "FusedConv" | "ConvTranspose" => Some(self.input(1)),
            _ => None,
        };
        let blocks = || integer(self.node, "blocksize").and_then(|size| size.checked_mul(size));
        let channels = match (self.node.op, weights) {
            ("ConvTranspose", _) => {
                weights.and_then(|weights| weights.extent(1)?.checked_mul(integer(self.node, "group").unwrap_or(1)))
            }
            ("DepthToSpace", _) => form.extent(1).zip(blocks()).and_then(|(all, size)| all.checked_div(size)),
            ("SpaceToDepth", _) => form.extent(1).zip(blocks()).and_then(|(all, size)| all.checked_mul(size)),
            ("Resize" | "Upsample" | "Pad", _) if self.changes_channels() => None,
            (_, Some(weights)) => weights.extent(0),
            (_, None) => form.extent(1),
        };
        let places = (0..).map(|place| self.windowed(form, weights, place));
        let is_resized = matches!(self.node.op, "Resize" | "Upsample" | "Pad") && form.items != Items::At(0);
        let known = [form.extent(0).filter(|_| !is_resized), channels].into_iter().chain(places);
        // Weights have as many axes as what they are laid over.
        let rank = form.rank().or_else(|| weights?.rank().filter(|rank| *rank > 2));
        let others = self.inputs.iter().skip(1).any(|form| form.items != Items::Nowhere);
        let stays = match self.node.op {
            "Resize" | "Upsample" => self.scales_no_items(form),
            "Pad" => self.pads_no_items(form),
            _ => true,
        };
        let shaped = Form::new(rank.map(|rank| known.take(rank).collect()), form.items);
        (shaped, (others || !stays).then_some(UNTOLD))
    }

    /// Whether the axis behind that of the items may get another extent.
    fn changes_channels(&self) -> bool {
        match self.node.op {
            "Pad" => {
                let pads = self.extents("pads", 1).or_else(|| self.extents("paddings", 1)).unwrap_or_default();
                let has_axes = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
                let entry = |place: usize| pads.get(place) == Some(&Count::Known(0));
                has_axes || !entry(1) || !entry(1 + pads.len() / 2)
            }
            _ => {
                let is_kept = self.scale_list().is_some_and(|scales| scales.get(1) == Some(&1.0));
                self.node.attribute("axes").is_some() || !is_kept
            }
        }
    }

    /// The scales of a change of size, where they are constants.
    pub(super) fn scale_list(&self) -> Option<Vec<f32>> {
        match self.node.attribute("scales") {
            Some(scales) => Some(scales.floats.clone()),
            // The second of several inputs is a region.
            None => self.scales(if self.inputs.len() > 2 { 2 } else { 1 }),
        }
    }

    /// Whether a change of size keeps the axes of the items as they are.
    fn scales_no_items(&self, form: &Form) -> bool {
        // All axes by the same scale.
        if self.keeps_ratio() {
            return self.is_fixed();
        }
        let scales = self.scale_list();
        let has_sizes = self.node.inputs.get(3).is_some_and(|sizes| !sizes.is_empty());
        let sizes = if has_sizes { self.extents("sizes", 3) } else { None };
        let axes = integers(self.node, "axes");
        let entry = |axis: usize| match &axes {
            Some(axes) => axes.iter().position(|&given| form.place(given) == Some(axis)),
            None => Some(axis),
        };
        let stays = |axis: usize| match (entry(axis), &scales, &sizes) {
            (None, _, _) => true,
            (Some(entry), Some(scales), _) => scales.get(entry) == Some(&1.0),
            (Some(entry), None, Some(sizes)) => match sizes.get(entry) {
                Some(Count::Items) => true,
                Some(Count::Known(size)) => form.extent(axis) == Some(*size),
                Some(Count::Other | Count::Many) | None => false,
            },
            (Some(_), None, None) => self.inputs.len() < 2 && !has_sizes,
        };
        keeps(form, stays)
    }

    fn scales(&self, place: usize) -> Option<Vec<f32>> {
        let scales = self.producers.constant(self.node.inputs.get(place).filter(|name| !name.is_empty())?)?;
        let values: Vec<f32> = scales.single_precision()?.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (!values.is_empty()).then_some(values)
    }

    /// Whether an edge is put around other axes than those of the items.
    fn pads_no_items(&self, form: &Form) -> bool {
        let Some(pads) = self.extents("pads", 1).or_else(|| self.extents("paddings", 1)) else {
            return self.is_fixed();
        };
        let has_axes = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
        let axes = if has_axes { self.longs("axes", 3) } else { Some((0..).take(pads.len() / 2).collect()) };
        let Some(axes) = axes.filter(|axes| axes.len() == pads.len() / 2) else { return self.is_fixed() };
        let is_none = |axis: usize| {
            let mut entries = axes.iter().enumerate().filter(|(_, given)| form.place(**given) == Some(axis));
            entries.all(|(entry, _)| [pads[entry], pads[entry + axes.len()]] == [Count::Known(0); 2])
        };
        let are_places = axes.iter().all(|&axis| form.place(axis).is_some());
        keeps(form, |axis| are_places && is_none(axis))
    }
}

/// Whether all axes that may have items stay as they are.
fn keeps(form: &Form, stays: impl Fn(usize) -> bool) -> bool {
    match form.items {
        Items::Nowhere => true,
        Items::At(axis) => stays(axis),
        Items::Within(merged) => (merged.from..merged.to).all(stays),
        Items::Unknown => false,
    }
}
