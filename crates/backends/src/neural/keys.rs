//! Every key of `parameters.mllib` (contract.md 4.5, 4.6 and 7), and what becomes of it.
//!
//! [`super::options`] reads what decides a network, [`super::training`] what decides a training. A key that neither reads stands here as
//! refused, unless no answer depends on it.

use dede_model::parameters::keys::{Key, KeyTable, Moment, Neutral};

/// Of networks whose files say how samples become numbers.
pub(super) const KEYS: KeyTable = KeyTable(&[
    &NETWORK,
    &[
        Key::not_yet("scale").unless(&[Neutral::Number(1.0)]).because("parameters.input.scale is applied"),
        Key::applied("output_format", Moment::Loading),
    ],
    &TRAINING,
    &SOLVER,
    &OTHERS_OF_TRAINING,
    &PLACE,
    &TASKS,
    &AUGMENTATION,
    &EFFECTS,
    &DETECTION,
    &ENGINE_FILES,
    &CALIBRATION,
    &OTHER_LIBRARIES,
]);

/// Of networks of Caffe.
pub(super) const CAFFE_KEYS: KeyTable = KeyTable(&[
    &NETWORK,
    &[Key::applied("scale", Moment::Network).unless(&[Neutral::Number(1.0)]), Key::not_yet("output_format")],
    &TRAINING,
    &SOLVER,
    &OTHERS_OF_TRAINING,
    &PLACE,
    &TASKS,
    &AUGMENTATION,
    &EFFECTS,
    &DETECTION,
    &ENGINE_FILES,
    &CALIBRATION,
    &OTHER_LIBRARIES,
]);

/// Of networks that TensorRT served. Its engine files are compiled for one GPU, and none is read or written here.
pub(super) const TENSORRT_KEYS: KeyTable = KeyTable(&[
    &NETWORK,
    &[
        Key::not_yet("scale").unless(&[Neutral::Number(1.0)]).because("parameters.input.scale is applied"),
        Key::applied("output_format", Moment::Loading),
        Key::without_effect("tensorRTEngineFile", NO_ENGINE_FILES),
        Key::without_effect("readEngine", NO_ENGINE_FILES),
        Key::without_effect("writeEngine", NO_ENGINE_FILES),
        Key::without_effect("maxWorkspaceSize", "it is memory of a GPU, while every engine here computes on the CPU"),
        Key::without_effect(
            "maxBatchSize",
            "a run takes as many items as the network can, and answers do not depend on it",
        ),
    ],
    &TRAINING,
    &SOLVER,
    &OTHERS_OF_TRAINING,
    &PLACE,
    &TASKS,
    &AUGMENTATION,
    &EFFECTS,
    &DETECTION,
    &CALIBRATION,
    &OTHER_LIBRARIES,
]);

const NO_ENGINE_FILES: &str = "no engine file is read or written: the network that it was compiled from is served";

/// What asks for nothing, or for a number that is not there.
const UNSET: &[Neutral] = &[Neutral::Off, Neutral::Number(-1.0)];

const NETWORK: [Key; 13] = [
    Key::applied("template", Moment::Network),
    Key::applied("layers", Moment::Network),
    Key::applied("activation", Moment::Network),
    Key::applied("dropout", Moment::Network),
    Key::applied("bn", Moment::Network),
    Key::applied("nclasses", Moment::Network),
    Key::applied("regression", Moment::Network),
    Key::applied("ntargets", Moment::Network),
    Key::applied("output", Moment::Loading),
    Key::applied("outputBlob", Moment::Loading),
    Key::applied("output_activation", Moment::Loading),
    Key::applied("extract_layer", Moment::Predict),
    Key::applied("net.test_batch_size", Moment::Each),
];

const TRAINING: [Key; 5] = [
    Key::applied("finetuning", Moment::Training),
    Key::applied("resume", Moment::Training),
    Key::applied("class_weights", Moment::Training),
    Key::applied("seed", Moment::Training),
    Key::applied("net.batch_size", Moment::Training),
];

const SOLVER: [Key; 20] = [
    Key::applied("solver.iterations", Moment::Training),
    Key::applied("solver.test_interval", Moment::Training),
    Key::applied("solver.test_initialization", Moment::Training),
    Key::applied("solver.snapshot", Moment::Training),
    Key::applied("solver.solver_type", Moment::Training),
    Key::applied("solver.lr_policy", Moment::Training),
    Key::applied("solver.base_lr", Moment::Training),
    Key::applied("solver.min_lr", Moment::Training),
    Key::applied("solver.warmup_lr", Moment::Training),
    Key::applied("solver.warmup_iter", Moment::Training),
    Key::applied("solver.gamma", Moment::Training),
    Key::applied("solver.power", Moment::Training),
    Key::applied("solver.stepsize", Moment::Training),
    Key::applied("solver.stepvalue", Moment::Training),
    Key::applied("solver.momentum", Moment::Training),
    Key::applied("solver.beta1", Moment::Training),
    Key::applied("solver.beta2", Moment::Training),
    Key::applied("solver.weight_decay", Moment::Training),
    Key::applied("solver.rms_decay", Moment::Training),
    Key::applied("solver.iter_size", Moment::Training),
];

/// Of trainings: what is not there yet, and what decides no weight. Numbers that are neutral are the defaults of the original.
const OTHERS_OF_TRAINING: [Key; 26] = [
    Key::without_effect("solver.snapshot_prefix", "snapshots are written in the run's directory of the repository"),
    Key::without_effect(
        "solver.average_loss",
        "the loss is answered as it is, and not smoothed; no weight depends on it",
    ),
    Key::not_yet("solver.rectified"),
    Key::not_yet("solver.adabelief"),
    Key::not_yet("solver.gradient_centralization"),
    Key::not_yet("solver.adamp"),
    Key::not_yet("solver.decoupled_wd"),
    Key::not_yet("solver.decoupled_wd_periods").unless(&[Neutral::Number(4.0)]),
    Key::not_yet("solver.decoupled_wd_mult").unless(&[Neutral::Number(2.0)]),
    Key::not_yet("solver.lookahead"),
    Key::not_yet("solver.lookahead_steps").unless(&[Neutral::Number(6.0)]),
    Key::not_yet("solver.lookahead_alpha").unless(&[Neutral::Number(0.5)]),
    Key::not_yet("solver.lr_dropout").unless(&[Neutral::Number(1.0)]),
    Key::not_yet("solver.lr_mult").unless(&[Neutral::Number(1.0)]),
    Key::not_yet("solver.period").unless(UNSET),
    Key::not_yet("solver.ncycles").unless(&[Neutral::Off, Neutral::Number(1.0)]),
    Key::not_yet("solver.p_mult").unless(&[Neutral::Number(2.0)]),
    Key::not_yet("solver.rand_skip"),
    Key::not_yet("solver.sam"),
    Key::not_yet("solver.sam_rho").unless(&[Neutral::Number(0.05)]),
    Key::not_yet("solver.swa"),
    Key::not_yet("solver.clip"),
    Key::not_yet("solver.clip_value").unless(&[Neutral::Number(5.0)]),
    Key::not_yet("solver.clip_norm").unless(&[Neutral::Number(100.0)]),
    Key::not_yet("net.reg_weight").unless(&[Neutral::Number(1.0)]),
    Key::not_yet("resume_from").unless(&[Neutral::Off, Neutral::Text("latest")]),
];

const NO_GPU: &str = "no GPU can be used, as every engine of this server computes on the CPU";

/// Where and how it is computed.
const PLACE: [Key; 11] = [
    Key::not_yet("gpu").because(NO_GPU),
    Key::not_yet("gpuid").unless(&[Neutral::Off, Neutral::Number(0.0)]).because(NO_GPU),
    Key::not_yet("datatype")
        .unless(&[Neutral::Off, Neutral::Text("fp32")])
        .because("networks are computed in the types of their files"),
    Key::without_effect("engine", "the engines of this server are others (--engine)"),
    Key::without_effect("threads", "how many threads compute is the server's to say (--threads)"),
    Key::without_effect("db", "data are read from where they are, and not kept in a data base"),
    Key::without_effect("dataloader_threads", "data are read ahead in any case"),
    Key::not_yet("concurrent_predict").unless(&[Neutral::On]),
    Key::not_yet("retain_graph"),
    Key::not_yet("jit_compiler_params"),
    Key::not_yet("from_repository"),
];

/// Tasks, networks and forms of loss of later versions.
const TASKS: [Key; 19] = [
    Key::not_yet("segmentation"),
    Key::not_yet("ctc"),
    Key::not_yet("bbox"),
    Key::not_yet("multi_label"),
    Key::not_yet("autoencoder"),
    Key::not_yet("sparse"),
    Key::not_yet("timesteps").unless(UNSET),
    Key::not_yet("offset"),
    Key::not_yet("ignore_label").unless(&[Neutral::Number(-1.0)]),
    Key::not_yet("loss"),
    Key::not_yet("loss_weight"),
    Key::not_yet("dice_param"),
    Key::not_yet("scaling_temperature").unless(&[Neutral::Number(1.0)]),
    Key::not_yet("template_params"),
    Key::not_yet("self_supervised"),
    Key::not_yet("embedding_size").unless(&[Neutral::Off, Neutral::Number(768.0)]),
    Key::not_yet("freeze_traced"),
    Key::not_yet("forward_method"),
    Key::not_yet("inputBlob").unless(&[Neutral::Off, Neutral::Text("data")]),
];

/// Random changes of training images.
const AUGMENTATION: [Key; 5] = [
    Key::not_yet("crop_size").unless(UNSET),
    Key::not_yet("test_crop_samples").unless(&[Neutral::Off, Neutral::Number(1.0)]),
    Key::not_yet("mirror"),
    Key::not_yet("rotate"),
    Key::not_yet("cutout"),
];

const EFFECTS: [Key; 29] = [
    Key::not_yet("noise.prob"),
    Key::not_yet("noise.all_effects"),
    Key::not_yet("noise.decolorize"),
    Key::not_yet("noise.hist_eq"),
    Key::not_yet("noise.inverse"),
    Key::not_yet("noise.gauss_blur"),
    Key::not_yet("noise.posterize"),
    Key::not_yet("noise.erode"),
    Key::not_yet("noise.saltpepper"),
    Key::not_yet("noise.clahe"),
    Key::not_yet("noise.convert_to_hsv"),
    Key::not_yet("noise.convert_to_lab"),
    Key::not_yet("distort.prob"),
    Key::not_yet("distort.all_effects"),
    Key::not_yet("distort.brightness"),
    Key::not_yet("distort.contrast"),
    Key::not_yet("distort.saturation"),
    Key::not_yet("distort.hue"),
    Key::not_yet("distort.random_order"),
    Key::not_yet("geometry.prob"),
    Key::not_yet("geometry.all_effects"),
    Key::not_yet("geometry.persp_horizontal").unless(&[Neutral::Off, Neutral::On]),
    Key::not_yet("geometry.persp_vertical").unless(&[Neutral::Off, Neutral::On]),
    Key::not_yet("geometry.zoom_out").unless(&[Neutral::Off, Neutral::On]),
    Key::not_yet("geometry.zoom_in").unless(&[Neutral::Off, Neutral::On]),
    Key::not_yet("geometry.zoom_factor").unless(&[Neutral::Number(0.25)]),
    Key::not_yet("geometry.persp_factor").unless(&[Neutral::Number(0.25)]),
    Key::not_yet("geometry.transl"),
    Key::not_yet("geometry.pad_mode").unless(&[Neutral::Off, Neutral::Text("mirrored")]),
];

/// Of the heads that find boxes.
const DETECTION: [Key; 7] = [
    Key::not_yet("ssd_expand_prob"),
    Key::not_yet("ssd_max_expand_ratio"),
    Key::not_yet("ssd_mining_type"),
    Key::not_yet("ssd_neg_pos_ratio"),
    Key::not_yet("ssd_neg_overlap"),
    Key::not_yet("ssd_keep_top_k"),
    Key::not_yet("ssd_overlap_threshold").unless(&[Neutral::Number(0.5)]),
];

/// Of `tensorrt`: the files of its engines, and how they are compiled.
const ENGINE_FILES: [Key; 5] = [
    Key::not_yet("tensorRTEngineFile").unless(&[Neutral::Off, Neutral::Text("TRTengine")]),
    Key::not_yet("readEngine").unless(&[Neutral::On]),
    Key::not_yet("writeEngine").unless(&[Neutral::On]),
    Key::not_yet("maxWorkspaceSize").unless(&[Neutral::Number(1024.0)]),
    Key::not_yet("maxBatchSize").unless(&[Neutral::Number(48.0)]),
];

/// Of `tensorrt`: other numbers than those of the network's file.
const CALIBRATION: [Key; 2] = [Key::not_yet("dla").unless(&[Neutral::Number(-1.0)]), Key::not_yet("calibration")];

/// Of libraries that this server has not: `ncnn`, `dlib`, `tsne`, `xgboost`.
const OTHER_LIBRARIES: [Key; 15] = [
    Key::not_yet("lightmode").unless(&[Neutral::On]),
    Key::not_yet("model_type"),
    Key::not_yet("shape_predictor"),
    Key::not_yet("chip_size").unless(&[Neutral::Number(150.0)]),
    Key::not_yet("padding").unless(&[Neutral::Number(0.25)]),
    Key::not_yet("perplexity").unless(&[Neutral::Number(30.0)]),
    Key::not_yet("iterations").because("the iterations of a network are parameters.mllib.solver.iterations"),
    Key::not_yet("test_interval").because("the test interval of a network is parameters.mllib.solver.test_interval"),
    Key::not_yet("save_period"),
    Key::not_yet("objective"),
    Key::not_yet("booster"),
    Key::not_yet("num_feature"),
    Key::not_yet("base_score").unless(&[Neutral::Number(0.5)]),
    Key::not_yet("eval_metric"),
    Key::not_yet("booster_params"),
];
