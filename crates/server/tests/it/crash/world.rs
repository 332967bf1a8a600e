//! Two servers, a command and clients: what a move needs, and what must be so when it is over.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dede_testing::http::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::models::{Models, Size};
use super::process::{CliProcess, ServerProcess};
use crate::clients::Clients;
use crate::models::Model;
use crate::right::Version;
use crate::server::{eventually, write_peers};
use crate::tree::{Tree, assert_same, tree};

/// What has the stable name before the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service of that name.
    Service,
    /// A service of that name, which leaves memory before the other is loaded.
    Exchanged,
    /// An alias.
    Alias,
    /// Nothing; clients ask for a service that has nothing to do with the move.
    Free,
}

/// The version that production serves, and the one that comes.
const FIRST: Version = 0;
const SECOND: Version = 1;
const CLIENTS: usize = 2;
const PACE: Duration = Duration::from_millis(2);

pub(super) struct World {
    pub(super) source: ServerProcess,
    pub(super) target: ServerProcess,
    pub(super) clients: Clients,
    models: &'static Models,
    kind: Kind,
    size: Size,
    source_before: Tree,
    target_before: Tree,
    repositories_before: Tree,
    root: TempDir,
}

impl World {
    pub(super) fn new(kind: Kind, size: Size) -> Self {
        Self::through(kind, size, |source| format!("http://{source}"))
    }

    /// As [`World::new`]; the target reaches its source under the URL that `place` makes of the source's address.
    pub(super) fn through(kind: Kind, size: Size, place: impl FnOnce(SocketAddr) -> String) -> Self {
        let models = Models::trained();
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let source = ServerProcess::start(&path.join("development"));
        let source_url = place(source.address());
        write_peers(path, &[("dev", &source_url)]);
        let target = ServerProcess::start(&path.join("production"));
        write_peers(path, &[("dev", &source_url), ("prod", &target.url())]);
        put_service(&source, "service2", models.second(size), path.join("development/model"));
        let first = path.join("repositories/first");
        let asked = match kind {
            Kind::Service | Kind::Exchanged => {
                put_service(&target, "service1", &models.first, first);
                "service1"
            }
            Kind::Alias => {
                put_service(&target, "first", &models.first, first);
                assert_eq!(call(&target, "PUT", "/aliases/service1", &json!({"service": "first"})).0, 200);
                "service1"
            }
            Kind::Free => {
                put_service(&target, "bystander", &models.first, first);
                "bystander"
            }
        };
        let clients = Clients::start_paced(target.address(), asked, CLIENTS, models.expected(asked, size), PACE);
        Self {
            source_before: development(path),
            target_before: tree(&target.state()),
            repositories_before: tree(&path.join("repositories")),
            source,
            target,
            clients,
            models,
            kind,
            size,
            root,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn cli(&self, arguments: &[&str], held: Option<&str>) -> CliProcess {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        CliProcess::start(&self.path().join("operator"), &arguments, held)
    }

    /// A service of the target with the version that production serves, in a directory of its own.
    pub(super) fn put_first(&self, name: &str) {
        put_service(&self.target, name, &self.models.first, self.path().join("repositories").join(name));
    }

    /// `dede move service2` with what makes it short.
    pub(super) fn start_move(&self, further: &[&str], held: Option<&str>) -> CliProcess {
        let fixed = ["move", "service2", "--from", "dev", "--to", "prod", "--as", "service1"];
        let short = ["--shadow-for", "1s", "--shadow-requests", "40", "--watch-for", "1s", "--drain-for", "5s"];
        // Longer than a test holds the move still.
        let exchanged = ["--replace-first", "--hold-for", "60s"];
        let first = if self.kind == Kind::Exchanged { &exchanged[..] } else { &[] };
        self.cli(&[&fixed[..], &short[..], first, further].concat(), held)
    }

    /// The move of this world; `None` when none is known.
    pub(super) fn info(&self) -> Option<Value> {
        let (status, answer) = call(&self.target, "GET", "/moves/m1", &Value::Null);
        (status == 200).then(|| answer["body"].clone())
    }

    pub(super) fn phase(&self) -> String {
        self.info().map_or_else(|| "none".into(), |info| info["phase"].as_str().unwrap().to_owned())
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase().as_str(), "done" | "aborted" | "rolled_back")
    }

    pub(super) fn waits_for(&self) -> Option<String> {
        self.info()?["waits_for"].as_str().map(str::to_owned)
    }

    pub(super) fn wait_until_over(&self) {
        eventually("the move is over", || self.is_over());
    }

    /// Which version clients may see now, by what the alias says; nothing of the kind where they ask for something else.
    pub(super) fn allowed_now(&self) -> Version {
        if self.kind == Kind::Free || !self.is_switched() { FIRST } else { SECOND }
    }

    pub(super) fn is_switched(&self) -> bool {
        let (status, answer) = call(&self.target, "GET", "/aliases/service1", &Value::Null);
        status == 200 && answer["body"]["service"] == "service2"
    }

    /// From here on clients may see either; where they ask for something else, only that.
    pub(super) fn allow_either(&self) {
        if self.kind != Kind::Free {
            self.clients.allow(&[FIRST, SECOND]);
        }
    }

    /// A server that was killed is there again.
    pub(super) fn restart_target(&mut self) {
        self.target.restart();
        let allowed = self.allowed_now();
        self.clients.allow(&[allowed]);
        self.clients.up(self.target.address());
    }

    pub(super) fn kill_target(&mut self) {
        self.clients.going_down();
        self.target.kill();
    }

    /// All that must be so at the end, whatever happened before. `outside`: the directory that was asked for.
    pub(super) fn check_end(self, outside: Option<&Path>) {
        let phase = self.phase();
        let allowed = self.allowed_now();
        self.clients.allow(&[allowed]);
        self.clients.wait_for(50);
        match phase.as_str() {
            "none" | "aborted" => {
                assert_eq!(allowed, FIRST);
                assert_same(&self.target_before, &tree(&self.target.state()), "production");
                assert_same(&self.repositories_before, &tree(&self.path().join("repositories")), "a repository");
            }
            "done" => self.check_done(outside),
            "rolled_back" => assert!(!self.is_switched()),
            other => panic!("the move is {other}"),
        }
        assert_same(&self.source_before, &development(self.path()), "development");
        let seen = self.clients.stop();
        assert!(
            seen.failures.is_empty(),
            "{phase}, {} failures, first: {:?}",
            seen.failures.len(),
            seen.failures.first()
        );
    }

    fn check_done(&self, outside: Option<&Path>) {
        assert!(self.is_switched());
        let second = self.models.second(self.size);
        let request =
            json!({"service": "service1", "parameters": {"output": {"best": 3}}, "data": [self.models.inputs[0]]});
        let mut connection = Connection::open(self.target.address()).unwrap();
        let response = connection.send("POST", "/predict", request.to_string().as_bytes()).unwrap();
        assert_eq!(response.header("x-dede-served-by"), Some(format!("service2@{}", second.digest).as_str()));
        let default = || self.target.state().join("repositories/service2").join(&second.digest["sha256:".len()..]);
        let written = tempfile::tempdir().unwrap();
        second.write(written.path());
        let (there, here) = (tree(outside.unwrap_or(&default())), tree(written.path()));
        let differing: Vec<_> =
            there.iter().filter(|(name, digest)| *name != "config.json" && here.get(*name) != Some(digest)).collect();
        assert!(there.len() > 2 && differing.is_empty(), "{differing:?} of {there:?}");
        assert_eq!(call(&self.target, "GET", "/moves/m1/certificate", &Value::Null).0, 200);
    }
}

/// Everything the source has: its state, and the repository of its service.
fn development(root: &Path) -> Tree {
    let mut all = tree(&root.join("development/state"));
    all.extend(tree(&root.join("development/model")));
    all
}

/// One request on a connection of its own, its status and its JSON.
pub(super) fn call(server: &ServerProcess, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let sent =
        Connection::open(server.address()).and_then(|mut connection| connection.send(method, path, text.as_bytes()));
    let response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", server.log()));
    (response.status, response.json().unwrap_or_default())
}

pub(super) fn put_service(server: &ServerProcess, name: &str, model: &Model, repository: PathBuf) {
    model.write(&repository);
    let body = json!({
        "mllib": "caffe",
        "description": "to be moved",
        "type": "supervised",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository},
    });
    let (status, answer) = call(server, "PUT", &format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}
