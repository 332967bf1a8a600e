//! What a server shows of itself at one moment: services, aliases, moves. It knows nothing of what was done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dede_testing::http::Connection;
use serde_json::{Value, json};

use super::schedule::rank;
use crate::server::Server;

/// What happened since the observation before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Nothing that a person did.
    Watching,
    /// A person called.
    Told,
    /// The server was down for a while.
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceSeen {
    pub(super) directory: PathBuf,
    /// `None` while it has no network.
    pub(super) version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AliasSeen {
    pub(super) service: String,
    pub(super) generation: u64,
    /// Generations and the services that each began to point to.
    pub(super) steps: Vec<(u64, String)>,
    pub(super) canary: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct MoveSeen {
    pub(super) id: String,
    pub(super) phase: String,
    pub(super) waits_for: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) version: String,
    /// `None` before the plan is computed.
    pub(super) directory: Option<PathBuf>,
    pub(super) replaces_first: bool,
    pub(super) has_canary: bool,
    pub(super) was_done: bool,
    /// What became of the former service that was kept for a while: `None` where none was, or not yet.
    pub(super) kept: Option<Option<String>>,
    /// All of it.
    pub(super) info: Value,
}

#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) since: Since,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) services: BTreeMap<String, ServiceSeen>,
    pub(super) aliases: BTreeMap<String, AliasSeen>,
    pub(super) moves: Vec<MoveSeen>,
}

impl MoveSeen {
    pub(super) fn is_over(&self) -> bool {
        ["done", "aborted", "rolled_back", "damaged"].contains(&self.phase.as_str())
    }

    /// Whether it has come to this phase; one that is over has.
    pub(super) fn has_come_to(&self, phase: &str) -> bool {
        rank(&self.phase) >= rank(phase)
    }

    fn read(info: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (request, report) = (&info["request"], &info["report"]);
        let phases = report["phases"].as_array().into_iter().flatten();
        let kept = &report["kept"];
        Self {
            id: text(&info["id"]).unwrap_or_default(),
            phase: text(&info["phase"]).unwrap_or_default(),
            waits_for: text(&info["waits_for"]),
            alias: text(&request["as"]),
            version: text(&report["version"]).unwrap_or_default(),
            directory: text(&report["repository"]).filter(|text| !text.is_empty()).map(PathBuf::from),
            replaces_first: request["replace_first"] == true,
            has_canary: request["canary"].as_array().is_some_and(|shares| !shares.is_empty()),
            was_done: phases.into_iter().any(|phase| phase["phase"] == "done"),
            kept: kept.is_object().then(|| text(&kept["outcome"])),
            info: info.clone(),
        }
    }
}

impl Observation {
    /// Looks at everything. Moves first: what an alias shows is at least as new as what its move says.
    pub(super) fn of(server: &Server, since: Since) -> Self {
        let began = Instant::now();
        let connection = &mut server.connect();
        let moves = moves(connection);
        let (aliases, services) = loop {
            let aliases = aliases(connection);
            let services = services(connection);
            if aliases == self::aliases(connection) {
                break (aliases, services);
            }
        };
        Self { since, began, ended: Instant::now(), services, aliases, moves }
    }

    /// The service that answers under a name, and how it is called.
    pub(super) fn answers(&self, name: &str) -> Option<(&str, &ServiceSeen)> {
        let called = self.aliases.get(name).map_or(name, |alias| alias.service.as_str());
        self.services.get_key_value(called).map(|(called, service)| (called.as_str(), service))
    }

    /// Where the service is that answers under a name.
    pub(super) fn place(&self, name: &str) -> Option<&Path> {
        self.answers(name).map(|(_, service)| service.directory.as_path())
    }

    /// Services in a directory, by name.
    pub(super) fn in_directory(&self, directory: &Path) -> impl Iterator<Item = (&String, &ServiceSeen)> {
        self.services.iter().filter(move |(_, service)| service.directory == directory)
    }

    pub(super) fn find(&self, id: &str) -> Option<&MoveSeen> {
        self.moves.iter().find(|seen| seen.id == id)
    }

    /// In a few words, for people.
    pub(super) fn summary(&self) -> Value {
        let services: Vec<_> = self
            .services
            .iter()
            .map(|(name, seen)| format!("{name} {} in {}", short(seen.version.as_deref()), seen.directory.display()))
            .collect();
        let aliases: Vec<_> =
            self.aliases.iter().map(|(name, seen)| format!("{name}->{} g{}", seen.service, seen.generation)).collect();
        let moves: Vec<_> = self
            .moves
            .iter()
            .map(|seen| format!("{} {} {:?} {}", seen.id, seen.phase, seen.waits_for, seen.info["error"]))
            .collect();
        json!([services, aliases, moves])
    }
}

/// First digits of a version.
pub(super) fn short(version: Option<&str>) -> &str {
    version.and_then(|version| version.strip_prefix("sha256:")?.get(..8)).unwrap_or("without network")
}

/// All moves of a server.
pub(super) fn moves(connection: &mut Connection) -> Vec<MoveSeen> {
    let listed = get(connection, "/moves").1["body"].clone();
    listed.as_array().into_iter().flatten().map(MoveSeen::read).collect()
}

fn services(connection: &mut Connection) -> BTreeMap<String, ServiceSeen> {
    let listed = get(connection, "/info").1["head"]["services"].clone();
    let one = |service: &Value| {
        let text = |member: &str| service[member].as_str().map(str::to_owned);
        let directory = PathBuf::from(text("repository").unwrap_or_default());
        (text("name").unwrap_or_default(), ServiceSeen { directory, version: text("version") })
    };
    listed.as_array().into_iter().flatten().map(one).collect()
}

fn aliases(connection: &mut Connection) -> BTreeMap<String, AliasSeen> {
    let names = get(connection, "/aliases").1["body"].clone();
    let one = |name: &Value| {
        let name = name.as_str()?.to_owned();
        let (status, answer) = get(connection, &format!("/aliases/{name}"));
        // It went between the two calls.
        (status == 200).then(|| (name, alias(&answer["body"])))
    };
    names.as_array().into_iter().flatten().filter_map(one).collect()
}

fn get(connection: &mut Connection, path: &str) -> (u16, Value) {
    let response = connection.send("GET", path, b"").unwrap();
    (response.status, response.json().unwrap())
}

fn alias(info: &Value) -> AliasSeen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = info["history"].as_array().into_iter().flatten();
    AliasSeen {
        service: text(&info["service"]),
        generation: info["generation"].as_u64().unwrap_or_default(),
        steps: steps.map(|step| (step["generation"].as_u64().unwrap_or_default(), text(&step["service"]))).collect(),
        canary: info["canary"]["service"].as_str().map(str::to_owned),
    }
}
