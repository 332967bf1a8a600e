//! Which axis of an image input holds the channels, where the network's file does not say.
//!
//! It owns the choice between the two layouts there are, from the extents, from what a request says of its images and from
//! `parameters.input.layout`. What fits both is refused. It must not know file formats.

use dede_model::backend::OpenRequest;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::quote::quote;
use serde_json::Value;

use super::options::asked_size;
use super::preparation::Layout;

/// Where the layout is asked for.
const AT: &str = "parameters.input.layout";

/// An image input, read in one of the layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImageInput {
    /// The layout.
    pub(super) layout: Layout,
    /// Values per pixel; `None` where any will do.
    pub(super) channels: Option<usize>,
    /// Rows.
    pub(super) height: Option<usize>,
    /// Columns.
    pub(super) width: Option<usize>,
}

/// What an extent says of being the number of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    /// 1, 3 or 4.
    Channels,
    /// Decided at run time.
    Any,
    /// A size.
    Size,
}

impl Axis {
    fn of(extent: Option<usize>) -> Self {
        match extent {
            Some(1 | 3 | 4) => Self::Channels,
            Some(_) => Self::Size,
            None => Self::Any,
        }
    }
}

impl ImageInput {
    fn read([first, second, third]: [Option<usize>; 3], layout: Layout) -> Self {
        match layout {
            Layout::ChannelsFirst => Self { layout, channels: first, height: second, width: third },
            Layout::ChannelsLast => Self { layout, channels: third, height: first, width: second },
        }
    }

    /// Whether the images that a request describes are of that size.
    fn fits_size(self, input: &Section) -> bool {
        let is_size = |(key, crop), size: Option<usize>| match (asked_size(input, key, crop), size) {
            (Some((_, asked)), Some(size)) => asked == size as f64,
            (Some(_) | None, _) => true,
        };
        is_size(("width", "crop_width"), self.width) && is_size(("height", "crop_height"), self.height)
    }

    /// Whether the images that a request describes have such pixels.
    fn fits_colours(self, input: &Section) -> bool {
        let flag = |key: &str| input.get(key).and_then(Value::as_bool);
        let red_first = flag("rgb") == Some(true);
        match self.channels {
            None => true,
            Some(_) if flag("unchanged_data") == Some(true) => true,
            Some(1) => flag("bw") != Some(false) && !red_first,
            Some(3) => flag("bw") != Some(true) || red_first,
            Some(_) => false,
        }
    }

    fn shown(self) -> String {
        let size = |size: Option<usize>| size.map_or_else(|| "any".to_owned(), |size| size.to_string());
        let (channels, height, width) = (size(self.channels), size(self.height), size(self.width));
        format!("{} (height {height}, width {width}, channels {channels})", name(self.layout))
    }
}

fn name(layout: Layout) -> &'static str {
    match layout {
        Layout::ChannelsFirst => "nchw",
        Layout::ChannelsLast => "nhwc",
    }
}

/// The layout that a request asks for.
///
/// # Errors
/// [`Error::BadParameter`] when it is none.
pub(super) fn asked_layout(input: &Section) -> Result<Option<Layout>> {
    let layouts = [Layout::ChannelsFirst, Layout::ChannelsLast];
    match input.get("layout") {
        None | Some(Value::Null) => Ok(None),
        Some(asked) => {
            let found = layouts.into_iter().find(|&layout| asked.as_str() == Some(name(layout)));
            let wrong =
                || Error::bad_parameter_at(AT, format!("expected nchw or nhwc, found {}", quote(&asked.to_string())));
            found.map(Some).ok_or_else(wrong)
        }
    }
}

/// How an input of these extents, the batch left out, takes images.
///
/// # Errors
/// [`Error::BadParameter`] naming the extents where they are no image's, and both layouts where both fit.
pub(super) fn image_input(
    request: &OpenRequest<'_>,
    extents: [Option<usize>; 3],
    file: &str,
    name: &str,
) -> Result<ImageInput> {
    let [first, _, third] = extents;
    let read = |layout| ImageInput::read(extents, layout);
    let asked = asked_layout(request.input)?;
    let found = match (asked, Axis::of(first), Axis::of(third)) {
        (Some(Layout::ChannelsFirst), Axis::Channels | Axis::Any, _) => read(Layout::ChannelsFirst),
        (Some(Layout::ChannelsLast), _, Axis::Channels | Axis::Any) => read(Layout::ChannelsLast),
        (Some(layout), _, _) => {
            let reason = format!("expected 1, 3 or 4 channels in input {name}, found {}", read(layout).shown());
            return Err(Error::bad_parameter_at(AT, reason));
        }
        (None, Axis::Channels, Axis::Any | Axis::Size) | (None, Axis::Any, Axis::Size) => read(Layout::ChannelsFirst),
        (None, Axis::Any | Axis::Size, Axis::Channels) | (None, Axis::Size, Axis::Any) => read(Layout::ChannelsLast),
        (None, Axis::Size, Axis::Size) => {
            let reason = format!("input {name} has extents {extents:?}, none of which is a number of channels");
            return Err(Error::bad_parameter_at(file, reason));
        }
        (None, Axis::Channels, Axis::Channels) | (None, Axis::Any, Axis::Any) => {
            let both = [read(Layout::ChannelsFirst), read(Layout::ChannelsLast)];
            the_one(both, |image| image.fits_size(request.input) && image.fits_colours(request.input))
                .or_else(|| the_one(both, |image| image.fits_colours(request.input)))
                .ok_or_else(|| {
                    let [one, other] = both.map(ImageInput::shown);
                    let reason = format!("input {name} of {file} can be read as {one} or as {other}; say which");
                    Error::bad_parameter_at(AT, reason)
                })?
        }
    };
    Ok(found)
}

/// The only one of two that fits.
fn the_one(both: [ImageInput; 2], fits: impl Fn(ImageInput) -> bool) -> Option<ImageInput> {
    match both.map(fits) {
        [true, false] => Some(both[0]),
        [false, true] => Some(both[1]),
        [true, true] | [false, false] => None,
    }
}

#[cfg(test)]
mod tests {
    use dede_model::backend::{EngineOptions, ServiceType};
    use dede_model::data::DataKind;
    use dede_model::repository::Repository;
    use serde_json::json;

    use super::*;

    fn layout(extents: [Option<usize>; 3], input: &Value) -> Result<ImageInput> {
        let directory = tempfile::tempdir().expect("a directory");
        let repository = Repository::open(directory.path(), false).expect("opens");
        let (input, empty) = (input.as_object().cloned().expect("an object"), Section::new());
        let request = OpenRequest {
            repository: &repository,
            mllib: &empty,
            mllib_in_call: &empty,
            mllib_stored: &empty,
            input: &input,
            model: &empty,
            service_type: ServiceType::Supervised,
            kind: DataKind::Images,
            engine: &EngineOptions { threads: 1, concurrency: 1, engine: None },
        };
        image_input(&request, extents, "m.onnx", "x")
    }

    #[test]
    fn the_axis_of_the_channels_is_certain_or_asked_for() {
        let (first, last) = (Ok(Layout::ChannelsFirst), Ok(Layout::ChannelsLast));
        let both = Err("nchw (height 16, width 3, channels 3) or as nhwc (height 3, width 16, channels 3)");
        let any = None;
        let cases = [
            ([Some(3), Some(224), Some(224)], json!({}), first),
            ([Some(224), Some(224), Some(3)], json!({}), last),
            ([Some(3), any, any], json!({}), first),
            ([any, any, Some(3)], json!({}), last),
            ([any, Some(224), Some(224)], json!({}), first),
            ([any, any, any], json!({}), Err("nchw (height any")),
            ([any, any, any], json!({"layout": "nhwc"}), last),
            ([Some(3), Some(16), Some(3)], json!({}), both),
            ([Some(3), Some(16), Some(3)], json!({"width": 224}), both),
            ([Some(3), Some(16), Some(3)], json!({"width": 16, "height": 3}), last),
            ([Some(3), Some(16), Some(3)], json!({"width": 3, "height": 16}), first),
            ([Some(3), Some(16), Some(3)], json!({"width": 32, "crop_width": 16}), last),
            ([Some(3), Some(16), Some(3)], json!({"layout": "nhwc"}), last),
            ([Some(3), Some(16), Some(3)], json!({"layout": "nchw"}), first),
            ([Some(3), Some(16), Some(3)], json!({"layout": "chw"}), Err("expected nchw or nhwc")),
            ([Some(3), Some(16), Some(3)], json!({"layout": 3}), Err("expected nchw or nhwc")),
            ([Some(3), Some(3), Some(3)], json!({"width": 3, "height": 3}), Err("say which")),
            ([Some(4), Some(16), Some(3)], json!({}), last),
            ([Some(4), Some(16), Some(3)], json!({"width": 16, "height": 4}), last),
            ([Some(4), Some(16), Some(3)], json!({"width": 224, "height": 224}), last),
            ([Some(4), Some(16), Some(3)], json!({"unchanged_data": true}), Err("say which")),
            ([Some(3), Some(16), Some(4)], json!({"unchanged_data": true, "width": 16, "height": 3}), last),
            ([Some(3), Some(16), Some(4)], json!({}), first),
            ([Some(1), Some(16), Some(3)], json!({}), Err("say which")),
            ([Some(1), Some(16), Some(3)], json!({"bw": true}), first),
            ([Some(1), Some(16), Some(3)], json!({"rgb": true}), last),
            ([Some(3), Some(224), Some(224)], json!({"layout": "nhwc"}), Err("channels 224")),
            ([Some(5), Some(16), Some(8)], json!({}), Err("none of which")),
        ];
        for (extents, input, expected) in cases {
            match (layout(extents, &input), expected) {
                (Ok(found), Ok(layout)) => assert_eq!(found, ImageInput::read(extents, layout), "{extents:?} {input}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{extents:?} {input}: {error}"),
                (found, expected) => panic!("{extents:?} {input}: expected {expected:?}, found {found:?}"),
            }
        }
    }
}
