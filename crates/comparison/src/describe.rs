//! One answer as a few words, for people.

use std::collections::BTreeMap;

use dede_model::labels::Labels;
use dede_model::outputs::{Detection, Mask, Outputs};
use dede_model::tensor::NamedTensor;

/// Values shown of an answer that has many.
const SHOWN: usize = 3;
/// Characters of a text that a report keeps.
const LONGEST: usize = 80;
/// Characters of a reason that a report keeps: it is read to its end.
const LONGEST_REASON: usize = 500;

/// The answer to sample `index`: `7 (0.98)`, `150.2, 3.1, …`.
pub(super) fn answer(outputs: &Outputs, index: usize, labels: &Labels) -> String {
    let text = match outputs {
        Outputs::Classification(tensor) => top(tensor.row(index), labels),
        Outputs::Detection(detections) => boxes(detections.of(index), labels),
        Outputs::Segmentation(masks) => masks.samples().get(index).map_or_else(String::new, |mask| areas(mask, labels)),
        Outputs::Regression(tensor) | Outputs::Features(tensor) => first(tensor.row(index)),
        Outputs::Tensors(tensors) => shapes(tensors),
    };
    shortened(&text)
}

fn top(probabilities: &[f32], labels: &Labels) -> String {
    // The first of equal ones, as in answers.
    let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map_or_else(
        || "no class".to_owned(),
        |(class, probability)| format!("{} ({probability:.4})", labels.name(class)),
    )
}

/// `2 boxes: dog (0.9125), cat (0.5000)`.
fn boxes(found: &[Detection], labels: &Labels) -> String {
    let shown = found.iter().take(SHOWN).map(|found| format!("{} ({:.4})", labels.name(found.class), found.score));
    match found.len() {
        0 => "no box".to_owned(),
        1 => format!("1 box: {}", shown.collect::<String>()),
        count => format!("{count} boxes: {}", shown.collect::<Vec<_>>().join(", ")),
    }
}

/// `8 x 4 pixels: road (75.00 %), sky (25.00 %)`: the largest classes.
fn areas(mask: &Mask, labels: &Labels) -> String {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    // Pixels beside each other are mostly of one class.
    for run in mask.classes.chunk_by(|one, other| one == other) {
        *counts.entry(run[0]).or_default() += run.len();
    }
    let mut counts: Vec<(u16, usize)> = counts.into_iter().collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    let share = |count: usize| count as f64 * 100.0 / mask.classes.len().max(1) as f64;
    let shown = counts.iter().take(SHOWN);
    let shown = shown.map(|&(class, count)| format!("{} ({:.2} %)", labels.name(class.into()), share(count)));
    let shown: Vec<String> = shown.collect();
    format!("{} x {} pixels: {}", mask.extent.width, mask.extent.height, shown.join(", "))
}

fn shapes(tensors: &[NamedTensor]) -> String {
    let shown = |named: &NamedTensor| format!("{} {}{:?}", named.name, named.tensor.element(), named.tensor.shape());
    tensors.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(", ")
}

fn first(values: &[f32]) -> String {
    let mut words: Vec<String> = values.iter().take(SHOWN).map(f32::to_string).collect();
    if values.len() > SHOWN {
        words.push("…".to_owned());
    }
    words.join(", ")
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    beginning(text, LONGEST)
}

/// A reason, unless it is very long.
pub(super) fn reason(text: &str) -> String {
    beginning(text, LONGEST_REASON)
}

fn beginning(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
