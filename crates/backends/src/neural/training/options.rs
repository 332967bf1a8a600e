//! Training parameters as a request writes them (contract.md 4.5).
//!
//! Every field is optional and nothing is checked but its type. Defaults and rules are in `settings`; every key that there is stands in
//! [`crate::neural::keys`].

use dede_model::error::{Error, Result};
use dede_model::parameters::{Count, Section, parse};
use serde::Deserialize;
use serde_json::Value;

/// The path of the section in a request.
pub(super) const MLLIB: &str = "parameters.mllib";

/// `parameters.mllib`, as far as training reads it.
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Default, Deserialize)]
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
    pub(super) beta1: Option<f64>,
    pub(super) beta2: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) rms_decay: Option<f64>,
    pub(super) iter_size: Option<Count>,
}

/// `parameters.mllib.net`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct NetOptions {
    pub(super) batch_size: Option<Count>,
    pub(super) test_batch_size: Option<Count>,
}

/// `parameters.input`, as far as training reads it: the connector owns the section.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct InputOptions {
    pub(super) shuffle: Option<bool>,
    pub(super) seed: Option<i64>,
}

/// All sections, parsed.
#[derive(Debug, Clone, Default)]
pub(super) struct TrainOptions {
    pub(super) mllib: MllibOptions,
    pub(super) solver: SolverOptions,
    pub(super) net: NetOptions,
    pub(super) input: InputOptions,
}

impl TrainOptions {
    /// Parses the sections of a train request.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the path of a value of the wrong type.
    pub(super) fn parse(mllib: &Section, input: &Section) -> Result<Self> {
        let mllib: MllibOptions = parse(mllib, MLLIB).map_err(Error::BadParameter)?.options;
        let within =
            |section: &Option<Section>, key: &str| (section.clone().unwrap_or_default(), format!("{MLLIB}.{key}"));
        let (solver, at_solver) = within(&mllib.solver, "solver");
        let (net, at_net) = within(&mllib.net, "net");
        Ok(Self {
            solver: parse(&solver, &at_solver).map_err(Error::BadParameter)?.options,
            net: parse(&net, &at_net).map_err(Error::BadParameter)?.options,
            input: parse(input, "parameters.input").map_err(Error::BadParameter)?.options,
            mllib,
        })
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
    fn wrong_types_name_their_path() {
        let table = [
            (json!({"solver": {"base_lr": "high"}}), "parameters.mllib.solver.base_lr"),
            (json!({"solver": {"iterations": -1}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": {"iterations": 1.5}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": 3}), "parameters.mllib.solver"),
            (json!({"net": {"batch_size": []}}), "parameters.mllib.net.batch_size"),
        ];
        for (mllib, expected) in table {
            let error = TrainOptions::parse(&section(mllib.clone()), &Section::new()).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{mllib}: {error:?}");
            assert!(error.to_string().contains(expected), "{mllib}: {error}");
        }
    }

    #[test]
    fn whole_floats_are_counts() {
        let mllib = json!({"solver": {"iterations": 300.0}});
        let options = TrainOptions::parse(&section(mllib), &Section::new()).unwrap();
        assert_eq!(options.solver.iterations, Some(Count(300)));
    }
}
