//! `raw`: targets and answers of every sample, in order.

use serde_json::{Value, json};

use super::Classified;
use super::accuracy::predicted;
use crate::labels::Labels;
use crate::tensor::Floats;

/// Names of the right and of the predicted class, and the score of the latter.
pub(super) fn of_classes(answers: &Classified<'_>, labels: &Labels) -> Value {
    let truths: Vec<String> = answers.samples().map(|(_, class)| labels.name(class)).collect();
    let estimations: Vec<String> = answers.samples().map(|(scores, _)| labels.name(predicted(scores))).collect();
    let confidences: Vec<f32> = answers.samples().map(|(scores, _)| scores[predicted(scores)]).collect();
    json!({"truths": truths, "estimations": estimations, "confidences": confidences})
}

/// Targets and values; a list per sample where there are several.
pub(super) fn of_values(outputs: &Floats, targets: &Floats) -> Value {
    let rows = |tensor: &Floats| -> Vec<Value> {
        (0..tensor.rows())
            .map(|row| match tensor.row(row) {
                [value] => json!(value),
                values => json!(values),
            })
            .collect()
    };
    json!({"truths": rows(targets), "estimations": rows(outputs)})
}
