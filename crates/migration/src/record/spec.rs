//! What a move was asked to do: names, policy and times, read once, and what contradicts itself.
//!
//! What people asked for is shown to them as they wrote it, so that names and the members of the policy are kept so, too.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use dede_comparison::Policy;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Fault, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Longest time that requests may be asked to wait.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);
/// The longest of the times that a request may name: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A JSON object whose members mean something to others only.
pub type Object = Map<String, Value>;

/// What a move was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveSpec {
    /// The service on the source; it is never changed.
    pub service: String,
    /// What the source is called: a peer, its URL, an upload or a relay.
    pub source: String,
    /// The stable name that is switched to the service; without one the service is only brought here.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<RequestedName>,
    /// Its name on the target; the one it has on the source by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<RequestedName>,
    /// Directory for its files; below the state directory by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<PathBuf>,
    /// Checkpoints travel too, so that the training can be resumed on the target.
    #[serde(default)]
    pub with_training_state: bool,
    /// Recent requests of the source's service are its golden inputs.
    #[serde(default)]
    pub with_requests: bool,
    /// Inputs and the source's answers to them, which the target must reproduce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenCase>,
    /// What counts as safe: members of the comparison's policy; its defaults where absent.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub policy: Object,
    /// Longest time that live requests are compared before the switch.
    #[serde(rename = "shadow_for_s", with = "whole_seconds", default = "MoveSpec::default_shadow_for")]
    pub shadow_for: Duration,
    /// Shares of the traffic that the new service answers before the switch, one after the other, percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<u8>,
    /// Switch as soon as the verdict is safe, instead of waiting for a promotion.
    #[serde(default)]
    pub auto: bool,
    /// How long the former service shadows the new one after the switch.
    #[serde(rename = "watch_for_s", with = "whole_seconds", default = "MoveSpec::default_watch_for")]
    pub watch_for: Duration,
    /// Longest wait for requests in flight on the former service.
    #[serde(rename = "drain_for_s", with = "whole_seconds", default = "MoveSpec::default_drain_for")]
    pub drain_for: Duration,
    /// How long the former service stays loaded after the drain; then it is unloaded, and its files stay. Without it, the
    /// former service stays loaded until it is deleted.
    #[serde(rename = "keep_for_s", with = "optional_seconds", default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<Duration>,
    /// The former service is unloaded before the new one is loaded: requests wait meanwhile, and nothing is compared on
    /// live ones.
    #[serde(default)]
    pub replace_first: bool,
    /// Longest time that requests wait while the network is exchanged; beyond it they are refused.
    #[serde(rename = "hold_for_s", with = "whole_seconds", default = "MoveSpec::default_hold_for")]
    pub hold_for: Duration,
    /// Digest of the plan that is carried out; refused if the source or the target has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The user that requested the move, for the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// One golden input and the answer to it, in the words of the API that both servers speak. What they say is read by the
/// server's [`ServiceApi`](crate::ServiceApi).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// A predict without its service.
    pub request: Object,
    /// The predictions of its answer.
    pub predictions: Vec<Value>,
}

/// A name as it was asked for, and as names are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestedName {
    written: String,
    name: ServiceName,
}

impl RequestedName {
    /// Checks a name.
    ///
    /// # Errors
    /// Those of [`ServiceName::parse`].
    pub fn parse(written: String) -> Result<Self> {
        ServiceName::parse(&written).map(|name| Self { written, name })
    }

    /// The name as it is stored.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The name as it was asked for.
    pub fn as_written(&self) -> &str {
        &self.written
    }
}

impl fmt::Display for RequestedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl TryFrom<String> for RequestedName {
    type Error = Error;

    fn try_from(written: String) -> Result<Self> {
        Self::parse(written)
    }
}

impl From<RequestedName> for String {
    fn from(name: RequestedName) -> Self {
        name.written
    }
}

impl MoveSpec {
    /// A service of a source, with every default.
    pub fn of(service: String, source: String) -> Self {
        Self {
            service,
            source,
            alias: None,
            name: None,
            repository: None,
            with_training_state: false,
            with_requests: false,
            golden: Vec::new(),
            policy: Object::new(),
            shadow_for: Self::default_shadow_for(),
            canary: Vec::new(),
            auto: false,
            watch_for: Self::default_watch_for(),
            drain_for: Self::default_drain_for(),
            keep_for: None,
            replace_first: false,
            hold_for: Self::default_hold_for(),
            plan: None,
            who: None,
        }
    }

    fn default_shadow_for() -> Duration {
        Duration::from_secs(60)
    }

    fn default_watch_for() -> Duration {
        Duration::from_secs(10)
    }

    fn default_drain_for() -> Duration {
        Duration::from_secs(30)
    }

    fn default_hold_for() -> Duration {
        Duration::from_secs(10)
    }

    /// The stable name that is switched.
    pub(crate) fn alias(&self) -> Option<&ServiceName> {
        self.alias.as_ref().map(RequestedName::name)
    }

    /// The name that the service will have here, where that is not taken; the one it has on the source where none was asked
    /// for.
    pub(crate) fn name_here(&self) -> Option<ServiceName> {
        match &self.name {
            Some(name) => Some(name.name().clone()),
            None => ServiceName::parse(&self.service).ok(),
        }
    }

    /// The policy: what was asked for over the defaults. Answers of a new model are meant to differ, so they are only
    /// reported unless something else is asked for.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub(crate) fn policy(&self) -> Result<Policy> {
        let mut members = self.policy.clone();
        members.entry("expect").or_insert_with(|| "report".into());
        let parsed = serde_json::from_value::<Policy>(Value::Object(members));
        let policy = parsed.map_err(|error| Error::Malformed(Fault::at("policy", error.to_string())))?;
        policy.check()?;
        Ok(policy)
    }

    /// Refuses shares and times that cannot be applied as they are written.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub(crate) fn check_numbers(&self) -> Result<()> {
        if let Some(wrong) = self.canary.iter().find(|percent| !(1..=100).contains(*percent)) {
            return Err(Error::Malformed(Fault::at("canary", format!("shares from 1 to 100 expected, found {wrong}"))));
        }
        if self.canary.iter().rev().skip(1).any(|percent| *percent == 100) {
            let text = "100 is the switch itself, so nothing can follow it";
            return Err(Error::Malformed(Fault::at("canary", text)));
        }
        let times = [
            ("shadow_for_s", Some(self.shadow_for)),
            ("watch_for_s", Some(self.watch_for)),
            ("drain_for_s", Some(self.drain_for)),
            ("keep_for_s", self.keep_for),
            ("hold_for_s", Some(self.hold_for)),
        ];
        match times.into_iter().find_map(|(name, time)| Some((name, time.filter(|time| *time > LONGEST)?))) {
            None => Ok(()),
            Some((name, found)) => {
                let (longest, found) = (LONGEST.as_secs(), found.as_secs());
                Err(Error::Malformed(Fault::at(name, format!("at most {longest} seconds expected, found {found}"))))
            }
        }
    }

    /// Refuses what contradicts `replace_first`: a network that is unloaded first can neither be compared with nor kept.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub(crate) fn check_replace_first(&self) -> Result<()> {
        if !self.replace_first {
            return Ok(());
        }
        let conflict = if self.alias.is_none() {
            "only together with as: otherwise nothing is replaced"
        } else if !self.canary.is_empty() {
            "not together with canary: the two are never in memory at once"
        } else if self.hold_for > LONGEST_HOLD {
            "hold_for_s is an hour at most"
        } else if self.keep_for.is_some() {
            "not together with keep_for_s: the former service is not kept in memory"
        } else {
            return Ok(());
        };
        Err(Error::Malformed(Fault::at("replace_first", conflict)))
    }
}

/// A time that is waited for; records of earlier versions may hold any.
pub(crate) fn bounded(time: Duration) -> Duration {
    time.min(LONGEST)
}

/// Times in whole seconds.
mod whole_seconds {
    use super::{Deserialize as _, Deserializer, Duration, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        time.as_secs().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// Times in whole seconds that may be absent.
mod optional_seconds {
    use super::{Deserialize as _, Deserializer, Duration, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(members: &Value) -> MoveSpec {
        let mut asked = json!({"service": "s", "source": "dev", "as": "a"});
        asked.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(asked).unwrap()
    }

    #[test]
    fn names_are_told_apart_without_case_and_shown_as_they_were_asked_for() {
        let (one, other) = (spec(&json!({"as": "Production"})), spec(&json!({"as": "production"})));
        assert_eq!(one.alias(), other.alias());
        assert_eq!(one.alias.as_ref().unwrap().to_string(), "Production");
        assert_ne!(serde_json::to_value(&one).unwrap(), serde_json::to_value(&other).unwrap());
        assert!(serde_json::from_value::<MoveSpec>(json!({"service": "s", "source": "dev", "as": "a/b"})).is_err());
    }

    #[test]
    fn the_name_here_is_the_one_asked_for_or_that_on_the_source() {
        for (members, expected) in [(json!({}), Some("s")), (json!({"name": "Fresh"}), Some("fresh"))] {
            let name = spec(&members).name_here();
            assert_eq!(name.as_ref().map(ServiceName::as_str), expected, "{members}");
        }
        assert_eq!(MoveSpec::of(String::new(), String::new()).name_here(), None);
    }

    #[test]
    fn what_cannot_be_applied_as_it_is_written_is_refused_with_its_member() {
        let year = LONGEST.as_secs();
        for (members, refused) in [
            (json!({}), None),
            (json!({"canary": [1, 50, 100], "keep_for_s": year}), None),
            (json!({"canary": [0]}), Some("canary")),
            (json!({"canary": [100, 5]}), Some("canary")),
            (json!({"shadow_for_s": year + 1}), Some("shadow_for_s")),
            (json!({"keep_for_s": u64::MAX}), Some("keep_for_s")),
            (json!({"replace_first": true, "canary": [5]}), Some("not together with canary")),
            (json!({"replace_first": true, "hold_for_s": 3601}), Some("hold_for_s is an hour at most")),
            (json!({"replace_first": true, "keep_for_s": 1}), Some("not together with keep_for_s")),
            (json!({"replace_first": true}), None),
        ] {
            let spec = spec(&members);
            let found =
                spec.check_numbers().and_then(|()| spec.check_replace_first()).map_err(|error| error.to_string());
            match refused {
                None => assert_eq!(found, Ok(()), "{members}"),
                Some(text) => assert!(found.as_ref().unwrap_err().contains(text), "{members}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_time_of_an_earlier_version_is_bounded_where_it_is_waited_for() {
        let spec = spec(&json!({"watch_for_s": u64::MAX}));
        assert_eq!((spec.watch_for.as_secs(), bounded(spec.watch_for)), (u64::MAX, LONGEST));
    }

    #[test]
    fn answers_that_differ_are_reported_unless_something_else_is_asked_for() {
        use dede_comparison::Expect;
        assert_eq!(spec(&json!({})).policy().unwrap().expect, Expect::Report);
        assert_ne!(spec(&json!({"policy": {"expect": "same"}})).policy().unwrap().expect, Expect::Report);
        assert!(spec(&json!({"policy": {"nothing": 1}})).policy().is_err());
    }
}
