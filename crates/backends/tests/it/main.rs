//! Tests of backends and engines through their seams: one binary, one module per topic.

mod caffe;
mod caffe_detectors;
mod caffe_files;
mod caffe_layers;
mod detection;
mod detection_forms;
mod engines;
mod gaps;
mod heads;
mod items;
mod large;
mod meanings;
mod onnx;
mod refusals;
mod requests;
mod segmentation;
mod tensors;
