//! Files that are not UTF-8 text: told by their first wrong line, before anything is read from it.
//!
//! It must not know columns. The bytes themselves are not repeated: they were read from a file.

use dede_model::error::{Error, Result};

use super::place::Place;
use super::records::Record;

/// Byte order marks of encodings that are not read, longest first, and what iconv calls them.
const MARKS: [(&[u8], &str); 4] = [
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];

/// How files of other kinds begin, and what they are.
const KINDS: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"PK\x03\x04", "a zip archive, as spreadsheets are"),
];

/// Refuses a line that is not UTF-8, or holds the zero bytes of UTF-16 and of binary files.
///
/// # Errors
/// [`Error::BadInput`] naming the line, and how the file is converted.
pub(super) fn check(record: Record<'_>, place: Place<'_>) -> Result<()> {
    let refused = |what: String, encoding: &str| {
        let reason = format!("{what}: convert the file, for example iconv -f {encoding} -t UTF-8 old.csv > new.csv");
        Err(Error::bad_input_at(place.line(record.line, None), reason))
    };
    let begins = |mark: &[u8]| record.line == 1 && record.fields.first().is_some_and(|field| field.starts_with(mark));
    if let Some((_, kind)) = KINDS.iter().find(|(mark, _)| begins(mark))
        && !record.fields.iter().all(|field| is_text(field))
    {
        let reason = format!("expected csv text, found a file that is {kind}");
        return Err(Error::bad_input_at(place.line(record.line, None), reason));
    }
    for (index, field) in record.fields.iter().enumerate() {
        let marked = MARKS.iter().find(|(mark, _)| index == 0 && field.starts_with(mark));
        if let (Some((_, encoding)), 1) = (marked, record.line) {
            return refused(format!("the file is {encoding}, not UTF-8"), encoding);
        }
        if field.contains(&0) && is_wide(field) {
            return refused(
                "the file is not UTF-8 text: this line holds zero bytes, as UTF-16 does".to_owned(),
                "UTF-16LE",
            );
        }
        if field.contains(&0) {
            let reason = "expected csv text, found zero bytes in this line";
            return Err(Error::bad_input_at(place.line(record.line, None), reason));
        }
        if std::str::from_utf8(field).is_err() {
            return refused(format!("the file is not UTF-8, by column {} of this line", index + 1), "ISO-8859-1");
        }
    }
    Ok(())
}

/// Whether every other byte is zero, as in UTF-16 of plain letters.
fn is_wide(field: &[u8]) -> bool {
    let zeros = |first: usize| field.iter().skip(first).step_by(2).all(|&byte| byte == 0);
    zeros(0) || zeros(1)
}

fn is_text(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok() && !field.contains(&0)
}
