//! What the image connector keeps of images for the actions of a chain, and how it reads what they made.

use std::sync::Arc;

use dede_connectors::csv::CsvConnector;
use dede_connectors::image::ImageConnector;
use dede_model::connector::{Connector, Fetched, InputLimits, ReadStep, Reader, ReaderContext, StepItems};
use dede_model::data::{Frame, Pixels, Samples};
use dede_model::error::Result;
use dede_model::labels::Labels;
use dede_model::parameters::Section;
use dede_model::picture::Picture;
use dede_model::request_memory::{MemoryShare, RequestMemory};
use dede_testing::fixtures;
use serde_json::{Value, json};

fn reader(connector: &dyn Connector, parameters: &Value) -> Box<dyn Reader> {
    let parameters = parameters.as_object().cloned().expect("an object");
    let opened = connector.open(&ReaderContext {
        parameters: &parameters,
        own: &parameters,
        created: &Section::new(),
        stored: &Section::new(),
        parameters_in_call: true,
        shape: None,
        labels: &Labels::default(),
        regression: false,
        limits: Arc::new(InputLimits::default()),
    });
    opened.expect("good parameters")
}

/// 160 pixels wide, and 120 high.
fn circle() -> Vec<String> {
    vec![fixtures::data("shapes_test/circle/circle00.jpg").display().to_string()]
}

fn sent(parameters: &Value, keeps_pictures: bool) -> Result<ReadStep> {
    let (data, fetched) = (circle(), Fetched::default());
    let items = StepItems::Sent { data: &data, fetched: &fetched };
    reader(&ImageConnector, parameters).read_step(items, keeps_pictures, 0, &MemoryShare::unbounded())
}

fn made(parameters: &Value, pictures: &[Picture]) -> Result<ReadStep> {
    reader(&ImageConnector, parameters).read_step(StepItems::Made(pictures), true, 0, &MemoryShare::unbounded())
}

/// The values of the only image.
fn values(step: &ReadStep) -> &[u8] {
    let Samples::Images { images, .. } = &step.batch.samples else { panic!("images") };
    let Pixels::U8(values) = &images[0].pixels else { panic!("8 bits") };
    values
}

#[test]
fn originals_are_kept_where_that_is_asked_for_and_what_the_network_sees_elsewhere() {
    let small = json!({"width": 32, "height": 24});
    for (parameters, kept) in [
        (small.clone(), (32, 24, 3)),
        (json!({"width": 32, "height": 24, "keep_orig": true}), (160, 120, 3)),
        (json!({"width": 32, "height": 24, "keep_orig": true, "bw": true}), (160, 120, 1)),
        (json!({"width": 32, "height": 24, "bw": true}), (32, 24, 1)),
        (json!({"width": -1, "height": -1, "keep_orig": true}), (160, 120, 3)),
    ] {
        let step = sent(&parameters, true).expect("read");
        let picture = &step.pictures[0].picture;
        assert_eq!((picture.width(), picture.height(), picture.channels()), kept, "{parameters}");
        let sizes = step.pictures[0].sizes;
        assert_eq!((sizes.width, sizes.height), (kept.0, kept.1), "{parameters}");
        assert_eq!((sizes.original_width, sizes.original_height), (160, 120), "{parameters}");
        let alone = sent(&parameters, false).expect("read");
        assert!(alone.pictures.is_empty());
        assert_eq!(values(&alone), values(&step), "{parameters}: what the network takes is the same");
    }
    // Red first, whatever the network takes.
    let [blue_first, red_first] = [json!(false), json!(true)].map(|rgb| {
        let step = sent(&json!({"width": 32, "height": 24, "rgb": rgb}), true).expect("read");
        (values(&step).to_vec(), step.pictures[0].picture.clone())
    });
    assert_eq!(blue_first.1, red_first.1);
    assert_eq!(red_first.0, red_first.1.pixels());
}

#[test]
fn padding_is_a_part_of_what_the_network_sees_and_not_of_the_original() {
    let padded = |keep_orig: bool| {
        let parameters = json!({"width": 32, "height": -1, "aspect_ratio_pad": true, "keep_orig": keep_orig});
        sent(&parameters, true).expect("read").pictures.remove(0).sizes
    };
    assert_eq!(padded(false).frame, Some(Frame { left: 0, top: 4, width: 32, height: 24 }));
    assert_eq!((padded(false).height, padded(true).height, padded(true).frame), (32, 120, None));
}

/// What is read of a picture is what is read of a file with the same pixels.
#[test]
fn pictures_are_read_as_files_are() {
    let original = sent(&json!({"keep_orig": true}), true).expect("read").pictures.remove(0).picture;
    for parameters in [
        json!({"width": 32, "height": 24}),
        json!({"width": 32, "height": 24, "rgb": true, "interp": "area"}),
        json!({"width": 200, "height": -1, "aspect_ratio_pad": true}),
        json!({"width": -1, "height": -1, "histogram_equalization": true}),
    ] {
        let of_picture = made(&parameters, std::slice::from_ref(&original)).expect("read");
        assert_eq!(values(&of_picture), values(&sent(&parameters, false).expect("read")), "{parameters}");
        assert_eq!(of_picture.batch.uris, ["0"]);
    }
    let again = made(&json!({"width": 8, "height": 8, "keep_orig": true}), std::slice::from_ref(&original));
    assert_eq!(again.expect("read").pictures[0].picture, original, "and is handed on as it came");
}

#[test]
fn what_cannot_be_handed_on_or_read_is_refused() {
    let grey = Picture::new(4, 4, 1, vec![9; 16]).expect("it fits");
    let flat = Picture::new(400, 1, 3, vec![9; 1200]).expect("it fits");
    let csv = reader(&CsvConnector, &json!({}));
    let (rows, fetched) = (vec!["1,2".to_owned()], Fetched::default());
    let of_rows = |items| csv.read_step(items, true, 0, &MemoryShare::unbounded());
    for (outcome, expected) in [
        (sent(&json!({"unchanged_data": true}), true), "unchanged_data keeps what the file has"),
        (made(&json!({"width": 8, "height": 8}), std::slice::from_ref(&grey)), "expected bw of both or of none"),
        (made(&json!({"width": 4, "height": -1}), std::slice::from_ref(&flat)), "400x1 would become 4x0"),
        (made(&json!({"bbox": true}), std::slice::from_ref(&flat)), "(parameters.input.bbox)"),
        (of_rows(StepItems::Made(std::slice::from_ref(&flat))), "this connector reads none"),
        (of_rows(StepItems::Sent { data: &rows, fetched: &fetched }), "this connector reads none"),
    ] {
        let error = outcome.expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(made(&json!({"width": 8, "height": 8, "bw": true}), &[grey]).is_ok());
}

#[test]
fn pictures_count_while_they_are_read_and_kept() {
    let memory = RequestMemory::new(1 << 20);
    let large = Picture::new(400, 400, 3, vec![9; 480_000]).expect("it fits");
    let read = |pictures: &[Picture]| {
        let share = memory.share();
        let reader = reader(&ImageConnector, &json!({"width": 8, "height": 8, "keep_orig": true}));
        reader.read_step(StepItems::Made(pictures), true, 0, &share).map(|step| (step, share))
    };
    drop(read(std::slice::from_ref(&large)).expect("it fits"));
    assert!(read(&vec![large; 4]).is_err(), "four of them are more than there is");
    memory.share().grow(1 << 20).expect("all of it is given back");
}
