//! The body of PUT /aliases.

use serde_json::Value;

use super::{Malformed, boolean, missing, nothing_else, text, wrong};
use crate::Object;

/// Body of PUT /aliases/{name}: the whole route; what is left out is not there afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutAlias {
    /// The service to point to.
    pub service: String,
    /// The peer that has it; this server without.
    pub peer: Option<String>,
    /// The service that answers a share of the requests.
    pub canary: Option<ShareRequest>,
    /// The service that gets copies of a share of the requests.
    pub shadow: Option<ShareRequest>,
    /// What it must point to now: `service`, or `peer/service`.
    pub expect: Option<String>,
    /// The generation it must have now; 0: no alias yet.
    pub expect_generation: Option<u64>,
    /// Rename a service that has the alias's name.
    pub takeover: bool,
}

/// `canary` or `shadow` of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRequest {
    /// A service of this server.
    pub service: String,
    /// Of 100 requests, 0 to 100.
    pub percent: u8,
}

impl PutAlias {
    /// Reads a parsed body.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that is missing, of another type, or none of an alias: a condition that is misspelt must not pass
    /// for met.
    pub fn read(mut object: Object) -> Result<Self, Malformed> {
        let read = Self {
            service: text(&mut object, "service")?.ok_or_else(|| missing("service"))?,
            peer: text(&mut object, "peer")?,
            canary: share(&mut object, "canary")?,
            shadow: share(&mut object, "shadow")?,
            expect: text(&mut object, "expect")?,
            expect_generation: number(&mut object, "expect_generation")?,
            takeover: boolean(&mut object, "takeover")?.unwrap_or(false),
        };
        nothing_else(&object, "").map(|()| read)
    }
}

/// A service and its percentage; `null` is none.
fn share(object: &mut Object, key: &str) -> Result<Option<ShareRequest>, Malformed> {
    let mut share = match object.remove(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(share)) => share,
        Some(other) => return Err(wrong(key, "an object", &other)),
    };
    let at = |member: &str| format!("{key}.{member}");
    let inside = |malformed: Malformed| Malformed::new(at(&malformed.at), malformed.reason);
    let service = text(&mut share, "service").map_err(inside)?.ok_or_else(|| missing(&at("service")))?;
    let percent = share.remove("percent").ok_or_else(|| missing(&at("percent")))?;
    nothing_else(&share, &format!("{key}."))?;
    match percent.as_u64().and_then(|percent| u8::try_from(percent).ok()).filter(|percent| *percent <= 100) {
        Some(percent) => Ok(Some(ShareRequest { service, percent })),
        None => Err(Malformed::new(at("percent"), format!("expected a whole number from 0 to 100, found {percent}"))),
    }
}

fn number(object: &mut Object, key: &str) -> Result<Option<u64>, Malformed> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let reason = || Malformed::new(key, format!("expected a whole number, found {value}"));
            value.as_u64().map(Some).ok_or_else(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn object(text: &str) -> Object {
        json::parse_object(text).expect("JSON").expect("an object")
    }

    #[test]
    fn an_alias_is_read_whole() {
        let read = |text: &str| PutAlias::read(object(text)).expect("well-formed");
        let plain = PutAlias { service: "b".into(), expect: Some("a".into()), ..PutAlias::default() };
        assert_eq!(read(r#"{"service":"b","expect":"a","canary":null}"#), plain);
        let share = |service: &str, percent| Some(ShareRequest { service: service.into(), percent });
        let whole = PutAlias {
            service: "b".into(),
            peer: Some("prod".into()),
            canary: share("c", 5),
            shadow: share("d", 100),
            expect: None,
            expect_generation: Some(3),
            takeover: true,
        };
        let text = r#"{"service":"b","peer":"prod","canary":{"service":"c","percent":5},
            "shadow":{"service":"d","percent":100},"expect_generation":3,"takeover":true}"#;
        assert_eq!(read(text), whole);
    }

    #[test]
    fn what_is_no_member_is_named() {
        for member in ["except", "Canary", "generation"] {
            let body = format!(r#"{{"service":"b","{member}":"x"}}"#);
            let message = format!("unknown member \"{member}\" ({member})");
            assert_eq!(PutAlias::read(object(&body)).expect_err(member).to_string(), message);
        }
    }

    #[test]
    fn a_share_that_is_none_is_named() {
        for (share, message) in [
            ("5", "expected an object, found a number (canary)"),
            ("{}", r#"missing member "canary.service" (canary.service)"#),
            (r#"{"service":1}"#, "expected a string, found a number (canary.service)"),
            (r#"{"service":"a"}"#, r#"missing member "canary.percent" (canary.percent)"#),
            (r#"{"service":"a","percent":101}"#, "expected a whole number from 0 to 100, found 101 (canary.percent)"),
            (r#"{"service":"a","percent":-1}"#, "expected a whole number from 0 to 100, found -1 (canary.percent)"),
            (r#"{"service":"a","percent":5,"percnt":9}"#, "unknown member \"canary.percnt\" (canary.percnt)"),
            (r#"{"service":"a","percent":0.5}"#, "expected a whole number from 0 to 100, found 0.5 (canary.percent)"),
        ] {
            let body = format!(r#"{{"service":"b","canary":{share}}}"#);
            assert_eq!(PutAlias::read(object(&body)).expect_err(share).to_string(), message);
        }
    }
}
