//! Where a request that is addressed to a name goes.

use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::alias::Alias;
use super::desired::Target;
use super::snapshot::Snapshot;
use super::traffic::Traffic;
use crate::name::{PeerName, ServiceName};
use crate::service::Service;
use crate::shadow::Shadow;

/// A service, and by which names it was found.
#[derive(Clone)]
pub struct Resolved {
    /// The service.
    pub service: Arc<Service>,
    /// Its name in this snapshot.
    pub name: ServiceName,
    /// The name that was asked for: its own, or an alias.
    pub asked: ServiceName,
    /// The runtime state of the alias that was asked for.
    traffic: Option<Arc<Traffic>>,
    part: Part,
}

/// The role of a service in the alias that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Target,
    Canary,
}

/// Where a request goes.
#[derive(Clone)]
pub enum Routed {
    /// To a service of this server.
    Here(Resolved),
    /// To a service of a peer.
    There {
        /// The alias that was asked for.
        asked: ServiceName,
        /// The server.
        peer: PeerName,
        /// The name there.
        service: ServiceName,
    },
}

impl Resolved {
    /// Whether an alias was asked for.
    pub fn is_alias(&self) -> bool {
        self.name != self.asked
    }

    /// The shadow that this request goes to as well, once it is answered; each call counts as one request.
    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        match self.part {
            Part::Target => self.traffic.as_ref()?.shadow_due(),
            Part::Canary => None,
        }
    }

    /// The shadow that is asked whether it would have answered a request that was refused; each call counts as one
    /// request. Requests that a canary refuses are put to the target of its alias.
    pub fn shadow_of_refused(&self) -> Option<Arc<Shadow>> {
        match self.part {
            Part::Target => self.shadow(),
            Part::Canary => self.traffic.as_ref()?.second_opinion(),
        }
    }
}

impl Snapshot {
    /// The service of this server behind a name, be it its own or an alias.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`]; [`Error::AliasConflict`] when the name points to a peer.
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        match self.place(parsed(name)?)? {
            Routed::Here(resolved) => Ok(resolved),
            Routed::There { asked, peer, .. } => {
                Err(Error::AliasConflict(format!("{asked} points to a service of {peer}, not of this server")))
            }
        }
    }

    /// Where requests other than predicts go: to the service of this name, or to the target of the alias.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`].
    pub fn whereabouts(&self, name: &str) -> Result<Routed> {
        self.place(parsed(name)?)
    }

    /// Where the next predict addressed to a name goes: to the target, unless it is the canary's turn.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`].
    pub fn route(&self, name: &str) -> Result<Routed> {
        let asked = parsed(name)?;
        match self.alias(&asked).and_then(|alias| self.canary_of(alias)) {
            Some((name, service)) => {
                let traffic = self.alias(&asked).map(|alias| Arc::clone(&alias.traffic));
                Ok(Routed::Here(Resolved { service, name, asked, traffic, part: Part::Canary }))
            }
            None => self.place(asked),
        }
    }

    fn place(&self, asked: ServiceName) -> Result<Routed> {
        let missing = || Error::ServiceNotFound(asked.to_string());
        let alias = self.alias(&asked);
        let own = match alias.map(|alias| alias.target()) {
            None => asked.clone(),
            Some(Target::Service { id, .. }) => self.name_of(*id).ok_or_else(missing)?.clone(),
            Some(Target::Peer { peer, service }) => {
                return Ok(Routed::There { asked, peer: peer.clone(), service: service.clone() });
            }
        };
        let service = Arc::clone(self.services.get(&own).ok_or_else(missing)?);
        let traffic = alias.map(|alias| Arc::clone(&alias.traffic));
        Ok(Routed::Here(Resolved { service, name: own, asked, traffic, part: Part::Target }))
    }

    /// The canary, when it is its turn. One that came back from a restart without a model gets none.
    fn canary_of(&self, alias: &Alias) -> Option<(ServiceName, Arc<Service>)> {
        let canary = alias.present_canary()?;
        let name = self.name_of(canary.service)?;
        let service = self.services.get(name)?;
        let can_answer = service.serving().is_ok_and(|serving| serving.model.is_some());
        (can_answer && alias.traffic.canary.is_due(canary.percent)).then(|| (name.clone(), Arc::clone(service)))
    }
}

/// A name that is not valid is answered as one that does not exist.
fn parsed(name: &str) -> Result<ServiceName> {
    ServiceName::parse(name).map_err(|_| Error::ServiceNotFound(name.to_owned()))
}
