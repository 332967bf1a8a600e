//! One answer as a few words, for people.

use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
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
