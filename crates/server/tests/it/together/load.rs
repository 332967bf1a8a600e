//! Clients that ask both services at once while they move and go back: no pair of answers mixes new and former ones.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use dede_testing::http::Connection;
use serde_json::Value;

use super::world::{ALIASES, World};
use crate::models::predict_body;
use crate::server::eventually;

/// Clients; every other one asks the second service first.
const CLIENTS: usize = 4;
/// Requests that are answered by a version before the next step.
const ASKED: u64 = 200;

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    /// Pairs of answers of one generation: both former, both new.
    pairs: [u64; 2],
    /// Pairs over a change, which say less.
    over_a_change: u64,
    failures: Vec<String>,
}

/// One client of both services.
struct Client<'a> {
    connection: Connection,
    bodies: [String; 2],
    /// Versions, the former one first.
    versions: &'a [String; 2],
}

impl Client<'_> {
    /// The generations of both aliases; a name that is none has 0.
    fn generations(&mut self) -> Result<[u64; 2], String> {
        let mut found = [0; 2];
        for (alias, found) in ALIASES.iter().zip(&mut found) {
            let answer =
                self.connection.send("GET", &format!("/aliases/{alias}"), b"").map_err(|error| error.to_string())?;
            let shown: Value = answer.json().unwrap_or_default();
            *found = shown["body"]["generation"].as_u64().unwrap_or_default();
        }
        Ok(found)
    }

    /// The version that answers under a name now.
    fn version(&mut self, which: usize) -> Result<usize, String> {
        let answer = self
            .connection
            .send("POST", "/predict", self.bodies[which].as_bytes())
            .map_err(|error| error.to_string())?;
        let by =
            answer.header("x-dede-served-by").and_then(|by| by.split_once('@')).map(|(_, digest)| digest.to_owned());
        let version = self.versions.iter().position(|digest| Some(digest) == by.as_ref());
        version
            .filter(|_| answer.status == 200)
            .ok_or_else(|| format!("{}: {:?}, by {by:?}", answer.status, answer.json()))
    }

    /// Both answers, in this order, between two looks at the generations.
    fn pair(&mut self, order: [usize; 2]) -> Result<([usize; 2], bool), String> {
        let before = self.generations()?;
        let versions = [self.version(order[0])?, self.version(order[1])?];
        Ok((versions, self.generations()? == before))
    }
}

fn ask(address: SocketAddr, order: [usize; 2], inputs: &[String], versions: &[String; 2], ended: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut client = Client { connection: Connection::open(address).unwrap(), bodies: Default::default(), versions };
    for input in inputs.iter().cycle() {
        if ended.load(Ordering::Acquire) {
            break;
        }
        client.bodies = ALIASES.map(|alias| predict_body(alias, input).to_string());
        match client.pair(order) {
            Ok(([one, other], true)) if one == other => seen.pairs[one] += 1,
            Ok((mixed, true)) => seen.failures.push(format!("within one generation {mixed:?}")),
            Ok(_) => seen.over_a_change += 1,
            Err(failure) => seen.failures.push(failure),
        }
    }
    seen
}

#[test]
fn no_client_sees_one_new_service_with_one_former_one() {
    let world = World::new();
    let versions = [0, 1].map(|version| world.models.versions[version].digest.clone());
    let ended = AtomicBool::new(false);
    let ends_clients = EndsClients(&ended);
    let all: Vec<Seen> = std::thread::scope(|scope| {
        let (world, inputs, versions, ended) = (&world, &world.models.inputs, &versions, &ended);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| if number % 2 == 0 { [0, 1] } else { [1, 0] })
            .map(|order| scope.spawn(move || ask(world.target.address, order, inputs, versions, ended)))
            .collect();
        let moving = scope.spawn(move || {
            let _ends_clients = ends_clients;
            let answered = |version: usize| {
                let of = (versions[version].clone(), "200".to_owned());
                world.target.predicts().get(&of).copied().unwrap_or_default()
            };
            let until_asked = |version: usize| {
                let before = answered(version);
                eventually("clients are answered by it", || answered(version) >= before + ASKED);
            };
            until_asked(0);
            let line = "move detector=live-detector reader=live-reader --from dev --to prod --auto --shadow-for 2s --watch-for 1s";
            let (moved, said) = world.dede(line);
            assert!(moved && said.contains("0 failed"), "{said}");
            until_asked(1);
            let (back, said) = world.dede("rollback detector --on prod");
            assert!(back, "{said}");
            until_asked(0);
        });
        moving.join().unwrap();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let failures: Vec<&String> = all.iter().flat_map(|seen| &seen.failures).collect();
    assert!(failures.is_empty(), "{} failures, first: {:?}", failures.len(), failures.first());
    for version in [0, 1] {
        let pairs: u64 = all.iter().map(|seen| seen.pairs[version]).sum();
        assert!(pairs > 50, "version {version}: {all:?}");
    }
}

/// Ends the clients with the moves, also where a test fails.
struct EndsClients<'a>(&'a AtomicBool);

impl Drop for EndsClients<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
