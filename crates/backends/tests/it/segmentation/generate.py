"""Writes the networks of ../segmentation.rs and what ONNX Runtime and numpy answer of them (expected.json).

Needs: pip install numpy onnx onnxruntime. The weights are random; no class is that of most pixels, which is checked.
"""

import json
import pathlib

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT, CLASSES = 12, 8, 5

random = numpy.random.default_rng(5)


def images():
    """As the test makes them: two images, channels first."""
    n, c, y, x = numpy.indices((2, 3, HEIGHT, WIDTH))
    return ((x * 31 + y * 17 + c * 101 + n * 57 + x * y * 7) % 256).astype(numpy.float32)


def network(name, end, classes=CLASSES, element=TensorProto.FLOAT, shape=None):
    """Two convolutions, at half of the size between them, and what follows them."""
    weights = {
        "w1": random.normal(size=(6, 3, 3, 3)) / 255, "b1": random.normal(size=6) / 4,
        "w2": random.normal(size=(classes, 6, 3, 3)), "b2": random.normal(size=classes) / 4,
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Resize", ["b", "", "scales"], ["c"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
        helper.make_node("Conv", ["c", "w2", "b2"], ["scores"], pads=[1, 1, 1, 1]),
        *end,
    ]
    held = [numpy_helper.from_array(value.astype(numpy.float32), key) for key, value in weights.items()]
    held.append(numpy_helper.from_array(numpy.array([1, 1, 2, 2], numpy.float32), "scales"))
    output = end[-1].output[0] if end else "scores"
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(output, element, shape or ["n", classes, HEIGHT, WIDTH])], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path = HERE / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images()})[0]


def softmax(scores):
    powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def case(name, classes, probabilities):
    counts = numpy.unique(classes, return_counts=True)
    assert len(counts[0]) >= min(3, classes.max() + 1) and counts[1].max() < 0.8 * classes.size, (name, counts)
    lists = [{"classes": one.ravel().tolist()} for one in classes]
    if probabilities is not None:
        best = numpy.take_along_axis(probabilities, classes[:, None], axis=1)[:, 0]
        for one, best, second in zip(lists, best, probabilities[:, 1]):
            one["best"] = [round(float(value), 7) for value in best.ravel()]
            one["1"] = [round(float(value), 7) for value in second.ravel()]
    return {"network": name, "images": lists}


node = helper.make_node
scores = network("scores", [])
sure = network("softmax", [node("Softmax", ["scores"], ["sure"], axis=1)])
numbers = network("argmax", [node("ArgMax", ["scores"], ["numbers"], axis=1, keepdims=0)],
                  element=TensorProto.INT64, shape=["n", HEIGHT, WIDTH])
one = network("sigmoid", [node("Sigmoid", ["scores"], ["one"])], classes=1)
cases = [
    case("scores", scores.argmax(axis=1), softmax(scores)),
    case("softmax", sure.argmax(axis=1), sure),
    case("argmax", numbers, None),
    case("sigmoid", (one[:, 0] >= 0.5).astype(int), numpy.concatenate([1 - one, one], axis=1)),
]
lines = ",\n".join(json.dumps(case) for case in cases)
(HERE / "expected.json").write_text(f"[\n{lines}\n]\n")
