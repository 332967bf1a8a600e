//! The envelope of every answer: `status`, then `head`, then `body`, where they are.

use std::borrow::Cow;

use serde::Serialize;

/// `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Equals the HTTP status.
    pub code: u16,
    /// `OK`, `Created`, or the kind of error.
    pub msg: Cow<'static, str>,
    /// DeepDetect's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dd_code: Option<u16>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dd_msg: Option<String>,
}

impl Status {
    /// 200.
    pub fn ok() -> Self {
        Self { code: 200, msg: Cow::Borrowed("OK"), dd_code: None, dd_msg: None }
    }

    /// 201.
    pub fn created() -> Self {
        Self { code: 201, msg: Cow::Borrowed("Created"), dd_code: None, dd_msg: None }
    }

    /// A failure of the HTTP layer, in DeepDetect's form for those: reason and text in one message, no code.
    pub fn framework(code: u16, reason: &str, text: &str) -> Self {
        Self { code, msg: Cow::Owned(format!("{reason}: {text}")), dd_code: None, dd_msg: None }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer<H = (), B = ()> {
    /// Always there.
    pub status: Status,
    /// What answered, and how long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<H>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<B>,
}

impl Answer {
    /// A status alone.
    pub fn bare(status: Status) -> Self {
        Self { status, head: None, body: None }
    }
}

impl<B> Answer<(), B> {
    /// A status and a body.
    pub fn with_body(status: Status, body: B) -> Self {
        Self { status, head: None, body: Some(body) }
    }
}

impl<H, B> Answer<H, B> {
    /// All three.
    pub fn whole(status: Status, head: H, body: B) -> Self {
        Self { status, head: Some(head), body: Some(body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parts_are_left_out() {
        let json = |answer: &Answer| serde_json::to_string(answer).expect("serialises");
        assert_eq!(json(&Answer::bare(Status::created())), r#"{"status":{"code":201,"msg":"Created"}}"#);
        let framework = Status::framework(404, "Not Found", "No mapping for HTTP-method: 'GET', URL: '/'");
        assert_eq!(
            json(&Answer::bare(framework)),
            r#"{"status":{"code":404,"msg":"Not Found: No mapping for HTTP-method: 'GET', URL: '/'"}}"#
        );
    }
}
