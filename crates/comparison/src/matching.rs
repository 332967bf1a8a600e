//! Which class of the new model is which class of the old one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use dede_model::labels::Labels;

/// By index, or by name where both models name all their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matching(Option<Names>);

/// Classes of both models in one row: first those of the old one, then those that only the new one has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    /// Classes of the old model.
    old: usize,
    /// Place of each class of the new model.
    new: Vec<usize>,
    /// Classes in all.
    all: usize,
}

/// Two rows of probabilities, equal classes at equal places.
#[derive(Debug, PartialEq)]
pub(super) struct Aligned<'a> {
    pub(super) old: Cow<'a, [f32]>,
    pub(super) new: Cow<'a, [f32]>,
}

impl Matching {
    /// Class 3 is class 3.
    pub fn by_index() -> Self {
        Self(None)
    }

    /// Classes of the same name are the same. Where a class has no name or two have the same one, or where the names are in the same
    /// order anyway, classes are matched by index.
    pub fn by_name(old: &Labels, new: &Labels) -> Self {
        if old == new {
            return Self(None);
        }
        let (Some(old), Some(new)) = (distinct(old), distinct(new)) else { return Self(None) };
        let mut places: HashMap<&str, usize> = old.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let new = new.into_iter().map(|name| {
            let next = places.len();
            *places.entry(name).or_insert(next)
        });
        let new = new.collect();
        Self(Some(Names { old: old.len(), new, all: places.len() }))
    }

    /// Whether a class of the old model is this one of the new model.
    pub(super) fn is_same(&self, old: usize, new: usize) -> bool {
        match &self.0 {
            Some(names) if old < names.old => names.new.get(new) == Some(&old),
            // Classes beyond those with names.
            Some(names) => old == new && new >= names.new.len(),
            None => old == new,
        }
    }

    /// A number for a class of the new model: that of the class of the old one which is the same, or one that no class of the old model
    /// has.
    pub(super) fn old_of(&self, new: usize) -> usize {
        let Some(names) = &self.0 else { return new };
        let unknown = usize::MAX - new;
        match names.new.get(new) {
            Some(&place) if place < names.old => place,
            // Behind the names, classes are the same by number, where the old model has no name for it either.
            None if new >= names.old => new,
            Some(_) | None => unknown,
        }
    }

    /// Both rows with equal classes at equal places, a class that one model does not know at probability 0; `None` when the rows have
    /// different lengths and their classes no names.
    pub(super) fn align<'a>(&self, old: &'a [f32], new: &'a [f32]) -> Option<Aligned<'a>> {
        match &self.0 {
            Some(names) if names.old == old.len() && names.new.len() == new.len() => {
                let mut padded = old.to_vec();
                padded.resize(names.all, 0.0);
                let mut placed = vec![0.0; names.all];
                names.new.iter().zip(new).for_each(|(&place, &value)| placed[place] = value);
                Some(Aligned { old: Cow::Owned(padded), new: Cow::Owned(placed) })
            }
            Some(_) | None if old.len() == new.len() => {
                Some(Aligned { old: Cow::Borrowed(old), new: Cow::Borrowed(new) })
            }
            Some(_) | None => None,
        }
    }
}

/// The names of classes 0, 1, …; `None` when one of them has none, or two have the same.
fn distinct(labels: &Labels) -> Option<Vec<&str>> {
    let names: Vec<&str> = labels.names().collect();
    let complete = names.iter().enumerate().all(|(id, name)| labels.name(id) == *name);
    let unique: HashSet<&&str> = names.iter().collect();
    (complete && unique.len() == names.len() && !names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_name_where_all_have_one() {
        let old = Labels::from_names(["circle", "square"]);
        let new = Labels::from_names(["square", "triangle", "circle"]);
        let aligned = Matching::by_name(&old, &new).align(&[0.9, 0.1], &[0.2, 0.3, 0.5]).expect("matched");
        assert_eq!(aligned.old.as_ref(), [0.9, 0.1, 0.0]);
        assert_eq!(aligned.new.as_ref(), [0.5, 0.2, 0.3]);
    }

    #[test]
    fn otherwise_by_index_and_only_where_lengths_agree() {
        let named = Labels::from_names(["a", "b"]);
        let sparse = Labels::parse("0 a\n5 b\n").expect("lines");
        let repeated = Labels::from_names(["a", "a"]);
        for (old, new) in [(&named, &named), (&named, &sparse), (&repeated, &named), (&named, &Labels::default())] {
            assert_eq!(Matching::by_name(old, new), Matching::by_index());
        }
        assert_eq!(Matching::by_index().align(&[1.0], &[0.5, 0.5]), None);
        let renamed = Matching::by_name(&named, &Labels::from_names(["b", "a"]));
        assert_eq!(renamed.align(&[1.0, 0.0, 0.0], &[0.0, 1.0]), None, "more classes than names");
    }
}
