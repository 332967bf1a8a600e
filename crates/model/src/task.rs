//! What a service is for, and what the outputs of its model mean.
//!
//! It must not know backends: a repository and a measure name the task of a network, too.

use serde::{Deserialize, Serialize};

/// `type` of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceType {
    /// Classes or values are predicted.
    #[default]
    Supervised,
    /// Features are extracted.
    Unsupervised,
}

/// What a model's outputs mean. Closed: rendering and measures match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum Task {
    /// One probability per class.
    Classification {
        /// Number of classes.
        classes: usize,
    },
    /// One value per target.
    Regression {
        /// Number of targets.
        targets: usize,
    },
    /// Boxes around what is found in an image.
    Detection {
        /// Number of classes; `None` where the network does not say it.
        classes: Option<usize>,
    },
    /// The class of each pixel of an image.
    Segmentation {
        /// Number of classes; `None` where the network does not say it.
        classes: Option<usize>,
    },
    /// The values of one layer.
    Features,
    /// Whatever the outputs of the network hold, in tensors.
    Tensors,
}

impl Task {
    /// `mltype` on the wire.
    pub fn mltype(self) -> &'static str {
        match self {
            Self::Classification { .. } => "classification",
            Self::Regression { .. } => "regression",
            Self::Detection { .. } => "detection",
            Self::Segmentation { .. } => "segmentation",
            Self::Features => "unsupervised",
            Self::Tensors => "tensors",
        }
    }
}
