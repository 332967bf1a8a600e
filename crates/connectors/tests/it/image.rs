//! The image connector through its seam: items, errors, parameters, training sets.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use dede_connectors::image::ImageConnector;
use dede_model::connector::{Connector, Fitted, InputLimits, Reader, ReaderContext};
use dede_model::data::{Batch, Image, Pixels, SampleShape, Samples, Targets};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::parameters::Section;
use dede_model::quote::quote;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("utf-8").to_owned()
}

pub(crate) fn circle() -> String {
    text(&fixture("shapes/circle/circle00.jpg"))
}

fn base64_of(path: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(std::fs::read(path).expect("a fixture"))
}

/// What a reader is opened with, beside its parameters.
#[derive(Default)]
struct Setting {
    shape: Option<SampleShape>,
    labels: Labels,
    regression: bool,
    limits: InputLimits,
}

impl Setting {
    fn open(&self, parameters: Value) -> Result<Box<dyn Reader>> {
        let parameters: Section = serde_json::from_value(parameters).expect("an object");
        ImageConnector.open(&ReaderContext {
            parameters: &parameters,
            own: &parameters,
            created: &Section::new(),
            stored: &Section::new(),
            parameters_in_call: true,
            shape: self.shape,
            labels: &self.labels,
            regression: self.regression,
            limits: Arc::new(self.limits.clone()),
        })
    }
}

pub(crate) fn open(parameters: Value) -> Box<dyn Reader> {
    Setting::default().open(parameters).expect("good parameters")
}

fn images(batch: Batch) -> Vec<Image> {
    match batch.samples {
        Samples::Images { images, .. } => images,
        Samples::Table(_) => panic!("a table from the image connector"),
    }
}

fn read_one(parameters: Value, item: &str) -> Image {
    let batch = open(parameters).read(&[item.to_owned()]).expect("an image");
    images(batch).remove(0)
}

fn bytes(image: &Image) -> &[u8] {
    match &image.pixels {
        Pixels::U8(values) => values,
        Pixels::U16(_) => panic!("8 bits expected"),
    }
}

pub(crate) fn refusal<T>(result: Result<T>) -> String {
    match result {
        Err(Error::BadInput(fault)) => fault.to_string(),
        Err(other) => panic!("BadInput expected, found {other:?}"),
        Ok(_) => panic!("a refusal expected"),
    }
}

#[test]
fn items_keep_their_order_and_are_named_as_in_the_original() {
    let square = text(&fixture("shapes/square/square00.jpg"));
    let directory = text(&fixture("shapes/circle"));
    let data = [base64_of(&circle()), square.clone(), directory.clone(), circle()];
    let batch = open(json!({"width": 64, "height": 64})).read(&data).expect("images");
    let mut expected = vec!["0".to_owned(), square];
    expected.extend((0..4).map(|at| format!("{directory}/circle0{at}.jpg")));
    expected.push(circle());
    assert_eq!(batch.uris, expected);
    assert_eq!(batch.targets, None);
    let images = images(batch);
    assert_eq!(images[0], images[2], "base64 and directory");
    assert_eq!(images[0], images[6], "base64 and path");
    assert_ne!(images[0], images[1]);
    assert_eq!((images[0].width, images[0].height, images[0].channels), (64, 64, 3));
    assert_eq!((images[0].original_width, images[0].original_height), (160, 120));
}

#[test]
fn class_directories_carry_targets() {
    let data = [text(&fixture("shapes"))];
    let by_name = open(json!({"width": 8, "height": 8})).read(&data).expect("images");
    let expected: Vec<i64> = [0, 1, 2].into_iter().flat_map(|class| [class; 4]).collect();
    assert_eq!(by_name.targets, Some(Targets::Classes(expected)));

    let labels = Labels::parse("0 square\n1 triangle\n2 circle\n").expect("lines");
    let setting = Setting { labels, ..Setting::default() };
    let known = setting.open(json!({"width": 8, "height": 8})).expect("a reader").read(&data).expect("images");
    let expected: Vec<i64> = [2, 0, 1].into_iter().flat_map(|class| [class; 4]).collect();
    assert_eq!(known.targets, Some(Targets::Classes(expected)));

    let labels = Labels::parse("0 square\n1 triangle\n").expect("lines");
    let setting = Setting { labels, ..Setting::default() };
    let unknown = setting.open(json!({"width": 8, "height": 8})).expect("a reader").read(&data).expect("images");
    assert_eq!(unknown.targets, Some(Targets::Unknown { class: "circle".to_owned(), items: 12 }));
}

#[test]
fn what_is_no_image_is_refused_in_the_words_of_the_contract() {
    let reader = open(json!({"width": 8, "height": 8}));
    let read = |item: String| refusal(reader.read(&[circle(), item]));
    let prefix = "Could not read image(s): image could not be read or does not exist: ";
    let tsv = text(&fixture("images/decoded.tsv"));
    assert_eq!(refusal(reader.read(&[])), "missing data");
    assert!(read("/nonexistent/a.jpg".to_owned()).starts_with(&format!("{prefix}/nonexistent/a.jpg (")));
    assert!(read(tsv.clone()).starts_with(&format!("{prefix}{} (not a JPEG", quote(&tsv))));
    assert!(read(String::new()).starts_with(prefix));
    assert!(read("AAAA".to_owned()).starts_with(&format!("{prefix}AAAA (")));
    assert!(read("/dev/zero".to_owned()).contains("not a regular file"));

    let data_uri = format!("data:image/jpeg;base64,{}", base64_of(&circle()));
    let refused = read(data_uri.clone());
    assert!(refused.starts_with(&format!("{prefix}{}... (data: URIs", &data_uri[..64])), "{refused}");

    let first = refusal(reader.read(&["first".to_owned(), "second".to_owned()]));
    assert!(first.contains("first"), "{first}");

    let empty = tempfile::tempdir().expect("a directory");
    assert_eq!(refusal(reader.read(&[text(empty.path())])), "no image could be found");
    let few = Setting { limits: InputLimits { items: 3, ..InputLimits::default() }, ..Setting::default() };
    let many = few.open(json!({})).expect("a reader").read(&[text(&fixture("shapes/circle"))]);
    assert!(refusal(many).contains("at most 3"));
}

/// What the command base64, Python's encodebytes, `basenc --base64url` and JWT libraries write.
#[test]
fn base64_is_read_in_every_way_it_is_written() {
    let parameters = || json!({"width": 8, "height": 8});
    let plain = base64_of(&circle());
    let expected = read_one(parameters(), &plain);
    let lines = |end: &str| plain.as_bytes().chunks(76).map(|line| text_of(line) + end).collect::<String>();
    let url_safe = plain.replace('+', "-").replace('/', "_");
    for text in [
        lines("\n"),
        lines("\r\n"),
        format!("{plain}\n"),
        plain.trim_end_matches('=').to_owned(),
        url_safe.clone(),
        url_safe.trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(read_one(parameters(), &text), expected, "{}", &text[..80]);
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn what_is_no_base64_is_refused_with_its_character() {
    let reader = open(json!({"width": 8, "height": 8}));
    let read = |item: String| refusal(reader.read(&[item]));
    let plain = base64_of(&circle());
    let (start, end) = plain.split_at(1000);
    for (text, expected) in [
        (format!("{start}!{end}"), "found \"!\" as character 1001"),
        (format!("{start} {end}"), "a + that became a blank on its way? \" \" as character 1001"),
        (format!("{start}\u{e9}{end}"), "found \"\u{e9}\" as character 1001"),
        (format!("{start}=={end}"), "after the = at its end there is"),
        (format!("{start}A"), "it ends after 1001 characters"),
        ("photo.jpg".to_owned(), "found \".\" as character 6"),
        ("photo_12".to_owned(), "read as base64, since no file has that name"),
        (String::new(), "neither a path that exists nor the content of an image; it is empty"),
    ] {
        let refused = read(text);
        assert!(refused.contains(expected), "{refused}");
        assert!(refused.len() < 400, "little is repeated: {refused}");
    }
}

proptest! {
    #[test]
    fn no_string_makes_it_panic(item in ".{0,300}", encoded in proptest::collection::vec(any::<u8>(), 0..60)) {
        // Drawn by chance, "/" would have every directory of this machine for a class.
        prop_assume!(!std::path::Path::new(&item).exists());
        let reader = open(json!({"width": 8, "height": 8, "timeout": 1}));
        prop_assert!(reader.read(&[item]).is_err());
        let encoded = base64::engine::general_purpose::STANDARD.encode(encoded);
        prop_assert!(reader.read(&[encoded]).is_err());
    }

    #[test]
    fn sizes_are_refused_or_reached(width in any::<i64>(), height in -2i64..40, small in -2i64..40) {
        for (width, height) in [(width, height), (small, height)] {
            let reader = Setting::default().open(json!({"width": width, "height": height}));
            if let Ok(batch) = reader.and_then(|reader| reader.read(&[circle()])) {
                let image = images(batch).remove(0);
                let reached = (image.width as i64, image.height as i64);
                prop_assert!(width < 0 || height < 0 || reached == (width, height), "{reached:?}");
            }
        }
    }
}

#[test]
fn sizes_out_of_range_are_refused_with_their_parameter() {
    for (parameters, expected) in [
        (json!({"width": 0}), "parameters.input.width"),
        (json!({"height": 2_147_483_648u64}), "parameters.input.height"),
        (json!({"width": "wide"}), "parameters.input.width"),
        (json!({"width": -1, "height": 0}), "parameters.input.height"),
        (json!({"width": 65536, "height": 65536}), "parameters.input.width"),
        (json!({"scale_min": 0}), "parameters.input.scale_min"),
        (json!({"mean": "none"}), "parameters.input.mean"),
        (json!({"std": [1, 0, 1]}), "parameters.input.std"),
        (json!({"test_split": 1.5}), "parameters.input.test_split"),
        (json!({"timeout": 40000}), "parameters.input.timeout"),
        (json!({"timeout": 0}), "parameters.input.timeout"),
        (json!({"timeout": -2}), "found -2"),
        (json!({"seed": -4}), "parameters.input.seed"),
        (json!({"width": 10, "crop_width": 11}), "Crop width must be less than or equal to width"),
        (json!({"width": 30, "crop_width": -5}), "parameters.input.crop_width"),
        (json!({"width": 30, "height": 20, "crop_height": -1}), "parameters.input.crop_height"),
        (json!({"scale_min": 30, "crop_width": 20}), "parameters.input.crop_width"),
        (json!({"scaled": true, "crop_height": 20}), "parameters.input.crop_height"),
        (json!({"width": 30, "height": 20, "aspect_ratio_pad": true}), "parameters.input.aspect_ratio_pad"),
        (json!({"width": -1, "height": -1, "aspect_ratio_pad": true}), "parameters.input.aspect_ratio_pad"),
        (json!({"scale_max": 30, "aspect_ratio_pad": true}), "parameters.input.aspect_ratio_pad"),
    ] {
        let refused = refusal(Setting::default().open(parameters.clone()));
        assert!(refused.contains(expected), "{parameters}: {refused}");
    }
    let thin = open(json!({"width": 1, "height": -1})).read(&[circle()]).map(images).expect("1x1");
    assert_eq!((thin[0].width, thin[0].height), (1, 1));
}

#[test]
fn sizes_come_from_the_request_then_from_the_network_then_from_the_default() {
    let network = SampleShape::Image { width: Some(28), height: Some(14), channels: 1 };
    let setting = Setting { shape: Some(network), ..Setting::default() };
    let image =
        |width, height, channels| Some(SampleShape::Image { width: Some(width), height: Some(height), channels });
    let shape = |parameters| setting.open(parameters).expect("a reader").shape();
    assert_eq!(shape(json!({})), image(28, 14, 1));
    assert_eq!(shape(json!({"width": 5})), image(5, 14, 1));
    assert_eq!(shape(json!({"bw": false})), image(28, 14, 3));
    assert_eq!(shape(json!({"crop_width": 20})), image(20, 14, 1));
    assert_eq!(open(json!({})).shape(), image(224, 224, 3));
    assert_eq!(open(json!({"bw": true, "rgb": true})).shape(), image(224, 224, 3));
    assert_eq!(open(json!({"width": 9, "height": -1, "aspect_ratio_pad": true})).shape(), image(9, 9, 3));
    let any = Some(SampleShape::Image { width: None, height: None, channels: 3 });
    assert_eq!(open(json!({"scaled": true})).shape(), any);
    assert_eq!(open(json!({"unchanged_data": true})).shape(), None);
}

#[test]
fn geometry_follows_the_parameters() {
    let size = |parameters: Value| {
        let image = read_one(parameters, &circle());
        (image.width, image.height)
    };
    assert_eq!(size(json!({"width": -1, "height": -1})), (160, 120));
    assert_eq!(size(json!({"width": 80, "height": -1})), (80, 60));
    assert_eq!(size(json!({"width": -1, "height": 80})), (80, 60));
    assert_eq!(size(json!({"scale_min": 60})), (80, 60));
    assert_eq!(size(json!({"scale_min": 240, "scale_max": 200})), (200, 150));
    assert_eq!(size(json!({"width": 80, "height": 80, "crop_width": 40, "crop_height": 50})), (40, 50));

    let padded = read_one(json!({"width": 80, "height": -1, "aspect_ratio_pad": true}), &circle());
    let plain = read_one(json!({"width": 80, "height": -1}), &circle());
    assert_eq!((padded.width, padded.height), (80, 80));
    let (top, middle) = bytes(&padded).split_at(10 * 80 * 3);
    assert!(top.iter().all(|value| *value == 0));
    assert_eq!(&middle[..60 * 80 * 3], bytes(&plain));

    let line = text(&fixture("images/rgb.png"));
    let vanishing = open(json!({"scale_min": 1, "scale_max": 1})).read(&[line]).map(images).expect("1x1");
    assert_eq!((vanishing[0].width, vanishing[0].height), (1, 1));
}

#[test]
fn colours_follow_the_parameters() {
    let png = text(&fixture("images/rgb.png"));
    let read = |extra: Value| {
        let mut parameters = json!({"width": -1, "height": -1});
        for (key, value) in extra.as_object().expect("an object") {
            parameters[key] = value.clone();
        }
        read_one(parameters, &png)
    };
    let (blue_first, red_first) = (read(json!({})), read(json!({"rgb": true})));
    let swapped: Vec<u8> = bytes(&red_first).chunks(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    assert_eq!(bytes(&blue_first), swapped);
    let (grey, threefold) = (read(json!({"bw": true})), read(json!({"bw": true, "rgb": true})));
    assert_eq!((grey.channels, threefold.channels), (1, 3));
    let repeated: Vec<u8> = bytes(&grey).iter().flat_map(|value| [*value; 3]).collect();
    assert_eq!(bytes(&threefold), repeated);
    assert_ne!(bytes(&read(json!({"histogram_equalization": true}))), bytes(&blue_first));
    assert_ne!(bytes(&read(json!({"histogram_equalization": true, "bw": true}))), bytes(&grey));

    let deep =
        read_one(json!({"unchanged_data": true, "width": 10, "height": 10}), &text(&fixture("images/grey16.png")));
    assert_eq!(deep.channels, 1);
    assert!(matches!(&deep.pixels, Pixels::U16(values) if values.len() == 100));
    let alpha =
        read_one(json!({"unchanged_data": true, "width": 10, "height": 10}), &text(&fixture("images/rgba.png")));
    assert_eq!(alpha.channels, 4);
}

/// Decoding and resizing together, to the last bit: `tests/fixtures/images/make_images.py` wrote what OpenCV gives.
#[cfg(feature = "turbojpeg")]
#[test]
fn jpegs_resized_equal_those_of_opencv() {
    let hash = |bytes: &[u8]| {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
    };
    let cases = std::fs::read_to_string(fixture("images/resized.tsv")).expect("a fixture");
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let side: u32 = fields[1].parse().expect("a size");
        let parameters = json!({"width": side, "height": side, "interp": fields[2], "bw": fields[3] == "grey"});
        let image = read_one(parameters, &text(&fixture(fields[0])));
        assert_eq!(hash(bytes(&image)), fields[4], "{line}");
    }
}

/// Serves one file to each of `times` connections.
fn serve(file: &str, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/image.jpg", listener.local_addr().expect("bound"));
    let body = std::fs::read(file).expect("a fixture");
    std::thread::spawn(move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = BufReader::new(stream.try_clone().expect("a clone"));
            let mut line = String::new();
            while request.read_line(&mut line).expect("a request") > 2 {
                line.clear();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).expect("an open connection");
        }
    });
    url
}

#[test]
fn urls_give_what_paths_give() {
    let url = serve(&circle(), 2);
    let file_url = format!("file://{}", circle());
    let data = [url.clone(), circle(), file_url.clone(), url.clone()];
    let batch = open(json!({"width": 32, "height": 32, "timeout": 5})).read(&data).expect("images");
    assert_eq!(batch.uris, data);
    let images = images(batch);
    assert!(images.iter().all(|image| *image == images[0]));

    let refused = open(json!({"timeout": 5})).read(&["http://127.0.0.1:1/x.jpg".to_owned()]);
    assert!(refusal(refused).starts_with("Could not read image(s): http://127.0.0.1:1/x.jpg: "));
}

fn fit(setting: &Setting, parameters: Value, data: &[String]) -> Fitted {
    setting.open(parameters).expect("a reader").fit(data).expect("training data")
}

fn all(fitted: &Fitted) -> Batch {
    let indices: Vec<usize> = (0..fitted.train.len()).collect();
    fitted.train.batch(&indices).expect("a batch")
}

#[test]
fn class_directories_train() {
    let data = [text(&fixture("shapes"))];
    let parameters = json!({"width": 16, "height": 16, "shuffle": true, "seed": 42, "test_split": 0.25});
    let fitted = fit(&Setting::default(), parameters.clone(), &data);
    assert_eq!(fitted.labels, Labels::from_names(["circle", "square", "triangle"]));
    assert_eq!((fitted.train.len(), fitted.tests.len(), fitted.tests[0].data.len()), (9, 1, 3));
    assert_eq!(fitted.tests[0].name, "");
    assert_eq!(fitted.shape, SampleShape::Image { width: Some(16), height: Some(16), channels: 3 });
    assert_eq!(Value::Object(fitted.report.clone()), json!({"connector": "image"}));

    let batch = all(&fitted);
    let Some(Targets::Classes(classes)) = &batch.targets else { panic!("classes expected") };
    for (uri, class) in batch.uris.iter().zip(classes) {
        let name = fitted.labels.name(usize::try_from(*class).expect("an id"));
        assert!(uri.contains(&format!("/{name}/")), "{uri} is {name}");
    }
    let again = all(&fit(&Setting::default(), parameters, &data));
    assert_eq!(again, batch, "the same seed, the same order");
    let other = json!({"width": 16, "height": 16, "shuffle": true, "seed": 43, "test_split": 0.25});
    assert_ne!(all(&fit(&Setting::default(), other, &data)).uris, batch.uris);

    let some = fitted.train.batch(&[3, 0, 3]).expect("a batch");
    assert_eq!(some.uris, [&batch.uris[3], &batch.uris[0], &batch.uris[3]].map(Clone::clone));
    assert_eq!(images(some)[1], images(batch)[0]);
    assert!(fitted.train.batch(&[9]).is_err());
}

#[test]
fn known_class_names_keep_their_ids_and_a_second_item_is_the_test_set() {
    let labels = Labels::parse("2 circle\n1 square\n0 triangle\n").expect("lines");
    let setting = Setting { labels: labels.clone(), ..Setting::default() };
    let data = [text(&fixture("shapes")), text(&fixture("shapes"))];
    let fitted = fit(&setting, json!({"width": 8, "height": 8, "test_split": 0.5}), &data);
    assert_eq!(fitted.labels, labels);
    assert_eq!((fitted.train.len(), fitted.tests[0].data.len()), (12, 12));
    let expected: Vec<i64> = [2, 1, 0].into_iter().flat_map(|class| [class; 4]).collect();
    assert_eq!(all(&fitted).targets, Some(Targets::Classes(expected)));
    let three = [&data[..], &data[..1]].concat();
    let refused = open(json!({})).fit(&three);
    assert!(refusal(refused).contains("multiple test sets"));
}

#[test]
fn list_files_train() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::copy(circle(), directory.path().join("a circle.jpg")).expect("copied");
    let list = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        text(&path)
    };
    let parameters = json!({"width": 8, "height": 8});
    let classes = list("classes.txt", &format!("\u{feff}{} 1\r\n\na circle.jpg 0\n", circle()));
    let fitted = fit(&Setting::default(), parameters.clone(), std::slice::from_ref(&classes));
    assert_eq!(all(&fitted).targets, Some(Targets::Classes(vec![1, 0])));
    assert!(fitted.labels.is_empty());

    let values = |fitted: &Fitted| match all(fitted).targets {
        Some(Targets::Values(tensor)) => (tensor.shape().to_vec(), tensor.values().to_vec()),
        other => panic!("values expected, found {other:?}"),
    };
    let regression = Setting { regression: true, ..Setting::default() };
    assert_eq!(values(&fit(&regression, parameters.clone(), &[classes])), (vec![2, 1], vec![1.0, 0.0]));
    let several = list("values.txt", &format!("{} 1 2.5 -3e1\na circle.jpg 4 5 6\n", circle()));
    let fitted = fit(&Setting::default(), parameters.clone(), &[several]);
    assert_eq!(values(&fitted), (vec![2, 3], vec![1.0, 2.5, -30.0, 4.0, 5.0, 6.0]));

    let root = json!({"width": 8, "height": 8, "root_folder": text(&fixture("shapes"))});
    let rooted = list("rooted.txt", "circle/circle01.jpg 0\nsquare/square00.jpg 1\n");
    assert_eq!(fit(&Setting::default(), root, &[rooted]).train.len(), 2);

    for (content, expected) in [
        ("a circle.jpg 1\na circle.jpg -1\n", "negative supervised discrete target"),
        ("a circle.jpg 1\n\na circle.jpg -1\n", "bad.txt, line 3"),
        ("a circle.jpg 1.0\n", "expected the number of a class, with digits alone"),
        ("a circle.jpg 1\na circle.jpg 2e0\n", "bad.txt, line 2"),
        ("a circle.jpg 1\na circle.jpg 1 2\n", "line 2"),
        ("a circle.jpg 1\nmissing.jpg 2\n", "there is no file where its path leads"),
        ("a circle.jpg\n", "one or more numbers"),
        ("\n\n", "no image could be found"),
    ] {
        let refused = open(parameters.clone()).fit(&[list("bad.txt", content)]);
        let refused = refusal(refused);
        assert!(refused.contains(expected), "{content:?}: {refused}");
    }
}

#[test]
fn missing_training_data_is_named() {
    let reader = open(json!({}));
    assert!(refusal(reader.fit(&["/nonexistent/train".to_owned()])).contains("/nonexistent/train"));
    assert!(refusal(reader.fit(&["http://127.0.0.1:1/train".to_owned()])).contains("found a URL"));
    assert_eq!(refusal(reader.fit(&[])), "missing data");
    let flat = text(&fixture("shapes/circle"));
    assert!(refusal(reader.fit(&[flat])).contains("one sub-directory per class"));
}

#[test]
fn what_training_stores_reads_the_same_pixels_again() {
    for parameters in [
        json!({"width": 20, "height": 10, "interp": "area", "rgb": true, "mean": [0.485, 1.0, 2.0], "std": [1, 2, 3], "scale": 0.1}),
        json!({"width": -1, "height": 30, "aspect_ratio_pad": true, "bw": true, "histogram_equalization": true}),
        json!({"scale_min": 30, "scale_max": 35, "unchanged_data": true}),
        json!({"width": -1, "height": -1, "bw": true, "rgb": true}),
        json!({"width": 40, "height": 40, "crop_width": 30, "crop_height": 20, "interp": "lanczos4"}),
    ] {
        let fitted = fit(&Setting::default(), parameters.clone(), &[text(&fixture("shapes"))]);
        let stored = Value::Object(fitted.state.clone());
        let trained = fitted.train.batch(&[0]).expect("a batch");
        let predicted = open(stored.clone()).read(&trained.uris).expect("an image");
        assert_eq!(predicted.samples, trained.samples, "{parameters} became {stored}");
    }
}
