//! The settings that a server would run with, and where each came from: as a configuration file that says the same.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::Configuration;
use super::settings::{Kind, Section, Settings, is_list};

/// Stands for a path that is not UTF-8: no file can say it, so this is no TOML.
const NO_TEXT: &str = "<not UTF-8>";
/// Column of the comments, where lines are short enough.
const COMMENTS: usize = 40;

/// One setting of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its section of the file.
    pub(crate) section: Section,
    /// Its key there.
    pub(crate) key: String,
    /// As written in the file; `None` where nothing is said.
    pub(crate) value: Option<String>,
    /// Where it came from.
    pub(crate) origin: String,
}

/// The settings of a command as its arguments were understood.
pub(crate) fn of(command: &Command, matches: &ArgMatches, settings: &Settings) -> Vec<Setting> {
    let setting = |argument: &clap::Arg| {
        let (section, key) = (Section::of(command, argument)?, argument.get_id().as_str());
        let raw = matches.get_raw(key).into_iter().flatten();
        let values: Option<Vec<String>> = raw.map(|value| literal(Kind::of(argument), value)).collect();
        let value = match values {
            None => Some(NO_TEXT.to_owned()),
            Some(values) if is_list(argument) => Some(format!("[{}]", values.join(", "))),
            Some(values) => values.into_iter().next(),
        };
        let origin = match matches.value_source(key) {
            Some(ValueSource::CommandLine) => format!("--{}", key.replace('_', "-")),
            Some(ValueSource::EnvVariable) => argument.get_env().unwrap_or_default().to_string_lossy().into_owned(),
            Some(_) | None => settings.place(key).unwrap_or_else(|| "default".into()),
        };
        Some(Setting { section, key: key.to_owned(), value, origin })
    };
    let mut all: Vec<Setting> = command.get_arguments().filter_map(setting).collect();
    all.sort_by_key(|setting| setting.section);
    all
}

/// A value in TOML; `None` for a path that is no text, which no TOML file can hold.
fn literal(kind: Kind, value: &OsStr) -> Option<String> {
    match kind {
        Kind::Number | Kind::Truth => Some(value.to_str()?.to_owned()),
        Kind::Text => Some(quoted(value.to_str()?)),
        Kind::Path => path(Path::new(value)),
    }
}

/// A path as a value: absolute, as those of a file start where it is; `None` where it is no text.
pub(crate) fn path(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.to_str().map(quoted)
}

/// A text as a value: what JSON escapes, TOML does, and one character more.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// All of it as a configuration file. `computed` says what is used where a setting says nothing.
pub(crate) fn file(
    settings: &[Setting],
    computed: &dyn Fn(&str) -> Option<String>,
    configuration: &Configuration,
) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(text, "[{}]", section.name());
        for setting in settings.iter().filter(|setting| setting.section == section) {
            let Setting { key, value, origin, .. } = setting;
            match (value, computed(key)) {
                (Some(value), _) => commented(&mut text, &format!("{key} = {value}"), origin),
                (None, Some(value)) => commented(&mut text, &format!("{key} = {value}"), "default for this machine"),
                (None, None) => commented(&mut text, &format!("# {key} ="), "not set"),
            }
        }
        text.push('\n');
    }
    for peer in configuration.peers() {
        let (name, url) = (quoted(&peer.name.to_string()), quoted(&peer.url.to_string()));
        let _ = writeln!(text, "[peers.{name}]\nurl = {url}");
        for (key, file) in [("token_file", &peer.token_file), ("ca_file", &peer.ca_file)] {
            let shown = file.as_deref().map(|file| path(file).unwrap_or_else(|| NO_TEXT.to_owned()));
            let _ = shown.map(|shown| writeln!(text, "{key} = {shown}"));
        }
        let _ = writeln!(text, "plain_http = {}\n", peer.plain_http);
    }
    text
}

fn commented(text: &mut String, setting: &str, comment: &str) {
    let _ = writeln!(text, "{setting:<COMMENTS$} # {comment}");
}
