//! Names of classes: the file of the repository that `model.corresp` names is applied, and travels with the service; what it does not
//! name is refused.

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::Server;

const ROW: &str = "5.1,3.5,1.4,0.2";

fn creation(repository: &std::path::Path, corresp: &Value) -> Value {
    json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
           "model": {"repository": repository, "corresp": corresp}})
}

#[test]
fn a_file_of_class_names_is_applied_or_refused() {
    let server = Server::start(&[]);
    let repository = fixtures::copy_model("iris", server.path()).unwrap();
    std::fs::write(repository.join("latin.txt"), "0 Iris setosa\n1 Iris versicolor\n2 Iris virginica\n").unwrap();
    std::fs::write(server.path().join("outside.txt"), "0 a\n1 b\n2 c\n").unwrap();
    for corresp in [json!("missing.txt"), json!("../outside.txt"), json!(server.path().join("outside.txt")), json!(1)] {
        let (status, answer) = server.put("/services/iris", &creation(&repository, &corresp));
        let text = answer.to_string();
        assert!(status == 400 && text.contains("model.corresp"), "{corresp}: {status} {text}");
    }
    let query = json!({"service": "iris", "data": [ROW]});
    let mut versions = Vec::new();
    // The repository's own file is empty: the numbers are the names.
    for (corresp, are_latin) in
        [(json!("latin.txt"), true), (json!(repository.join("latin.txt")), true), (json!("corresp.txt"), false)]
    {
        let (status, answer) = server.put("/services/iris", &creation(&repository, &corresp));
        assert_eq!(status, 201, "{corresp}: {answer}");
        let (status, answer) = server.post("/predict", &query);
        assert_eq!(status, 200, "{answer}");
        let found = answer["body"]["predictions"][0]["classes"][0]["cat"].as_str().unwrap();
        assert_eq!(found.starts_with("Iris "), are_latin, "{corresp}: {found}");
        versions.push(server.served_by(&query));
        assert_eq!(server.delete("/services/iris").0, 200);
    }
    assert_eq!(versions[0], versions[1]);
    assert_ne!(versions[1], versions[2], "the names decide answers");
}

#[test]
fn a_training_does_not_give_its_classes_the_names_of_others() {
    let server = Server::start(&[]);
    let repository = server.path().join("trained");
    std::fs::create_dir(&repository).unwrap();
    std::fs::write(repository.join("animals.txt"), "0 cat\n1 dog\n2 cow\n").unwrap();
    let mut body = creation(&repository, &json!("animals.txt"));
    body["parameters"]["mllib"]["template"] = json!("lregression");
    let (status, answer) = server.put("/services/iris", &body);
    assert_eq!(status, 201, "{answer}");
    let rows: String =
        (0..30).map(|row| format!("{row},{},{},{}\n", row % 3, row % 5, ["red", "green", "blue"][row % 3])).collect();
    let data = server.path().join("colours.csv");
    std::fs::write(&data, format!("id,a,b,colour\n{rows}")).unwrap();
    let train = json!({"service": "iris", "async": false, "data": [data], "parameters": {
        "input": {"id": "id", "label": "colour"}, "mllib": {"solver": {"iterations": 2}}}});
    let (status, answer) = server.post("/train", &train);
    let text = answer.to_string();
    assert!(status == 400 && text.contains("model.corresp") && text.contains("animals.txt"), "{status}: {text}");
}
