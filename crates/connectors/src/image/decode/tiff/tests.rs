//! What is refused of TIFF files before a decoder reads them, and what of their directories is counted.

use dede_model::request_memory::{MemoryShare, RequestMemory};

use super::*;

const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// An entry of a directory: tag, type, and values.
type Entry = (u16, u16, Vec<u32>);

/// A file of one pixel of one byte, with these entries in place of those of the same tags.
fn file(changes: &[Entry]) -> Vec<u8> {
    let one = |tag, value| (tag, SHORT, vec![value]);
    let usual = [
        one(256, 1),
        one(257, 1),
        one(258, 8),
        one(259, 1),
        one(262, 1),
        (273, LONG, vec![8]),
        one(277, 1),
        one(279, 1),
    ];
    let mut entries: Vec<Entry> = usual.into_iter().filter(|entry| changes.iter().all(|it| it.0 != entry.0)).collect();
    entries.extend_from_slice(changes);
    entries.retain(|entry| !entry.2.is_empty());
    entries.sort_by_key(|entry| entry.0);
    let mut body = vec![7, 0];
    let mut records = Vec::new();
    for (tag, kind, values) in &entries {
        let mut data: Vec<u8> = match *kind {
            BYTE => values.iter().map(|value| *value as u8).collect(),
            SHORT => values.iter().flat_map(|value| (*value as u16).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        if data.len() > 4 {
            let place = 8 + body.len() as u32;
            body.extend_from_slice(&data);
            body.resize(body.len().next_multiple_of(2), 0);
            data = place.to_le_bytes().to_vec();
        }
        data.resize(4, 0);
        records.extend_from_slice(&tag.to_le_bytes());
        records.extend_from_slice(&kind.to_le_bytes());
        records.extend_from_slice(&(values.len() as u32).to_le_bytes());
        records.extend_from_slice(&data);
    }
    let place = 8 + body.len() as u32;
    let count = entries.len() as u16;
    [b"II*\0", &place.to_le_bytes()[..], &body, &count.to_le_bytes(), &records, &[0; 4]].concat()
}

fn decoded(bytes: &[u8], memory: &MemoryShare) -> Result<Decoded, String> {
    match decode(bytes, Mode::Unchanged, &mut Room::new(1_000_000, memory)) {
        Ok((decoded, _)) => Ok(decoded),
        Err(Undecoded::Unreadable(reason)) => Err(reason),
        Err(Undecoded::Memory(error)) => Err(error.to_string()),
    }
}

#[test]
fn what_is_not_read_is_named() {
    assert!(decoded(&file(&[]), &MemoryShare::unbounded()).is_ok(), "one grey pixel");
    let one = |tag, value| (tag, SHORT, vec![value]);
    let eights = |count: usize| (258, SHORT, vec![8; count]);
    let cases: [(&[Entry], &str); 20] = [
        (&[one(262, 3), (320, SHORT, vec![0; 767])], "expected a table of 768 values, found 767"),
        (&[one(262, 3), (320, SHORT, vec![0; 769])], "expected a table of 768 values, found 769"),
        (&[one(262, 3), one(258, 16)], "expected 1 or 2 or 4 or 8 bits per sample of a palette, found 16"),
        (&[one(258, 4)], "expected 1 or 8 or 16 bits per sample of grey, found 4"),
        (&[one(258, 32)], "expected 1 or 8 or 16 bits per sample of grey, found 32"),
        (&[one(339, 3)], "expected whole numbers without a sign (SampleFormat 1), found SampleFormat 3"),
        (&[one(262, 6), one(277, 3), eights(3)], "YCbCr is read of JPEG compression alone"),
        (&[one(262, 8), one(277, 3), eights(3)], "found PhotometricInterpretation 8"),
        (&[one(262, 0), one(277, 2), eights(2)], "expected 1 samples per pixel of grey, found 2"),
        (&[one(262, 2), one(277, 2), eights(2)], "expected 3 or 4 or 5 samples per pixel of RGB, found 2"),
        (&[one(259, 7), one(262, 5), one(277, 4), eights(4)], "JPEG compression of CMYK is not read"),
        (&[one(259, 7)], "a strip or tile is no JPEG"),
        (&[one(259, 3)], "Fax3"),
        (&[(262, SHORT, vec![])], "it has no PhotometricInterpretation"),
        (&[one(256, 0)], "expected ImageWidth from 1 to"),
        (&[one(262, 1), one(262, 1)], "PhotometricInterpretation stands twice"),
        (&[one(278, 0)], "expected RowsPerStrip from 1"),
        (&[one(277, 17)], "expected SamplesPerPixel from 1 to 16, found 17"),
        (&[one(256, 1000), one(257, 1001)], "1000x1001"),
        (&[one(266, 2), (279, LONG, vec![1000])], "lies beyond its end"),
    ];
    for (changes, expected) in cases {
        let refused = decoded(&file(changes), &MemoryShare::unbounded()).expect_err(expected);
        assert!(refused.contains(expected), "{changes:?}: {refused}");
    }
}

/// Lists that a decoder would expand before it looks at their length.
#[test]
fn counts_that_cannot_be_are_refused_before_values_are_read() {
    let long = |tag, kind| (tag, kind, vec![1; 5000]);
    let one = |tag, value| (tag, SHORT, vec![value]);
    let cases: [(&[Entry], &str); 9] = [
        (&[long(273, LONG)], "expected at most 1 value of StripOffsets, found 5000"),
        (&[long(279, BYTE)], "expected at most 1 value of StripByteCounts, found 5000"),
        (&[one(277, 3), one(284, 2), long(273, LONG)], "expected at most 3 values of StripOffsets, found 5000"),
        (&[one(322, 16), one(323, 16), long(324, LONG)], "expected at most 1 value of TileOffsets, found 5000"),
        (&[long(258, SHORT)], "expected at most 1 value of BitsPerSample, found 5000"),
        (&[long(256, SHORT)], "expected at most 1 value of ImageWidth, found 5000"),
        (&[long(317, BYTE)], "expected at most 1 value of Predictor, found 5000"),
        (&[(347, BYTE, vec![1; 70_000])], "expected at most 65536 values of JPEGTables, found 70000"),
        (&[one(262, 3), long(320, BYTE)], "expected a table of 768 values, found 5000"),
    ];
    for (changes, expected) in cases {
        let bytes = file(changes);
        // Less than the values would take.
        let memory = RequestMemory::new(100_000);
        let refused = decoded(&bytes, &memory.share()).expect_err(expected);
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn lists_and_rows_count() {
    let strips = file(&[
        (257, SHORT, vec![1000]),
        (278, SHORT, vec![1]),
        (273, LONG, vec![8; 1000]),
        (279, LONG, vec![1; 1000]),
    ]);
    assert!(decoded(&strips, &MemoryShare::unbounded()).is_ok());
    let tile = file(&[
        (322, LONG, vec![1 << 30]),
        (323, LONG, vec![1]),
        (324, LONG, vec![8]),
        (325, LONG, vec![1]),
        (273, LONG, vec![]),
        (279, LONG, vec![]),
    ]);
    for bytes in [strips, tile] {
        let memory = RequestMemory::new(50_000);
        let share = memory.share();
        let refused = decode(&bytes, Mode::Colour, &mut Room::new(1_000_000, &share));
        assert!(matches!(refused, Err(Undecoded::Memory(_))), "{refused:?}");
    }
}

#[test]
fn tiles_below_each_other_count() {
    let tile = |width: u32, height: u32| {
        file(&[
            (257, LONG, vec![height]),
            (259, SHORT, vec![5]),
            (322, LONG, vec![width]),
            (323, LONG, vec![height]),
            (324, LONG, vec![8]),
            (325, LONG, vec![1]),
            (273, LONG, vec![]),
            (279, LONG, vec![]),
        ])
    };
    let refused = decoded(&tile(2000, 1000), &MemoryShare::unbounded()).expect_err("two megapixels");
    assert!(refused.contains("its tiles have 2000000 pixels, expected up to 1000000"), "{refused}");
    let memory = RequestMemory::new(50_000);
    let share = memory.share();
    let refused = decode(&tile(600, 1000), Mode::Colour, &mut Room::new(1_000_000, &share));
    assert!(matches!(refused, Err(Undecoded::Memory(_))), "{refused:?}");
}

/// With reversed bits, a strip over the directory would make another directory of it.
#[test]
fn strips_over_the_directory_are_refused() {
    let plain = file(&[(266, SHORT, vec![2])]);
    assert!(decoded(&plain, &MemoryShare::unbounded()).is_ok());
    let overlapping = file(&[(266, SHORT, vec![2]), (279, SHORT, vec![(plain.len() - 8) as u32])]);
    let refused = decoded(&overlapping, &MemoryShare::unbounded()).expect_err("refused");
    assert!(refused.contains("its pixels and its directory overlap"), "{refused}");
}
