//! Hand-computed tables, the numbers the original's tests pin (contract.md 8.3), and recorded measures (transcripts 02, 05).

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Class ids and scores of the samples, one row each.
type Answers<'a> = (&'a [i64], &'a [&'a [f32]]);

fn tensor(rows: &[&[f32]]) -> Floats {
    Floats::new(vec![rows.len(), rows[0].len()], rows.concat()).expect("rows of one length")
}

fn spec(names: &[&str]) -> MeasureSpec {
    MeasureSpec::parse(names).expect("measures")
}

fn classified(names: &[&str], (targets, scores): Answers<'_>, labels: &Labels) -> Result<MeasureValues> {
    let outputs = Outputs::Classification(tensor(scores));
    evaluate(&spec(names), &outputs, &Targets::Classes(targets.to_vec()), labels)
}

fn estimated(names: &[&str], outputs: &[&[f32]], targets: &[&[f32]]) -> MeasureValues {
    let outputs = Outputs::Regression(tensor(outputs));
    evaluate(&spec(names), &outputs, &Targets::Values(tensor(targets)), &Labels::default()).expect("shapes agree")
}

/// Answers with this confusion matrix, `counts[predicted][right]`.
fn confused(counts: &[&[usize]]) -> (Vec<i64>, Vec<Vec<f32>>) {
    let classes = counts.len();
    let (mut targets, mut scores) = (Vec::new(), Vec::new());
    for (predicted, row) in counts.iter().enumerate() {
        for (right, &count) in row.iter().enumerate() {
            for _ in 0..count {
                targets.push(i64::try_from(right).expect("a small number"));
                scores.push((0..classes).map(|class| if class == predicted { 0.9 } else { 0.01 }).collect());
            }
        }
    }
    (targets, scores)
}

fn assert_values(values: &MeasureValues, expected: &[(&str, f64)]) {
    for &(name, expected) in expected {
        let found = values.number(name).unwrap_or_else(|| panic!("{name} is missing in {values:?}"));
        assert!((found - expected).abs() < 1e-12, "{name}: {found} is not {expected}");
    }
}

const SEPARATED: Answers<'_> = (&[0, 0, 1, 1], &[&[0.9, 0.1], &[0.6, 0.4], &[0.65, 0.35], &[0.2, 0.8]]);
const FOUR_CLASSES: Answers<'_> =
    (&[0, 0, 1, 2], &[&[0.7, 0.1, 0.1, 0.1], &[0.3, 0.5, 0.1, 0.2], &[0.1, 0.9, 0.0, 0.0], &[0.05, 0.7, 0.1, 0.15]]);

/// The last row's scores of classes 0 and 2 are exchanged against the original's test, which counts the fourth best among
/// the three best: its selection leaves the last place unsorted.
#[test]
fn pinned_numbers_of_classification() {
    let two: Answers<'_> = (&[0, 0, 1, 1], &[&[0.7, 0.3], &[0.4, 0.5], &[0.1, 0.9], &[0.2, 0.8]]);
    let none = Labels::default();
    assert_values(&classified(&["acc"], two, &none).expect("fits"), &[("acc", 0.75)]);
    let ranked = classified(&["acc", "acc-2", "acc-3", "acc-5"], FOUR_CLASSES, &none).expect("fits");
    assert_values(&ranked, &[("acc", 0.5), ("acc-2", 0.75), ("acc-3", 1.0)]);
    assert_eq!(ranked.number("acc-5"), None, "there are four classes");
    let values = classified(&["auc", "mcc"], SEPARATED, &none).expect("fits");
    assert_values(&values, &[("auc", 0.75), ("mcc", 1.0 / 3f64.sqrt())]);
}

#[test]
fn pinned_confusion_matrix() {
    let labels = Labels::from_names(["zero", "one", "two", "three"]);
    let values = classified(&["f1", "cmdiag", "cmfull"], FOUR_CLASSES, &labels).expect("fits");
    assert_values(&values, &[("accp", 0.5)]);
    let entries: std::collections::HashMap<&str, &Value> = values.entries().collect();
    assert_eq!(entries["labels"], &json!(["zero", "one", "two", "three"]));
    assert_eq!(entries["cmdiag"], &json!([1.0 / (2.0 + 1e-8), 1.0 / (1.0 + 1e-8), 0.0, 0.0]));
    let expected = json!([{"zero": [0.5, 0.5, 0.0, 0.0]}, {"one": [0.0, 1.0, 0.0, 0.0]},
                          {"two": [0.0, 1.0, 0.0, 0.0]}, {"three": [0.0, 0.0, 0.0, 0.0]}]);
    assert_eq!(entries["cmfull"], &expected);
    let flat: Vec<(String, f64)> = values.flattened();
    assert!(flat.contains(&("cmdiag_one".to_owned(), 1.0 / (1.0 + 1e-8))), "{flat:?}");
}

/// Counts by predicted and right class, measures, recall of each class.
type Recorded<'a> = (&'a [&'a [usize]], &'a [(&'a str, f64)], &'a [f64]);

/// Measures the original recorded, for the confusion matrices they come from.
#[test]
fn recorded_blocks_of_the_original() {
    let cases: [Recorded<'_>; 4] = [
        (
            &[&[9, 0, 0], &[0, 12, 1], &[0, 0, 8]],
            &[
                ("acc", 0.966_666_666_666_666_7),
                ("f1", 0.967_058_817_542_386_3),
                ("recall", 0.962_962_961_985_596_6),
                ("precision", 0.974_358_973_335_250_8),
                ("accp", 0.966_666_666_666_666_7),
                ("mcc", 1.0),
            ],
            &[0.999_999_998_888_888_8, 0.999_999_999_166_666_6, 0.888_888_887_901_234_4],
        ),
        (
            &[&[8, 0, 0], &[0, 12, 0], &[0, 0, 10]],
            &[("f1", 0.999_999_993_972_222_2), ("recall", 0.999_999_998_972_222_1), ("mcc", 1.0)],
            &[0.999_999_998_749_999_9, 0.999_999_999_166_666_6, 0.999_999_998_999_999_9],
        ),
        (
            &[&[5, 0, 0], &[0, 4, 0], &[0, 0, 3]],
            &[("f1", 0.999_999_992_388_888_8), ("precision", 0.999_999_997_388_889)],
            &[0.999_999_998_000_000_1, 0.999_999_997_5, 0.999_999_996_666_666_7],
        ),
        (
            &[&[0, 0, 0], &[4, 4, 4], &[0, 0, 0]],
            &[("f1", 0.166_666_665_208_333_31), ("precision", 0.111_111_111_018_518_5), ("recall", 0.333_333_332_5)],
            &[0.0, 0.999_999_997_5, 0.0],
        ),
    ];
    for (counts, expected, recalls) in cases {
        let (targets, scores) = confused(counts);
        let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
        let values = classified(&["acc", "f1", "cmdiag", "mcc"], (&targets, &scores), &Labels::default());
        let values = values.expect("fits");
        assert_values(&values, expected);
        let named: Vec<(String, f64)> =
            recalls.iter().enumerate().map(|(class, &value)| (format!("cmdiag_{class}"), value)).collect();
        for (name, value) in named {
            let found = values.flattened().into_iter().find(|(known, _)| *known == name).expect("is there").1;
            assert!((found - value).abs() < 1e-12, "{name}: {found} is not {value}");
        }
    }
}

#[test]
fn values_of_each_class() {
    let values = classified(&["f1full"], FOUR_CLASSES, &Labels::default()).expect("fits");
    let entries: std::collections::HashMap<&str, &Value> = values.entries().collect();
    let close = |name: &str, expected: &[f64]| {
        let found: Vec<f64> = serde_json::from_value(entries[name].clone()).expect("numbers");
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{name}: {found:?}");
    };
    close("precisions", &[1.0, 1.0 / 3.0, 0.0, 0.0]);
    close("recalls", &[0.5, 1.0, 0.0, 0.0]);
    close("f1s", &[2.0 / 3.0, 0.5, 0.0, 0.0]);
    assert_eq!(entries["labels"], &json!(["0", "1", "2", "3"]));
}

#[test]
fn cross_entropy_is_the_mean_negative_logarithm() {
    let values = classified(&["mcll"], (&[0, 1], &[&[0.5, 0.5], &[0.75, 0.25]]), &Labels::default()).expect("fits");
    assert_values(&values, &[("mcll", (2f64.ln() + 4f64.ln()) / 2.0)]);
    let values = classified(&["mcll"], (&[1], &[&[1.0, 0.0]]), &Labels::default()).expect("fits");
    let loss = values.number("mcll").expect("a number, though the probability is zero");
    assert!((87.0..88.0).contains(&loss), "{loss}");
}

#[test]
fn rankings_without_an_order() {
    let same: Answers<'_> = (&[1, 1], &[&[0.5, 0.5], &[0.4, 0.6]]);
    let values = classified(&["auc", "mcc", "gini"], same, &Labels::default()).expect("fits");
    assert_values(&values, &[("auc", 1.0), ("mcc", 0.0), ("gini", 0.0)]);
    let tied: Answers<'_> = (&[0, 1], &[&[0.5, 0.5], &[0.5, 0.5]]);
    assert_values(&classified(&["auc"], tied, &Labels::default()).expect("fits"), &[("auc", 0.5)]);
    let values = classified(&["gini"], SEPARATED, &Labels::default()).expect("fits");
    assert_values(&values, &[("gini", 0.5)]);
}

#[test]
fn pinned_gini_of_values() {
    let values = estimated(&["gini"], &[&[0.86], &[0.26], &[0.52], &[0.32]], &[&[1.0], &[1.0], &[0.0], &[1.0]]);
    assert_values(&values, &[("gini", -1.0 / 3.0)]);
}

#[test]
fn distances_by_hand() {
    let one = estimated(&["eucll", "l1", "percent"], &[&[3.0], &[4.0]], &[&[1.0], &[5.0]]);
    assert_values(&one, &[("eucll", 1.5), ("l1", 1.5)]);
    assert!((one.number("percent").expect("is there") - 110.0).abs() < 1e-6);
    assert_eq!(one.number("eucll_0"), None, "one target only");

    let outputs: [&[f32]; 2] = [&[3.0, 4.0], &[1.0, 10.0]];
    let targets: [&[f32]; 2] = [&[0.0, 8.0], &[1.0, 4.0]];
    let two = estimated(&["eucll-3.5", "l1", "percent"], &outputs, &targets);
    assert_values(
        &two,
        &[
            ("eucll", (5.0 / 2.0 + 6.0 / 2.0) / 2.0),
            ("eucll_0", 1.5),
            ("eucll_1", 5.0),
            ("eucll_no_3.500000", (4.0 / 2.0 + 6.0 / 2.0) / 2.0),
            ("l1", (7.0 / 2.0 + 6.0 / 2.0) / 2.0),
            ("l1_0", 1.5),
            ("l1_1", 5.0),
        ],
    );
    assert!((two.number("percent_1").expect("is there") - 100.0).abs() < 1e-6);
}

#[test]
fn raw_lists_every_sample() {
    let labels = Labels::from_names(["no", "yes"]);
    let values = classified(&["raw"], (&[1, 0], &[&[0.25, 0.75], &[0.25, 0.75]]), &labels).expect("fits");
    let expected = json!({"truths": ["yes", "no"], "estimations": ["yes", "yes"], "confidences": [0.75, 0.75]});
    assert_eq!(values.entries().next(), Some(("raw", &expected)));
    let values = estimated(&["raw"], &[&[1.0, 2.0]], &[&[3.0, 4.0]]);
    let expected = json!({"truths": [[3.0, 4.0]], "estimations": [[1.0, 2.0]]});
    assert_eq!(values.entries().next(), Some(("raw", &expected)));
}

#[test]
fn targets_that_cannot_be_are_refused_in_the_words_of_the_original() {
    let scores: &[&[f32]] = &[&[0.5, 0.5]];
    let refused = |targets: Targets| {
        let outputs = Outputs::Classification(tensor(scores));
        evaluate(&spec(&["acc"]), &outputs, &targets, &Labels::default()).expect_err("refused").to_string()
    };
    assert_eq!(
        refused(Targets::Classes(vec![-1])),
        "negative supervised discrete target (e.g. wrong use of label_offset ?"
    );
    assert_eq!(
        refused(Targets::Classes(vec![2])),
        "target class has id 2 is higher than the number of classes 2 (e.g. wrong number of classes specified with nclasses"
    );
    assert_eq!(refused(Targets::Classes(vec![0, 1])), "1 outputs for 2 targets");
    let unknown = Targets::Unknown { class: "horse".to_owned(), items: 1 };
    assert_eq!(refused(unknown), "class \"horse\" is none of the network's");
    assert!(refused(Targets::Values(tensor(&[&[0.5]]))).contains("expected one class id"));
    let outputs = Outputs::Regression(tensor(&[&[1.0, 2.0]]));
    let refused = evaluate(&spec(&["eucll"]), &outputs, &Targets::Classes(vec![1]), &Labels::default());
    assert!(refused.expect_err("one target for two values").to_string().contains("2 values predicted for 1 samples"));
}

#[test]
fn names_that_are_no_measures_are_refused() {
    for (name, expected) in [
        ("map-0", "found map-0"),
        ("kl-0.1", "not supported yet: measure kl-0.1"),
        ("L1_all", "not supported yet: measure L1_all"),
        ("bogus", "expected acc, acc-<k>, f1"),
        ("mapp", "found mapp"),
        ("acc-0", "found acc-0"),
        ("", "parameters.output.measure"),
    ] {
        let error = MeasureSpec::parse(&["acc", name]).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn measures_that_do_not_suit_are_refused() {
    let (classes, values) = (Task::Classification { classes: 2 }, Task::Regression { targets: 1 });
    for (names, task, expected) in [
        (&["acc", "f1full", "cmdiag", "cmfull", "mcll", "auc", "mcc", "gini", "raw"][..], classes, None),
        (&["eucll", "eucll-0.5", "l1", "percent", "gini", "raw"], values, None),
        (&[], Task::Features, None),
        (&["map", "map-50", "map-90"], Task::Detection { classes: None }, None),
        (&["map"], classes, Some("measure map needs boxes, this service answers classes")),
        (&["acc"], Task::Detection { classes: Some(2) }, Some("measure acc needs classes, this service answers boxes")),
        (&["acc", "eucll"], classes, Some("measure eucll needs values, this service answers classes")),
        (&["acc-2"], values, Some("measure acc-2 needs classes, this service answers values")),
        (&["acc"], Task::Features, Some("measure acc needs classes, this service answers features")),
    ] {
        let checked = spec(names).check_task(task);
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{names:?}: {error}"),
            (found, expected) => panic!("{names:?}: expected {expected:?}, found {found:?}"),
        }
    }
    let nothing = Outputs::Classification(Floats::new(vec![0, 2], Vec::new()).expect("empty"));
    let values = evaluate(&spec(&["acc"]), &nothing, &Targets::Classes(Vec::new()), &Labels::default());
    assert_eq!(values.expect("nothing to measure"), MeasureValues::default());
}

proptest! {
    #[test]
    fn shares_stay_between_zero_and_one(samples in prop::collection::vec((0i64..3, [0f32..=1.0, 0f32..=1.0, 0f32..=1.0]), 1..30)) {
        let targets: Vec<i64> = samples.iter().map(|(class, _)| *class).collect();
        let scores: Vec<&[f32]> = samples.iter().map(|(_, scores)| scores.as_slice()).collect();
        let names = ["acc", "acc-2", "acc-3", "f1full", "cmdiag", "auc", "mcc", "mcll", "gini"];
        let values = classified(&names, (&targets, &scores), &Labels::default()).expect("fits");
        for (name, value) in values.flattened() {
            let bounds = match name.as_str() {
                "mcc" => -1.0..=1.0,
                "mcll" => 0.0..=88.0,
                "gini" => -1.000_001..=1.000_001,
                _ => 0.0..=1.0,
            };
            prop_assert!(bounds.contains(&value), "{name}: {value}");
        }
        prop_assert!(values.number("acc") <= values.number("acc-2"));
        prop_assert_eq!(values.number("acc-3"), Some(1.0));
        prop_assert_eq!(values.number("acc"), values.number("accp"));
    }

    #[test]
    fn distances_are_never_negative_and_zero_for_right_values(rows in prop::collection::vec([-1e3f32..1e3, -1e3f32..1e3], 1..20)) {
        let targets: Vec<&[f32]> = rows.iter().map(<[f32; 2]>::as_slice).collect();
        let moved: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|value| value + 1.0).collect()).collect();
        let moved: Vec<&[f32]> = moved.iter().map(Vec::as_slice).collect();
        let names = ["eucll", "l1", "percent"];
        for (_, value) in estimated(&names, &targets, &targets).flattened() {
            prop_assert_eq!(value, 0.0);
        }
        for (name, value) in estimated(&names, &moved, &targets).flattened() {
            prop_assert!(value > 0.0, "{} is {}", name, value);
        }
    }
}
