//! Text that can only be parsed: what all names of this crate have in common. It knows no particular name.

/// A text that is not what it has to be. The text itself is shown escaped and cut, since it may come from any client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: expected {expected}, found {found:?}")]
pub struct InvalidText {
    what: &'static str,
    expected: &'static str,
    found: String,
}

/// Characters of a refused text that its error shows.
const SHOWN: usize = 100;

impl InvalidText {
    pub(crate) fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        Self { what, expected, found: found.chars().take(SHOWN).collect() }
    }
}

/// Declares a newtype over a string that only parsing makes: from text, from JSON, nothing else. In the order of its bytes, or in
/// another one that tells all different texts apart.
macro_rules! parsed_text {
    ($(#[$documentation:meta])* $name:ident, $what:literal, $expected:literal, $accepts:path) => {
        parsed_text! { $(#[$documentation])* $name, $what, $expected, $accepts, str::cmp }
    };
    ($(#[$documentation:meta])* $name:ident, $what:literal, $expected:literal, $accepts:path, $order:path) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                $order(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::InvalidText;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                if $accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($crate::text::InvalidText::new($what, $expected, text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::text::InvalidText;

            fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(parsed: $name) -> Self {
                parsed.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

pub(crate) use parsed_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_text_is_shown_escaped_and_cut() {
        let error = InvalidText::new("tag", "letters", &format!("a\u{1b}[2J\n{}", "x".repeat(10_000))).to_string();
        assert!(error.starts_with("not a tag: expected letters, found \"a\\u{1b}[2J\\nxxx"), "{error}");
        assert!(error.len() < 200);
    }
}
