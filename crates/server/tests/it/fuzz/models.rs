//! Files of networks.

use serde_json::json;

use super::run;
use crate::models::{Models, predict_body};
use crate::server::Server;

#[test]
fn mutants_of_networks_are_answered() {
    let models = Models::get();
    let server = Server::start(&["--max-network-memory", "512", "--network-timeout", "5"]);
    let source = server.path().join("source");
    models.versions[1].write(&source);
    let run_of = |name: &str| std::fs::read(source.join("runs/1").join(name)).unwrap();
    let originals = [run_of("model.onnx")];
    let prototxt = described();
    let mut number = 0;
    run("networks", &server, |random| {
        number += 1;
        let repository = server.path().join(format!("r{number}"));
        std::fs::create_dir(&repository).unwrap();
        let is_onnx = random.below(3) > 0;
        let mllib = if is_onnx {
            std::fs::write(repository.join("model.onnx"), random.mutant(&originals)).unwrap();
            "onnx"
        } else {
            let text = [prototxt.as_bytes().to_vec()];
            std::fs::write(repository.join("deploy.prototxt"), random.mutant(&text)).unwrap();
            std::fs::write(repository.join("model_iter_1.caffemodel"), random.mutant(&originals)).unwrap();
            "caffe"
        };
        let put = json!({"mllib": mllib, "description": "", "type": "supervised", "model": {"repository": repository},
            "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}}});
        let (status, answer) = server.put("/services/mutant", &put);
        assert!([201, 400].contains(&status), "{status}: {answer}, r{number}");
        if status == 201 {
            let (status, answer) = server.post("/predict", &predict_body("mutant", &models.inputs[0]));
            assert!([200, 400].contains(&status), "{status}: {answer}, r{number}");
            assert_eq!(server.delete("/services/mutant").0, 200);
        }
        std::fs::remove_dir_all(&repository).unwrap();
    });
}

/// A small network as Caffe describes it.
fn described() -> &'static str {
    "name: 'n' layer { name: 'data' type: 'MemoryData' top: 'data' memory_data_param { batch_size: 1 channels: 4 height: 1 \
     width: 1 } } layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' inner_product_param { num_output: 3 \
     weight_filler { type: 'xavier' } } } layer { name: 'prob' type: 'Softmax' bottom: 'ip' top: 'prob' }"
}
