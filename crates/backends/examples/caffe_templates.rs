//! Says of each text of a Caffe network whether a service of it can be created and answers: `cargo run -p dede-backends --example
//! caffe_templates -- [--engine NAME] A/deploy.prototxt …`. Weights are drawn at random. The last line counts those that answer.
//!
//! DeepDetect's templates are in its repository, `templates/caffe/*/deploy.prototxt`.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use dede_backends::neural::caffe::Caffe;
use dede_graph::caffe::{NetworkOptions, parse_network};
use dede_graph::{Graph, Layer};
use dede_model::backend::{Backend, EngineOptions, OpenRequest, PredictOptions, ServiceType};
use dede_model::data::{DataKind, Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::outputs::Outputs;
use dede_model::parameters::Section;
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;

/// What SSD multiplies normalised values with.
const SCALED: f32 = 20.0;

#[expect(clippy::print_stdout, reason = "a command that prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let mut engine = None;
    if files.first().is_some_and(|word| word == "--engine") {
        engine = files.get(1).cloned();
        files.drain(..files.len().min(2));
    }
    let mut answering = 0;
    for file in &files {
        let began = Instant::now();
        match answer(Path::new(file), engine.as_deref()) {
            Ok(answer) => {
                answering += 1;
                println!("{file}: {answer}, {:.1} s", began.elapsed().as_secs_f64());
            }
            Err(error) => println!("{file}: {error}"),
        }
    }
    println!("{answering} of {} can be created and answer", files.len());
    Ok(())
}

/// What a service of a network with random weights answers.
fn answer(file: &Path, engine: Option<&str>) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)?;
    let graph = parse_network(&text, &NetworkOptions::default())?;
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("deploy.prototxt"), &text)?;
    std::fs::write(directory.path().join("model_iter_1.caffemodel"), caffemodel(&graph)?)?;
    let is_image =
        graph.inputs.first().is_some_and(|input| matches!(input.shape.dims(), [1 | 3, _, width] if *width > 1));
    // Maps, which classes of pixels are made of, are answered as features.
    let is_map = graph
        .shapes()?
        .get(graph.output())
        .is_some_and(|shape| shape.dims().iter().filter(|&&extent| extent > 1).count() > 1);
    let is_detector = graph.decoding(graph.output())?.is_some();
    drop(graph);
    let repository = Repository::open(directory.path(), false)?;
    let none = Section::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let opened = Caffe.open(&OpenRequest {
        repository: &repository,
        mllib: &none,
        mllib_in_call: &none,
        mllib_stored: &none,
        input: &none,
        model: &none,
        service_type: if is_map && !is_detector { ServiceType::Unsupervised } else { ServiceType::Supervised },
        kind: if is_image { DataKind::Images } else { DataKind::Table },
        engine: &EngineOptions { threads, concurrency: 1, engine: engine.map(str::to_owned) },
    })?;
    let model = opened.model.ok_or("no network was opened")?;
    let samples = samples(model.description().shape.ok_or("the network takes tensors")?);
    let outputs = model.predict(&samples, &PredictOptions::default(), &MemoryShare::unbounded())?;
    if let Some((_, number)) = outputs.first_not_finite() {
        return Err(format!("an answer of finite numbers expected, found {number}").into());
    }
    let parameters = model.description().parameters;
    Ok(match outputs {
        Outputs::Detection(found) => format!("{} boxes, {parameters} weights", found.boxes()),
        Outputs::Classification(rows) => format!("{} classes, {parameters} weights", rows.row_len()),
        Outputs::Regression(rows) | Outputs::Features(rows) => {
            format!("{} values, {parameters} weights", rows.row_len())
        }
        Outputs::Segmentation(_) | Outputs::Tensors(_) => return Err("classes, values or boxes expected".into()),
    })
}

fn samples(shape: SampleShape) -> Samples {
    match shape {
        SampleShape::Row { columns } => {
            let values = (0..columns).map(|index| (index % 17) as f32 / 17.0).collect();
            Samples::Table(Floats::new(vec![1, columns], values).expect("as many values as the shape wants"))
        }
        SampleShape::Image { width, height, channels } => {
            let (width, height) = (width.unwrap_or(224), height.unwrap_or(224));
            let pixels = Pixels::U8((0..width * height * channels).map(|index| (index * 7 % 251) as u8).collect());
            let image =
                Image { width, height, channels, pixels, original_width: width, original_height: height, frame: None };
            Samples::Images { images: vec![image], normalization: Normalization::default() }
        }
    }
}

/// Weights of every layer, as Caffe's file has them: `LayerParameter`s with a name (field 1) and blobs (field 7) of a shape (field 7) and
/// numbers (field 5).
fn caffemodel(graph: &Graph) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let parameters = graph.parameters()?;
    let mut file = Vec::new();
    for node in &graph.nodes {
        let mut layer = Vec::new();
        message(&mut layer, 1, node.name.as_bytes());
        for parameter in parameters.iter().filter(|parameter| parameter.node == node.name) {
            let count: usize = parameter.shape.iter().product();
            let name = parameter.name.rsplit('.').next().unwrap_or_default();
            // Uniform numbers that keep the sizes of what comes in (He et al. 2015).
            let reach = (6.0 / (count / parameter.shape.first().copied().unwrap_or(1).max(1)) as f32).sqrt();
            let values: Vec<f32> = match (name, parameter.shape.len()) {
                ("running_variance", _) => vec![1.0; count],
                ("running_mean", _) => vec![0.0; count],
                ("weight", 2..) => (0..count).map(|_| random() * reach).collect(),
                ("weight", _) if node.layer.kind() == "Normalize" => vec![SCALED; count],
                ("weight", _) => vec![1.0; count],
                _ => (0..count).map(|_| random() * 0.1).collect(),
            };
            blob(&mut layer, &parameter.shape, &values);
        }
        if let Layer::BatchNorm(_) = node.layer {
            blob(&mut layer, &[1], &[1.0]);
        }
        message(&mut file, 100, &layer);
    }
    Ok(file)
}

fn blob(layer: &mut Vec<u8>, shape: &[usize], values: &[f32]) {
    let (mut dims, mut extents, mut content) = (Vec::new(), Vec::new(), Vec::new());
    shape.iter().for_each(|&extent| varint(&mut extents, extent as u64));
    message(&mut dims, 1, &extents);
    message(&mut content, 7, &dims);
    message(&mut content, 5, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    message(layer, 7, &content);
}

fn message(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, (field << 3) | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(((value & 127) | 128) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}
