//! What this server is built from: the list of every connector, every backend and every action of chains. Adding one is a line here, and so
//! is a head of networks from outside of `dede-backends` (`Onnx::with_heads`).

use dede_backends::neural::{caffe::Caffe, onnx::Onnx, tensorrt::TensorRt};
use dede_connectors::image::actions::{Crop, DrawBbox, Recompose, Rotate};
use dede_engine::chain::Filter;
use dede_model::action::Action;
use dede_model::backend::Backend;
use dede_model::connector::Connector;

/// Values of `parameters.input.connector`.
pub(crate) static CONNECTORS: &[&dyn Connector] =
    &[&dede_connectors::csv::CsvConnector, &dede_connectors::image::ImageConnector];

/// Values of `mllib`.
pub(crate) static BACKENDS: &[&dyn Backend] = &[&Caffe, &Onnx::new(), &TensorRt::new()];

/// Values of `action.type` in chains.
pub(crate) static ACTIONS: &[&dyn Action] = &[&Crop, &Rotate, &Filter, &DrawBbox, &Recompose];
