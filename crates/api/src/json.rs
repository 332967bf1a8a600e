//! Reading request bodies: strict JSON in which each member of an object stands once. A byte order mark before it is passed over, as
//! RFC 8259 allows.
//!
//! DeepDetect takes `NaN` and `Infinity` for numbers and the last of several members. Neither can be meant, so both are refused. Nesting
//! is bounded at 128 levels by the parser, so no body can exhaust a stack.

use std::fmt;

use serde_json::Value;

use crate::Object;
use crate::malformed::Malformed;

/// A body that is not JSON: what was wrong and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    /// It is JSON, of which two readers could read different things.
    is_ambiguous: bool,
    reason: String,
    /// 1-based.
    line: usize,
    /// Of its characters, 1-based; of those read so far where the text ends too early.
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_ambiguous { "the body is ambiguous" } else { "the body is not JSON" };
        write!(formatter, "{what}: {} (line {}, column {})", self.reason, self.line, self.column)
    }
}

impl NotJson {
    /// A body that is not even text: its first wrong byte is at `at`.
    pub fn not_utf8(bytes: &[u8], at: usize) -> Self {
        let before = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]);
        let (line, column) = position(&before);
        let reason = "expected UTF-8, found another encoding".to_owned();
        Self { is_ambiguous: false, reason, line, column: column + 1 }
    }

    /// A complaint of the parser about `text`.
    fn of(error: &serde_json::Error, text: &str) -> Self {
        let at = text.floor_char_boundary(bytes_read(error, text));
        let (line, column) = position(&text[..at]);
        let said = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let reason = match special_number(text, at) {
            Some(word) => format!("expected a number, found {word}"),
            None => said.strip_suffix(&suffix).unwrap_or(&said).to_owned(),
        };
        Self { is_ambiguous: error.is_data(), reason, line, column }
    }
}

/// What stands in JavaScript for numbers that JSON has not.
const SPECIAL_NUMBERS: [&str; 3] = ["NaN", "Infinity", "Inf"];

/// The special number that the parser stopped at, which is within the first letter of it or behind.
fn special_number(text: &str, at: usize) -> Option<&'static str> {
    let begins = |word: &&str| [at.checked_sub(1), Some(at)].iter().flatten().any(|&from| stands_at(text, from, word));
    SPECIAL_NUMBERS.into_iter().find(begins)
}

/// Whether `word` stands at `from`.
fn stands_at(text: &str, from: usize, word: &str) -> bool {
    text.get(from..).is_some_and(|rest| rest.starts_with(word))
}

/// The line that `before` ends on, and how many characters of it there are.
fn position(before: &str) -> (usize, usize) {
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count())
}

/// How many bytes of `text` the parser had read when it complained.
fn bytes_read(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    (lines.map(str::len).sum::<usize>() + error.column()).min(text.len())
}

/// Parses a body. `null` members of objects are dropped, at any depth.
///
/// # Errors
/// [`NotJson`] with line and column.
pub fn parse(text: &str) -> Result<Value, NotJson> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut value = dede_json::parse(text).map_err(|error| NotJson::of(&error, text))?;
    drop_nulls(&mut value);
    Ok(value)
}

/// What some programs write before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn null_members_are_absent() {
        for (text, expected) in [
            (r#"{"a":null,"b":1}"#, json!({"b": 1})),
            (r#"{"a":[1,null]}"#, json!({"a": [1, null]})),
            (r#"{"a":{"b":null}}"#, json!({"a": {}})),
            ("\u{feff}{\"a\":\"NaN\"}", json!({"a": "NaN"})),
        ] {
            assert_eq!(parse(text).expect("JSON"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{\"a\":", "NaNa", "Infinit", "{\"a\":NaN", "{a:1}", "[1,]", "\u{0}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&("[".repeat(100_000) + &"]".repeat(100_000))).is_err());
    }

    #[test]
    fn line_and_column_are_those_of_the_body() {
        for (text, expected) in [
            ("{a:1}", "key must be a string (line 1, column 2)"),
            ("{\n  \"a\": 1,\n}", "trailing comma (line 3, column 1)"),
            ("{\"a\": tru}", "expected ident (line 1, column 10)"),
            ("{\"a\":", "EOF while parsing a value (line 1, column 5)"),
            ("", "EOF while parsing a value (line 1, column 0)"),
            ("{\"ééé\": 'x'}", "expected value (line 1, column 9)"),
            ("{} x", "trailing characters (line 1, column 4)"),
            ("{\"a\": [NaN]}", "expected a number, found NaN (line 1, column 8)"),
            ("{\"a\": 1,\n \"b\": Infinity}", "expected a number, found Infinity (line 2, column 7)"),
            ("{\"a\": -Inf}", "expected a number, found Inf (line 1, column 8)"),
        ] {
            let refused = parse(text).expect_err(text).to_string();
            assert_eq!(refused, format!("the body is not JSON: {expected}"), "{text:?}");
        }
        for (text, expected) in [
            ("{\"a\": 1,\n \"a\": 2}", "the member \"a\" stands twice in one object (line 2, column 4)"),
            ("{\"é\": [{\"b\": 1, \"\\u0062\": null}]}", "\"b\" stands twice in one object (line 1, column 24)"),
        ] {
            let refused = parse(text).expect_err(text).to_string();
            assert!(refused.starts_with("the body is ambiguous: ") && refused.ends_with(expected), "{refused}");
        }
        let bytes = b"{\n\"\xc3\xa9\xff\"}";
        let refused = NotJson::not_utf8(bytes, 5).to_string();
        assert_eq!(refused, "the body is not JSON: expected UTF-8, found another encoding (line 2, column 3)");
    }

    #[test]
    fn an_array_is_no_body() {
        let malformed = parse_object("[]").expect("JSON").expect_err("no object");
        assert_eq!(malformed.to_string(), "expected a JSON object, found an array");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*", numbers in "[NaInfity\"\\\\,\n{}\\[\\]é-]{0,30}") {
            let _ = parse(&text);
            let _ = parse(&numbers);
        }

        #[test]
        fn what_is_strict_json_is_read_as_it_is(numbers in proptest::collection::vec(any::<i64>(), 0..5), key in "\\PC*") {
            let value = json!({ (key): numbers });
            prop_assert_eq!(parse(&value.to_string()).expect("strict JSON"), value);
        }
    }
}
