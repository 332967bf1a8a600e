//! The first directory of a TIFF file (TIFF 6.0, section 2), and of a `BigTIFF`: which tags stand in it, with how many values, before a
//! decoder reads any of them.
//!
//! It must not know what tags mean.

use tiff::tags::Tag;

/// Entries that a directory may have. libtiff gives up beyond it too.
const MAX_ENTRIES: u64 = 4096;

/// The entries of a directory.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    is_little: bool,
    /// From the start of an entry to its value, or to the place of its values.
    value_offset: usize,
    entries: Vec<Entry>,
}

/// Where the values of a tag are.
#[derive(Debug)]
struct Entry {
    start: usize,
    tag: Tag,
    kind: u64,
    /// One value, bytes.
    size: usize,
    count: u64,
    place: usize,
}

impl<'a> Directory<'a> {
    /// Reads the entries, and no values.
    ///
    /// # Errors
    /// What is no directory, or one of which two readers could think differently.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        const LARGE_FILE: u64 = 43;
        let mut directory = Self { bytes, is_little: bytes.starts_with(b"II"), value_offset: 0, entries: Vec::new() };
        let cut = || "its directory is cut off".to_owned();
        let number = |at, length| number(bytes, directory.is_little, at, length).ok_or_else(cut);
        let is_large = number(2, 2)? == LARGE_FILE;
        // Lengths of an offset, of the number of entries, and of an entry.
        let (offset, counted, length) = if is_large { (8, 8, 20) } else { (4, 2, 12) };
        let start = usize::try_from(number(offset, offset)?).map_err(|_| cut())?;
        let count = number(start, counted)?;
        if count > MAX_ENTRIES {
            return Err(format!("expected at most {MAX_ENTRIES} entries in its directory, found {count}"));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for index in 0..count as usize {
            let at = start + counted + index * length;
            let tag = Tag::from_u16_exhaustive(number(at, 2)? as u16);
            let kind = number(at + 2, 2)?;
            let count = number(at + 4, offset)?;
            let Some(size) = size_of(kind) else {
                // Readers leave such an entry out, and not all of them find the next one of a BigTIFF then.
                if is_large {
                    return Err(format!("expected a known type of {tag:?}, found {kind}"));
                }
                continue;
            };
            if entries.iter().any(|entry| entry.tag == tag) {
                return Err(format!("{tag:?} stands twice in its directory"));
            }
            let value = at + 4 + offset;
            let is_within = count.checked_mul(size as u64).is_some_and(|length| length <= offset as u64);
            let place = if is_within { value } else { usize::try_from(number(value, offset)?).unwrap_or(usize::MAX) };
            entries.push(Entry { start: at, tag, kind, size, count, place });
        }
        directory.value_offset = 4 + offset;
        directory.entries = entries;
        Ok(directory)
    }

    fn entry(&self, tag: Tag) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// Whether a tag stands there.
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.entry(tag).is_some()
    }

    /// How many values a tag has; 0 where it is missing.
    ///
    /// # Errors
    /// More than `most`, and what lies beyond the end of the file.
    pub(super) fn count(&self, tag: Tag, most: u64) -> Result<u64, String> {
        let Some(entry) = self.entry(tag) else { return Ok(0) };
        if entry.count > most {
            let values = if most == 1 { "value" } else { "values" };
            return Err(format!("expected at most {most} {values} of {tag:?}, found {}", entry.count));
        }
        match self.values(entry) {
            Some(_) => Ok(entry.count),
            None => Err(format!("the values of {tag:?} lie beyond its end")),
        }
    }

    /// The bytes of a tag's values; nothing where it is missing, or lies beyond the end of the file.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        self.entry(tag).and_then(|entry| self.values(entry))
    }

    fn values(&self, entry: &Entry) -> Option<&'a [u8]> {
        let length = usize::try_from(entry.count).ok()?.checked_mul(entry.size)?;
        self.bytes.get(entry.place..entry.place.checked_add(length)?)
    }

    /// A value by its index; nothing where there is none that is a whole number without a sign.
    pub(super) fn value(&self, tag: Tag, index: usize) -> Option<u64> {
        let entry = self.entry(tag).filter(|entry| (index as u64) < entry.count && is_unsigned(entry.kind))?;
        let at = index.checked_mul(entry.size)?.checked_add(entry.place)?;
        number(self.bytes, self.is_little, at, entry.size)
    }

    /// Makes the only value of a tag a LONG of this number in a copy of the file; its entry has room for that. False where it has no value,
    /// or several.
    pub(super) fn write(&self, copy: &mut [u8], tag: Tag, value: u32) -> bool {
        const LONG: u16 = 4;
        let Some(entry) = self.entry(tag).filter(|entry| entry.count == 1) else { return false };
        let (kind, value) = match self.is_little {
            true => (LONG.to_le_bytes(), value.to_le_bytes()),
            false => (LONG.to_be_bytes(), value.to_be_bytes()),
        };
        for (at, bytes) in [(entry.start + 2, &kind[..]), (entry.start + self.value_offset, &value)] {
            match copy.get_mut(at..at + bytes.len()) {
                Some(place) => place.copy_from_slice(bytes),
                None => return false,
            }
        }
        true
    }
}

fn number(bytes: &[u8], is_little: bool, at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let append = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    Some(if is_little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) })
}

/// Length of a value of this type, bytes.
fn size_of(kind: u64) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// BYTE, SHORT, LONG and LONG8.
fn is_unsigned(kind: u64) -> bool {
    matches!(kind, 1 | 3 | 4 | 16)
}
