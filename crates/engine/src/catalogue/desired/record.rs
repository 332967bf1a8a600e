//! How the state is written: one JSON text, of format 1. Records of servers that knew no peers, canaries and shadows are read too.

use dede_bundle::Digest;
use dede_model::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::DesiredState;
use super::alias::{AliasEntry, Share, Step, Target};
use super::service::ServiceEntry;
use crate::move_id::MoveId;
use crate::name::{PeerName, ServiceName};
use crate::service::ServiceId;

/// The format written by this version.
const FORMAT: u32 = 1;

/// Everything a restart needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateRecord {
    format: u32,
    services: Vec<ServiceEntry>,
    aliases: Vec<AliasRecord>,
}

impl DesiredState {
    /// The text that is recorded.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn to_record(&self) -> Result<Vec<u8>> {
        let services = self.services().map(|entry| ServiceEntry::clone(entry)).collect();
        let aliases = self.aliases().map(|alias| AliasRecord::from(&**alias)).collect();
        let record = StateRecord { format: FORMAT, services, aliases };
        serde_json::to_vec_pretty(&record).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Reads such a text; `place` is named where it is damaged.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is damaged, or of another format.
    pub fn from_record(text: &str, place: &str) -> Result<Self> {
        let damaged = |reason: String| Error::Internal(format!("{place} is damaged: {reason}"));
        let record: StateRecord = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if record.format != FORMAT {
            return Err(damaged(format!("format {FORMAT} expected, found {}", record.format)));
        }
        let mut state = Self::default();
        for entry in record.services {
            if state.is_taken(&entry.name) {
                tracing::error!(service = %entry.name, "recorded twice; the second is left out");
            } else {
                state.insert(entry);
            }
        }
        for alias in record.aliases {
            state = state.with_alias(AliasEntry::try_from(alias)?);
        }
        Ok(state)
    }
}

/// One alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasRecord {
    name: ServiceName,
    generation: u64,
    history: Vec<StepRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<Share>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<Share>,
}

/// One step: with the number of a service, or the name of a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepRecord {
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<ServiceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<PeerName>,
    name: ServiceName,
    at_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<MoveId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted_version: Option<Digest>,
}

impl From<&AliasEntry> for AliasRecord {
    fn from(alias: &AliasEntry) -> Self {
        let history = alias.history.iter().map(|step| {
            let (service, peer, name) = match &step.target {
                Target::Service { id, name } => (Some(*id), None, name.clone()),
                Target::Peer { peer, service } => (None, Some(peer.clone()), service.clone()),
            };
            let Step { generation, at_s, by, deleted_version, .. } = *step;
            StepRecord { generation, service, peer, name, at_s, by, deleted_version }
        });
        let (history, name) = (history.collect(), alias.name.clone());
        Self { name, generation: alias.generation, history, canary: alias.canary, shadow: alias.shadow }
    }
}

impl TryFrom<AliasRecord> for AliasEntry {
    type Error = Error;

    fn try_from(record: AliasRecord) -> Result<Self> {
        let damaged = |what: &str| Error::Internal(format!("the record of alias {} is damaged: {what}", record.name));
        if record.history.is_empty() {
            return Err(damaged("it points nowhere"));
        }
        let steps = record.history.iter().map(|step| {
            let name = step.name.clone();
            let target = match (step.service, step.peer.clone()) {
                (Some(id), None) => Target::Service { id, name },
                (None, Some(peer)) => Target::Peer { peer, service: name },
                (None, None) | (Some(_), Some(_)) => return Err(damaged("a step has one service or one peer")),
            };
            let StepRecord { generation, at_s, by, deleted_version, .. } = *step;
            Ok(Step { generation, target, at_s, by, deleted_version })
        });
        let history = steps.collect::<Result<_>>()?;
        let AliasRecord { name, generation, canary, shadow, .. } = record;
        Ok(Self { name, generation, history, canary, shadow })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<AliasEntry, String> {
        let record: AliasRecord = serde_json::from_str(text).map_err(|error| error.to_string())?;
        AliasEntry::try_from(record).map_err(|error| error.to_string())
    }

    /// As the first version with this format wrote it: a takeover, a canary, a shadow, a peer, a deleted service, and one that gave its
    /// place in memory to another.
    const RECORDED: &str = include_str!("fixtures/state.json");

    #[test]
    fn the_record_of_an_earlier_version_is_read_and_written_alike() {
        let state = DesiredState::from_record(RECORDED, "the fixture").unwrap();
        assert_eq!((state.services().count(), state.aliases().count()), (5, 5));
        assert_eq!(String::from_utf8(state.to_record().unwrap()).unwrap(), RECORDED);
    }

    #[test]
    fn another_format_is_refused() {
        let text = RECORDED.replacen("\"format\": 1", "\"format\": 2", 1);
        let error = DesiredState::from_record(&text, "the fixture").unwrap_err().to_string();
        assert!(error.ends_with("the fixture is damaged: format 1 expected, found 2"), "{error}");
    }

    #[test]
    fn records_of_the_first_format_are_read_and_written_alike() {
        let text = r#"{"name":"a","generation":2,"history":[{"generation":2,"service":7,"name":"b","at_s":1}]}"#;
        let alias = read(text).unwrap();
        assert_eq!((alias.target().service(), alias.canary, alias.shadow), (Some(ServiceId(7)), None, None));
        assert_eq!(serde_json::to_string(&AliasRecord::from(&alias)).unwrap(), text);
    }

    #[test]
    fn a_whole_route_survives_its_record() {
        let text = r#"{"name":"a","generation":3,"history":[{"generation":3,"peer":"prod","name":"b","at_s":1}],"canary":{"service":4,"percent":5},"shadow":{"service":5,"percent":100}}"#;
        let alias = read(text).unwrap();
        assert_eq!(alias.target().to_string(), "prod/b");
        assert_eq!(serde_json::to_string(&AliasRecord::from(&alias)).unwrap(), text);
    }

    #[test]
    fn damaged_records_are_refused() {
        for (text, complaint) in [
            (r#"{"name":"a","generation":2,"history":[]}"#, "points nowhere"),
            (
                r#"{"name":"a","generation":2,"history":[{"generation":2,"name":"b","at_s":1}]}"#,
                "one service or one peer",
            ),
            (r#"{"name":"a","generation":2,"history":[],"canary":{"service":1,"percent":101}}"#, "0 to 100 expected"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
