//! The command line as a user meets it.

use std::process::{Command, Output};

use serde_json::json;

use crate::server::{Server, binary, spawn};

fn dede(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().expect("the binary runs")
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = dede(&["--help"]);
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    assert!(help.status.success() && text.contains("serve"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let version = dede(&["--version"]);
    assert_eq!(String::from_utf8(version.stdout).expect("UTF-8"), format!("dede {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_end_with_a_sentence_and_a_status() {
    for arguments in [&["serve", "--port", "abc"][..], &["-prot", "8080"], &["nosuch"], &[]] {
        let output = dede(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start(&[]);
    let port = server.address.port().to_string();
    let output = dede(&["-port", &port]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{text}");
}

#[test]
fn a_second_server_on_the_same_state_refuses_to_start() {
    let server = Server::start(&[]);
    let (mut child, _) = spawn(server.path(), &[]);
    assert_eq!(child.wait().expect("ends").code(), Some(1));
    assert!(server.log().contains("state directory"), "{}", server.log());
    assert_eq!(server.send("GET", "/info", "").status, 200);
}

#[test]
fn a_start_list_that_fails_ends_the_server_unless_told_otherwise() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let list = directory.path().join("list.txt");
    std::fs::write(&list, "# calls\nservice_create;a;{\"mllib\":\"nosuch\"}\n").expect("written");
    let list = list.to_str().expect("UTF-8");
    let (mut child, log) = spawn(directory.path(), &["--service-start-list", list]);
    assert_eq!(child.wait().expect("ends").code(), Some(1));
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("Service autostart failed, exiting") && log.contains("line 2"), "{log}");
    let server =
        Server::start_in(directory, &["--service-start-list", list, "--service-start-list-no-exit-on-failure"]);
    assert_eq!(server.send("GET", "/info", "").status, 200);
}

#[test]
fn the_demo_moves_a_service_and_no_request_fails() {
    let output = dede(&["demo"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["$ dede move service2 --from", "m1 done: service1 is service2 now", "copying", "watching", "accuracy"]
    {
        assert!(text.contains(part), "{part} not in\n{text}");
    }
    let row = |name: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    for phase in ["before", "during", "after"] {
        let figures = row(phase);
        assert!(figures.len() == 4 && figures[0] > 0.0 && figures[1] == 0.0, "{phase}: {figures:?}\n{text}");
    }
    assert!(row("all").last() == Some(&0.0), "{text}");
}

#[test]
fn names_that_turn_the_direction_of_writing_are_printed_as_escapes() {
    let server = crate::aliases::server(&["a"]);
    let name = "é猫\u{202e}b\u{2066}c\u{200f}";
    assert_eq!(server.patch("/services/a", &json!({"name": name})).0, 200);
    assert_eq!(server.put("/aliases/stable", &json!({"service": name})).0, 200);
    for (command, escapes) in [
        (&["services"][..], r"é猫\u{202e}b\u{2066}c\u{200f}"),
        (&["aliases"], r"é猫\u{202e}b\u{2066}c\u{200f}"),
        (&["services", "--json"], r"é猫\u202eb\u2066c\u200f"),
        (&["aliases", "--json"], r"é猫\u202eb\u2066c\u200f"),
    ] {
        let output = dede(&[command, &["--on", &server.url()]].concat());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && text.contains(escapes), "{command:?}: {text:?}");
        assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{200f}']), "{command:?}: {text:?}");
    }
    let url = format!("{}/\u{202e}", server.url());
    let output = dede(&["services", "--on", &url]);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && !text.contains('\u{202e}'), "{text:?}");
}
