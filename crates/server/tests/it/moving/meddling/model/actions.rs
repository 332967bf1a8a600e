//! What people do, each with what the model knows of it then.

use std::path::PathBuf;

use dede_testing::fixtures;
use serde_json::{Value, json};

use super::cast::MOVED;
use super::ledger::Told;
use super::observation::Since;
use super::schedule::{Action, Role};
use super::world::{STABLE, World};

/// Iterations of a training, which take a few milliseconds.
const ITERATIONS: u64 = 10;

impl World<'_> {
    pub(super) fn act(&mut self, action: &Action) {
        self.note(&format!("-> {action:?}"));
        match action {
            Action::Rename(role) => self.rename(*role),
            Action::Delete(role, clear) => self.delete(*role, clear),
            Action::Train(role) => self.train(*role),
            Action::Create { wanted_name } => self.create(*wanted_name),
            Action::Occupy { same_files } => self.occupy(*same_files),
            Action::OccupyPartial => self.occupy_partial(),
            Action::ServeItsDirectory => self.serve_its_directory(),
            Action::Point(role) => self.point(*role),
            Action::Share(role) => self.share(*role),
            Action::DeleteAlias => drop(self.delete_alias()),
            Action::RemakeAlias(role) => {
                if self.delete_alias() {
                    self.point(*role);
                }
            }
            Action::RollBackAlias => self.roll_back_alias(),
            Action::Promote => self.tell("promote"),
            Action::Abort => self.tell("abort"),
            Action::Resume => self.tell("resume"),
            Action::RollBackMove => self.tell("rollback"),
            Action::Move(second) => self.begin_second(second),
            Action::Kill => self.restart(true),
            Action::Stop => self.restart(false),
        }
    }

    /// Name and directory of a service, if it is listed.
    fn service(&mut self, role: Role) -> Option<(String, PathBuf)> {
        let seen = self.observe(Since::Watching);
        let newest = seen.moves.last().and_then(|newest| newest.directory.clone());
        let root = self.root();
        let created = || self.ledger.claims.iter().rev().map(|claim| claim.directory.clone()).next();
        let directory = match role {
            Role::New => newest,
            Role::Former => Some(root.join("first")),
            Role::Other => Some(root.join("other")),
            Role::Created => created(),
        };
        let found = directory.and_then(|directory| {
            let name = self.ledger.last().in_directory(&directory).next()?.0.clone();
            Some((name, directory))
        });
        if found.is_none() {
            self.note("there is no such service");
        }
        found
    }

    fn rename(&mut self, role: Role) {
        let Some((name, directory)) = self.service(role) else { return };
        let new = self.fresh("renamed");
        if self.call("PATCH", &format!("/services/{name}"), &json!({"name": new})).0 != 200 {
            return;
        }
        if name == STABLE {
            self.ledger.say(STABLE, None);
        }
        let there = self.ledger.last().in_directory(&directory).any(|(found, _)| *found == new);
        self.note(if there { "it is called so" } else { "no service of the new name is seen" });
    }

    fn delete(&mut self, role: Role, clear: &str) {
        let Some((name, directory)) = self.service(role) else { return };
        let query = if clear.is_empty() { String::new() } else { format!("?clear={clear}") };
        if self.call("DELETE", &format!("/services/{name}{query}"), &Value::Null).0 != 200 {
            return;
        }
        if name == STABLE {
            self.ledger.say(STABLE, None);
        }
        self.ledger.deleted(&directory, !clear.is_empty());
    }

    fn train(&mut self, role: Role) {
        let Some((name, directory)) = self.service(role) else { return };
        let seed = self.fresh("").parse::<u64>().unwrap();
        let body = json!({
            "service": name,
            "async": false,
            "parameters": {
                "input": {"id": "id", "label": "target", "scale": true, "shuffle": true, "seed": seed},
                "mllib": {"solver": {"iterations": ITERATIONS, "base_lr": 0.05}, "net": {"batch_size": 30}, "seed": seed},
                "output": {"measure": ["acc"]},
            },
            "data": [fixtures::data("iris_train.csv"), fixtures::data("iris_test.csv")],
        });
        if self.call("POST", "/train", &body).0 == 201 {
            let version = self.ledger.last().services.get(&name).and_then(|seen| seen.version.clone());
            self.ledger.trained(&directory, version);
        }
    }

    fn create(&mut self, wanted_name: bool) {
        let directory = self.root().join(self.fresh("created"));
        let name = if wanted_name { MOVED.to_owned() } else { self.fresh("created") };
        let model = &self.cast.other;
        if self.put_files(model, &directory) && self.put(&name, &directory) {
            self.ledger.claim(&directory, Some(model.digest.clone()));
        }
    }

    /// Where the newest move has its files, or will have them, if that is known.
    fn its_directory(&self) -> Option<PathBuf> {
        let newest = self.newest().and_then(|newest| newest.directory);
        newest.or_else(|| self.directory(self.schedule.options.place))
    }

    fn occupy(&mut self, same_files: bool) {
        let Some(directory) = self.its_directory() else { return self.note("its directory is not known yet") };
        let model = if same_files { &self.cast.moved } else { &self.cast.other };
        if !self.put_files(model, &directory) {
            return;
        }
        let name = self.fresh("occupier");
        if self.put(&name, &directory) {
            self.ledger.claim(&directory, Some(model.digest.clone()));
        }
    }

    fn occupy_partial(&mut self) {
        let Some(directory) = self.its_directory() else { return self.note("its directory is not known yet") };
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.put_files(&self.cast.other, &directory.with_file_name(format!(".{name}.partial")));
    }

    fn serve_its_directory(&mut self) {
        let directory = self.its_directory().filter(|directory| directory.is_dir());
        let Some(directory) = directory else { return self.note("its directory is not there") };
        let name = self.fresh("second");
        if self.put(&name, &directory) {
            let version = self.ledger.last().services.get(&name).and_then(|seen| seen.version.clone());
            if !self.ledger.trees.contains_key(&directory) {
                self.ledger.adopted.insert(directory.clone());
            }
            self.ledger.claim(&directory, version);
        }
    }

    /// What an answer about an alias says is so from now on.
    fn said(&mut self, (status, answer): (u16, Value)) {
        if status != 200 {
            return;
        }
        let name = answer["body"]["service"].as_str().unwrap_or_default();
        let seen = self.ledger.seen.iter().rev().take(2).find_map(|seen| seen.services.get(name));
        let place = seen.map(|service| service.directory.clone());
        self.ledger.say(STABLE, place);
    }

    fn point(&mut self, role: Role) {
        let Some((name, _)) = self.service(role) else { return };
        let answer = self.call("PUT", &format!("/aliases/{STABLE}"), &json!({"service": name, "takeover": true}));
        self.said(answer);
    }

    fn share(&mut self, role: Role) {
        let Some((name, _)) = self.service(role) else { return };
        let Some(target) = self.ledger.last().aliases.get(STABLE).map(|alias| alias.service.clone()) else {
            return self.note("there is no alias");
        };
        let body = json!({"service": target, "canary": {"service": name, "percent": 30}});
        let answer = self.call("PUT", &format!("/aliases/{STABLE}"), &body);
        self.said(answer);
    }

    fn delete_alias(&mut self) -> bool {
        let deleted = self.call("DELETE", &format!("/aliases/{STABLE}"), &Value::Null).0 == 200;
        if deleted {
            self.ledger.say(STABLE, None);
        }
        deleted
    }

    fn roll_back_alias(&mut self) {
        let answer = self.call("POST", &format!("/aliases/{STABLE}/rollback"), &json!({}));
        self.said(answer);
    }

    /// Tells the newest move something.
    fn tell(&mut self, verb: &str) {
        if let Some(newest) = self.newest() {
            self.tell_move(&newest.id, verb);
        }
    }

    /// Tells a move something; whether it was accepted.
    pub(super) fn tell_move(&mut self, id: &str, verb: &str) -> bool {
        let accepted = self.call("POST", &format!("/moves/{id}/{verb}"), &json!({})).0 == 200;
        if accepted {
            let undo = ["abort", "rollback"].contains(&verb);
            self.ledger.told.push(Told { at: self.ledger.seen.len() - 1, id: id.to_owned(), undo });
        }
        accepted
    }
}
