//! Reading request bodies the way DeepDetect does: strict JSON, except that `NaN`, `Inf` and `Infinity` are numbers.
//!
//! Those have no place in a JSON value, so they are read as `null`, which counts as absent everywhere. Nesting is bounded at
//! 128 levels by the parser, so no body can exhaust a stack.

use std::fmt;

use serde_json::Value;

use crate::Object;
use crate::requests::Malformed;

/// A body that is not JSON: what was wrong and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    reason: String,
    /// 1-based.
    line: usize,
    /// Of its characters, 1-based; of those read so far where the text ends too early.
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the body is not JSON: {} (line {}, column {})", self.reason, self.line, self.column)
    }
}

impl NotJson {
    /// A body that is not even text: its first wrong byte is at `at`.
    pub fn not_utf8(bytes: &[u8], at: usize) -> Self {
        let before = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]);
        let (line, column) = position(&before);
        Self { reason: "expected UTF-8, found another encoding".to_owned(), line, column: column + 1 }
    }

    /// A complaint of the parser about `text`, at `at` bytes into it.
    fn of(error: &serde_json::Error, text: &str, at: usize) -> Self {
        let reason = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let (line, column) = position(&text[..text.floor_char_boundary(at)]);
        Self { reason: reason.strip_suffix(&suffix).unwrap_or(&reason).to_owned(), line, column }
    }
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
    let parsed = match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) => match without_special_numbers(text) {
            Some(plain) => serde_json::from_str(&plain).map_err(|error| {
                let at = before_replacing(text, bytes_read(&error, &plain));
                NotJson::of(&error, text, at)
            }),
            None => Err(NotJson::of(&error, text, bytes_read(&error, text))),
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
    let mut replaced = false;
    for piece in (Pieces { rest: text, in_string: false }) {
        match piece {
            Piece::Other(other) => plain.push_str(other),
            Piece::SpecialNumber(_) => {
                plain.push_str(NULL);
                replaced = true;
            }
        }
    }
    replaced.then_some(plain)
}

/// The place in `text` of what is at `place` once the special numbers are replaced, bytes.
fn before_replacing(text: &str, place: usize) -> usize {
    let (mut before, mut after) = (0, 0);
    for piece in (Pieces { rest: text, in_string: false }) {
        let (length, replaced) = match piece {
            Piece::Other(other) => (other.len(), other.len()),
            Piece::SpecialNumber(length) => (length, NULL.len()),
        };
        if after + replaced > place {
            return before + (place - after).min(length);
        }
        before += length;
        after += replaced;
    }
    before
}

/// What stands for a special number.
const NULL: &str = "null";

/// A part of a text.
enum Piece<'a> {
    /// A character, an escape in a string.
    Other(&'a str),
    /// A special number of so many bytes.
    SpecialNumber(usize),
}

/// The parts of a text.
struct Pieces<'a> {
    rest: &'a str,
    in_string: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = self.rest.chars().next()?;
        let (length, is_special) = if self.in_string && first == '\\' {
            (1 + self.rest[1..].chars().next().map_or(0, char::len_utf8), false)
        } else if !self.in_string
            && let Some(length) = special_number(self.rest)
        {
            (length, true)
        } else {
            self.in_string ^= first == '"';
            (first.len_utf8(), false)
        };
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(if is_special { Piece::SpecialNumber(length) } else { Piece::Other(piece) })
    }
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
    fn line_and_column_are_those_of_the_body() {
        for (text, expected) in [
            ("{a:1}", "key must be a string (line 1, column 2)"),
            ("{\n  \"a\": 1,\n}", "trailing comma (line 3, column 1)"),
            ("{\"a\": tru}", "expected ident (line 1, column 10)"),
            ("{\"a\":", "EOF while parsing a value (line 1, column 5)"),
            ("", "EOF while parsing a value (line 1, column 0)"),
            ("{\"ééé\": 'x'}", "expected value (line 1, column 9)"),
            ("{} x", "trailing characters (line 1, column 4)"),
            // Special numbers are longer or shorter than what they are read as.
            ("{\"a\": [NaN, -Infinity], b}", "key must be a string (line 1, column 25)"),
            ("{\"a\": NaN,\n \"b\": Infinity x}", "expected `,` or `}` (line 2, column 16)"),
            ("{\"a\": NaN NaN}", "expected `,` or `}` (line 1, column 11)"),
        ] {
            let refused = parse(text).expect_err(text).to_string();
            assert_eq!(refused, format!("the body is not JSON: {expected}"), "{text:?}");
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
