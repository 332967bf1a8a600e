//! Connectors and routes that DeepDetect has and this version has not, answered with 1006 "not supported yet: …".
//!
//! They are refused by name, instead of with a 404. Keys stand in the tables of the connectors and backends that read
//! them.

use dede_engine::service::CreationRequest;
use dede_model::error::Error;

use crate::catalog::BACKENDS;

/// Names of `parameters.input.connector`.
const CONNECTORS: &[&str] = &["csvts", "csv_ts", "txt", "svm", "video"];

/// The answer for one thing that is not here yet.
pub(crate) fn refusal(what: &str) -> Error {
    Error::bad_parameter(format!("not supported yet: {what}"))
}

/// Refuses a connector that is not here yet, with an mllib that is.
///
/// # Errors
/// Row 1006.
pub(crate) fn check_connector(request: &CreationRequest) -> Result<(), Error> {
    let named = request.mllib.as_str();
    let is_here = BACKENDS.iter().any(|backend| backend.name() == named || backend.other_names().contains(&named));
    if is_here && CONNECTORS.contains(&request.connector.as_str()) {
        return Err(refusal(&format!("connector {}", request.connector)));
    }
    Ok(())
}
