//! The description of a service: what a PUT needs to create it again, without places on this server.

use std::path::Path;

use dede_api::Object;
use dede_engine::service::{CreationRequest, Service};
use dede_model::error::{Error, Fault, Result};
use serde_json::Value;

/// Members of `model` in a creation that say where files are on this server.
const PLACES: [&str; 4] = ["repository", "create_repository", "templates", "init"];

/// What a PUT needs, without places on this server.
pub(crate) fn describe(service: &Service) -> Object {
    let request = &service.definition.request;
    let parameters = &service.definition.parameters;
    let mut input = parameters.input.clone();
    input.insert("connector".into(), request.connector.clone().into());
    let mut model = request.model.clone();
    model.retain(|key, _| !PLACES.contains(&key.as_str()));
    // A file of the repository, however it was named; there it has its name alone.
    if let Some(Value::String(file)) = model.get_mut("corresp")
        && let Some(name) = Path::new(file.as_str()).file_name().and_then(|name| name.to_str())
    {
        *file = name.to_owned();
    }
    let section = |section: &Object| Value::Object(section.clone());
    Object::from_iter([
        ("mllib".to_owned(), request.mllib.clone().into()),
        ("description".to_owned(), request.description.clone().into()),
        ("type".to_owned(), request.service_type.clone().into()),
        (
            "parameters".to_owned(),
            Object::from_iter([
                ("input".to_owned(), section(&input)),
                ("mllib".to_owned(), section(&parameters.mllib)),
                ("output".to_owned(), section(&parameters.output)),
            ])
            .into(),
        ),
        ("model".to_owned(), model.into()),
    ])
}

/// The creation of a service that came here, on its directory.
///
/// # Errors
/// [`Error::Malformed`] with what is wrong with the description.
pub(super) fn creation(description: &Object, repository: &Path) -> Result<CreationRequest> {
    let mut body = description.clone();
    let model = body.entry("model").or_insert_with(|| Object::new().into());
    let Value::Object(model) = model else {
        return Err(Error::Malformed(Fault::at("model", "an object expected")));
    };
    let place = repository.to_str().ok_or_else(|| Error::bad_parameter_at("repository", "a path in UTF-8 expected"))?;
    model.insert("repository".into(), place.into());
    CreationRequest::from_record(&Value::Object(body).to_string())
        .map_err(|error| Error::Malformed(Fault::at("the source's service", error.to_string())))
}
