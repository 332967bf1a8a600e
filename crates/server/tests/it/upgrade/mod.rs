//! What servers of an earlier release left behind is read by this one: services, aliases, moves and their certificates.
//!
//! `files` was written by `generate.py`, which says what stands in it. Formats of records may change as long as this test passes as it is.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Server, eventually, write_peers};

/// Members of a service that a restart does not change.
const OF_A_SERVICE: [&str; 8] =
    ["name", "description", "mllib", "type", "parameters", "repository", "version", "output_activation"];
/// Members of an alias that a restart does not change.
const OF_AN_ALIAS: [&str; 6] = ["service", "peer", "generation", "history", "canary", "shadow"];

/// What the earlier release answered before it stopped.
fn answers(directories: &[(&str, &Path)], url: &str) -> Value {
    let text = std::fs::read_to_string(files().join("answers.json")).unwrap();
    serde_json::from_str(&replaced(&text, directories, url)).unwrap()
}

fn files() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/upgrade/files")
}

fn replaced(text: &str, directories: &[(&str, &Path)], url: &str) -> String {
    let put =
        |text: String, (name, place): &(&str, &Path)| text.replace(&format!("@D@/{name}"), place.to_str().unwrap());
    directories.iter().fold(text.to_owned(), put).replace("@DEV@", url)
}

/// Copies the files of one server, with the places and the address that they have here.
fn write(name: &str, to: &Path, directories: &[(&str, &Path)], url: &str) {
    let mut folders = vec![files().join(name)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, place) = (entry.path(), to.join(entry.path().strip_prefix(files().join(name)).unwrap()));
            if path.is_dir() {
                std::fs::create_dir_all(&place).unwrap();
                folders.push(path);
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            let content = match String::from_utf8(content) {
                Ok(text) => replaced(&text, directories, url).into_bytes(),
                Err(bytes) => bytes.into_bytes(),
            };
            std::fs::write(place, content).unwrap();
        }
    }
}

/// The two servers of the earlier release, started by this one.
fn upgraded() -> (Server, Server, Value) {
    let (dev, prod) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let paths = (dev.path().to_owned(), prod.path().to_owned());
    let directories = [("dev", &*paths.0), ("prod", &*paths.1)];
    write("dev", dev.path(), &directories, "");
    let dev = Server::start_in(dev, &["--engine", "rten"]);
    write("prod", prod.path(), &directories, &dev.url());
    write_peers(prod.path(), &[("dev", &dev.url())]);
    let prod = Server::start_in(prod, &["--engine", "rten"]);
    let before = answers(&directories, &dev.url());
    (dev, prod, before)
}

/// Both have these members alike.
fn assert_alike(before: &Value, after: &Value, members: &[&str], what: &str) {
    for member in members {
        assert_eq!(before[member], after[member], "{member} of {what}: {after}");
    }
}

#[test]
fn everything_of_the_release_before_is_there_and_can_be_gone_on_with() {
    let (dev, prod, before) = upgraded();
    for (name, service) in before["services"].as_object().unwrap() {
        assert_alike(service, &prod.get(&format!("/services/{name}")).1["body"], &OF_A_SERVICE, name);
    }
    for (name, alias) in before["aliases"].as_object().unwrap() {
        assert_alike(alias, &prod.get(&format!("/aliases/{name}")).1["body"], &OF_AN_ALIAS, name);
    }
    for (name, body) in before["predictions"].as_object().unwrap() {
        let request =
            serde_json::json!({"service": name, "data": ["5.1,3.5,1.4,0.2"], "parameters": {"output": {"best": 3}}});
        assert_eq!(&prod.post("/predict", &request).1["body"], body, "{name}");
    }
    let number = |of: &str| before["moves"][of].as_str().unwrap();
    let phase = |of: &str| prod.get(&format!("/moves/{}", number(of))).1["body"]["phase"].clone();
    assert_eq!((phase("done"), phase("undone")), ("done".into(), "rolled_back".into()));
    let certificate = prod.get(&format!("/moves/{}/certificate", number("done")));
    assert_eq!(certificate.0, 200, "{}", certificate.1);

    // What was on watch goes back, and what waited is given up.
    for (of, act, end) in [("watched", "rollback", "rolled_back"), ("waiting", "abort", "aborted")] {
        let (status, answer) = prod.post(&format!("/moves/{}/{act}", number(of)), &Value::Null);
        assert!((200..300).contains(&status), "{act}: {answer}");
        eventually("the move is over", || phase(of) == end);
        assert_eq!(prod.get(&format!("/aliases/{of}")).1["body"]["service"], "first", "{of}");
    }
    let (status, answer) = prod.post("/aliases/stable/rollback", &Value::Null);
    assert_eq!((status, &answer["body"]["service"]), (200, &"first".into()), "{answer}");
    drop((dev, prod));
}
