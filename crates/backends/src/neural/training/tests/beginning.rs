//! What a training begins with.

use dede_model::backend::ServiceType;
use dede_model::repository::{NewRecord, ServiceRecord, StoredParameters};

use super::*;

/// Publishes the last run.
fn publish(repository: &Repository) {
    let run = repository.runs().unwrap().pop().unwrap();
    let record = ServiceRecord::new(NewRecord {
        mllib: "caffe".into(),
        connector: "csv".into(),
        service_type: ServiceType::Supervised,
        parameters: StoredParameters::default(),
        task: Task::Classification { classes: 3 },
        shape: SampleShape::Row { columns: 4 },
        labels: Labels::default(),
        network: "model.onnx".into(),
    });
    repository.complete(&run, &record).unwrap();
    repository.publish(&run).unwrap();
}

#[test]
fn training_goes_on_from_a_network_of_the_repository() {
    let bench = Bench::new();
    let mllib = json!({"template": "mlp", "nclasses": 3, "seed": 1, "solver": {"iterations": 100}});
    let (directory, _) = bench.train(&mllib, &iris()).unwrap();
    let trained = served(&directory);
    publish(&bench.repository);
    let existing = |alone: bool| Ok((!alone).then(|| Held::Network(trained.clone())));
    let loss_after_one = |mllib: Value, other: &Bench| {
        let plan = other.plan(&mllib, DataKind::Table, &existing).unwrap();
        other.run(plan, &iris()).unwrap();
        other.progress.figures().histories["train_loss"][0]
    };
    let one = json!({"iterations": 1});
    let further = loss_after_one(json!({"nclasses": 3, "seed": 1, "solver": one}), &Bench::new());
    let finetuned = json!({"template": "mlp", "nclasses": 3, "seed": 1, "finetuning": true, "solver": one});
    assert_eq!(loss_after_one(finetuned.clone(), &Bench::new()), further);
    let fresh = json!({"template": "mlp", "nclasses": 3, "seed": 1, "solver": one});
    let failed = Bench::new();
    failed.repository.begin_run().unwrap();
    assert_eq!(loss_after_one(fresh.clone(), &failed), further, "what failed changes nothing");
    assert!(loss_after_one(fresh, &bench) > 2.0 * further, "a template over a network trained here starts anew");
    let error = Bench::new().plan(&finetuned, DataKind::Table, &|_| Ok(None)).err().unwrap();
    assert!(error.to_string().contains("finetuning requires specifying an existing weights file"));
}

/// A file of the repository that the original server trained: `mlp` of two layers of 16.
fn iris_file(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/fixtures/models/iris");
    std::fs::read(directory.join(name)).unwrap()
}

#[test]
fn weights_without_a_network_begin_the_training_of_a_template() {
    const FILE: &str = "model_iter_300.caffemodel";
    let existing = |_| {
        let weights =
            LayerWeights::read(FILE, iris_file(FILE)).map_err(|error| Error::bad_parameter(error.to_string()))?;
        Ok(Some(Held::Weights(weights)))
    };
    let mllib = |layers: [u64; 2], classes: u64, more: Value| {
        let mut mllib = json!({"template": "mlp", "layers": layers, "nclasses": classes, "seed": 1,
            "solver": {"iterations": 1, "base_lr": 1e-9, "momentum": 0}});
        mllib.as_object_mut().unwrap().extend(section(more));
        mllib
    };
    let deploy = String::from_utf8(iris_file("deploy.prototxt")).unwrap();
    let network = dede_graph::caffe::import(("deploy.prototxt", &deploy), (FILE, &iris_file(FILE))).unwrap();
    let is_same = |graph: &Graph, name: &str| {
        let (found, expected) = (graph.weights.get(name).unwrap().data(), network.weights.get(name).unwrap().data());
        found.len() == expected.len()
            && found.iter().zip(&**expected).all(|(found, expected)| (found - expected).abs() < 1e-6)
    };
    let train = |bench: &Bench, mllib: &Value| {
        bench
            .plan(mllib, DataKind::Table, &existing)
            .and_then(|plan| bench.run(plan, &iris()))
            .map(|(directory, _)| served(&directory))
    };
    let names: Vec<&str> = network.weights.iter().map(|(name, _)| name).collect();
    for more in [json!({}), json!({"finetuning": true})] {
        let graph = train(&Bench::new(), &mllib([16, 16], 3, more)).unwrap();
        assert!(names.iter().all(|name| is_same(&graph, name)), "{names:?}");
    }
    let again = Bench::new();
    for _ in 0..2 {
        let graph = train(&again, &mllib([16, 16], 3, json!({}))).unwrap();
        assert!(names.iter().all(|name| is_same(&graph, name)), "each training begins with them");
        publish(&again.repository);
    }
    let graph = train(&Bench::new(), &mllib([16, 16], 4, json!({"finetuning": true}))).unwrap();
    let differing: Vec<&&str> = names.iter().filter(|name| !is_same(&graph, name)).collect();
    assert_eq!(differing, [&"fc_ip1.bias", &"fc_ip1.weight"], "the last layer is drawn anew");
    for (mllib, expected) in [
        (
            mllib([17, 16], 3, json!({})),
            "layer fc_data: blob for fc_data.weight should have shape [17, 4], found [16, 4]",
        ),
        (mllib([17, 16], 3, json!({"finetuning": true})), "layer fc_data: blob for fc_data.weight should have shape"),
        (
            mllib([16, 16], 4, json!({})),
            "layer fc_ip1: blob for fc_ip1.weight should have shape [4, 16], found [3, 16]",
        ),
        (mllib([16, 16], 3, json!({"bn": true})), "layer bn_ip0: weight bn_ip0.running_mean is missing"),
    ] {
        let error = train(&Bench::new(), &mllib).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(FILE), "{error}");
    }
    let error = Bench::new().plan(&json!({"nclasses": 3}), DataKind::Table, &existing).err().unwrap().to_string();
    assert!(error.contains("missing solver file in"), "{error}");
}
