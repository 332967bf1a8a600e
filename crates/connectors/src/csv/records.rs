//! Text into lines and fields: separators, quotes, line ends.
//!
//! Lines without quotes and stray carriage returns are split at the separator, which is what the `csv` crate would do
//! with them (property-tested below); everything else is left to the `csv` crate.

use std::io::Read;

use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;

use super::SECTION;
use super::place::Place;
use super::quotes::{Fault, Quotes};

/// Lines up to this length are not counted: there is one of each request, bytes.
const SHORT_LINE: usize = 128 << 10;
/// What a byte of a line takes at most while it is split: a field has two bytes at least, a place in two lists that grow, and the bytes
/// themselves are copied.
const LINE_BYTES: u64 = 18;

/// `separator` and `quote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between fields.
    pub(super) separator: u8,
    /// Around fields; without it quotes are ordinary characters.
    pub(super) quote: Option<u8>,
}

impl Dialect {
    /// The first character of each counts.
    ///
    /// # Errors
    /// [`Error::BadInput`] for characters outside ASCII, line ends, and a separator that is the quote.
    pub(super) fn new(separator: Option<&str>, quote: Option<&str>) -> Result<Self> {
        let separator = match separator {
            None | Some("") => b',',
            Some(text) => first_character(text, "separator")?,
        };
        let quote = match quote {
            None => Some(b'"'),
            Some("") => None,
            Some(text) => Some(first_character(text, "quote")?),
        };
        if quote == Some(separator) {
            let reason = format!("separator and quote are both {:?}", char::from(separator));
            return Err(Error::bad_input_at(format!("{SECTION}.separator"), reason));
        }
        Ok(Self { separator, quote })
    }

    /// Whether splitting at separators is all there is to do for this line.
    fn is_plain(self, line: &[u8]) -> bool {
        !line.iter().any(|&byte| byte == b'\r' || byte == b'\n' || Some(byte) == self.quote)
    }
}

fn first_character(text: &str, parameter: &str) -> Result<u8> {
    match text.chars().next().map(|character| (character, u8::try_from(character))) {
        Some((_, Ok(byte))) if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(byte),
        Some((character, _)) => {
            let reason = format!("expected one ASCII character, found {character:?}");
            Err(Error::bad_input_at(format!("{SECTION}.{parameter}"), reason))
        }
        None => Err(Error::bad_input_at(format!("{SECTION}.{parameter}"), "expected one ASCII character, found none")),
    }
}

/// One line, split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// 1-based line of the text it came from.
    pub(super) line: u64,
    /// Its fields, quotes removed.
    pub(super) fields: &'a [&'a [u8]],
}

/// Calls `take` with every line of `text`, which comes from `place`. Blank lines and a byte order mark are left out. A long line counts in
/// `memory` until it was taken.
///
/// # Errors
/// What `take` answers; [`Error::BadInput`] naming the line whose quotation mark is not closed; [`Error::TooLarge`],
/// [`Error::Overloaded`] of the memory.
pub(super) fn of_text(
    text: &str,
    place: Place<'_>,
    dialect: Dialect,
    memory: &MemoryShare,
    mut take: impl FnMut(Record<'_>) -> Result<()>,
) -> Result<()> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line).as_bytes();
    if !dialect.is_plain(line) {
        return of_reader(text.as_bytes(), place, dialect, memory, take);
    }
    if line.is_empty() {
        return Ok(());
    }
    let is_long = line.len() > SHORT_LINE;
    let _counted = is_long.then(|| memory.borrow(line.len() as u64 * LINE_BYTES)).transpose()?;
    let mut fields = Vec::with_capacity(32);
    fields.extend(line.split(|&byte| byte == dialect.separator));
    take(Record { line: 1, fields: &fields })
}

/// Calls `take` with every line that `reader` yields. Blank lines and a byte order mark are left out. A long line counts in `memory` as it
/// comes.
///
/// # Errors
/// As [`of_text`], and [`Error::BadInput`] when reading fails.
pub(super) fn of_reader(
    reader: impl Read,
    place: Place<'_>,
    dialect: Dialect,
    memory: &MemoryShare,
    mut take: impl FnMut(Record<'_>) -> Result<()>,
) -> Result<()> {
    let mut lines = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.separator)
        .quote(dialect.quote.unwrap_or(b'"'))
        .quoting(dialect.quote.is_some())
        .from_reader(Counting {
            reader,
            place,
            quotes: Quotes::new(dialect.separator, dialect.quote),
            memory,
            line: 0,
            counted: 0,
            refused: None,
        });
    let mut record = csv::ByteRecord::new();
    loop {
        let is_there = lines.read_byte_record(&mut record);
        if let Some(refused) = lines.get_mut().refused.take() {
            return Err(refused);
        }
        if !is_there.map_err(|error| Error::bad_input(error.to_string()))? {
            return Ok(());
        }
        let fields: Vec<&[u8]> = record.iter().collect();
        let line = record.position().map_or(0, csv::Position::line);
        take(Record { line, fields: &fields })?;
        lines.get_mut().line = 0;
    }
}

/// Counts the bytes of a line as they come, and follows its quotation marks.
struct Counting<'a, R> {
    reader: R,
    place: Place<'a>,
    quotes: Quotes,
    memory: &'a MemoryShare,
    /// Bytes since the last line was taken.
    line: u64,
    counted: u64,
    refused: Option<Error>,
}

impl<R> Counting<'_, R> {
    /// Ends the reading with a refusal.
    fn refuse(&mut self, refused: Error) -> std::io::Error {
        let text = refused.to_string();
        self.refused = Some(refused);
        std::io::Error::other(text)
    }

    fn count(&mut self, read: usize) -> Result<()> {
        self.line += read as u64;
        let wanted = if self.line > SHORT_LINE as u64 { self.line * LINE_BYTES } else { 0 };
        if wanted > self.counted {
            // Twice as much as before, as vectors grow.
            let wanted = wanted.max(2 * self.counted);
            self.memory.grow(wanted - self.counted)?;
            self.counted = wanted;
        }
        Ok(())
    }
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let followed = if read == 0 { self.quotes.end() } else { self.quotes.follow(&buffer[..read]) };
        if let Err(Fault { line, reason }) = followed {
            let refused = Error::bad_input_at(self.place.line(line, None), reason);
            return Err(self.refuse(refused));
        }
        self.count(read).map_err(|refused| self.refuse(refused))?;
        Ok(read)
    }
}

impl<R> Drop for Counting<'_, R> {
    fn drop(&mut self) {
        self.memory.shrink(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'_> = Place::Item(0);

    /// `None` where quotation marks are missing.
    fn split(text: &str, dialect: Dialect) -> Option<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        of_text(text, HERE, dialect, &MemoryShare::unbounded(), |record| {
            rows.push(record.fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect());
            Ok(())
        })
        .ok()?;
        Some(rows)
    }

    fn dialect(separator: &str, quote: &str) -> Dialect {
        Dialect::new(Some(separator), Some(quote)).expect("a dialect")
    }

    #[test]
    fn lines_split_as_written() {
        let cases: [(&str, &str, &str, &[&[&str]]); 8] = [
            ("1,2,3", ",", "\"", &[&["1", "2", "3"]]),
            ("1,2,3\r\n", ",", "\"", &[&["1", "2", "3"]]),
            ("1;2,5;3", ";", "\"", &[&["1", "2,5", "3"]]),
            ("\"a,b\",c", ",", "\"", &[&["a,b", "c"]]),
            ("'a\"b',\"c", ",", "'", &[&["a\"b", "\"c"]]),
            ("\"say \"\"x\"\"\",2", ",", "\"", &[&["say \"x\"", "2"]]),
            ("a,b\n\n1,2\n", ",", "\"", &[&["a", "b"], &["1", "2"]]),
            ("a,,", ",", "", &[&["a", "", ""]]),
        ];
        for (text, separator, quote, expected) in cases {
            assert_eq!(split(text, dialect(separator, quote)).expect("split"), expected, "{text:?}");
        }
    }

    #[test]
    fn long_lines_count() {
        let memory = dede_model::request_memory::RequestMemory::new(16 << 20);
        let plain = "1,".repeat(1 << 20);
        for text in [plain.clone(), plain.replace("1,1", "\"1\",1"), format!("a\n{plain}")] {
            let split = of_text(&text, HERE, dialect(",", "\""), &memory.share(), |_| Ok(()));
            assert!(matches!(split, Err(Error::TooLarge(_))), "{split:?}");
        }
        let many = "1,2\n".repeat(1 << 20);
        of_text(&many, HERE, dialect(",", "\""), &memory.share(), |_| Ok(())).expect("short lines");
        memory.share().grow(16 << 20).expect("all of it was given back");
    }

    #[test]
    fn separators_that_cannot_be_are_refused() {
        for (separator, quote) in [("é", "\""), ("\n", "\""), (",", ","), (",", "ß")] {
            assert!(Dialect::new(Some(separator), Some(quote)).is_err(), "{separator:?} {quote:?}");
        }
        assert_eq!(dialect(";;", "").separator, b';');
    }

    proptest! {
        /// Whatever cells the `csv` crate writes are read back as they were.
        #[test]
        fn written_cells_come_back(
            cells in prop::collection::vec("[a-c,;\"' \r\n0-9.é-]{0,6}", 1..6),
            separator in "[,;\t|]",
            quote in "[\"']",
        ) {
            let dialect = dialect(&separator, &quote);
            let mut writer = csv::WriterBuilder::new()
                .delimiter(dialect.separator)
                .quote(dialect.quote.expect("a quote"))
                .from_writer(Vec::new());
            writer.write_record(&cells).expect("writes to memory");
            let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("is UTF-8");
            prop_assert_eq!(split(&text, dialect), Some(vec![cells]));
        }

        /// The fast path does what the `csv` crate does.
        #[test]
        fn plain_lines_split_like_the_csv_crate(text in "[a-c,;\"'\r\n0-9.é ]{0,24}", quote in "[\"']") {
            let dialect = dialect(",", &quote);
            let mut rows: Vec<Vec<String>> = Vec::new();
            let read = of_reader(text.as_bytes(), HERE, dialect, &MemoryShare::unbounded(), |record| {
                rows.push(record.fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect());
                Ok(())
            });
            prop_assert_eq!(split(&text, dialect), read.ok().map(|()| rows));
        }
    }
}
