"""Writes the folders of `files` whose inputs are made rather than found: networks of one or a few operators, and what they compute.

    pip install numpy onnx onnxruntime
    python3 generate.py files

Right numbers are those of onnxruntime or of the formulas in the layers' papers, in the precision that the file asks for.
"""

import base64
import json
import pathlib
import shutil
import struct
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FILES = pathlib.Path(sys.argv[1])
random = np.random.default_rng(7)


# ---- folders ----
def write(name, what, calls, right, files, **engines):
    folder = FILES / name
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    case = {"what": what, "calls": calls, "right": right, **engines}
    folder.mkdir(exist_ok=True)
    members = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in case.items() if key != "calls"]
    listed = ",\n  ".join(json.dumps(call, ensure_ascii=False) for call in calls)
    (folder / "case.json").write_text("{\n " + ",\n ".join([members[0], f'"calls": [\n  {listed}\n ]', *members[1:]]) + "\n}\n")


def creation(mllib, connector="csv", library="onnx", kind="supervised", **more):
    parameters = {"input": {"connector": connector, **more.pop("input", {})}, "mllib": mllib}
    model = {"repository": "@D@/repo", **more.pop("model", {})}
    return ["PUT", "/services/@S@", {"mllib": library, "description": "x", "type": kind, "parameters": parameters, "model": model}]


def prediction(rows, **output):
    data = [",".join(repr(float(number)) for number in row) for row in rows]
    return ["POST", "/predict", {"service": "@S@", "parameters": {"output": output}, "data": data}]


# ---- networks ----
def network(nodes, columns, outputs, constants=(), opset=17, domains=()):
    """One input `x` of rows of so many columns; outputs by name with the extents of an item, or a type and extents."""
    def value(name, extents):
        element, extents = extents if isinstance(extents, tuple) else (TensorProto.FLOAT, extents)
        return helper.make_tensor_value_info(name, element, ["N", *extents])

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *(columns if isinstance(columns, list) else [columns])])]
    made = [value(name, extents) for name, extents in outputs.items()]
    held = [numpy_helper.from_array(array, name) for name, array in dict(constants).items()]
    graph = helper.make_graph([helper.make_node(op, taken, given, **attributes) for op, taken, given, attributes in nodes],
                              "g", inputs, made, held)
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, version) for domain, version in domains)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    return model.SerializeToString()


def computed(model, rows, output=0):
    options = onnxruntime.SessionOptions()
    # Some optimisations of onnxruntime change what is computed.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    extents = session.get_inputs()[0].shape[1:]
    found = session.run(None, {"x": np.asarray(rows, np.float32).reshape(len(rows), *extents)})[output]
    return np.asarray(found, np.float64).reshape(len(rows), -1).tolist()


def floats(*extents):
    return random.normal(0, 1, extents).astype(np.float32)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(red, green, blue, text):
    """A PNG of one pixel."""
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"tEXt", b"a\0" + text), chunk(b"IDAT", zlib.compress(bytes([0, red, green, blue]))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def softmax(numbers):
    e = np.exp(numbers - np.max(numbers, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def values(name, what, model, rows, files=(), **engines):
    """A network that answers values."""
    calls = [creation({}, kind="unsupervised"), prediction(rows)]
    write(name, what, calls, {"rows": computed(model, rows)}, {"repo/net.onnx": model, **dict(files)}, **engines)


# ---- what an output means ----
def meanings():
    rows = floats(3, 4)
    dense = {"w": floats(4, 5), "b": floats(5)}
    scores = ("Gemm", ["x", "w", "b"], ["scores"], {})

    heads = network([scores, ("Split", ["scores", "parts"], ["one", "other"], {"axis": 1}), ("Softmax", ["one"], ["p"], {}),
                     ("Softmax", ["other"], ["q"], {}), ("Concat", ["p", "q"], ["y"], {"axis": 1})], 4, {"y": [5]},
                    {**dense, "parts": np.array([3, 2])})
    write("meaning-heads-beside-each-other", "two softmaxes beside each other are each as they are",
          [creation({"nclasses": 5}), prediction(rows, best=5)], {"rows": computed(heads, rows)}, {"repo/net.onnx": heads})

    weighed = network([scores, ("Softmax", ["scores"], ["p"], {}), ("MatMul", ["p", "merge"], ["y"], {})], 4, {"y": [3]},
                      {**dense, "merge": np.eye(5, 3, dtype=np.float32) + np.eye(5, 3, -3, dtype=np.float32)})
    write("meaning-weights-over-probabilities", "merged classes or scores: it cannot be told",
          [creation({"nclasses": 3}), prediction(rows, best=3)],
          {"refused": ["softmax", "logits", "parameters.mllib.output_activation"]}, {"repo/net.onnx": weighed})
    for said, numbers in {"softmax": computed(weighed, rows), "logits": softmax(np.array(computed(weighed, rows))).tolist()}.items():
        write(f"meaning-weights-over-probabilities-said-to-be-{said}", f"merged classes or scores: the client says {said}",
              [creation({"nclasses": 3, "output_activation": said}), prediction(rows, best=3)], {"rows": numbers},
              {"repo/net.onnx": weighed})

    labels = network([scores, ("Sigmoid", ["scores"], ["y"], {})], 4, {"y": [5]}, dense)
    write("meaning-description-says-what-was-found", "the description of a service says what its output holds",
          [creation({"nclasses": 5}), ["GET", "/services/@S@", None]], {"says": ["\"sigmoid\""]}, {"repo/net.onnx": labels})

    plane = network([("Conv", ["x", "k"], ["y"], {"kernel_shape": [1, 1]})], [3, 4, 4], {"y": [5, 4, 4]}, {"k": floats(5, 3, 1, 1)})
    write("meaning-map-is-no-classification", "an answer for each place of an image is no list of classes",
          [creation({"nclasses": 5}, "image", input={"width": 4, "height": 4})],
          {"refused": ["output y", "[5, 4, 4]"]}, {"repo/net.onnx": plane})

    both = network([scores, ("Gemm", ["x", "v"], ["others"], {})], 4, {"scores": [5], "others": [5]}, {**dense, "v": floats(4, 5)})
    write("meaning-two-outputs-of-one-size", "two outputs that fit: neither is taken in silence",
          [creation({"nclasses": 5})], {"refused": ["scores", "others", "parameters.mllib.output"]}, {"repo/net.onnx": both})
    for key in ("output", "outputBlob"):
        write(f"meaning-two-outputs-by-{key.lower()}", "two outputs that fit: the one that is asked for",
              [creation({"nclasses": 5, key: "others"}), prediction(rows, best=5)],
              {"rows": softmax(np.array(computed(both, rows, 1))).tolist()}, {"repo/net.onnx": both})

    chosen = network([scores, ("ArgMax", ["scores"], ["label"], {"axis": 1, "keepdims": 0}),
                      ("Cast", ["label"], ["y"], {"to": TensorProto.FLOAT})], 4, {"y": []}, dense)
    write("meaning-label-is-no-value", "the number of a class is no value of a regression",
          [creation({"regression": True, "ntargets": 1})], {"refused": ["output y", "class labels"]}, {"repo/net.onnx": chosen})


# ---- operators ----
def operators():
    rows = floats(2, 12)
    shape = {"s": np.array([-1, 3, 2, 2]), "flat": np.array([0, -1])}
    apart, flat = ("Reshape", ["x", "s"], ["a"], {}), ("Reshape", ["b", "flat"], ["y"], {})
    for op in ("Softmax", "LogSoftmax"):
        for version in (9, 11):
            model = network([apart, (op, ["a"], ["b"], {}), flat], 12, {"y": [12]}, shape, opset=version)
            values(f"operator-{op.lower()}-{version}-on-images", f"{op} of opset {version}: from axis 1 on, all together", model, rows)
    kernels = {"Conv": floats(2, 3, 2, 2), "ConvTranspose": floats(3, 2, 3, 3)}
    for op, kernel in kernels.items():
        extents = [2, 2, 2] if op == "Conv" else [2, 4, 4]
        strides = {} if op == "Conv" else {"strides": [2, 2]}
        model = network([apart, (op, ["a", "k"], ["b"], {"auto_pad": "SAME_LOWER", **strides}), flat], 12,
                        {"y": [int(np.prod(extents))]}, {**shape, "k": kernel})
        values(f"operator-{op.lower()}-of-planes-same-lower", f"{op} with SAME_LOWER: the odd row of padding goes in front", model, rows)
    for op in ("MaxPool", "AveragePool"):
        model = network([apart, (op, ["a"], ["b"], {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}), flat], 12, {"y": [12]}, shape)
        values(f"operator-{op.lower()}-same-lower", f"{op} with SAME_LOWER: the odd row of padding goes in front", model, rows)
    scales = {"scale": np.array([0.1, 0.2, 0.5], np.float32), "zero": np.array([0, 3, 1], np.uint8)}
    model = network([("QuantizeLinear", ["x", "one"], ["q"], {}), ("DequantizeLinear", ["q", "scale", "zero"], ["y"], {})], 3, {"y": [3]},
                    {"one": np.float32(0.1), **scales}, opset=13)
    values("operator-dequantize-default-axis", "DequantizeLinear per channel without an axis: axis 1", model, np.abs(floats(2, 3)))
    whole = [("Cast", ["x"], ["i"], {"to": TensorProto.INT64}), ("Mul", ["i", "k"], ["p"], {}), ("Cast", ["p"], ["y"], {"to": TensorProto.FLOAT})]
    model = network(whole, 2, {"y": [2]}, {"k": np.array([2_000_000_000])})
    values("operator-int64-product", "a product of int64 that needs more than 32 bits", model, [[3, 5]],
           rten={"refused": ["int64", "32 bits", "ONNX Runtime"]})
    ties = [[1, 3, 3, 0], [2, 2, 2, 2], [0, 1, 0, 1]]
    for op, last in (("ArgMin", 0), ("ArgMax", 1), ("ArgMin", 1)):
        model = network([(op, ["x"], ["i"], {"axis": 1, "select_last_index": last}), ("Cast", ["i"], ["y"], {"to": TensorProto.FLOAT})], 4, {"y": [1]})
        name = f"operator-{op.lower()}-{'last' if last else 'first'}-of-ties"
        values(name, f"{op} of equal numbers: the {'last' if last else 'first'} of them", model, ties)
    model = network([apart, ("Conv", ["a", "k"], ["b"], {}), flat], 12, {"y": [2]}, {**shape, "k": floats(2, 3, 2, 2)})
    values("operator-conv-says-nothing", "Conv without kernel_shape, strides, dilations and pads", model, rows)
    negative = network([("Cast", ["x"], ["i"], {"to": TensorProto.INT32}), ("Cast", ["i"], ["t"], {"to": TensorProto.BOOL}), ("Not", ["t"], ["n"], {}),
                        ("Cast", ["n"], ["y"], {"to": TensorProto.FLOAT})], 4, {"y": [4]})
    values("operator-cast-to-bool-and-not", "whatever is not 0 is true", negative, [[2, 0, -3, 1]])


# ---- Caffe ----
def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(array):
    dims = b"".join(varint(extent) for extent in array.shape)
    return message(7, message(1, dims)) + message(5, array.astype("<f4").tobytes())


def weights(**layers):
    """`NetParameter`: layer 100 with name 1 and blobs 7 (caffe.proto)."""
    return b"".join(message(100, message(1, name.encode()) + b"".join(message(7, blob(array)) for array in blobs))
                    for name, blobs in layers.items())


def deploy(extents, *layers):
    dims = " ".join(f"dim: {extent}" for extent in (1, *extents))
    text = f'name: "n"\nlayer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'
    return (text + "\n".join(layers) + "\n").encode()


def caffe():
    rows, matrix, bias = floats(2, 4), floats(4, 3), floats(3)
    product = 'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 %s } }'
    calls = [creation({}, library="caffe", kind="unsupervised"), prediction(rows)]
    write("caffe-innerproduct-transpose", "inner_product_param { transpose: true }: the matrix is stored by inputs", calls,
          {"rows": (rows @ matrix + bias).astype(float).tolist()},
          {"repo/deploy.prototxt": deploy([4], product % "transpose: true"), "repo/model_iter_1.caffemodel": weights(ip=[matrix, bias])})
    write("caffe-innerproduct-axis", "a field that changes numbers and is not supported is refused by its name", calls, {"refused": ["ip", "axis"]},
          {"repo/deploy.prototxt": deploy([4], product % "axis: 0"), "repo/model_iter_1.caffemodel": weights(ip=[matrix.T, bias])})
    mean, variance, gamma, beta = floats(4), np.abs(floats(4)) + 0.5, floats(4), floats(4)
    norm = 'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" batch_norm_param { scale_bias: true eps: 1e-5 } }'
    answers = {1: {"rows": ((rows - mean) / np.sqrt(variance + 1e-5) * gamma + beta).astype(float).tolist()},
               2: {"refused": ["layer bn", "NVCaffe", "BVLC"]}}
    for factor, right in answers.items():
        write(f"caffe-batchnorm-of-five-blobs-with-factor-{factor}", "NVCaffe's BatchNorm with scale_bias: mean, variance, factor, scale and bias",
              calls, right, {"repo/deploy.prototxt": deploy([4], norm),
                             "repo/model_iter_1.caffemodel": weights(bn=[mean, variance, floats(1) * 0 + factor, gamma, beta])})
    images = [creation({}, "image", "caffe", "unsupervised", input={"width": 2, "height": 2})]
    flat = 'layer { name: "f" type: "Flatten" bottom: "data" top: "f" }'
    data = 'layer { name: "data" type: "MemoryData" top: "data" top: "label" transform_param { mean_file: "train.mean" } '
    data += "memory_data_param { batch_size: 1 channels: 3 height: 2 width: 2 } include { phase: TEST } }"
    write("caffe-mean-file-is-missing", "transform_param names a mean image that is not there: every answer would be another", images,
          {"refused": ["mean_file", "train.mean"]},
          {"repo/deploy.prototxt": (data + "\n" + flat + "\n").encode(), "repo/model_iter_1.caffemodel": weights(f=[])})
    write("caffe-corresp-is-missing", "model.corresp names a file that is not there",
          [creation({"nclasses": 3}, library="caffe", model={"corresp": "names.txt"})], {"refused": ["model.corresp", "names.txt"]},
          {"repo/deploy.prototxt": deploy([4], product % ""), "repo/model_iter_1.caffemodel": weights(ip=[matrix.T, bias])})


# ---- requests ----
def requests():
    pixels = network([("Flatten", ["x"], ["y"], {})], [3, 1, 1], {"y": [3]})
    # Its base64 has both characters that URLs write otherwise.
    encoded = next(text for text in (base64.b64encode(png(1, 2, 3, struct.pack(">I", number))).decode() for number in range(10_000))
                   if "+" in text and "/" in text)
    create = creation({}, "image", kind="unsupervised", input={"width": 1, "height": 1})
    predict = lambda text: ["POST", "/predict", {"service": "@S@", "parameters": {}, "data": [text]}]  # noqa: E731
    files = {"repo/net.onnx": pixels}
    write("input-base64-url-safe", "base64 as URLs write it, without padding",
          [create, predict(encoded.replace("+", "-").replace("/", "_").rstrip("="))], {"rows": [[3, 2, 1]]}, files)
    write("input-base64-wrong-character", "what is no base64 is named with its place", [create, predict(encoded[:50] + "*" + encoded[51:])],
          {"refused": ["no base64", "character 51"]}, files)
    write("input-json-line-and-column", "JSON that cannot be parsed: where", [["POST", "/predict", '{"service": "x",\n "data": [1,,2]}']],
          {"refused": ["line 2", "column 13"]}, {})


# ---- what engines put in place of operators ----
def replacements():
    rows = floats(2, 4)
    constants = {name: np.float32(number) for name, number in {"one": 1, "two": 2, "three": 3, "d": 41, "eps": 0.1, "large": 30}.items()}
    scaled = [("Mul", ["n", "scale"], ["s"], {}), ("Add", ["s", "bias"], ["y"], {})]

    def norm(exponent, added):
        return [("ReduceMean", ["x"], ["m"], {"axes": [-1]}), ("Sub", ["x", "m"], ["c"], {}), ("Pow", ["c", exponent], ["p"], {}),
                ("ReduceMean", ["p"], ["v"], {"axes": [-1]}), ("Add", added, ["e"], {}), ("Sqrt", ["e"], ["r"], {}), ("Div", ["c", "r"], ["n"], {})]

    weights = {**constants, "scale": np.arange(1, 5, dtype=np.float32), "bias": np.arange(4, dtype=np.float32)}
    for name, exponent, added in (("epsilon-first", "two", ["eps", "v"]), ("cubed", "three", ["v", "large"])):
        model = network(norm(exponent, added) + scaled, 4, {"y": [4]}, weights, opset=13)
        values(f"replaced-norm-{name}", "operators that look like a LayerNormalization of another epsilon or power", model, rows)
    wide = {**weights, "scale": weights["scale"].reshape(1, 1, 4), "bias": weights["bias"].reshape(1, 1, 4), "flat": np.array([-1, 12])}
    model = network(norm("two", ["v", "eps"]) + [scaled[0], ("Add", ["s", "bias"], ["b"], {}), ("Reshape", ["b", "flat"], ["y"], {})], [3, 4],
                    {"y": [12]}, wide, opset=13)
    values("replaced-norm-scale-of-three-axes", "a LayerNormalization written out, with a scale of three axes", model, floats(2, 12))
    model = network([("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}), ("MatMul", ["t", "v"], ["y"], {})], [3, 4], {"y": [4]}, {"v": floats(3)})
    values("replaced-transposed-by-vector", "a product of a transposed value and a vector", model, floats(2, 12))
    model = network([("Div", ["one", "three"], ["q"], {}), ("Mul", ["x", "q"], ["y"], {})], 4, {"y": [4]}, constants)
    values("replaced-quotient-of-constants", "1.0 / 3.0 is no quotient of whole numbers", model, rows)
    model = network([("Div", ["one", "three"], ["q"], {}), ("Log", ["x"], ["l"], {}), ("Mul", ["l", "q"], ["y"], {})], 4, {"y": [4]}, constants)
    values("replaced-quotient-of-constants-behind-a-logarithm", "a network that takes positive numbers alone", model, np.abs(rows) + 0.1)
    model = network([("Div", ["one", "three"], ["q"], {}), ("Cast", ["x"], ["i"], {"to": TensorProto.INT64}), ("Gather", ["table", "i"], ["g"], {}),
                     ("Mul", ["g", "q"], ["m"], {}), ("Flatten", ["m"], ["y"], {})], 2, {"y": [6]}, {**constants, "table": floats(2, 3)})
    values("replaced-quotient-of-constants-behind-a-table", "a network that takes 0 and 1 alone", model, [[0, 1], [1, 1]])
    model = network([("Div", ["a", "b"], ["q"], {}), ("Sub", ["x", "q"], ["y"], {})], 4, {"y": [4]},
                    {"a": np.array([5, 7, 9, 3], np.float32), "b": np.full(4, 2, np.float32)})
    values("replaced-quotient-of-lists", "quotients of lists of whole numbers in single precision", model, rows)
    model = network([("ReduceSum", ["x"], ["t"], {"noop_with_empty_axes": 1}), ("Shape", ["t"], ["s"], {}), ("Slice", ["s", "from", "to"], ["c"], {}),
                     ("Cast", ["c"], ["f"], {"to": TensorProto.FLOAT}), ("Mul", ["x", "f"], ["y"], {})], 4, {"y": [4]},
                    {"from": np.array([1]), "to": np.array([2])})
    values("replaced-shape-of-no-reduction", "the shape of what is not reduced", model, rows)
    model = network([("Reshape", ["x", "s"], ["q"], {}), ("Pad", ["q", "p"], ["a"], {}), ("MaxPool", ["a"], ["b"], {"kernel_shape": [2]}),
                     ("Flatten", ["b"], ["y"], {})], 4, {"y": [5]}, {"s": np.array([-1, 1, 4]), "p": np.array([0, 0, 1, 0, 0, 1])})
    values("replaced-zeros-around-a-pool", "zeros around an image, and the largest of a window", model, -np.abs(rows))


def places():
    rows = floats(2, 4)
    refused = {"refused": ["rten", "ONNX Runtime"]}
    model = network([("Relu", ["x"], ["a"], {}), ("Reshape", ["a", "s"], ["b"], {}), ("Slice", ["b", "from", "to", "", "by"], ["c"], {}),
                     ("ReduceMean", ["c"], ["y"], {"axes": [1], "keepdims": 0})], 4, {"y": [1]},
                    {"s": np.array([-1, 4, 1]), "from": np.zeros(3, int), "to": np.full(3, 2**31 - 1), "by": np.array([1, 2, 1])})
    values("place-slice-steps-without-axes", "every other place, with steps and without axes", model, rows)
    model = network([("ScatterElements", ["data", "i", "u"], ["t"], {"axis": 2}), ("Reshape", ["t", "s"], ["k"], {}),
                     ("Concat", ["x", "x", "x"], ["w"], {"axis": 1}), ("Add", ["w", "k"], ["y"], {})], 4, {"y": [12]},
                    {"data": np.zeros((2, 3, 2), np.float32), "i": np.zeros((2, 2, 1), int), "s": np.array([12]),
                     "u": np.arange(1, 5, dtype=np.float32).reshape(2, 2, 1)})
    values("place-scatter-fewer-indices", "fewer indices than places on another axis", model, rows, rten=refused)
    model = network([("Div", ["x", "d"], ["q"], {}), ("Floor", ["q"], ["y"], {})], 4, {"y": [4]}, {"d": np.float32(41)})
    values("place-floor-of-quotient", "41 / 41 is 1, not a little less", model, [[41, 82, 123, 40]])
    model = network([("Range", ["a", "b", "c"], ["r"], {}), ("Size", ["r"], ["n"], {}), ("Cast", ["n"], ["f"], {"to": TensorProto.FLOAT}),
                     ("Mul", ["x", "f"], ["y"], {})], 4, {"y": [4]},
                    {"a": np.float32(0), "b": np.float32(2.5), "c": np.float32(0.1)})
    values("place-range-of-fractions", "as many tenths as there are up to 2.5", model, rows, rten=refused)
    model = network([("Reshape", ["x", "s"], ["a"], {}), ("Resize", ["a", "", "", "z"], ["b"],
                                                          {"mode": "nearest", "coordinate_transformation_mode": "half_pixel",
                                                           "nearest_mode": "round_prefer_floor"}),
                     ("Flatten", ["b"], ["y"], {})], 4, {"y": [14]}, {"s": np.array([1, 1, -1, 4]), "z": np.array([1, 1, 1, 14])})
    values("place-nearest-of-14", "the nearest of 4 places for each of 14", model, rows[:1], rten=refused)
    model = network([("Reshape", ["x", "s"], ["a"], {}), ("Resize", ["a", "", "z"], ["b"],
                                                          {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
                     ("Flatten", ["b"], ["c"], {}), ("Gather", ["c", "i"], ["y"], {"axis": 1})], [1, 1, 2], {"y": [1]},
                    {"s": np.array([0, 1, 1, 2]), "z": np.array([1, 1, 1, 41], np.float32), "i": np.array([41])})
    values("place-nearest-41-times", "the last 41 of 82 are of the second of two", model, rows[:, :2], rten=refused)


# ---- numbers that are not what operators at the end say ----
def contradictions():
    dense = {"w": floats(4, 3), "w6": floats(4, 6), "merge": np.tile(np.eye(3, dtype=np.float32), (2, 1)), "zeros": np.zeros(3, np.float32),
             "zero": np.float32(0), "thirds": np.array([-1, 3, 2]), "first": np.array(0), "columns": np.array([-1, 1, 4, 1]),
             "kernel": floats(3, 1, 1, 1), "yes": np.array(True), "ones": np.ones((6, 1), np.float32)}
    three, six = ("MatMul", ["x", "w"], ["s"], {}), ("MatMul", ["x", "w6"], ["s"], {})
    branch = {name: helper.make_graph([helper.make_node("Softmax", ["s"], [name], axis=1)], "b", [],
                                      [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]) for name in ("one", "other")}
    found = {
        "inside-a-branch": [six, ("If", ["yes"], ["p"], {"then_branch": branch["one"], "else_branch": branch["other"]}),
                            ("MatMul", ["p", "merge"], ["y"], {})],
        "summed-by-a-product": [six, ("Exp", ["s"], ["e"], {}), ("MatMul", ["e", "ones"], ["t"], {}), ("Div", ["e", "t"], ["p"], {}),
                                ("MatMul", ["p", "merge"], ["y"], {})],
        "mean-with-zeros": [three, ("Softmax", ["s"], ["p"], {"axis": 1}), ("Mean", ["p", "zeros"], ["y"], {})],
        "scores-above-zero": [three, ("Max", ["s", "zero"], ["y"], {})],
        "mean-with-a-border": [("Reshape", ["x", "columns"], ["c"], {}), ("Conv", ["c", "kernel"], ["v"], {}), ("Softmax", ["v"], ["p"], {"axis": 1}),
                               ("AveragePool", ["p"], ["m"], {"kernel_shape": [4, 3], "pads": [0, 1, 0, 1], "count_include_pad": 1}),
                               ("Flatten", ["m"], ["y"], {})],
        "of-one-place": [six, ("Reshape", ["s", "thirds"], ["q"], {}), ("Softmax", ["q"], ["p"], {"axis": 2}),
                         ("Gather", ["p", "first"], ["y"], {"axis": 2})],
    }
    for name, nodes in found.items():
        model = network(nodes, 4, {"y": [3]}, dense)
        write(f"contradiction-{name}", "the numbers are no probabilities of the classes, or no scores: it cannot be told",
              [creation({"nclasses": 3})], {"refused": ["parameters.mllib.output_activation", "softmax", "logits"]}, {"repo/net.onnx": model})
    machine = {"kernel_type": "LINEAR", "kernel_params": [0.0, 0.0, 0.0], "coefficients": floats(12).tolist(),
               "support_vectors": floats(16).tolist(), "vectors_per_class": [1] * 4, "rho": [0.1] * 6, "classlabels_ints": [0, 1, 2, 3],
               "post_transform": "SOFTMAX", "domain": "ai.onnx.ml"}
    model = network([("SVMClassifier", ["x"], ["label", "y"], machine)], 4, {"y": [6]}, domains=[("ai.onnx.ml", 3)])
    write("contradiction-scores-of-pairs", "a score of each two of four classes is no score of a class", [creation({"nclasses": 6})],
          {"refused": ["SVMClassifier"]}, {"repo/net.onnx": model})


# ---- small numbers beside large ones, and images as they are normalised ----
def beside():
    rows = floats(2, 4)
    constants = {"one": np.float32(1), "three": np.float32(3), "millions": np.full((4, 1), 1e6, np.float32)}
    third = [("Div", ["one", "three"], ["q"], {}), ("Mul", ["x", "q"], ["l"], {})]
    model = network([*third, ("MatMul", ["x", "millions"], ["s"], {}), ("Concat", ["l", "s"], ["y"], {"axis": 1})], 4, {"y": [5]}, constants)
    values("replaced-quotient-beside-millions", "a third beside a number a million times as large", model, rows)

    model = network([("Tanh", ["x"], ["t"], {}), ("Div", ["one", "three"], ["q"], {}), ("Mul", ["t", "q"], ["u"], {}), ("Add", ["x", "u"], ["l"], {}),
                     ("MatMul", ["x", "millions"], ["s"], {}), ("Concat", ["l", "s"], ["y"], {"axis": 1})], 4, {"y": [5]}, constants)
    values("replaced-quotient-that-weak-items-show", "a third of what is bounded, beside what is not", model, rows)
    model = network([("ReduceMean", ["x"], ["m"], {"axes": [2, 3], "keepdims": 0}), ("Sub", ["m", "grey"], ["d"], {}), ("Relu", ["d"], ["r"], {}),
                     ("Div", ["one", "three"], ["q"], {}), ("Mul", ["r", "q"], ["y"], {})], [3, 1, 1], {"y": [3]},
                    {**constants, "grey": np.float32(150)}, opset=13)
    calls = [creation({}, "image", kind="unsupervised", input={"width": 1, "height": 1}),
             ["POST", "/predict", {"service": "@S@", "parameters": {}, "data": [base64.b64encode(png(210, 240, 255, b"")).decode()]}]]
    write("replaced-quotient-of-bright-images", "a third of how much brighter than grey an image is", calls,
          {"rows": computed(model, [[255, 240, 210]])}, {"repo/net.onnx": model})

    # ONNX Runtime takes these operators for a LayerNormalization of another epsilon, which shows where pixels are small numbers.
    norm = [("Flatten", ["x"], ["f"], {}), ("ReduceMean", ["f"], ["m"], {"axes": [-1]}), ("Sub", ["f", "m"], ["c"], {}),
            ("Pow", ["c", "two"], ["p"], {}), ("ReduceMean", ["p"], ["v"], {"axes": [-1]}), ("Add", ["eps", "v"], ["e"], {}),
            ("Sqrt", ["e"], ["r"], {}), ("Div", ["c", "r"], ["n"], {}), ("Mul", ["n", "scale"], ["t"], {}), ("Add", ["t", "bias"], ["y"], {})]
    model = network(norm, [3, 1, 1], {"y": [3]}, {"two": np.float32(2), "eps": np.float32(1e-3), "scale": np.ones(3, np.float32),
                                                  "bias": np.arange(3, dtype=np.float32)}, opset=13)
    mean, std = [100.0, 110.0, 120.0], [4000.0, 4100.0, 4200.0]
    pixel = [200, 20, 90]
    calls = [creation({}, "image", kind="unsupervised", input={"width": 1, "height": 1, "mean": mean, "std": std}),
             ["POST", "/predict", {"service": "@S@", "parameters": {}, "data": [base64.b64encode(png(*pixel[::-1], b"")).decode()]}]]
    taken = (np.array(pixel) - mean) / std
    write("replaced-norm-of-normalised-images", "a LayerNormalization written out, of images with mean and std", calls,
          {"rows": computed(model, [taken])}, {"repo/net.onnx": model})

    dense = {"v": floats(4, 3), "u": floats(4, 3), "third": np.float32(0.3), "rest": np.float32(0.7), "both": np.tile(np.eye(3, dtype=np.float32), (2, 1))}
    model = network([("MatMul", ["x", "v"], ["a"], {}), ("Sigmoid", ["a"], ["p"], {}), ("Mul", ["p", "third"], ["m"], {}),
                     ("MatMul", ["x", "u"], ["b"], {}), ("Sigmoid", ["b"], ["q"], {}), ("Mul", ["q", "rest"], ["n"], {}),
                     ("Concat", ["m", "n"], ["c"], {"axis": 1}), ("MatMul", ["c", "both"], ["y"], {})], 4, {"y": [3]}, dense)
    write("meaning-mean-of-two-by-a-product", "a weighted mean of two networks may be probabilities or a hidden layer",
          [creation({"nclasses": 3})], {"refused": ["parameters.mllib.output_activation", "softmax", "logits"]}, {"repo/net.onnx": model})

    # What generated rows do not show: their logarithms are no numbers, or the network is quantised.
    dense = {"w": floats(4, 6), "drop": np.eye(6, 3, dtype=np.float32) + np.eye(6, 3, -2, dtype=np.float32), "ones": np.ones((6, 1), np.float32),
             "yes": np.array(True), "step": np.float32(1 / 255), "zero": np.uint8(0)}
    first = [("Log", ["x"], ["l"], {}), ("MatMul", ["l", "w"], ["s"], {})]
    branch = {name: helper.make_graph([helper.make_node("Softmax", ["s"], [name], axis=1)], "b", [],
                                      [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]) for name in ("one", "other")}
    chosen = ("If", ["yes"], ["p"], {"then_branch": branch["one"], "else_branch": branch["other"]})
    share = [("Exp", ["s"], ["e"], {}), ("MatMul", ["e", "ones"], ["t"], {}), ("Div", ["e", "t"], ["p"], {})]
    last = ("MatMul", ["p", "drop"], ["y"], {})
    coded = [("QuantizeLinear", ["p", "step", "zero"], ["c"], {}), ("DequantizeLinear", ["c", "step", "zero"], ["d"], {}),
             ("MatMul", ["d", "drop"], ["y"], {})]
    found = {
        "inside-a-branch-behind-a-logarithm": [*first, chosen, last],
        "summed-by-a-product-behind-a-logarithm": [*first, *share, last],
        "inside-a-branch-quantised": [("MatMul", ["x", "w"], ["s"], {}), chosen, *coded],
        "part-of-a-softmax-quantised": [("MatMul", ["x", "w"], ["s"], {}), ("Softmax", ["s"], ["p"], {"axis": 1}), *coded[:-1],
                                            ("Slice", ["d", "from", "to", "axes"], ["y"], {})],
    }
    dense |= {"from": np.array([0]), "to": np.array([3]), "axes": np.array([1])}
    for name, nodes in found.items():
        model = network(nodes, 4, {"y": [3]}, dense)
        write(f"contradiction-{name}", "the numbers are no probabilities of the classes, or no scores: it cannot be told",
              [creation({"nclasses": 3})], {"refused": ["parameters.mllib.output_activation", "softmax", "logits"]}, {"repo/net.onnx": model})


# ---- probabilities in other clothes than those of a softmax ----
def disguises():
    both = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1]], np.float32)
    constants = {"w": floats(4, 6), "v": floats(4, 6), "u": floats(4, 1), "both": both, "ones": np.ones((6, 1), np.float32), "one": np.float32(1),
                 "yes": np.array(True), "last": np.array([1]), "from": np.array([4]), "to": np.array([10]), "half": np.float32(0.5),
                 "zero": np.float32(0), "sixth": np.float32(1 / 6), "table": np.eye(6, dtype=np.float32) * np.float32(0.5) + np.float32(1 / 12),
                 "means": np.tile(np.eye(3, dtype=np.float32), (2, 1)) / 2, "thirds": np.tile(np.eye(2, dtype=np.float32), (3, 1)) * np.float32(0.333984375)}
    scores, last = ("MatMul", ["x", "w"], ["s"], {}), ("MatMul", ["p", "both"], ["y"], {})

    def branch(nodes, name):
        nodes = [helper.make_node(op, taken, given, **attributes) for op, taken, given, attributes in nodes]
        return helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

    sums = {name: branch([("ReduceSum", ["e", "last"], [made], {"keepdims": 1})], made)
            for name, made in (("then_branch", "t1"), ("else_branch", "t2"))}
    gated = [scores, ("Softmax", ["s"], ["a"], {"axis": 1}), ("MatMul", ["a", "table"], ["k"], {}), ("MatMul", ["x", "v"], ["o"], {}),
             ("Softmax", ["o"], ["b"], {"axis": 1}), ("MatMul", ["b", "table"], ["l"], {}), ("MatMul", ["x", "u"], ["h"], {}), ("Sigmoid", ["h"], ["g"], {}),
             ("Sub", ["one", "g"], ["n"], {}), ("Mul", ["k", "g"], ["m1"], {}), ("Mul", ["l", "n"], ["m2"], {}), ("Add", ["m1", "m2"], ["p"], {}), last]
    tanh = [scores, ("Mul", ["s", "half"], ["a"], {}), ("Tanh", ["a"], ["b"], {}), ("Mul", ["b", "half"], ["c"], {}), ("Add", ["c", "half"], ["p"], {})]
    line = [scores, ("Mul", ["s", "sixth"], ["a"], {}), ("Add", ["a", "half"], ["b"], {}), ("Clip", ["b", "zero", "one"], ["p"], {})]
    edges = [scores, ("Relu", ["s"], ["a"], {}), ("Sub", ["s", "one"], ["b"], {}), ("Relu", ["b"], ["c"], {}), ("Sub", ["a", "c"], ["p"], {})]
    found = {
        "pieces-around-a-branch": [scores, ("Exp", ["s"], ["e"], {}), ("If", ["yes"], ["t"], sums), ("Div", ["e", "t"], ["p"], {}), last],
        "less-the-logarithm-of-a-product": [scores, ("Exp", ["s"], ["e"], {}), ("MatMul", ["e", "ones"], ["t"], {}), ("Log", ["t"], ["l"], {}),
                                            ("Sub", ["s", "l"], ["d"], {}), ("Exp", ["d"], ["p"], {}), last],
        "beside-features": [scores, ("Softmax", ["s"], ["a"], {"axis": 1}), ("Concat", ["x", "a"], ["b"], {"axis": 1}),
                            ("Slice", ["b", "from", "to", "last"], ["p"], {}), last],
        "rows-of-a-table": [scores, ("ArgMax", ["s"], ["a"], {"axis": 1, "keepdims": 0}), ("Gather", ["table", "a"], ["p"], {}), last],
        "gates-over-merged": gated,
        "mean-of-sigmoids-by-tanh": [*tanh, ("MatMul", ["p", "means"], ["y"], {})],
        "mean-of-cut-lines": [*line, ("MatMul", ["p", "means"], ["y"], {})],
        "mean-of-lines-between-rectifiers": [*edges, ("MatMul", ["p", "means"], ["y"], {})],
        "thirds-of-16-bits": [scores, ("Sigmoid", ["s"], ["p"], {}), ("MatMul", ["p", "thirds"], ["y"], {})],
        "no-finite-number": [("Abs", ["x"], ["a"], {}), ("Neg", ["a"], ["b"], {}), ("Sub", ["b", "one"], ["c"], {}), ("Log", ["c"], ["l"], {}),
                             ("MatMul", ["l", "w"], ["s"], {}), ("Softmax", ["s"], ["p"], {"axis": 1}), ("Identity", ["p"], ["y"], {})],
    }
    for name, nodes in found.items():
        classes = {"thirds-of-16-bits": 2, "no-finite-number": 6}.get(name, 3)
        model = network(nodes, 4, {"y": [classes]}, constants)
        write(f"disguise-{name}", "what looks like scores may be probabilities: it cannot be told", [creation({"nclasses": classes})],
              {"refused": ["parameters.mllib.output_activation", "softmax", "logits"]}, {"repo/net.onnx": model})


for kind in (meanings, operators, caffe, requests, replacements, places, contradictions, beside, disguises):
    kind()
