//! Verdicts on figures that are plain.

use dede_model::labels::Labels;

use super::super::*;
use super::{answered, classes, comparison, observe};

fn policy(expect: Expect) -> Policy {
    Policy { expect, ..Policy::default() }
}

/// Judges after every request, as the shadow does, and says after how many the verdict came.
fn decide(policy: &Policy, floor: Option<&NoiseFloor>, request: impl Fn(u64, &mut Comparison)) -> (u64, Verdict) {
    let mut comparison = comparison();
    for count in 1.. {
        request(count, &mut comparison);
        let verdict = policy.judge(&comparison, floor);
        if !matches!(verdict, Verdict::Undecided { exhausted: false, .. }) {
            return (count, verdict);
        }
    }
    unreachable!("a policy has an end")
}

#[test]
fn the_same_model_is_safe_after_the_fewest_requests() {
    let policy = policy(Expect::Same);
    let (count, verdict) = decide(&policy, None, |_, comparison| observe(comparison, true, 1.0, 1.0));
    assert!(matches!(verdict, Verdict::Safe { .. }), "{verdict:?}");
    assert_eq!(count, policy.least_requests());
    assert!((600..800).contains(&count), "{count}");
}

#[test]
fn another_model_is_worse_at_once() {
    let (count, verdict) = decide(&policy(Expect::Same), None, |_, comparison| observe(comparison, false, 1.0, 1.0));
    assert!(matches!(verdict, Verdict::Worse { reason: Reason::Disagreement { .. }, .. }), "{verdict:?}");
    assert!(count <= 5, "{count}");
}

#[test]
fn errors_beyond_the_allowance_are_worse_at_once_whatever_is_expected() {
    let one = classes(&[&[1.0, 0.0]]);
    for expect in [Expect::Same, Expect::BetterLatency, Expect::Report] {
        let policy = Policy { max_errors: 1, ..policy(expect) };
        let (count, verdict) = decide(&policy, None, |count, comparison| match count {
            3 | 5 => {
                let new = Answered { outcome: Err("broken"), took: None };
                comparison.add(Observation { input: "", old: answered(&one, 1.0), new });
            }
            _ => observe(comparison, true, 1.0, 1.0),
        });
        assert_eq!(count, 5, "{expect:?}");
        assert!(
            matches!(verdict, Verdict::Worse { reason: Reason::Errors { found: 2, allowed: 1 }, .. }),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_report_counts_differences_and_holds_none_against_the_model() {
    let policy = Policy { requests: 50, ..policy(Expect::Report) };
    let (count, verdict) = decide(&policy, None, |_, comparison| observe(comparison, false, 1.0, 100.0));
    assert_eq!(count, 50);
    assert!(matches!(verdict, Verdict::Safe { numbers } if numbers.disagreement == 1.0), "{verdict:?}");
}

#[test]
fn latency_is_judged_with_enough_requests() {
    let spread = |count: u64| 1.0 + (count * 7919 % 1000) as f64 / 1000.0;
    let at = |ratio: f64| {
        move |count: u64, comparison: &mut Comparison| {
            observe(comparison, true, spread(count), ratio * spread(count + 1))
        }
    };
    let (_, verdict) = decide(&policy(Expect::Same), None, at(1.1));
    assert!(matches!(verdict, Verdict::Safe { .. }), "{verdict:?}");
    let (count, verdict) = decide(&policy(Expect::Same), None, at(1.5));
    assert!(matches!(verdict, Verdict::Worse { reason: Reason::Slower { .. }, .. }), "{verdict:?}");
    assert!(count > 600, "{count}");
    let (_, verdict) = decide(&policy(Expect::BetterLatency), None, at(0.8));
    assert!(matches!(verdict, Verdict::Safe { .. }), "{verdict:?}");
    let (_, verdict) = decide(&policy(Expect::BetterLatency), None, at(1.1));
    assert!(matches!(verdict, Verdict::Worse { reason: Reason::NotFaster, .. }), "{verdict:?}");
    let (_, verdict) = decide(&policy(Expect::BetterLatency), None, at(1.0));
    assert!(matches!(verdict, Verdict::Undecided { needed: Needed::Latency, exhausted: true, .. }), "{verdict:?}");
}

#[test]
fn with_no_disagreement_allowed_one_is_proof_and_only_the_whole_sample_speaks_for_it() {
    let policy = Policy { max_disagreement: 0.0, requests: 1000, ..policy(Expect::Same) };
    let (count, verdict) = decide(&policy, None, |_, comparison| observe(comparison, true, 1.0, 1.0));
    assert!(matches!(verdict, Verdict::Safe { .. }) && count == 1000, "{count} {verdict:?}");
    let (count, verdict) = decide(&policy, None, |count, comparison| observe(comparison, count != 400, 1.0, 1.0));
    assert!(matches!(verdict, Verdict::Worse { .. }) && count == 400, "{count} {verdict:?}");
}

#[test]
fn too_few_requests_decide_nothing() {
    let policy = Policy { requests: 100, ..policy(Expect::Same) };
    let (_, verdict) = decide(&policy, None, |_, comparison| observe(comparison, true, 1.0, 1.0));
    assert!(matches!(verdict, Verdict::Undecided { exhausted: true, .. }), "{verdict:?}");
    assert!(policy.least_requests() > policy.requests, "which can be said beforehand");
}

#[test]
fn noise_of_the_old_model_is_not_held_against_the_new_one() {
    let mut floor = NoiseFloor::new(Tolerance::default(), &Labels::default());
    let (one, other) = (classes(&[&[0.9, 0.1]]), classes(&[&[0.1, 0.9]]));
    for count in 0..3000 {
        let again = if count % 10 == 0 { &other } else { &one };
        floor.add(Observation { input: "", old: answered(&one, 1.0), new: answered(again, 1.0) });
    }
    let noisy = |count: u64, comparison: &mut Comparison| observe(comparison, !count.is_multiple_of(10), 1.0, 1.0);
    let (_, verdict) = decide(&policy(Expect::Same), None, noisy);
    assert!(matches!(verdict, Verdict::Worse { .. }), "10 % is more than 2 %: {verdict:?}");
    let (_, verdict) = decide(&policy(Expect::Same), Some(&floor), noisy);
    assert!(!matches!(verdict, Verdict::Worse { .. }), "10 % is no more than 10 % noise: {verdict:?}");
    let (_, verdict) = decide(&policy(Expect::Same), Some(&floor), |count, comparison| {
        observe(comparison, !count.is_multiple_of(4), 1.0, 1.0);
    });
    assert!(matches!(verdict, Verdict::Worse { .. }), "25 % is more than 12 %: {verdict:?}");
    let (_, verdict) = decide(&policy(Expect::Same), Some(&floor), |count, comparison| {
        observe(comparison, !count.is_multiple_of(20), 1.0, 1.0);
    });
    assert!(matches!(verdict, Verdict::Safe { .. }), "5 % is less than the noise: {verdict:?}");
}

#[test]
fn policies_are_read_and_checked() {
    let read: Policy = serde_json::from_str(r#"{"expect": "better-latency", "max_disagreement": 0.05}"#).expect("read");
    assert_eq!(read, Policy { max_disagreement: 0.05, ..policy(Expect::BetterLatency) });
    assert!(serde_json::from_str::<Policy>(r#"{"max_disagrement": 0.05}"#).is_err(), "misspelt");
    for word in ["same", "better-latency", "report"] {
        let parsed: Expect = word.parse().expect("a word of the wire");
        assert_eq!(serde_json::to_value(parsed).expect("serialises"), word);
    }
    assert!("Same".parse::<Expect>().is_err());
    assert!(Policy::default().check().is_ok());
    for bad in [
        Policy { max_disagreement: 1.0, ..Policy::default() },
        Policy { max_disagreement: f64::NAN, ..Policy::default() },
        Policy { max_p99_ratio: 0.0, ..Policy::default() },
        Policy { alpha: 0.0, ..Policy::default() },
        Policy { requests: 0, ..Policy::default() },
        Policy { tolerance: Tolerance { tie: -1.0, ..Tolerance::default() }, ..Policy::default() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}
