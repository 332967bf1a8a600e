//! What a training run leaves for later predicts, as parameters of this connector.

use dede_model::parameters::Section;
use serde_json::Value;

use super::options::Settings;

/// Everything a predict needs, so that the repository alone recreates the service (contract.md 3.3.9). The columns of a training
/// that is resumed stay what they were.
pub(super) fn stored(settings: &Settings, columns: &[String]) -> Section {
    let named = settings.known.as_deref().unwrap_or(settings);
    let mut state = Section::new();
    let mut set = |key: &str, value: Value| state.insert(key.to_owned(), value);
    set("connector", "csv".into());
    set("columns", columns.to_vec().into());
    set("separator", char::from(settings.dialect.separator).to_string().into());
    set("quote", settings.dialect.quote.map(|quote| char::from(quote).to_string()).unwrap_or_default().into());
    match named.labels.as_slice() {
        [] => {}
        [label] => drop(set("label", label.clone().into())),
        labels => drop(set("label", labels.to_vec().into())),
    }
    if settings.label_offsets.iter().any(|&offset| offset != 0) {
        set("label_offset", settings.label_offsets.clone().into());
    }
    if let Some(id) = &named.id {
        set("id", id.clone().into());
    }
    if !named.ignore.is_empty() {
        let mut ignored: Vec<String> = named.ignore.iter().cloned().collect();
        ignored.sort_unstable();
        set("ignore", ignored.into());
    }
    if !named.categoricals.is_empty() {
        set("categoricals", named.categoricals.clone().into());
    }
    if settings.autoencoder {
        set("autoencoder", true.into());
    }
    set("scale", settings.scale.is_some().into());
    if let Some(kind) = settings.scale {
        set("scale_type", kind.name().into());
    }
    learned(settings, &mut state);
    state
}

/// What the train answer reports: what was learned from the data.
pub(super) fn reported(settings: &Settings) -> Section {
    let mut report = Section::new();
    report.insert("connector".to_owned(), "csv".into());
    learned(settings, &mut report);
    report
}

fn learned(settings: &Settings, section: &mut Section) {
    if let Some(bounds) = &settings.bounds {
        bounds.write(section);
    }
    if !settings.mappings.is_empty() {
        section.insert("categoricals_mapping".to_owned(), settings.mappings.render().into());
    }
}
