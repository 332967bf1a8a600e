//! Reading the items of a predict: files, URLs and lines, with or without a header.
//!
//! Where the training data is known, its names decide what a first line is (`trained`). Elsewhere contract.md 3.3 does: files begin with
//! a header, lines of the request with one where the parameters ask for it and the line is not plainly data.

use std::borrow::Cow;

use dede_model::connector::{Fetched, RetainedItems};
use dede_model::data::Batch;
use dede_model::error::{Error, Fault, Result};
use dede_model::quote::{quote, quote_list};
use dede_model::request_memory::MemoryShare;

use super::SECTION;
use super::cells::parse_number;
use super::header::Header;
use super::input::Source;
use super::layout::{Layout, missing_bounds};
use super::options::{NamedColumn, Settings};
use super::place::Place;
use super::records::{self, Record};
use super::scaling::Bounds;
use super::table::Rows;
use super::trained::{FirstLine, Trained};

/// Layouts of so many columns are not counted.
const FEW_COLUMNS: usize = 1000;
/// What a column takes: in the header, in its layout, and in the one that is made of it, bytes.
const COLUMN_BYTES: u64 = 512;
/// What rows take is counted in steps of this size, bytes.
const COUNTED_BYTES: u64 = 256 << 10;

/// Settings, and the layouts that follow from the header of the training data.
#[derive(Debug)]
pub(super) struct Predictor {
    settings: Settings,
    trained: Option<Trained>,
}

impl Predictor {
    /// Lays out what the settings know.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the columns of the training data are not those of the network. Bounds are only asked for when there is
    /// something to scale.
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let trained = Trained::new(&settings)?;
        Ok(Self { settings, trained })
    }

    /// The settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Number of features, where the training data is known.
    pub(super) fn width(&self) -> Option<usize> {
        self.trained.as_ref().map(|trained| trained.all.width)
    }

    /// What the training data says of lines, if it is known: columns and, where bounds fit by name, scales; then the ways of writing them,
    /// features alone first.
    pub(super) fn trained(&self) -> Option<(&Layout, &Layout)> {
        self.trained.as_ref().map(|trained| (&trained.all, &trained.forms[0]))
    }

    /// Reads all items, and keeps up to `most_bytes` of them.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the item, line and column.
    pub(super) fn read(
        &self,
        data: &[String],
        fetched: &Fetched,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<(Batch, RetainedItems)> {
        if data.is_empty() {
            return Err(Error::bad_input("missing data"));
        }
        let mut kept = RetainedItems::AsSent;
        let mut counted = 0;
        let mut collected: Option<Rows> = None;
        let mut lines: Option<Cow<'_, Layout>> = None;
        let mut blank = None;
        for index in 0..data.len() {
            let mut source = Source::of_item(data, index, &self.settings, fetched)?;
            let is_line = matches!(source, Source::Lines(..));
            if !is_line {
                kept = if data.len() == 1 { self.kept(&mut source, most_bytes) } else { RetainedItems::Nothing };
            }
            let mut layout = if is_line { lines.take() } else { None };
            let mut is_blank = true;
            let read = source.for_each(self.settings.dialect, memory, |place, record| {
                is_blank = false;
                let is_first = layout.is_none();
                let known = match &layout {
                    Some(known) => known,
                    None => {
                        if record.fields.len() > FEW_COLUMNS {
                            memory.grow(record.fields.len() as u64 * COLUMN_BYTES)?;
                        }
                        let (found, is_header) = self.first_line(record, place)?;
                        let known = layout.insert(found);
                        if is_header {
                            return Ok(());
                        }
                        known
                    }
                };
                let pushed = self.push(&mut collected, known, place, record);
                let bytes = match pushed {
                    Err(error) if is_first => return Err(self.refused_first_row(error, record, place)),
                    pushed => pushed?,
                };
                if bytes > counted {
                    memory.grow(COUNTED_BYTES)?;
                    counted += COUNTED_BYTES;
                }
                Ok(())
            });
            read.map_err(|error| if is_line { hint_at_path(&data[index], error) } else { error })?;
            match blank {
                None if is_blank => blank = Some(index),
                Some(blank) if !is_blank => return Err(is_blank_item(blank)),
                None | Some(_) => {}
            }
            if is_line {
                lines = layout;
            }
        }
        match collected {
            Some(rows) if rows.len() > 0 => {
                let as_values = rows.labels().are_values(self.settings.regression);
                Ok((rows.into_batch(as_values)?, kept))
            }
            Some(_) | None => Err(Error::bad_input("no data could be found")),
        }
    }

    /// A table as an item of its own. Where the training data is not known, its first line is a header whatever it says, and that of an
    /// item only when it is seen to be one: other tables cannot be written as items.
    fn kept(&self, source: &mut Source<'_>, most_bytes: usize) -> RetainedItems {
        let Some(text) = source.load(most_bytes) else { return RetainedItems::Nothing };
        if self.trained.is_some() {
            return RetainedItems::Rewritten(vec![text.to_owned()]);
        }
        let mut is_header = false;
        let first = text.lines().next().unwrap_or_default();
        let looked =
            records::of_text(first, Place::Item(0), self.settings.dialect, &MemoryShare::unbounded(), |record| {
                is_header = self.is_header(record.fields);
                Ok(())
            });
        if looked.is_ok() && is_header {
            RetainedItems::Rewritten(vec![text.to_owned()])
        } else {
            RetainedItems::Nothing
        }
    }

    /// Reads one more row, and says what all of them take, bytes.
    fn push(&self, rows: &mut Option<Rows>, layout: &Layout, place: Place<'_>, record: Record<'_>) -> Result<u64> {
        let rows = rows.get_or_insert_with(|| Rows::new(layout.width, layout.label_columns(&self.settings), false));
        if rows.len() >= self.settings.limits.items {
            let reason = format!("more than {} rows in one request", self.settings.limits.items);
            return Err(Error::bad_input_at(place.line(record.line, None), reason));
        }
        rows.push(layout, &self.settings, place, record)?;
        Ok(rows.bytes())
    }

    /// The layout that the first line of a source implies, and whether that line is a header.
    fn first_line(&self, record: Record<'_>, place: Place<'_>) -> Result<(Cow<'_, Layout>, bool)> {
        let header = || Header::of(record, place, &self.settings);
        let wide = |layout| self.of_width(layout, record, place);
        let refused = |reason| Error::bad_input_at(place.line(record.line, None), reason);
        let layout = match &self.trained {
            Some(trained) => match self.decided(trained, record, place)? {
                FirstLine::Header => return Ok((self.of_header(trained, &header())?, true)),
                FirstLine::Row => {
                    self.require_columns(None)?;
                    Cow::Borrowed(trained.row(record.fields, &self.settings).map_err(refused)?)
                }
            },
            None if place.is_read() && self.is_data(record.fields) => return Err(self.is_headerless(record, place)),
            None if place.is_read() || self.is_header(record.fields) => {
                return Ok((self.finished(wide(self.untrained(&header())?)?)?, true));
            }
            None => {
                if let Some(column) = self.unlabelled_categoricals().next() {
                    let column = quote(column);
                    let reason =
                        format!("which column is {column}, a categorical one? Write a header before this line");
                    return Err(refused(reason));
                }
                wide(Layout::of_numbers(match record.fields {
                    [fields @ .., b""] => fields.len(),
                    fields => fields.len(),
                }))?
            }
        };
        Ok((self.finished(layout)?, false))
    }

    /// Categorical columns that are no labels.
    fn unlabelled_categoricals(&self) -> impl Iterator<Item = &String> {
        self.settings.categoricals.iter().filter(|column| !self.settings.labels.contains(column))
    }

    /// Refuses columns that keys name and that neither the training data nor this header has.
    fn require_columns(&self, header: Option<&Header>) -> Result<()> {
        let is_there = |name: &String| header.is_some_and(|header| header.names.contains(name));
        let Some(NamedColumn { key, name }) = self.settings.elsewhere.iter().find(|column| !is_there(&column.name))
        else {
            return Ok(());
        };
        let trained = self.settings.columns.iter().flatten();
        let found = match header {
            Some(header) => header.without(&[name]),
            None => {
                let columns = quote_list(trained.map(String::as_str));
                format!(": the training data has {columns}, and only a header can say where another column stands")
            }
        };
        Err(match *key {
            "ignore" => {
                Error::bad_input_at(format!("{SECTION}.ignore"), format!("cannot find column {}{found}", quote(name)))
            }
            kind => Error::bad_input(format!("cannot find {kind} column {}{found}", quote(name))),
        })
    }

    fn decided(&self, trained: &Trained, record: Record<'_>, place: Place<'_>) -> Result<FirstLine> {
        if !trained.names_any(record.fields) {
            return Ok(FirstLine::Row);
        }
        let header = Header::of(record, place, &self.settings);
        trained
            .first_line(record.fields, &header, &self.settings)
            .map_err(|reason| Error::bad_input_at(place.line(record.line, None), reason))
    }

    /// A file whose columns nothing names: its first row would be lost without a word.
    fn is_headerless(&self, record: Record<'_>, place: Place<'_>) -> Error {
        let reason = "is the first line a header or a row? It holds numbers only, and the columns of the training data are not known here; \
                      write a header of names before it, or send its lines as items of data";
        Error::bad_input_at(place.line(record.line, None), reason)
    }

    /// Why a first line is no row, and, where it has no number at all, why it is no header either.
    fn refused_first_row(&self, error: Error, record: Record<'_>, place: Place<'_>) -> Error {
        match (&self.trained, error) {
            (Some(trained), Error::BadInput(Fault { at, reason }))
                if !record.fields.iter().any(|field| parse_number(field).is_some()) =>
            {
                let why = trained.is_no_header(&Header::of(record, place, &self.settings));
                Error::BadInput(Fault { at, reason: format!("{reason}{why}") })
            }
            (_, error) => error,
        }
    }

    /// Whether the first line of the request is a header, where the training data is not known.
    fn is_header(&self, fields: &[&[u8]]) -> bool {
        let names_id = |id: &String| fields.contains(&id.as_bytes());
        let implied = self.settings.id.as_ref().is_some_and(names_id)
            || self.unlabelled_categoricals().next().is_some()
            || (self.settings.in_call && self.settings.id.is_some() && fields.len() > 1);
        implied && !self.is_data(fields)
    }

    /// Whether a line that stands where a header is expected can only be data, where the training data is not known.
    fn is_data(&self, fields: &[&[u8]]) -> bool {
        let Settings { id, categoricals, .. } = &self.settings;
        let is_named = |field: &[u8]| id.iter().chain(categoricals).any(|name| name.as_bytes() == field);
        fields.iter().all(|field| parse_number(field).is_some() && !is_named(field))
    }

    /// The layout of a header where the training data is known.
    fn of_header<'l>(&'l self, trained: &'l Trained, header: &Header) -> Result<Cow<'l, Layout>> {
        self.require_columns(Some(header))?;
        self.finished(match trained.forms.iter().find(|form| form.names().eq(&header.names)) {
            Some(form) => Cow::Borrowed(form),
            None => Cow::Owned(trained.all.reordered(header, &self.settings)?),
        })
    }

    /// The layout of a header where it is not known.
    fn untrained(&self, header: &Header) -> Result<Layout> {
        header.require_once(&self.settings)?;
        self.require_columns(Some(header))?;
        let mut categoricals = self.unlabelled_categoricals().peekable();
        if let Some(column) = categoricals.peek().copied()
            && !categoricals.any(|column| header.names.contains(column))
        {
            let (name, found) = (quote(column), header.without(&[column]));
            return Err(Error::bad_input(format!("cannot find categorical column {name}{found}")));
        }
        Layout::of_header(header, &self.settings)
    }

    /// Refuses a first line with another number of features than the network takes.
    fn of_width(&self, layout: Layout, record: Record<'_>, place: Place<'_>) -> Result<Cow<'_, Layout>> {
        let expected = self.settings.network_columns.unwrap_or(layout.width);
        if expected == layout.width {
            return Ok(Cow::Owned(layout));
        }
        let hint = Header::of(record, place, &self.settings).separated_into(expected);
        let reason = format!("{}{hint}", other_width(expected, &layout));
        Err(Error::bad_input_at(place.line(record.line, None), reason))
    }

    /// Checks a layout against the network and scales it, where it is not scaled already.
    pub(super) fn finished<'l>(&self, layout: Cow<'l, Layout>) -> Result<Cow<'l, Layout>> {
        if let Some(expected) = self.settings.network_columns
            && expected != layout.width
        {
            return Err(Error::bad_input(other_width(expected, &layout)));
        }
        match (self.settings.scale, &self.settings.bounds, &self.trained) {
            (None, _, _) => Ok(layout),
            (Some(kind), None, _) => Err(missing_bounds(kind)),
            (Some(_), Some(_), _) if !layout.scales.is_empty() => Ok(layout),
            (Some(_), Some(bounds), Some(trained)) => {
                trained.scaled(layout.into_owned(), bounds, &self.settings).map(Cow::Owned)
            }
            (Some(_), Some(bounds), None) => {
                scaled_in_order(layout.into_owned(), bounds, &self.settings).map(Cow::Owned)
            }
        }
    }
}

fn other_width(expected: usize, layout: &Layout) -> String {
    format!("the network takes {expected} columns, found {}: {}", layout.width, layout.features_shown())
}

/// Scales a line by bounds in the order of its columns, where the training data is not known. More of them than columns are left over, as
/// recorded of the original: bounds of the labels, which the line has not, stand there.
fn scaled_in_order(line: Layout, bounds: &Bounds, settings: &Settings) -> Result<Layout> {
    let owners = line.bound_owners(settings);
    if owners.len() > bounds.len() {
        return Err(Error::bad_input(format!(
            "number of values to unscale ({}) > number of scaling factors ({})",
            owners.len(),
            bounds.len()
        )));
    }
    Ok(line.scaled(bounds, &owners))
}

/// An item without a line: the items after it would be answered in its place.
fn is_blank_item(index: usize) -> Error {
    Error::bad_input_at(format!("data[{index}]"), "expected a line, found an empty item before others")
}

/// A line that is no data and looks like a path was probably meant as one.
fn hint_at_path(item: &str, error: Error) -> Error {
    let looks_like_path = !item.contains('\n') && (item.starts_with(['/', '.']) || item.ends_with(".csv"));
    let Error::BadInput(fault) = error else { return error };
    if !looks_like_path {
        return Error::BadInput(fault);
    }
    tracing::warn!(item = quote(item), "taken as a csv line: there is no file of that name");
    let reason = format!("{}; taken as a line, since there is no file of that name", fault.reason);
    Error::BadInput(Fault { at: fault.at, reason })
}
