//! `filter`: keeps the classes that are named, and leaves the others out of the chain's answer, too.
//!
//! It must not know what answered.

use std::collections::BTreeSet;

use dede_model::action::{Action, Effect, PreparedAction, Seen, Yield};
use dede_model::error::{Error, Result};
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::parameters::{self, OneOrMany, Section};
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

/// The action named `filter`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter;

const KEYS: [Key; 1] = [Key::applied("classes", Moment::Each)];

impl Action for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[&KEYS])
    }

    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let parsed = parameters::parse::<Written>(parameters, "action.parameters").map_err(Error::BadAction)?;
        let classes = parsed.options.classes;
        let classes = classes.ok_or_else(|| Error::bad_action("filter action is missing classes parameter"))?;
        Ok(Box::new(Kept(classes.0.into_iter().collect())))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Written {
    classes: Option<OneOrMany<String>>,
}

/// Names of the classes that stay.
#[derive(Debug)]
struct Kept(BTreeSet<String>);

impl PreparedAction for Kept {
    fn yields(&self) -> Yield {
        Yield::Nothing
    }

    fn apply(&self, items: &[Seen<'_>], _memory: &MemoryShare) -> Result<Effect> {
        let of_item = |seen: &Seen<'_>| seen.found.iter().map(|found| self.0.contains(&found.class)).collect();
        Ok(Effect::Kept(items.iter().map(of_item).collect()))
    }
}

#[cfg(test)]
mod tests {
    use dede_model::action::Found;
    use serde_json::{Value, json};

    use super::*;

    fn prepared(parameters: &Value) -> Result<Box<dyn PreparedAction>, String> {
        Filter.prepare(parameters.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn classes_that_are_named_stay() {
        let found: Vec<Found> = ["dog", "cat", "dog", "Dog"]
            .map(|class| Found { class: class.to_owned(), score: 0.5, corners: None })
            .into();
        let items = [Seen { uri: "a", kept: None, found: &found }, Seen { uri: "b", kept: None, found: &[] }];
        for (classes, expected) in [
            (json!(["dog", "bird"]), vec![true, false, true, false]),
            (json!("cat"), vec![false, true, false, false]),
            (json!([]), vec![false; 4]),
        ] {
            let action = prepared(&json!({ "classes": classes })).unwrap();
            let effect = action.apply(&items, &MemoryShare::unbounded()).unwrap();
            assert_eq!(effect, Effect::Kept(vec![expected, vec![]]), "{classes}");
        }
    }

    #[test]
    fn classes_have_to_be_named() {
        assert_eq!(prepared(&json!({})).err().unwrap(), "filter action is missing classes parameter");
        let error = prepared(&json!({"classes": [1]})).err().unwrap();
        assert!(error.contains("(action.parameters.classes"), "{error}");
    }
}
