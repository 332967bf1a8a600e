//! What files of Caffe say: every form in which they say it gives the numbers that the layers' formulas give, and what would change
//! every answer and cannot be applied is refused.
//!
//! `caffe_files/networks.bin` is written by `caffe_files/generate.py`, which says what stands in it.

use std::path::Path;

use dede_backends::neural::caffe::Caffe;
use dede_model::backend::{Opened, ServiceType};
use dede_model::data::{DataKind, Image, Normalization, Pixels, Samples};
use dede_model::error::Result;
use dede_model::tensor::Floats;
use serde_json::json;

use crate::requests::{Request, open, refusal, rows, usable_engines};

const NETWORKS: &[u8] = include_bytes!("caffe_files/networks.bin");
/// Engines add in another order.
const TOLERANCE: f32 = 1e-4;

/// A network with what it computes.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) prototxt: String,
    pub(crate) caffemodel: &'static [u8],
    /// Name and content.
    mean: (String, &'static [u8]),
    kind: DataKind,
    pub(crate) samples: Samples,
    pub(crate) expected: Vec<Vec<f32>>,
}

/// Takes `count` bytes from the front.
fn take(bytes: &mut &'static [u8], count: usize) -> &'static [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

/// Takes what has its length before it.
pub(crate) fn sized(bytes: &mut &'static [u8]) -> &'static [u8] {
    let length = u32::from_le_bytes(take(bytes, 4).try_into().expect("four bytes"));
    take(bytes, length as usize)
}

fn text(bytes: &mut &'static [u8]) -> String {
    String::from_utf8(sized(bytes).to_vec()).expect("text")
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn images(values: &[f32], [channels, height, width]: [usize; 3]) -> Samples {
    let image = |values: &[f32]| Image {
        width,
        height,
        channels,
        pixels: Pixels::U8(values.iter().map(|&value| value as u8).collect()),
        original_width: width,
        original_height: height,
        frame: None,
    };
    let images = values.chunks(channels * height * width).map(image).collect();
    Samples::Images { images, normalization: Normalization::default() }
}

fn cases() -> Vec<Case> {
    read(NETWORKS)
}

/// The networks of a file, in the format of `generate.py`.
pub(crate) fn read(networks: &'static [u8]) -> Vec<Case> {
    let (mut rest, mut cases) = (networks, Vec::new());
    while !rest.is_empty() {
        let (name, prototxt, caffemodel) = (text(&mut rest), text(&mut rest), sized(&mut rest));
        let mean = (text(&mut rest), sized(&mut rest));
        let &[channels, height, width, count, results, is_image] = take(&mut rest, 6) else { unreachable!() };
        let dims = [channels, height, width].map(usize::from);
        let (columns, count, results) = (dims.iter().product::<usize>(), usize::from(count), usize::from(results));
        let input = floats(take(&mut rest, 4 * columns * count));
        let expected = floats(take(&mut rest, 4 * results * count)).chunks(results).map(<[f32]>::to_vec).collect();
        let (kind, samples) = if is_image == 1 {
            (DataKind::Images, images(&input, dims))
        } else {
            (DataKind::Table, Samples::Table(Floats::new(vec![count, columns], input).expect("fits")))
        };
        cases.push(Case { name, prototxt, caffemodel, mean, kind, samples, expected });
    }
    cases
}

/// A directory with these files.
pub(crate) fn repository(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("written");
    }
    directory
}

/// Opens it as a service of features.
pub(crate) fn opened(directory: &Path, kind: DataKind, engine: &'static str) -> Result<Opened> {
    let request = Request { kind, engine, service_type: ServiceType::Unsupervised, ..Request::default() };
    open(&Caffe, directory, &request)
}

#[test]
fn files_in_every_form_give_what_the_formulas_give() {
    let cases = cases();
    assert!(cases.len() > 100, "{}", cases.len());
    for engine in usable_engines() {
        for Case { name, prototxt, caffemodel, mean, kind, samples, expected } in &cases {
            let mut files = vec![("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", *caffemodel)];
            if !mean.0.is_empty() {
                files.push((&mean.0, mean.1));
            }
            let directory = repository(&files);
            let opened = opened(directory.path(), *kind, engine).unwrap_or_else(|error| panic!("{name}: {error}"));
            if !mean.0.is_empty() {
                assert!(opened.files.iter().any(|file| file.name == mean.0), "{name}: the mean decides");
            }
            let found = rows(opened.model.expect("a network").as_ref(), samples);
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                let tolerance = TOLERANCE * expected.abs().max(1.0);
                assert!((found - expected).abs() < tolerance, "{name} on {engine}: {found}, expected {expected}");
            }
            assert_eq!(
                found.iter().map(Vec::len).collect::<Vec<_>>(),
                expected.iter().map(Vec::len).collect::<Vec<_>>()
            );
        }
    }
}

/// A network of one image of 3 × 3 × 4 with this in its `transform_param`.
fn of_images(transform: &str) -> String {
    format!(
        "layer {{ name: 'data' type: 'MemoryData' top: 'data' top: 'label' memory_data_param {{ channels: 3 height: 3 \
         width: 4 }} transform_param {{ {transform} }} }} layer {{ name: 'f' type: 'Flatten' bottom: 'data' top: 'f' }}"
    )
}

#[test]
fn what_would_change_every_answer_and_is_not_applied_is_refused() {
    let mean = cases().into_iter().find(|case| case.mean.0 == "train.mean").expect("there is one").mean.1;
    // Its first extents are one channel of 3 × 3 instead of three of 3 × 4.
    let small: &[u8] = &[0x3a, 6, 0x0a, 4, 1, 1, 1, 1, 0x2a, 4, 0, 0, 0, 0];
    let named = of_images("mean_file: 'train.mean'");
    let rows = |layer: &str| {
        format!(
            "layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: [1, 2, 2, 2] }} }} }} {layer}"
        )
    };
    let memory =
        "layer { name: 'data' type: 'MemoryData' top: 'data' memory_data_param { channels: 4 height: 1 width: 1 }
        transform_param { scale: 0.5 } } layer { name: 'f' type: 'ReLU' bottom: 'data' top: 'f' }";
    type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], DataKind, &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        (&named, &[], DataKind::Images, &["transform_param.mean_file", "train.mean, which is not in the repository"]),
        (&named, &[("mean.binaryproto", mean)], DataKind::Images, &["train.mean, which is not in the repository"]),
        (
            &named,
            &[("mean.binaryproto", mean), ("train.mean", mean)],
            DataKind::Images,
            &["train.mean and mean.binaryproto is there too"],
        ),
        (&named, &[("train.mean", b"\x08\x01")], DataKind::Images, &["train.mean", "not a Caffe mean image"]),
        (&named, &[("train.mean", small)], DataKind::Images, &["train.mean", "[3, 3, 4]", "[1, 1, 1]"]),
        (
            &of_images("mirror: true"),
            &[],
            DataKind::Images,
            &["deploy.prototxt", "transform_param.mirror should be false"],
        ),
        (memory, &[], DataKind::Table, &["transform_param", "nothing is subtracted"]),
        (
            &rows(
                "layer { name: 'bn' type: 'BatchNorm' bottom: 'data' top: 'bn' batch_norm_param { use_global_stats: false } }",
            ),
            &[],
            DataKind::Table,
            &["layer bn", "batch_norm_param.use_global_stats should be true", "NVCaffe"],
        ),
        (
            "input: 'data' input_dim: [1, 4, 1, 1] layers { layer { name: 'ip' type: 'innerproduct' num_output: 3 } \
             bottom: 'data' top: 'ip' }",
            &[],
            DataKind::Table,
            &["deploy.prototxt", "2013 (V0)", "upgrade_net_proto_text"],
        ),
    ];
    for (prototxt, beside, kind, expected) in cases {
        let mut files = vec![("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", &[][..])];
        files.extend(beside.iter().copied());
        let message = refusal(opened(repository(&files).path(), kind, "rten"));
        assert!(expected.iter().all(|part| message.contains(part)), "{message}\nexpected {expected:?}");
    }
}

#[test]
fn a_mean_in_the_repository_counts_without_being_named() {
    let case = cases().into_iter().find(|case| case.name == "mean of another name").expect("there is one");
    let prototxt = of_images("");
    let files: [(&str, &[u8]); 3] =
        [("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", &[]), ("mean.binaryproto", case.mean.1)];
    let directory = repository(&files);
    let request = Request {
        kind: DataKind::Images,
        mllib: json!({}),
        service_type: ServiceType::Unsupervised,
        ..Request::default()
    };
    let opened = open(&Caffe, directory.path(), &request).expect("opens");
    assert_eq!(rows(opened.model.expect("a network").as_ref(), &case.samples), case.expected);
}
