//! mllib `tensorrt`: repositories that the original served through TensorRT. Each holds a network of ONNX or of Caffe.
//!
//! It owns which of the two a repository is, and what a creation means in the words of the backend that serves it. Engine files that TensorRT
//! compiled are for one kind of GPU: the network that they were made of is what is served, and they are left alone. How pixels become
//! numbers, `(x × scale - mean) / std`, is that of the original's `tensorrt` for either kind of network.

use dede_model::backend::{
    Backend, EngineOptions, OpenRequest, Opened, ServiceType, TrainRequest, TrainingPlan, WeightFile,
};
use dede_model::data::DataKind;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::{KeyTable, says_nothing};
use dede_model::quote::quote;
use dede_model::repository::Repository;
use serde_json::Value;

use super::caffe::Caffe;
use super::keys::TENSORRT_KEYS;
use super::onnx::{self, Onnx};
use super::options::MLLIB;

/// Begins the names of files with compiled engines.
const ENGINE_FILE: &str = "TRTengine";
/// What else the original writes, and removes with its library's files.
const LIBRARY_FILES: [&str; 2] = ["net_tensorRT.proto", "calibration_table"];
/// The template whose outputs are decoded boxes of YOLOX.
const YOLOX: &str = "yolox";
/// Ends the names of weights of Caffe.
const CAFFE_WEIGHTS: &str = ".caffemodel";
/// Ends the names of networks of ONNX.
const ONNX_NETWORK: &str = ".onnx";
/// The mean image that a service of Caffe subtracts.
const MEAN_IMAGE: &str = "mean.binaryproto";

/// The backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct TensorRt {
    onnx: Onnx,
}

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Onnx,
    Caffe,
}

impl TensorRt {
    /// With the heads that are built in.
    pub const fn new() -> Self {
        Self { onnx: Onnx::new() }
    }
}

impl Backend for TensorRt {
    fn name(&self) -> &'static str {
        "tensorrt"
    }

    fn other_names(&self) -> &'static [&'static str] {
        &["tensorRT", "TensorRT"]
    }

    fn accepts(&self, kind: DataKind, _service_type: ServiceType) -> bool {
        matches!(kind, DataKind::Images)
    }

    fn keys(&self) -> KeyTable {
        TENSORRT_KEYS
    }

    fn model_keys(&self) -> KeyTable {
        Caffe.model_keys()
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let names = names(request.repository)?;
        if let Some(name) = names.iter().find(|name| name.starts_with(ENGINE_FILE)) {
            tracing::info!(file = %quote(name), "left alone: the network that it was compiled from is served");
        }
        match kind(&names, request.model)? {
            Kind::Onnx => {
                refuse_def(request.model)?;
                let columns = || onnx::columns(request);
                let mllib = in_words_of_onnx(request.mllib, columns)?;
                let in_call = in_words_of_onnx(request.mllib_in_call, columns)?;
                self.onnx.open(&OpenRequest { mllib: &mllib, mllib_in_call: &in_call, ..*request })
            }
            Kind::Caffe => {
                check_caffe(request, &names)?;
                Caffe.open(request)
            }
        }
    }

    fn memory_needed(&self, weights: &[WeightFile<'_>], engine: &EngineOptions) -> u64 {
        match weights.iter().any(|file| file.name.ends_with(CAFFE_WEIGHTS)) {
            true => Caffe.memory_needed(weights, engine),
            false => self.onnx.memory_needed(weights, engine),
        }
    }

    fn plan(&self, _request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("mllib tensorrt serves networks and trains none: train with mllib caffe or onnx"))
    }

    fn is_library_file(&self, file_name: &str) -> bool {
        file_name.starts_with(ENGINE_FILE) || LIBRARY_FILES.contains(&file_name)
    }
}

fn names(repository: &Repository) -> Result<Vec<String>> {
    if repository.root().is_dir() { repository.files() } else { Ok(Vec::new()) }
}

/// Which network a repository holds: the one that `model.weights` names, else the only one.
///
/// # Errors
/// [`Error::BadParameter`] naming both files where there are two kinds, and what was looked for where there is neither.
fn kind(names: &[String], model: &Section) -> Result<Kind> {
    let of = |name: &str| match (name.ends_with(ONNX_NETWORK), name.ends_with(CAFFE_WEIGHTS)) {
        (true, _) => Some(Kind::Onnx),
        (false, true) => Some(Kind::Caffe),
        (false, false) => None,
    };
    let named = model.get("weights").and_then(Value::as_str).filter(|name| !name.is_empty());
    if let Some(named) = named {
        let expected =
            || format!("a file that ends with {ONNX_NETWORK} or {CAFFE_WEIGHTS} expected, found {}", quote(named));
        return of(named).ok_or_else(|| Error::bad_parameter_at("model.weights", expected()));
    }
    let first = |kind: Kind| names.iter().find(|name| of(name) == Some(kind));
    match (first(Kind::Onnx), first(Kind::Caffe)) {
        (Some(_), None) => Ok(Kind::Onnx),
        (None, Some(_)) => Ok(Kind::Caffe),
        (Some(onnx), Some(caffe)) => {
            let reason = format!("{} and {} are both there, name the one to serve", quote(onnx), quote(caffe));
            Err(Error::bad_parameter_at("model.weights", reason))
        }
        (None, None) => {
            let reason = "mllib tensorrt expects a network of ONNX, or deploy.prototxt and a caffemodel, found neither";
            Err(Error::bad_parameter_at("model.repository", reason))
        }
    }
}

/// Refuses the name of a description, which a network of ONNX has not.
fn refuse_def(model: &Section) -> Result<()> {
    match model.get("def") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if name.is_empty() => Ok(()),
        Some(_) => Err(Error::bad_parameter_at("model.def", "expected none with a network of ONNX")),
    }
}

/// What a network of Caffe is not served with: factors that it has no place for, a form of outputs that its layers do not have, and a mean
/// image, which the original's `tensorrt` did not subtract and its `caffe` did.
fn check_caffe(request: &OpenRequest<'_>, names: &[String]) -> Result<()> {
    let is_said = |section: &Section, key: &str| section.get(key).is_some_and(|value| !says_nothing(value));
    if let Some(key) = ["template", "output_format"].into_iter().find(|key| is_said(request.mllib, key)) {
        let reason = "expected none with a network of Caffe, whose layers say what its outputs are";
        return Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), reason));
    }
    let is_one = |value: &Value| value.as_f64() == Some(1.0);
    let factor = ["scale", "std"].into_iter().find(|key| request.input.get(*key).is_some_and(|value| !is_one(value)));
    if let Some(key) = factor.filter(|key| is_said(request.input, key)) {
        let reason = "not supported yet: a network of Caffe under mllib tensorrt whose pixels are multiplied or divided; mllib caffe \
                      multiplies them by parameters.mllib.scale";
        return Err(Error::bad_parameter_at(format!("parameters.input.{key}"), reason));
    }
    match names.iter().find(|name| name.ends_with(MEAN_IMAGE)) {
        None => Ok(()),
        Some(name) => {
            let reason = "mllib tensorrt of the original subtracts no mean image, mllib caffe subtracts this one: remove the file, or \
                          create the service with mllib caffe";
            Err(Error::bad_parameter_at(name, reason))
        }
    }
}

/// The section of a creation as `onnx` reads it: the template says what the outputs are. `columns` finds the numbers of each box.
fn in_words_of_onnx(mllib: &Section, columns: impl Fn() -> Result<Option<usize>>) -> Result<Section> {
    let mut section = mllib.clone();
    let at = format!("{MLLIB}.template");
    let template = match section.remove("template") {
        None | Some(Value::Null) => return Ok(section),
        Some(Value::String(name)) if name.is_empty() => return Ok(section),
        Some(Value::String(name)) => name,
        Some(_) => return Err(Error::bad_parameter_at(at, "a string expected")),
    };
    match template.as_str() {
        YOLOX => {}
        "consistency" => return Err(Error::bad_parameter("not supported yet: template consistency")),
        other => return Err(Error::bad_parameter(format!("Unknown template {}", quote(other)))),
    }
    if let Some(format) = section.get("output_format").filter(|format| !says_nothing(format)) {
        let reason = format!(
            "expected none beside template {YOLOX}, which says the form too, found {}",
            quote(&format.to_string())
        );
        return Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason));
    }
    let counted = section.get("nclasses").and_then(Value::as_u64);
    let form = form_of_yolox(counted, columns()?);
    section.insert("output_format".to_owned(), form.into());
    Ok(section)
}

/// The form of rows of so many columns. `nclasses` may count a background, for which YOLOX has no column: the original took both.
fn form_of_yolox(classes: Option<u64>, columns: Option<usize>) -> &'static str {
    let with_background =
        classes.and_then(|classes| classes.checked_add(4)).and_then(|count| usize::try_from(count).ok());
    match columns {
        Some(columns) if Some(columns) == with_background => "yolox_background",
        Some(_) | None => "yolox",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(value: Value) -> Section {
        value.as_object().cloned().unwrap_or_default()
    }

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_repository_is_of_one_kind_or_the_request_says_which() {
        let none = json!({});
        let cases: [(&[&str], Value, Result<Kind, &str>); 8] = [
            (&["net.onnx", "TRTengine_arch75_fp32_bs1"], none.clone(), Ok(Kind::Onnx)),
            (&["deploy.prototxt", "a.caffemodel"], none.clone(), Ok(Kind::Caffe)),
            (&["a.caffemodel", "net.onnx"], none.clone(), Err("net.onnx and a.caffemodel are both there")),
            (&["a.caffemodel", "net.onnx"], json!({"weights": "a.caffemodel"}), Ok(Kind::Caffe)),
            (&["a.caffemodel", "net.onnx"], json!({"weights": "net.onnx"}), Ok(Kind::Onnx)),
            (&["net.onnx"], json!({"weights": "net.pt"}), Err("found net.pt")),
            (&["TRTengine_arch75_fp32_bs1"], none.clone(), Err("found neither")),
            (&[], none, Err("found neither")),
        ];
        for (names, model, expected) in cases {
            let found = kind(&files(names), &section(model));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{names:?}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{names:?}: {error}"),
                (found, expected) => panic!("{names:?}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn the_template_is_a_form_of_outputs() {
        let cases = [
            (
                json!({"nclasses": 81, "template": "yolox"}),
                Some(85),
                Ok(json!({"nclasses": 81, "output_format": "yolox_background"})),
            ),
            (
                json!({"nclasses": 80, "template": "yolox"}),
                Some(85),
                Ok(json!({"nclasses": 80, "output_format": "yolox"})),
            ),
            (json!({"nclasses": 80, "template": "yolox"}), None, Ok(json!({"nclasses": 80, "output_format": "yolox"}))),
            (json!({"nclasses": 3, "template": ""}), Some(85), Ok(json!({"nclasses": 3}))),
            (json!({"output_format": "yolov8"}), None, Ok(json!({"output_format": "yolov8"}))),
            (json!({"template": "yolox", "output_format": "yolov8"}), None, Err("expected none beside template yolox")),
            (json!({"template": "consistency"}), None, Err("not supported yet: template consistency")),
            (json!({"template": "resnet"}), None, Err("Unknown template resnet")),
            (json!({"template": 3}), None, Err("a string expected")),
        ];
        for (sent, columns, expected) in cases {
            let found = in_words_of_onnx(&section(sent.clone()), || Ok(columns));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(Value::Object(found), expected, "{sent}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{sent}: {error}"),
                (found, expected) => panic!("{sent}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
