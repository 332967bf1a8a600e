//! Shapes of convolutions, pools and the like: items, channels, places.
//!
//! It must not know what the numbers are.

use super::{Shaped, Shaping, UNTOLD};
use crate::neural::activation::axes::integers;
use crate::neural::activation::counts::Count;
use crate::neural::activation::forms::{Form, Items};

impl Shaping<'_, '_, '_> {
    /// What windows make of an image. Whether items are among the places is told by the axes that are computed along.
    pub(super) fn over_places(&self) -> Shaped {
        let form = self.input(0);
        let weights = match self.node.op {
            "QLinearConv" => Some(self.input(3)),
            "Conv" | "ConvInteger" | "FusedConv" | "ConvTranspose" => Some(self.input(1)),
            _ => None,
        };
        let channels = match (self.node.op, weights) {
            ("ConvTranspose" | "DepthToSpace" | "SpaceToDepth" | "Resize" | "Upsample" | "Pad", _) => None,
            (_, Some(weights)) => weights.extent(0),
            (_, None) => form.extent(1),
        };
        let places = if self.node.op.contains("Global") { Some(1) } else { None };
        let known = [form.extent(0), channels].into_iter().chain(std::iter::repeat(places));
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

    /// Whether a change of size keeps the axes of the items as they are.
    fn scales_no_items(&self, form: &Form) -> bool {
        let scales = match self.node.attribute("scales") {
            Some(scales) => Some(scales.floats.clone()),
            None => [1, 2].iter().find_map(|&place| self.scales(place)),
        };
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
        let Some(pads) = self.longs("pads", 1).or_else(|| self.longs("paddings", 1)) else { return self.is_fixed() };
        let has_axes = self.node.inputs.get(3).is_some_and(|axes| !axes.is_empty());
        let axes = if has_axes { self.longs("axes", 3) } else { Some((0..).take(pads.len() / 2).collect()) };
        let Some(axes) = axes.filter(|axes| axes.len() == pads.len() / 2) else { return self.is_fixed() };
        let is_none = |axis: usize| {
            let mut entries = axes.iter().enumerate().filter(|(_, given)| form.place(**given) == Some(axis));
            entries.all(|(entry, _)| pads[entry] == 0 && pads[entry + axes.len()] == 0)
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
