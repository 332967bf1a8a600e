//! Neural networks: the backends that serve them, the engines that run them, and their training.
//!
//! Every network takes one path: the repository's files → a graph (`dede-graph`) → ONNX bytes → an [`engine`]. Read first
//! [`caffe`], then `loading`, `runner` (requests sharing a network), `model` and [`heads`].

pub mod caffe;
pub mod content;
pub mod engine;
pub mod heads;
pub mod onnx;
pub mod onnx_view;
pub mod tensorrt;
pub mod training;

mod activation;
mod as_written;
mod closeness;
mod generated;
mod head_trial;
mod image_layout;
mod independence;
mod keys;
mod loading;
mod model;
mod options;
mod outputs;
mod planned_templates;
mod preparation;
mod runner;
mod sizes_by_value;
mod tensors;
mod unchanged;
