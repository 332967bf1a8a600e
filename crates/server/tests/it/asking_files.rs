//! `dede predict`: a person asks a service about files of their machine, and reads a table.

use std::process::Command;

use dede_testing::fixtures;
use dede_testing::onnx::{Attribute, F32, I64, Onnx};
use serde_json::{Value, json};

use crate::server::{Server, binary};

/// Standard output, standard error, and whether it succeeded.
fn ask(server: &Server, arguments: &[&str]) -> (String, String, bool) {
    let url = server.url();
    let output = Command::new(binary()).arg("predict").args(arguments).args(["--on", &url]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

fn create(server: &Server, model: &str, connector: &str) {
    let repository = fixtures::copy_model(model, server.path()).unwrap();
    let body = json!({"mllib": "caffe", "type": "supervised", "model": {"repository": repository},
                      "parameters": {"input": {"connector": connector}, "mllib": {"nclasses": 3}}});
    let (status, answer) = server.put(&format!("/services/{model}"), &body);
    assert_eq!(status, 201, "{answer}");
}

/// One box in each image of any size.
fn create_detector(server: &Server) {
    let repository = server.path().join("boxes");
    let onnx = Onnx::new(17)
        .input("image", F32, &[1, 3, 8, 8])
        .output("boxes", F32, &[1, 4])
        .output("labels", I64, &[1])
        .output("scores", F32, &[1])
        .floats("corners", &[1, 4], &[0.0, 2.0, 4.0, 8.0])
        .longs("class", &[1], &[1])
        .longs("one", &[1], &[1])
        .floats("share", &[1], &[1.0 / 255.0])
        .node(
            "ReduceMean",
            &["image"],
            &["mean"],
            &[("axes", Attribute::Ints(&[1, 2, 3])), ("keepdims", Attribute::Int(0))],
        )
        .node("Mul", &["mean", "share"], &["scores"], &[])
        .node("Identity", &["corners"], &["boxes"], &[])
        .node("Identity", &["class"], &["labels"], &[]);
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("model.onnx"), onnx.build()).unwrap();
    std::fs::write(repository.join("corresp.txt"), "0 dog\n1 cat\n").unwrap();
    let body = json!({"mllib": "onnx", "type": "supervised", "model": {"repository": repository},
                      "parameters": {"input": {"connector": "image", "width": 8, "height": 8}, "mllib": {"nclasses": 2}}});
    let (status, answer) = server.put("/services/boxes", &body);
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn the_table_says_what_the_server_answers() {
    let server = Server::start(&[]);
    create(&server, "imgconv", "image");
    let files = ["circle/circle00.jpg", "square/square00.jpg"].map(|name| fixtures::data("shapes").join(name));
    let body = json!({"service": "imgconv", "parameters": {"output": {"best": 5}}, "data": files});
    let (_, answer) = server.post("/predict", &body);
    let expected: Vec<Vec<String>> = answer["body"]["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|prediction| {
            let row = |one: &Value| format!("{:.4}  {}", one["prob"].as_f64().unwrap(), one["cat"].as_str().unwrap());
            prediction["classes"].as_array().unwrap().iter().map(row).collect()
        })
        .collect();
    let paths = files.each_ref().map(|path| path.to_str().unwrap());
    let (table, said, is_good) = ask(&server, &["imgconv", paths[0], paths[1]]);
    assert!(is_good && said.contains("answered by imgconv@"), "{said}");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), expected.iter().map(Vec::len).sum::<usize>(), "{table}");
    for (line, row) in lines.iter().zip(expected.iter().flatten()) {
        assert!(line.ends_with(row.as_str()), "{row} in {table}");
    }
    assert!(lines[0].contains("circle00.jpg") && lines[expected[0].len()].contains("square00.jpg"), "{table}");

    let (json, _, is_good) = ask(&server, &["imgconv", paths[0], "--best", "1", "--json"]);
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert!(is_good && parsed["body"]["predictions"][0]["classes"].as_array().unwrap().len() == 1, "{json}");
}

#[test]
fn tables_are_asked_line_by_line_and_boxes_have_their_places() {
    let server = Server::start(&[]);
    create(&server, "iris", "csv");
    let rows = server.path().join("rows.csv");
    std::fs::write(&rows, "5.1,3.5,1.4,0.2\n6.7,3.1,5.6,2.4\n").unwrap();
    let (table, said, is_good) = ask(&server, &["iris", rows.to_str().unwrap(), "--best", "1"]);
    assert!(is_good && table.lines().count() == 2, "{said}{table}");

    create_detector(&server);
    let image = fixtures::data("shapes").join("circle/circle00.jpg");
    let (table, said, is_good) = ask(&server, &["boxes", image.to_str().unwrap()]);
    assert!(is_good && table.contains("cat") && table.contains("x 0.0 to "), "{said}{table}");
    let (table, _, is_good) = ask(&server, &["boxes", image.to_str().unwrap(), "--confidence", "1"]);
    assert!(is_good && table.trim_end().ends_with("nothing found"), "{table}");
}

#[test]
fn mistakes_are_sentences() {
    let server = Server::start(&[]);
    create(&server, "iris", "csv");
    let image = fixtures::data("shapes").join("circle/circle00.jpg");
    let image = image.to_str().unwrap();
    let directory = server.path().to_str().unwrap().to_owned();
    for (arguments, expected) in [
        (&["nosuch", image][..], "nosuch"),
        (&["iris", "/nosuch/file"], "/nosuch/file"),
        (&["iris", &directory], "expected a file"),
        (&["iris", image], "expected UTF-8"),
        (&["iris", image, "--parameters", "3"], "expected an object"),
        (&["iris", image, "--confidence", "2"], "from 0 to 1"),
        (&["iris"], "FILE"),
    ] {
        let (_, said, is_good) = ask(&server, arguments);
        assert!(!is_good && said.contains(expected), "{arguments:?}: {said}");
    }
}
