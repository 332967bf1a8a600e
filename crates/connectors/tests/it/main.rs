//! Tests of the connectors through their seam: one binary, one module per topic.

mod capture;
mod conformance;
mod image;
mod image_classes;
mod steps;
