//! Query strings: flat pairs, the same as nested JSON, and booleans.
//!
//! Rules of contract.md 1.0: `a.b.c=v` is a nested object; a value with a letter is a string unless it spells a boolean; a
//! value without letters is an integer. `service` is always a string.

use serde_json::Value;

use crate::Object;
use crate::requests::Malformed;

/// Most levels that one dotted name may nest; deeper ones stay flat.
const DEEPEST: usize = 16;

/// The decoded pairs of a query string, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes percent signs and `+`. Never fails: what cannot be decoded stays as written.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its names that are none of these, as they stand behind the question mark.
    pub fn others(&self, known: &[&str]) -> Vec<String> {
        let others = self.0.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        others.map(|(name, _)| format!("?{name}")).collect()
    }

    /// A boolean: `0`, `1`, `true` or `false` in lower case, as the original has it.
    ///
    /// # Errors
    /// [`NotABoolean`] for anything else.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, NotABoolean> {
        match self.get(name) {
            None => Ok(default),
            Some("1" | "true") => Ok(true),
            Some("0" | "false") => Ok(false),
            Some(_) => Err(NotABoolean(name)),
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// [`Malformed`] with the name and what was found.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Malformed> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.split_once('.').map_or(text, |(whole, _)| whole);
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Malformed::new(
                name,
                format!("expected a number, found {:?}", text.chars().take(64).collect::<String>()),
            )),
        }
    }

    /// The pairs as one nested object.
    pub fn nested(&self) -> Object {
        let mut root = Object::new();
        for (name, value) in &self.0 {
            let value = if name == "service" { Value::from(value.as_str()) } else { typed(value) };
            insert(&mut root, name, value);
        }
        root
    }
}

/// A query parameter that has to be a boolean and is none; its text is the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotABoolean(pub &'static str);

fn insert(root: &mut Object, name: &str, value: Value) {
    let mut parts: Vec<&str> = name.splitn(DEEPEST, '.').collect();
    let Some(leaf) = parts.pop() else { return };
    let mut object = root;
    for part in parts {
        let slot = object.entry(part).or_insert_with(|| Value::Object(Object::new()));
        if !slot.is_object() {
            *slot = Value::Object(Object::new());
        }
        let Value::Object(inner) = slot else { return };
        object = inner;
    }
    object.insert(leaf.to_owned(), value);
}

fn typed(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return Value::from(text.eq_ignore_ascii_case("true"));
    }
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = if *first == b'%' { escape(tail) } else { None };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// Decodes `%xx` in one part of a path; a `+` stays a plus there.
pub fn decode_path(part: &str) -> String {
    decode(&part.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_names_nest_and_values_are_typed() {
        for (text, expected) in [
            ("service=iris&job=1", json!({"service": "iris", "job": 1})),
            ("service=123&job=1.5", json!({"service": "123", "job": 1})),
            (
                "parameters.output.measure_hist=True&parameters.output.max_hist_points=100",
                json!({"parameters": {"output": {"measure_hist": true, "max_hist_points": 100}}}),
            ),
            ("clear=lib&x=&&y", json!({"clear": "lib", "x": "", "y": ""})),
            ("a=1&a.b=2", json!({"a": {"b": 2}})),
            ("n=caf%C3%A9+au%20lait%", json!({"n": "café au lait%"})),
        ] {
            assert_eq!(Value::Object(Query::parse(text).nested()), expected, "{text}");
        }
    }

    #[test]
    fn booleans_are_strict() {
        let query = Query::parse("a=1&b=false&c=flase&d=True");
        assert_eq!(query.flag("a", false), Ok(true));
        assert_eq!(query.flag("b", true), Ok(false));
        assert_eq!(query.flag("absent", true), Ok(true));
        assert_eq!(query.flag("c", true), Err(NotABoolean("c")));
        assert_eq!(query.flag("d", true), Err(NotABoolean("d")));
    }

    #[test]
    fn other_names_are_listed() {
        let query = Query::parse("claer=full&status=1&status=0&status.x=1");
        assert_eq!(query.others(&["status"]), ["?claer", "?status.x"]);
    }

    #[test]
    fn numbers_name_what_was_found() {
        let query = Query::parse("timeout=5.5&job=abc");
        assert_eq!(query.number("timeout"), Ok(Some(5)));
        assert_eq!(query.number("absent"), Ok(None));
        let malformed = query.number("job").expect_err("no number");
        assert_eq!(malformed.to_string(), "expected a number, found \"abc\" (job)");
    }

    proptest! {
        #[test]
        fn any_query_string_is_read(text in "\\PC*") {
            let _ = Query::parse(&text).nested();
        }
    }
}
