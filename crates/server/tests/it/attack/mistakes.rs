//! Mistakes of a client or of the owner of a repository: named in a 4xx, never a fault of the server.

use dede_testing::protobuf::{bytes, number};
use serde_json::{Value, json};

use super::honest::Honest;
use crate::models::{Models, put_service};
use crate::server::Server;

fn creation(mllib: &str, repository: &std::path::Path, parameters: Value) -> Value {
    json!({"mllib": mllib, "description": "", "type": "supervised", "model": {"repository": repository},
        "parameters": {"input": {"connector": "csv"}, "mllib": parameters}})
}

#[test]
fn names_of_classes_that_are_no_text_are_the_repositorys_mistake() {
    let (server, models) = (Server::start(&[]), Models::get());
    let _honest = Honest::beside(&server);
    for (number, content) in [&b"0 \xff\xfe\n"[..], &[0xc3; 100], b"\x000 a\n\xed\xa0\x80"].into_iter().enumerate() {
        let repository = server.path().join(format!("r{number}"));
        models.versions[0].write(&repository);
        let network = repository.join("runs/1/model.onnx");
        let plain = server.path().join(format!("plain{number}"));
        std::fs::create_dir(&plain).unwrap();
        std::fs::copy(&network, plain.join("model.onnx")).unwrap();
        std::fs::write(plain.join("corresp.txt"), content).unwrap();
        let (status, answer) = server.put("/services/s", &creation("onnx", &plain, json!({"nclasses": 3})));
        assert!(status == 400 && answer.to_string().contains("corresp.txt"), "{status}: {answer}");
    }
}

/// An ONNX file whose weights lie in a file of this name.
fn with_weights_in(location: &str, offset: &str, length: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let places = [entry("location", location), entry("offset", offset), entry("length", length)].concat();
    let weights = [number(1, 4), number(1, 3), number(2, 1), bytes(8, b"w"), places, number(14, 1)].concat();
    let value = |field: u64, name: &str, columns: u64| {
        let shape = [bytes(1, &bytes(2, b"n")), bytes(1, &number(1, columns))].concat();
        let kind = bytes(1, &[number(1, 1), bytes(2, &shape)].concat());
        bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat())
    };
    let product = bytes(1, &[bytes(1, b"x"), bytes(1, b"w"), bytes(2, b"y"), bytes(4, b"MatMul")].concat());
    let graph = [bytes(2, b"g"), product, bytes(5, &weights), value(11, "x", 4), value(12, "y", 3)].concat();
    [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph)].concat()
}

#[test]
fn weights_in_places_that_cannot_be_are_the_repositorys_mistake() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    for (number, (location, offset, length)) in [
        ("model.onnx", "0", "48"),
        ("./model.onnx", "0", "48"),
        ("MODEL.ONNX", "0", "48"),
        ("weights", "0", "48"),
        ("weights", "18446744073709551615", "48"),
        ("weights", "-1", "48"),
        ("weights", "0", "99999999999999"),
        ("../weights", "0", "48"),
        ("/etc/passwd", "0", "48"),
        ("", "0", "48"),
        ("directory", "0", "48"),
        ("link", "0", "48"),
        ("corresp.txt", "0", "48"),
        ("config.json", "0", "48"),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = server.path().join(format!("r{number}"));
        std::fs::create_dir_all(repository.join("directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", repository.join("link")).unwrap();
        std::fs::write(repository.join("model.onnx"), with_weights_in(location, offset, length)).unwrap();
        let (status, answer) = server.put("/services/s", &creation("onnx", &repository, json!({"nclasses": 3})));
        assert!((400..500).contains(&status), "{location} {offset} {length}: {status}: {answer}");
    }
}

#[test]
fn labels_that_are_no_classes_are_the_clients_mistake() {
    let (server, models) = (Server::start(&[]), Models::get());
    let _honest = Honest::beside(&server);
    models.versions[0].write(&server.path().join("iris"));
    put_service(&server, "iris", &server.path().join("iris"));
    for offset in [-1, -100, 100, i64::MAX, i64::MIN] {
        let body = json!({"service": "iris", "data": [dede_testing::fixtures::data("iris_test.csv")], "parameters": {
            "input": {"id": "id", "label": "target", "label_offset": offset}, "output": {"measure": ["acc", "f1", "mcll"]}}});
        let (status, answer) = server.post("/predict", &body);
        assert!(status == 400, "{offset}: {status}: {answer}");
    }
}

#[test]
fn templates_of_any_size_are_answered_at_once() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let large = [
        ("mlp", json!(vec![2; 200_000])),
        ("mlp", json!(vec![1_000_000; 3])),
        ("mlp", json!([u64::MAX])),
        ("mlp", json!([4_294_967_295_u64, 4_294_967_295_u64])),
        ("convnet", json!(["1000000000CR8"])),
        ("convnet", json!(vec!["1CR8"; 100_000])),
    ];
    for (number, (template, layers)) in large.into_iter().enumerate() {
        let (input, width) = match template {
            "convnet" => (json!({"connector": "image", "width": 32, "height": 32}), 0),
            _ => (json!({"connector": "csv"}), 1),
        };
        let name = format!("s{number}");
        let put = json!({"mllib": "caffe", "description": "", "type": "supervised",
            "model": {"repository": server.path().join(&name), "create_repository": true},
            "parameters": {"input": input, "mllib": {"template": template, "layers": layers, "nclasses": 3}}});
        let began = std::time::Instant::now();
        let (status, answer) = server.put(&format!("/services/{name}"), &put);
        if status == 201 && width == 1 {
            // The size of the first layer follows from the data.
            let train = json!({"service": name, "async": false, "data": [dede_testing::fixtures::data("iris_train.csv")],
                "parameters": {"input": {"id": "id", "label": "target"}, "mllib": {"solver": {"iterations": 1}}}});
            let (status, answer) = server.post("/train", &train);
            assert_eq!(status, 400, "{template} {number}: {answer}");
        } else {
            assert_eq!(status, 400, "{template} {number}: {answer}");
        }
        assert!(began.elapsed().as_secs() < 10, "{template} {number}: {:?}", began.elapsed());
    }
    assert_eq!(server.get("/info").0, 200);
}
