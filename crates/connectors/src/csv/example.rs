//! Made-up lines: numbers within the bounds of the training data, categories among its own.

use dede_model::error::{Error, Result};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::header::Header;
use super::layout::{Column, Layout, Role};
use super::predict::Predictor;

/// Values of a column whose bounds are not known.
const UNKNOWN_RANGE: (f64, f64) = (0.0, 1.0);

impl Predictor {
    /// A line of features; after a header, where an id is known and bounds say that lines have one. The same seed gives the same line.
    ///
    /// # Errors
    /// [`Error::BadInput`] when neither training data nor network say what columns there are, or bounds are missing.
    pub(super) fn example(&self, seed: u64) -> Result<String> {
        let settings = self.settings();
        let (all, line) = match (self.trained(), settings.network_columns) {
            (Some((all, features)), _) => (all.clone(), features.clone()),
            (None, Some(count)) if settings.mappings.is_empty() => {
                let line = self.unnamed(count)?;
                (line.clone(), line)
            }
            (None, Some(_) | None) => {
                return Err(Error::bad_input("the columns are not known: neither training data nor network say them"));
            }
        };
        let line = self.finished(std::borrow::Cow::Owned(line))?;
        let ranges = self.ranges(&all, &line);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let fields = line.columns.iter().map(|column| match column.role {
            Role::Number(feature) => Ok(between(ranges[feature], &mut random)),
            Role::Category(..) => self.category(column, &mut random),
            Role::Id => Ok("1".to_owned()),
            Role::Ignored | Role::Label(_) => Ok(String::new()),
        });
        let row = self.written(&fields.collect::<Result<Vec<_>>>()?)?;
        if !line.has_id() {
            return Ok(row);
        }
        let names: Vec<String> = line.names().map(str::to_owned).collect();
        Ok(format!("{}\n{row}", self.written(&names)?))
    }

    /// Columns of which only the number is known, and whether there is an id.
    fn unnamed(&self, count: usize) -> Result<Layout> {
        let settings = self.settings();
        match (&settings.id, &settings.bounds) {
            (Some(id), Some(bounds)) if bounds.len() > count => {
                let features = (1..=count).map(|number| format!("column {number}"));
                let names: Vec<String> = std::iter::once(id.clone()).chain(features).collect();
                Layout::of_header(&Header::known(&names, settings), settings)
            }
            _ => Ok(Layout::of_numbers(count)),
        }
    }

    /// Of each feature of `line`. Bounds belong to the columns of the training data when there is one for each of them, else to those of
    /// the line.
    fn ranges(&self, all: &Layout, line: &Layout) -> Vec<(f64, f64)> {
        let mut ranges = vec![UNKNOWN_RANGE; line.width];
        let Some(bounds) = &self.settings().bounds else { return ranges };
        let mut owners = all.bound_owners(self.settings());
        if owners.len() != bounds.len() {
            owners = line.bound_owners(self.settings());
        }
        for (index, feature) in owners.into_iter().enumerate().take(bounds.len()) {
            if let Some(feature) = feature {
                ranges[feature] = bounds.range(index);
            }
        }
        ranges
    }

    fn category(&self, column: &Column, random: &mut ChaCha8Rng) -> Result<String> {
        let values = self.settings().mappings.of(&column.name).map_or(&[][..], |categories| categories.values());
        let at = usize::try_from(random.next_u64() % values.len().max(1) as u64).unwrap_or(0);
        let none = || Error::bad_input(format!("the values of categorical column {} are not known", column.shown));
        values.get(at).cloned().ok_or_else(none)
    }

    fn written(&self, fields: &[String]) -> Result<String> {
        let dialect = self.settings().dialect;
        let style = if dialect.quote.is_some() { csv::QuoteStyle::Necessary } else { csv::QuoteStyle::Never };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(dialect.separator)
            .quote(dialect.quote.unwrap_or(b'"'))
            .quote_style(style)
            .from_writer(Vec::new());
        let failed = |error: String| Error::Internal(format!("writing a line to memory: {error}"));
        writer.write_record(fields).map_err(|error| failed(error.to_string()))?;
        let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
        let line = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        Ok(line.trim_end_matches('\n').to_owned())
    }
}

/// A number of a range, with as many digits as people write.
fn between((low, high): (f64, f64), random: &mut ChaCha8Rng) -> String {
    let share = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let value = low + share * (high - low);
    let decimals = (4 - (high - low).abs().max(1e-9).log10().ceil() as i32).clamp(0, 12) as usize;
    let rounded = format!("{value:.decimals$}");
    let inside = rounded.parse().is_ok_and(|number: f64| (low..=high).contains(&number));
    if inside { rounded } else { value.to_string() }
}
