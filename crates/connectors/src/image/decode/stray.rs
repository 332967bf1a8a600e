//! Bytes between the segments of JPEG files that belong to none of them, as some cameras write them.
//!
//! libjpeg, which OpenCV reads with, skips them and warns; the decoders here refuse them, or lose what follows. So they are left out
//! before any of those looks at the file, and with them the segments that libjpeg skips and they do not know. This must not know pixels,
//! nor what other segments mean beyond their length.

use std::borrow::Cow;

use super::{Room, Undecoded};

/// Why a file is given up: libjpeg stops at these markers too.
const UNKNOWN: &str = "JPEG: found a marker that is not known";

/// The file without fill bytes, stray bytes and markers that stand alone between its segments (ITU-T T.81, B.1.1). A copy, which counts,
/// is made only where there are any. What follows an end of the image, or a segment that is cut off, stays as it is.
///
/// # Errors
/// A marker that is in no standard; that there is no memory for the copy.
pub(super) fn left_out<'a>(bytes: &'a [u8], room: &mut Room<'_>) -> Result<Cow<'a, [u8]>, Undecoded> {
    let mut parts = Parts { bytes, at: START, frame: Frame::default() };
    let mut copy: Option<Vec<u8>> = None;
    loop {
        let expected = parts.at;
        let part = parts.following()?;
        if part.start != expected && copy.is_none() {
            room.take_copy(bytes.len())?;
            let mut started = Vec::with_capacity(bytes.len());
            started.extend_from_slice(&bytes[..expected]);
            copy = Some(started);
        }
        if let Some(copy) = &mut copy {
            copy.extend_from_slice(&bytes[part.start..part.end]);
        }
        if part.end == bytes.len() {
            return Ok(copy.map_or(Cow::Borrowed(bytes), Cow::Owned));
        }
    }
}

/// Length of the marker that a file begins with.
const START: usize = 2;

/// A range of a file: a segment, with what a scan holds, or all that is left.
struct Part {
    start: usize,
    end: usize,
}

/// The parts of a file, one after the other.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    frame: Frame,
}

/// What a frame says of its scans.
#[derive(Default)]
struct Frame {
    components: u8,
    is_sequential: bool,
}

impl Parts<'_> {
    /// The next part, without what lies before it.
    fn following(&mut self) -> Result<Part, Undecoded> {
        let mut start = self.marker();
        while let Some(end) = start.and_then(|start| self.skipped(start)) {
            self.at = end;
            start = self.marker();
        }
        let Some(start) = start else { return Ok(self.rest(self.at)) };
        let end = match self.bytes[start + 1] {
            0xc0..=0xc7 | 0xc9..=0xcf | 0xda..=0xdd | 0xe0..=0xef | 0xfe => self.segment_end(start),
            0xd8 | 0xd9 => None,
            marker => return Err(format!("{UNKNOWN}, 0x{marker:02x}").into()),
        };
        let Some(end) = end else { return Ok(self.rest(start)) };
        let content = &self.bytes[start + 4..end];
        self.at = match self.bytes[start + 1] {
            0xda if self.frame.is_whole(content) => self.bytes.len(),
            0xda => self.scan_end(end),
            0xc4 | 0xcc => end,
            marker @ 0xc0..=0xcf => {
                self.frame = Frame { components: content.get(5).copied().unwrap_or(0), is_sequential: marker <= 0xc1 };
                end
            }
            _ => end,
        };
        Ok(Part { start, end: self.at })
    }

    fn rest(&mut self, start: usize) -> Part {
        self.at = self.bytes.len();
        Part { start, end: self.at }
    }

    /// The place of the next marker that begins a segment: its last 0xff. Markers that stand alone, restarts for one, are nothing here.
    fn marker(&self) -> Option<usize> {
        let mut at = self.at;
        loop {
            at += self.bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
            at += self.bytes[at..].iter().position(|byte| *byte != 0xff)?;
            match self.bytes[at] {
                0x00 | 0x01 | 0xd0..=0xd7 => {}
                _ => return Some(at - 1),
            }
        }
    }

    /// The end of a segment that holds nothing for a decoder: one of an application, or a comment, with a length that leaves out the
    /// length itself, and the number of lines, which stands in the frame too. None of any other.
    fn skipped(&self, start: usize) -> Option<usize> {
        match self.bytes[start + 1] {
            0xe0..=0xef | 0xfe => {
                let length = self.bytes.get(start + 2..start + 4)?;
                (length[0] == 0 && length[1] < 2).then_some(start + 4)
            }
            0xdc => self.segment_end(start),
            _ => None,
        }
    }

    /// The end of the segment whose marker is at `start`; none where its length is wrong or beyond the file.
    fn segment_end(&self, start: usize) -> Option<usize> {
        let length = self.bytes.get(start + 2..start + 4)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let end = start + 2 + length;
        (length >= 2 && end <= self.bytes.len()).then_some(end)
    }

    /// The end of the coded data from `at` on: restarts and stuffed bytes belong to it.
    fn scan_end(&self, at: usize) -> usize {
        let marker = Parts { bytes: self.bytes, at, frame: Frame::default() }.marker();
        let Some(mut end) = marker else { return self.bytes.len() };
        while end > at && self.bytes[end - 1] == 0xff {
            end -= 1;
        }
        end
    }
}

impl Frame {
    /// Whether a scan with this header is all there is: then what follows is no segment.
    fn is_whole(&self, scan: &[u8]) -> bool {
        self.is_sequential && scan.first() == Some(&self.components)
    }
}

#[cfg(test)]
mod tests {
    use dede_model::request_memory::{MemoryShare, RequestMemory};
    use proptest::prelude::*;

    use super::*;

    fn left(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let memory = MemoryShare::unbounded();
        match left_out(bytes, &mut Room::new(1, &memory)) {
            Ok(bytes) => Ok(bytes.into_owned()),
            Err(Undecoded::Unreadable(reason)) => Err(reason),
            Err(Undecoded::Memory(error)) => Err(error.to_string()),
        }
    }

    /// Pieces of a file, and what is left of them.
    #[test]
    fn strays_are_left_out_and_nothing_else() {
        let (start, comment) = (&b"\xff\xd8"[..], &b"\xff\xfe\x00\x04ab"[..]);
        let (frame, scan) = (&b"\xff\xc0\x00\x08\x08\0\x01\0\x01\x01"[..], &b"\xff\xda\x00\x03\x01"[..]);
        let (progressive, end) = (&b"\xff\xc2\x00\x08\x08\0\x01\0\x01\x01"[..], &b"\xff\xd9"[..]);
        type Case<'a> = (&'a [&'a [u8]], &'a [&'a [u8]]);
        let cases: [Case<'_>; 13] = [
            (&[start, comment, frame, scan, b"abc", end], &[start, comment, frame, scan, b"abc", end]),
            (&[start, b"\xff\xff", comment], &[start, comment]),
            (&[start, comment, b"stray", comment, b"\0", frame, scan], &[start, comment, comment, frame, scan]),
            (&[start, comment, b"\xff\0", comment], &[start, comment, comment]),
            (&[start, comment, b"\xff\xd3\xff\x01x", comment], &[start, comment, comment]),
            // In the only scan of a frame nothing is a segment, whatever it looks like.
            (
                &[start, frame, scan, b"a\xff\0b\xff\xfe\x00\x04ab"],
                &[start, frame, scan, b"a\xff\0b\xff\xfe\x00\x04ab"],
            ),
            (
                &[start, progressive, scan, b"a\xff\0b\xff\xd0c", b"\xff", comment, b"stray", scan, b"d", end],
                &[start, progressive, scan, b"a\xff\0b\xff\xd0c", comment, scan, b"d", end],
            ),
            (&[start, comment, b"stray", end, b"after\xff\xfe"], &[start, comment, end, b"after\xff\xfe"]),
            (&[start, comment, b"stray"], &[start, comment, b"stray"]),
            (&[start, b"\xff\xfe\xff\xffab"], &[start, b"\xff\xfe\xff\xffab"]),
            (&[start, b"\xff\xfe\x00\x01ab"], &[start, b"ab"]),
            (
                &[start, b"\xff\xe3\x00\x00", comment, b"\xff\xdc\x00\x04\x00\x01", frame, scan],
                &[start, comment, frame, scan],
            ),
            (&[start], &[start]),
        ];
        for (file, expected) in cases {
            assert_eq!(left(&file.concat()).as_deref(), Ok(&expected.concat()[..]), "{file:?}");
        }
    }

    #[test]
    fn unknown_markers_are_named() {
        for marker in [0x02, 0xbf, 0xc8, 0xde, 0xf0] {
            let refused = left(&[0xff, 0xd8, 0xff, marker, 0, 2]).expect_err("unknown");
            assert!(refused.ends_with(&format!("0x{marker:02x}")), "{refused}");
        }
    }

    #[test]
    fn the_copy_counts() {
        let file = [&b"\xff\xd8"[..], b"stray", b"\xff\xfe\x00\x02", &vec![0; 1 << 20]].concat();
        let memory = RequestMemory::new(1 << 10);
        let share = memory.share();
        assert!(matches!(left_out(&file, &mut Room::new(1, &share)), Err(Undecoded::Memory(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(prop_oneof![Just(0xff_u8), Just(0xc2), Just(0xda), any::<u8>()], 0..200)) {
            let file = [&b"\xff\xd8"[..], &bytes].concat();
            if let Ok(once) = left(&file) {
                prop_assert!(once.len() <= file.len());
                prop_assert_eq!(left(&once), Ok(once.clone()), "twice is once");
            }
        }
    }
}
