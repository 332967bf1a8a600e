//! Reading request bodies the way DeepDetect does: strict JSON, except that `NaN`, `Inf` and `Infinity` are numbers.
//!
//! Those have no place in a JSON value, so they are read as `null`, which counts as absent everywhere. Nesting is bounded at
//! 128 levels by the parser, so no body can exhaust a stack.

use std::fmt;

use serde_json::Value;

use crate::Object;
use crate::requests::Malformed;

/// A body that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(String);

impl fmt::Display for NotJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Parses a body. `null` members of objects are dropped, at any depth.
///
/// # Errors
/// [`NotJson`] with line and column.
pub fn parse(text: &str) -> Result<Value, NotJson> {
    let parsed = match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) => match without_special_numbers(text) {
            Some(plain) => serde_json::from_str(&plain).map_err(|error| NotJson(error.to_string())),
            None => Err(NotJson(error.to_string())),
        },
    };
    parsed.map(|mut value| {
        drop_nulls(&mut value);
        value
    })
}

/// Parses a body that has to be an object.
///
/// # Errors
/// Outer: not JSON. Inner: JSON, but not an object.
pub fn parse_object(text: &str) -> Result<Result<Object, Malformed>, NotJson> {
    parse(text).map(|value| {
        let found = kind(&value);
        match value {
            Value::Object(object) => Ok(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Malformed::new("", format!("expected a JSON object, found {found}")))
            }
        }
    })
}

/// What a value is, with its article, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, member| !member.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text with every `NaN`, `Inf` and `Infinity` outside strings, signed or not, replaced by `null`; `None` when there
/// is none.
fn without_special_numbers(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut in_string, mut replaced) = (text, false, false);
    while let Some(first) = rest.chars().next() {
        let taken = if in_string && first == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else if !in_string && let Some(length) = special_number(rest) {
            plain.push_str("null");
            rest = &rest[length..];
            replaced = true;
            continue;
        } else {
            in_string ^= first == '"';
            first.len_utf8()
        };
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    replaced.then_some(plain)
}

/// Length of the special number at the start of `text`.
fn special_number(text: &str) -> Option<usize> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let word = ["NaN", "Infinity", "Inf"].into_iter().find(|word| unsigned.starts_with(word))?;
    let ends = !unsigned[word.len()..].starts_with(|next: char| next.is_ascii_alphanumeric());
    ends.then_some(text.len() - unsigned.len() + word.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn special_numbers_are_absent_members() {
        for (text, expected) in [
            (r#"{"a":NaN,"b":1}"#, json!({"b": 1})),
            (r#"{"a":[1,-Infinity,Inf]}"#, json!({"a": [1, null, null]})),
            (r#"{"a":"NaN, \" NaN","b":NaN}"#, json!({"a": "NaN, \" NaN"})),
            (r#"{"a":{"b":null}}"#, json!({"a": {}})),
        ] {
            assert_eq!(parse(text).expect("tolerated"), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "{", "{\"a\":", "NaNa", "Infinit", "{\"a\":NaN", "{a:1}", "[1,]", "\u{0}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&("[".repeat(100_000) + &"]".repeat(100_000))).is_err());
    }

    #[test]
    fn an_array_is_no_body() {
        let malformed = parse_object("[]").expect("JSON").expect_err("no object");
        assert_eq!(malformed.to_string(), "expected a JSON object, found an array");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_strict_json_is_read_as_it_is(numbers in proptest::collection::vec(any::<i64>(), 0..5), key in "\\PC*") {
            let value = json!({ (key): numbers });
            prop_assert_eq!(parse(&value.to_string()).expect("strict JSON"), value);
        }
    }
}
