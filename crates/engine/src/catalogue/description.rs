//! What GET /aliases/{name} shows.

use dede_api::aliases::{AliasInfo, AliasShadow, AliasShare, AliasStep};
use dede_model::error::{Error, Result};

use super::alias::{Alias, Share, Step, Target};
use super::snapshot::Snapshot;
use crate::name::ServiceName;
use crate::shadow::ShadowCounts;

impl Snapshot {
    /// What GET /aliases/{name} shows.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn alias_info(&self, name: &ServiceName) -> Result<AliasInfo> {
        let alias = self.alias(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        let (service, peer) = self.shown(alias.target());
        let serving = self.services.get(service.as_str()).filter(|_| peer.is_none()).and_then(|s| s.serving().ok());
        Ok(AliasInfo {
            name: name.to_string(),
            service,
            peer,
            digest: serving.and_then(|serving| serving.digest).map(|digest| digest.to_string()),
            generation: alias.generation,
            canary: alias.present_canary().map(|share| self.share(share)),
            shadow: alias.shadow.map(|share| self.shadow(alias, share)),
            history: alias.history.iter().map(|step| self.step(step)).collect(),
        })
    }

    /// A target under its present name.
    pub fn present(&self, target: &Target) -> Target {
        match target.service().filter(|id| self.names.contains_key(id)) {
            Some(id) => self.target(id),
            None => target.clone(),
        }
    }

    fn shown(&self, target: &Target) -> (String, Option<String>) {
        match self.present(target) {
            Target::Service { name, .. } => (name.to_string(), None),
            Target::Peer { peer, service } => (service.to_string(), Some(peer.to_string())),
        }
    }

    fn step(&self, step: &Step) -> AliasStep {
        let (service, peer) = self.shown(&step.target);
        let by = step.by.map(|id| format!("/moves/{id}"));
        AliasStep { generation: step.generation, service, peer, at_s: step.at_s, by }
    }

    /// A service that did not come back has no name.
    fn share(&self, share: Share) -> AliasShare {
        let service = self.names.get(&share.service).map(ToString::to_string).unwrap_or_default();
        AliasShare { service, percent: share.percent.get() }
    }

    fn shadow(&self, alias: &Alias, share: Share) -> AliasShadow {
        let ShadowCounts { compared, dropped, failed, changed, .. } = alias.shadow_counts();
        AliasShadow { share: self.share(share), compared, dropped, failed, changed }
    }
}
