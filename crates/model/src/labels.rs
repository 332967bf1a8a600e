//! Class names: the content of corresp.txt.
//!
//! Format (contract.md 3.8): one `id<space>name` per line. Names may contain spaces.

use std::collections::BTreeMap;

use crate::quote::quote;

/// Class id → name. Ids without a name show as their number.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<usize, String>);

impl Labels {
    /// Parses corresp.txt, of which some programs begin the text with a byte order mark. Blank lines name no class.
    ///
    /// # Errors
    /// Says in which line what was found in place of a number and a name, or which class has two names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut names = BTreeMap::new();
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let found = pair(line).ok_or_else(|| format!("line {} has {:?}", number + 1, quote(line)));
            let (id, name) = found?;
            if names.insert(id, name.to_owned()).is_some_and(|other| other != name) {
                return Err(format!("line {} gives class {id} another name than before", number + 1));
            }
        }
        Ok(Self(names))
    }

    /// The highest class that has a name.
    pub fn last(&self) -> Option<usize> {
        self.0.keys().next_back().copied()
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

/// Number and name of a line. Where lines end otherwise than here, all of them would be one name.
fn pair(line: &str) -> Option<(usize, &str)> {
    let (id, name) = line.trim_end_matches('\r').split_once(' ')?;
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !name.contains('\r') { Some((id.parse().ok()?, name)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corresp_round_trips() {
        let labels = Labels::parse("2 a triangle\r\n1 square\n0 circle\n \n\n1 square").expect("lines");
        assert_eq!(labels.names().collect::<Vec<_>>(), ["circle", "square", "a triangle"]);
        assert_eq!((labels.name(7), labels.last()), ("7".to_owned(), Some(2)));
        assert_eq!(labels.id("square"), Some(1));
        assert_eq!(Labels::parse(&labels.render()), Ok(labels));
        assert_eq!(Labels::parse("\u{feff}0 circle\n1 square\n").map(|labels| labels.name(0)), Ok("circle".to_owned()));
        assert_eq!(Labels::parse(""), Ok(Labels::default()));
    }

    #[test]
    fn lines_that_name_no_class_are_named() {
        let lines =
            [" 0 a", "0\ta", "0\u{a0}a", "1", "1,b", "b", "0.0 a", "-1 a", "+1 a", "n01440764", "0 a\r1 b\r2 c"];
        for line in lines {
            let found = Labels::parse(&format!("5 f\n\n{line}\n6 g\n")).expect_err(line);
            assert_eq!(found, format!("line 3 has {:?}", quote(line)));
        }
        assert_eq!(Labels::parse("0 a\n1 b\n0 c\n"), Err("line 3 gives class 0 another name than before".to_owned()));
    }
}
