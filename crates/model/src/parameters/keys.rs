//! Tables of keys: which keys a section has, what becomes of each, and the check of a request against them.
//!
//! Each key of a section stands in one table of its owner (a connector, a backend, or this crate) and is applied, refused as not
//! supported yet, or accepted because it decides no answer. Every other key is unknown. The check happens before an owner parses its
//! section, at every call, so that no owner can accept a key and ignore it. This file must not know any key.

use serde_json::Value;

use super::Section;
use crate::error::{Error, Result};
use crate::quote::quote;

/// One key of a section.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its dotted path within the section: `solver.base_lr`. What stands below it belongs to it.
    pub path: &'static str,
    /// What becomes of it.
    pub standing: Standing,
    /// Values that ask for nothing, such as its default. `null` always does.
    pub neutral: &'static [Neutral],
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Its owner reads it.
    Applied(Moment),
    /// Refused with "not supported yet" and this reason, which may be empty, unless its value is neutral.
    NotYet(&'static str),
    /// Accepted, since no answer depends on it; the log says why.
    WithoutEffect(&'static str),
}

/// The calls in which a key has an effect. At creation every key counts: it is a default of the later calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In each call.
    Each,
    /// It decides how data are read: a predict may say otherwise for itself; a training, whose network later predicts read for, may say
    /// what the creation left open, and repeat the rest.
    Reading,
    /// It decides how a network is loaded: later calls may repeat it, and change none.
    Loading,
    /// It decides which network there is: a training may say what the creation left open, a predict may only repeat it.
    Network,
    /// In trainings.
    Training,
    /// In predicts.
    Predict,
}

/// A value that asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Neutral {
    /// `false`, 0, and what is empty.
    Off,
    /// `true`.
    On,
    /// This number, alone or as the only one of a list.
    Number(f64),
    /// This text, in upper or lower case.
    Text(&'static str),
}

/// The keys of a section, in parts that several owners may share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyTable(pub &'static [&'static [Key]]);

/// A call whose section is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The creation of a service.
    Create,
    /// A training.
    Train,
    /// A predict.
    Predict,
}

/// What a check found that is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Dotted paths of keys in no table.
    pub unknown: Vec<String>,
    /// Keys that have no effect in this call.
    pub idle: Vec<Idle>,
}

/// A key without effect in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Its dotted path.
    pub path: String,
    /// Why.
    pub reason: &'static str,
}

impl Key {
    /// A key that its owner reads.
    pub const fn applied(path: &'static str, moment: Moment) -> Self {
        Self { path, standing: Standing::Applied(moment), neutral: &[Neutral::Off] }
    }

    /// A key of what is not there yet; `false`, 0 and empty values ask for nothing.
    pub const fn not_yet(path: &'static str) -> Self {
        Self { path, standing: Standing::NotYet(""), neutral: &[Neutral::Off] }
    }

    /// A key that decides no answer, and why.
    pub const fn without_effect(path: &'static str, reason: &'static str) -> Self {
        Self { path, standing: Standing::WithoutEffect(reason), neutral: &[Neutral::Off] }
    }

    /// The same key with these values in place of the neutral ones.
    pub const fn unless(self, neutral: &'static [Neutral]) -> Self {
        Self { neutral, ..self }
    }

    /// The same key, refused with this reason.
    pub const fn because(self, reason: &'static str) -> Self {
        Self { standing: Standing::NotYet(reason), ..self }
    }

    /// Whether a value of this key asks for nothing.
    pub fn is_neutral(&self, value: &Value) -> bool {
        value.is_null() || self.neutral.iter().any(|neutral| neutral.is(value))
    }
}

impl Neutral {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Off, Value::Bool(on)) => !on,
            (Self::Off, Value::Number(number)) => number.as_f64() == Some(0.0),
            (Self::Off, Value::String(text)) => text.is_empty(),
            (Self::Off, Value::Object(members)) => members.is_empty(),
            (Self::Off, Value::Array(values)) => values.is_empty(),
            (Self::On, Value::Bool(on)) => *on,
            (Self::Number(expected), Value::Number(number)) => number.as_f64() == Some(expected),
            (Self::Number(_), Value::Array(values)) => matches!(values.as_slice(), [one] if self.is(one)),
            (Self::Text(expected), Value::String(text)) => text.eq_ignore_ascii_case(expected),
            _ => false,
        }
    }
}

impl KeyTable {
    /// All keys.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        self.0.iter().copied().flatten()
    }

    fn find(self, path: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.path == path)
    }

    /// Whether there are keys below `path`.
    fn is_group(self, path: &str) -> bool {
        self.keys().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Paths that stand in the table twice, or as a key and as a group of keys: none, where the table is sound.
    pub fn ambiguous(self) -> Vec<&'static str> {
        let times = |path: &str| self.keys().filter(|key| key.path == path).count();
        self.keys().map(|key| key.path).filter(|path| times(path) > 1 || self.is_group(path)).collect()
    }

    /// Checks a section of a call. `at` is its path, `parameters.output` say; `created` is what the service has where the call says
    /// nothing, empty at a creation.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming a key that is not supported yet, one that the call may not change, or one that is no object.
    pub fn check(self, section: &Section, at: &str, call: Call, created: &Section) -> Result<Remarks> {
        self.check_known(section, at, call, [created, &Section::new()])
    }

    /// As [`KeyTable::check`], where the network says something too: with it, the call may repeat that.
    ///
    /// # Errors
    /// As there.
    pub fn check_known(
        self,
        section: &Section,
        at: &str,
        call: Call,
        [created, known]: [&Section; 2],
    ) -> Result<Remarks> {
        let mut check = Check { table: self, at, call, created, known, remarks: Remarks::default() };
        check.section(section, "")?;
        Ok(check.remarks)
    }
}

/// Whether a value of a creation is as if it was not there: `false` says something, an empty name or list and 0 do not.
pub fn says_nothing(value: &Value) -> bool {
    !value.is_boolean() && (value.is_null() || Neutral::Off.is(value))
}

/// Whether two values are the same to the one who reads them: 5 and 5.0 are.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

/// A value as an error repeats it.
fn shown(value: &Value) -> String {
    quote(&value.to_string())
}

struct Check<'a> {
    table: KeyTable,
    at: &'a str,
    call: Call,
    created: &'a Section,
    known: &'a Section,
    remarks: Remarks,
}

impl Check<'_> {
    fn section(&mut self, section: &Section, prefix: &str) -> Result<()> {
        for (name, value) in section.iter().filter(|(_, value)| !value.is_null()) {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            // A dot in a name would lead into a group.
            let key = if name.contains('.') { None } else { self.table.find(&path) };
            match (key, value) {
                (Some(key), _) => self.key(key, value)?,
                (None, Value::Object(members)) if !name.contains('.') && self.table.is_group(&path) => {
                    self.section(members, &path)?;
                }
                (None, _) if !name.contains('.') && self.table.is_group(&path) => {
                    if Neutral::Off.is(value) {
                        continue;
                    }
                    let at = format!("{}.{path}", self.at);
                    return Err(Error::bad_parameter_at(at, "expected an object"));
                }
                (None, _) => self.remarks.unknown.push(format!("{}.{path}", self.at)),
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &'static Key, value: &Value) -> Result<()> {
        // A neutral value in place of another one is a change, too.
        match key.standing {
            Standing::Applied(moment @ (Moment::Loading | Moment::Network)) if self.call != Call::Create => {
                return self.repeated(key, moment, value);
            }
            Standing::Applied(Moment::Reading) if self.call == Call::Train => self.read_alike(key, value)?,
            Standing::Applied(_) | Standing::NotYet(_) | Standing::WithoutEffect(_) => {}
        }
        if key.is_neutral(value) {
            return Ok(());
        }
        match key.standing {
            Standing::NotYet(reason) => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                Err(Error::bad_parameter(format!("not supported yet: {}.{}{because}", self.at, key.path)))
            }
            Standing::WithoutEffect(reason) => {
                self.idle(key, reason);
                Ok(())
            }
            Standing::Applied(moment) => {
                self.applied(key, moment);
                Ok(())
            }
        }
    }

    fn applied(&mut self, key: &'static Key, moment: Moment) {
        match (moment, self.call) {
            (Moment::Training, Call::Predict) => self.idle(key, "it has an effect in trainings alone"),
            (Moment::Predict, Call::Train) => self.idle(key, "it has an effect in predicts alone"),
            (Moment::Each | Moment::Reading | Moment::Loading | Moment::Network, _)
            | (_, Call::Create)
            | (Moment::Training, Call::Train)
            | (Moment::Predict, Call::Predict) => {}
        }
    }

    /// Refuses another value than the service was created with. Where it was created without, a training may say which network there
    /// is to be, and what asks for nothing may stand anywhere.
    fn repeated(&self, key: &Key, moment: Moment, value: &Value) -> Result<()> {
        let created = self.at_creation(key);
        let fits = match created {
            Some(created) => same(created, value),
            None if key.is_neutral(value) || (moment == Moment::Network && self.call == Call::Train) => true,
            None => self.known.get(key.path).is_some_and(|known| same(known, value)),
        };
        if fits {
            return Ok(());
        }
        let expected = created.or_else(|| self.known.get(key.path)).map_or_else(
            || "expected none, since the service was created without it".to_owned(),
            |created| format!("expected {}, as the service was created with", shown(created)),
        );
        let reason = format!("{expected}, found {}: it decides how a network is loaded", shown(value));
        Err(Error::bad_parameter_at(format!("{}.{}", self.at, key.path), reason))
    }

    /// Refuses another value than the service was created with, and later predicts go by.
    fn read_alike(&self, key: &Key, value: &Value) -> Result<()> {
        match self.at_creation(key).filter(|created| !same(created, value)) {
            None => Ok(()),
            Some(created) => {
                let reason = format!(
                    "expected {}, as the service was created with, found {}: predicts read their data as the creation says",
                    shown(created),
                    shown(value)
                );
                Err(Error::bad_parameter_at(format!("{}.{}", self.at, key.path), reason))
            }
        }
    }

    /// What the service was created with, where that says something.
    fn at_creation(&self, key: &Key) -> Option<&Value> {
        let mut names = key.path.split('.');
        let first = names.next().and_then(|name| self.created.get(name));
        names.fold(first, |within, name| within?.get(name)).filter(|created| !says_nothing(created))
    }

    fn idle(&mut self, key: &Key, reason: &'static str) {
        self.remarks.idle.push(Idle { path: format!("{}.{}", self.at, key.path), reason });
    }
}

impl Remarks {
    /// These remarks and others.
    pub fn and(mut self, others: Self) -> Self {
        self.unknown.extend(others.unknown);
        self.idle.extend(others.idle);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: KeyTable = KeyTable(&[
        &[
            Key::applied("width", Moment::Each),
            Key::applied("output", Moment::Loading),
            Key::applied("nclasses", Moment::Network),
            Key::applied("regression", Moment::Network),
            Key::applied("layers", Moment::Network),
            Key::applied("solver.rate", Moment::Training),
            Key::applied("layer", Moment::Predict),
        ],
        &[
            Key::not_yet("bbox"),
            Key::not_yet("ignore").unless(&[Neutral::Number(-1.0)]),
            Key::not_yet("gpu").because("there is none"),
            Key::not_yet("ids").unless(&[Neutral::Number(0.0)]),
            Key::not_yet("solver.kept").unless(&[Neutral::Number(1.0), Neutral::Text("all"), Neutral::On]),
            Key::without_effect("db", "data are read where they are"),
        ],
    ]);

    fn check_created(section: &Value, call: Call, created: &Value) -> std::result::Result<Remarks, String> {
        let object = |value: &Value| value.as_object().cloned().expect("an object");
        TABLE.check(&object(section), "parameters.x", call, &object(created)).map_err(|error| error.to_string())
    }

    fn check(section: &Value, call: Call) -> std::result::Result<Remarks, String> {
        check_created(section, call, &json!({}))
    }

    #[test]
    fn values_that_ask_for_nothing_are_accepted() {
        for section in [
            json!({}),
            json!({"bbox": false, "gpu": 0, "ignore": -1, "db": false, "ids": 0, "width": 3}),
            json!({"bbox": null, "ignore": null, "ids": [0], "solver": {"kept": 1.0}, "gpu": ""}),
            json!({"bbox": [], "gpu": {}, "solver": {"kept": "ALL"}}),
            json!({"solver": []}),
            json!({"solver": {"kept": true}}),
        ] {
            assert_eq!(check(&section, Call::Create), Ok(Remarks::default()), "{section}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_refused_by_name() {
        for (section, expected) in [
            (json!({"bbox": true}), "not supported yet: parameters.x.bbox"),
            (json!({"bbox": "yes"}), "not supported yet: parameters.x.bbox"),
            (json!({"ignore": 0}), "not supported yet: parameters.x.ignore"),
            (json!({"gpu": true}), "not supported yet: parameters.x.gpu: there is none"),
            (json!({"ids": [0, 1]}), "not supported yet: parameters.x.ids"),
            (json!({"solver": {"kept": 0}}), "not supported yet: parameters.x.solver.kept"),
            (json!({"solver": true}), "expected an object (parameters.x.solver)"),
        ] {
            for call in [Call::Create, Call::Train, Call::Predict] {
                assert_eq!(check(&section, call), Err(expected.to_owned()), "{section}");
            }
        }
    }

    #[test]
    fn keys_in_no_table_are_named_also_within_groups() {
        let section = json!({"widht": 1, "solver": {"rat": 2, "rate": 3}, "solver.rate": 4, "bbox": {"x": false}});
        let refused = check(&section, Call::Create);
        assert_eq!(
            refused,
            Err("not supported yet: parameters.x.bbox".to_owned()),
            "what is below a key belongs to it"
        );
        let section = json!({"widht": 1, "solver": {"rat": 2, "rate": 3}, "solver.rate": 4});
        let remarks = check(&section, Call::Create).expect("no error");
        assert_eq!(remarks.unknown, ["parameters.x.widht", "parameters.x.solver.rat", "parameters.x.solver.rate"]);
    }

    #[test]
    fn what_a_service_was_created_with_may_be_repeated_and_not_changed() {
        let created = json!({"output": "y", "nclasses": 3, "regression": true, "layers": []});
        let (train, predict) = (Call::Train, Call::Predict);
        for (section, created, call, refused) in [
            (json!({"output": "y", "nclasses": 3, "regression": true}), &created, predict, None),
            (json!({"output": null, "nclasses": 3.0}), &created, predict, None),
            (json!({"layers": []}), &created, predict, None),
            (json!({"output": "z"}), &created, predict, Some("expected \"y\", as the service was created with, found")),
            (json!({"output": "z"}), &created, train, Some("parameters.x.output")),
            (json!({"nclasses": 4}), &created, predict, Some("parameters.x.nclasses")),
            (json!({"nclasses": 0}), &created, predict, Some("parameters.x.nclasses")),
            (json!({"regression": false}), &created, predict, Some("parameters.x.regression")),
            (
                json!({"layers": [8]}),
                &created,
                predict,
                Some("expected none, since the service was created without it, found [8]"),
            ),
            (json!({"nclasses": 4}), &created, train, Some("parameters.x.nclasses")),
            (json!({"regression": false}), &created, train, Some("parameters.x.regression")),
            (json!({"layers": [8]}), &created, train, None),
            (json!({"nclasses": 0, "output": "", "regression": false}), &json!({}), predict, None),
            (json!({"nclasses": 4, "regression": true}), &json!({"nclasses": 0}), train, None),
        ] {
            match (check_created(&section, call, created), refused) {
                (Ok(remarks), None) => assert_eq!(remarks, Remarks::default(), "{section}"),
                (Err(error), Some(key)) => assert!(error.contains(key), "{section}: {error}"),
                (found, expected) => panic!("{section}: expected {expected:?}, found {found:?}"),
            }
        }
    }

    #[test]
    fn what_the_network_says_may_be_repeated() {
        let known = json!({"nclasses": 3, "output": "y"});
        let check = |section: Value| {
            let (section, known) = (section.as_object().unwrap(), known.as_object().unwrap());
            TABLE.check_known(section, "x", Call::Predict, [&Section::new(), known]).map_err(|error| error.to_string())
        };
        for section in [json!({"nclasses": 3, "output": "y"}), json!({"nclasses": 0, "output": ""})] {
            assert_eq!(check(section.clone()), Ok(Remarks::default()), "{section}");
        }
        let refused = check(json!({"output": "z"})).unwrap_err();
        assert!(refused.contains("expected \"y\""), "{refused}");
    }

    #[test]
    fn keys_of_another_call_are_named() {
        let section = json!({"solver": {"rate": 1}, "layer": "fc", "db": true});
        let idle = |call| -> Vec<String> {
            check(&section, call).expect("no error").idle.into_iter().map(|idle| idle.path).collect()
        };
        assert_eq!(idle(Call::Create), ["parameters.x.db"]);
        assert_eq!(idle(Call::Train), ["parameters.x.layer", "parameters.x.db"]);
        assert_eq!(idle(Call::Predict), ["parameters.x.solver.rate", "parameters.x.db"]);
    }

    #[test]
    fn a_path_stands_once() {
        assert_eq!(TABLE.ambiguous(), [""; 0]);
        const TWICE: KeyTable = KeyTable(&[&[Key::not_yet("a"), Key::not_yet("b")], &[Key::not_yet("a")]]);
        assert_eq!(TWICE.ambiguous(), ["a", "a"]);
        const BOTH: KeyTable = KeyTable(&[&[Key::not_yet("a"), Key::not_yet("a.b")]]);
        assert_eq!(BOTH.ambiguous(), ["a"]);
    }
}
