//! Which output of a network is answered, and whether it has the shape of an answer.
//!
//! It owns the choice among several outputs: by the number of classes or targets, or by name, and never by their order. It
//! must not know file formats or engines.

use dede_model::backend::ServiceType;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;

use super::options::{CreationOptions, MLLIB};

/// Outputs that an error names.
const MOST_SHOWN: usize = 16;

/// An output that could be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its name in the network's file.
    pub(super) name: String,
    /// The value to compute for it.
    pub(super) value: String,
    /// Extents of one sample, where they are known.
    pub(super) shape: Option<Vec<usize>>,
    /// Whether it holds numbers or names of classes.
    pub(super) is_label: bool,
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The output of that place.
    Output(usize),
    /// Cannot be chosen before the shapes of all are known.
    NeedsShapes,
}

impl Candidate {
    /// Whether it has `count` values beside each other for each sample.
    fn holds(&self, count: usize) -> bool {
        self.shape.as_deref().is_some_and(|shape| is_list(shape) && shape.iter().product::<usize>() == count)
    }

    /// Whether it could be scores of classes or values, as far as is known.
    fn is_answer(&self) -> bool {
        !self.is_label && self.shape.as_deref().is_none_or(is_list)
    }

    fn shown(&self) -> String {
        let label = if self.is_label { ", class labels" } else { "" };
        match &self.shape {
            Some(shape) => format!("{} ({shape:?} for each sample{label})", quote(&self.name)),
            None => format!("{} (of unknown shape{label})", quote(&self.name)),
        }
    }
}

/// Whether values of that shape stand beside each other: at most one axis is longer than 1.
fn is_list(shape: &[usize]) -> bool {
    shape.iter().filter(|&&extent| extent > 1).count() <= 1
}

/// The output that a service answers.
///
/// # Errors
/// [`Error::BadParameter`] naming all outputs, where neither a name nor a number tells which one.
pub(super) fn choose(candidates: &[Candidate], options: &CreationOptions, service_type: ServiceType) -> Result<Choice> {
    if let Some((key, name)) = options.output()? {
        let found = candidates.iter().position(|candidate| candidate.name == name || candidate.value == name);
        return found.map(Choice::Output).ok_or_else(|| {
            let reason = format!("one of the network's outputs expected: {}; found {}", shown(candidates), quote(name));
            Error::bad_parameter_at(format!("{MLLIB}.{key}"), reason)
        });
    }
    let may_answer = |candidate: &Candidate| match service_type {
        ServiceType::Supervised => candidate.is_answer(),
        ServiceType::Unsupervised => !candidate.is_label,
    };
    let values: Vec<usize> = (0..candidates.len()).filter(|&place| may_answer(&candidates[place])).collect();
    match (candidates, values.as_slice()) {
        ([_], _) => return Ok(Choice::Output(0)),
        (_, [only]) => return Ok(Choice::Output(*only)),
        (_, _) => {}
    }
    let ambiguous = |reason: String| {
        let text = format!("{reason}; the network has outputs {}", shown(candidates));
        Err(Error::bad_parameter_at(format!("{MLLIB}.output"), text))
    };
    let (key, count) = match (service_type, options.count()) {
        (ServiceType::Supervised, Some(asked)) => asked,
        (ServiceType::Supervised, None) => {
            return ambiguous("expected the name of one output, or nclasses or ntargets, which only one fits".into());
        }
        (ServiceType::Unsupervised, _) => {
            return ambiguous("expected the name of one output, or of a layer in extract_layer".into());
        }
    };
    if values.iter().any(|&place| candidates[place].shape.is_none()) {
        return Ok(Choice::NeedsShapes);
    }
    let fitting: Vec<usize> = values.into_iter().filter(|&place| candidates[place].holds(count)).collect();
    match fitting.as_slice() {
        [only] => Ok(Choice::Output(*only)),
        [] => ambiguous(format!("expected one output with {key} {count}, found none")),
        several => ambiguous(format!("expected one output with {key} {count}, found {}", several.len())),
    }
}

fn shown(candidates: &[Candidate]) -> String {
    let first: Vec<String> = candidates.iter().take(MOST_SHOWN).map(Candidate::shown).collect();
    match candidates.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Checks that values of that shape are one for each class or target.
///
/// # Errors
/// [`Error::BadParameter`] naming the file and the shape.
pub(super) fn check_list(file: &str, output: &str, shape: &[usize]) -> Result<()> {
    if is_list(shape) {
        return Ok(());
    }
    let reason = format!(
        "expected one value for each class or target, found output {output} with shape {shape:?} for each sample: where it \
         holds classes of pixels, say output_format masks; other maps, boxes and series are not supported yet (type unsupervised and extract_layer answer them as features)"
    );
    Err(Error::bad_parameter_at(file, reason))
}

/// Refuses labels where scores or values are answered.
///
/// # Errors
/// [`Error::BadParameter`] naming the output.
pub(super) fn check_no_label(file: &str, output: &Candidate) -> Result<()> {
    if !output.is_label {
        return Ok(());
    }
    let reason = format!(
        "expected scores of classes or values, found output {} with class labels: these are neither; name an output with \
         scores in {MLLIB}.output, or use type unsupervised",
        output.name
    );
    Err(Error::bad_parameter_at(file, reason))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn candidate(name: &str, shape: &[usize]) -> Candidate {
        Candidate { name: name.into(), value: name.into(), shape: Some(shape.to_vec()), is_label: false }
    }

    fn label() -> Candidate {
        Candidate { is_label: true, ..candidate("label", &[]) }
    }

    fn chosen(candidates: &[Candidate], mllib: Value, service_type: ServiceType) -> Result<Choice> {
        let options = CreationOptions::parse(mllib.as_object().expect("an object")).expect("parses");
        choose(candidates, &options, service_type)
    }

    #[test]
    fn one_output_is_chosen_by_number_or_name_and_never_by_order() {
        let two = [candidate("embedding", &[8]), candidate("scores", &[1, 2])];
        let alike = [candidate("logits", &[2]), candidate("scores", &[2])];
        let map = [candidate("map", &[2, 1, 1]), candidate("box", &[2, 2])];
        let maps = [candidate("boxes", &[2, 4]), candidate("map", &[2, 2])];
        let unknown = [Candidate { shape: None, ..candidate("a", &[]) }, candidate("b", &[2])];
        let named = [label(), candidate("probabilities", &[3])];
        let cases: [(&[Candidate], Value, std::result::Result<Choice, &str>); 19] = [
            (&two[..1], json!({}), Ok(Choice::Output(0))),
            (&two, json!({"nclasses": 2}), Ok(Choice::Output(1))),
            (&two, json!({"nclasses": 8}), Ok(Choice::Output(0))),
            (&two, json!({"regression": true, "ntargets": 8}), Ok(Choice::Output(0))),
            (&two, json!({"ntargets": 2}), Ok(Choice::Output(1))),
            (&two, json!({"nclasses": 3}), Err("found none")),
            (&two, json!({}), Err("embedding ([8] for each sample), scores ([1, 2] for each sample)")),
            (&two, json!({"output": "embedding"}), Ok(Choice::Output(0))),
            (&two, json!({"outputBlob": "scores", "output": "scores"}), Ok(Choice::Output(1))),
            (&two, json!({"outputBlob": "scores", "output": "embedding"}), Err("outputBlob")),
            (&two, json!({"output": "prob", "nclasses": 2}), Err("found prob")),
            (&alike, json!({"nclasses": 2}), Err("found 2")),
            (&map, json!({"nclasses": 2}), Ok(Choice::Output(0))),
            (&map, json!({}), Ok(Choice::Output(0))),
            (&map[1..], json!({}), Ok(Choice::Output(0))),
            (&maps, json!({"nclasses": 4}), Err("found none")),
            (&maps, json!({}), Err("expected the name of one output")),
            (&unknown, json!({"nclasses": 2}), Ok(Choice::NeedsShapes)),
            (&named, json!({}), Ok(Choice::Output(1))),
        ];
        for (candidates, mllib, expected) in cases {
            match (chosen(candidates, mllib.clone(), ServiceType::Supervised), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{mllib}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{mllib}: {error}"),
                (found, expected) => panic!("{mllib}: expected {expected:?}, found {found:?}"),
            }
        }
        assert!(chosen(&two, json!({}), ServiceType::Unsupervised).is_err());
        assert!(chosen(&map, json!({}), ServiceType::Unsupervised).is_err());
        assert_eq!(chosen(&named, json!({}), ServiceType::Unsupervised).expect("one"), Choice::Output(1));
        assert_eq!(chosen(&[label()], json!({}), ServiceType::Unsupervised).expect("one"), Choice::Output(0));
    }

    #[test]
    fn maps_and_labels_are_no_answers() {
        for shape in [&[][..], &[1], &[5], &[5, 1, 1], &[1, 1, 5]] {
            assert!(check_list("m.onnx", "y", shape).is_ok(), "{shape:?}");
        }
        let error = check_list("m.onnx", "y", &[5, 32, 32]).expect_err("a map").to_string();
        assert!(error.contains("[5, 32, 32]") && error.contains("m.onnx"), "{error}");
        assert!(check_no_label("m.onnx", &label()).is_err());
        assert!(check_no_label("m.onnx", &candidate("y", &[3])).is_ok());
    }
}
