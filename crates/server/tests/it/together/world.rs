//! A source with `live-detector` and `live-reader`, and a target whose `detector` and `reader` they come to replace.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::models::{Models, put_service};
use crate::server::{Server, binary, eventually, write_peers};

/// The aliases that move.
pub(super) const ALIASES: [&str; 2] = ["detector", "reader"];

pub(super) struct World {
    pub(super) source: Server,
    pub(super) target: Server,
    pub(super) models: &'static Models,
    /// Where the command line has its configuration.
    home: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let (models, source) = (Models::get(), Server::start(&[]));
        let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
        for (server, name, version) in [
            (&source, "live-detector", 1),
            (&source, "live-reader", 1),
            (&target, "detector", 0),
            (&target, "old-reader", 0),
        ] {
            let repository = server.path().join(name);
            models.versions[version].write(&repository);
            put_service(server, name, &repository);
        }
        let (status, answer) = target.put("/aliases/reader", &json!({"service": "old-reader"}));
        assert_eq!(status, 200, "{answer}");
        let home = tempfile::tempdir().unwrap();
        write_peers(home.path(), &[("dev", &source.url()), ("prod", &target.url())]);
        Self { source, target, models, home }
    }

    /// What both are asked to move by, with these members besides.
    pub(super) fn request(members: Value) -> Value {
        let mut request = json!({
            "service": "live-detector", "source": "dev", "as": "detector", "shadow_for_s": 0, "watch_for_s": 0,
            "also": [{"service": "live-reader", "as": "reader"}],
        });
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        request
    }

    /// Begins; the numbers of both moves.
    pub(super) fn begin(&self, members: Value) -> [String; 2] {
        let (status, answer) = self.target.post("/moves", &Self::request(members));
        assert_eq!(status, 202, "{answer}");
        let shown = answer["body"]["together"].as_array().unwrap();
        let aliases: Vec<&Value> = shown.iter().map(|member| &member["as"]).collect();
        assert_eq!(aliases, ALIASES, "{answer}");
        [0, 1].map(|index| shown[index]["id"].as_str().unwrap().to_owned())
    }

    /// What a request to begin is refused with; nothing has begun.
    pub(super) fn refused(&self, members: Value) -> (u16, String) {
        let known = || self.target.get("/moves").1["body"].as_array().unwrap().len();
        let before = known();
        let (status, answer) = self.target.post("/moves", &Self::request(members));
        assert_eq!(known(), before, "{answer}");
        (status, answer.to_string())
    }

    pub(super) fn info(&self, id: &str) -> Value {
        let (status, answer) = self.target.get(&format!("/moves/{id}"));
        assert_eq!(status, 200, "{answer}");
        answer["body"].clone()
    }

    pub(super) fn act(&self, id: &str, action: &str) -> (u16, Value) {
        self.target.post(&format!("/moves/{id}/{action}"), &json!({}))
    }

    /// Waits until both are over; what they came to.
    pub(super) fn outcomes(&self, ids: &[String; 2]) -> [Value; 2] {
        let is_over =
            |id: &String| ["done", "aborted", "rolled_back"].contains(&self.info(id)["phase"].as_str().unwrap());
        eventually("both moves are over", || ids.iter().all(is_over));
        [self.info(&ids[0]), self.info(&ids[1])]
    }

    pub(super) fn until_both_wait(&self, ids: &[String; 2]) {
        eventually("both moves wait for a promotion", || ids.iter().all(|id| self.info(id)["waits_for"] == "promote"));
    }

    /// The services that answer under both names.
    pub(super) fn answer_now(&self) -> [String; 2] {
        ALIASES.map(|alias| {
            let body = crate::models::predict_body(alias, &self.models.inputs[0]).to_string();
            let answer = self.target.send("POST", "/predict", &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.header("x-dede-served-by").unwrap().split_once('@').unwrap().0.to_owned()
        })
    }

    /// The services that answer while nothing has switched; the first was taken over.
    pub(super) fn former(&self) -> [String; 2] {
        [format!("detector-{}", self.models.versions[0].short()), "old-reader".to_owned()]
    }

    /// Names of services with their versions, and of aliases with their targets.
    pub(super) fn state(&self) -> Value {
        let info = self.target.get("/info").1;
        let services = info["head"]["services"].as_array().unwrap().iter();
        let services: Vec<Value> = services.map(|service| json!([service["name"], service["version"]])).collect();
        let names = self.target.get("/aliases").1["body"].clone();
        let target = |name: &Value| {
            let alias = self.target.get(&format!("/aliases/{}", name.as_str().unwrap())).1["body"].clone();
            json!([name, alias["service"], alias["generation"]])
        };
        let aliases: Vec<Value> = names.as_array().unwrap().iter().map(target).collect();
        json!({"services": services, "aliases": aliases})
    }

    /// A command as a person gives it, to its end: whether it succeeded, and what it said.
    pub(super) fn dede(&self, line: &str) -> (bool, String) {
        let output = self.command(line).output().unwrap();
        (output.status.success(), text(&output))
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command.args(line.split_whitespace()).current_dir(self.home.path());
        command.env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Where that person's files are.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The target's process ends and another begins.
    pub(super) fn restart(self) -> Self {
        let Self { source, target, models, home } = self;
        let target = Server::start_in(target.stop(), &[]);
        write_peers(home.path(), &[("dev", &source.url()), ("prod", &target.url())]);
        Self { source, target, models, home }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
