//! Places for several calls that belong together: their names are resolved in one generation of the catalogue, and each service keeps a
//! place for them until all are answered.
//!
//! Between two of the calls an alias may be switched, and a network exchanged: neither is seen by the calls that come after. The place in
//! the queue of a service also keeps its network in memory. Slots are taken by each call for itself, so that none waits for one while it
//! holds another. It must not know what the calls have to do with each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::{Addressee, Admitted, Call, Dispatcher, Door, RemoteTarget, Target, until_over};
use crate::catalogue::{Resolved, Routed};
use crate::limiter::{Hold, Permit, Refused};
use crate::name::ServiceName;

/// Services by the names that they were asked by, each with a place in its queue.
pub struct Reserved(BTreeMap<ServiceName, (Resolved, Arc<Permit>)>);

/// Why names have no places yet.
enum Unplaced {
    /// A network is being exchanged: its end is waited for.
    Held(Arc<Hold>),
    /// Routed right before an exchange and admitted right after it.
    Moved,
    /// One of them is a service of a peer.
    Remote(RemoteTarget),
    Failed(Error),
}

impl From<Error> for Unplaced {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Dispatcher {
    /// Takes a place at each of these services or aliases, all of them as one generation of the catalogue has them: an alias is asked
    /// once whether it is its canary's turn. While a network is exchanged it holds no place, waits, and begins again.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`]; [`Error::AliasConflict`] for an alias of a service of a peer; [`Error::Overloaded`];
    /// [`Error::DeadlineExceeded`].
    pub async fn reserve(&self, names: &[&str], deadline: Option<tokio::time::Instant>) -> Result<Reserved> {
        loop {
            match self.places(names) {
                Ok(places) => return Ok(Reserved(places)),
                Err(Unplaced::Moved) => {}
                Err(Unplaced::Held(hold)) => until_over(&hold, deadline).await?,
                Err(Unplaced::Failed(error)) => return Err(error),
                Err(Unplaced::Remote(RemoteTarget { asked, peer, service })) => {
                    let why = "images are handed on within one server: send the chain to that one";
                    return Err(Error::AliasConflict(format!("{asked} is {service} of the server {peer}; {why}")));
                }
            }
        }
    }

    fn places(&self, names: &[&str]) -> Result<BTreeMap<ServiceName, (Resolved, Arc<Permit>)>, Unplaced> {
        let snapshot = self.catalogue.snapshot();
        let mut places: BTreeMap<ServiceName, (Resolved, Arc<Permit>)> = BTreeMap::new();
        for name in names {
            let missing = || Error::ServiceNotFound((*name).to_owned());
            let parsed = ServiceName::parse(name).map_err(|_| missing())?;
            if places.contains_key(&parsed) {
                continue;
            }
            let resolved = match snapshot.route(name)? {
                Routed::Here(resolved) => resolved,
                Routed::There { asked, peer, service } => {
                    return Err(Unplaced::Remote(RemoteTarget { asked, peer, service }));
                }
            };
            match resolved.service.queue.admit() {
                Ok(_) if !resolved.service.is_loaded() && self.leads_elsewhere(name, &resolved) => {
                    return Err(Unplaced::Moved);
                }
                Ok(permit) => drop(places.insert(parsed, (resolved, Arc::new(permit)))),
                Err(Refused::Full(error)) => return Err(Unplaced::Failed(error)),
                Err(Refused::Held(hold)) => return Err(Unplaced::Held(hold)),
            }
        }
        Ok(places)
    }

    /// Answers a call by the service that has a place for it, as [`Dispatcher::infer`] does.
    ///
    /// # Errors
    /// As there; [`Error::ServiceNotFound`] for a name without a place.
    pub async fn infer_reserved<D: Door>(
        &self,
        door: D,
        reserved: &Reserved,
        call: Call,
    ) -> Result<D::Reply, D::Failure> {
        let place = ServiceName::parse(&call.name).ok().and_then(|name| reserved.0.get(&name));
        let Some((resolved, permit)) = place else { return Err(Error::ServiceNotFound(call.name).into()) };
        let target = Target::Here(Arc::clone(&resolved.service));
        let to = Addressee { asked: Some(resolved.asked.clone()), target };
        let admitted = Admitted { resolved: resolved.clone(), permit: Arc::clone(permit), outbound: None };
        self.answer(door, admitted, call, to).await
    }
}
