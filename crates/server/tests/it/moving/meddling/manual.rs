//! The manual, typed: what README and docs/moving.md say in `sh` blocks about moves is run command by command, in their order. A command
//! that this test does not know fails it, so that manual and program cannot part.

use std::collections::VecDeque;
use std::thread::JoinHandle;

use dede_testing::fixtures;
use serde_json::{Value, json};

use super::reader::{Reader, curl};
use super::world::{Under, World};
use crate::models::Models;
use crate::server::Server;

const README: &str = include_str!("../../../../../../README.md");
const MANUAL: &str = include_str!("../../../../../../docs/moving.md");

/// Stands for the text of a section, up to the next one of the same depth.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}"));
    rest.split("\n## ").next().unwrap()
}

/// Contents of the code blocks in that language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

/// Commands of a block: comments are left out, what is quoted may go over several lines.
fn commands(block: &str) -> Vec<String> {
    let (mut commands, mut command, mut quote, mut comment) = (Vec::new(), String::new(), None, false);
    for character in format!("{block}\n").chars() {
        match (character, quote) {
            ('\n', None) => {
                comment = false;
                commands.push(std::mem::take(&mut command));
            }
            _ if comment => {}
            (';', None) => commands.push(std::mem::take(&mut command)),
            ('#', None) if command.is_empty() || command.ends_with(' ') => comment = true,
            ('\'' | '"', None) => {
                quote = Some(character);
                command.push(character);
            }
            _ => {
                quote = quote.filter(|quote| *quote != character);
                command.push(character);
            }
        }
    }
    let trimmed = commands.iter().map(|command| command.trim().to_owned());
    trimmed.filter(|command| !command.is_empty()).collect()
}

/// Words of a command, without their quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for character in command.chars() {
        match (character, quote) {
            (' ', None) => words.push(String::new()),
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(mark)) if mark == character => quote = None,
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What the manual cannot know, and what would take minutes.
fn filled(command: &str, reader: &Reader) -> Vec<String> {
    let (id, url, original) = (&reader.id, reader.prod().url(), reader.original().display().to_string());
    let authorization = format!("'Authorization: Bearer {}'", Reader::token());
    let table = [
        ("--as service1", "--as service1 --shadow-for 1s --watch-for 0s"),
        ("\"canary\": [1, 10], \"watch_for_s\": 60", "\"canary\": [100], \"watch_for_s\": 0"),
        ("https://prod.example:8443", &url),
        ("http://prod:8080", &url),
        ("$PROD", &url),
        ("\"$T\"", &authorization),
        ("$(cat prod.token)", Reader::token()),
        ("/moves/m1", &format!("/moves/{id}")),
        ("resume m1 ", &format!("resume {id} ")),
        (" ID ", &format!(" {id} ")),
        ("--config dede.toml", &format!("--config {}", reader.file("dede.toml").display())),
        ("--from-dir DIR", &format!("--from-dir {original}")),
        ("--from-dir /models/iris", &format!("--from-dir {original}")),
    ];
    words(&table.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to)))
}

/// What a manual leaves behind between two commands.
#[derive(Default)]
struct Session {
    /// Streams that end when their move does.
    streams: VecDeque<JoinHandle<(u16, Vec<u8>)>>,
    old: Option<Server>,
}

fn follow(block: &str, reader: &mut Reader) {
    let mut session = Session::default();
    for command in commands(block) {
        eprintln!("$ {command}");
        match command.split(' ').next().unwrap() {
            "dede" => by_command(&command, reader, &mut session),
            "curl" => by_call(&command, reader, &mut session),
            _ => assert_eq!(command, "T='Authorization: Bearer …'", "not known to this test"),
        }
    }
    assert!(session.streams.is_empty());
}

fn by_command(command: &str, reader: &mut Reader, session: &mut Session) {
    match command {
        "dede move service2 --from dev --to prod --as service1"
        | "dede move service2 --from dev --to prod --as service1 --relay"
        | "dede move service2 --from dev --to prod --as service1 --replace-first"
        | "dede move --from-dir DIR --parameters put.json --to prod --as service1"
        | "dede move --from-dir /models/iris --parameters put.json --to prod --as service1" => {
            reader.reset();
            reader.succeeds_when_promoted(&filled(command, reader));
        }
        "dede move service2 --from dev --to prod --as service1 --auto"
        | "dede plan service2 --from dev --to prod --as service1"
        | "dede plan service2 --from dev --to prod --as service1 --out plan.json"
        | "dede plan service2 --from dev --to prod --as service1 --relay --out plan.json" => {
            reader.reset();
            reader.succeeds(&filled(command, reader));
        }
        "dede apply plan.json --to prod" | "dede apply plan.json --to prod --relay --from dev" => {
            reader.succeeds_when_promoted(&filled(command, reader));
        }
        "dede moves [ID] --on prod" => {
            reader.is_done();
            reader.succeeds(&filled(&command.replace("[ID]", "ID"), reader));
            reader.succeeds(&filled(&command.replace("[ID] ", ""), reader));
        }
        "dede promote ID --on prod" => {
            reader.waiting();
            reader.succeeds(&filled(command, reader));
            assert_eq!(reader.info()["phase"], "done");
        }
        "dede abort ID --on prod" => {
            reader.waiting();
            reader.succeeds(&filled(command, reader));
            assert_eq!(reader.info()["phase"], "aborted");
        }
        "dede resume ID --on prod" => {
            reader.waiting();
            reader.restart();
            reader.succeeds_when_promoted(&filled(command, reader));
        }
        "dede resume m1 --on prod --relay --from dev" => {
            reader.reset();
            let begin = "dede move service2 --from dev --to prod --as service1 --relay";
            reader.dies_while_it_waits(&filled(begin, reader));
            reader.restart();
            reader.succeeds_when_promoted(&filled(command, reader));
        }
        "dede rollback service1 --on prod" => {
            reader.is_done();
            reader.succeeds(&filled(command, reader));
            let alias = reader.ask("GET", "/aliases/service1", &Value::Null).1;
            let former = format!("service1-{}", Models::get().versions[0].short());
            assert_eq!(alias["body"]["service"], former, "{alias}");
        }
        "dede verify certificate.json" => {
            reader.is_done();
            reader.save_certificate();
            reader.succeeds(&filled(command, reader));
        }
        "dede services --on prod" | "dede aliases --on prod" | "dede peers" => {
            reader.succeeds(&filled(command, reader));
        }
        "dede predict service1 rows.csv --on prod" => {
            std::fs::write(reader.file("rows.csv"), "5.1,3.5,1.4,0.2\n6.7,3.1,5.6,2.4\n").unwrap();
            reader.succeeds(&filled(command, reader));
        }
        "dede serve --config dede.toml …" => {
            reader.is_done();
            let words = filled(command.trim_end_matches('…'), reader);
            session.old = Some(reader.start_old(&words[2..]));
        }
        _ => {
            // The key is that of the server; the certificate is there from the command before.
            let (verify, key) = command.split_once(" --key ").unwrap_or_else(|| panic!("not known: {command}"));
            assert_eq!((verify, key.len()), ("dede verify certificate.json", 64), "not known to this test");
            let text = std::fs::read_to_string(reader.file("certificate.json")).unwrap();
            let signed: Value = serde_json::from_str(&text).unwrap();
            reader.succeeds(&filled(&command.replace(key, signed["public_key"].as_str().unwrap()), reader));
        }
    }
}

fn by_call(command: &str, reader: &mut Reader, session: &mut Session) {
    const OLD: &str = "http://old:8080";
    let known = [
        "/moves -d '{\"service\": \"service2\"",
        "/moves/plan -d",
        "$PROD/moves",
        "$PROD/moves/m1",
        "-N $PROD/moves/m1/events",
        "-X POST $PROD/moves/m1/promote",
        "/moves/m1/certificate",
        "/aliases/service1 -d",
    ];
    let which = known.iter().rposition(|known| command.ends_with(known) || known.len() > 12 && command.contains(known));
    let which = which.unwrap_or_else(|| panic!("not known to this test: {command}"));
    match known[which] {
        "/moves -d '{\"service\": \"service2\"" => reader.reset(),
        "/moves/m1/certificate" => reader.is_done(),
        _ => {}
    }
    let mut words = filled(command, reader);
    if let Some(old) = &session.old {
        words.iter_mut().for_each(|word| *word = word.replace(OLD, &old.url()));
    }
    let directory = reader.file("");
    if known[which].starts_with("-N") {
        return session.streams.push_back(std::thread::spawn(move || curl(&words, &directory)));
    }
    let (status, answer) = curl(&words, &directory);
    let text = String::from_utf8_lossy(&answer);
    assert!((200..300).contains(&status), "{command}: {status} {text}");
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if status == 202 {
        answer["body"]["id"].as_str().unwrap().clone_into(&mut reader.id);
    }
    if command.ends_with("/promote") {
        reader.is_done();
        let (status, events) = session.streams.pop_front().unwrap().join().unwrap();
        assert!(status == 200 && String::from_utf8_lossy(&events).contains("\"phase\":\"done\""), "{status}");
    }
    if let Some(old) = &session.old {
        reader.answers_as(old);
    }
}

fn reader() -> Reader {
    Reader::new(blocks(MANUAL, "toml")[0])
}

/// The list of commands at its beginning.
#[test]
fn the_commands_of_the_manual_work_as_written() {
    follow(blocks(MANUAL, "sh")[0], &mut reader());
}

#[test]
fn the_sections_of_the_manual_work_as_written() {
    let mut reader = reader();
    for block in &blocks(MANUAL, "sh")[1..] {
        follow(block, &mut reader);
    }
}

#[test]
fn the_readme_works_as_written() {
    let mut reader = reader();
    for block in blocks(section(README, "## Moving a service"), "sh") {
        follow(block, &mut reader);
    }
}

/// Two servers that do not know each other, and an operator who copies a directory.
#[test]
fn a_move_by_hand_works_as_written() {
    let world = World::new(Under::Service);
    assert_eq!(world.source.delete("/services/service2").0, 200);
    let place = |server: &Server, name: &str| server.path().join(name).display().to_string();
    let (trained, copied) = (place(&world.source, "iris"), place(&world.target, "iris-2"));
    let former = format!("service1-{}", world.models.versions[0].short());
    let table = [
        ("http://dev:8080", world.source.url()),
        ("http://prod:8080", world.target.url()),
        ("/models/iris", trained.clone()),
        ("/srv/iris-2", copied.clone()),
        ("/data/iris.csv", fixtures::data("iris.csv").display().to_string()),
        ("service1-1a2b3c4d", former),
    ];
    let mut count = 0;
    for command in blocks(section(README, "## Moving a service by hand"), "sh").into_iter().flat_map(commands) {
        count += 1;
        if command == "scp -r dev:/models/iris prod:/srv/iris-2" {
            fixtures::copy_directory(trained.as_ref(), copied.as_ref()).unwrap();
            continue;
        }
        if command.starts_with("curl -X DELETE") {
            // The command before went back; what is deleted is what the alias does not point to.
            assert_eq!(world.target.post("/aliases/service1/rollback", &json!({})).0, 200);
        }
        let typed = table.iter().fold(command.clone(), |command, (from, to)| command.replace(from, to));
        let (status, answer) = curl(&words(&typed.replace('\n', " ")), world.target.path());
        assert!((200..300).contains(&status), "{command}: {status} {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(count, 9, "commands of the section");
    assert_eq!((world.target_of("service1"), world.services()), (json!("service2"), vec!["service2".to_owned()]));
}
