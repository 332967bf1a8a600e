//! How an alias is recorded. Records of servers that knew no peers, canaries and shadows are read too.

use std::sync::Arc;

use dede_bundle::Digest;
use dede_model::error::Error;
use serde::{Deserialize, Serialize};

use super::alias::{Alias, Share, Step, Target};
use crate::move_id::MoveId;
use crate::name::{PeerName, ServiceName};
use crate::service::ServiceId;

/// One alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AliasRecord {
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

impl From<&Alias> for AliasRecord {
    fn from(alias: &Alias) -> Self {
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

impl TryFrom<AliasRecord> for Alias {
    type Error = Error;

    fn try_from(record: AliasRecord) -> Result<Self, Error> {
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
        let history = steps.collect::<Result<_, _>>()?;
        let AliasRecord { name, generation, canary, shadow, .. } = record;
        Ok(Self { name, generation, history, canary, shadow, traffic: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Alias, String> {
        let record: AliasRecord = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Alias::try_from(record).map_err(|error| error.to_string())
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
