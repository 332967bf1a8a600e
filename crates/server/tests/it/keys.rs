//! Keys of requests: each one that is documented is applied or refused by name, and every other one is unknown and named.
//!
//! That applied keys change something is shown beside the owners of the tables; here the tables are complete, and what stands there as
//! refused is refused over HTTP, at each call.

use dede_backends::neural::caffe::Caffe;
use dede_backends::neural::onnx::Onnx;
use dede_backends::neural::tensorrt::TensorRt;
use dede_connectors::csv::CsvConnector;
use dede_connectors::image::ImageConnector;
use dede_engine::output;
use dede_model::backend::Backend as _;
use dede_model::connector::Connector as _;
use dede_model::parameters::keys::{Key, KeyTable, Standing};
use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::predict::put_network;
use crate::server::{Server, spawn};
use crate::tensorrt::put_means;

const ROW: &str = "5.1,3.5,1.4,0.2";

/// Documented keys of `parameters.output`.
const OUTPUT: &str = "best confidence_threshold measure measure_hist max_hist_points test_predictions bbox best_bbox nms_threshold top_k \
    mask keypoints segmentation confidences ctc blank_label regression binarized bool_binarized string_binarized image encoding rois \
    multibox_rois index build_index search search_nn index_type train_samples ondisk nprobe index_gpu index_gpuid index_uri template \
    network.url network.http_method network.content_type logits logits_blob target_repository store_config";

/// Documented keys of `parameters.input` with connector csv, and of the series that it does not read.
const CSV: &str = "connector timeout label label_offset id separator quote ignore categoricals categoricals_mapping scale scale_type \
    min_vals max_vals mean_vals variance_vals test_split shuffle seed db autoencoder timesteps offset continuation forecast_timesteps \
    backcast_timesteps";

/// Documented keys of `parameters.input` with connector image.
const IMAGE: &str = "connector timeout width height crop_width crop_height bw rgb unchanged_data histogram_equalization mean std scale \
    scaled scale_min scale_max interp aspect_ratio_pad keep_orig cuda test_split shuffle seed db multi_label root_folder segmentation bbox \
    ctc align db_width db_height continuation";

/// Documented keys of `parameters.mllib`, of every library.
const MLLIB: &str = "nclasses ntargets regression autoencoder gpu gpuid template layers activation dropout bn finetuning db crop_size mirror \
    rotate scale noise.prob noise.all_effects noise.decolorize noise.hist_eq noise.inverse noise.gauss_blur noise.posterize noise.erode \
    noise.saltpepper noise.clahe noise.convert_to_hsv noise.convert_to_lab distort.prob distort.all_effects distort.brightness \
    distort.contrast distort.saturation distort.hue distort.random_order geometry.prob geometry.all_effects geometry.persp_horizontal \
    geometry.persp_vertical geometry.zoom_out geometry.zoom_in geometry.zoom_factor geometry.persp_factor geometry.pad_mode \
    geometry.transl loss dice_param engine scaling_temperature ssd_expand_prob ssd_max_expand_ratio ssd_mining_type ssd_neg_pos_ratio \
    ssd_neg_overlap ssd_keep_top_k ssd_overlap_threshold from_repository extract_layer net.test_batch_size net.batch_size net.reg_weight \
    resume resume_from timesteps class_weights ignore_label solver.iterations solver.snapshot solver.snapshot_prefix solver.solver_type \
    solver.test_interval solver.test_initialization solver.lr_policy solver.base_lr solver.warmup_lr solver.warmup_iter solver.gamma \
    solver.stepsize solver.stepvalue solver.momentum solver.weight_decay solver.power solver.rms_decay solver.iter_size solver.rectified \
    solver.adabelief solver.gradient_centralization solver.lookahead solver.lookahead_steps solver.lookahead_alpha solver.lr_dropout \
    solver.min_lr solver.lr_mult solver.period solver.ncycles solver.p_mult solver.decoupled_wd_periods solver.decoupled_wd_mult \
    solver.rand_skip solver.average_loss solver.beta1 solver.beta2 solver.adamp solver.decoupled_wd solver.sam solver.sam_rho solver.swa \
    solver.clip solver.clip_value solver.clip_norm retain_graph dataloader_threads template_params test_crop_samples cutout datatype \
    segmentation ctc multi_label self_supervised embedding_size freeze_traced concurrent_predict jit_compiler_params forward_method \
    tensorRTEngineFile readEngine writeEngine maxWorkspaceSize maxBatchSize dla calibration threads lightmode inputBlob outputBlob \
    model_type shape_predictor chip_size padding perplexity iterations objective booster num_feature base_score eval_metric seed \
    test_interval save_period booster_params output output_activation output_format offset";

/// Documented keys of `model`.
const MODEL: &str = "repository create_repository templates weights init index_preload def trainf solver corresp";

/// A table, and a service whose requests it is for.
struct Owned {
    service: &'static str,
    mllib: &'static str,
    connector: &'static str,
    at: &'static str,
    table: KeyTable,
    documented: &'static str,
}

/// The services that [`with_services`] makes: Caffe on rows and on images, ONNX on rows.
const ROWS: (&str, &str, &str) = ("iris", "caffe", "csv");
const IMAGES: (&str, &str, &str) = ("imgconv", "caffe", "image");
const ONNX: (&str, &str, &str) = ("softmax", "onnx", "csv");
const TENSORRT: (&str, &str, &str) = ("means", "tensorrt", "image");

fn tables() -> Vec<Owned> {
    let owned =
        |(service, mllib, connector), at, table, documented| Owned { service, mllib, connector, at, table, documented };
    vec![
        owned(ROWS, "parameters.output", output::KEYS, OUTPUT),
        owned(IMAGES, "parameters.output", output::KEYS, OUTPUT),
        owned(ROWS, "parameters.input", CsvConnector.keys(), CSV),
        owned(IMAGES, "parameters.input", ImageConnector.keys(), IMAGE),
        owned(ROWS, "parameters.mllib", Caffe.keys(), MLLIB),
        owned(ONNX, "parameters.mllib", Onnx::new().keys(), MLLIB),
        owned(TENSORRT, "parameters.mllib", TensorRt::new().keys(), MLLIB),
        owned(ROWS, "model", Caffe.model_keys(), MODEL),
        owned(ONNX, "model", Onnx::new().model_keys(), MODEL),
    ]
}

#[test]
fn every_documented_key_stands_in_one_table() {
    for Owned { at, table, documented, .. } in tables() {
        for path in documented.split_whitespace() {
            let times = table.keys().filter(|key| key.path == path).count();
            assert_eq!(times, 1, "{at}.{path} stands {times} times");
        }
    }
}

/// A value that asks for something.
fn asking(key: &Key) -> Value {
    let values = [json!(true), json!(1), json!(7), json!("x"), json!([1, 2])];
    values.into_iter().find(|value| !key.is_neutral(value)).expect("some value asks for something")
}

/// `{"a": {"b": value}}` for `a.b`.
fn section(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, name| json!({ name: value }))
}

fn creation(server: &Server, mllib: &str, connector: &str, name: &str) -> Value {
    json!({"mllib": mllib, "model": {"repository": server.path().join(name), "create_repository": true},
           "parameters": {"input": {"connector": connector}, "mllib": {"nclasses": 3}, "output": {}}})
}

/// Lays `what` over `body` at a dotted path.
fn with(mut body: Value, at: &str, what: &Value) -> Value {
    let place = body.pointer_mut(&format!("/{}", at.replace('.', "/"))).unwrap().as_object_mut().unwrap();
    place.extend(what.as_object().unwrap().clone());
    body
}

fn with_iris(arguments: &[&str]) -> Server {
    let server = Server::start(arguments);
    let repository = fixtures::copy_model("iris", server.path()).unwrap();
    let body = json!({"mllib": "caffe", "model": {"repository": repository},
                      "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}}});
    let (status, answer) = server.put("/services/iris", &body);
    assert_eq!(status, 201, "{answer}");
    server
}

/// A server with a service for each table.
fn with_services() -> Server {
    let server = with_iris(&[]);
    let repository = fixtures::copy_model("imgconv", server.path()).unwrap();
    let body = json!({"mllib": "caffe", "model": {"repository": repository},
                      "parameters": {"input": {"connector": "image"}, "mllib": {"nclasses": 3}}});
    let (status, answer) = server.put("/services/imgconv", &body);
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = put_network(&server, "Softmax", "supervised", &json!({"nclasses": 3}));
    assert_eq!(status, 201, "{answer}");
    put_means(&server);
    server
}

fn call(sections: &Value) -> Value {
    call_of("iris", sections)
}

fn call_of(service: &str, sections: &Value) -> Value {
    let call = json!({"service": service, "data": [ROW], "parameters": {"input": {}, "mllib": {}, "output": {}}});
    sections.as_object().unwrap().iter().fold(call, |call, (at, what)| with(call, &format!("parameters.{at}"), what))
}

fn assert_refused((status, answer): (u16, Value), expected: &str) {
    let text = answer["status"]["dd_msg"].as_str().unwrap_or_default().to_owned();
    assert!(status == 400 && text.contains(expected), "expected {expected:?}, found {status}: {answer}");
}

#[test]
fn what_the_tables_refuse_is_refused_at_each_call() {
    let server = with_services();
    let mut walked = 0;
    for Owned { service, mllib, connector, at, table, .. } in tables() {
        for key in table.keys().filter(|key| matches!(key.standing, Standing::NotYet(_))) {
            let sent = section(key.path, asking(key));
            let expected = format!("not supported yet: {at}.{}", key.path);
            let body = with(creation(&server, mllib, connector, "refused"), at, &sent);
            assert_refused(server.put("/services/refused", &body), &expected);
            if let Some(at) = at.strip_prefix("parameters.") {
                let body = call_of(service, &json!({ at: sent }));
                assert_refused(server.post("/predict", &body), &expected);
                assert_refused(server.post("/train", &body), &expected);
            }
            walked += 1;
        }
    }
    assert!(walked > 150, "{walked}");
    assert_eq!(server.post("/predict", &call(&json!({}))).0, 200);
}

#[test]
fn what_asks_for_nothing_is_accepted() {
    let server = with_iris(&["--strict"]);
    // What the server shows of a service, defaults filled in, creates one.
    let (_, shown) = server.get("/services/iris");
    let repository = server.path().join("again");
    let body = json!({"mllib": "caffe", "model": {"repository": repository, "create_repository": true},
                      "parameters": shown["body"]["parameters"]});
    let (status, answer) = server.put("/services/again", &body);
    assert_eq!(status, 201, "{answer}");
    let neutral = json!({
        "mllib": {"output": "loss", "regression": false, "scale": 1, "gpu": false, "gpuid": 0, "datatype": "fp32", "mirror": false, "ignore_label": -1, "noise": {}, "nclasses": 3,
                  "solver": {"clip": false, "clip_value": 5.0, "lookahead_steps": 6}},
        "input": {"connector": "csv", "continuation": false, "db": true, "timeout": -1, "shuffle": true},
        "output": {"bbox": false, "logits": false, "best_bbox": -1, "nms_threshold": 0.45, "store_config": true, "measure_hist": true}});
    let (status, answer) = server.post("/predict", &call(&neutral));
    assert_eq!(status, 200, "{answer}");
    let log = server.log();
    for named in ["parameters.input.db", "parameters.input.shuffle", "parameters.output.store_config"] {
        assert!(log.contains(named), "{named}: {log}");
    }
}

#[test]
fn a_value_that_changes_what_a_service_is_or_cannot_give_is_refused() {
    let server = with_iris(&[]);
    for (sections, expected) in [
        (json!({"output": {"measure": ["map"]}}), "measure map needs boxes"),
        (json!({"output": {"measure": ["acc", "bogus"]}}), "found bogus (parameters.output.measure)"),
        (json!({"output": {"measure": ["eucll"]}}), "measure eucll needs values"),
        (json!({"output": {"regression": true}}), "parameters.output.regression"),
        (json!({"output": {"network": "http://x"}}), "expected an object (parameters.output.network)"),
        (json!({"mllib": {"outputBlob": "fc"}}), "parameters.mllib.outputBlob"),
        (json!({"mllib": {"nclasses": 4}}), "parameters.mllib.nclasses"),
        (json!({"mllib": {"nclasses": 0}}), "expected 3, as the service was created with, found 0"),
        (json!({"mllib": {"regression": true}}), "parameters.mllib.regression"),
        (json!({"mllib": {"output": "z"}}), "expected \"loss\", as the service was created with, found \"z\""),
        (json!({"input": {"connector": 3}}), "parameters.input.connector"),
        (json!({"mllib": {"gpu": true}}), "no GPU can be used"),
        (json!({"mllib": {"ignore_label": 0}}), "not supported yet: parameters.mllib.ignore_label"),
        (json!({"input": {"connector": "image"}}), "parameters.input.connector"),
    ] {
        assert_refused(server.post("/predict", &call(&sections)), expected);
    }
    for (sections, expected) in [
        (json!({"output": {"measure": ["map"]}}), "measure map needs boxes"),
        (json!({"output": {"measure": ["eucll"]}, "mllib": {"template": "mlp"}}), "measure eucll needs values"),
        (json!({"mllib": {"ignore_label": 0}}), "not supported yet: parameters.mllib.ignore_label"),
    ] {
        assert_refused(server.post("/train", &call(&sections)), expected);
    }
    let measured = with(creation(&server, "caffe", "csv", "m"), "parameters.output", &json!({"measure": ["bogus"]}));
    assert_refused(server.put("/services/m", &measured), "found bogus");
    for (mllib, template) in [("caffe", "resnet_34_ssd"), ("onnx", "resnet18"), ("caffe", "nbeats")] {
        let body = with(creation(&server, mllib, "image", "t"), "parameters.mllib", &json!({"template": template}));
        assert_refused(server.put("/services/t", &body), &format!("not supported yet: template {template}"));
    }
}

#[test]
fn keys_in_no_table_are_logged_once_or_refused() {
    let (server, strict) = (with_iris(&[]), with_iris(&["--strict"]));
    for (at, key) in [
        ("parameters.input", "sclae"),
        ("parameters.mllib", "bogus"),
        ("parameters.mllib", "solver.iteration"),
        ("parameters.output", "bset"),
        ("model", "bogus"),
    ] {
        let path = format!("{at}.{key}");
        let name = path.replace('.', "-");
        let body = |server: &Server| with(creation(server, "caffe", "csv", &name), at, &section(key, json!(1)));
        assert_eq!(server.put(&format!("/services/{name}"), &body(&server)).0, 201, "{path}");
        assert!(server.log().contains(&path), "{path}");
        assert_refused(strict.put(&format!("/services/{name}"), &body(&strict)), &path);
        let Some(at) = at.strip_prefix("parameters.") else { continue };
        let body = call(&json!({ at: section(key, json!(1)) }));
        assert_eq!((server.post("/predict", &body).0, server.post("/predict", &body).0), (200, 200), "{path}");
        let logged = server.log().lines().filter(|line| line.contains("service=iris") && line.contains(&path)).count();
        assert_eq!(logged, 1, "{path}: {}", server.log());
        assert_refused(strict.post("/predict", &body), &path);
        assert_refused(strict.post("/train", &body), &path);
    }
    let (status, answer) =
        strict.put("/services/top", &with(creation(&strict, "caffe", "csv", "top"), "model", &json!({})));
    assert_eq!(status, 201, "{answer}");
    let mut body = creation(&strict, "caffe", "csv", "top2");
    body["bogus"] = json!(1);
    assert_refused(strict.put("/services/top2", &body), "bogus");
}

/// What a request says beside its sections, and of values that only the whole request can judge.
#[test]
fn what_a_request_cannot_mean_is_refused() {
    let server = with_services();
    let repository = server.path().join("new");
    let body = |model: Value, mllib: Value| json!({"mllib": "caffe", "model": model, "parameters": {"input": {"connector": "csv"}, "mllib": mllib}});
    let new = json!({"repository": repository, "create_repository": true});
    let iris = json!({"repository": server.path().join("iris"), "create_repository": true});
    for (model, mllib, expected) in [
        (json!({}), json!({"nclasses": 3}), "destination model directory"),
        (json!({"repository": ""}), json!({"nclasses": 3}), "(model.repository)"),
        (
            json!({"repository": repository, "create_repository": "x"}),
            json!({"nclasses": 3}),
            "model.create_repository",
        ),
        (new.clone(), json!({"nclasses": 3, "solver": {"solver_type": "ZZZ"}}), "parameters.mllib.solver.solver_type"),
        (new.clone(), json!({"nclasses": 3, "class_weights": "x"}), "parameters.mllib.class_weights"),
        (new.clone(), json!({"nclasses": 3, "scale": 0.5}), "parameters.mllib.scale"),
        (new, json!({"nclasses": 2.5}), "expected a whole number from 0, found 2.5"),
    ] {
        assert_refused(server.put("/services/new", &body(model, mllib)), expected);
    }
    assert_eq!(server.delete("/services/iris").0, 200);
    for (mllib, expected) in [
        (json!({"nclasses": 3.0, "layers": [7]}), "(parameters.mllib)"),
        (json!({"nclasses": 3, "activation": "zzz"}), "(parameters.mllib)"),
        (json!({"nclasses": 3, "ntargets": 4}), "parameters.mllib.ntargets"),
    ] {
        assert_refused(server.put("/services/iris", &body(iris.clone(), mllib)), expected);
    }
    let repeated = json!({"nclasses": 3.0, "ntargets": 3, "layers": [16, 16]});
    let (status, answer) = server.put("/services/iris", &body(iris, repeated));
    assert_eq!(status, 201, "{answer}");
    let predict = |body: Value| server.post("/predict", &body);
    assert_eq!(predict(json!({"service": "iris", "data": [ROW, ROW], "ids": ["a", "b"]})).0, 200);
    for (ids, data) in [(json!(["a"]), json!([ROW, ROW])), (json!(["a", "b"]), json!([ROW]))] {
        assert_refused(predict(json!({"service": "iris", "data": data, "ids": ids})), "(ids)");
    }
    for (input, expected) in
        [(json!({"scale": 0.5}), "parameters.input.scale"), (json!({"std": [2, 2, 2]}), "parameters.input.std")]
    {
        let body = json!({"mllib": "caffe", "model": {"repository": server.path().join("imgconv")},
            "parameters": {"input": {"connector": "image"}, "mllib": {"nclasses": 3}}});
        assert_eq!(server.delete("/services/imgconv").0, 200);
        assert_refused(server.put("/services/imgconv", &with(body.clone(), "parameters.input", &input)), expected);
        let (status, answer) = server.put("/services/imgconv", &body);
        assert_eq!(status, 201, "{answer}");
    }
}

#[test]
fn names_in_a_query_string_that_no_route_has_are_named() {
    let (server, strict) = (with_iris(&[]), with_iris(&["--strict"]));
    for path in ["/services/iris?satus=1", "/train?service=iris&job=1&foo=1", "/info?foo=1"] {
        let name = &path[path.rfind(['?', '&']).unwrap() + 1..path.rfind('=').unwrap()];
        server.get(path);
        assert!(server.log().contains(&format!("?{name}")), "{path}");
        assert_refused(strict.get(path), &format!("?{name}"));
    }
    assert_refused(strict.delete("/services/iris?claer=full"), "?claer");
    assert_eq!(strict.get("/services/iris?status=true&labels=true").0, 200);
}

/// A restart goes by what the creation says.
#[test]
fn a_training_that_contradicts_the_creation_is_refused_before_it_begins() {
    let server = Server::start(&[]);
    let body = with(
        creation(&server, "caffe", "csv", "net"),
        "parameters.mllib",
        &json!({"template": "mlp", "layers": [8], "activation": "tanh"}),
    );
    assert_eq!(server.put("/services/net", &body).0, 201);
    for mllib in [
        json!({"layers": [9]}),
        json!({"template": "lregression"}),
        json!({"nclasses": 4}),
        json!({"activation": "relu"}),
        json!({"regression": true, "ntargets": 1, "nclasses": 0}),
    ] {
        let body = json!({"service": "net", "async": true, "data": ["x.csv"], "parameters": {"mllib": mllib}});
        assert_refused(server.post("/train", &body), "as the service was created with, found");
    }
    assert!(!server.path().join("net/runs").exists());
}

#[test]
fn a_training_reads_data_as_the_creation_says_or_not_at_all() {
    let server = Server::start(&[]);
    for (connector, at_creation, at_training) in [
        ("csv", json!({"scale": false}), json!({"scale": true})),
        (
            "csv",
            json!({"scale": true, "min_vals": [0, 0, 0, 0], "max_vals": [10, 10, 10, 10]}),
            json!({"max_vals": [5, 5, 5, 5]}),
        ),
        ("csv", json!({"scale_type": "minmax", "scale": true}), json!({"scale_type": "znorm"})),
        ("csv", json!({"label": "y", "label_offset": 1}), json!({"label_offset": 0})),
        ("csv", json!({"separator": ";"}), json!({"separator": ","})),
        ("image", json!({"width": 16, "height": 16}), json!({"width": 20})),
        ("image", json!({"rgb": false}), json!({"rgb": true})),
        ("image", json!({"mean": [1, 2, 3]}), json!({"mean": [100, 100, 100]})),
        ("image", json!({"interp": "cubic"}), json!({"interp": "nearest"})),
        ("image", json!({"histogram_equalization": false}), json!({"histogram_equalization": true})),
    ] {
        let template = if connector == "csv" { "mlp" } else { "convnet" };
        let layers = if connector == "csv" { json!([8]) } else { json!(["1CR8", "8"]) };
        let body = with(
            creation(&server, "caffe", connector, "net"),
            "parameters.mllib",
            &json!({"template": template, "layers": layers}),
        );
        let body = with(body, "parameters.input", &at_creation);
        let (status, answer) = server.put("/services/net", &body);
        assert_eq!(status, 201, "{at_creation}: {answer}");
        let train =
            |input: &Value| json!({"service": "net", "async": true, "data": ["x"], "parameters": {"input": input}});
        assert_refused(server.post("/train", &train(&at_training)), "predicts read their data as the creation says");
        let (status, answer) = server.post("/train", &train(&at_creation));
        assert_eq!(status, 201, "{at_creation}: {answer}");
        assert_eq!(server.delete("/services/net?clear=full").0, 200);
    }
}

#[test]
fn the_start_list_is_checked_like_a_put() {
    for (mllib, connector, arguments, expected) in [
        (json!({"gpu": true}), "csv", &[][..], "not supported yet: parameters.mllib.gpu"),
        (json!({}), "svm", &[], "not supported yet: connector svm"),
        (json!({"bogus": 1}), "csv", &["--strict"], "parameters.mllib.bogus"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let body = json!({"mllib": "caffe", "model": {"repository": directory.path().join("m"), "create_repository": true},
                          "parameters": {"input": {"connector": connector}, "mllib": mllib}});
        let list = directory.path().join("list");
        std::fs::write(&list, format!("service_create;a;{body}\n")).unwrap();
        let list = list.to_str().unwrap();
        let (mut child, log) = spawn(directory.path(), &[&["--service-start-list", list], arguments].concat());
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(expected), "{log}");
    }
}
