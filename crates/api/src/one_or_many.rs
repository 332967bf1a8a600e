//! A value or a list of values, interchangeably.
//!
//! Old clients send `"input":[{…}]` for `"input":{…}` and `"label":"target"` for `"label":["target"]`.

use serde::{Deserialize, Serialize};

/// Reads `x` and `[x, y]` alike; always written as a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form<T> {
            Many(Vec<T>),
            One(T),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Many(values) => Self(values),
            Form::One(value) => Self(vec![value]),
        })
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
        assert!(serde_json::from_str::<OneOrMany<i32>>("\"a\"").is_err());
    }
}
