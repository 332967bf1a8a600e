//! Training parameters as a request writes them (contract.md 4.5).
//!
//! Every field is optional and nothing is checked but its type. Defaults and rules are in `settings`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use dede_core::error::{Error, Result};
use dede_core::parameters::{Section, parse};

/// The path of the section in a request.
pub(super) const MLLIB: &str = "parameters.mllib";

/// A whole number; clients also write it as `300.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..9e15).contains(float));
        number
            .as_u64()
            .or(float.map(|float| float as u64))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("expected a whole number from 0, found {number}")))
    }
}

/// `parameters.mllib`, as far as training reads it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MllibOptions {
    pub(super) template: Option<String>,
    pub(super) layers: Option<Value>,
    pub(super) activation: Option<String>,
    pub(super) dropout: Option<f64>,
    pub(super) bn: Option<bool>,
    pub(super) nclasses: Option<Count>,
    pub(super) regression: Option<bool>,
    pub(super) ntargets: Option<Count>,
    pub(super) finetuning: Option<bool>,
    pub(super) resume: Option<bool>,
    pub(super) class_weights: Option<Vec<f64>>,
    pub(super) seed: Option<i64>,
    pub(super) solver: Option<Section>,
    pub(super) net: Option<Section>,
}

/// `parameters.mllib.solver`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SolverOptions {
    pub(super) iterations: Option<Count>,
    pub(super) test_interval: Option<Count>,
    pub(super) test_initialization: Option<bool>,
    pub(super) snapshot: Option<Count>,
    pub(super) solver_type: Option<String>,
    pub(super) lr_policy: Option<String>,
    pub(super) base_lr: Option<f64>,
    pub(super) min_lr: Option<f64>,
    pub(super) warmup_lr: Option<f64>,
    pub(super) warmup_iter: Option<Count>,
    pub(super) gamma: Option<f64>,
    pub(super) power: Option<f64>,
    pub(super) stepsize: Option<Count>,
    pub(super) stepvalue: Option<Vec<Count>>,
    pub(super) momentum: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) rms_decay: Option<f64>,
    pub(super) iter_size: Option<Count>,
}

/// `parameters.mllib.net`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NetOptions {
    pub(super) batch_size: Option<Count>,
    pub(super) test_batch_size: Option<Count>,
}

/// `parameters.input`, as far as training reads it: the connector owns the section.
#[derive(Debug, Default, Deserialize)]
pub(super) struct InputOptions {
    pub(super) shuffle: Option<bool>,
    pub(super) seed: Option<i64>,
}

/// Keys of `parameters.mllib` and of its `solver` that change training in ways this version cannot.
const NOT_YET: [&str; 10] = [
    "autoencoder",
    "crop_size",
    "distort",
    "geometry",
    "ignore_label",
    "loss",
    "mirror",
    "noise",
    "rotate",
    "timesteps",
];
const SOLVER_NOT_YET: [&str; 6] =
    ["adabelief", "gradient_centralization", "lookahead", "lr_dropout", "rand_skip", "rectified"];
/// Keys of `solver` that this version reads nothing from, though they are no mistakes.
const SOLVER_IGNORED: [&str; 10] = [
    "snapshot_prefix",
    "lookahead_steps",
    "lookahead_alpha",
    "period",
    "ncycles",
    "p_mult",
    "lr_mult",
    "decoupled_wd_periods",
    "decoupled_wd_mult",
    "average_loss",
];

/// All sections, parsed.
#[derive(Debug, Default)]
pub(super) struct TrainOptions {
    pub(super) mllib: MllibOptions,
    pub(super) solver: SolverOptions,
    pub(super) net: NetOptions,
    pub(super) input: InputOptions,
    /// Dotted paths of keys of `solver` and `net` that nobody knows.
    pub(super) unknown: Vec<String>,
}

impl TrainOptions {
    /// Parses the sections of a train request.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the path of a value of the wrong type, or of a key that asks for something this version
    /// cannot do.
    pub(super) fn parse(mllib: &Section, input: &Section) -> Result<Self> {
        refuse_not_yet(mllib, &NOT_YET, MLLIB)?;
        let mllib: MllibOptions = parse(mllib, MLLIB).map_err(Error::BadParameter)?.options;
        let at = format!("{MLLIB}.solver");
        let section = mllib.solver.clone().unwrap_or_default();
        refuse_not_yet(&section, &SOLVER_NOT_YET, &at)?;
        let solver = parse(&section, &at).map_err(Error::BadParameter)?;
        let net =
            parse(&mllib.net.clone().unwrap_or_default(), &format!("{MLLIB}.net")).map_err(Error::BadParameter)?;
        let input = parse(input, "parameters.input").map_err(Error::BadParameter)?.options;
        let known =
            |path: &String| SOLVER_IGNORED.iter().chain(&SOLVER_NOT_YET).any(|key| path.ends_with(&format!(".{key}")));
        let unknown = solver.unknown.into_iter().filter(|path| !known(path)).chain(net.unknown).collect();
        Ok(Self { mllib, solver: solver.options, net: net.options, input, unknown })
    }
}

/// A key counts as asked for unless its value is null, false, 0 or empty.
fn refuse_not_yet(section: &Section, keys: &[&str], at: &str) -> Result<()> {
    let asked = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    };
    match keys.iter().find(|key| section.get(**key).is_some_and(asked)) {
        Some(key) => Err(Error::bad_parameter_at(format!("{at}.{key}"), format!("not supported yet: {key}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(value: Value) -> Section {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn wrong_types_and_unsupported_keys_name_their_path() {
        let table = [
            (json!({"solver": {"base_lr": "high"}}), "parameters.mllib.solver.base_lr"),
            (json!({"solver": {"iterations": -1}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": {"iterations": 1.5}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": 3}), "parameters.mllib.solver"),
            (json!({"net": {"batch_size": []}}), "parameters.mllib.net.batch_size"),
            (json!({"mirror": true}), "not supported yet: mirror"),
            (json!({"solver": {"lookahead": true}}), "not supported yet: lookahead"),
        ];
        for (mllib, expected) in table {
            let error = TrainOptions::parse(&section(mllib.clone()), &Section::new()).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{mllib}: {error:?}");
            assert!(error.to_string().contains(expected), "{mllib}: {error}");
        }
    }

    #[test]
    fn keys_nobody_knows_are_named() {
        let mllib =
            json!({"solver": {"iteration": 3, "snapshot_prefix": "m", "lookahead": false}, "net": {"batch": 1}});
        let options = TrainOptions::parse(&section(mllib), &Section::new()).unwrap();
        assert_eq!(options.unknown, ["parameters.mllib.solver.iteration", "parameters.mllib.net.batch"]);
    }

    #[test]
    fn whole_floats_are_counts_and_false_asks_for_nothing() {
        let mllib = json!({"solver": {"iterations": 300.0, "lookahead": false}, "mirror": false, "timesteps": 0});
        let options = TrainOptions::parse(&section(mllib), &Section::new()).unwrap();
        assert_eq!(options.solver.iterations, Some(Count(300)));
    }
}
