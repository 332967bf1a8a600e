//! What is measured of two answers.

use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use proptest::prelude::*;

use super::super::*;
use super::{classes, targets, vectors};

fn one(old: &Outputs, new: &Outputs) -> Difference {
    let mut differences = compare(old, new, &Tolerance::default()).expect("as many samples");
    assert_eq!(differences.len(), 1);
    differences.remove(0)
}

#[test]
fn classifications_are_compared_by_class_and_by_probability() {
    let old = classes(&[&[0.7, 0.2, 0.1]]);
    // Best class, second best and share that moved.
    for (new, top_1, top_k, total_variation, agrees) in [
        (&[0.7, 0.2, 0.1], true, true, 0.0, true),
        (&[0.65, 0.25, 0.1], true, true, 0.05, true),
        (&[0.7, 0.1, 0.2], true, false, 0.1, true),
        (&[0.4, 0.35, 0.25], true, true, 0.3, false),
        (&[0.2, 0.7, 0.1], false, true, 0.5, false),
        (&[0.0, 0.1, 0.9], false, false, 0.8, false),
    ] {
        let difference = one(&old, &classes(&[new]));
        let Measured::Classification { top_1: found_1, top_k: found_k, total_variation: found, max_absolute } =
            difference.measured
        else {
            panic!("{difference:?}");
        };
        assert_eq!((found_1, found_k), (top_1, top_k), "{new:?}");
        assert!((found - total_variation).abs() < 1e-6 && max_absolute <= 2.0 * found, "{new:?}: {found}");
        // Just at the bound, rounding decides.
        if (total_variation - 0.1_f64).abs() > 1e-3 {
            assert_eq!(difference.agrees, agrees, "{new:?}");
        }
        assert_eq!(difference.bit_equal, total_variation == 0.0);
    }
}

#[test]
fn classes_in_no_order_may_change_places() {
    let difference = one(&classes(&[&[0.4002, 0.3998, 0.2]]), &classes(&[&[0.3998, 0.4002, 0.2]]));
    assert!(difference.agrees && !difference.bit_equal);
    assert!(matches!(difference.measured, Measured::Classification { top_1: false, .. }));
}

#[test]
fn five_best_classes_are_a_set() {
    let old: Vec<f32> = (0..20).map(|class| 0.1 - class as f32 * 0.005).collect();
    let mut swapped = old.clone();
    swapped.swap(1, 3);
    let mut replaced = old.clone();
    replaced.swap(4, 19);
    for (new, same) in [(swapped, true), (replaced, false)] {
        let difference = one(&classes(&[&old]), &classes(&[&new]));
        assert!(matches!(difference.measured, Measured::Classification { top_1: true, top_k, .. } if top_k == same));
    }
}

#[test]
fn values_are_compared_relative_to_their_size_and_near_zero_absolutely() {
    for (old, new, relative, agrees) in [
        (100.0, 100.5, 0.5 / 100.5, true),
        (100.0, 110.0, 10.0 / 110.0, false),
        (-1.0, 1.0, 2.0, false),
        (0.0, 1e-6, 1e-3, true),
        (0.0, 1e-4, 0.1, false),
    ] {
        let difference = one(&targets(&[&[old, 5.0]]), &targets(&[&[new, 5.0]]));
        assert!((difference.distance() - relative).abs() < 1e-4, "{old} {new}: {difference:?}");
        assert_eq!(difference.agrees, agrees, "{old} {new}");
    }
}

#[test]
fn features_are_compared_by_angle_and_length() {
    for (new, cosine_distance, norm_gap) in [
        ([3.0, 4.0], 0.0, 0.0),
        ([6.0, 8.0], 0.0, 0.5),
        ([-4.0, 3.0], 1.0, 0.0),
        ([-3.0, -4.0], 2.0, 0.0),
        ([0.0, 0.0], 1.0, 1.0),
    ] {
        let difference = one(&vectors(&[&[3.0, 4.0]]), &vectors(&[&new]));
        let Measured::Features { cosine_distance: angle, norm_gap: length } = difference.measured else {
            panic!("{difference:?}");
        };
        assert!((angle - cosine_distance).abs() < 1e-9 && (length - norm_gap).abs() < 1e-9, "{new:?}: {difference:?}");
        assert_eq!(difference.agrees, new == [3.0, 4.0]);
    }
}

#[test]
fn other_lengths_and_tasks_are_differences_of_their_own() {
    for (old, new, measured) in [
        (classes(&[&[1.0, 0.0]]), classes(&[&[1.0]]), Measured::Lengths { old: 2, new: 1 }),
        (targets(&[&[1.0]]), targets(&[&[1.0, 2.0, 3.0]]), Measured::Lengths { old: 1, new: 3 }),
        (vectors(&[&[1.0]]), vectors(&[&[]]), Measured::Lengths { old: 1, new: 0 }),
        (classes(&[&[1.0]]), targets(&[&[1.0]]), Measured::Tasks),
        (vectors(&[&[1.0]]), classes(&[&[1.0]]), Measured::Tasks),
    ] {
        let difference = one(&old, &new);
        assert_eq!(difference, Difference { measured, bit_equal: false, agrees: false });
        assert_eq!(difference.distance(), 2.0);
    }
    let refused = compare(&classes(&[&[1.0]]), &classes(&[]), &Tolerance::default()).expect_err("1 and 0 answers");
    assert_eq!(refused, SamplesDiffer { old: 1, new: 0 });
}

#[test]
fn classes_in_another_order_are_the_same_by_name() {
    let matching = Matching::by_name(&Labels::from_names(["a", "b"]), &Labels::from_names(["b", "c", "a"]));
    let (old, new) = (classes(&[&[0.75, 0.25]]), classes(&[&[0.25, 0.0, 0.75]]));
    let found = matching.compare(&old, &new, &Tolerance::numerical()).expect("one sample each");
    assert!(found[0].agrees && found[0].distance() == 0.0, "{found:?}");
    assert!(
        matches!(one(&old, &new).measured, Measured::Lengths { old: 2, new: 3 }),
        "by index they cannot be compared"
    );
}

fn any_rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let value = prop_oneof![
        4 => -1e3_f32..1e3,
        1 => any::<f32>(),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX]),
    ];
    (0_usize..8).prop_flat_map(move |length| {
        (prop::collection::vec(value.clone(), length), prop::collection::vec(value.clone(), length))
    })
}

proptest! {
    /// Whatever the values: measures are finite and within their range, and the same both ways round.
    #[test]
    fn measures_are_finite_and_symmetric((left, right) in any_rows()) {
        for make in [classes, targets, vectors] {
            let (left, right) = (make(&[&left]), make(&[&right]));
            let tolerance = Tolerance::default();
            let there = compare(&left, &right, &tolerance).expect("one sample each");
            let back = compare(&right, &left, &tolerance).expect("one sample each");
            prop_assert!((0.0..=2.0).contains(&there[0].distance()), "{:?}", there[0]);
            prop_assert_eq!(there[0].distance(), back[0].distance());
            prop_assert_eq!(there[0].agrees, back[0].agrees);
            let text = serde_json::to_string(&there[0]).expect("serialises");
            prop_assert_eq!(&serde_json::from_str::<Difference>(&text).expect("all numbers are finite"), &there[0]);
        }
    }

    #[test]
    fn an_answer_agrees_with_itself((row, _) in any_rows()) {
        for make in [classes, targets, vectors] {
            let found = compare(&make(&[&row]), &make(&[&row]), &Tolerance::numerical()).expect("one sample each");
            prop_assert!(found[0].agrees && found[0].bit_equal && found[0].distance() == 0.0, "{:?}", found[0]);
        }
    }
}
