//! The move by hand under load: the procedure of the manual, to the letter, while clients never pause; then the same with `kill -9` and
//! a restart of the production server at each step.

use std::path::Path;

use serde_json::{Value, json};

use crate::clients::Clients;
use crate::models::{self, Model, Models, put_service};
use crate::server::Server;

/// Where the production server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    FirstModelServed,
    SecondServiceCreated,
    Compared,
    /// While the switch is being asked for: it may have happened or not, but nothing in between.
    DuringSwitch,
    Switched,
    FormerDeleted,
}

/// Requests that must be answered between two steps.
const BETWEEN: u64 = 200;
const THREADS: usize = 8;

#[test]
fn by_hand_under_load() {
    move_by_hand(None);
}

#[test]
fn killed_with_the_first_model() {
    move_by_hand(Some(Step::FirstModelServed));
}

#[test]
fn killed_with_both_services() {
    move_by_hand(Some(Step::SecondServiceCreated));
}

#[test]
fn killed_after_comparing() {
    move_by_hand(Some(Step::Compared));
}

#[test]
fn killed_during_the_switch() {
    move_by_hand(Some(Step::DuringSwitch));
}

#[test]
fn killed_after_the_switch() {
    move_by_hand(Some(Step::Switched));
}

#[test]
fn killed_after_the_deletion() {
    move_by_hand(Some(Step::FormerDeleted));
}

/// The production server, its clients, and the step at which it is killed.
struct Production {
    server: Option<Server>,
    clients: Clients,
    kill_at: Option<Step>,
    /// Predicts that this test itself sent to the present server.
    own_predicts: u64,
}

fn move_by_hand(kill_at: Option<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let models = Models::get();
    let [first, second] = &models.versions;
    let server = Server::start(&[]);
    copy_here(&server, "service1", first, directory.path());
    let clients = Clients::start(server.address, "service1", THREADS, models.answers("service1"));
    let mut production = Production { server: Some(server), clients, kill_at, own_predicts: 0 };
    production.reached(Step::FirstModelServed);

    copy_here(production.server(), "service2", second, directory.path());
    production.reached(Step::SecondServiceCreated);

    for (service, expected) in [("service1", first), ("service2", second)] {
        for (input, answer) in models.inputs.iter().zip(&expected.answers) {
            assert_eq!(&models::classes(production.server(), service, input), answer, "{service} for {input}");
            production.own_predicts += 1;
        }
    }
    production.reached(Step::Compared);

    production.clients.turns(&[1]);
    production.switch();
    production.clients.allow(&[1]);
    production.reached(Step::Switched);

    let former = former_target(production.server());
    assert_eq!(former, format!("service1-{}", first.short()));
    assert_eq!(production.server().delete(&format!("/services/{former}")).0, 200);
    production.reached(Step::FormerDeleted);

    let Production { server, clients, own_predicts, .. } = production;
    let server = server.unwrap();
    let seen = clients.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(seen.answers.len() == 2, "both versions answered: {seen:?}");
    let counted: u64 = seen.in_last_epoch.values().sum();
    assert_eq!(server.answered_predicts(), counted + own_predicts, "server and clients count the same");
    server.stop();
}

impl Production {
    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Lets the clients work, and kills the server here if this is the step.
    fn reached(&mut self, step: Step) {
        self.clients.wait_for(BETWEEN);
        if self.kill_at == Some(step) {
            self.clients.going_down();
            self.kill_and_restart();
        }
    }

    fn kill_and_restart(&mut self) {
        self.server = self.server.take().map(Server::kill_and_restart);
        self.own_predicts = 0;
        self.clients.up(self.server().address);
        self.clients.wait_for(BETWEEN);
    }

    fn switch(&mut self) {
        if self.kill_at == Some(Step::DuringSwitch) {
            self.clients.going_down();
            let url = self.server().url();
            let asked = std::thread::spawn(move || {
                // The answer may never come: the server dies meanwhile.
                let _ = ureq::put(format!("{url}/aliases/service1")).send(switch_body().to_string());
            });
            self.kill_and_restart();
            asked.join().unwrap();
        }
        // Asking again is safe: an alias that points there already stays as it is.
        let (status, answer) = self.server().put("/aliases/service1", &switch_body());
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["body"]["service"], "service2");
    }
}

fn switch_body() -> Value {
    json!({"service": "service2", "takeover": true})
}

/// The directory of a model is copied by hand, and a service created on it.
fn copy_here(server: &Server, name: &str, model: &Model, directory: &Path) {
    let repository = directory.join(name);
    model.write(&repository);
    put_service(server, name, &repository);
}

fn former_target(server: &Server) -> String {
    let (status, answer) = server.get("/aliases/service1");
    assert_eq!(status, 200, "{answer}");
    let history = answer["body"]["history"].as_array().unwrap();
    assert_eq!(history.len(), 2, "{answer}");
    history[0]["service"].as_str().unwrap().to_owned()
}
