//! Fuzz targets: each takes any bytes and returns, whatever they are. A target is one file and one line of [`TARGETS`].
//!
//! `tests/it` runs all of them on mutants of `corpus/` with a stable compiler, `fuzz_targets/` makes them bins for cargo-fuzz.

pub mod caffemodel;
pub mod chunk_list;
pub mod csv;
pub mod golden_set;
pub mod image;
pub mod manifest;
pub mod move_record;
pub mod onnx;
pub mod prototxt;
pub mod request;

use std::sync::Arc;

use dede_model::connector::{Connector, InputLimits, Reader, ReaderContext};
use dede_model::labels::Labels;
use dede_model::parameters::Section;

/// What reads any bytes, and returns.
pub type Run = fn(&[u8]);

/// The name of a target, which is that of its folder in `corpus`, and what it runs.
pub const TARGETS: [(&str, Run); 10] = [
    ("caffemodel", caffemodel::run),
    ("chunk_list", chunk_list::run),
    ("csv", csv::run),
    ("golden_set", golden_set::run),
    ("image", image::run),
    ("manifest", manifest::run),
    ("move_record", move_record::run),
    ("onnx", onnx::run),
    ("prototxt", prototxt::run),
    ("request", request::run),
];

/// A reader with these parameters, as a service without a network has it.
fn reader(connector: &dyn Connector, parameters: &Section) -> Box<dyn Reader> {
    let opened = connector.open(&ReaderContext {
        parameters,
        own: parameters,
        created: &Section::new(),
        stored: &Section::new(),
        parameters_in_call: false,
        shape: None,
        labels: &Labels::default(),
        regression: false,
        limits: Arc::new(InputLimits::default()),
    });
    opened.expect("the parameters are those of the target")
}
