//! Predictions from outputs.

use dede_api::predictions::{ClassScore, Prediction, TargetValue, Values};
use dede_engine::output::{Binarized, OutputOptions};
use dede_model::labels::Labels;
use dede_model::outputs::Outputs;

/// One prediction per output, in order. `uris` has one name per output.
pub(crate) fn predictions(
    outputs: &Outputs,
    uris: Vec<String>,
    labels: &Labels,
    options: &OutputOptions,
) -> Vec<Prediction> {
    let named = |fill: &dyn Fn(usize) -> Prediction| -> Vec<Prediction> {
        uris.into_iter().enumerate().map(|(index, uri)| Prediction { uri, ..fill(index) }).collect()
    };
    match outputs {
        Outputs::Classification(tensor) => {
            named(&|index| Prediction { classes: classes(tensor.row(index), labels, options), ..Prediction::default() })
        }
        Outputs::Regression(tensor) => {
            named(&|index| Prediction { vector: targets(tensor.row(index), labels), ..Prediction::default() })
        }
        Outputs::Features(tensor) => named(&|index| Prediction {
            vals: Some(values(tensor.row(index), options.binarized)),
            last: index + 1 == tensor.rows(),
            ..Prediction::default()
        }),
        // A call in items has no such answer.
        Outputs::Tensors(_) => Vec::new(),
    }
}

/// Classes by decreasing probability; equal ones by ascending id.
fn classes(probabilities: &[f32], labels: &Labels, options: &OutputOptions) -> Vec<ClassScore> {
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
    let last = ranked.len().saturating_sub(1);
    let score = |(rank, (id, probability)): (usize, (usize, f32))| ClassScore {
        prob: f64::from(probability),
        cat: labels.name(id),
        last: rank == last,
    };
    ranked.into_iter().enumerate().map(score).collect()
}

/// Targets by decreasing value, as the original sorts them (contract.md 5.3).
fn targets(values: &[f32], labels: &Labels) -> Vec<TargetValue> {
    let mut ranked: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let last = ranked.len().saturating_sub(1);
    let target = |(rank, (id, value)): (usize, (usize, f32))| TargetValue {
        cat: labels.name(id),
        val: f64::from(value),
        last: rank == last,
    };
    ranked.into_iter().enumerate().map(target).collect()
}

fn values(values: &[f32], form: Binarized) -> Values {
    let bits = || values.iter().map(|value| *value > 0.0);
    match form {
        Binarized::No => Values::Numbers(values.to_vec()),
        Binarized::Numbers => Values::Numbers(bits().map(|bit| if bit { 1.0 } else { 0.0 }).collect()),
        Binarized::Booleans => Values::Booleans(bits().collect()),
        Binarized::Text => Values::Bits(bits().map(|bit| if bit { '1' } else { '0' }).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use dede_model::tensor::Floats;

    fn options(section: serde_json::Value) -> OutputOptions {
        OutputOptions::parse(section.as_object().unwrap()).unwrap()
    }

    #[test]
    fn classes_are_sorted_cut_and_marked() {
        let outputs = Outputs::Classification(Floats::new(vec![1, 4], vec![0.1, 0.4, 0.4, 0.1]).unwrap());
        let labels = Labels::from_names(["a", "b"]);
        let cases = [
            (json!({}), vec![("b", 0.4)]),
            (json!({"best": 3}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1)]),
            (json!({"best": -1}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1), ("3", 0.1)]),
            (json!({"best": 99}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1), ("3", 0.1)]),
            (json!({"confidence_threshold": 0.3}), vec![("b", 0.4), ("2", 0.4)]),
            (json!({"best": 1, "confidence_threshold": 0.3}), vec![("b", 0.4)]),
            (json!({"best": 0}), vec![]),
        ];
        for (section, expected) in cases {
            let rendered = predictions(&outputs, vec!["x".into()], &labels, &options(section.clone()));
            let found: Vec<(&str, f64)> = rendered[0].classes.iter().map(|c| (c.cat.as_str(), c.prob)).collect();
            let expected: Vec<(&str, f64)> =
                expected.iter().map(|(cat, prob)| (*cat, f64::from(*prob as f32))).collect();
            assert_eq!(found, expected, "{section}");
            let marks: Vec<bool> = rendered[0].classes.iter().map(|c| c.last).collect();
            assert!(marks.iter().rev().skip(1).all(|last| !last) && marks.last().is_none_or(|last| *last));
        }
    }

    #[test]
    fn targets_come_by_value_and_keep_their_number() {
        let outputs = Outputs::Regression(Floats::new(vec![1, 3], vec![1.0, 3.0, 2.0]).unwrap());
        let rendered = predictions(&outputs, vec!["7".into()], &Labels::default(), &options(json!({})));
        let cats: Vec<&str> = rendered[0].vector.iter().map(|target| target.cat.as_str()).collect();
        assert_eq!(cats, ["1", "2", "0"]);
    }

    #[test]
    fn features_mark_the_last_prediction() {
        let outputs = Outputs::Features(Floats::new(vec![2, 2], vec![0.5, -1.0, 0.0, 2.0]).unwrap());
        let names = || vec!["a".to_owned(), "b".to_owned()];
        let rendered = predictions(&outputs, names(), &Labels::default(), &options(json!({"string_binarized": true})));
        assert_eq!(rendered[0].vals, Some(Values::Bits("10".into())));
        assert_eq!((rendered[0].last, rendered[1].last), (false, true));
        let rendered = predictions(&outputs, names(), &Labels::default(), &options(json!({"binarized": true})));
        assert_eq!(rendered[1].vals, Some(Values::Numbers(vec![0.0, 1.0])));
    }

    #[test]
    fn wrong_types_are_named() {
        let section = json!({"best": "three"});
        let error = OutputOptions::parse(section.as_object().unwrap()).unwrap_err();
        assert!(error.to_string().contains("parameters.output.best"), "{error}");
    }
}
