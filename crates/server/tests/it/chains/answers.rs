//! What chains answer: where each answer stands, and that it is the one of its own box and image.

use serde_json::{Value, json};

use super::networks::{colours, detector, first, quarters};
use super::pictures::{BLACK, BLUE, GREEN, RED, painted, plain};
use super::{best, predictions, send, served_by};
use crate::server::Server;

const UPRIGHT: [&str; 4] = ["upper-left", "upper-right", "lower-left", "lower-right"];

fn stage() -> Server {
    let server = Server::start(&[]);
    detector(&server, "finder");
    colours(&server, "colour");
    server
}

fn crop() -> Value {
    json!({"id": "crop", "action": {"type": "crop", "parameters": {}}})
}

fn then(service: &str) -> Value {
    json!({"service": service, "parent_id": "crop"})
}

/// Thirty images, every third of another colour, and black ones between, in which nothing is found.
#[test]
fn each_box_gets_the_answer_about_it_and_each_image_its_own() {
    let server = stage();
    let palette = [(RED, "red"), (GREEN, "green"), (BLUE, "blue"), (BLACK, "")];
    let images: Vec<String> = (0..30).map(|number| plain(palette[number % 4].0)).collect();
    let threshold = json!({
        "service": "finder", "data": images,
        "parameters": {"input": {"keep_orig": true}, "output": {"bbox": true, "confidence_threshold": 0.1}},
    });
    let response = send(&server, &json!([threshold, crop(), then("colour")]));
    assert_eq!(served_by(&response), ["finder", "colour"]);
    let found = response.json().expect("JSON")["body"]["predictions"].take();
    for (number, prediction) in found.as_array().expect("predictions").iter().enumerate() {
        assert_eq!(prediction["uri"], number.to_string());
        let classes = prediction["classes"].as_array().expect("classes");
        let (_, name) = palette[number % 4];
        assert_eq!(classes.len(), if name.is_empty() { 0 } else { 3 }, "{prediction}");
        for class in classes {
            assert_eq!(best(&class["colour"]), name, "{number}: {class}");
            assert!(class["colour"].get("uri").is_none() && class["bbox"].is_object(), "{class}");
        }
    }
}

#[test]
fn a_crop_is_what_is_in_the_box() {
    let server = stage();
    // Scaled by four: the first box is from 4 to 28 and from 4 to 24, and the last one the right half.
    let image = painted(128, 32, |x, y| match (x, y) {
        (4..28, 4..24) => RED,
        (64.., _) => BLUE,
        _ => BLACK,
    });
    let calls = |parameters: Value| {
        let crop = json!({"id": "crop", "action": {"type": "crop", "parameters": parameters}});
        json!([first("finder", &json!([image])), crop, then("colour")])
    };
    let found = predictions(&server, &calls(json!({})));
    let colours: Vec<&str> =
        found[0]["classes"].as_array().unwrap().iter().map(|class| best(&class["colour"])).collect();
    assert_eq!(colours, ["red", "blue", "blue"]);
    assert_eq!(found[0]["classes"][0]["bbox"], json!({"xmin": 4.0, "ymin": 4.0, "xmax": 28.0, "ymax": 24.0}));
    let certain = |found: &Value| found[0]["classes"][0]["colour"]["classes"][0]["prob"].as_f64().unwrap();
    let padded = predictions(&server, &calls(json!({"padding_ratio": 1.0})));
    assert!(certain(&padded) < certain(&found), "with black around it is less red: {padded}");
    let small = predictions(&server, &calls(json!({"fixed_width": 4, "fixed_height": 4})));
    assert_eq!(certain(&small), certain(&found), "the middle is as red as the whole");
}

#[test]
fn originals_are_cropped_where_they_are_kept_and_what_the_network_sees_elsewhere() {
    let server = stage();
    // Every other column of the image is red, and the others blue. At a quarter of its width both become a purple; nearest keeps one.
    let image = painted(128, 32, |x, _| if x % 4 == 0 { RED } else { BLUE });
    let calls = |keep_orig: bool| {
        let input = json!({"keep_orig": keep_orig, "interp": "nearest"});
        json!([
            {"service": "finder", "data": [image], "parameters": {"input": input, "output": {"bbox": true}}},
            crop(),
            then("colour"),
        ])
    };
    assert_eq!(best(&predictions(&server, &calls(true))[0]["classes"][0]["colour"]), "blue");
    assert_eq!(best(&predictions(&server, &calls(false))[0]["classes"][0]["colour"]), "red");
}

#[test]
fn two_services_read_the_same_crops_and_names_are_those_that_were_asked() {
    let server = stage();
    quarters(&server, "quarter", &UPRIGHT);
    assert_eq!(server.put("/aliases/what", &json!({"service": "colour"})).0, 200);
    let image = painted(64, 16, |x, y| if x < 16 && y < 6 { RED } else { BLACK });
    let quarter = json!({"service": "quarter", "parent_id": "crop", "parameters": {"output": {"best": 2}}});
    let calls = json!([first("finder", &json!([image])), crop(), then("WHAT"), quarter]);
    let response = send(&server, &calls);
    assert_eq!(served_by(&response), ["finder", "colour", "quarter"]);
    let answer = response.json().expect("JSON");
    let class = &answer["body"]["predictions"][0]["classes"][0];
    assert_eq!(best(&class["what"]), "red", "{answer}");
    assert_eq!(class["quarter"]["classes"].as_array().map(Vec::len), Some(2));
    assert_eq!(class["what"]["classes"].as_array().map(Vec::len), Some(1));

    colours(&server, "other");
    assert_eq!(server.put("/aliases/what", &json!({"service": "other"})).0, 200);
    assert_eq!(served_by(&send(&server, &calls)), ["finder", "other", "quarter"]);
}

#[test]
fn thresholds_leave_out_what_they_leave_out_elsewhere() {
    let server = stage();
    let calls = |of_first: f64, of_second: f64| {
        json!([
            {"service": "finder", "data": [plain(RED)], "parameters": {
                "input": {"keep_orig": true}, "output": {"bbox": true, "confidence_threshold": of_first}}},
            crop(),
            {"service": "colour", "parent_id": "crop", "parameters": {"output": {"confidence_threshold": of_second}}},
        ])
    };
    let nothing = predictions(&server, &calls(1.0, 0.0));
    assert_eq!(nothing[0]["classes"], json!([]), "nothing was found, and nothing followed");
    assert_eq!(served_by(&send(&server, &calls(1.0, 0.0))), ["finder"]);
    let some = predictions(&server, &calls(0.4, 1.0));
    assert_eq!(some[0]["classes"].as_array().map(Vec::len), Some(2));
    assert_eq!(some[0]["classes"][0]["colour"]["classes"], json!([]));
}

#[test]
fn classes_that_are_filtered_out_are_not_in_the_answer() {
    let server = stage();
    let filter =
        |classes: Value| json!({"id": "keep", "action": {"type": "filter", "parameters": {"classes": classes}}});
    let found = predictions(
        &server,
        &json!([first("finder", &json!([plain(RED)])), filter(json!(["dog"])), crop(), then("colour")]),
    );
    let classes = found[0]["classes"].as_array().expect("classes");
    assert_eq!((classes.len(), &classes[0]["cat"], &classes[0]["last"]), (1, &json!("dog"), &json!(true)));
    assert_eq!(best(&classes[0]["colour"]), "red");
    let none = predictions(
        &server,
        &json!([first("finder", &json!([plain(RED)])), filter(json!(["bird"])), crop(), then("colour")]),
    );
    assert_eq!(none[0]["classes"], json!([]));
}

#[test]
fn images_are_turned_back_or_on() {
    let server = stage();
    quarters(&server, "angle", &["0", "90", "180", "270"]);
    quarters(&server, "quarter", &UPRIGHT);
    // The brightest quarter is the upper right one: the second class, and so an angle of 90.
    let image = painted(8, 8, |x, y| if x >= 4 && y < 4 { RED } else { BLACK });
    for (orientation, expected) in [("relative", "upper-left"), ("absolute", "lower-right")] {
        let calls = json!([
            {"service": "angle", "data": [image], "parameters": {"input": {"keep_orig": true}}},
            {"action": {"type": "rotate", "parameters": {"orientation": orientation}}},
            {"service": "quarter"},
        ]);
        let found = predictions(&server, &calls);
        assert_eq!((best(&found[0]), best(&found[0]["quarter"])), ("90", expected), "{orientation}");
    }
}

#[test]
fn drawn_images_are_answered_where_that_is_asked_for_and_read_by_others() {
    let server = stage();
    let draw = |shown: bool| {
        let parameters = json!({"thickness": 2, "write_prob": true, "output_images": shown});
        json!({"id": "drawn", "action": {"type": "draw_bbox", "parameters": parameters}})
    };
    let image = painted(60, 20, |_, _| BLUE);
    let found = predictions(
        &server,
        &json!([first("finder", &json!([image])), draw(true), {"service": "colour", "parent_id": "drawn"}]),
    );
    let values = found[0]["drawn"]["vals"].as_array().expect("bytes");
    assert_eq!(values.len(), 3 * 60 * 20);
    assert!(values.chunks(3).any(|pixel| *pixel == [json!(255), json!(255), json!(255)]), "edges are white");
    assert_eq!(found[0]["classes"].as_array().map(Vec::len), Some(3));
    assert!(found[0]["colour"]["classes"].is_array(), "{}", found[0]["colour"]);
    let found = predictions(&server, &json!([first("finder", &json!([image])), draw(false)]));
    assert!(found[0].get("drawn").is_none());
}

#[test]
fn chains_and_their_calls_are_counted() {
    let server = stage();
    predictions(&server, &json!([first("finder", &json!([plain(RED), plain(BLUE)])), crop(), then("colour")]));
    send(&server, &json!([{"service": "nosuch", "data": [plain(RED)]}]));
    let text = String::from_utf8(server.send("GET", "/metrics", "").body).expect("UTF-8");
    let line = |parts: &[&str]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        &["dede_http_requests_total{", "route=\"chain\"", "code=\"200\"", "} 1"][..],
        &["dede_http_requests_total{", "route=\"chain\"", "code=\"500\"", "} 1"],
        &["dede_predict_requests_total{", "service=\"finder\"", "code=\"200\"", "} 1"],
        &["dede_predict_items_total{", "service=\"finder\"", "} 2"],
        &["dede_predict_items_total{", "service=\"colour\"", "} 6"],
    ] {
        assert!(line(parts), "{parts:?}: {text}");
    }
}
