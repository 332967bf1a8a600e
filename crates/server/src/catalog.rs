//! What this server is built from: the list of every connector and every backend. Adding one is a line here.

use dede_model::backend::Backend;
use dede_model::connector::Connector;

/// Values of `parameters.input.connector`.
pub(crate) static CONNECTORS: &[&dyn Connector] =
    &[&dede_connectors::csv::CsvConnector, &dede_connectors::image::ImageConnector];

/// Values of `mllib`.
pub(crate) static BACKENDS: &[&dyn Backend] =
    &[&dede_backends::neural::caffe::Caffe, &dede_backends::neural::onnx::Onnx];
