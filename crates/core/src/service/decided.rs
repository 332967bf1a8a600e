//! Parameters that decide how a network is loaded: a later call may repeat them, and change none.
//!
//! It owns their names. What they mean is known to backends alone.

use crate::error::{Error, Result};
use crate::parameters::{Parameters, Section};

/// Keys of `parameters.mllib`.
const MLLIB: [&str; 3] = ["output_activation", "output", "outputBlob"];
/// Keys of `parameters.input`.
const INPUT: [&str; 1] = ["layout"];

/// Refuses a call that asks for another reading of the network than the service was created with.
///
/// # Errors
/// [`Error::BadParameter`] naming the key.
pub(super) fn check(call: &Parameters, created: &Parameters) -> Result<()> {
    check_section("mllib", &MLLIB, &call.mllib, &created.mllib)?;
    check_section("input", &INPUT, &call.input, &created.input)
}

fn check_section(section: &str, keys: &[&str], call: &Section, created: &Section) -> Result<()> {
    let differs =
        |key: &&&str| call.get(**key).is_some_and(|value| !value.is_null() && created.get(**key) != Some(value));
    keys.iter().find(differs).map_or(Ok(()), |key| {
        let reason =
            "expected as the service was created with, found another value: it decides how a network is loaded";
        Err(Error::bad_parameter_at(format!("parameters.{section}.{key}"), reason))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parameters(value: &Value) -> Parameters {
        let section = |name: &str| value.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        Parameters { input: section("input"), mllib: section("mllib"), output: section("output") }
    }

    #[test]
    fn what_a_service_was_created_with_may_be_repeated_and_not_changed() {
        let created = parameters(&json!({"mllib": {"output": "y"}, "input": {"layout": "nhwc"}}));
        let cases = [
            (json!({}), None),
            (json!({"mllib": {"output": "y", "extract_layer": "z"}, "input": {"layout": "nhwc", "width": 3}}), None),
            (json!({"mllib": {"output": null, "output_activation": null}}), None),
            (json!({"mllib": {"output": "z"}}), Some("parameters.mllib.output")),
            (json!({"mllib": {"output_activation": "softmax"}}), Some("parameters.mllib.output_activation")),
            (json!({"input": {"layout": "nchw"}}), Some("parameters.input.layout")),
        ];
        for (call, refused) in cases {
            match (check(&parameters(&call), &created), refused) {
                (Ok(()), None) => {}
                (Err(error), Some(key)) => assert!(error.to_string().contains(key), "{call}: {error}"),
                (found, expected) => panic!("{call}: expected {expected:?}, found {found:?}"),
            }
        }
    }
}
