//! Values of parameters that may be one or a list of them.

use std::fmt::Display;

use serde::de::Error;
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

/// One name, or a list of names.
pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    each(from, |value| {
        let Value::String(name) = value else { return Err(unexpected("a name, or a list of names", &value)) };
        Ok(name)
    })
}

/// One whole number, or a list of them.
pub(super) fn whole_numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<i64>>, D::Error> {
    each(from, |value| match (value.as_i64(), value.as_f64()) {
        (Some(number), _) => Ok(number),
        (None, Some(number)) if number.fract() == 0.0 && number.abs() < 2.0_f64.powi(53) => Ok(number as i64),
        (None, _) => Err(unexpected("a whole number, or a list of them", &value)),
    })
}

fn each<'de, D: Deserializer<'de>, T>(
    from: D,
    take: impl Fn(Value) -> Result<T, D::Error>,
) -> Result<Option<Vec<T>>, D::Error> {
    let values = match Value::deserialize(from)? {
        Value::Array(values) => values,
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
    };
    values.into_iter().map(take).collect::<Result<_, _>>().map(Some)
}

fn unexpected<E: Error>(expected: &str, found: &impl Display) -> E {
    E::custom(format!("expected {expected}, found {found}"))
}
