//! Which classes and boxes of an answer are listed, and in which order.
//!
//! It must not know how they are written.

use dede_model::labels::Labels;
use dede_model::outputs::{Corners, Detection, Outputs};

use super::options::OutputOptions;

/// A class or a box that an answer lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listed {
    /// Its number.
    pub class: usize,
    /// Its probability.
    pub score: f32,
    /// Where it is, in pixels of the image as it came; only of detections.
    pub corners: Option<Corners>,
}

impl Listed {
    /// Its name.
    pub fn name(&self, labels: &Labels) -> String {
        labels.name(self.class)
    }
}

/// What the answer to one item lists, the best one first; nothing of an answer that has neither classes nor boxes.
pub fn listed(outputs: &Outputs, item: usize, options: &OutputOptions) -> Vec<Listed> {
    match outputs {
        Outputs::Classification(tensor) => classes(tensor.row(item), options),
        Outputs::Detection(detections) => boxes(detections.of(item), options),
        Outputs::Regression(_) | Outputs::Features(_) | Outputs::Segmentation(_) | Outputs::Tensors(_) => Vec::new(),
    }
}

/// Classes by decreasing probability; equal ones by ascending number.
fn classes(probabilities: &[f32], options: &OutputOptions) -> Vec<Listed> {
    let mut ranked: Vec<(usize, f32)> = probabilities
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, probability)| *probability >= options.confidence_threshold)
        .collect();
    let wanted = options.best.unwrap_or(usize::MAX).min(ranked.len());
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if wanted > 0 && wanted < ranked.len() {
        ranked.select_nth_unstable_by(wanted - 1, order);
    }
    ranked.truncate(wanted);
    ranked.sort_unstable_by(order);
    ranked.into_iter().map(|(class, score)| Listed { class, score, corners: None }).collect()
}

/// Boxes by decreasing score, as many as are asked for (contract.md 5.5).
fn boxes(found: &[Detection], options: &OutputOptions) -> Vec<Listed> {
    let wanted = found.iter().filter(|found| found.score >= options.confidence_threshold);
    let wanted = wanted.take(options.best_bbox.unwrap_or(usize::MAX));
    wanted.map(|found| Listed { class: found.class, score: found.score, corners: Some(found.corners) }).collect()
}
