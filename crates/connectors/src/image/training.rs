//! Reading training data: directories of classes and list files (contract.md 3.2), their order and their split.
//!
//! Nothing is decoded here.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dede_model::connector::{Fitted, TestSet};
use dede_model::data::{Dataset, SampleShape, Targets};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::parameters::Section;
use dede_model::quote::quote;
use dede_storage::Kind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::dataset::{Cache, ImageDataset, Sample, Target};
use super::options::{Settings, Split};
use super::{ImageReader, items};
use crate::source::{Origin, check_no_database, open_file};
use crate::split;

/// Files that a training set may have.
const MAX_FILES: usize = 20_000_000;

/// See [`dede_model::connector::Reader::fit`].
pub(super) fn fit(reader: &ImageReader, data: &[String]) -> Result<Fitted> {
    if reader.settings.lists_boxes {
        return Err(Error::bad_parameter("not supported yet: training on boxes (parameters.input.bbox)"));
    }
    let (train, test) = match data {
        [] => return Err(Error::bad_input("missing data")),
        [train] => (train, None),
        [train, test] => (train, Some(test)),
        [_, _, rest @ ..] => {
            let found = rest.len() + 1;
            return Err(Error::bad_input(format!("multiple test sets not supported yet: expected one, found {found}")));
        }
    };
    let mut listed = list(reader, train, Names::Known(&reader.labels))?;
    if reader.settings.split.shuffle {
        shuffle(&mut listed.samples, reader.settings.split.seed);
    }
    let tests = match test {
        Some(path) => {
            split::warn_of_no_effect(reader.settings.split.test);
            list(reader, path, Names::Trained(&listed.labels))?.samples
        }
        None => split_off(&mut listed.samples, reader.settings.split),
    };
    check_same_targets(&listed.samples, &tests)?;
    let shape = shape(&reader.settings, &listed.samples)?;
    let cache = Arc::new(Cache::default());
    let dataset = |samples| ImageDataset::new(samples, Arc::clone(&reader.settings), Arc::clone(&cache));
    let tests = match tests.is_empty() {
        true => Vec::new(),
        false => vec![TestSet { name: String::new(), data: Box::new(dataset(tests)) as Box<dyn Dataset> }],
    };
    Ok(Fitted {
        train: Box::new(dataset(listed.samples)),
        tests,
        state: reader.settings.state(),
        report: Section::from_iter([("connector".to_owned(), "image".into())]),
        labels: listed.labels,
        shape,
    })
}

/// Training images with their targets.
struct Listed {
    samples: Vec<Sample>,
    labels: Labels,
}

/// Class names that there are before a directory is read.
#[derive(Clone, Copy)]
enum Names<'a> {
    /// The service's: they keep their ids where the directory has no others.
    Known(&'a Labels),
    /// The training set's: the directory may have no others.
    Trained(&'a Labels),
}

/// Lists one data item.
fn list(reader: &ImageReader, item: &str, names: Names<'_>) -> Result<Listed> {
    let listed = match Origin::of(item, &reader.limits.files) {
        Origin::Directory(path) => {
            check_no_database(&path, &reader.limits.files)?;
            class_directory(reader, &path, names)?
        }
        Origin::File(path) => Listed { samples: list_file(reader, &path)?, labels: Labels::default() },
        Origin::Url(_) => {
            return Err(Error::bad_input_at(quote(item), "expected a directory or a list file, found a URL"));
        }
        Origin::Inline(_) => {
            return Err(Error::bad_input_at(quote(item), "expected a directory or a list file, found no such path"));
        }
    };
    if listed.samples.is_empty() {
        return Err(Error::bad_input_at(quote(item), "no image could be found"));
    }
    Ok(listed)
}

fn class_directory(reader: &ImageReader, path: &Path, known: Names<'_>) -> Result<Listed> {
    let refused = |reason: String| Error::bad_input_at(quote(&path.to_string_lossy()), reason);
    let files = items::directory(&reader.limits.files, path, MAX_FILES)?;
    let names: Option<Vec<&str>> = files.iter().map(|(_, class)| class.as_deref()).collect();
    let names = names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| refused("expected one sub-directory per class, found none with files".to_owned()))?;
    let labels = match known {
        Names::Known(labels) if names.iter().all(|name| labels.id(name).is_some()) => labels.clone(),
        Names::Known(_) => numbered(&names),
        Names::Trained(labels) if labels.is_empty() => {
            return Err(refused("expected a list file, as the training set is, found a directory".to_owned()));
        }
        Names::Trained(labels) => labels.clone(),
    };
    let ids = ids(&names, &labels)
        .map_err(|class| refused(format!("class \"{}\" is none of the training set's", quote(class))))?;
    let samples =
        ids.into_iter().zip(&files).map(|(id, (path, _))| Sample { path: path.clone(), target: Target::Class(id) });
    Ok(Listed { samples: samples.collect(), labels })
}

/// Class names, numbered by their order.
fn numbered(names: &[&str]) -> Labels {
    Labels::from_names(names.iter().copied().collect::<BTreeSet<&str>>())
}

/// Ids of class names, or the first name that has none.
fn ids<'a>(names: &[&'a str], labels: &Labels) -> Result<Vec<i64>, &'a str> {
    let mut known = HashMap::new();
    let mut id = |name: &'a str| match known.entry(name) {
        Entry::Occupied(id) => Ok(*id.get()),
        Entry::Vacant(place) => match labels.id(name).and_then(|id| i64::try_from(id).ok()) {
            Some(id) => Ok(*place.insert(id)),
            None => Err(name),
        },
    };
    names.iter().map(|name| id(name)).collect()
}

/// What the items of a predict should be recognised as, by the names of their directories: numbered in their order where the network's
/// classes have no names.
pub(super) fn targets_of(names: &[&str], known: &Labels) -> Targets {
    let found = if known.is_empty() { ids(names, &numbered(names)) } else { ids(names, known) };
    match found {
        Ok(ids) => Targets::Classes(ids),
        Err(class) => Targets::Unknown { class: class.to_owned(), items: names.len() },
    }
}

/// Reads `path label` or `path f1 f2 …` lines. All lines have the same number of values.
fn list_file(reader: &ImageReader, list: &Path) -> Result<Vec<Sample>> {
    let shown = quote(&list.to_string_lossy());
    let opened = open_file(&reader.limits.files, list, reader.limits.table_bytes);
    let (file, _) = opened.map_err(|reason| Error::bad_input_at(shown.clone(), reason))?;
    let mut rows = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let at = || format!("{shown}, line {}", index + 1);
        let line = line.map_err(|error| Error::bad_input_at(at(), error.to_string()))?;
        // A byte order mark belongs to no path.
        let line = line.strip_prefix('\u{feff}').filter(|_| index == 0).unwrap_or(&line);
        if line.trim().is_empty() {
            continue;
        }
        let (name, values) = row(line).map_err(|reason| Error::bad_input_at(at(), reason))?;
        let expected = rows.first().map_or(values.len(), |(_, first): &(PathBuf, Vec<String>)| first.len());
        if values.len() != expected {
            return Err(Error::bad_input_at(at(), format!("expected {expected} values, found {}", values.len())));
        }
        if let ([value], false) = (&values[..], reader.regression) {
            check_class(value).map_err(|reason| Error::bad_input_at(at(), reason))?;
        }
        let path = locate(name, reader, list);
        let path = path.ok_or_else(|| Error::bad_input_at(at(), "there is no file where its path leads"))?;
        rows.push((path, values));
    }
    Ok(targets(rows, reader.regression))
}

/// Splits a line into the path and the numbers after it. A path may contain spaces.
fn row(line: &str) -> Result<(&str, Vec<String>), String> {
    let mut name = line.trim();
    let mut values = Vec::new();
    while let Some((before, word)) = name.rsplit_once([' ', '\t']) {
        if !word.parse::<f32>().is_ok_and(f32::is_finite) {
            break;
        }
        values.push(word.to_owned());
        name = before.trim_end();
    }
    values.reverse();
    match values.is_empty() {
        true => Err("expected an image path and one or more numbers".to_owned()),
        false => Ok((name, values)),
    }
}

/// That the only number after a path can be a class. Lines of a list file are not repeated: the client may be one that cannot read it.
fn check_class(value: &str) -> Result<(), String> {
    match value.parse::<i64>() {
        Ok(0..) => Ok(()),
        Ok(_) => Err("negative supervised discrete target: expected the number of a class, at least 0".to_owned()),
        Err(_) => Err(
            "expected the number of a class, with digits alone; to train on values, set parameters.mllib.regression"
                .to_owned(),
        ),
    }
}

/// The file that a name in a list means: below `root_folder` where that is given, else as it stands, else beside the
/// list.
pub(super) fn locate(name: &str, reader: &ImageReader, list: &Path) -> Option<PathBuf> {
    let candidates = match reader.settings.root_folder.as_deref() {
        Some(root) => vec![Path::new(root).join(name.trim_start_matches('/')), PathBuf::from(name)],
        None => vec![PathBuf::from(name), list.parent().unwrap_or(Path::new("")).join(name)],
    };
    candidates.into_iter().find(|path| reader.limits.files.kind(path) == Some(Kind::File))
}

/// One column is classes, unless values are predicted.
fn targets(rows: Vec<(PathBuf, Vec<String>)>, regression: bool) -> Vec<Sample> {
    let class = |values: &[String]| match values {
        [value] if !regression => value.parse::<i64>().ok(),
        _ => None,
    };
    let sample = |(path, values): (PathBuf, Vec<String>)| {
        let target = match class(&values) {
            Some(id) => Target::Class(id),
            None => Target::Values(values.iter().filter_map(|value| value.parse().ok()).collect()),
        };
        Sample { path, target }
    };
    rows.into_iter().map(sample).collect()
}

/// Training and test targets must be of one kind.
fn check_same_targets(train: &[Sample], tests: &[Sample]) -> Result<()> {
    let kind = |samples: &[Sample]| {
        samples.first().map(|sample| match &sample.target {
            Target::Class(_) => (true, 1),
            Target::Values(values) => (false, values.len()),
        })
    };
    match (kind(train), kind(tests)) {
        (Some(train), Some(test)) if train != test => {
            let words = |(classes, count)| if classes { "classes".to_owned() } else { format!("{count} values") };
            let (train, test) = (words(train), words(test));
            Err(Error::bad_input(format!("the training set has {train} per image, the test set {test}")))
        }
        _ => Ok(()),
    }
}

/// Fisher–Yates.
fn shuffle(samples: &mut [Sample], seed: Option<u64>) {
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(samples.len()));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for last in (1..samples.len()).rev() {
        let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        samples.swap(last, other as usize);
    }
}

/// Takes the test share from the end.
fn split_off(samples: &mut Vec<Sample>, split: Split) -> Vec<Sample> {
    if split.test <= 0.0 {
        return Vec::new();
    }
    let kept = (samples.len() as f64 * (1.0 - split.test)).floor() as usize;
    samples.split_off(kept.max(1))
}

/// The shape of all samples; with `unchanged_data` the first file decides on channels.
fn shape(settings: &Settings, samples: &[Sample]) -> Result<SampleShape> {
    if let Some(shape) = settings.shape() {
        return Ok(shape);
    }
    let first = samples.first().ok_or_else(|| Error::bad_input("no image could be found"))?;
    let channels = items::read_path(&first.path, settings)?.channels;
    let (width, height) = settings.target.size().unzip();
    Ok(SampleShape::Image { width, height, channels })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_with_numbers() {
        let numbers = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        assert_eq!(row("a.jpg 3"), Ok(("a.jpg", numbers(&["3"]))));
        assert_eq!(row("my image 3.jpg\t1 -2.5e1 "), Ok(("my image 3.jpg", numbers(&["1", "-2.5e1"]))));
        for bad in ["", "a.jpg", "a.jpg nan", "3", "a.jpg b.txt"] {
            assert!(row(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_row_or_an_error(line in ".*") {
            if let Ok((name, values)) = row(&line) {
                prop_assert!(!values.is_empty() && line.contains(name));
            }
        }

        #[test]
        fn shuffling_keeps_every_sample(count in 0usize..50, seed in any::<u64>()) {
            let sample = |at: usize| Sample { path: at.to_string().into(), target: Target::Class(at as i64) };
            let mut samples: Vec<Sample> = (0..count).map(sample).collect();
            shuffle(&mut samples, Some(seed));
            samples.sort_by(|a, b| a.path.cmp(&b.path));
            let mut expected: Vec<Sample> = (0..count).map(sample).collect();
            expected.sort_by(|a, b| a.path.cmp(&b.path));
            prop_assert_eq!(samples, expected);
        }

        #[test]
        fn splits_take_the_share_from_the_end(count in 1usize..200, test in 0.0f64..0.999) {
            let sample = |at: usize| Sample { path: at.to_string().into(), target: Target::Class(0) };
            let mut train: Vec<Sample> = (0..count).map(sample).collect();
            let whole = train.clone();
            let tests = split_off(&mut train, Split { test, shuffle: false, seed: None });
            prop_assert!(!train.is_empty());
            prop_assert_eq!([train, tests].concat(), whole);
        }
    }
}
