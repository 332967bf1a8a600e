//! What is known of a service besides what it answers with: its identity, its name, and how it was asked for.

use dede_bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// One service, described by its creation request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEntry {
    /// Stays when the service is renamed.
    pub id: ServiceId,
    /// Its name now.
    pub name: ServiceName,
    /// Its creation, as a record: see [`crate::service::CreationRequest::from_record`].
    pub request: String,
    /// A restart does not load it, in favour of another service.
    #[serde(rename = "dormant", default, skip_serializing_if = "std::ops::Not::not")]
    pub unloaded: bool,
    /// The move that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<MoveId>,
    /// What its repository looked like when it was loaded: [`crate::service::Serving::listing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Digest>,
}
