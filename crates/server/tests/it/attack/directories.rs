//! Directories that are no repositories: whatever is created on them and cleared, what was there before stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::honest::Honest;
use crate::models::{Models, classes};
use crate::server::Server;
use crate::tree::{difference, tree};

/// A service without a network yet, in the directory.
fn body(repository: &Path) -> Value {
    json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "layers": [4], "nclasses": 3}},
        "model": {"repository": repository},
    })
}

fn put(server: &Server, repository: &Path) -> (u16, Value) {
    server.put("/services/attack", &body(repository))
}

/// Creates a service there and clears it in every way, as far as the server lets that happen.
fn attack(server: &Server, repository: &Path) {
    for clear in ["lib", "index", "full", "dir"] {
        put(server, repository);
        server.delete(&format!("/services/attack?clear={clear}"));
        server.delete("/services/attack");
    }
}

/// Makes files with some content.
fn fill(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("of {file}")).unwrap();
    }
}

const FOREIGN: &[&str] = &[
    "notes.txt",
    "package.json",
    "metrics.json",
    "model.json",
    "letters.dat",
    "thesis/runs/1/model.onnx",
    "runs/notes",
    "runs/1/model.onnx",
    "runs/2020/photo.jpg",
    "test.lmdb/letter",
    "best_model_of_mine.txt",
    "my.model",
    "network.onnx",
    ".bashrc",
];

#[test]
fn what_was_in_a_directory_before_is_there_afterwards() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let home = server.path().join("home");
    fill(&home, FOREIGN);
    let before = tree(&home);
    for clear in ["lib", "index", "full", "dir"] {
        assert_eq!(put(&server, &home).0, 201);
        let (status, answer) = server.delete(&format!("/services/attack?clear={clear}"));
        assert_eq!(status, 200, "{clear}: {answer}");
        let mut after = tree(&home);
        // What the service was created with, where this way of clearing leaves it.
        after.retain(|name, _| name != "config.json" && !name.ends_with(".prototxt"));
        assert_eq!(difference(&before, &after), None, "{clear}");
        if ["full", "dir"].contains(&clear) {
            let left = answer["body"]["left"].as_array().unwrap();
            assert!(left.contains(&json!("notes.txt")) && left.contains(&json!("runs/2020")), "{answer}");
            assert_eq!(answer["body"]["left_count"], left.len());
        }
        fs::remove_file(home.join("config.json")).unwrap_or_default();
    }
}

#[test]
fn a_directory_of_a_service_alone_goes_whole_with_the_answer_of_the_original() {
    let (server, models) = (Server::start(&[]), Models::get());
    let _honest = Honest::beside(&server);
    for (clear, is_there) in [("full", true), ("dir", false)] {
        let repository = server.path().join("model");
        models.versions[0].write(&repository);
        crate::models::put_service(&server, "iris", &repository);
        let (status, answer) = server.delete(&format!("/services/iris?clear={clear}"));
        assert_eq!((status, answer), (200, json!({"status": {"code": 200, "msg": "OK"}})), "{clear}");
        assert_eq!(repository.exists(), is_there);
        assert!(!is_there || fs::read_dir(&repository).unwrap().next().is_none());
    }
}

#[test]
fn a_guest_is_told_how_many_files_are_left_and_no_names() {
    let directory = tempfile::tempdir().unwrap();
    fill(&directory.path().join("home"), FOREIGN);
    // Beyond loopback and without a token the original's routes are as open as the original's.
    let server = Server::start_in(directory, &["--host", "0.0.0.0"]);
    let _honest = Honest::beside(&server);
    assert_eq!(put(&server, &server.path().join("home")).0, 201);
    let (status, answer) = server.delete("/services/attack?clear=full");
    assert!(status == 200 && answer["body"]["left_count"].as_u64().unwrap() > 5, "{answer}");
    assert!(answer["body"].get("left").is_none() && !answer.to_string().contains("notes"), "{answer}");
}

#[test]
fn the_servers_own_directories_are_no_repositories_whatever_they_are_called() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), &["state/mine.txt", "data/rows.csv", "root/a/model.txt"]);
    symlink(directory.path().join("state"), directory.path().join("link")).unwrap();
    symlink(directory.path(), directory.path().join("root/up")).unwrap();
    symlink("a/..", directory.path().join("root/itself")).unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_owned();
    let server = Server::start_in(directory, &["--data-root", &data]);
    let _honest = Honest::beside(&server);
    let own = ["state/mine.txt", "state/state.json", "state/blobs/lock"];
    server.put("/services/other", &body(&server.path().join("root/a")));
    for place in [
        "state",
        "state/",
        "state/.",
        "state/blobs",
        "state/blobs/sha256",
        "state/new",
        "state/repositories",
        "state/repositories/..",
        "state/repositories/../blobs",
        "link",
        "link/blobs",
        "root/a/../../state",
        "root/up/state",
        "root/up",
        ".",
        "data",
        "",
    ] {
        let (status, answer) = put(&server, &server.path().join(place));
        assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{place}: {answer}");
        attack(&server, &server.path().join(place));
    }
    assert!(put(&server, Path::new("/")).0 == 400);
    for file in own.iter().chain(&["data/rows.csv", "root/a/model.txt"]) {
        assert!(server.path().join(file).exists(), "{file}");
    }
    assert!(!server.path().join("state/config.json").exists() && !server.path().join("config.json").exists());
}

#[test]
fn a_root_for_repositories_is_none_and_what_leaves_it_is_refused_at_each_use() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), &["root/notes.txt", "root/team/notes.txt", "precious/corresp.txt", "precious/config.json"]);
    symlink(".", directory.path().join("root/itself")).unwrap();
    symlink("..", directory.path().join("root/up")).unwrap();
    let root = directory.path().join("root");
    let arguments = ["--repository-root", root.to_str().unwrap(), "--repository-root"].map(str::to_owned);
    let team = root.join("team").to_str().unwrap().to_owned();
    let server = Server::start_in(directory, &[&arguments[0], &arguments[1], &arguments[2], &team]);
    let _honest = Honest::beside(&server);
    // A root inside of another one is a root, too.
    for place in
        ["root", "root/", "root/itself", "root/up", "root/team", "root/team/..", "precious", "root/up/precious"]
    {
        let (status, answer) = put(&server, &server.path().join(place));
        assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{place}: {answer}");
    }
    // The directory is swapped for a link between PUT and DELETE, or one above it is.
    for (place, swapped) in [("root/model", "root/model"), ("root/group/model", "root/group")] {
        fs::create_dir_all(server.path().join(place)).unwrap();
        assert_eq!(put(&server, &server.path().join(place)).0, 201, "{place}");
        fs::rename(server.path().join(swapped), server.path().join("away")).unwrap();
        fs::create_dir_all(server.path().join("precious/model")).unwrap();
        symlink(server.path().join("precious"), server.path().join(swapped)).unwrap();
        let before = tree(&server.path().join("precious"));
        for clear in ["lib", "index", "full", "dir"] {
            let (status, answer) = server.delete(&format!("/services/attack?clear={clear}"));
            assert_eq!(status, 400, "{place} {clear}: {answer}");
        }
        let train = json!({"service": "attack", "async": false, "data": ["/nowhere.csv"], "parameters": {}});
        assert_eq!(server.post("/train", &train).0, 400);
        assert_eq!(difference(&before, &tree(&server.path().join("precious"))), None, "{place}");
        // It can still be let go of.
        assert_eq!(server.delete("/services/attack").0, 200);
        fs::remove_file(server.path().join(swapped)).unwrap();
        fs::rename(server.path().join("away"), server.path().join(swapped)).unwrap();
    }
}

#[test]
fn without_roots_too_a_directory_that_leads_elsewhere_is_not_cleared() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    fill(
        server.path(),
        &["precious/corresp.txt", "precious/config.json", "precious/runs/1/service.json", "v1/x", "v2/corresp.txt"],
    );
    let before = tree(&server.path().join("precious"));
    for first_is_link in [false, true] {
        let model = server.path().join("model");
        match first_is_link {
            true => symlink(server.path().join("v1"), &model).unwrap(),
            false => fs::create_dir(&model).unwrap(),
        }
        assert_eq!(put(&server, &model).0, 201);
        match first_is_link {
            true => fs::remove_file(&model).unwrap(),
            false => fs::remove_dir_all(&model).unwrap(),
        }
        symlink(server.path().join("precious"), &model).unwrap();
        for clear in ["lib", "full", "dir"] {
            let (status, answer) = server.delete(&format!("/services/attack?clear={clear}"));
            assert_eq!(status, 400, "{clear}: {answer}");
        }
        assert_eq!(difference(&before, &tree(&server.path().join("precious"))), None);
        assert_eq!(server.delete("/services/attack").0, 200);
        fs::remove_file(&model).unwrap();
    }
}

#[test]
fn repositories_lie_beside_each_other_or_are_one() {
    let (server, models) = (Server::start(&[]), Models::get());
    let _honest = Honest::beside(&server);
    let model = server.path().join("models/iris");
    models.versions[0].write(&model);
    crate::models::put_service(&server, "iris", &model);
    fs::create_dir_all(model.join("inner")).unwrap();
    symlink(&model, server.path().join("link")).unwrap();
    for place in
        ["models", "models/iris/runs", "models/iris/inner", "models/iris/new/deep", "link/inner", "models/../models"]
    {
        let mut request = body(&server.path().join(place));
        request["model"]["create_repository"] = json!(true);
        let (status, answer) = server.put("/services/attack", &request);
        assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{place}: {answer}");
    }
    assert!(!model.join("new").exists(), "nothing is made before it is refused");
    // The manual's way: a second service on the same files.
    crate::models::put_service(&server, "second", &model);
    assert_eq!(classes(&server, "second", &models.inputs[0]), classes(&server, "iris", &models.inputs[0]));
    // Another one beside them, whose name begins alike.
    fs::create_dir_all(server.path().join("models/iris-2")).unwrap();
    assert_eq!(put(&server, &server.path().join("models/iris-2")).0, 201);
}

#[test]
fn a_config_of_another_program_is_never_overwritten() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let home = server.path().join("home");
    let config = home.join("config.json");
    fs::create_dir(&home).unwrap();
    for foreign in [
        r#"{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}"#,
        r#"{"mllib": "caffe"}"#,
        r#"{"parameters": {}}"#,
        r#"["mllib", "parameters"]"#,
        "mllib = caffe",
        "",
    ] {
        fs::write(&config, foreign).unwrap();
        let (status, answer) = put(&server, &home);
        assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{foreign}: {answer}");
        let text = answer["status"]["dd_msg"].as_str().unwrap();
        assert!(text.contains("config.json") && text.contains("mllib and parameters expected"), "{text}");
        assert_eq!(server.get("/services/attack").0, 404);
        attack(&server, &home);
        assert_eq!(fs::read_to_string(&config).unwrap(), foreign);
    }
    // Nor through a link, in a directory's place, or where a pipe would have the server wait.
    let elsewhere = server.path().join("elsewhere");
    fs::write(&elsewhere, body(&home).to_string()).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    let ways: [(&str, &dyn Fn()); 3] = [
        ("a link", &|| symlink(&elsewhere, &config).unwrap()),
        ("a directory", &|| fs::create_dir(&config).unwrap()),
        ("a pipe", &|| assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success())),
    ];
    for (what, make) in ways {
        let _ = fs::remove_file(&config).or_else(|_| fs::remove_dir(&config));
        make();
        assert_eq!(put(&server, &home).0, 400, "{what}");
        attack(&server, &home);
        assert!(config.symlink_metadata().is_ok() && fs::read(&elsewhere).unwrap() == before, "{what}");
    }
}

#[test]
fn no_member_that_only_other_programs_know_is_written() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let home = server.path().join("home");
    fs::create_dir(&home).unwrap();
    let mut request = body(&home);
    request["credHelpers"] = json!({"registry.example": "evil"});
    request["parameters"]["plugins"] = json!(["evil"]);
    assert_eq!(server.put("/services/attack", &request).0, 201);
    let text = fs::read_to_string(home.join("config.json")).unwrap();
    assert!(!text.contains("evil"), "{text}");
    let written: Value = serde_json::from_str(&text).unwrap();
    for member in ["mllib", "type", "parameters", "model"] {
        assert_eq!(written[member], body(&home)[member], "{member}");
    }
    // The record of a service may be written anew, its own and that of a DeepDetect.
    assert_eq!(server.delete("/services/attack").0, 200);
    fs::write(home.join("config.json"), r#"{"mllib":"caffe","parameters":{"input":[{"connector":"csv","x":NaN}]}}"#)
        .unwrap();
    let (status, answer) = put(&server, &home);
    assert_eq!(status, 201, "{answer}");
    assert!(fs::read_to_string(home.join("config.json")).unwrap().contains("template"));
}
