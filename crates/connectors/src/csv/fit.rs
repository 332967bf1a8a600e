//! Reading training data: one pass for categories and class names, one for bounds, one for the rows.

use std::sync::Arc;

use dede_model::connector::{Fetched, Fitted, ReaderContext, TestSet};
use dede_model::data::{Batch, SampleShape};
use dede_model::error::{Error, Fault, Result};
use dede_model::labels::Labels;
use dede_model::parameters::{Section, over};
use dede_model::quote::{quote, quote_list};
use dede_model::request_memory::MemoryShare;
use rand::SeedableRng;
use rand::seq::SliceRandom;

use super::SECTION;
use super::categories::{Categories, Mappings};
use super::cells::is_blank;
use super::header::Header;
use super::input::Source;
use super::labels::{ClassNames, LabelKinds};
use super::layout::Layout;
use super::options::Settings;
use super::place::Place;
use super::records::Record;
use super::row::RowReader;
use super::scaling::{Bounds, BoundsCollector};
use super::state;
use super::table::{Rows, TableView};
use crate::split;

/// Reads `[train]`, `[train, test]` or `[header, line, …]`. Settings that come with the columns of an earlier training
/// belong to a run that is resumed: its features, categories, classes and bounds stay.
///
/// # Errors
/// [`Error::BadInput`] naming the path, line or column.
pub(super) fn fit(settings: &Settings, data: &[String]) -> Result<Fitted> {
    let fetched = settings.fetch(data, &MemoryShare::unbounded())?;
    let (train, test) = sources(settings, data, &fetched)?;
    if settings.labels.is_empty() && !settings.autoencoder {
        return Err(Error::bad_input("missing label column parameter"));
    }
    let mut settings = Settings { network_columns: None, ..settings.clone() };
    let header = read_header(&train, &settings)?;
    check_columns(&header, &settings)?;
    require_class_names(&settings)?;
    let (columns, layout) = match settings.columns.clone() {
        Some(columns) => {
            let layout = resumed(&columns, &settings)?.reordered(&header, &settings)?;
            (columns, layout)
        }
        None => {
            let layout = learn(&train, &header, &mut settings)?;
            (header.names, layout)
        }
    };
    let state = state::stored(&settings, &columns);
    check_creation(&settings, &state)?;
    let rows = read_rows(&train, &layout, &settings)?;
    if rows.uris.is_empty() {
        return Err(Error::bad_input("no data could be found"));
    }
    let test = test.map(|test| read_test(&test, &layout, &settings)).transpose()?;
    let (train, tests) = divide(rows, test, &settings)?;
    Ok(Fitted {
        train,
        tests,
        state,
        report: state::reported(&settings),
        labels: label_names(&settings),
        shape: SampleShape::Row { columns: layout.width },
    })
}

/// Refuses columns that keys name and the header has not, or twice, or that several keys name.
fn check_columns(header: &Header, settings: &Settings) -> Result<()> {
    let known = settings.known.as_deref();
    let is_known = |name: &String| known.and_then(|known| known.columns.as_ref()).is_some_and(|all| all.contains(name));
    let missing =
        |kind: &str, name: &String| format!("cannot find {kind}column {}{}", quote(name), header.without(&[name]));
    let times = |name: &String| header.names.iter().filter(|column| *column == name).count();
    for label in &settings.labels {
        if times(label) == 0 {
            return Err(Error::bad_input(missing("label ", label)));
        }
        if settings.ignore.contains(label) {
            let reason = format!("column {} is named by ignore, too", quote(label));
            return Err(Error::bad_input_at(format!("{SECTION}.label"), reason));
        }
    }
    if let Some(column) = settings.elsewhere.iter().find(|column| column.key == "id" && times(&column.name) == 0) {
        return Err(Error::bad_input(missing("id ", &column.name)));
    }
    let mut ignored: Vec<&String> = settings.ignore.iter().collect();
    ignored.sort_unstable();
    for (key, names) in [("ignore", ignored), ("categoricals", settings.categoricals.iter().collect())] {
        if let Some(name) = names.into_iter().find(|name| times(name) == 0 && !name.is_empty() && !is_known(name)) {
            return Err(Error::bad_input_at(format!("{SECTION}.{key}"), missing("", name)));
        }
    }
    header.require_once(settings)
}

/// Refuses a training whose network the service, by what it was created with, could not be asked.
fn check_creation(settings: &Settings, state: &Section) -> Result<()> {
    let context = ReaderContext {
        parameters: &over(&settings.created, state),
        own: &settings.created,
        created: &Section::new(),
        stored: state,
        parameters_in_call: false,
        shape: None,
        labels: &Labels::default(),
        regression: settings.regression,
        limits: Arc::clone(&settings.limits),
    };
    match Settings::resolve(&context) {
        Ok(_) => Ok(()),
        Err(Error::BadInput(Fault { at, reason })) => {
            let reason = format!("the service was created with another value than this training has: {reason}");
            Err(Error::BadInput(Fault { at, reason }))
        }
        Err(other) => Err(other),
    }
}

/// Refuses mappings that would make a class without a name.
fn require_class_names(settings: &Settings) -> Result<()> {
    let is_unnamed = |label: &&String| {
        let categories = settings.mappings.of(label);
        categories.is_some_and(|categories| categories.values().iter().any(|name| is_blank(name.as_bytes())))
    };
    match settings.labels.iter().find(is_unnamed) {
        Some(label) => {
            let place = format!("parameters.input.categoricals_mapping.{}", quote(label));
            Err(Error::bad_input_at(place, "expected a name for each class, found an empty one"))
        }
        None => Ok(()),
    }
}

/// The layout of the training that is resumed.
fn resumed(columns: &[String], settings: &Settings) -> Result<Layout> {
    let header = Header::known(columns, settings);
    let layout = Layout::of_names(&header, settings)?;
    let before = Layout::of_names(&header, settings.known.as_deref().unwrap_or(settings))?;
    match (settings.scale, &settings.bounds) {
        (None, _) => Ok(layout),
        (Some(_), Some(bounds)) => scaled(layout, bounds, &before.bound_owners(settings)),
        (Some(_), None) => Err(Error::bad_input_at(
            "parameters.input.scale",
            "a resumed training cannot begin to scale: the training before it did not",
        )),
    }
}

/// Scales by one bound for each column, id and labels included.
fn scaled(layout: Layout, bounds: &Bounds, owners: &[Option<usize>]) -> Result<Layout> {
    if owners.len() == bounds.len() {
        return Ok(layout.scaled(bounds, owners));
    }
    let [low, _] = bounds.kind.keys();
    let reason = format!(
        "expected one for each column that is not ignored, id, labels and each category among them, {}, found {}",
        owners.len(),
        bounds.len()
    );
    Err(Error::bad_input_at(format!("{SECTION}.{low}"), reason))
}

/// Learns categories, class names and bounds, and lays out the columns.
fn learn(train: &Source<'_>, header: &Header, settings: &mut Settings) -> Result<Layout> {
    let given = std::mem::replace(&mut settings.mappings, Mappings::empty(settings.categoricals.iter().cloned()));
    for column in &settings.categoricals {
        if let (Some(from), Some(to)) = (given.of(column), settings.mappings.of_mut(column)) {
            from.values().iter().for_each(|value| to.add(value));
        }
    }
    settings.class_names = ClassNames::default();
    learn_values(train, header, settings)?;
    let layout = Layout::of_header(header, settings)?;
    if settings.scale.is_some() && settings.bounds.is_none() {
        learn_bounds(train, &layout, settings)?;
    }
    match &settings.bounds {
        Some(bounds) => {
            let owners = layout.bound_owners(settings);
            scaled(layout, bounds, &owners)
        }
        None => Ok(layout),
    }
}

/// Names of the classes, where labels are text.
fn label_names(settings: &Settings) -> Labels {
    match settings.labels.as_slice() {
        [label] => match settings.mappings.of(label) {
            Some(categories) => Labels::from_names(categories.values().iter().cloned()),
            None => settings.class_names.labels(),
        },
        _ => Labels::default(),
    }
}

/// What `data` names. Lines are told from a mistyped path by the separator that any header has.
fn sources<'a>(
    settings: &Settings,
    data: &'a [String],
    fetched: &'a Fetched,
) -> Result<(Source<'a>, Option<Source<'a>>)> {
    let Some(first) = data.first() else { return Err(Error::bad_input("missing data")) };
    let train = Source::of_item(data, 0, settings, fetched)?;
    if matches!(train, Source::Lines(..)) {
        let is_header = first.contains(char::from(settings.dialect.separator)) || first.contains('\n');
        if !is_header || first.starts_with('/') {
            return Err(Error::bad_input(format!("cannot open file {}: it does not exist", quote(first))));
        }
        return Ok((Source::Lines(0, data), None));
    }
    match data.len() {
        1 => Ok((train, None)),
        2 => match Source::of_item(data, 1, settings, fetched)? {
            Source::Lines(..) => {
                Err(Error::bad_input(format!("cannot open test file {}: it does not exist", quote(&data[1]))))
            }
            test @ (Source::File(..) | Source::Fetched(..)) => Ok((train, Some(test))),
        },
        _ => Err(Error::bad_input("multiple test sets not supported by caffe backend yet")),
    }
}

/// Calls `take` with every line but the header.
fn for_each_row(
    source: &Source<'_>,
    settings: &Settings,
    mut take: impl FnMut(Place<'_>, Record<'_>) -> Result<()>,
) -> Result<()> {
    let mut header = true;
    source.for_each(settings.dialect, &MemoryShare::unbounded(), |place, record| {
        if std::mem::take(&mut header) { Ok(()) } else { take(place, record) }
    })
}

fn read_header(source: &Source<'_>, settings: &Settings) -> Result<Header> {
    let mut names = None;
    let read = source.for_each(settings.dialect, &MemoryShare::unbounded(), |place, record| {
        names = Some(Header::of(record, place, settings));
        Err(Error::Internal("the header is read".to_owned()))
    });
    match (names, read) {
        (Some(names), _) => Ok(names),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(Error::bad_input("no data could be found")),
    }
}

/// Numbers the values of categorical columns and the names of classes, by first appearance.
fn learn_values(source: &Source<'_>, header: &Header, settings: &mut Settings) -> Result<()> {
    let layout = Layout::of_header(header, settings)?;
    let mut mappings = std::mem::take(&mut settings.mappings);
    let categoricals: Vec<(usize, &String)> = header
        .names
        .iter()
        .enumerate()
        .filter(|(_, name)| mappings.of(name).is_some() && !settings.ignore.contains(*name))
        .collect();
    let label = match settings.labels.as_slice() {
        [label] if !settings.regression && mappings.of(label).is_none() => {
            header.names.iter().position(|name| name == label)
        }
        _ => None,
    };
    let (mut names, mut kinds, mut empty) = (Categories::default(), LabelKinds::default(), true);
    for_each_row(source, settings, |place, record| {
        let reader = RowReader { layout: &layout, settings, place, labelled: true };
        let fields = reader.checked(record)?;
        reader.require_labels(record.line, fields)?;
        for &(index, name) in &categoricals {
            if let (Some(categories), Ok(value)) = (mappings.of_mut(name), std::str::from_utf8(fields[index])) {
                if is_blank(fields[index]) && categories.number(value).is_none() {
                    return Err(reader.blank_category(record.line, &layout.columns[index]));
                }
                categories.add(value);
            }
        }
        if let Some(label) = label {
            kinds.add(fields[label], || reader.odd_label(record.line, &layout.columns[label], fields[label]));
            names.add(&String::from_utf8_lossy(fields[label]));
        }
        empty = false;
        Ok(())
    })?;
    if empty {
        return Err(Error::bad_input("no data could be found"));
    }
    settings.mappings = mappings;
    if kinds.are_text()? {
        let is_shifted = settings.label_offsets.iter().any(|&offset| offset != 0);
        if is_shifted {
            let reason = "the labels are text: there is no number to add to";
            return Err(Error::bad_input_at(format!("{SECTION}.label_offset"), reason));
        }
        settings.class_names = ClassNames::found(names.values().iter().map(String::as_str));
    }
    Ok(())
}

/// Takes the bounds of all rows of the training file, those that become a test set included.
fn learn_bounds(source: &Source<'_>, layout: &Layout, settings: &mut Settings) -> Result<()> {
    let Some(kind) = settings.scale else { return Ok(()) };
    let mut collector = BoundsCollector::new(kind, layout.bound_owners(settings).len());
    let mut values = Vec::new();
    for_each_row(source, settings, |place, record| {
        RowReader { layout, settings, place, labelled: true }.raw(record, &mut values)?;
        collector.add(&values);
        Ok(())
    })?;
    let bounds = collector.finish();
    bounds
        .check()
        .map_err(|reason| Error::bad_input_at("parameters.input.scale", format!("learnt bounds: {reason}")))?;
    settings.bounds = Some(bounds);
    Ok(())
}

/// Reads all rows.
fn read_rows(source: &Source<'_>, layout: &Layout, settings: &Settings) -> Result<Batch> {
    let mut rows = Rows::new(layout.width, layout.label_columns(settings), true);
    for_each_row(source, settings, |place, record| rows.push(layout, settings, place, record))?;
    let as_values = rows.labels().are_values(settings.regression);
    rows.into_batch(as_values)
}

fn read_test(source: &Source<'_>, layout: &Layout, settings: &Settings) -> Result<Batch> {
    let header = read_header(source, settings)?;
    let layout = layout.reordered(&header, settings).map_err(|error| {
        let Error::BadInput(Fault { at, reason }) = error else { return error };
        Error::BadInput(Fault { at, reason: format!("the test file: {reason}") })
    })?;
    if layout.label_columns(settings) != settings.labels.len() {
        let labels: Vec<&str> = settings.labels.iter().map(String::as_str).collect();
        return Err(Error::bad_input(format!(
            "cannot find label column {} in the test file{}",
            quote_list(labels.iter().copied()),
            header.without(&labels)
        )));
    }
    let batch = read_rows(source, &layout, settings)?;
    if batch.uris.is_empty() {
        return Err(Error::bad_input("no data could be found in the test file"));
    }
    Ok(batch)
}

/// Shuffles, and splits the tail off as a test set unless there is one.
fn divide(
    rows: Batch,
    test: Option<Batch>,
    settings: &Settings,
) -> Result<(Box<dyn dede_model::data::Dataset>, Vec<TestSet>)> {
    let view = |table, order| Box::new(TableView::new(table, order, settings.autoencoder));
    let count = rows.uris.len();
    let rows = Arc::new(rows);
    let mut order: Vec<usize> = (0..count).collect();
    if settings.shuffle {
        let seed = settings.seed.unwrap_or_else(random_seed);
        order.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    }
    if let Some(test) = test {
        split::warn_of_no_effect(settings.test_split);
        let all = (0..test.uris.len()).collect();
        let test = TestSet { name: String::new(), data: view(Arc::new(test), all) };
        return Ok((view(rows, order), vec![test]));
    }
    if settings.test_split == 0.0 {
        return Ok((view(rows, order), Vec::new()));
    }
    let kept = (count as f64 * (1.0 - settings.test_split)).floor() as usize;
    if kept == 0 {
        let reason = format!("a test_split of {} leaves nothing of {count} rows to train on", settings.test_split);
        return Err(Error::bad_input_at("parameters.input.test_split", reason));
    }
    let tail = order.split_off(kept);
    if tail.is_empty() {
        return Ok((view(rows, order), Vec::new()));
    }
    let test = TestSet { name: String::new(), data: view(Arc::clone(&rows), tail) };
    Ok((view(rows, order), vec![test]))
}

/// A seed that no training repeats.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
