//! What a weights file must hold for a network: every form of a blob, and what does not fit.

use super::blob::Blob;
use super::*;
use crate::layer::Layer;
use crate::wire::Writer;

type BlobWriter<'a> = &'a dyn Fn(&mut Writer);

/// A caffemodel of one layer `l` with blobs that `blobs` write.
fn caffemodel(blobs: &[BlobWriter<'_>]) -> Vec<u8> {
    let mut writer = Writer::default();
    write_layer(&mut writer, "l", blobs);
    writer.into_bytes()
}

fn write_layer(writer: &mut Writer, name: &str, blobs: &[BlobWriter<'_>]) {
    writer.message(100, |writer| {
        writer.bytes(1, name.as_bytes());
        blobs.iter().for_each(|blob| writer.message(7, blob));
    });
}

/// A network of layers behind an image of 3 × 8 × 8, with these weights.
fn imported(layers: &str, model: &[u8]) -> Result<Graph> {
    let text = format!("input: 'data' input_shape {{ dim: [1, 3, 8, 8] }} {layers}");
    weights::fill(network::read(&text, &NetworkOptions::default())?, model)
}

fn filled(layer: &str, model: &[u8]) -> Result<Graph> {
    imported(&format!("layer {{ name: 'l' bottom: 'data' top: 'l' {layer} }}"), model)
}

fn packed_dims(writer: &mut Writer, dims: &[u8]) {
    writer.message(7, |writer| writer.bytes(1, dims));
}

#[test]
fn blobs_are_read_in_every_form() {
    let numbers = |range: std::ops::Range<u8>| range.map(f32::from).collect::<Vec<f32>>();
    let weight = |graph: Graph, name: &str| graph.weights.get(name).unwrap().data().to_vec();
    // Statistics are sums, to be divided by the third blob.
    let sums = |writer: &mut Writer| {
        packed_dims(writer, &[3]);
        writer.floats(5, &[2.0, 4.0, 6.0]);
    };
    let divisor = |writer: &mut Writer| writer.float(5, 2.0);
    let graph = filled("type: 'BatchNorm'", &caffemodel(&[&sums, &sums, &divisor])).unwrap();
    assert_eq!(weight(graph, "l.running_mean"), [1.0, 2.0, 3.0]);
    let zero = |writer: &mut Writer| writer.float(5, 0.0);
    let graph = filled("type: 'BatchNorm'", &caffemodel(&[&sums, &sums, &zero])).unwrap();
    assert_eq!(weight(graph, "l.running_variance"), [0.0; 3]);
    // Doubles, one by one and packed; four axes of before shapes; a weight stored [inputs, outputs].
    let doubles = |writer: &mut Writer| {
        [1, 1, 1, 3].iter().zip(1..).for_each(|(&dim, field)| writer.integer(field, dim));
        let bytes: Vec<u8> = [0.5f64, 1.5, 2.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.bytes(8, &bytes);
    };
    let graph = filled("type: 'Scale'", &caffemodel(&[&doubles])).unwrap();
    assert_eq!(weight(graph, "l.weight"), [0.5, 1.5, 2.5]);
    let inner = "type: 'InnerProduct' inner_product_param { num_output: 2 axis: 3 bias_term: false transpose: true }";
    let columns = |writer: &mut Writer| {
        packed_dims(writer, &[8, 2]);
        writer.floats(5, &numbers(0..16));
    };
    let graph = filled(inner, &caffemodel(&[&columns])).unwrap();
    let expected: Vec<f32> = (0..16u8).map(|index| f32::from(index % 8 * 2 + index / 8)).collect();
    assert_eq!(weight(graph, "l.weight"), expected);
}

/// A blob of a row of numbers.
fn row(values: &'static [f32]) -> impl Fn(&mut Writer) {
    move |writer| {
        packed_dims(writer, &[values.len() as u8]);
        writer.floats(5, values);
    }
}

#[test]
fn the_networks_text_says_whether_an_inner_product_is_stored_transposed() {
    let layer = |outputs: usize, transpose: &str| {
        format!(
            "type: 'InnerProduct' inner_product_param {{ num_output: {outputs} axis: 3 bias_term: false {transpose} }}"
        )
    };
    let numbers: Vec<f32> = (0..64u8).map(f32::from).collect();
    let matrix = |rows: u8, columns: u8| {
        let values = numbers[..usize::from(rows) * usize::from(columns)].to_vec();
        caffemodel(&[&move |writer: &mut Writer| {
            packed_dims(writer, &[rows, columns]);
            writer.floats(5, &values);
        }])
    };
    let weight = |graph: Graph| graph.weights.get("l.weight").unwrap().data().to_vec();
    // y = x W with W[input][output] is y = W' x with W'[output][input] = W[input][output].
    let square = weight(filled(&layer(8, "transpose: true"), &matrix(8, 8)).unwrap());
    assert_eq!(square, (0..64).map(|index| numbers[index % 8 * 8 + index / 8]).collect::<Vec<_>>());
    assert_eq!(weight(filled(&layer(8, ""), &matrix(8, 8)).unwrap()), numbers);
    assert_eq!(weight(filled(&layer(2, "transpose: false"), &matrix(2, 8)).unwrap()), numbers[..16]);
    let error = filled(&layer(2, ""), &matrix(8, 2)).unwrap_err().to_string();
    assert!(error.contains("should have shape [2, 8], found [8, 2]"), "{error}");
    let error = filled(&layer(2, "transpose: true"), &matrix(2, 8)).unwrap_err().to_string();
    assert!(error.contains("should have shape [8, 2], found [2, 8]"), "{error}");
}

/// Extents are compared as Caffe's `Blob::ShapeEquals` does.
#[test]
fn ones_are_extents_too() {
    let blob = |legacy: &'static [u8], shape: &'static [u8], count: usize| {
        caffemodel(&[&move |writer: &mut Writer| {
            legacy.iter().zip(1..).for_each(|(&dim, field)| writer.integer(field, i64::from(dim)));
            if !shape.is_empty() {
                packed_dims(writer, shape);
            }
            writer.floats(5, &vec![1.0; count]);
        }])
    };
    let convolution =
        |more: &str| format!("type: 'Convolution' convolution_param {{ bias_term: false num_output: 3 {more} }}");
    let depthwise = convolution("group: 3 kernel_size: 3");
    let tall = convolution("kernel_h: 5 kernel_w: 1");
    let inner = "type: 'InnerProduct' inner_product_param { num_output: 1 axis: 3 bias_term: false }";
    let slope = "type: 'PReLU' prelu_param { channel_shared: true }";
    type Case<'a> = (&'a str, &'static [u8], &'static [u8], usize, Option<&'a str>);
    let cases: [Case<'_>; 17] = [
        (&depthwise, &[], &[3, 1, 3, 3], 27, None),
        (&depthwise, &[], &[1, 3, 3, 3], 27, Some("should have shape [3, 1, 3, 3], found [1, 3, 3, 3]")),
        (&depthwise, &[], &[3, 3, 3], 27, Some("should have shape [3, 1, 3, 3], found [3, 3, 3]")),
        (&depthwise, &[1, 3, 3, 3], &[], 27, Some("should have shape [3, 1, 3, 3], found [1, 3, 3, 3]")),
        (&tall, &[], &[3, 3, 5, 1], 45, None),
        (&tall, &[], &[3, 3, 1, 5], 45, Some("should have shape [3, 3, 5, 1], found [3, 3, 1, 5]")),
        (inner, &[], &[1, 8], 8, None),
        (inner, &[], &[8, 1], 8, Some("should have shape [1, 8], found [8, 1]")),
        (inner, &[], &[1, 1, 1, 8], 8, Some("should have shape [1, 8], found [1, 1, 1, 8]")),
        (inner, &[1, 1, 1, 8], &[], 8, None),
        (inner, &[1, 8, 1, 1], &[], 8, Some("should have shape [1, 8], found [1, 8, 1, 1]")),
        // Where both forms are there, the older one counts, and what it lacks is 0.
        (inner, &[1, 1, 1, 8], &[8, 1], 8, None),
        (inner, &[1, 1, 8, 1], &[1, 8], 8, Some("should have shape [1, 8], found [1, 1, 8, 1]")),
        (inner, &[1, 1, 1], &[1, 8], 8, Some("should have shape [1, 8], found [1, 1, 1, 0]")),
        ("type: 'Scale'", &[], &[1, 3], 3, Some("should have shape [3], found [1, 3]")),
        (slope, &[], &[], 1, None),
        (slope, &[], &[1], 1, None),
    ];
    for (layer, legacy, shape, count, expected) in cases {
        let found = filled(layer, &blob(legacy, shape, count)).map(drop).map_err(|error| error.to_string());
        match expected {
            None => assert_eq!(found, Ok(()), "{layer} {legacy:?} {shape:?}"),
            Some(expected) => {
                assert!(found.as_ref().is_err_and(|found| found.contains(expected)), "{layer}: {found:?}");
            }
        }
    }
    // A BatchNorm of NVCaffe has ones around its channels.
    let statistics = |writer: &mut Writer| {
        packed_dims(writer, &[1, 3, 1, 1]);
        writer.floats(5, &[1.0; 3]);
    };
    let one = row(&[1.0]);
    assert!(filled("type: 'BatchNorm'", &caffemodel(&[&statistics, &statistics, &one])).is_ok());
}

#[test]
fn blobs_of_nvcaffe_are_read_in_every_precision() {
    let raw = |kind: u64, bytes: &'static [u8]| {
        caffemodel(&[&move |writer: &mut Writer| {
            packed_dims(writer, &[3]);
            writer.integer(10, kind as i64);
            writer.bytes(12, bytes);
        }])
    };
    // 0.5, -1.5, 65504 as 16-bit floats, and the first two as 64-bit ones.
    let halves: &[u8] = &[0x00, 0x38, 0x00, 0xbe, 0xff, 0x7b];
    let graph = filled("type: 'Scale'", &raw(2, halves)).unwrap();
    assert_eq!(graph.weights.get("l.weight").unwrap().data().to_vec(), [0.5, -1.5, 65_504.0]);
    let floats: &[u8] = &[0, 0, 0, 0x3f, 0, 0, 0xc0, 0xbf, 0, 0, 0x80, 0x3f];
    let graph = filled("type: 'Scale'", &raw(1, floats)).unwrap();
    assert_eq!(graph.weights.get("l.weight").unwrap().data().to_vec(), [0.5, -1.5, 1.0]);
    let cases = [
        (raw(2, &[0; 7]), "7 bytes are not whole 16-bit floats"),
        (raw(2, &[0; 4]), "should have 3 values, found 2"),
        (raw(3, &[0; 12]), "raw_data of NVCaffe should be of type DOUBLE, FLOAT or FLOAT16, found type 3"),
    ];
    for (model, expected) in cases {
        let error = filled("type: 'Scale'", &model).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("layer l"), "{error}");
    }
}

#[test]
fn a_batch_norm_with_its_own_scale_is_read_where_its_layout_is_certain() {
    let (mean, variance, one) = (row(&[1.0, 2.0, 3.0]), row(&[4.0, 5.0, 6.0]), row(&[1.0]));
    let (scale, bias, half) = (row(&[7.0, 8.0, 9.0]), row(&[-1.0, -2.0, -3.0]), row(&[0.5]));
    let five = "type: 'BatchNorm' batch_norm_param { scale_bias: true eps: 1e-6 }";
    let new: [BlobWriter<'_>; 5] = [&mean, &variance, &one, &scale, &bias];
    let old: [BlobWriter<'_>; 5] = [&scale, &bias, &mean, &variance, &one];
    for blobs in [new, old] {
        let graph = filled(five, &caffemodel(&blobs)).unwrap();
        let weight = |name: &str| graph.weights.get(&format!("l.{name}")).unwrap().data().to_vec();
        assert_eq!((weight("running_mean"), weight("running_variance")), (vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]));
        assert_eq!((weight("weight"), weight("bias")), (vec![7.0, 8.0, 9.0], vec![-1.0, -2.0, -3.0]));
        // NVCaffe's epsilon is at least 1e-5.
        assert!(matches!(&graph.nodes[0].layer, Layer::BatchNorm(norm) if norm.affine && norm.epsilon == 1e-5));
    }
    let filler = "type: 'BatchNorm' batch_norm_param { scale_filler { value: 1 } }";
    assert!(filled(filler, &caffemodel(&new)).is_ok());
    let cases: [(&str, &[BlobWriter<'_>], &str); 5] = [
        (five, &[&mean, &variance, &one], "scale_bias is true, for which NVCaffe stores 5 blobs"),
        (five, &[&mean, &variance, &scale, &bias], "scale_bias is true, for which NVCaffe stores 5 blobs"),
        ("type: 'BatchNorm'", &new, "a BatchNorm here has 3 blobs, found 5: NVCaffe stores mean, variance"),
        (
            five,
            &[&mean, &variance, &half, &scale, &bias],
            "the correction of a BatchNorm with scale and bias should be 1",
        ),
        (five, &[&mean, &variance, &mean, &scale, &bias], "found no correction of one number"),
    ];
    for (layer, blobs, expected) in cases {
        let error = filled(layer, &caffemodel(blobs)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("layer l"), "{error}");
    }
    let grey = "input: 'data' input_shape { dim: [1, 1, 2, 2] } layer { name: 'l' bottom: 'data' top: 'l' ";
    let model = caffemodel(&[&one, &one, &one, &one, &one]);
    let network = network::read(&format!("{grey} {five} }}"), &NetworkOptions::default()).unwrap();
    let error = weights::fill(network, &model).unwrap_err().to_string();
    assert!(error.contains("the two cannot be told apart"), "{error}");
}

#[test]
fn weights_of_one_name_are_one_weight() {
    let scale = |name: &str, bottom: &str, param: &str| {
        format!("layer {{ name: '{name}' type: 'Scale' bottom: '{bottom}' top: '{name}' param {{ name: '{param}' }} }}")
    };
    let (same, other) = (row(&[1.0, 2.0, 3.0]), row(&[1.0, 2.0, 4.0]));
    let model = |second: BlobWriter<'_>| {
        let mut writer = Writer::default();
        write_layer(&mut writer, "a", &[&same]);
        write_layer(&mut writer, "b", &[second]);
        writer.into_bytes()
    };
    let shared = format!("{} {}", scale("a", "data", "w"), scale("b", "a", "w"));
    assert!(imported(&shared, &model(&same)).is_ok());
    let error = imported(&shared, &model(&other)).unwrap_err().to_string();
    assert!(error.starts_with("layer b: its blob 0 is named w and shared with layer a"), "{error}");
    let apart = format!("{} {}", scale("a", "data", "w"), scale("b", "a", "v"));
    assert!(imported(&apart, &model(&other)).is_ok());
    let unnamed = format!("{} {}", scale("a", "data", ""), scale("b", "a", ""));
    assert!(imported(&unnamed, &model(&other)).is_ok());
}

#[test]
fn weights_of_2013_are_named_as_such() {
    let mut writer = Writer::default();
    writer.message(2, |writer| writer.message(1, |writer| writer.bytes(1, b"l")));
    let error = filled("type: 'Scale'", &writer.into_bytes()).unwrap_err().to_string();
    assert!(error.contains("the format of 2013 (V0)"), "{error}");
}

#[test]
fn files_that_are_no_weights_are_named() {
    let scale = "type: 'Scale'";
    let cases: [(&[u8], &str); 3] = [
        (b"\x89HDF\r\n\x1a\n\0", "not a caffemodel: expected a NetParameter of Caffe, found HDF5"),
        (b"version https://git-lfs.github.com/spec/v1", "found a pointer of Git LFS"),
        (
            b"",
            "not a caffemodel: expected a NetParameter of Caffe, found an empty file (layer l: weight l.weight is missing)",
        ),
    ];
    for (bytes, expected) in cases {
        let error = filled(scale, bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(filled("type: 'ReLU'", b"").is_ok(), "a network without weights needs none");
    let error = read_mean(b"\x1f\x8b\x08").unwrap_err().to_string();
    assert!(error.contains("not a Caffe mean image: expected a BlobProto of Caffe, found a gzip archive"), "{error}");
    let error = parse_network("<!DOCTYPE html>", &NetworkOptions::default()).unwrap_err().to_string();
    assert!(error.contains("not a network of Caffe: expected its text, found a page of HTML"), "{error}");
}

#[test]
fn weights_without_a_network_go_into_layers_of_their_names() {
    let row = |values: &'static [f32]| {
        move |writer: &mut Writer| {
            packed_dims(writer, &[1, values.len() as u8]);
            writer.floats(5, values);
        }
    };
    let mut writer = Writer::default();
    write_layer(&mut writer, "a", &[&row(&[1.0, 2.0])]);
    write_layer(&mut writer, "b", &[&row(&[3.0])]);
    write_layer(&mut writer, "other", &[&row(&[9.0])]);
    let file = LayerWeights::read("m.caffemodel", writer.into_bytes()).unwrap();
    let graph = |names: [&str; 2], last: usize| {
        let inner = |name: &str, bottom: &str, outputs: usize| {
            format!(
                "layer {{ name: '{name}' type: 'InnerProduct' bottom: '{bottom}' top: '{name}'
                inner_product_param {{ num_output: {outputs} bias_term: false }} }}"
            )
        };
        let text = format!("{} {}", inner(names[0], "data", 1), inner(names[1], names[0], last));
        parse_network(&format!("input: 'data' input_shape {{ dim: [1, 2] }} {text}"), &NetworkOptions::default())
            .unwrap()
    };
    let weight = |graph: &Graph, name: &str| graph.weights.get(name).map(|weight| weight.data().to_vec());
    for (names, last, head, expected) in [
        (["a", "b"], 1, None, Ok(vec![])),
        (["a", "b"], 2, Some("b"), Ok(vec!["b"])),
        (["a", "c"], 2, Some("c"), Ok(vec!["c"])),
        (["a", "b"], 2, None, Err("m.caffemodel: layer b: blob for b.weight should have shape [2, 1], found [1, 1]")),
        (["a", "c"], 1, None, Err("m.caffemodel: layer c: weight c.weight is missing")),
        (
            ["b", "c"],
            1,
            Some("c"),
            Err("m.caffemodel: layer b: blob for b.weight should have shape [1, 2], found [1, 1]"),
        ),
        (["c", "d"], 1, Some("d"), Err("expected weights of one of the layers c, d, found none")),
    ] {
        let mut graph = graph(names, last);
        match (file.put_into(&mut graph, head), expected) {
            (Ok(left), Ok(expected)) => {
                assert_eq!(left, expected, "{names:?}");
                assert_eq!(weight(&graph, "a.weight"), Some(vec![1.0, 2.0]));
                assert_eq!(weight(&graph, "b.weight"), (last == 1).then(|| vec![3.0]), "{names:?}");
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
                assert!(graph.weights.is_empty(), "nothing is put in where one does not fit");
            }
            (found, expected) => panic!("{names:?}: expected {expected:?}, found {found:?}"),
        }
    }
    let error = LayerWeights::read("m.caffemodel", b"PK\x03\x04".to_vec()).unwrap_err().to_string();
    assert!(error.contains("m.caffemodel: not a caffemodel: expected a NetParameter of Caffe, found a zip"), "{error}");
}

#[test]
fn layers_of_two_formats_are_refused() {
    let older = |writer: &mut Writer| writer.message(2, |writer| writer.bytes(4, b"l"));
    let mut both = Writer::default();
    write_layer(&mut both, "l", &[&row(&[1.0, 2.0, 3.0])]);
    older(&mut both);
    let mut turned = Writer::default();
    older(&mut turned);
    write_layer(&mut turned, "l", &[&row(&[1.0, 2.0, 3.0])]);
    for writer in [both, turned] {
        let error = filled("type: 'Scale'", &writer.into_bytes()).unwrap_err().to_string();
        assert!(error.contains("layer and layers are both there"), "{error}");
    }
}

#[test]
fn blobs_that_do_not_fit_name_the_layer() {
    let three = |writer: &mut Writer| writer.floats(5, &[1.0; 3]);
    let shaped = |writer: &mut Writer| {
        packed_dims(writer, &[3]);
        writer.floats(5, &[1.0; 2]);
    };
    let huge = |writer: &mut Writer| packed_dims(writer, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let ragged = |writer: &mut Writer| {
        packed_dims(writer, &[3]);
        writer.bytes(5, &[0; 13]);
    };
    let cases: [(&[BlobWriter<'_>], &str); 6] = [
        (&[], "layer l: weight l.weight is missing"),
        (&[&three], "layer l: blob for l.weight should have shape [3], found []"),
        (&[&shaped], "layer l: blob for l.weight should have 3 values, found 2"),
        (&[&huge], "layer l: blob for l.weight should have shape [3], found [9223372036854775807]"),
        (&[&ragged], "layer l: 13 bytes are not whole floats"),
        (&[&shaped, &shaped], "layer l: a Scale here has 1 blobs, found 2"),
    ];
    for (blobs, expected) in cases {
        assert_eq!(filled("type: 'Scale'", &caffemodel(blobs)).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_blob_in_many_pieces_is_read_in_one_pass() {
    let pieces = |count: usize| {
        let mut writer = Writer::default();
        (0..count).for_each(|piece| match piece % 3 {
            0 => writer.float(5, piece as f32),
            _ => writer.floats(5, &[piece as f32]),
        });
        writer.into_bytes()
    };
    assert_eq!(Blob::read(&pieces(7)).unwrap().to_vec(), Ok(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    // Copying all that came before for each piece would take minutes.
    assert_eq!(Blob::read(&pieces(300_000)).unwrap().len(), 300_000);
    let mut broken = Writer::default();
    broken.bytes(5, &[0; 3]);
    broken.floats(5, &[1.0]);
    assert_eq!(Blob::read(&broken.into_bytes()).unwrap_err(), "3 bytes are not whole floats");
}
