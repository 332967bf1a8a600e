//! Requests of DeepDetect as the engine takes them.

use dede_api::requests::{CreateRequest, RequestParameters};
use dede_engine::service::CreationRequest;
use dede_model::parameters::Parameters;

/// The sections of a request.
pub(crate) fn sections(parameters: RequestParameters) -> Parameters {
    Parameters { input: parameters.input, mllib: parameters.mllib, output: parameters.output }
}

/// A creation.
pub(crate) fn creation(request: CreateRequest) -> CreationRequest {
    CreationRequest {
        mllib: request.mllib,
        description: request.description,
        service_type: request.service_type,
        connector: request.connector,
        parameters: sections(request.parameters),
        model: request.model,
        unknown: request.unknown,
    }
}
