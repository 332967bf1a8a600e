//! Parameters as written: raw JSON sections, their precedence, and how a connector or backend parses its own.
//!
//! Precedence, stated here once: **call > creation > stored in the repository > default**. A section is raw JSON
//! because its type depends on the service's connector or mllib, which is named at creation and absent at predict. This
//! file must not know any key.
//!
//! Which keys there are is in the tables of their owners: see [`keys`].

pub mod keys;
mod number;
mod one_or_many;

pub use number::{Count, Whole};
pub use one_or_many::OneOrMany;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Fault;
use crate::quote::{quote, quote_within};

/// One of `parameters.input`, `parameters.mllib`, `parameters.output`, as written.
pub type Section = Map<String, Value>;

/// The three sections of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// For the connector.
    pub input: Section,
    /// For the backend.
    pub mllib: Section,
    /// For the rendering of the answer.
    pub output: Section,
}

impl Parameters {
    /// `self` wins over `lower`, section by section.
    pub fn over(&self, lower: &Self) -> Self {
        Self {
            input: over(&self.input, &lower.input),
            mllib: over(&self.mllib, &lower.mllib),
            output: over(&self.output, &lower.output),
        }
    }
}

/// Lays `upper` over `lower`: keys of `upper` win, objects are merged key by key, everything else is replaced
/// whole. `null` counts as absent. Associative, with the empty section as identity.
pub fn over(upper: &Section, lower: &Section) -> Section {
    let mut merged = lower.clone();
    for (key, value) in upper {
        match (value, merged.get_mut(key)) {
            (Value::Null, _) => {}
            (Value::Object(above), Some(Value::Object(below))) => *below = over(above, below),
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged
}

/// A section parsed into its owner's options, with the keys that these do not have.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The options; every field of `T` is optional.
    pub options: T,
    /// Dotted paths of keys that `T` does not have, such as `parameters.input.widht`.
    pub unknown: Vec<String>,
}

/// Parses a section. `at` is its path, `parameters.input` say.
///
/// # Errors
/// A [`Fault`] with the path of the value whose type is wrong, and serde's words for it.
pub fn parse<T: DeserializeOwned>(section: &Section, at: &str) -> Result<Parsed<T>, Fault> {
    let mut unknown = Vec::new();
    let present: Section =
        section.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    let parsed = serde_ignored::deserialize(Value::Object(present), |path| unknown.push(format!("{at}.{path}")));
    match parsed {
        Ok(options) => Ok(Parsed { options, unknown }),
        Err(error) => Err(Fault::at(wrong_key::<T>(section, at), quote_within(&error.to_string()))),
    }
}

/// Finds which top-level key is to blame, by parsing each alone: errors of `serde_json::Value` carry no path.
fn wrong_key<T: DeserializeOwned>(section: &Section, at: &str) -> String {
    section
        .iter()
        .filter(|(_, value)| !value.is_null())
        .find(|(key, value)| {
            let alone: Section = [((*key).clone(), (*value).clone())].into_iter().collect();
            serde_json::from_value::<T>(Value::Object(alone)).is_err()
        })
        .map_or_else(|| at.to_owned(), |(key, _)| format!("{at}.{}", quote(key)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn section() -> impl Strategy<Value = Section> {
        let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(Value::from), "[a-c]".prop_map(Value::from)];
        let value = leaf.prop_recursive(2, 8, 3, |inner| {
            proptest::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        proptest::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    /// Drops nulls the way an absent key would look.
    fn compact(section: &Section) -> Section {
        over(section, &Section::new())
    }

    proptest! {
        #[test]
        fn the_empty_section_is_the_identity(a in section()) {
            prop_assert_eq!(over(&Section::new(), &a), a.clone());
            prop_assert_eq!(over(&compact(&a), &Section::new()), compact(&a));
        }

        #[test]
        fn a_scalar_in_the_upper_section_wins(a in section(), b in section()) {
            let merged = over(&a, &b);
            for (key, value) in &a {
                if !value.is_null() && !value.is_object() {
                    prop_assert_eq!(merged.get(key), Some(value));
                }
            }
            for (key, value) in &b {
                if a.get(key).is_none_or(Value::is_null) {
                    prop_assert_eq!(merged.get(key), Some(value));
                }
            }
        }
    }

    #[derive(Debug, serde::Deserialize)]
    struct Options {
        width: Option<u32>,
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        let good = json!({"width": 3, "widht": 4}).as_object().cloned().expect("an object");
        let parsed = parse::<Options>(&good, "parameters.input").expect("parses");
        assert_eq!(parsed.options.width, Some(3));
        assert_eq!(parsed.unknown, ["parameters.input.widht"]);

        let bad = json!({"height": 1, "width": "abc"}).as_object().cloned().expect("an object");
        let fault = parse::<Options>(&bad, "parameters.input").expect_err("a string is no width");
        assert_eq!(fault.at, "parameters.input.width");
    }
}
