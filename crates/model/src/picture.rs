//! Decoded images that one call of a chain hands to the next.
//!
//! They are as they were read, or cut, turned and drawn upon since; what a network takes is made of them by the connector that reads them. This
//! file must not know files, actions or networks.

use std::fmt;
use std::sync::Arc;

use crate::data::ImageSizes;
use crate::outputs::Corners;

/// A decoded image of 8 bits per channel. Clones share the pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Arc<Vec<u8>>,
}

impl Picture {
    /// Wraps `height × width × channels` interleaved values: grey ones, or red, green and blue.
    ///
    /// # Errors
    /// What was expected and what was found, where the sizes do not fit, nothing is in it, or there are neither 1 nor 3 channels.
    pub fn new(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Result<Self, String> {
        let length = width.checked_mul(height).and_then(|area| area.checked_mul(channels));
        if !matches!(channels, 1 | 3) || length != Some(pixels.len()) || pixels.is_empty() {
            let found = pixels.len();
            return Err(format!(
                "a picture of 1 or 3 channels expected, found {width}x{height}x{channels} in {found} bytes"
            ));
        }
        Ok(Self { width, height, channels, pixels: Arc::new(pixels) })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Values per pixel: 1, or 3 with red first.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `height × width × channels` values, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The values of row `y`, from the top.
    pub fn row(&self, y: usize) -> &[u8] {
        let length = self.width * self.channels;
        &self.pixels[y * length..(y + 1) * length]
    }

    /// The pixels, copied where others share them.
    pub fn into_pixels(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.pixels)
    }

    /// Memory that the pixels take, bytes.
    pub fn bytes(&self) -> u64 {
        self.pixels.len() as u64
    }
}

/// Without the content, which may be private.
impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Picture({}x{}x{})", self.width, self.height, self.channels)
    }
}

/// A picture that was read for a network, and where in it the image is that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPicture {
    /// The image as it came, or as the network sees it.
    pub picture: Picture,
    /// Its sizes: of the picture, and of the image as it came, whose pixels boxes are given in.
    pub sizes: ImageSizes,
}

impl KeptPicture {
    /// A box of the image as it came, in pixels of the picture.
    pub fn in_picture(&self, corners: Corners) -> [f64; 4] {
        let ImageSizes { width, height, original_width, original_height, frame } = self.sizes;
        let (left, top, width, height) =
            frame.map_or((0, 0, width, height), |frame| (frame.left, frame.top, frame.width, frame.height));
        let across = |x: f32| left as f64 + f64::from(x) / original_width.max(1) as f64 * width as f64;
        let down = |y: f32| top as f64 + f64::from(y) / original_height.max(1) as f64 * height as f64;
        [across(corners.xmin), down(corners.ymin), across(corners.xmax), down(corners.ymax)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Frame;

    #[test]
    fn sizes_have_to_fit() {
        assert!(Picture::new(2, 3, 3, vec![0; 18]).is_ok());
        for (width, height, channels, length) in [(2, 3, 3, 17), (2, 3, 4, 24), (0, 3, 3, 0), (usize::MAX, 2, 3, 6)] {
            let error = Picture::new(width, height, channels, vec![0; length]).expect_err("it does not fit");
            assert!(error.contains("a picture of 1 or 3 channels expected"), "{error}");
        }
    }

    #[test]
    fn boxes_follow_the_size_and_the_padding() {
        let corners = Corners { xmin: 10.0, ymin: 20.0, xmax: 30.0, ymax: 40.0 };
        let sizes = |frame| ImageSizes { width: 50, height: 50, original_width: 100, original_height: 50, frame };
        let picture = Picture::new(50, 50, 1, vec![0; 2500]).expect("it fits");
        let of = |frame| KeptPicture { picture: picture.clone(), sizes: sizes(frame) }.in_picture(corners);
        assert_eq!(of(None), [5.0, 20.0, 15.0, 40.0]);
        let frame = Frame { left: 0, top: 12, width: 50, height: 25 };
        assert_eq!(of(Some(frame)), [5.0, 22.0, 15.0, 32.0], "padded above and below");
    }
}
