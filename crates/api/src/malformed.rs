//! Why a body that is JSON is no request.

use std::fmt;

/// JSON of the wrong structure: HTTP 400, dd_code 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Dotted path; empty for the body as a whole.
    pub at: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl Malformed {
    /// A complaint about the value at `at`.
    pub fn new(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into() }
    }

    /// The same complaint about a value in what stands at `path`.
    #[must_use]
    pub fn within(self, path: &str) -> Self {
        let at = if self.at.is_empty() { path.to_owned() } else { format!("{path}.{}", self.at) };
        Self { at, ..self }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            formatter.write_str(&self.reason)
        } else {
            write!(formatter, "{} ({})", self.reason, self.at)
        }
    }
}
