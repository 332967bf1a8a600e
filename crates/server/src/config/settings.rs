//! `[server]` and `[limits]` of the configuration file: each key is a flag of `dede serve`, with `_` for `-`.
//!
//! It owns how keys become defaults of flags, so that a flag or an environment variable wins over the file. Which flags there are it learns
//! from the definition of the command line.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{OsStr, Resettable, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigFile;

/// The group of flags that are keys of `[limits]`; all others are keys of `[server]`.
const LIMITS: &str = "LimitOptions";
/// Flags that say where the file is, and what is shown of the command line: no keys.
const NO_KEYS: [&str; 2] = ["config", "help"];
/// How alike two keys are, from 0 to 1, for one to be taken for a misspelt other.
const ALIKE: f64 = 0.6;

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// `[server]`.
    Server,
    /// `[limits]`.
    Limits,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Path,
    Number,
    Truth,
}

/// One key as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    section: Section,
    line: usize,
    /// As they would stand on the command line.
    values: Vec<OsString>,
}

/// What the file says of flags, by the name of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    file: ConfigFile,
    written: BTreeMap<String, Written>,
}

impl Section {
    pub(crate) const ALL: [Self; 2] = [Self::Server, Self::Limits];

    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Limits => "limits",
        }
    }

    /// The section of a flag; `None` for what is no key.
    pub(crate) fn of(command: &Command, argument: &Arg) -> Option<Self> {
        let id = argument.get_id();
        let is_limit =
            command.get_groups().any(|group| group.get_id() == LIMITS && group.get_args().any(|of| of == id));
        let is_key = !NO_KEYS.contains(&id.as_str());
        is_key.then_some(if is_limit { Self::Limits } else { Self::Server })
    }
}

impl Kind {
    pub(crate) fn of(argument: &Arg) -> Self {
        let takes = |parser: &ValueParser, kinds: &[TypeId]| kinds.iter().any(|kind| parser.type_id() == *kind);
        let numbers = [
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<NonZeroUsize>(),
        ];
        let parser = argument.get_value_parser();
        match () {
            () if takes(parser, &numbers) => Self::Number,
            () if takes(parser, &[TypeId::of::<bool>()]) => Self::Truth,
            () if takes(parser, &[TypeId::of::<PathBuf>()]) => Self::Path,
            () => Self::Text,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Path => "a text",
            Self::Number => "a whole number",
            Self::Truth => "true or false",
        }
    }

    /// A value of the file as it would stand on the command line.
    fn read(self, file: &ConfigFile, value: &DeValue<'_>) -> Result<OsString, String> {
        if value.as_str().is_some_and(str::is_empty) {
            return Err("expected a text, found an empty one: leave the key out".into());
        }
        let read = match self {
            Self::Text => value.as_str().map(OsString::from),
            Self::Path => value.as_str().map(|path| file.directory().join(path).into_os_string()),
            Self::Truth => value.as_bool().map(|truth| truth.to_string().into()),
            Self::Number => value
                .as_integer()
                .and_then(|number| i128::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok())
                .map(|number| number.to_string().into()),
        };
        read.ok_or_else(|| format!("expected {}, found a value of type {}", self.expected(), value.type_str()))
    }
}

/// Whether a flag may be given more than once: its key is a list.
pub(crate) fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

impl Settings {
    /// Reads them for a command.
    ///
    /// # Errors
    /// A sentence with file, line and key.
    pub(crate) fn read(file: ConfigFile, command: &Command) -> Result<Self, String> {
        let table = DeTable::parse(&file.text).map_err(|error| file.located(&error))?;
        let mut written = BTreeMap::new();
        for section in Section::ALL {
            let Some(found) = table.get_ref().get(section.name()) else { continue };
            let Some(keys) = found.get_ref().as_table() else {
                let at = file.at(found.span().start);
                return Err(format!("{at}, {}: expected a section, [{}]", section.name(), section.name()));
            };
            for (key, value) in keys {
                let (name, line) = (key.get_ref().as_ref(), file.line(key.span().start));
                let at = || format!("{}, {}.{name}", file.at(key.span().start), section.name());
                let argument = argument(command, section, name).map_err(|reason| format!("{}: {reason}", at()))?;
                let values = values(&file, argument, value).map_err(|reason| format!("{}: {reason}", at()))?;
                written.insert(name.to_owned(), Written { section, line, values });
            }
        }
        drop(table);
        let settings = Self { file, written };
        settings.check(command)?;
        Ok(settings)
    }

    /// The command, with what the file says as defaults of its flags.
    pub(crate) fn apply(&self, command: Command) -> Command {
        self.written.iter().fold(command, |command, (id, written)| {
            command.mut_arg(id, |argument| argument.default_values(written.values.iter().map(OsStr::from)))
        })
    }

    /// The place of a key in the file, where it is there.
    pub(crate) fn place(&self, id: &str) -> Option<String> {
        let line = self.written.get(id)?.line;
        Some(format!("{}, line {line}", self.file.path.as_deref()?.display()))
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.written.len()
    }

    /// Checks each value as that of its flag.
    fn check(&self, command: &Command) -> Result<(), String> {
        // What the environment says is no mistake of the file.
        let command = self.apply(command.clone()).mut_args(|argument| argument.env(Resettable::Reset));
        let command = command.no_binary_name(true);
        let Err(error) = command.try_get_matches_from(Vec::<String>::new()) else { return Ok(()) };
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        // `--port <PORT>`
        let flag = text(ContextKind::InvalidArg).unwrap_or_default();
        let id = flag.trim_start_matches('-').split([' ', '[', '=']).next().unwrap_or_default().replace('-', "_");
        let reason = match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
                format!("expected one of {}", valid.join(", "))
            }
            _ => std::error::Error::source(&error).map_or_else(|| error.kind().to_string(), ToString::to_string),
        };
        let Some((place, written)) = self.place(&id).zip(self.written.get(&id)) else { return Err(error.to_string()) };
        Err(format!("{place}, {}.{id}: {reason}", written.section.name()))
    }
}

/// The flag of a key.
///
/// # Errors
/// What is wrong with the key, with the known one that is most alike.
fn argument<'a>(command: &'a Command, section: Section, key: &str) -> Result<&'a Arg, String> {
    let known = || command.get_arguments().filter_map(|argument| Some((argument, Section::of(command, argument)?)));
    match known().find(|(argument, _)| argument.get_id() == key) {
        Some((argument, of)) if of == section => Ok(argument),
        Some((_, of)) => Err(format!("expected in [{}]", of.name())),
        None => {
            let alike = |argument: &Arg| strsim::normalized_damerau_levenshtein(argument.get_id().as_str(), key);
            let nearest = known().max_by(|one, other| alike(one.0).total_cmp(&alike(other.0)));
            let nearest = nearest.filter(|(argument, _)| alike(argument) >= ALIKE);
            let longer = known().find(|(argument, _)| argument.get_id().as_str().starts_with(key));
            let nearest = nearest.or(longer);
            let hint = nearest.map(|(argument, of)| format!("; did you mean {}.{}?", of.name(), argument.get_id()));
            Err(format!("no such key{}", hint.unwrap_or_default()))
        }
    }
}

/// The values of a key as they would stand on the command line.
fn values(file: &ConfigFile, argument: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
    let kind = Kind::of(argument);
    if !is_list(argument) {
        return kind.read(file, value.get_ref()).map(|value| vec![value]);
    }
    let list = value.get_ref().as_array().ok_or("expected a list, in [ ]")?;
    list.iter().map(|value| kind.read(file, value.get_ref())).collect()
}
