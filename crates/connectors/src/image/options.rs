//! The parameters of the image connector: as written, and as resolved.
//!
//! Names and defaults are those of contract.md 3.2. It must not know how images are read.

use dede_model::connector::ReaderContext;
use dede_model::data::{Normalization, SampleShape};
use dede_model::error::{Error, Result};
use dede_model::parameters::{self, Section};
use dede_storage::FileAccess;
use serde::Deserialize;
use serde_json::Value;

use super::geometry::Target;
use super::resize::Interpolation;
use crate::seed;

/// Where these parameters stand in a request.
const AT: &str = "parameters.input";

/// Default width and height.
const DEFAULT_SIZE: i64 = 224;

/// Largest width or height that may be asked for.
const MAX_SIZE: i64 = 1 << 16;

/// As written; [`super::keys`] has every key that there is.
#[derive(Debug, Default, Deserialize)]
struct Options {
    width: Option<i64>,
    height: Option<i64>,
    crop_width: Option<i64>,
    crop_height: Option<i64>,
    bw: Option<bool>,
    rgb: Option<bool>,
    unchanged_data: Option<bool>,
    histogram_equalization: Option<bool>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    scale: Option<f32>,
    scaled: Option<bool>,
    scale_min: Option<i64>,
    scale_max: Option<i64>,
    interp: Option<String>,
    aspect_ratio_pad: Option<bool>,
    test_split: Option<f64>,
    shuffle: Option<bool>,
    seed: Option<i64>,
    root_folder: Option<String>,
    timeout: Option<i64>,
    bbox: Option<bool>,
    keep_orig: Option<bool>,
}

/// As resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) target: Target,
    pub(super) interpolation: Interpolation,
    pub(super) colours: Colours,
    pub(super) equalize: bool,
    pub(super) normalization: Normalization,
    pub(super) split: Split,
    pub(super) root_folder: Option<String>,
    pub(super) timeout_s: Option<i64>,
    /// Data are lists of images with the boxes in them.
    pub(super) lists_boxes: bool,
    /// Actions of a chain work on the images as they came, rather than as the network sees them.
    pub(super) keeps_originals: bool,
    /// Largest `width × height`, both of what is read and of what is asked for.
    pub(super) max_pixels: u64,
    /// Files that may be read.
    pub(super) files: FileAccess,
}

/// Which channels come out, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colours {
    /// Grey values.
    pub(super) grey: bool,
    /// Red first; grey values three times when `grey` is set too.
    pub(super) red_first: bool,
    /// Channels and depth of the file are kept.
    pub(super) unchanged: bool,
}

impl Colours {
    /// Values per pixel, unless the file decides.
    pub(super) fn channels(self) -> Option<usize> {
        match self {
            Self { grey: true, red_first: false, .. } => Some(1),
            Self { grey: false, unchanged: true, .. } => None,
            Self { .. } => Some(3),
        }
    }
}

/// How a training set is ordered and split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    /// Share that is set apart for tests, from the end.
    pub(super) test: f64,
    pub(super) shuffle: bool,
    /// `None`: another order each time.
    pub(super) seed: Option<u64>,
}

/// Resolves the parameters of a reader.
///
/// # Errors
/// [`Error::BadInput`] naming the parameter.
pub(super) fn resolve(context: &ReaderContext<'_>) -> Result<Settings> {
    let options = parameters::parse::<Options>(context.parameters, AT).map_err(Error::BadInput)?.options;
    let max_pixels = context.limits.image_pixels;
    Ok(Settings {
        target: target(&options, context.shape, max_pixels)?,
        interpolation: options.interp.as_deref().map(Interpolation::from_name).unwrap_or_default(),
        colours: colours(&options, context.shape),
        equalize: options.histogram_equalization.unwrap_or(false),
        split: split(&options)?,
        normalization: normalization(options.mean, options.std, options.scale)?,
        root_folder: options.root_folder,
        timeout_s: options.timeout,
        lists_boxes: options.bbox.unwrap_or(false),
        keeps_originals: options.keep_orig.unwrap_or(false),
        max_pixels,
        files: context.limits.files.clone(),
    })
}

fn bad(key: &str, reason: impl Into<String>) -> Error {
    Error::bad_input_at(format!("{AT}.{key}"), reason)
}

fn target(options: &Options, shape: Option<SampleShape>, max_pixels: u64) -> Result<Target> {
    let target = sized(options, shape, max_pixels)?;
    if options.aspect_ratio_pad == Some(true) && !matches!(target, Target::LongerSide { .. }) {
        let reason = "it has an effect where width or height alone is negative: make one of them -1, or leave it out";
        return Err(bad("aspect_ratio_pad", reason));
    }
    Ok(target)
}

fn sized(options: &Options, shape: Option<SampleShape>, max_pixels: u64) -> Result<Target> {
    let scaled = options.scale_min.is_some() || options.scale_max.is_some() || options.scaled == Some(true);
    let crops = [("crop_width", options.crop_width), ("crop_height", options.crop_height)];
    for (key, crop) in crops {
        match crop.unwrap_or(0) {
            crop if crop < 0 => return Err(bad(key, format!("expected 0 or more, found {crop}"))),
            crop if crop > 0 && scaled => {
                return Err(bad(key, "it has no effect beside scaled, scale_min and scale_max: leave out one of them"));
            }
            _ => {}
        }
    }
    if scaled {
        let min = side("scale_min", options.scale_min.unwrap_or(600))?;
        let max = side("scale_max", options.scale_max.unwrap_or(1000))?;
        return Ok(Target::Scaled { min, max });
    }
    let (network_width, network_height) = match shape {
        Some(SampleShape::Image { width, height, .. }) => (width, height),
        Some(SampleShape::Row { .. }) | None => (None, None),
    };
    let default = |known: Option<usize>| known.and_then(|size| i64::try_from(size).ok()).unwrap_or(DEFAULT_SIZE);
    let width = cropped("width", options.width.unwrap_or_else(|| default(network_width)), options.crop_width)?;
    let height = cropped("height", options.height.unwrap_or_else(|| default(network_height)), options.crop_height)?;
    if width < 0 && height < 0 {
        return Ok(Target::Original);
    }
    if width < 0 || height < 0 {
        let key = if width < 0 { "height" } else { "width" };
        let longer = side(key, width.max(height))?;
        check_area(longer as u64 * longer as u64, max_pixels)?;
        return Ok(Target::LongerSide { length: longer, pad: options.aspect_ratio_pad.unwrap_or(false) });
    }
    let (width, height) = (side("width", width)?, side("height", height)?);
    check_area(width as u64 * height as u64, max_pixels)?;
    Ok(Target::Fixed { width, height })
}

/// The crop size replaces the size: the original resizes to it.
fn cropped(key: &str, size: i64, crop: Option<i64>) -> Result<i64> {
    match crop {
        None | Some(0) => Ok(size),
        Some(crop) if crop > size => Err(Error::bad_input(format!("Crop {key} must be less than or equal to {key}"))),
        Some(crop) => Ok(crop),
    }
}

fn side(key: &str, value: i64) -> Result<usize> {
    match usize::try_from(value) {
        Ok(size) if (1..=MAX_SIZE).contains(&value) => Ok(size),
        _ => Err(bad(key, format!("expected a size from 1 to {MAX_SIZE}, found {value}"))),
    }
}

fn check_area(pixels: u64, max_pixels: u64) -> Result<()> {
    if pixels <= max_pixels {
        return Ok(());
    }
    Err(bad("width", format!("expected at most {max_pixels} pixels in all, found {pixels}")))
}

fn colours(options: &Options, shape: Option<SampleShape>) -> Colours {
    let network_is_grey = matches!(shape, Some(SampleShape::Image { channels: 1, .. }));
    let unchanged = options.unchanged_data.unwrap_or(false);
    let red_first = options.rgb.unwrap_or(false);
    let grey = options.bw.unwrap_or(network_is_grey && !unchanged && !red_first);
    Colours { grey, red_first, unchanged }
}

fn normalization(mean: Option<Vec<f32>>, std: Option<Vec<f32>>, scale: Option<f32>) -> Result<Normalization> {
    let scale = scale.unwrap_or(1.0);
    let (mean, std) = (mean.unwrap_or_default(), std.unwrap_or_default());
    for (key, values) in [("mean", &mean[..]), ("std", &std[..]), ("scale", &[scale])] {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(bad(key, format!("expected finite numbers, found {value}")));
        }
    }
    if std.contains(&0.0) {
        return Err(bad("std", "expected numbers other than 0: pixels are divided by them"));
    }
    Ok(Normalization { mean, std, scale })
}

fn split(options: &Options) -> Result<Split> {
    let test = options.test_split.unwrap_or(0.0);
    if !(0.0..1.0).contains(&test) {
        return Err(bad("test_split", format!("expected a share from 0 to below 1, found {test}")));
    }
    let seed = options.seed.map(seed::of_parameter).transpose()?.flatten();
    Ok(Split { test, shuffle: options.shuffle.unwrap_or(false), seed })
}

impl Settings {
    /// The shape of samples, where it does not depend on the file.
    pub(super) fn shape(&self) -> Option<SampleShape> {
        let channels = self.colours.channels()?;
        let (width, height) = self.target.size().unzip();
        Some(SampleShape::Image { width, height, channels })
    }

    /// Everything a later predict needs, as parameters of this connector.
    pub(super) fn state(&self) -> Section {
        let mut state = Section::new();
        self.target.write_to(&mut state);
        state.insert("interp".into(), self.interpolation.name().into());
        state.insert("bw".into(), self.colours.grey.into());
        state.insert("rgb".into(), self.colours.red_first.into());
        state.insert("unchanged_data".into(), self.colours.unchanged.into());
        state.insert("histogram_equalization".into(), self.equalize.into());
        let Normalization { mean, std, scale } = &self.normalization;
        state.insert("scale".into(), exact(*scale));
        for (key, values) in [("mean", mean), ("std", std)] {
            if !values.is_empty() {
                state.insert(key.into(), values.iter().copied().map(exact).collect());
            }
        }
        state
    }
}

/// A number that reads back to the same `f32`, in its shortest form.
fn exact(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or_else(|_| f64::from(value).into(), Value::from)
}
