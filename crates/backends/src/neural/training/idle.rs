//! Keys of a solver that have no effect beside others: of another policy of the learning rate, or of another solver. It owns which uses
//! which; it must not know what they mean.

use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::says_nothing;
use serde_json::Value;

use super::options::MLLIB;

/// A key, the one whose value decides whether it is used, and the values that do.
const USES: [(&str, &str, &[&str]); 8] = [
    ("gamma", LR_POLICY, &["step", "exp", "inv", "multistep", "sigmoid"]),
    ("power", LR_POLICY, &["inv", "poly"]),
    ("stepsize", LR_POLICY, &["step", "sigmoid"]),
    ("stepvalue", LR_POLICY, &["multistep"]),
    ("momentum", SOLVER_TYPE, &["SGD", "NESTEROV", "ADADELTA", "ADAM", "ADAMW"]),
    ("beta1", SOLVER_TYPE, &["ADAM", "ADAMW"]),
    ("beta2", SOLVER_TYPE, &["ADAM", "ADAMW"]),
    ("rms_decay", SOLVER_TYPE, &["RMSPROP"]),
];

const LR_POLICY: &str = "lr_policy";
const SOLVER_TYPE: &str = "solver_type";

/// Refuses a key that has no effect. `policy` counts where the section names none.
///
/// # Errors
/// [`Error::BadParameter`] naming the key, and what does not use it.
pub(super) fn check(solver: &Section, policy: &str) -> Result<()> {
    let Some((key, reason)) = found(solver, policy).next() else { return Ok(()) };
    let value = &solver[key];
    Err(Error::bad_parameter_at(format!("{MLLIB}.solver.{key}"), format!("expected none, as {reason}, found {value}")))
}

/// Takes such keys out of a section, but for those that `asked` has.
pub(in crate::neural) fn leave_out(solver: &mut Section, asked: Option<&Section>, policy: &str) {
    let keys: Vec<&str> = found(solver, policy).map(|(key, _)| key).collect();
    for key in keys.into_iter().filter(|&key| asked.is_none_or(|asked| !asked.contains_key(key))) {
        solver.remove(key);
    }
}

/// The keys without effect, with the reason. What asks for nothing, as `momentum` 0, is none of them.
fn found<'a>(solver: &'a Section, policy: &'a str) -> impl Iterator<Item = (&'static str, String)> + 'a {
    let is_there = move |key: &str| solver.get(key).is_some_and(|value| !says_nothing(value));
    let unused = USES.into_iter().filter_map(move |(key, decides, values)| {
        let default = if decides == LR_POLICY { policy } else { "SGD" };
        let value = solver.get(decides).and_then(Value::as_str).unwrap_or(default);
        let is_used = values.iter().any(|used| used.eq_ignore_ascii_case(value));
        (is_there(key) && !is_used).then(|| (key, format!("{decides} {value:.64} does not use it")))
    });
    let cold = is_there("warmup_lr") && !is_there("warmup_iter");
    unused.chain(cold.then(|| ("warmup_lr", "there is no warmup_iter".to_owned())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_another_policy_or_solver_are_named() {
        for (solver, policy, refused) in [
            (json!({"gamma": 0.1}), "inv", None),
            (json!({"gamma": 0.1}), "fixed", Some("gamma")),
            (json!({"lr_policy": "step", "gamma": 0.1, "stepsize": 5}), "fixed", None),
            (json!({"lr_policy": "poly", "power": 2, "stepsize": 5}), "fixed", Some("stepsize")),
            (json!({"stepvalue": [5]}), "fixed", Some("stepvalue")),
            (json!({"lr_policy": "step", "power": 2}), "inv", Some("power")),
            (json!({"solver_type": "RMSPROP", "rms_decay": 0.9}), "fixed", None),
            (json!({"rms_decay": 0.9}), "fixed", Some("rms_decay")),
            (json!({"solver_type": "rmsprop", "momentum": 0.9}), "fixed", Some("momentum")),
            (json!({"solver_type": "AdaGrad", "momentum": 0, "gamma": null}), "fixed", None),
            (json!({"beta1": 0.9}), "fixed", Some("beta1")),
            (json!({"warmup_lr": 0.1}), "fixed", Some("warmup_lr")),
            (json!({"warmup_lr": 0.1, "warmup_iter": 5}), "fixed", None),
        ] {
            let solver = solver.as_object().unwrap();
            match (check(solver, policy), refused) {
                (Ok(()), None) => {}
                (Err(error), Some(key)) => assert!(error.to_string().contains(&format!("solver.{key})")), "{error}"),
                (found, expected) => panic!("{solver:?}: expected {expected:?}, found {found:?}"),
            }
        }
    }

    #[test]
    fn what_a_file_says_besides_is_left_out() {
        let mut solver = json!({"momentum": 0.9, "gamma": 0.1, "power": 2, "solver_type": "RMSPROP"});
        let asked = json!({"gamma": 0.1});
        leave_out(solver.as_object_mut().unwrap(), asked.as_object(), "fixed");
        assert_eq!(solver, json!({"gamma": 0.1, "solver_type": "RMSPROP"}));
    }
}
