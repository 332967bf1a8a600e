//! What a comparison, and a golden check, keep of many answers.

use dede_model::labels::Labels;

use super::super::*;
use super::{answered, classes, comparison, observe, targets};

#[test]
fn every_request_is_counted_once() {
    let mut comparison = comparison();
    (0..90).for_each(|_| observe(&mut comparison, true, 2.0, 1.0));
    (0..10).for_each(|_| observe(&mut comparison, false, 2.0, 1.0));
    let one = classes(&[&[1.0, 0.0]]);
    let failed = |reason| Answered { outcome: Err(reason), took: None };
    comparison.add(Observation { input: "1", old: answered(&one, 1.0), new: failed("out of memory") });
    comparison.add(Observation { input: "2", old: failed("no"), new: answered(&one, 1.0) });
    comparison.add(Observation { input: "3", old: failed("no"), new: failed("no") });
    comparison.dropped(7);
    let unfair = Answered { took: None, ..answered(&one, 1.0) };
    comparison.add(Observation { input: "4", old: answered(&one, 1.0), new: unfair });
    let summary = comparison.summary();
    assert_eq!((summary.requests, summary.answers, summary.agreements, summary.bit_equal), (102, 101, 91, 91));
    assert_eq!(summary.errors, Errors { old_only: 1, new_only: 1, both: 1 });
    assert_eq!((summary.dropped, summary.first_error.as_deref()), (7, Some("out of memory")));
    let agreement = summary.agreement.expect("answers were compared");
    let rate = 91.0 / 101.0;
    assert!(agreement.rate == rate && agreement.low < rate && agreement.high > rate);
    assert_eq!(summary.top_1.expect("classes").rate, rate);
    assert!(
        (summary.mean_distance - 8.0 / 101.0).abs() < 1e-6 && (summary.max_distance - 0.8).abs() < 1e-6,
        "{summary:?}"
    );
    assert_eq!((summary.old.count, summary.new.count), (100, 100));
    assert!((summary.old.p99_ms - 2.0).abs() < 0.02 && (summary.new.p50_ms - 1.0).abs() < 0.01);
    let text = serde_json::to_string(&summary).expect("serialises");
    assert_eq!(serde_json::from_str::<Summary>(&text).expect("reads back"), summary);
}

#[test]
fn the_ten_most_different_inputs_are_kept_with_both_answers() {
    let (old_names, new_names) = (Labels::from_names(["cat", "dog"]), Labels::from_names(["dog", "cat"]));
    let mut comparison = Comparison::new(Tolerance::default(), &old_names, &new_names);
    let old = classes(&[&[1.0, 0.0]]);
    for step in 0..100_u8 {
        // Input 37 is the farthest, then 36 and 38.
        let dog = 1.0 - f32::from(step.abs_diff(37)) / 100.0;
        let new = classes(&[&[dog, 1.0 - dog]]);
        let input = format!("request {step}");
        comparison.add(Observation { input: &input, old: answered(&old, 1.0), new: answered(&new, 1.0) });
        comparison.add(Observation { input: &input, old: answered(&old, 1.0), new: answered(&new, 1.0) });
    }
    let examples = comparison.summary().most_different;
    assert_eq!(examples.len(), 10);
    assert_eq!(
        examples[0],
        Example { input: "request 37".into(), distance: 1.0, old: "cat (1.0000)".into(), new: "dog (1.0000)".into() }
    );
    assert!(examples.windows(2).all(|pair| pair[0].distance >= pair[1].distance));
    let inputs: std::collections::HashSet<&String> = examples.iter().map(|example| &example.input).collect();
    assert_eq!(inputs.len(), 10, "each input once");
}

#[test]
fn the_samples_of_a_request_are_one_observation() {
    let mut comparison = comparison();
    let old = classes(&[&[0.9, 0.1], &[0.9, 0.1], &[0.9, 0.1], &[0.9, 0.1]]);
    let new = classes(&[&[0.1, 0.9], &[0.9, 0.1], &[0.9, 0.1], &[0.9, 0.1]]);
    comparison.add(Observation { input: "four", old: answered(&old, 1.0), new: answered(&new, 1.0) });
    assert_eq!(comparison.disagreement(), 0.25);
    let fewer = classes(&[&[0.9, 0.1]]);
    comparison.add(Observation { input: "cut", old: answered(&old, 1.0), new: answered(&fewer, 1.0) });
    let summary = comparison.summary();
    assert_eq!((comparison.disagreement(), summary.incomparable, summary.max_distance), (1.25, 1, 2.0));
    assert_eq!(
        (summary.most_different[0].old.as_str(), summary.most_different[0].new.as_str()),
        ("4 answers", "1 answers")
    );
}

#[test]
fn golden_answers_must_be_met_as_exactly_as_asked() {
    let recorded = targets(&[&[100.0], &[200.0]]);
    let close = targets(&[&[100.0], &[200.0001]]);
    let far = targets(&[&[100.0], &[201.0]]);
    for (exactness, found, passed) in [
        (Exactness::BitEqual, &recorded, true),
        (Exactness::BitEqual, &close, false),
        (Exactness::WithinTolerance, &close, true),
        (Exactness::WithinTolerance, &far, false),
    ] {
        let mut check = GoldenCheck::new(exactness);
        check.add("input 1", &compare(&recorded, found, &Tolerance::numerical()).expect("two samples"));
        let golden = check.finish();
        assert_eq!(golden.passed(), passed, "{golden:?}");
        assert_eq!(golden.answers, 2);
    }
    assert!(!GoldenCheck::new(Exactness::BitEqual).finish().passed(), "nothing compared is nothing shown");
}

#[test]
fn the_worst_golden_answers_are_named() {
    let mut check = GoldenCheck::new(Exactness::WithinTolerance);
    for step in 0..50_u8 {
        let new = targets(&[&[100.0 + f32::from(step)]]);
        let differences = compare(&targets(&[&[100.0]]), &new, &Tolerance::numerical()).expect("one sample");
        check.add(&format!("input {step}"), &differences);
    }
    let reason =
        format!("no such layer: {}, whose name is long but is what a person needs to know", "pool5_".repeat(20));
    check.failed("input 50", &reason);
    let golden = check.finish();
    assert_eq!((golden.answers, golden.missed, golden.worst.len()), (51, 50, 10));
    let named: Vec<&str> = golden.worst.iter().take(3).map(|missed| missed.input.as_str()).collect();
    assert_eq!(named, ["input 50", "input 49", "input 48"]);
    assert_eq!(golden.worst[0].found, reason);
}
