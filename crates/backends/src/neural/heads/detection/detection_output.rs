//! The head of Caffe's detectors: what their DetectionOutput layer makes of offsets and scores (`detection_output_layer.cpp` of SSD's Caffe,
//! and of RefineDet's), done here for every engine.
//!
//! It owns the order of this layer's steps, and which of them a request changes: `nms_threshold` stands in place of the network's, what
//! `confidence_threshold` and `top_k` leave out is left out besides what the network does. Class 0 is the background as a rule, and
//! `nclasses` counts it.

use std::cmp::Ordering;

use dede_graph::detection::Decoding;
use dede_model::backend::{BoxOptions, Task};
use dede_model::data::ImageSizes;
use dede_model::error::{Error, Result};
use dede_model::outputs::{Corners, Detection, Outputs};
use dede_model::request_memory::MemoryShare;

use super::box_code::{Shares, box_of};
use super::candidates::{Candidate, Scores, cut_together};
use super::form::check_score;
use super::ssd::in_pixels;
use super::suppression::Staying;
use super::{BoxHead, Edge, placed};
use crate::neural::heads::{Asked, Batches, Head};

/// The head; it takes the values of [`Decoding::values`] in this order.
pub(in crate::neural) struct DetectionOutputHead {
    output: String,
    decoding: Decoding,
}

/// The numbers of one image: those of each value.
struct Numbers<'a> {
    offsets: &'a [f32],
    scores: &'a [f32],
    first_scores: &'a [f32],
    first_offsets: &'a [f32],
}

/// A box that stays.
struct Kept {
    class: usize,
    score: f32,
    shares: Shares,
}

impl DetectionOutputHead {
    /// The head of the output of that name.
    pub(in crate::neural) fn new(output: String, decoding: Decoding) -> Self {
        Self { output, decoding }
    }

    /// The numbers of an image in the values that were computed.
    fn numbers<'a>(&self, outputs: &[&'a [f32]]) -> std::result::Result<Numbers<'a>, String> {
        let options = &self.decoding.options;
        let boxes = self.decoding.priors.len();
        let of_each = if options.share_location { 4 } else { options.classes.saturating_mul(4) };
        let wanted = [of_each, options.classes, 2, 4].into_iter().take(self.decoding.values.len());
        for ((name, values), of_each) in self.decoding.values.iter().zip(outputs).zip(wanted) {
            if Some(values.len()) != boxes.checked_mul(of_each) {
                return Err(format!(
                    "expected {of_each} numbers for each of {boxes} boxes in {name}, found {}",
                    values.len()
                ));
            }
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return Err(format!(
                    "expected finite numbers in {name}, found {} for box {}",
                    values[place],
                    place / of_each + 1
                ));
            }
        }
        match *outputs {
            [offsets, scores] if options.refinement.is_none() => {
                Ok(Numbers { offsets, scores, first_scores: &[], first_offsets: &[] })
            }
            [offsets, scores, first_scores, first_offsets] if options.refinement.is_some() => {
                Ok(Numbers { offsets, scores, first_scores, first_offsets })
            }
            _ => Err(format!("expected {} values, found {}", self.decoding.values.len(), outputs.len())),
        }
    }

    /// The boxes of one image, the best first, in pixels of the network's input.
    fn boxes(
        &self,
        numbers: &Numbers<'_>,
        asked: &BoxOptions,
        image: &ImageSizes,
        memory: &MemoryShare,
    ) -> Result<Vec<Detection>> {
        let options = &self.decoding.options;
        let scores = Scores {
            scores: numbers.scores,
            classes: options.classes,
            background: options.background,
            objects: options.refinement.map(|least| (numbers.first_scores, least)),
            threshold: options.confidence_threshold,
            least: asked.least_score,
        };
        let counts = scores.counts();
        let most = counts.iter().sum::<usize>();
        // Of each box: its candidate, its place among those of all classes, and what it becomes.
        let bytes = size_of::<Candidate>() + size_of::<(f32, usize)>() + size_of::<Kept>() + size_of::<Detection>();
        let memory = memory.try_borrow((most as u64).saturating_mul(bytes as u64))?;
        let mut classes = scores.best(&counts, options.most_of_a_class);
        if let Some(most) = asked.candidates {
            cut_together(&mut classes, most);
        }
        let most_overlap = asked.most_overlap.unwrap_or(options.overlap_threshold);
        let mut kept: Vec<Kept> = Vec::new();
        for (class, candidates) in classes.iter().enumerate() {
            self.keep((class, candidates), numbers, most_overlap, &mut kept);
        }
        kept.sort_by(|one, other| other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal));
        kept.truncate(options.most.unwrap_or(usize::MAX));
        let in_image =
            |one: Kept| Detection { class: one.class, score: one.score, corners: in_pixels(one.shares, image) };
        let found: Vec<Detection> = kept.into_iter().map(in_image).collect();
        memory.keep(size_of_val(found.as_slice()) as u64);
        Ok(found)
    }

    /// Keeps the candidates of a class that overlap no better one by more than `most_overlap`, which falls as the layer says.
    fn keep(
        &self,
        (class, candidates): (usize, &[Candidate]),
        numbers: &Numbers<'_>,
        mut most_overlap: f32,
        kept: &mut Vec<Kept>,
    ) {
        let decay = self.decoding.options.overlap_decay;
        let mut staying = Staying::default();
        for &Candidate { score, place } in candidates {
            let shares = box_of(&self.decoding, numbers.offsets, numbers.first_offsets, place as usize, class);
            let [xmin, ymin, xmax, ymax] = shares;
            if staying.admits(Corners { xmin, ymin, xmax, ymax }, most_overlap) {
                kept.push(Kept { class, score, shares });
                if decay < 1.0 && most_overlap > 0.5 {
                    most_overlap *= decay;
                }
            }
        }
    }
}

impl BoxHead for DetectionOutputHead {
    fn output(&self) -> &str {
        &self.output
    }

    fn most_overlap(&self) -> Option<f32> {
        Some(self.decoding.options.overlap_threshold)
    }

    fn edge(&self) -> Edge {
        Edge::LastPixel
    }
}

impl Head for DetectionOutputHead {
    fn task(&self) -> Task {
        Task::Detection { classes: Some(self.decoding.options.classes) }
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let rows: Vec<Vec<&[f32]>> = found.iter().map(|output| output.rows().collect()).collect();
        let mut samples = Vec::with_capacity(asked.images.len());
        for (sample, image) in asked.images.iter().enumerate() {
            let outputs: Option<Vec<&[f32]>> = rows.iter().map(|rows| rows.get(sample).copied()).collect();
            let outputs = outputs.ok_or_else(|| Error::Internal("fewer answers than images".into()))?;
            let wrong =
                |reason: String| Error::bad_input_at(format!("item {}, output {}", sample + 1, self.output), reason);
            let numbers = self.numbers(&outputs).map_err(wrong)?;
            let boxes = self.boxes(&numbers, &asked.options.boxes, image, asked.memory)?;
            boxes.iter().try_for_each(|found| check_score(found.score).map(drop)).map_err(wrong)?;
            samples.push(boxes);
        }
        placed(self, samples, asked.images)
    }
}

#[cfg(test)]
mod tests;
