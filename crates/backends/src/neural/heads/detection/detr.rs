//! Boxes of queries, in two outputs: `detr`, logits `[Q, C + 1]` whose softmax has "nothing" last, and `rt_detr`, logits `[Q, C]` that are
//! independent. Boxes `[Q, 4]` are centre and size as shares of the network's input.
//!
//! Formats: DETR (arXiv 2005.12872) and RT-DETR (arXiv 2304.08069), as their published post-processing reads them: one class of each query,
//! and the Q best pairs of query and class. Networks of these forms leave out boxes that overlap.

use dede_model::data::ImageSizes;
use dede_model::outputs::Detection;

use super::form::Form;
use super::yolo::around;
use crate::neural::heads::OfferedOutput;

/// Both forms.
#[derive(Debug)]
pub(super) struct Queries {
    /// Whether the last class is that nothing is there, and scores are a softmax.
    pub(super) has_none: bool,
}

impl Queries {
    fn columns(&self, classes: usize) -> usize {
        classes.saturating_add(usize::from(self.has_none))
    }
}

impl Form for Queries {
    fn name(&self) -> &'static str {
        if self.has_none { "detr" } else { "rt_detr" }
    }

    fn outputs(&self) -> usize {
        2
    }

    fn fits(&self, outputs: &[&OfferedOutput], classes: usize) -> bool {
        let [logits, boxes] = outputs else { return false };
        if !logits.name.ends_with("logits") || !boxes.name.ends_with("boxes") {
            return false;
        }
        match (logits.shape.as_deref(), boxes.shape.as_deref()) {
            (Some([queries, columns]), Some([places, 4])) => queries == places && *columns == self.columns(classes),
            (Some(_) | None, Some(_) | None) => false,
        }
    }

    fn most_overlap(&self) -> Option<f32> {
        None
    }

    fn most_boxes(&self, numbers: usize, _: usize) -> usize {
        numbers
    }

    fn boxes(&self, outputs: &[&[f32]], classes: usize, image: &ImageSizes) -> Result<Vec<Detection>, String> {
        let [logits, places] = outputs else { return Err("expected two outputs".to_owned()) };
        if let Some(wrong) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(format!("expected finite logits, found {wrong}"));
        }
        let (width, height) = (image.width as f32, image.height as f32);
        let places = places.as_chunks::<4>().0;
        let rows = logits.chunks_exact(self.columns(classes)).zip(places);
        let mut found = Vec::with_capacity(self.most_boxes(logits.len(), classes));
        for (row, &[x, y, across, down]) in rows {
            let corners = around([x * width, y * height, across * width, down * height]);
            if self.has_none {
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = row.iter().map(|logit| (logit - largest).exp()).sum();
                let mut best = (0, f32::NEG_INFINITY);
                for (class, &logit) in row.iter().take(classes).enumerate() {
                    if logit > best.1 {
                        best = (class, logit);
                    }
                }
                found.push(Detection { class: best.0, score: (best.1 - largest).exp() / sum, corners });
            } else {
                let score = |logit: f32| 1.0 / (1.0 + (-logit).exp());
                found.extend(row.iter().enumerate().map(|(class, &logit)| Detection {
                    class,
                    score: score(logit),
                    corners,
                }));
            }
        }
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        found.truncate(places.len());
        Ok(found)
    }
}
