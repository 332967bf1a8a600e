//! Images that are painted for tests, as BMP in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

pub(super) const BLACK: Colour = [0, 0, 0];
pub(super) const RED: Colour = [230, 0, 0];
pub(super) const GREEN: Colour = [0, 230, 0];
pub(super) const BLUE: Colour = [0, 0, 230];

/// An image that is painted pixel by pixel.
pub(super) fn painted(width: usize, height: usize, colour: impl Fn(usize, usize) -> Colour) -> String {
    let row = (3 * width).next_multiple_of(4);
    let (offset, size) = (54u32, row * height);
    let mut bytes = b"BM".to_vec();
    let header = [offset + size as u32, 0, offset, 40, width as u32, height as u32];
    bytes.extend(header.iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0, size as u32, 0, 0, 0, 0].iter().flat_map(|value: &u32| value.to_le_bytes()));
    // Rows from the bottom up, each of a multiple of four bytes.
    for y in (0..height).rev() {
        let from = bytes.len();
        for x in 0..width {
            let [red, green, blue] = colour(x, y);
            bytes.extend([blue, green, red]);
        }
        bytes.resize(from + row, 0);
    }
    STANDARD.encode(bytes)
}

/// An image of one colour, of the proportions of the detector.
pub(super) fn plain(colour: Colour) -> String {
    painted(64, 16, |_, _| colour)
}
