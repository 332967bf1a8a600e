//! The segments of a JPEG file up to its first scan (ITU-T T.81, B.1.1), and what they say of the pixels.
//!
//! It must not know how pixels are decoded.

const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const START_OF_SCAN: u8 = 0xda;

/// Marker and content of the segments: the last is the head of the first scan.
pub(super) struct Segments<'a>(Option<&'a [u8]>);

impl<'a> Segments<'a> {
    /// Of a file.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(2..))
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0.take()?;
        let start = bytes.iter().position(|byte| *byte != 0xff)?;
        if start == 0 {
            return None;
        }
        let marker = bytes[start];
        let rest = &bytes[start + 1..];
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let segment = rest.get(2..length)?;
        self.0 = (marker != START_OF_SCAN).then_some(&rest[length..]);
        Some((marker, segment))
    }
}

/// The EXIF data of each segment that has some.
pub(super) fn exif(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let segments = Segments::of(bytes).filter(|(marker, _)| *marker == APP1);
    segments.filter_map(|(_, segment)| segment.strip_prefix(b"Exif\0\0"))
}

/// Whether there is a JFIF header. By it three components are `YCbCr`, whatever else the file says.
pub(super) fn is_jfif(bytes: &[u8]) -> bool {
    Segments::of(bytes).any(|(marker, segment)| marker == APP0 && segment.starts_with(b"JFIF\0") && segment.len() >= 14)
}

/// What the head of the frame says, and that of its first scan.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Its marker, which says how pixels are coded.
    pub(super) marker: u8,
    /// By how many samples each component has: across, and down.
    pub(super) sampling: Vec<(u8, u8)>,
    /// Components in the first scan.
    scanned: u8,
}

impl Frame {
    /// Of a file; nothing where it has no frame before the first scan.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut frame: Option<Self> = None;
        for (marker, segment) in Segments::of(bytes) {
            match (marker, &mut frame) {
                (START_OF_SCAN, Some(frame)) => frame.scanned = segment.first().copied().unwrap_or(0),
                (0xc0..=0xcf, None) if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                    let components = segment.get(6..).unwrap_or_default().chunks_exact(3);
                    let sampling = components.map(|component| (component[1] >> 4, component[1] & 0xf)).collect();
                    frame = Some(Self { marker, sampling, scanned: 0 });
                }
                _ => {}
            }
        }
        frame
    }

    /// Whether it comes in several scans, whose coefficients are all held until the last of them (ITU-T T.81, table B.1).
    pub(super) fn comes_in_several_scans(&self) -> bool {
        matches!(self.marker, 0xc2 | 0xc6 | 0xca | 0xce) || usize::from(self.scanned) < self.sampling.len()
    }
}
