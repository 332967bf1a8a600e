//! The orientation in EXIF data (CIPA DC-008, 4.6), found as OpenCV finds it.
//!
//! OpenCV reads the 16 bits where the value begins, whatever type and count the entry declares, and stops at the first entry whose text or
//! fraction lies beyond the data. It must not know which file the data were in.

use image::metadata::Orientation;

const ORIENTATION: u16 = 0x0112;

/// Length of an entry of a directory, and of a fraction, bytes.
const ENTRY_BYTES: usize = 12;
const FRACTION_BYTES: usize = 8;

/// The orientation that the first of these EXIF data with such an entry declares. Numbers without a meaning turn nothing.
pub(super) fn orientation<'a>(data: impl IntoIterator<Item = &'a [u8]>) -> Orientation {
    let number = data.into_iter().find_map(|exif| Exif::of(exif)?.orientation());
    let known = number.and_then(|number| u8::try_from(number).ok()).and_then(Orientation::from_exif);
    known.unwrap_or(Orientation::NoTransforms)
}

/// EXIF data with a known order of bytes.
struct Exif<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl<'a> Exif<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        const MARK: u16 = 42;
        let exif = Self { bytes, is_little: bytes.starts_with(b"II") };
        (exif.short(2)? == MARK).then_some(exif)
    }

    /// The number of the first entry of an orientation; none where an entry before it lies beyond the data.
    fn orientation(&self) -> Option<u16> {
        let start = self.long(4)?;
        let count = usize::from(self.short(start)?);
        for index in 0..count {
            let entry = start + 2 + index * ENTRY_BYTES;
            match self.short(entry)? {
                ORIENTATION => return self.short(entry + 8),
                tag => self.require_value(tag, entry)?,
            }
        }
        None
    }

    /// Nothing where OpenCV reads the value of this entry, and it lies beyond the data.
    fn require_value(&self, tag: u16, entry: usize) -> Option<()> {
        let fractions = match tag {
            // Description, maker, model, software, date and copyright.
            0x010e | 0x010f | 0x0110 | 0x0131 | 0x0132 | 0x8298 => return self.require_text(entry),
            // Resolution across and down.
            0x011a | 0x011b => 1,
            // White point.
            0x013e => 2,
            // Coefficients of YCbCr.
            0x0211 => 3,
            // Primary chromaticities; reference black and white.
            0x013f | 0x0214 => 6,
            _ => return Some(()),
        };
        self.require(self.long(entry + 8)?, fractions * FRACTION_BYTES)
    }

    fn require_text(&self, entry: usize) -> Option<()> {
        /// Texts up to this length stand in the entry itself.
        const WITHIN: usize = 4;
        match self.long(entry + 4)? {
            0..=WITHIN => Some(()),
            length => self.require(self.long(entry + 8)?, length),
        }
    }

    fn require(&self, start: usize, length: usize) -> Option<()> {
        self.bytes.get(start..start.checked_add(length)?).map(|_| ())
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk().copied()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?.first_chunk().copied()?;
        usize::try_from(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An entry of a little-endian directory.
    fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    }

    /// Little-endian EXIF data with these entries and no second directory.
    fn exif(entries: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(entries.len()).expect("few entries");
        [b"II*\0\x08\0\0\0", &count.to_le_bytes()[..], &entries.concat(), &[0; 4]].concat()
    }

    fn number(exif: &[u8]) -> u8 {
        orientation([exif]).to_exif()
    }

    /// What OpenCV 5.0.0 does with entries of every type and count.
    #[test]
    fn types_and_counts_do_not_matter() {
        for (kind, count, value, expected) in [
            (3, 1, 6, 6),
            (4, 1, 6, 6),
            (1, 1, 6, 6),
            (9, 1, 6, 6),
            (8, 1, 6, 6),
            (99, 1, 6, 6),
            (3, 2, 6, 6),
            (3, 0, 6, 6),
            (4, 1, 0x1_0006, 6),
            (3, 1, 9, 1),
            (3, 1, 0, 1),
            (3, 1, 0x106, 1),
        ] {
            assert_eq!(number(&exif(&[entry(ORIENTATION, kind, count, value)])), expected, "{kind} {count} {value:#x}");
        }
        let big = [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x02"[..], &[0, 6, 0, 0]].concat();
        assert_eq!(number(&big), 6);
        assert_eq!(number(&[b"XX", &big[2..]].concat()), 6, "unknown orders of bytes are big-endian");
        assert_eq!(number(&[b"II", &big[2..]].concat()), 1);
        assert_eq!(number(&[b"MM\0+", &big[4..]].concat()), 1);
    }

    /// What OpenCV 5.0.0 does with entries before the orientation. All of the data have 38 bytes.
    #[test]
    fn values_beyond_the_data_end_the_search() {
        for (tag, count, place, expected) in [
            (0x010f, 100, 5000, 1),
            (0x010f, 30, 8, 6),
            (0x010f, 31, 8, 1),
            (0x010f, 4, 5000, 6),
            (0x010f, u32::MAX, u32::MAX, 1),
            (0x8298, 100, 5000, 1),
            (0x013b, 100, 5000, 6),
            (0x9999, 100, 5000, 6),
            (0x011a, 1, 30, 6),
            (0x011a, 1, 31, 1),
            (0x013e, 2, 22, 6),
            (0x013e, 2, 23, 1),
            (0x0211, 3, 14, 6),
            (0x0211, 3, 15, 1),
            (0x013f, 6, 0, 1),
        ] {
            let entries = [entry(tag, 2, count, place), entry(ORIENTATION, 3, 1, 6)];
            assert_eq!(number(&exif(&entries)), expected, "{tag:#x} {count} {place}");
        }
        let after = [entry(ORIENTATION, 3, 1, 6), entry(0x010f, 2, 100, 5000)];
        assert_eq!(number(&exif(&after)), 6);
    }

    #[test]
    fn data_that_end_too_early_are_read_as_far_as_they_go() {
        let whole = exif(&[entry(ORIENTATION, 3, 1, 6)]);
        for length in 0..=whole.len() {
            assert_eq!(number(&whole[..length]), if length < 20 { 1 } else { 6 }, "{length} bytes");
        }
    }

    #[test]
    fn the_first_orientation_counts() {
        let with = |value| exif(&[entry(ORIENTATION, 3, 1, value)]);
        let (without, broken) = (exif(&[entry(0x0100, 3, 1, 5)]), exif(&[entry(0x010f, 2, 100, 5000)]));
        for (data, expected) in [
            ([&without, &with(6)], 6),
            ([&broken, &with(6)], 6),
            ([&b"XX".to_vec(), &with(6)], 6),
            ([&with(6), &with(3)], 6),
            ([&with(1), &with(3)], 1),
            ([&with(0), &with(3)], 1),
        ] {
            assert_eq!(orientation(data.map(|exif| &exif[..])).to_exif(), expected, "{data:?}");
        }
        assert_eq!(number(&exif(&[entry(ORIENTATION, 3, 1, 9), entry(ORIENTATION, 3, 1, 3)])), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_end(order in prop_oneof![Just(b"II*\0"), Just(b"MM\0*")], bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = number(&[&order[..], &bytes].concat());
        }
    }
}
