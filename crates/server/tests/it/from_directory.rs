//! `dede move --from-dir`: a repository directory of the original server, with no server beside it, becomes a service; what it does not
//! say is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::aliases::{self, create, predict};
use crate::server::{Server, binary, eventually};

/// Runs the command as an operator on another machine would, with the server's URL.
fn make(target: &Server, directory: &Path, more: &[&str]) -> Output {
    Command::new(binary())
        .args(["move", "--to", &target.url(), "--auto", "--shadow-for", "0", "--watch-for", "0", "--from-dir"])
        .arg(directory)
        .args(more)
        .env("XDG_CONFIG_HOME", target.path().join("config"))
        .output()
        .expect("the binary runs")
}

fn refused(target: &Server, directory: &Path, more: &[&str]) -> String {
    let output = make(target, directory, more);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn done(target: &Server, directory: &Path, more: &[&str]) -> String {
    let output = make(target, directory, more);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn parameters(target: &Server, input: Value) -> String {
    let file = target.path().join("put.json");
    let body = json!({
        "mllib": "caffe", "description": "irises", "type": "supervised",
        "parameters": {"input": input, "mllib": {"nclasses": 3}}, "model": {"repository": "/models/iris"},
    });
    std::fs::write(&file, body.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn bounds() -> Value {
    json!({
        "connector": "csv", "scale": true,
        "min_vals": [4.3, 2.0, 1.0, 0.1], "max_vals": [7.9, 4.4, 6.9, 2.5],
    })
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_directory_of_the_original_becomes_the_service_that_a_put_on_it_would_be() {
    let target = Server::start(&[]);
    create(&target, "service1");
    let directory = fixtures::copy_model("lreg", target.path()).unwrap();
    let before = files(&directory);
    let file = parameters(&target, bounds());
    let text = done(&target, &directory, &["--as", "service1", "--parameters", &file]);
    assert!(text.contains("service1 is lreg now") && text.contains("none: the source cannot be asked"), "{text}");
    assert_eq!(files(&directory), before, "nothing is written in the source");

    let mut body: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    body["model"]["repository"] = directory.to_str().unwrap().into();
    let (status, answer) = target.put("/services/by-hand", &body);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(predict(&target, "service1").1["body"], predict(&target, "by-hand").1["body"]);
    let certificate = target.get("/moves/m1/certificate").1;
    assert_eq!(certificate["certificate"]["report"]["golden"]["cases"], 0, "{certificate}");

    // Images say all there is to say; what is there already is not sent again.
    let images = fixtures::copy_model("imgconv", target.path()).unwrap();
    done(&target, &images, &[]);
    assert_eq!(target.get("/services/imgconv").1["body"]["height"], 64);
}

#[test]
fn golden_cases_are_the_proof_where_nobody_can_be_asked() {
    let target = Server::start(&[]);
    let directory = fixtures::copy_model("lreg", target.path()).unwrap();
    let file = parameters(&target, bounds());
    done(&target, &directory, &["first", "--parameters", &file]);
    let request = json!({"parameters": {"output": {"best": 3}}, "data": ["5.1,3.5,1.4,0.2"]});
    let mut call = request.clone();
    call["service"] = "first".into();
    let predictions = target.post("/predict", &call).1["body"]["predictions"].clone();
    let golden = target.path().join("golden");
    std::fs::create_dir(&golden).unwrap();
    let write = |predictions: &Value| {
        std::fs::write(golden.join("1.json"), json!({"request": request, "predictions": predictions}).to_string())
            .unwrap();
    };
    write(&predictions);
    let text = done(&target, &directory, &["second", "--parameters", &file, "--golden", golden.to_str().unwrap()]);
    assert!(text.contains("1 of 1 answers"), "{text}");
    let mut other = predictions;
    other[0]["classes"][0]["prob"] = 0.5.into();
    write(&other);
    let reason = refused(&target, &directory, &["third", "--parameters", &file, "--golden", golden.to_str().unwrap()]);
    assert!(reason.contains("golden answers are not reproduced"), "{reason}");
    assert_eq!(target.get("/services/third").0, 404);
}

#[test]
fn what_is_missing_is_named_and_nothing_is_begun() {
    let target = Server::start(&[]);
    let copy = |model: &str, name: &str| {
        let directory = target.path().join(name);
        fixtures::copy_directory(&fixtures::model(model), &directory).unwrap();
        directory
    };
    let file = parameters(&target, bounds());
    let with_file = ["--parameters", file.as_str()];
    let without = |name: &str, gone: &str| {
        let directory = copy("iris", name);
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().ends_with(gone) {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        directory
    };
    let linked = copy("iris", "linked");
    std::os::unix::fs::symlink("/etc/passwd", linked.join("passwd")).unwrap();
    for (directory, more, named) in [
        (copy("iris", "bounds"), &[][..], &["parameters.input.scale", "min_vals", "max_vals"][..]),
        (copy("iriscat", "categories"), &with_file, &["categoricals_mapping", "color"]),
        (copy("reg", "untrained"), &[], &["parameters.input.scale", "model.json"]),
        (without("record", "config.json"), &[], &["config.json", "--parameters"]),
        (without("weights", ".caffemodel"), &with_file, &["trained network", "caffemodel"]),
        (without("labels", "corresp.txt"), &with_file, &["corresp.txt"]),
        (without("network", "deploy.prototxt"), &with_file, &["trained network", "deploy.prototxt"]),
        (linked, &with_file, &["passwd", "link"]),
        (target.path().join("nosuch"), &[], &["nosuch"]),
    ] {
        let reason = refused(&target, &directory, more);
        for part in named {
            assert!(reason.contains(part), "{part} not in {reason}");
        }
    }
    assert_eq!(target.get("/moves").1["body"], json!([]));
}

#[test]
fn only_what_was_offered_is_taken() {
    let target = Server::start(&[]);
    let offer = json!({"manifest": "{}", "config": "{}"});
    assert_eq!(target.post("/v2/_dede/uploads", &offer).0, 400);
    let digest = format!("sha256:{}", "0".repeat(64));
    let put = target.send("PUT", &format!("/v2/_dede/uploads/upload:{digest}/blobs/{digest}"), "content");
    assert_eq!(put.status, 409);
    let (status, answer) = target.post("/moves", &json!({"service": "a", "source": format!("upload:{digest}")}));
    assert_eq!(status, 409, "{answer}");
}

#[test]
fn content_is_what_the_manifest_says_and_complete_before_a_move_takes_it() {
    let (source, target) = (aliases::server(&["service2"]), Server::start(&[]));
    let part = |path: &str| source.send("GET", &format!("/v2/_dede/services/service2/{path}"), "").body;
    let text = |path: &str| String::from_utf8(part(path)).unwrap();
    let offer = json!({"manifest": text("manifest"), "config": text("config")});
    let (status, answer) = target.post("/v2/_dede/uploads", &offer);
    assert_eq!(status, 200, "{answer}");
    let request = json!({"service": "service2", "source": answer["body"]["source"], "auto": true});
    let missing: Vec<&str> = answer["body"]["missing"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let put = |digest: &str, content: &[u8]| {
        let path = format!("/v2/_dede/uploads/{}/blobs/{digest}", request["source"].as_str().unwrap());
        target.connect().send("PUT", &path, content).unwrap().status
    };
    let ended = |id: &str| {
        let info = || target.get(&format!("/moves/{id}")).1["body"].clone();
        eventually("the move is over", || ["done", "aborted"].iter().any(|phase| info()["phase"] == *phase));
        info()
    };
    assert!(!missing.is_empty());
    assert_eq!(put(missing[0], b"something else"), 400);
    assert_eq!(target.post("/moves", &request).0, 202);
    assert!(ended("m1")["error"].to_string().contains("not complete"), "{}", ended("m1"));
    for digest in &missing {
        assert_eq!(put(digest, &part(&format!("blobs/{digest}"))), 200);
    }
    assert_eq!(target.post("/v2/_dede/uploads", &offer).1["body"]["missing"], json!([]));
    assert_eq!(target.post("/moves", &request).0, 202);
    assert_eq!(ended("m2")["phase"], "done", "{}", ended("m2"));
    assert_eq!(predict(&target, "service2").1["body"], predict(&source, "service2").1["body"]);
    let target = target.kill_and_restart();
    let again = json!({"service": "service2", "name": "again", "source": request["source"]});
    assert_eq!(target.post("/moves", &again).0, 409, "an upload ends with the process");
}
