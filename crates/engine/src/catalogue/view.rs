//! An alias as its clients are shown it: under the names that services have now.

use dede_bundle::Digest;
use dede_model::error::{Error, Result};

use super::alias::Alias;
use super::desired::{Share, Step, Target};
use super::snapshot::Snapshot;
use crate::move_id::MoveId;
use crate::name::{PeerName, ServiceName};
use crate::percent::Percent;
use crate::shadow::ShadowCounts;

/// One alias at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasView {
    /// The alias.
    pub name: ServiceName,
    /// The service it points to.
    pub service: ServiceName,
    /// The peer that has the service; `None` where it is this server.
    pub peer: Option<PeerName>,
    /// Digest of that service's model; `None` while it has none, and for a peer's.
    pub digest: Option<Digest>,
    /// Number of times its route changed, from 1.
    pub generation: u64,
    /// The service that answers a share of the requests.
    pub canary: Option<ShareView>,
    /// The service that gets copies of a share of the requests.
    pub shadow: Option<ShadowView>,
    /// What it pointed to, oldest first, the present target last.
    pub history: Vec<StepView>,
}

/// A service and its share of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareView {
    /// The service; one that did not come back from a restart has no name.
    pub service: Option<ServiceName>,
    /// Its share.
    pub percent: Percent,
}

/// The shadow of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowView {
    /// The service and its share.
    pub share: ShareView,
    /// What became of its copies since the server started.
    pub counts: ShadowCounts,
}

/// One step of an alias's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// Generation that this step began.
    pub generation: u64,
    /// The service's name at that time, or now if it was renamed since.
    pub service: ServiceName,
    /// The peer that has the service; `None` where it is this server.
    pub peer: Option<PeerName>,
    /// When, as seconds since 1970.
    pub at_s: u64,
    /// The move that pointed it there, if one did.
    pub by: Option<MoveId>,
}

impl Snapshot {
    /// What clients are shown of an alias.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn alias_view(&self, name: &ServiceName) -> Result<AliasView> {
        let alias = self.alias(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        let (service, peer) = self.shown(alias.target());
        let serving = self.services.get(&service).filter(|_| peer.is_none()).and_then(|s| s.serving().ok());
        Ok(AliasView {
            name: name.clone(),
            service,
            peer,
            digest: serving.and_then(|serving| serving.digest),
            generation: alias.generation,
            canary: alias.present_canary().map(|share| self.share(share)),
            shadow: alias.shadow.map(|share| self.shadow(alias, share)),
            history: alias.history.iter().map(|step| self.step(step)).collect(),
        })
    }

    fn shown(&self, target: &Target) -> (ServiceName, Option<PeerName>) {
        match self.present(target) {
            Target::Service { name, .. } => (name, None),
            Target::Peer { peer, service } => (service, Some(peer)),
        }
    }

    fn step(&self, step: &Step) -> StepView {
        let (service, peer) = self.shown(&step.target);
        StepView { generation: step.generation, service, peer, at_s: step.at_s, by: step.by }
    }

    fn share(&self, share: Share) -> ShareView {
        ShareView { service: self.name_of(share.service).cloned(), percent: share.percent }
    }

    fn shadow(&self, alias: &Alias, share: Share) -> ShadowView {
        ShadowView { share: self.share(share), counts: alias.shadow_counts() }
    }
}
