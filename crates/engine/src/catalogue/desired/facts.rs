//! What a change depends on besides the recorded state: what services answer with now, and what goes on in this process.
//!
//! These are asked for while a command is applied, and not carried by it, since they may change between the request of a client and its
//! turn. Applying is a pure function of the state, the command and these answers; a test answers without running anything.

use std::sync::Arc;

use dede_bundle::Digest;
use dede_model::error::Result;

use super::alias::Share;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// Answers of what runs.
pub trait Facts {
    /// What a service answers with, or why it cannot; `None` for one that this server cannot even build.
    fn serving(&self, service: ServiceId) -> Option<Result<Served>>;

    /// Whether this server could build a service, be it loaded or not.
    fn is_built(&self, service: ServiceId) -> bool {
        self.serving(service).is_some()
    }

    /// Whether a service is being deleted: it still answers, but nothing may point there any more.
    fn is_being_deleted(&self, service: ServiceId) -> bool;

    /// Whether an alias is being rolled back, and requests wait for that.
    fn is_returning(&self, alias: &ServiceName) -> bool;

    /// Whether a client was told that a move is being undone.
    fn is_being_undone(&self, by: MoveId) -> bool;

    /// The temporary canary of an alias.
    fn canary_override(&self, alias: &ServiceName) -> Option<Share>;

    /// Seconds since 1970.
    fn now_s(&self) -> u64;
}

/// What identifies the answers of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// `sha256:…`, or `none` without a network.
    pub version: Arc<str>,
    /// The same as a digest; `None` without a network.
    pub digest: Option<Digest>,
    /// What the repository looked like before it was loaded, where that can be told.
    pub listing: Option<Digest>,
}
