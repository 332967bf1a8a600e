//! Image files.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::run;
use crate::server::Server;

#[test]
fn mutants_of_images_are_answered() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/tests/fixtures/images");
    let is_image = |path: &Path| {
        let kinds = ["jpg", "png", "bmp", "gif", "webp", "tif", "tiff"];
        path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known))
    };
    let mut paths: Vec<_> = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let originals: Vec<Vec<u8>> =
        paths.into_iter().filter(|path| is_image(path)).map(|path| std::fs::read(path).unwrap()).collect();
    assert!(originals.len() > 5);
    let server = Server::start(&[]);
    let pictures = server.path().join("pictures");
    for class in ["a", "b"] {
        std::fs::create_dir_all(pictures.join(class)).unwrap();
        std::fs::write(pictures.join(class).join("one.png"), &originals[0]).unwrap();
    }
    let put = json!({"mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": server.path().join("images"), "create_repository": true},
        "parameters": {"input": {"connector": "image", "width": 8, "height": 8},
            "mllib": {"template": "mlp", "nclasses": 2, "layers": [4]}}});
    assert_eq!(server.put("/services/images", &put).0, 201);
    let train = json!({"service": "images", "async": false, "data": [pictures],
        "parameters": {"mllib": {"solver": {"iterations": 1}, "net": {"batch_size": 2}}}});
    let (status, answer) = server.post("/train", &train);
    assert_eq!(status, 201, "{answer}");
    let options = [
        json!({}),
        json!({"unchanged_data": true}),
        json!({"bw": true}),
        json!({"scaled": true, "scale_min": 8}),
        json!({"histogram_equalization": true}),
        json!({"interp": "lanczos4"}),
    ];
    run("images", &server, |random| {
        let data: Vec<String> = (0..8).map(|_| STANDARD.encode(random.mutant(&originals))).collect();
        for item in data {
            let input = random.of(&options);
            let body = json!({"service": "images", "data": [item], "parameters": {"input": input}});
            let (status, answer) = server.post("/predict", &body);
            assert!([200, 400, 413].contains(&status), "{status}: {answer} {input} {}", body["data"]);
        }
    });
}
