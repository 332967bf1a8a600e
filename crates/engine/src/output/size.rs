//! What rendering an answer takes, whatever protocol renders it.

use dede_model::outputs::{Mask, Outputs};

use super::options::OutputOptions;

/// A class or target with its name: as it is ranked, rendered, and written.
const NAMED_VALUE: u64 = 256;
/// The same once more as a tree, for a template.
const TREE: u64 = 1024;
/// A box with its class: as it is chosen, rendered, and written.
const NAMED_BOX: u64 = 512;
/// A value without a name: as it is copied, and written with up to 20 digits.
const VALUE: u64 = 48;
/// The class of a pixel: as it is scaled, and written with up to 5 digits.
const PIXEL: u64 = 8;

/// What predictions and their JSON text take at most, where names of classes are usual ones, bytes.
pub fn rendered_bytes(outputs: &Outputs, options: &OutputOptions) -> u64 {
    let (each, values) = match outputs {
        Outputs::Segmentation(masks) => {
            return masks.samples().iter().fold(0, |sum: u64, mask| sum.saturating_add(of_mask(mask, options)));
        }
        Outputs::Classification(tensor) => {
            let columns = tensor.row_len().min(options.best.unwrap_or(usize::MAX));
            (NAMED_VALUE, tensor.rows().saturating_mul(columns))
        }
        Outputs::Regression(tensor) => (NAMED_VALUE, tensor.values().len()),
        Outputs::Detection(detections) => {
            let most = options.best_bbox.unwrap_or(usize::MAX);
            (NAMED_BOX, detections.samples().map(|boxes| boxes.len().min(most)).sum())
        }
        Outputs::Features(tensor) => (VALUE, tensor.values().len()),
        Outputs::Tensors(tensors) => (VALUE, tensors.iter().map(|named| named.tensor.values().len()).sum()),
    };
    let each = if options.template.is_some() { each + TREE } else { each };
    (values as u64).saturating_mul(each).saturating_add((outputs.len() as u64).saturating_mul(NAMED_VALUE))
}

/// The same for a mask, which is answered at the size of the image as it was sent.
fn of_mask(mask: &Mask, options: &OutputOptions) -> u64 {
    let tree = if options.template.is_some() { TREE } else { 0 };
    let confidences = (mask.confidences.len() as u64).saturating_mul(VALUE + tree);
    let each = confidences.saturating_add(PIXEL + tree);
    (mask.original.pixels() as u64).saturating_mul(each).saturating_add(NAMED_VALUE)
}
