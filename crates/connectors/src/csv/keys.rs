//! Every key of `parameters.input` with this connector (contract.md 3.3, 3.4).

use dede_model::parameters::keys::{Key, KeyTable, Moment, Neutral};

/// The keys.
pub(super) const KEYS: KeyTable = KeyTable(&[&APPLIED, &OTHERS]);

const APPLIED: [Key; 21] = [
    Key::applied("connector", Moment::Each),
    Key::applied("label", Moment::Reading),
    Key::applied("label_offset", Moment::Reading),
    Key::applied("id", Moment::Reading),
    Key::applied("separator", Moment::Reading),
    Key::applied("quote", Moment::Reading),
    Key::applied("ignore", Moment::Reading),
    Key::applied("categoricals", Moment::Reading),
    Key::applied("categoricals_mapping", Moment::Reading),
    Key::applied("scale", Moment::Reading),
    Key::applied("scale_type", Moment::Reading),
    Key::applied("min_vals", Moment::Reading),
    Key::applied("max_vals", Moment::Reading),
    Key::applied("mean_vals", Moment::Reading),
    Key::applied("variance_vals", Moment::Reading),
    Key::applied("test_split", Moment::Training),
    Key::applied("shuffle", Moment::Training),
    Key::applied("seed", Moment::Training),
    Key::applied("autoencoder", Moment::Training),
    Key::applied("columns", Moment::Each),
    Key::applied("timeout", Moment::Each),
];

/// Where data are kept while a network is trained, and series.
const OTHERS: [Key; 6] = [
    Key::without_effect("db", "data are read from where they are, and not kept in a data base"),
    Key::not_yet("timesteps").unless(&[Neutral::Off, Neutral::Number(-1.0)]),
    Key::not_yet("offset"),
    Key::not_yet("continuation"),
    Key::not_yet("forecast_timesteps").unless(&[Neutral::Off, Neutral::Number(-1.0)]),
    Key::not_yet("backcast_timesteps").unless(&[Neutral::Off, Neutral::Number(-1.0)]),
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dede_model::connector::{InputLimits, ReaderContext};
    use dede_model::labels::Labels;
    use dede_model::parameters::keys::{Call, Standing};
    use dede_model::parameters::{Section, parse};
    use serde_json::{Value, json};

    use super::super::options::{Options, Settings};
    use super::*;

    fn resolved(parameters: &Section) -> String {
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
        format!("{:?}", Settings::resolve(&context).expect("the parameters are right"))
    }

    fn section(value: &Value) -> Section {
        value.as_object().cloned().expect("an object")
    }

    /// Each applied key, with parameters and a value that resolve to other settings than the parameters alone.
    #[test]
    fn every_applied_key_changes_the_settings() {
        let scaled = json!({"scale": true, "min_vals": [0], "max_vals": [1]});
        let normal = json!({"scale": true, "scale_type": "znorm", "mean_vals": [0], "variance_vals": [1]});
        let changes = [
            ("label", json!({}), json!("y")),
            ("label_offset", json!({"label": "y"}), json!(-1)),
            ("id", json!({}), json!("id")),
            ("separator", json!({}), json!(";")),
            ("quote", json!({}), json!("'")),
            ("ignore", json!({}), json!(["x"])),
            ("categoricals", json!({}), json!(["x"])),
            ("categoricals_mapping", json!({}), json!({"x": {"a": 0}})),
            ("scale", json!({}), json!(true)),
            ("scale_type", json!({"scale": true}), json!("znorm")),
            ("min_vals", scaled.clone(), json!([0.5])),
            ("max_vals", scaled, json!([0.5])),
            ("mean_vals", normal.clone(), json!([0.5])),
            ("variance_vals", normal, json!([0.5])),
            ("test_split", json!({}), json!(0.2)),
            ("shuffle", json!({}), json!(true)),
            ("seed", json!({}), json!(7)),
            ("autoencoder", json!({}), json!(true)),
            ("columns", json!({}), json!(["x", "y"])),
            ("timeout", json!({}), json!(3)),
        ];
        // The service compares the name of the connector with its own.
        let elsewhere = ["connector"];
        let applied = |key: &&Key| matches!(key.standing, Standing::Applied(_)) && !elsewhere.contains(&key.path);
        for key in KEYS.keys().filter(applied) {
            let change = changes.iter().find(|(path, ..)| *path == key.path);
            let (path, base, value) = change.unwrap_or_else(|| panic!("no change is known for {}", key.path));
            let mut changed = section(base);
            changed.insert((*path).to_owned(), value.clone());
            assert_ne!(resolved(&changed), resolved(&section(base)), "{path}");
            assert_eq!(parse::<Options>(&changed, "").expect("parses").unknown, [""; 0]);
        }
        assert_eq!(KEYS.ambiguous(), [""; 0]);
    }

    #[test]
    fn keys_of_series_are_refused_and_their_defaults_accepted() {
        let check = |value: Value| KEYS.check(&section(&value), "parameters.input", Call::Create, &Section::new());
        let remarks = check(json!({"continuation": false, "timesteps": -1, "db": false, "sclae": true}));
        assert_eq!(remarks.expect("accepted").unknown, ["parameters.input.sclae"]);
        assert_eq!(check(json!({"db": true})).expect("accepted").idle.len(), 1);
        let error = check(json!({"continuation": true})).expect_err("refused").to_string();
        assert_eq!(error, "not supported yet: parameters.input.continuation");
    }
}
