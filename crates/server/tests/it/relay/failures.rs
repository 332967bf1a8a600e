//! Faults between a source and the command that asks it, and questions that must not be asked.

use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::stage::{Stage, text};
use crate::aliases;
use crate::proxy::{self, Fault};
use crate::server::{Server, binary, write_peers};

/// A whole move over a connection with a fault; bytes that travelled, of how many, and what the target logged.
fn bring_through(fault: Fault) -> (u64, u64, String) {
    let mut happened = None;
    let stage = Stage::through(|source| {
        let (url, flag) = proxy::start(source, fault);
        happened = Some(flag);
        url
    });
    let brought = stage.dede(&stage.bring());
    assert!(brought.status.success(), "{}\n{}", text(&brought), stage.target.log());
    assert!(happened.unwrap().load(Ordering::SeqCst), "the fault happened");
    let report = stage.info("m1")["report"].clone();
    assert_eq!(report["golden"]["result"]["missed"], 0, "{report}");
    let bytes = |member: &str| report[member].as_u64().unwrap();
    (bytes("sent_bytes"), bytes("total_bytes"), stage.target.log())
}

#[test]
fn a_byte_that_arrives_damaged_is_found_and_its_range_fetched_again_alone() {
    let (sent, total, log) = bring_through(Fault::Corrupt);
    assert!(log.contains("arrived damaged and were fetched again"), "{log}");
    assert!(sent > total && sent < total * 3 / 2, "{sent} of {total}");
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with_where_it_was() {
    let (sent, total, log) = bring_through(Fault::Cut);
    assert!(sent <= total, "{sent} of {total}\n{log}");
}

#[test]
fn each_server_gets_its_own_token_and_a_source_that_refuses_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tokens = [write("dev", "token-of-the-source"), write("prod", "token-of-the-target")];
    let source = Server::start_in(aliases::server(&["service2"]).stop(), &["--token-file", &tokens[0]]);
    let target = Server::start(&["--token-file", &tokens[1]]);
    let make = |token_of_dev: &str| {
        let peer =
            |name: &str, url: &str, token: &str| format!("[peers.{name}]\nurl = \"{url}\"\ntoken_file = \"{token}\"\n");
        let peers = peer("dev", &source.url(), token_of_dev) + &peer("prod", &target.url(), &tokens[1]);
        let config = write("dede.toml", &peers);
        let arguments = ["move", "service2", "--from", "dev", "--to", "prod", "--relay", "--auto", "--config", &config];
        Command::new(binary()).args(arguments).output().unwrap()
    };
    let refused = make(&tokens[1]);
    let said = text(&refused);
    assert!(!refused.status.success() && said.contains("m1 ended aborted"), "{said}");
    assert!(said.contains("dev (http://127.0.0.1:") && said.contains("401") && said.contains("token"), "{said}");
    let made = make(&tokens[0]);
    assert!(made.status.success(), "{}", text(&made));
    for said in [said, text(&made), source.log(), target.log()] {
        assert!(!said.contains("token-of-the"), "no token is shown: {said}");
    }
}

#[test]
fn a_source_that_cannot_be_reached_from_the_target_suggests_to_relay() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let target = Server::start_with_peers(&[("dev", &url)], &[]);
    let home = tempfile::tempdir().unwrap();
    write_peers(home.path(), &[("dev", &url), ("prod", &target.url())]);
    let output = Command::new(binary())
        .args(["move", "service2", "--from", "dev", "--to", "prod", "--auto"])
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .output()
        .unwrap();
    assert!(!output.status.success() && text(&output).contains("--relay"), "{}", text(&output));
}

#[test]
fn only_relays_that_were_opened_are_sources_and_only_questions_that_wait_are_answered() {
    let target = Server::start(&[]);
    let name = format!("relay:{}:http://dev", "0".repeat(32));
    let request = json!({"service": "service2", "source": name});
    let (status, answer) = target.post("/moves", &request);
    assert!(status == 409 && answer.to_string().contains("--relay"), "{answer}");
    assert_eq!(target.post("/moves", &json!({"service": "service2", "source": "relay:dev"})).0, 400);
    let place = format!("/v2/_dede/relays/{}", name.replace('/', "%2F"));
    assert_eq!(target.get(&format!("{place}/questions?after=0")).0, 409);
    assert_eq!(target.send("PUT", &format!("{place}/answers/1"), "content").status, 409);

    for wrong in [json!({}), json!({"from": ""}), json!({"from": "a b"}), json!({"from": "a", "source": "dev"})] {
        assert_eq!(target.post("/v2/_dede/relays", &wrong).0, 400, "{wrong}");
    }
    let (status, answer) = target.post("/v2/_dede/relays", &json!({"from": "http://dev", "source": name}));
    assert_eq!((status, &answer["body"]["source"]), (200, &json!(name)), "{answer}");
    assert_eq!(target.get(&format!("{place}/questions?after=0")).1["body"], json!(null));
    assert_eq!(target.send("PUT", &format!("{place}/answers/1"), &"content".repeat(1 << 18)).status, 409);
    assert_eq!(target.send("PUT", &format!("{place}/answers/x"), "").status, 400);
    let failure = json!({"kind": "away", "text": "why"});
    assert_eq!(target.put(&format!("{place}/failures/1"), &failure).0, 409);
    assert_eq!(target.put(&format!("{place}/failures/1"), &json!({"kind": "other", "text": "why"})).0, 400);
}
