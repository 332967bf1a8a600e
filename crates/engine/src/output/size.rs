//! What rendering an answer takes, whatever protocol renders it.

use dede_model::outputs::Outputs;

use super::options::OutputOptions;

/// A class or target with its name: as it is ranked, rendered, and written.
const NAMED_VALUE: u64 = 256;
/// The same once more as a tree, for a template.
const TREE: u64 = 1024;
/// A value without a name: as it is copied, and written with up to 20 digits.
const VALUE: u64 = 48;

/// What predictions and their JSON text take at most, where names of classes are usual ones, bytes.
pub fn rendered_bytes(outputs: &Outputs, options: &OutputOptions) -> u64 {
    let (each, values) = match outputs {
        Outputs::Classification(tensor) => {
            let columns = tensor.row_len().min(options.best.unwrap_or(usize::MAX));
            (NAMED_VALUE, tensor.rows().saturating_mul(columns))
        }
        Outputs::Regression(tensor) => (NAMED_VALUE, tensor.values().len()),
        Outputs::Features(tensor) => (VALUE, tensor.values().len()),
        Outputs::Tensors(tensors) => (VALUE, tensors.iter().map(|named| named.tensor.values().len()).sum()),
    };
    let each = if options.template.is_some() { each + TREE } else { each };
    (values as u64).saturating_mul(each).saturating_add((outputs.len() as u64).saturating_mul(NAMED_VALUE))
}
