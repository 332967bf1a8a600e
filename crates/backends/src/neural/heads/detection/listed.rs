//! Boxes that a network lists itself, one beside the other: outputs for their corners, classes and scores, as the detectors of torchvision
//! have them (`boxes`, `labels`, `scores`).
//!
//! Corners are left, upper, right, lower, in pixels of the network's input. The network leaves out boxes that overlap. What it answers
//! for each item, it answers alone: lists have other lengths for other items.

use dede_model::backend::{ServiceType, Task};
use dede_model::error::{Error, Result};
use dede_model::outputs::{Corners, Detection, Outputs};

use super::{BoxHead, finished};
use crate::neural::heads::{Asked, Batches, Head, HeadKind, OfferedNetwork, OfferedOutput};

/// What the outputs are called, or end with: corners, classes, scores.
const NAMES: [&[&str]; 3] = [&["boxes"], &["labels", "classes"], &["scores"]];

/// Claims networks with an output for corners, one for classes and one for scores.
#[derive(Debug, Clone, Copy)]
pub(in crate::neural::heads) struct Listed;

struct ListedHead {
    /// Name of the output of corners.
    output: String,
    classes: Option<usize>,
}

impl HeadKind for Listed {
    fn name(&self) -> &'static str {
        "boxes"
    }

    fn takes_lists(&self) -> bool {
        true
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        if network.service_type == ServiceType::Unsupervised {
            return Ok(None);
        }
        let named = |names: &&[&str]| -> Option<String> {
            let is_named = |output: &&OfferedOutput| {
                names.iter().any(|name| output.name == *name || output.name.ends_with(&format!("_{name}")))
            };
            let mut fitting = network.outputs.iter().filter(is_named);
            let first = fitting.next()?;
            fitting.next().is_none().then(|| first.name.clone())
        };
        Ok(NAMES.iter().map(named).collect())
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let [corners, ..] = network.outputs.as_slice() else {
            return Err(Error::Internal("three outputs were claimed".into()));
        };
        let classes = network.parameters.get("nclasses").and_then(serde_json::Value::as_u64);
        let classes = classes.and_then(|classes| usize::try_from(classes).ok());
        Ok(Box::new(ListedHead { output: corners.name.clone(), classes }))
    }
}

impl BoxHead for ListedHead {
    fn output(&self) -> &str {
        &self.output
    }

    fn most_overlap(&self) -> Option<f32> {
        None
    }
}

impl Head for ListedHead {
    fn task(&self) -> Task {
        Task::Detection { classes: self.classes }
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let [corners, classes, scores] = found.as_slice() else {
            return Err(Error::Internal("boxes have three outputs".into()));
        };
        let boxes: usize = scores.rows().map(<[f32]>::len).sum();
        asked.memory.grow((boxes * size_of::<Detection>()) as u64)?;
        let rows = corners.rows().zip(classes.rows().zip(scores.rows()));
        let samples = rows.map(|(corners, (classes, scores))| self.boxes(corners, classes, scores));
        finished(self, samples.collect::<Result<_>>()?, asked.images, &asked.options.boxes)
    }
}

impl ListedHead {
    /// The boxes of one item.
    fn boxes(&self, corners: &[f32], classes: &[f32], scores: &[f32]) -> Result<Vec<Detection>> {
        let (corners, rest) = corners.as_chunks::<4>();
        if !rest.is_empty() || corners.len() != scores.len() || classes.len() != scores.len() {
            let found = format!(
                "expected four corners, a class and a score for each box, found {} numbers, {} classes and {} scores",
                corners.len() * 4 + rest.len(),
                classes.len(),
                scores.len()
            );
            return Err(Error::bad_parameter_at(format!("output {}", self.output), found));
        }
        let each = corners.iter().zip(classes.iter().zip(scores));
        let detection = |(&[xmin, ymin, xmax, ymax], (&class, &score)): (&[f32; 4], (&f32, &f32))| {
            let class = self.class(class)?;
            Ok(Detection { class, score, corners: Corners { xmin, ymin, xmax, ymax } })
        };
        each.map(detection).collect()
    }

    /// The class that a number says.
    fn class(&self, number: f32) -> Result<usize> {
        let most = self.classes.map_or(MOST_CLASSES, |classes| classes as f32);
        if number.fract() == 0.0 && (0.0..most).contains(&number) {
            return Ok(number as usize);
        }
        let reason = format!("expected classes from 0 to {}, found {number}", most - 1.0);
        Err(Error::bad_parameter_at(format!("output {}", self.output), reason))
    }
}

/// Whole numbers of single precision are exact up to here.
const MOST_CLASSES: f32 = 16_777_216.0;
