//! The description of a training that a repository of DeepDetect holds: `*_solver.prototxt` and the network beside it.
//!
//! What such a file says is laid under what the request says, under the names of requests. A field that this version cannot follow is
//! refused, unless it decides nothing that is learnt.

use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use serde_json::{Number, Value};

/// Fields of a solver (`SolverParameter` of caffe.proto) with the key of `parameters.mllib.solver` that they are.
const FIELDS: [(&str, &str, Kind); 19] = [
    ("base_lr", "base_lr", Kind::Number),
    ("lr_policy", "lr_policy", Kind::Text),
    ("gamma", "gamma", Kind::Number),
    ("power", "power", Kind::Number),
    ("stepsize", "stepsize", Kind::Number),
    ("stepvalue", "stepvalue", Kind::Numbers),
    ("momentum", "momentum", Kind::Number),
    ("momentum2", "beta2", Kind::Number),
    ("weight_decay", "weight_decay", Kind::Number),
    ("max_iter", "iterations", Kind::Number),
    ("iter_size", "iter_size", Kind::Number),
    ("test_interval", "test_interval", Kind::Number),
    ("test_initialization", "test_initialization", Kind::Flag),
    ("rms_decay", "rms_decay", Kind::Number),
    ("min_lr", "min_lr", Kind::Number),
    ("warmup_start_lr", "warmup_lr", Kind::Number),
    ("warmup_iter", "warmup_iter", Kind::Number),
    ("type", "solver_type", Kind::Text),
    ("solver_type", "solver_type", Kind::Text),
];

/// Fields that decide where and how often something is written or shown, not what is learnt: the seed too, as no other program draws the
/// same numbers from it.
const WITHOUT_EFFECT: [&str; 18] = [
    "average_loss",
    "debug_info",
    "device_id",
    "display",
    "net",
    "random_seed",
    "snapshot",
    "snapshot_after_train",
    "snapshot_diff",
    "snapshot_format",
    "snapshot_prefix",
    "solver_mode",
    "test_compute_loss",
    "test_iter",
    "test_net",
    "test_state",
    "train_net",
    "train_state",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number,
    /// Each line adds one.
    Numbers,
    Text,
    Flag,
}

/// Fields that name the description of a network for training.
const NETWORKS: [&str; 3] = ["net", "train_net", "test_net"];

/// Reads a solver's file: one `field: value` per line. `name` is for messages; `is_there` says whether the repository has a file.
///
/// # Errors
/// [`Error::BadParameter`] naming file, line and field.
pub(super) fn parse(name: &str, text: &str, is_there: impl Fn(&str) -> bool) -> Result<Section> {
    let mut solver = Section::new();
    for (index, line) in text.lines().enumerate() {
        let at = || format!("{name}, line {}", index + 1);
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        let (field, value) = line
            .split_once(':')
            .map(|(field, value)| (field.trim(), value.trim()))
            .filter(|(field, _)| field.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
            .ok_or_else(|| Error::bad_parameter_at(at(), "expected one field: value per line"))?;
        if WITHOUT_EFFECT.contains(&field) {
            let value = unquoted(value);
            // The directory is one of the machine that the network was trained on.
            let file = value.rsplit(['/', '\\']).next().unwrap_or_default();
            if NETWORKS.contains(&field) && !is_there(file) {
                let text = format!("{field} names {}, which is not in the repository", quoted(file));
                return Err(Error::bad_parameter_at(at(), text));
            }
            if field == "solver_mode" && ["GPU", "1"].contains(&value) {
                tracing::warn!(file = name, "solver_mode GPU is without effect: trainings are computed on the CPU");
            }
            continue;
        }
        let Some((_, key, kind)) = FIELDS.iter().find(|(known, ..)| *known == field) else {
            return Err(Error::bad_parameter_at(at(), format!("not supported yet: {} of a solver", quoted(field))));
        };
        let value = read(value, *kind).ok_or_else(|| {
            let text = format!("expected a {} for {field}, found {}", kind.word(), quoted(value));
            Error::bad_parameter_at(at(), text)
        })?;
        match (kind, solver.get_mut(*key)) {
            (Kind::Numbers, Some(Value::Array(values))) => values.push(value),
            (Kind::Numbers, _) => drop(solver.insert((*key).to_owned(), Value::Array(vec![value]))),
            (Kind::Number | Kind::Text | Kind::Flag, None) => drop(solver.insert((*key).to_owned(), value)),
            (Kind::Number | Kind::Text | Kind::Flag, Some(_)) => {
                let text = format!("{field} is there twice, or beside another name of it, so that no value is certain");
                return Err(Error::bad_parameter_at(at(), text));
            }
        }
    }
    Ok(solver)
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Number | Self::Numbers => "number",
            Self::Text => "name",
            Self::Flag => "true or false",
        }
    }
}

fn quoted(text: &str) -> String {
    dede_model::quote::quote(text)
}

/// A value without the quotes around it.
fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

/// The part of a line before `#`, which begins a comment outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (place, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') => return &line[..place],
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
    }
    line
}

fn read(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Number | Kind::Numbers => {
            let whole = text.parse::<u64>().ok().map(Number::from);
            whole.or_else(|| Number::from_f64(text.parse().ok()?)).map(Value::Number)
        }
        Kind::Flag => text.parse::<bool>().ok().map(Value::Bool),
        Kind::Text => {
            let name = unquoted(text);
            let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            (is_name && !name.is_empty()).then(|| Value::from(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_come_under_the_names_of_requests() {
        let text = "net: \"mlp.prototxt\" # where it is\ntest_iter: 1\nbase_lr: 0.04\nlr_policy: \"multistep\"\n\
                    #gamma: 7\ngamma: 1e-1\nstepvalue: 10\nstepvalue: 20\nmax_iter: 400000\ntype: \"Adam\"\n\
                    momentum2: 0.99\ntest_initialization: false\nsolver_mode: GPU\r\n\nrandom_seed: 0";
        let solver = parse("mlp_solver.prototxt", text, |file| file == "mlp.prototxt").expect("parses");
        let expected = json!({"base_lr": 0.04, "lr_policy": "multistep", "gamma": 0.1, "stepvalue": [10, 20],
            "iterations": 400_000, "solver_type": "Adam", "beta2": 0.99, "test_initialization": false});
        assert_eq!(Value::Object(solver), expected);
    }

    #[test]
    fn what_cannot_be_followed_is_named_with_its_line() {
        for (text, expected) in [
            ("base_lr: 1\nclip_gradients: 10", "not supported yet: clip_gradients of a solver (s, line 2)"),
            ("regularization_type: \"L1\"", "not supported yet: regularization_type"),
            ("base_lr: high", "expected a number for base_lr, found high (s, line 1)"),
            ("base_lr: 0.1 momentum: 0.9", "expected a number for base_lr"),
            ("base_lr: inf", "expected a number for base_lr"),
            ("lr_policy: \"a b\"", "expected a name for lr_policy"),
            ("base_lr: 0.05\n\nbase_lr: 0.05", "base_lr is there twice, or beside another name of it"),
            ("type: \"SGD\"\nsolver_type: ADAM", "solver_type is there twice, or beside another name of it"),
            ("net_param { }", "expected one field: value per line (s, line 1)"),
            (
                "type: \"SGD\"\nnet: \"/data/other.prototxt\"",
                "net names other.prototxt, which is not in the repository (s, line 2)",
            ),
            ("train_net: 'other.prototxt' # comment", "train_net names other.prototxt"),
            ("test_net: \"\"", "test_net names"),
        ] {
            let error = parse("s", text, |_| false).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
