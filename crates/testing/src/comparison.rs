//! Tolerant comparison of JSON: answers whose numbers vary a little, or of which only the shape is fixed.

use std::fmt;

use serde_json::Value;

/// What counts as a difference between two numbers, or two strings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leaves {
    /// Only the types are compared. Arrays may differ in length, and their elements are all held against the first.
    Shape,
    /// Strings, booleans and nulls are equal, numbers differ at most by this.
    Within(f64),
}

/// Where two documents differ first.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted, `body.predictions[0].classes[1].prob`; empty for the whole document.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        write!(formatter, "{path}: expected {}, found {}", self.expected, self.found)
    }
}

/// The first difference between two documents, in the order of the expected one.
pub fn difference(expected: &Value, found: &Value, leaves: Leaves) -> Option<Difference> {
    Comparison { leaves }.values(expected, found, "")
}

/// Fails the test with the first difference and both documents.
///
/// # Panics
/// When there is a difference.
#[track_caller]
pub fn assert_alike(expected: &Value, found: &Value, leaves: Leaves) {
    if let Some(difference) = difference(expected, found, leaves) {
        panic!("{difference}\nexpected: {expected}\nfound:    {found}");
    }
}

struct Comparison {
    leaves: Leaves,
}

impl Comparison {
    fn values(&self, expected: &Value, found: &Value, path: &str) -> Option<Difference> {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                let missing = expected.iter().find_map(|(key, value)| {
                    let path = join(path, key);
                    match found.get(key) {
                        Some(other) => self.values(value, other, &path),
                        None => Some(Difference { path, expected: value.to_string(), found: "nothing".to_owned() }),
                    }
                });
                missing.or_else(|| {
                    let (key, value) = found.iter().find(|(key, _)| !expected.contains_key(*key))?;
                    Some(Difference { path: join(path, key), expected: "nothing".to_owned(), found: value.to_string() })
                })
            }
            (Value::Array(expected), Value::Array(found)) => self.arrays(expected, found, path),
            _ if self.leaves_agree(expected, found) => None,
            _ => Some(Difference { path: path.to_owned(), expected: expected.to_string(), found: found.to_string() }),
        }
    }

    fn arrays(&self, expected: &[Value], found: &[Value], path: &str) -> Option<Difference> {
        let lengths_agree = match self.leaves {
            Leaves::Shape => expected.is_empty() == found.is_empty(),
            Leaves::Within(_) => expected.len() == found.len(),
        };
        if !lengths_agree {
            let count = |array: &[Value]| format!("{} elements", array.len());
            return Some(Difference { path: path.to_owned(), expected: count(expected), found: count(found) });
        }
        found.iter().enumerate().find_map(|(index, found)| {
            let expected = match self.leaves {
                Leaves::Shape => expected.get(index).or(expected.first())?,
                Leaves::Within(_) => expected.get(index)?,
            };
            self.values(expected, found, &format!("{path}[{index}]"))
        })
    }

    fn leaves_agree(&self, expected: &Value, found: &Value) -> bool {
        match self.leaves {
            Leaves::Shape => std::mem::discriminant(expected) == std::mem::discriminant(found),
            Leaves::Within(tolerance) => match (expected.as_f64(), found.as_f64()) {
                (Some(expected), Some(found)) => (expected - found).abs() <= tolerance,
                _ => expected == found,
            },
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        const EXACT: Leaves = Leaves::Within(0.0);
        struct Case {
            expected: Value,
            found: Value,
            leaves: Leaves,
            path: Option<&'static str>,
        }
        let cases = [
            Case { expected: json!({"a": 1}), found: json!({"a": 1.0}), leaves: EXACT, path: None },
            Case { expected: json!({"a": 1}), found: json!({"a": 1.1}), leaves: EXACT, path: Some("a") },
            Case {
                expected: json!([{"p": 0.5}]),
                found: json!([{"p": 0.5001}]),
                leaves: Leaves::Within(1e-3),
                path: None,
            },
            Case {
                expected: json!([{"p": 0.5}]),
                found: json!([{"p": 0.51}]),
                leaves: Leaves::Within(1e-3),
                path: Some("[0].p"),
            },
            Case {
                expected: json!({"a": {"b": []}}),
                found: json!({"a": {}}),
                leaves: Leaves::Shape,
                path: Some("a.b"),
            },
            Case {
                expected: json!({"a": {}}),
                found: json!({"a": {"b": 1}}),
                leaves: Leaves::Shape,
                path: Some("a.b"),
            },
            Case { expected: json!({"a": "x"}), found: json!({"a": "y"}), leaves: Leaves::Shape, path: None },
            Case { expected: json!({"a": "x"}), found: json!({"a": "y"}), leaves: EXACT, path: Some("a") },
            Case { expected: json!({"a": "1"}), found: json!({"a": 1}), leaves: Leaves::Shape, path: Some("a") },
            Case { expected: json!({"a": null}), found: json!({"a": false}), leaves: Leaves::Shape, path: Some("a") },
            Case { expected: json!([1]), found: json!([1, 2, 3]), leaves: Leaves::Shape, path: None },
            Case { expected: json!([1]), found: json!([1, 2, "c"]), leaves: Leaves::Shape, path: Some("[2]") },
            Case { expected: json!({"a": [1]}), found: json!({"a": []}), leaves: Leaves::Shape, path: Some("a") },
            Case { expected: json!({"a": [1]}), found: json!({"a": [1, 2]}), leaves: EXACT, path: Some("a") },
            Case { expected: json!([]), found: json!({}), leaves: Leaves::Shape, path: Some("") },
        ];
        for Case { expected, found, leaves, path } in cases {
            let difference = difference(&expected, &found, leaves);
            let at = difference.as_ref().map(|difference| difference.path.as_str());
            assert_eq!(at, path, "{expected} {found} {leaves:?}");
        }
    }

    #[test]
    fn a_difference_reads_as_a_sentence() {
        let difference = difference(&json!({"a": 1}), &json!({"a": "x"}), Leaves::Shape).expect("types differ");
        assert_eq!(difference.to_string(), "a: expected 1, found \"x\"");
    }
}
