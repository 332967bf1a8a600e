//! A target with what people have on it, its clients, and everything that was seen of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::asking::Asking;
use super::cast::Cast;
use super::diary::Diary;
use super::ledger::{Ledger, names_one_of};
use super::observation::{MoveSeen, Observation, Since, moves, short};
use super::schedule::{Kind, Moment, Place, Schedule};
use crate::models::{Model, put_service};
use crate::server::{Server, write_peers};
use crate::tree::tree;

/// The name that clients ask for.
pub(super) const STABLE: &str = "service1";
/// Longest wait for a moment of a move; then the next action is taken.
const MOMENT: Duration = Duration::from_secs(5);
/// Pause between two looks at a move.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct World<'a> {
    pub(super) cast: &'a Cast,
    pub(super) schedule: &'a Schedule,
    pub(super) ledger: Ledger,
    pub(super) asking: Asking,
    diary: &'a Diary,
    /// Directory of the target, which lines leave out.
    root: String,
    /// `None` only while it is restarted.
    target: Option<Server>,
    began: Instant,
    /// Services and directories that people made so far.
    made: u32,
}

impl<'a> World<'a> {
    pub(super) fn new(cast: &'a Cast, schedule: &'a Schedule, diary: &'a Diary) -> Self {
        let peers = [("dev", cast.source_url()), ("late", cast.late.clone())];
        let peers = peers.each_ref().map(|(name, url)| (*name, url.as_str()));
        let directory = tempfile::tempdir().unwrap();
        write_peers(directory.path(), &peers);
        let target = Server::start_in(directory, &[]);
        let former = match schedule.kind {
            Kind::Alias | Kind::Free | Kind::Exchanged => "first",
            Kind::Plain | Kind::Brought => STABLE,
        };
        let root = target.path().to_owned();
        std::fs::create_dir(root.join("places")).unwrap();
        for (name, directory, model) in [(former, "first", &cast.former), ("other", "other", &cast.other)] {
            model.write(&root.join(directory));
            put_service(&target, name, &root.join(directory));
        }
        if matches!(schedule.kind, Kind::Alias | Kind::Exchanged) {
            assert_eq!(target.put(&format!("/aliases/{STABLE}"), &json!({"service": former})).0, 200);
        }
        let mut ledger = Ledger::default();
        ledger.seen.push(Observation::of(&target, Since::Told));
        ledger.claim(&root.join("first"), Some(cast.former.digest.clone()));
        ledger.claim(&root.join("other"), Some(cast.other.digest.clone()));
        if schedule.options.place == Place::Taken {
            cast.other.write(&root.join("places/taken"));
            ledger.keep_tree(&root.join("places/taken"));
        }
        std::fs::write(root.join("places/file"), "a plain file").unwrap();
        let asking = Asking::start(target.address, STABLE, &cast.bodies(STABLE));
        let began = Instant::now();
        Self {
            cast,
            schedule,
            ledger,
            asking,
            diary,
            root: root.display().to_string(),
            target: Some(target),
            began,
            made: 0,
        }
    }

    pub(super) fn target(&self) -> &Server {
        self.target.as_ref().unwrap()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.target().path().to_owned()
    }

    /// A name that is not used yet.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", self.made)
    }

    pub(super) fn note(&self, line: &str) {
        let line = line.replace(&self.root, "").replace(&self.cast.moved.digest["sha256:".len()..], "DIGEST");
        self.diary.note(format!("{:6.3} s {line}", self.began.elapsed().as_secs_f64()));
    }

    /// Looks at everything; what the model knows of it is up to date then.
    pub(super) fn observe(&mut self, since: Since) -> &Observation {
        let seen = Observation::of(self.target(), since);
        if self.ledger.seen.last().is_none_or(|last| last.summary() != seen.summary()) {
            self.note(&format!("    sees {}", seen.summary()));
        }
        self.ledger.seen.push(seen);
        self.ledger.last()
    }

    /// A call of a person between two observations: its status and its body. A refusal gives its reason, and no internal error.
    pub(super) fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.observe(Since::Watching);
        let (status, answer) = self.target().json(method, path, body);
        let shown: String = answer["status"]["dd_msg"].as_str().unwrap_or_default().chars().take(200).collect();
        let sent = if path == "/train" { body["service"].to_string() } else { body.to_string() };
        self.note(&format!("{method} {path} {sent}: {status} {shown}"));
        if status >= 500 && status != 503 && !names_one_of(&self.ledger.cleared, &answer.to_string()) {
            self.ledger.wrong.push(format!("{method} {path} is answered {status}: {answer}"));
        }
        self.observe(Since::Told);
        (status, answer)
    }

    /// Creates a service on a directory as the manual says; whether it is there then.
    pub(super) fn put(&mut self, name: &str, directory: &Path) -> bool {
        let body = json!({
            "mllib": "caffe",
            "description": "of a person",
            "type": "supervised",
            "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
            "model": {"repository": directory},
        });
        self.call("PUT", &format!("/services/{name}"), &body).0 == 201
    }

    /// Puts a directory of a person in a place in one step; false when something is there already.
    pub(super) fn put_files(&mut self, model: &Model, directory: &Path) -> bool {
        let aside = self.root().join(self.fresh("aside"));
        model.write(&aside);
        let files = tree(&aside);
        let there = directory.parent().is_some_and(Path::is_dir) && std::fs::rename(&aside, directory).is_ok();
        self.note(&format!("files at {}: {}", directory.display(), if there { "put" } else { "taken" }));
        if there {
            self.ledger.trees.insert(directory.to_owned(), files);
            self.ledger.cleared.remove(directory);
        }
        there
    }

    /// The newest move, as the server shows it now.
    pub(super) fn newest(&self) -> Option<MoveSeen> {
        moves(&mut self.target().connect()).pop()
    }

    /// Waits for a moment of the newest move.
    pub(super) fn wait_for(&self, moment: Moment) {
        let deadline = Instant::now() + MOMENT;
        let (mut looks, mut connection) = (moment.looks, self.target().connect());
        while Instant::now() < deadline {
            let Some(newest) = moves(&mut connection).pop() else { break };
            let come = newest.waits_for.is_some() || newest.has_come_to(moment.phase);
            if come && looks == 0 {
                break;
            }
            looks -= u64::from(come);
            std::thread::sleep(LOOK_EVERY);
        }
        self.asking.wait_for(moment.requests, MOMENT);
    }

    /// Ends the server, by `kill -9` or in order, and starts it again.
    pub(super) fn restart(&mut self, killed: bool) {
        self.observe(Since::Watching);
        self.asking.server_is(None);
        let server = self.target.take().unwrap();
        let server = if killed { server.kill_and_restart() } else { server.stop_and_restart() };
        self.asking.server_is(Some(server.address));
        self.target = Some(server);
        self.note(if killed { "killed and started again" } else { "stopped and started again" });
        self.observe(Since::Down);
    }

    /// The last lines that the server logged.
    pub(super) fn log(&self) -> String {
        let log = self.target.as_ref().map(Server::log).unwrap_or_default();
        let lines: Vec<_> =
            log.lines().filter(|line| !line.contains("POST /predict") && !line.contains("GET /")).collect();
        lines[lines.len().saturating_sub(30)..].join("\n    ")
    }

    /// Says which version is which, for people.
    pub(super) fn name_versions(&self) {
        let [former, other, moved] =
            [&self.cast.former, &self.cast.other, &self.cast.moved].map(|model| Some(model.digest.as_str()));
        self.note(&format!("former {}, other {}, moved {}", short(former), short(other), short(moved)));
    }
}
