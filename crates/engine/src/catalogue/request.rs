//! Requests to change an alias, typed: those of a move, and those of a PUT once its names are looked up.

use dede_api::requests::{PutAlias, ShareRequest};
use dede_model::error::{Error, Fault, Result};

use super::alias::{Share, Target};
use super::snapshot::Snapshot;
use crate::move_id::MoveId;
use crate::name::{PeerName, ServiceName};
use crate::percent::Percent;
use crate::service::ServiceId;

/// Points an alias to a service of this server. Its canary and shadow replace the present ones.
#[derive(Debug, Clone)]
pub struct SwitchRequest {
    /// The service.
    pub to: ServiceId,
    /// Conditions on the present state; none: unconditional.
    pub expect: Vec<Expected>,
    /// The version that the service must have now; any without.
    pub version: Option<String>,
    /// Rename a service that has the alias's name, and put the alias in its place.
    pub takeover: bool,
    /// The service that answers a share of the requests.
    pub canary: Option<Share>,
    /// The service that gets copies of a share of the requests: the former target, say.
    pub shadow: Option<Share>,
    /// The move that this is the commit of.
    pub by: Option<MoveId>,
    /// The service whose place in memory the new one took: a restart loads the new one alone.
    pub replaces_in_memory: Option<ServiceId>,
}

impl SwitchRequest {
    /// All requests to one service, whatever the route was before.
    pub fn to(service: ServiceId) -> Self {
        Self {
            to: service,
            expect: Vec::new(),
            version: None,
            takeover: false,
            canary: None,
            shadow: None,
            by: None,
            replaces_in_memory: None,
        }
    }
}

/// Compare-and-swap: a change is refused where this does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The target. A service in the place of the alias counts as its own target.
    Service(ServiceId),
    /// The generation; 0: there is no alias of that name.
    Generation(u64),
    /// The target as it is shown: `service`, or `peer/service`.
    Shown(String),
}

/// A requested route, with its names looked up.
pub(super) struct Wanted {
    pub(super) target: Target,
    pub(super) canary: Option<Share>,
    pub(super) shadow: Option<Share>,
    pub(super) expect: Vec<Expected>,
    pub(super) takeover: bool,
    pub(super) by: Option<MoveId>,
}

impl Wanted {
    /// Looks up the names of a PUT.
    pub(super) fn from_put(put: &PutAlias, snapshot: &Snapshot) -> Result<Self> {
        let target = match &put.peer {
            Some(peer) => Target::Peer { peer: PeerName::parse(peer)?, service: ServiceName::parse(&put.service)? },
            None => snapshot.target(snapshot.pointable(&put.service)?),
        };
        let shown = put.expect.clone().map(Expected::Shown);
        Ok(Self {
            target,
            canary: share(put.canary.as_ref(), "canary.service", snapshot)?,
            shadow: share(put.shadow.as_ref(), "shadow.service", snapshot)?,
            expect: shown.into_iter().chain(put.expect_generation.map(Expected::Generation)).collect(),
            takeover: put.takeover,
            by: None,
        })
    }

    /// The same of a typed request.
    pub(super) fn from_switch(request: SwitchRequest, snapshot: &Snapshot) -> Result<Self> {
        snapshot.check_pointable(request.to)?;
        snapshot.check_version(request.to, request.version.as_deref())?;
        Ok(Self {
            target: snapshot.target(request.to),
            canary: request.canary,
            shadow: request.shadow,
            expect: request.expect,
            takeover: request.takeover,
            by: request.by,
        })
    }
}

fn share(asked: Option<&ShareRequest>, at: &str, snapshot: &Snapshot) -> Result<Option<Share>> {
    let Some(asked) = asked else { return Ok(None) };
    if !ServiceName::parse(&asked.service).is_ok_and(|name| snapshot.is_taken(&name)) {
        return Err(Error::bad_parameter_at(at, format!("no service {}", asked.service)));
    }
    let service = snapshot.pointable(&asked.service)?;
    let percent = Percent::new(asked.percent).map_err(|fault| Error::Malformed(Fault::at(at, fault.reason)))?;
    Ok(Some(Share { service, percent }))
}
