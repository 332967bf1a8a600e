//! Networks in which a request's values say how much is computed: refused, as nothing that is tried at creation bounds them.

use super::honest::Honest;
use super::networks::{beside, creation};
use super::onnx_file::{Attribute, FLOAT, INT64, call, floats, looping, model, node, numbers, with_function};
use crate::models::predict_body;
use crate::server::Server;

/// `size`: as large as the largest value of the request; `sizes`: the same as a list of one.
fn size() -> Vec<u8> {
    [
        node("ReduceMax", &["x"], &["largest"], &[("keepdims", Attribute::Int(0))]),
        node("Cast", &["largest"], &["size"], &[("to", Attribute::Int(INT64))]),
        numbers("one", &[1], false),
        node("Reshape", &["size", "one"], &["sizes"], &[]),
    ]
    .concat()
}

/// Adds the largest of what `parts` compute as `large` to the input.
fn with_large(parts: &[Vec<u8>]) -> Vec<u8> {
    beside(&[&[size()], parts].concat(), "large")
}

/// The loop goes on while a value is below a bound.
fn while_small() -> Vec<Vec<u8>> {
    vec![
        node("ReduceMax", &["v"], &["most"], &[("keepdims", Attribute::Int(0))]),
        node("Less", &["most", "bound"], &["c2"], &[]),
    ]
}

/// With `Fill`, which makes a tensor of a size.
fn filled(model: &[u8]) -> Vec<u8> {
    with_function(model, "Fill", &["size"], &["filled"], &[node("ConstantOfShape", &["size"], &["filled"], &[])])
}

fn unbounded() -> Vec<(&'static str, Vec<u8>)> {
    let row = || floats("row", &[1], &[1.0]);
    let same = || vec![node("Identity", &["c"], &["c2"], &[])];
    vec![
        ("ConstantOfShape", with_large(&[node("ConstantOfShape", &["sizes"], &["large"], &[])])),
        ("Expand", with_large(&[row(), node("Expand", &["row", "sizes"], &["large"], &[])])),
        ("Tile", with_large(&[row(), node("Tile", &["row", "sizes"], &["large"], &[])])),
        (
            "Range",
            with_large(&[
                numbers("zero", &[0], true),
                numbers("step", &[1], true),
                node("Range", &["zero", "size", "step"], &["numbers"], &[]),
                node("Cast", &["numbers"], &["large"], &[("to", Attribute::Int(FLOAT))]),
            ]),
        ),
        (
            "Pad",
            with_large(&[
                row(),
                node("Concat", &["sizes", "sizes"], &["both"], &[("axis", Attribute::Int(0))]),
                node("Pad", &["row", "both"], &["large"], &[]),
            ]),
        ),
        (
            "Resize",
            with_large(&[
                row(),
                node("Resize", &["row", "", "", "sizes"], &["large"], &[("mode", Attribute::Text("nearest"))]),
            ]),
        ),
        (
            "OneHot",
            with_large(&[
                floats("values", &[2], &[0.0, 1.0]),
                node("OneHot", &["one", "size", "values"], &["large"], &[]),
            ]),
        ),
        ("ConstantOfShape", filled(&with_large(&[call("Fill", &["sizes"], &["large"])]))),
        (
            "Expand",
            with_function(
                &with_large(&[
                    row(),
                    call("Measure", &["x"], &["own"]),
                    node("Expand", &["row", "own"], &["large"], &[]),
                ]),
                "Measure",
                &["v"],
                &["sizes"],
                &[
                    node("ReduceMax", &["v"], &["most"], &[("keepdims", Attribute::Int(0))]),
                    node("Cast", &["most"], &["number"], &[("to", Attribute::Int(INT64))]),
                    node("Constant", &[], &["one"], &[("value_ints", Attribute::Ints(vec![1]))]),
                    node("Reshape", &["number", "one"], &["sizes"], &[]),
                ],
            ),
        ),
        ("Loop", looping("size", &[size()], &same())),
        ("Loop", looping("count", &[numbers("count", &[1 << 62], true), floats("bound", &[], &[2.0])], &while_small())),
        ("Loop", looping("", &[floats("bound", &[], &[2.0])], &while_small())),
    ]
}

fn bounded() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "a size of a shape",
            model(
                &[0, 4],
                &[
                    node("Shape", &["x"], &["shape"], &[]),
                    node("ConstantOfShape", &["shape"], &["zeros"], &[]),
                    node("Add", &["x", "zeros"], &["y"], &[]),
                ],
            ),
        ),
        (
            "a function of a size of a shape",
            filled(&model(
                &[0, 4],
                &[
                    node("Shape", &["x"], &["shape"], &[]),
                    call("Fill", &["shape"], &["zeros"]),
                    node("Add", &["x", "zeros"], &["y"], &[]),
                ],
            )),
        ),
        ("a few rounds", looping("count", &[numbers("count", &[3], true)], &[node("Identity", &["c"], &["c2"], &[])])),
    ]
}

#[test]
fn what_values_make_large_is_refused() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let networks =
        unbounded().into_iter().map(|case| (true, case)).chain(bounded().into_iter().map(|case| (false, case)));
    for (number, (is_refused, (what, network))) in networks.enumerate() {
        let repository = server.path().join(format!("network-{number}"));
        std::fs::create_dir(&repository).unwrap();
        std::fs::write(repository.join("model.onnx"), network).unwrap();
        let name = format!("tried{number}");
        let (status, answer) = server.put(&format!("/services/{name}"), &creation("onnx", "csv", &repository));
        if is_refused {
            let text = answer.to_string();
            assert!(status == 400 && text.contains(&format!("operator {what}: the values")), "{what}: {answer}");
        } else {
            assert_eq!(status, 201, "{what}: {answer}");
            assert_eq!(server.post("/predict", &predict_body(&name, "1,2,3,4")).0, 200, "{what}");
        }
    }
    assert_eq!(server.get("/info").1["head"]["services"].as_array().map(Vec::len), Some(bounded().len()));
}
