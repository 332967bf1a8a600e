//! Class names: the content of corresp.txt.
//!
//! Format (contract.md 3.8): one `id<space>name` per line. Names may contain spaces.

use std::collections::BTreeMap;

/// Class id → name. Ids without a name show as their number.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<usize, String>);

impl Labels {
    /// Parses corresp.txt, of which some programs begin the text with a byte order mark; lines that do not start with a number are
    /// skipped.
    pub fn parse(text: &str) -> Self {
        Self(pairs(text).map(|(id, name)| (id, name.to_owned())).collect())
    }

    /// A class that the text of corresp.txt gives two names.
    pub fn named_twice(text: &str) -> Option<usize> {
        let mut names = BTreeMap::new();
        pairs(text).find(|(id, name)| names.insert(*id, *name).is_some_and(|other| other != *name)).map(|(id, _)| id)
    }

    /// Numbers names in the order given, from 0.
    pub fn from_names<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).enumerate().collect())
    }

    /// The text of corresp.txt, ids ascending.
    pub fn render(&self) -> String {
        self.0.iter().map(|(id, name)| format!("{id} {name}\n")).collect()
    }

    /// The name of a class; its number where it has none.
    pub fn name(&self, id: usize) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// The id of a name.
    pub fn id(&self, name: &str) -> Option<usize> {
        self.0.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    /// Names by ascending id.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// Number of named classes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Number and name of each line that has both.
fn pairs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().filter_map(|line| {
        let (id, name) = line.trim_end_matches('\r').split_once(' ')?;
        Some((id.parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corresp_round_trips_and_tolerates_noise() {
        let labels = Labels::parse("2 a triangle\r\n1 square\n0 circle\nnot a line\n\n");
        assert_eq!(labels.names().collect::<Vec<_>>(), ["circle", "square", "a triangle"]);
        assert_eq!(labels.name(7), "7");
        assert_eq!(labels.id("square"), Some(1));
        assert_eq!(Labels::parse(&labels.render()), labels);
        assert_eq!(Labels::parse("\u{feff}0 circle\n1 square\n").name(0), "circle");
        assert_eq!(Labels::named_twice("0 a\n1 b\n2 b\n0 a\n"), None);
        assert_eq!(Labels::named_twice("0 a\n1 b\n0 c\n"), Some(0));
    }
}
