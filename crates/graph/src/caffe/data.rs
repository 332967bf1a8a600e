//! Layers that give a network its samples: their extents, and what they do to an image before. It owns what each type reads
//! for that, in the present form and in the one before `transform_param`; it must not know the network behind.

use crate::graph::Transform;
use crate::prototext::Message;
use crate::shape::Shape;

/// Extents of one sample from extents that begin with the batch; `None` where there is no axis but the batch, as labels have.
///
/// # Errors
/// Says what they should be.
pub(super) fn sample_shape(extents: &[usize]) -> Result<Option<Shape>, String> {
    let (_, sample) = extents.split_first().ok_or("its shape should be the batch and at least one axis, found none")?;
    if sample.is_empty() {
        return Ok(None);
    }
    let shape = Shape::new(sample);
    shape.elements()?;
    Ok(Some(shape))
}

/// How many samples the tops of a data layer have, where it says so.
///
/// # Errors
/// Names the field.
pub(super) fn batches(kind: &str, message: &Message) -> Result<Vec<i64>, String> {
    let size = |param: &str| Ok(message.message(param).number("batch_size")?.into_iter().collect());
    match kind {
        "Input" => {
            let dims = message.message("input_param").messages("shape").map(|shape| shape.numbers("dim"));
            dims.filter_map(|dims| dims.map(|dims| dims.first().copied()).transpose()).collect()
        }
        "MemoryData" => size("memory_data_param"),
        "Data" => size("data_param"),
        _ => size("image_data_param"),
    }
}

/// Shapes of a data layer's tops that are inputs of the network, and what is done to an image before; tops without one, and further
/// tops, are labels. `fallback` is for layers that do not say.
///
/// # Errors
/// Names the field.
pub(super) fn inputs(
    kind: &str,
    message: &Message,
    tops: usize,
    fallback: Option<&Shape>,
) -> Result<(Vec<Option<Shape>>, Transform), String> {
    if kind == "Input" {
        return Ok((declared(message, tops)?, Transform::default()));
    }
    let transform = transform(kind, message)?;
    let shape = match kind {
        "MemoryData" => Some(memory(message.message("memory_data_param"), transform.crop_size)?),
        _ => images(kind, message, transform.crop_size)?.or_else(|| fallback.cloned()),
    };
    let shape = shape.ok_or("it does not say the shape of its data, and none was given")?;
    shape.elements()?;
    check_color(message, &shape)?;
    let (channels, means) = (shape.dims().first().copied().unwrap_or_default(), transform.mean_values.len());
    if means > 1 && means != channels {
        return Err(format!("mean_value should be there once, or for each of {channels} channels, found {means}"));
    }
    Ok((vec![Some(shape)], transform))
}

/// `input_param`: one shape for all tops, or one for each.
fn declared(message: &Message, tops: usize) -> Result<Vec<Option<Shape>>, String> {
    let shapes = message.message("input_param").messages("shape").map(|shape| sample_shape(&shape.numbers("dim")?));
    let shapes: Vec<Option<Shape>> = shapes.collect::<Result<_, _>>()?;
    match (shapes.as_slice(), tops) {
        ([shape], tops) => Ok(vec![shape.clone(); tops]),
        (_, tops) if tops == shapes.len() => Ok(shapes),
        (_, tops) => Err(format!("it has {tops} tops but {} shapes", shapes.len())),
    }
}

fn memory(param: &Message, crop: Option<usize>) -> Result<Shape, String> {
    let extent = |name| param.number::<usize>(name)?.ok_or_else(|| format!("memory_data_param has no {name}"));
    let (channels, height, width) = (extent("channels")?, extent("height")?, extent("width")?);
    match crop {
        // Caffe lets images be larger, cuts the centre out and requires these extents to be those of the cut.
        Some(crop) if [height, width] != [crop; 2] => Err(format!(
            "transform_param.crop_size should be the height and width of memory_data_param, {height} and {width}, found {crop}"
        )),
        Some(_) | None => Ok(Shape::image(channels, height, width)),
    }
}

/// `Data` and `ImageData`. Images are resized to the network's input here and nothing is cut off, so that a cut is possible
/// where it takes the whole image alone.
fn images(kind: &str, message: &Message, crop: Option<usize>) -> Result<Option<Shape>, String> {
    let image = message.message("image_data_param");
    let grey = image.number("is_color")? == Some(false)
        || message.message("transform_param").number("force_gray")? == Some(true);
    let size =
        [image.number::<usize>("new_height")?, image.number("new_width")?].map(|size| size.filter(|&size| size > 0));
    match (crop, size) {
        (Some(crop), [Some(height), Some(width)]) if [height, width] == [crop; 2] => {}
        (Some(crop), _) => {
            return Err(format!(
                "crop_size {crop} of a {kind} layer cuts the centre out of larger images, here they are resized to the \
                 input; an Input or MemoryData layer with the extents of the input says so"
            ));
        }
        (None, [Some(_), Some(_)] | [None, None]) => {}
        (None, [_, _]) => return Err("new_height and new_width should both be given".to_owned()),
    }
    Ok(match size {
        [Some(height), Some(width)] => Some(Shape::image(if grey { 1 } else { 3 }, height, width)),
        _ => None,
    })
}

/// Images are decoded with the channels of the input; a layer that asks for others contradicts itself.
fn check_color(message: &Message, shape: &Shape) -> Result<(), String> {
    let (transform, data) = (message.message("transform_param"), message.message("data_param"));
    let color = transform.number("force_color")? == Some(true) || data.number("force_encoded_color")? == Some(true);
    let grey = transform.number("force_gray")? == Some(true);
    let channels = shape.dims().first().copied().unwrap_or_default();
    match (color, grey) {
        (true, true) => Err("force_color and force_gray exclude each other".to_owned()),
        (true, false) if channels != 3 => Err(format!("force_color makes 3 channels, its data have {channels}")),
        (false, true) if channels != 1 => Err(format!("force_gray makes 1 channel, its data have {channels}")),
        (true | false, false) | (false, true) => Ok(()),
    }
}

/// `transform_param`, or the same fields where networks of before it have them.
fn transform(kind: &str, message: &Message) -> Result<Transform, String> {
    let param = message.message("transform_param");
    let before = match kind {
        "Data" => "data_param",
        "ImageData" => "image_data_param",
        _ => "",
    };
    let older = message.message(before);
    if let Some(name) = ["scale", "mean_file", "crop_size"].into_iter().find(|name| param.has(name) && older.has(name))
    {
        return Err(format!("transform_param.{name} and {before}.{name} are both given, expected one of them"));
    }
    let crop_size = param.number("crop_size")?.or(older.number("crop_size")?);
    let transform = Transform {
        mean_values: param.numbers("mean_value")?,
        mean_file: param.text("mean_file").or_else(|| older.text("mean_file")).map(str::to_owned),
        scale: param.number("scale")?.or(older.number("scale")?),
        crop_size: crop_size.filter(|&crop: &usize| crop > 0),
    };
    match (&transform.mean_file, transform.mean_values.as_slice()) {
        (Some(file), [_, ..]) => {
            Err(format!("mean_file {file:.64} and mean_value are both given, and Caffe takes one of them alone"))
        }
        (Some(_), []) | (None, _) => Ok(transform),
    }
}
