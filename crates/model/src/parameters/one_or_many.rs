//! A value or a list of values, interchangeably.
//!
//! Old clients send `"input":[{…}]` for `"input":{…}` and `"label":"target"` for `"label":["target"]`.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Reads `x` and `[x, y]` alike; always written as a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = match Value::deserialize(deserializer)? {
            Value::Array(values) => values,
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
        };
        let read = |value| T::deserialize(value).map_err(D::Error::custom);
        values.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl<T> OneOrMany<T> {
    /// The first value.
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, expected) in [("3", vec![3]), ("[3]", vec![3]), ("[3,4]", vec![3, 4]), ("[]", vec![])] {
            assert_eq!(serde_json::from_str::<OneOrMany<i32>>(text).expect(text).0, expected);
        }
        for text in ["\"a\"", "[1, \"a\"]"] {
            let error = serde_json::from_str::<OneOrMany<i32>>(text).expect_err(text).to_string();
            assert_eq!(error, "invalid type: string \"a\", expected i32");
        }
    }
}
