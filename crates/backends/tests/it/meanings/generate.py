"""Writes networks.bin: random small classifiers of every kind of head, with what ONNX Runtime answers.

    pip install onnx onnxruntime numpy
    python3 generate.py networks.bin

The file is, in little-endian: columns and rows of the input (2 bytes), the input (32-bit floats), then for each network the
index of its kind in KINDS (1 byte), its number of classes (1 byte, 0: it must be refused), the length of the ONNX file
(2 bytes), the file, and the probabilities that a client must get, a row for each row of the input (32-bit floats).
"""

import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

KINDS = ["softmax", "log_softmax", "sigmoid", "logits", "quantised", "heads", "written_out", "unclear"]
NETWORKS = 304
COLUMNS, ROWS = 4, 3


class Network:
    """A graph under construction; `value` is the last value made."""

    def __init__(self, random):
        self.random, self.nodes, self.constants, self.value = random, [], [], "x"

    def name(self, prefix):
        return f"{prefix}{len(self.nodes) + len(self.constants)}"

    def constant(self, values, dtype=np.float32):
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, op, *inputs, **attributes):
        output = self.name("v")
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        self.value = output
        return output

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 1.5, shape))

    def linear(self, value, columns, classes):
        if self.random.random() < 0.5:
            return self.node("Gemm", value, self.weights(columns, classes), self.weights(classes))
        product = self.node("MatMul", value, self.weights(columns, classes))
        return self.node("Add", product, self.weights(classes)) if self.random.random() < 0.5 else product

    def hidden(self):
        if self.random.random() < 0.5:
            return "x", COLUMNS
        hidden = self.node(str(self.random.choice(["Relu", "Sigmoid", "Tanh"])), self.linear("x", COLUMNS, 3))
        return hidden, 3

    def scores(self, classes):
        value, columns = self.hidden()
        return self.linear(value, columns, classes)

    def quantised(self, value, low, high):
        scale, zero = self.constant((high - low) / 255), self.constant(round(-low * 255 / (high - low)), np.uint8)
        whole = self.node("QuantizeLinear", value, scale, zero)
        return self.node("DequantizeLinear", whole, scale, zero)

    def moved(self, value, classes):
        """The same numbers, perhaps after operators that only move them."""
        for _ in range(self.random.integers(0, 3)):
            match self.random.integers(0, 4):
                case 0:
                    value = self.node("Identity", value)
                case 1:
                    value = self.node("Flatten", value, axis=1)
                case 2:
                    value = self.node("Reshape", value, self.constant([-1, classes], np.int64))
                case 3:
                    axes = self.constant([2], np.int64)
                    value = self.node("Squeeze", self.node("Unsqueeze", value, axes), axes)
        return value


def written_out(network, scores):
    axes = network.constant([1], np.int64)
    if network.random.random() < 0.7:
        largest = network.node("ReduceMax", scores, axes=[1], keepdims=1)
        scores = network.node("Sub", scores, largest)
    exponentials = network.node("Exp", scores)
    total = network.node("ReduceSum", exponentials, axes, keepdims=1)
    if network.random.random() < 0.5:
        return network.node("Div", exponentials, total)
    return network.node("Mul", exponentials, network.node("Reciprocal", total))


def head(network, kind, classes):
    """Makes the output; gives how its numbers become probabilities, None where that cannot be told."""
    as_it_is = lambda values: values
    softmax = lambda values: np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    match kind:
        case "softmax":
            network.node("Softmax", network.scores(classes), axis=-1)
            return as_it_is
        case "log_softmax":
            network.node("LogSoftmax", network.scores(classes), axis=1)
            return np.exp
        case "sigmoid":
            network.node("Sigmoid", network.scores(classes))
            return as_it_is
        case "logits":
            network.scores(classes)
            return softmax
        case "quantised":
            scores = network.scores(classes)
            if network.random.random() < 0.3:
                network.quantised(scores, -20, 20)
                return softmax
            network.quantised(network.node("Softmax", scores, axis=-1), 0, 1)
            return as_it_is
        case "heads":
            first = network.node("Softmax", network.scores(classes - 1), axis=1)
            second = network.node(str(network.random.choice(["Softmax", "Sigmoid"])), network.scores(1))
            network.node("Concat", first, second, axis=1)
            return as_it_is
        case "written_out":
            written_out(network, network.scores(classes))
            return as_it_is
        case "unclear":
            op = str(network.random.choice(["Tanh", "Relu", "Exp", "Abs", "LeakyRelu", "Softplus"]))
            network.node(op, network.scores(classes))
            return None


def build(network, classes):
    graph = helper.make_graph(
        network.nodes,
        "head",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", COLUMNS])],
        [helper.make_tensor_value_info(network.value, TensorProto.FLOAT, ["n", classes])],
        network.constants,
    )
    opset = int(network.random.choice([13, 15, 17]))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def main():
    random = np.random.default_rng(1)
    samples = random.normal(0, 2, (ROWS, COLUMNS)).astype(np.float32)
    out = bytearray(struct.pack("<BB", COLUMNS, ROWS) + samples.tobytes())
    for index in range(NETWORKS):
        kind, classes = index % len(KINDS), int(random.integers(2, 7))
        network = Network(random)
        become = head(network, KINDS[kind], classes)
        network.value = network.moved(network.value, classes)
        model = build(network, classes)
        onnx.checker.check_model(model)
        content = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (values,) = session.run(None, {"x": samples})
        expected = b"" if become is None else become(values.astype(np.float64)).astype("<f4").tobytes()
        out += struct.pack("<BBH", kind, classes if become else 0, len(content)) + content + expected
    with open(sys.argv[1], "wb") as file:
        file.write(out)


main()
