//! Bodies of requests.

use dede_api::chain::ChainRequest;
use dede_api::json::parse_object;
use dede_api::requests::{CreateRequest, PredictRequest, PutAlias, TrainRequest, read_rename};

/// Reads the bytes as the body of every kind of request.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(Ok(object)) = parse_object(&text) else { return };
    let _ = CreateRequest::read(object.clone(), &text);
    let _ = PredictRequest::read(object.clone());
    let _ = TrainRequest::read(object.clone(), &text);
    let _ = PutAlias::read(object.clone());
    let _ = ChainRequest::read(object.clone());
    let _ = read_rename(object);
}
