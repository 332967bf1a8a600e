//! Rectangles on pixels, cut at the edges of the picture.
//!
//! It must not know boxes, classes or letters.

/// A colour: red, green and blue.
pub(super) type Colour = [u8; 3];

/// White.
pub(super) const WHITE: Colour = [255; 3];

/// Pixels that are painted on.
#[derive(Debug)]
pub(super) struct Canvas {
    width: i64,
    height: i64,
    channels: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// Takes `height × width × channels` values of a picture.
    pub(super) fn new(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(pixels.len(), width * height * channels);
        Self { width: length(width), height: length(height), channels, pixels }
    }

    /// The pixels again.
    pub(super) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Columns.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// Rows.
    pub(super) fn height(&self) -> i64 {
        self.height
    }

    /// Fills so many columns and rows from a pixel on.
    pub(super) fn fill(&mut self, (left, top): (i64, i64), (width, height): (i64, i64), colour: Colour) {
        let across = within(left, width, self.width);
        let down = within(top, height, self.height);
        let values = self.values(colour);
        let row_length = usize::try_from(self.width).unwrap_or(0) * self.channels;
        for y in down {
            let row = &mut self.pixels[y * row_length..(y + 1) * row_length];
            let painted = &mut row[across.start * self.channels..across.end * self.channels];
            painted.chunks_exact_mut(self.channels).for_each(|pixel| pixel.copy_from_slice(&values[..self.channels]));
        }
    }

    /// Draws the edges of a rectangle between two pixels, both of them on it, in lines of this thickness.
    pub(super) fn outline(
        &mut self,
        (left, top): (i64, i64),
        (right, bottom): (i64, i64),
        thickness: i64,
        colour: Colour,
    ) {
        let before = thickness / 2;
        let (width, height) = (right - left + thickness, bottom - top + thickness);
        for y in [top, bottom] {
            self.fill((left - before, y - before), (width, thickness), colour);
        }
        for x in [left, right] {
            self.fill((x - before, top - before), (thickness, height), colour);
        }
    }

    /// A colour as the values of a pixel here: grey in a picture of one channel.
    fn values(&self, [red, green, blue]: Colour) -> Colour {
        if self.channels == 3 {
            return [red, green, blue];
        }
        let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
        [u8::try_from(sum / 1000).unwrap_or(u8::MAX); 3]
    }
}

fn length(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The part of an extent that is in a picture of this size.
fn within(from: i64, length: i64, size: i64) -> std::ops::Range<usize> {
    let start = from.clamp(0, size);
    let end = from.saturating_add(length).clamp(start, size);
    usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture of six columns and four rows, painted on.
    fn painted(paint: impl FnOnce(&mut Canvas)) -> Vec<String> {
        let mut canvas = Canvas::new(6, 4, 1, vec![0; 24]);
        paint(&mut canvas);
        let shown = |row: &[u8]| row.iter().map(|value| if *value == 0 { '.' } else { '#' }).collect();
        canvas.into_pixels().chunks(6).map(shown).collect()
    }

    #[test]
    fn what_is_beyond_the_edges_is_cut_off() {
        assert_eq!(painted(|on| on.fill((-2, 1), (4, 9), WHITE)), ["......", "##....", "##....", "##...."]);
        assert_eq!(painted(|on| on.fill((i64::MIN, 0), (i64::MAX, 1), WHITE))[0], "......");
        assert_eq!(painted(|on| on.fill((4, 0), (i64::MAX, 1), WHITE))[0], "....##");
        assert_eq!(painted(|on| on.fill((9, 9), (-3, 2), WHITE)), ["......"; 4]);
    }

    #[test]
    fn edges_have_their_thickness() {
        assert_eq!(painted(|on| on.outline((1, 0), (4, 3), 1, WHITE)), [".####.", ".#..#.", ".#..#.", ".####."]);
        assert_eq!(painted(|on| on.outline((1, 1), (5, 3), 2, WHITE)), ["######"; 4]);
    }

    #[test]
    fn colours_become_grey_where_there_is_one_channel() {
        let mut colour = Canvas::new(1, 1, 3, vec![0; 3]);
        colour.fill((0, 0), (1, 1), [10, 20, 30]);
        assert_eq!(colour.into_pixels(), [10, 20, 30]);
        let mut grey = Canvas::new(1, 1, 1, vec![0]);
        grey.fill((0, 0), (1, 1), [10, 20, 30]);
        assert_eq!(grey.into_pixels(), [18]);
    }
}
