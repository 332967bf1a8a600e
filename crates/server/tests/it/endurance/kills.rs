//! SIGKILL at any moment while services and aliases change: what was acknowledged is there after the restart.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use dede_testing::http::Connection;

use super::size;
use crate::chance::Chance;
use crate::models::Models;
use crate::server::Server;

/// Threads that change things, each its own names.
const CHANGERS: u64 = 3;
/// Names of each.
const NAMES: u64 = 4;
/// Longest time from readiness to the kill.
const LONGEST_MS: u64 = 400;

/// Whether a name exists, as far as its owner was told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Is(bool),
    /// The answer to the last change did not come.
    Open,
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let rounds = size(8, 200);
    let models = Models::get();
    let mut server = Server::start(&[]);
    models.versions[0].write(&server.path().join("model"));
    let known = Mutex::new(BTreeMap::new());
    let mut chance = Chance::new(1);
    let mut acknowledged = 0;
    for round in 0..rounds {
        let pause = Duration::from_millis(chance.below(LONGEST_MS));
        acknowledged += std::thread::scope(|scope| {
            let changers: Vec<_> = (0..CHANGERS)
                .map(|changer| {
                    let (server, known) = (&server, &known);
                    scope.spawn(move || change(server, known, changer, Chance::new(round * CHANGERS + changer)))
                })
                .collect();
            // The moment of the kill is the input of this test.
            std::thread::sleep(pause);
            server.signal("KILL");
            changers.into_iter().map(|changer| changer.join().unwrap()).sum::<u64>()
        });
        server = server.kill_and_restart();
        let mut known = known.lock().unwrap();
        for (path, state) in known.iter_mut() {
            let is_there = server.get(path).0 == 200;
            assert!(matches!(*state, Known::Open) || *state == Known::Is(is_there), "round {round}: {path}: {state:?}");
            *state = Known::Is(is_there);
        }
    }
    eprintln!("{rounds} kills, {acknowledged} acknowledged changes, all of them there");
    assert!(acknowledged >= rounds, "{acknowledged} changes in {rounds} rounds");
}

/// Creates and deletes until the server is gone; the number of changes that it acknowledged.
fn change(server: &Server, known: &Mutex<BTreeMap<String, Known>>, changer: u64, mut chance: Chance) -> u64 {
    let service = json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": server.path().join("model")},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}}});
    let mut acknowledged = 0;
    let Ok(mut connection) = Connection::open(server.address) else { return 0 };
    loop {
        let name = format!("n{changer}x{}", chance.below(NAMES));
        let (path, create) = if chance.one_in(2) {
            (format!("/services/{name}"), service.clone())
        } else {
            // An alias may point to a service that is not there yet or any more; that is refused, and changes nothing.
            (format!("/aliases/a{name}"), json!({"service": name}))
        };
        let is_creation = chance.one_in(2);
        let (method, body) = if is_creation { ("PUT", create) } else { ("DELETE", Value::Null) };
        let before = known.lock().unwrap().insert(path.clone(), Known::Open);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let Ok(answer) = connection.send(method, &path, text.as_bytes()) else { return acknowledged };
        if (200..300).contains(&answer.status) {
            acknowledged += 1;
            known.lock().unwrap().insert(path, Known::Is(is_creation));
        } else {
            known.lock().unwrap().insert(path, before.unwrap_or(Known::Is(false)));
        }
    }
}
