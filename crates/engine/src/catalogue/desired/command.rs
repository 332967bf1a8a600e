//! The changes of the recorded state, as data.
//!
//! Names that clients wrote are looked up when a command is applied, not before: it may have waited for others.

use super::alias::Share;
use super::service::ServiceEntry;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Puts in a service, which is loaded already.
    Create(ServiceEntry),
    /// Forgets a service.
    Delete(ServiceId),
    /// Renames a service; an alias on it follows.
    Rename {
        /// Its name now.
        from: ServiceName,
        /// Its name from then on.
        to: ServiceName,
    },
    /// Changes the alias of this name.
    Alias(ServiceName, AliasCommand),
    /// Changes several aliases, all of them or none: each change is made to what those before it left. No alias is named twice.
    Together(Vec<(ServiceName, AliasCommand)>),
}

/// One change of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasCommand {
    /// Sets the whole route, or creates it; puts it in the place of a service where that is asked for.
    Set(AliasChange),
    /// Points it to a service, or creates it: the commit of a move.
    Switch(SwitchRequest),
    /// Gives it another canary, or none; everything else stays.
    SetCanary {
        /// The canary.
        canary: Option<Share>,
        /// A condition.
        expect: Option<Expected>,
    },
    /// Gives it another shadow, or none; everything else stays.
    SetShadow {
        /// The shadow.
        shadow: Option<Share>,
        /// A condition.
        expect: Option<Expected>,
    },
    /// Points it to what it pointed to before, alone.
    RollBack {
        /// A condition.
        expect: Option<Expected>,
    },
    /// Points it from one service to another, which it pointed to before, alone.
    Return {
        /// The generation that it must have.
        generation: u64,
        /// The service that it must point to.
        from: ServiceId,
        /// The service to go back to.
        to: ServiceId,
        /// The version that this one must have; any without.
        version: Option<String>,
    },
    /// As [`AliasCommand::Return`], to a service that was loaded in place of the present one: a restart does the same.
    Exchange {
        /// A condition.
        expect: Option<Expected>,
        /// The service that it must point to, which left memory.
        from: ServiceId,
        /// The service to go back to, which was loaded.
        to: ServiceId,
    },
    /// Undoes a takeover: the alias goes, and the service it points to has its name again.
    GiveNameBack {
        /// A condition.
        expect: Option<Expected>,
    },
    /// Removes it; the service it points to stays.
    Delete,
    /// The same, by the move that made it, if it still points to this service.
    DeleteOf(ServiceId),
}

/// The whole route of an alias as a client wrote it; what is left out is not there afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasChange {
    /// The service to point to.
    pub service: String,
    /// The peer that has it; this server without.
    pub peer: Option<String>,
    /// The service that answers a share of the requests.
    pub canary: Option<ShareChange>,
    /// The service that gets copies of a share of the requests.
    pub shadow: Option<ShareChange>,
    /// What it must point to now: `service`, or `peer/service`.
    pub expect: Option<String>,
    /// The generation it must have now; 0: no alias yet.
    pub expect_generation: Option<u64>,
    /// Rename a service that has the alias's name.
    pub takeover: bool,
}

/// A canary or shadow as a client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareChange {
    /// A service of this server.
    pub service: String,
    /// Of 100 requests.
    pub percent: u8,
}

/// Points an alias to a service of this server. Its canary and shadow replace the present ones.
#[derive(Debug, Clone, PartialEq, Eq)]
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
