//! Every key of `parameters.input` with this connector (contract.md 3.2).

use dede_model::parameters::keys::{Key, KeyTable, Moment};

/// The keys.
pub(super) const KEYS: KeyTable = KeyTable(&[&APPLIED, &OTHERS]);

const APPLIED: [Key; 25] = [
    Key::applied("connector", Moment::Each),
    Key::applied("width", Moment::Reading),
    Key::applied("height", Moment::Reading),
    Key::applied("crop_width", Moment::Reading),
    Key::applied("crop_height", Moment::Reading),
    Key::applied("bw", Moment::Reading),
    Key::applied("rgb", Moment::Reading),
    Key::applied("unchanged_data", Moment::Reading),
    Key::applied("histogram_equalization", Moment::Reading),
    Key::applied("mean", Moment::Reading),
    Key::applied("std", Moment::Reading),
    Key::applied("scale", Moment::Reading),
    Key::applied("scaled", Moment::Reading),
    Key::applied("scale_min", Moment::Reading),
    Key::applied("scale_max", Moment::Reading),
    Key::applied("interp", Moment::Reading),
    Key::applied("aspect_ratio_pad", Moment::Reading),
    Key::applied("test_split", Moment::Training),
    Key::applied("shuffle", Moment::Training),
    Key::applied("seed", Moment::Training),
    Key::applied("root_folder", Moment::Reading),
    Key::applied("bbox", Moment::Each),
    Key::applied("timeout", Moment::Each),
    Key::applied("layout", Moment::Loading),
    Key::applied("keep_orig", Moment::Predict),
];

/// Where data are kept, and data of later tasks.
const OTHERS: [Key; 9] = [
    Key::without_effect("db", "images are read from where they are, and not kept in a data base"),
    Key::not_yet("db_width"),
    Key::not_yet("db_height"),
    Key::not_yet("cuda").because("images are resized on the CPU"),
    Key::not_yet("multi_label"),
    Key::not_yet("segmentation"),
    Key::not_yet("ctc"),
    Key::not_yet("align"),
    Key::not_yet("continuation"),
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dede_model::connector::{InputLimits, ReaderContext};
    use dede_model::labels::Labels;
    use dede_model::parameters::Section;
    use dede_model::parameters::keys::{Call, Standing};
    use serde_json::{Value, json};

    use super::super::options::{Settings, resolve};
    use super::*;

    fn resolved(parameters: &Section) -> Settings {
        let context = ReaderContext {
            parameters,
            own: parameters,
            created: &Section::new(),
            stored: &Section::new(),
            parameters_in_call: true,
            shape: None,
            labels: &Labels::default(),
            regression: false,
            limits: Arc::new(InputLimits::default()),
        };
        resolve(&context).expect("the parameters are right")
    }

    fn section(value: &Value) -> Section {
        value.as_object().cloned().expect("an object")
    }

    /// Each applied key, with parameters and a value that resolve to other settings than the parameters alone.
    #[test]
    fn every_applied_key_changes_the_settings() {
        let changes = [
            ("width", json!({}), json!(32)),
            ("height", json!({}), json!(32)),
            ("crop_width", json!({}), json!(32)),
            ("crop_height", json!({}), json!(32)),
            ("bw", json!({}), json!(true)),
            ("rgb", json!({}), json!(true)),
            ("unchanged_data", json!({}), json!(true)),
            ("histogram_equalization", json!({}), json!(true)),
            ("mean", json!({}), json!([1, 2, 3])),
            ("std", json!({}), json!([1, 2, 3])),
            ("scale", json!({}), json!(0.5)),
            ("scaled", json!({}), json!(true)),
            ("scale_min", json!({}), json!(300)),
            ("scale_max", json!({}), json!(500)),
            ("interp", json!({}), json!("nearest")),
            ("aspect_ratio_pad", json!({"height": -1}), json!(true)),
            ("test_split", json!({}), json!(0.2)),
            ("shuffle", json!({}), json!(true)),
            ("seed", json!({}), json!(7)),
            ("root_folder", json!({}), json!("/data")),
            ("timeout", json!({}), json!(3)),
            ("bbox", json!({}), json!(true)),
            ("keep_orig", json!({}), json!(true)),
        ];
        // The service compares the name of the connector with its own; backends read the order of axes.
        let elsewhere = ["connector", "layout"];
        let applied = |key: &&Key| matches!(key.standing, Standing::Applied(_)) && !elsewhere.contains(&key.path);
        for key in KEYS.keys().filter(applied) {
            let change = changes.iter().find(|(path, ..)| *path == key.path);
            let (path, base, value) = change.unwrap_or_else(|| panic!("no change is known for {}", key.path));
            let mut changed = section(base);
            changed.insert((*path).to_owned(), value.clone());
            assert_ne!(resolved(&changed), resolved(&section(base)), "{path}");
        }
        assert_eq!(KEYS.ambiguous(), [""; 0]);
    }

    #[test]
    fn keys_of_later_tasks_are_refused_and_their_defaults_accepted() {
        let check = |value: Value| KEYS.check(&section(&value), "parameters.input", Call::Create, &Section::new());
        let harmless = json!({"bbox": false, "db_width": 0, "cuda": false, "continuation": false, "widht": 3});
        assert_eq!(check(harmless).expect("accepted").unknown, ["parameters.input.widht"]);
        assert_eq!(check(json!({"db": true, "keep_orig": true})).expect("accepted").idle.len(), 1);
        for key in ["segmentation", "ctc", "multi_label", "align", "cuda", "db_width"] {
            let error = check(json!({ key: 1 })).expect_err(key).to_string();
            assert!(error.contains(&format!("not supported yet: parameters.input.{key}")), "{error}");
        }
    }
}
