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
fn a_server_is_started_by_what_its_configuration_file_says_and_flags_win() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path().join("config/dede");
    std::fs::create_dir_all(&folder).expect("a directory");
    let file = folder.join("dede.toml");
    let text = "[server]\nport = 1\ntoken_file = \"a.token\"\nlog_format = \"json\"\n[limits]\nmax_body = 1\n";
    std::fs::write(&file, text).expect("written");
    std::fs::write(folder.join("a.token"), "secret-of-the-file-0123456789abcdef\n").expect("written");
    let named = ["--config", file.to_str().expect("UTF-8")];
    let check = dede(&[&["config", "check"][..], &named].concat());
    assert_eq!(String::from_utf8_lossy(&check.stdout), format!("{}: 4 settings, 0 peers\n", file.display()));
    let shown = dede(&[&["config", "show", "--port", "0"][..], &named].concat());
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for (setting, origin) in [("port = 0", "--port"), ("max_body = 1", "dede.toml, line 6"), ("queue = 256", "default")]
    {
        assert!(shown.lines().any(|line| line.starts_with(setting) && line.ends_with(origin)), "{setting}: {shown}");
    }

    // The port is that of a flag, everything else that of the file.
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.send("GET", "/services", "").status, 401, "the file names a token");
    let long = format!("{{\"service\":\"a\",\"data\":[\"{}\"]}}", "x".repeat(1 << 20));
    assert_eq!(server.send("POST", "/predict", &long).status, 413);
    assert!(server.log().lines().any(|line| line.starts_with('{')), "{}", server.log());

    std::fs::write(&file, "[server]\nprot = 1\n").expect("written");
    let refused = dede(&[&["serve"][..], &named].concat());
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(reason.contains("dede.toml, line 2, server.prot: no such key; did you mean server.port?"), "{reason}");
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
