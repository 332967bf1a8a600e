//! What single layers of Caffe compute, on every engine: as OpenCV's importer of Caffe does where it has the layer, else as the
//! layer's own source says.
//!
//! `caffe_layers/networks.bin` is written by `caffe_layers/generate.py`, which says what stands in it.

use dede_model::data::{DataKind, Samples};
use dede_model::tensor::Floats;

use crate::caffe_files::{Case, opened, read, repository};
use crate::requests::{refusal, rows, usable_engines};

const NETWORKS: &[u8] = include_bytes!("caffe_layers/networks.bin");
/// Of a value, or of 1 where it is less.
const TOLERANCE: f32 = 1e-5;

/// Each sample by itself: it has the same answer, bit by bit.
fn alone(samples: &Samples) -> Vec<Samples> {
    let Samples::Table(table) = samples else { panic!("rows expected") };
    let row = |row: usize| {
        let values = table.row(row).to_vec();
        Samples::Table(Floats::new(vec![1, values.len()], values).expect("fits"))
    };
    (0..table.rows()).map(row).collect()
}

#[test]
fn layers_give_what_caffe_gives() {
    let cases = read(NETWORKS);
    assert!(cases.len() > 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for engine in usable_engines() {
        for Case { name, prototxt, caffemodel, samples, expected, .. } in &cases {
            let files = [("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", *caffemodel)];
            let directory = repository(&files);
            let model = match opened(directory.path(), DataKind::Table, engine) {
                Ok(opened) => opened.model.expect("a network"),
                Err(error) => {
                    wrong.push(format!("{name} on {engine}: {error}"));
                    continue;
                }
            };
            let found = rows(model.as_ref(), samples);
            let by_itself: Vec<_> = alone(samples).iter().flat_map(|sample| rows(model.as_ref(), sample)).collect();
            if by_itself != found {
                wrong.push(format!("{name} on {engine}: alone samples have other answers"));
            }
            let lengths = |rows: &[Vec<f32>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(lengths(&found), lengths(expected), "{name} on {engine}");
            let differs = |(found, expected): &(&f32, &f32)| {
                let error = (*found - *expected).abs();
                error.is_nan() || error > TOLERANCE * expected.abs().max(1.0)
            };
            if let Some((found, expected)) = found.iter().flatten().zip(expected.iter().flatten()).find(differs) {
                wrong.push(format!("{name} on {engine}: {found}, expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A detector of one box at each of four places.
const DETECTOR: &str = "input: 'data' input_shape { dim: [1, 4, 2, 2] }
    layer { name: 'loc' type: 'Flatten' bottom: 'data' top: 'loc' }
    layer { name: 'conf' type: 'Pooling' bottom: 'data' top: 'conf' pooling_param { kernel_size: 1 } }
    layer { name: 'conf_flat' type: 'Flatten' bottom: 'conf' top: 'conf_flat' }
    layer { name: 'box' type: 'PriorBox' bottom: 'data' bottom: 'data' top: 'box' prior_box_param { min_size: 1 } }
    layer { name: 'found' type: 'DetectionOutput' bottom: 'loc' bottom: 'conf_flat' bottom: 'box' top: 'found'
            detection_output_param { num_classes: 4 } }";

#[test]
fn what_is_read_and_not_answered_yet_names_the_layer() {
    let cases = [
        (DETECTOR, ["layer box", "where detections are decoded"]),
        (
            "input: 'data' input_shape { dim: [1, 4, 2, 2] }
             layer { name: 'roi' type: 'ROIPooling' bottom: 'data' top: 'roi' }",
            ["layer roi", "layer type \"ROIPooling\" is not supported"],
        ),
    ];
    for (prototxt, expected) in cases {
        let files = [("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", &[][..])];
        let message = refusal(opened(repository(&files).path(), DataKind::Table, "rten"));
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    }
}
