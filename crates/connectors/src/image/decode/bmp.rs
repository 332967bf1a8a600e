//! What the header and the compressed pixels of a BMP file say beside what the decoder makes of them.
//!
//! It must not know how pixels become colours.

use super::Pixels;

/// How pixels are stored, with the numbers of the header.
#[derive(Debug, Clone, Copy)]
struct Coding {
    /// Bits per pixel.
    bits: u32,
    compression: u32,
}

impl Coding {
    fn of(bmp: &[u8]) -> Option<Self> {
        Some(Self { bits: number(bmp, 28)? & 0xffff, compression: number(bmp, 30)? })
    }
}

fn number(bmp: &[u8], at: usize) -> Option<u32> {
    bmp.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// Leaves the bits of red, green and blue 0 that a BMP of 16 bits per pixel does not decide, as OpenCV does; the decoder here fills them.
pub(super) fn leave_bits_out(stored: &mut Pixels, bmp: &[u8]) {
    let (Pixels::U8(raster), Some(kept)) = (stored, decided_bits(bmp)) else { return };
    if raster.channels == 3 {
        for pixel in raster.values.chunks_exact_mut(3) {
            pixel.iter_mut().zip(kept).for_each(|(value, kept)| *value &= kept);
        }
    }
}

/// Which bits of red, green and blue a BMP of 16 bits per pixel decides.
fn decided_bits(bmp: &[u8]) -> Option<[u8; 3]> {
    /// Green of 6 bits, between red and blue of 5.
    const SIX: u32 = 0x07e0;
    match Coding::of(bmp)? {
        Coding { bits: 16, compression: 0 } => Some([0xf8; 3]),
        Coding { bits: 16, compression: 3 } => Some([0xf8, if number(bmp, 58)? == SIX { 0xfc } else { 0xf8 }, 0xf8]),
        Coding { .. } => None,
    }
}

/// What the next two bytes of compressed pixels say.
enum Step {
    /// So many pixels, whose bytes follow, or which follow from these two.
    Pixels {
        count: usize,
        following_bytes: usize,
    },
    EndOfRow,
    EndOfImage,
    /// So many pixels and rows further.
    Skip {
        pixels: usize,
        rows: usize,
    },
}

/// Refuses compressed rows that go on beyond their last pixel. The decoder would leave these pixels out, and with them whole rows of an
/// image whose rows have no end marks.
///
/// # Errors
/// The row, in words.
pub(super) fn check_runs(bmp: &[u8]) -> Result<(), String> {
    let (Some(width), Some(height), Some(start)) = (number(bmp, 18), number(bmp, 22), number(bmp, 10)) else {
        return Ok(());
    };
    let half_bytes = match Coding::of(bmp) {
        Some(Coding { bits: 8, compression: 1 }) => false,
        Some(Coding { bits: 4, compression: 2 }) => true,
        Some(Coding { .. }) | None => return Ok(()),
    };
    let (mut at, mut column, mut row) = (start as usize, 0, 0);
    while row < height as usize {
        // The decoder names data that are cut off.
        let Some(step) = step(bmp, at, half_bytes) else { return Ok(()) };
        at += 2;
        match step {
            Step::Pixels { count, following_bytes } => {
                column += count;
                at += following_bytes;
            }
            Step::EndOfRow => (column, row) = (0, row + 1),
            Step::EndOfImage => return Ok(()),
            Step::Skip { pixels, rows } => {
                (column, row) = (column + pixels, row + rows);
                at += 2;
            }
        }
        if column > width as usize {
            return Err(format!(
                "Bmp: expected {width} pixels in row {} of the compressed ones, found {column}: is the mark of its end missing?",
                row + 1
            ));
        }
    }
    Ok(())
}

fn step(bmp: &[u8], at: usize, half_bytes: bool) -> Option<Step> {
    let [first, second] = *bmp.get(at..)?.first_chunk()?;
    Some(match (first, usize::from(second)) {
        (0, 0) => Step::EndOfRow,
        (0, 1) => Step::EndOfImage,
        (0, 2) => {
            let [pixels, rows] = bmp.get(at + 2..)?.first_chunk()?.map(usize::from);
            Step::Skip { pixels, rows }
        }
        (0, count) => {
            let bytes = if half_bytes { count.div_ceil(2) } else { count };
            Step::Pixels { count, following_bytes: bytes.next_multiple_of(2) }
        }
        (count, _) => Step::Pixels { count: count.into(), following_bytes: 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of four times two pixels, as far as it is looked at.
    fn file(bits: u8, compression: u8, pixels: &[u8]) -> Vec<u8> {
        const HEADER_BYTES: u8 = 34;
        let mut header = vec![0; HEADER_BYTES.into()];
        header[10] = HEADER_BYTES;
        (header[18], header[22], header[28], header[30]) = (4, 2, bits, compression);
        [&header, pixels].concat()
    }

    #[test]
    fn rows_end_with_their_last_pixel() {
        let whole: [&[u8]; 7] = [
            &[4, 7, 0, 0, 4, 7, 0, 1],
            &[3, 7, 1, 8, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 1],
            &[0, 3, 1, 2, 3, 0, 1, 7, 0, 0, 0, 1],
            &[2, 7, 0, 2, 1, 1, 1, 7, 0, 1],
            &[4, 7, 0, 2, 0, 1, 0, 1],
            &[4, 7, 0, 0, 4, 7, 0, 0, 4, 7],
            &[4, 7, 0],
        ];
        for pixels in whole {
            assert_eq!(check_runs(&file(8, 1, pixels)), Ok(()), "{pixels:?}");
        }
        for (pixels, row, found) in [
            (&[4, 7, 4, 7, 0, 1][..], 1, 8),
            (&[5, 7, 0, 0], 1, 5),
            (&[4, 7, 0, 0, 3, 7, 0, 4, 1, 2, 3, 4], 2, 7),
            (&[3, 7, 0, 2, 2, 0], 1, 5),
            (&[3, 7, 0, 2, 1, 1, 1, 7], 2, 5),
        ] {
            let refused = check_runs(&file(8, 1, pixels)).expect_err("refused");
            let expected = format!("expected 4 pixels in row {row} of the compressed ones, found {found}");
            assert!(refused.contains(&expected), "{pixels:?}: {refused}");
        }
    }

    #[test]
    fn half_bytes_follow_in_whole_pairs() {
        for (pixels, is_read) in [
            (&[0, 4, 0x12, 0x34, 0, 0, 4, 7, 0, 1][..], true),
            (&[0, 3, 0x12, 0x30, 1, 7, 0, 0, 4, 7], true),
            (&[0, 4, 0x12, 0x34, 1, 7], false),
            (&[4, 0x12, 4, 0x12], false),
        ] {
            assert_eq!(check_runs(&file(4, 2, pixels)).is_ok(), is_read, "{pixels:?}");
        }
    }

    #[test]
    fn other_codings_have_no_runs() {
        for (bits, compression) in [(8, 0), (4, 0), (24, 0), (32, 3)] {
            assert_eq!(check_runs(&file(bits, compression, &[9, 7, 9, 7])), Ok(()));
        }
    }
}
