//! Images, as clients send them in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dede_connectors::image::ImageConnector;
use dede_model::parameters::Section;

/// Decodes the bytes and makes them small.
pub fn run(bytes: &[u8]) {
    let mut parameters = Section::new();
    parameters.insert("width".into(), 16.into());
    parameters.insert("height".into(), 16.into());
    let _ = super::reader(&ImageConnector, &parameters).read(&[STANDARD.encode(bytes)]);
}
