"""Writes networks.bin: networks that once tied rows of a request to the rows beside them, and ordinary ones that look alike.

    pip install onnx numpy
    python3 generate.py networks.bin

Each function below makes the networks of one kind and says in its first lines what such networks do. Where rows are run
together, most of the attacks answer other numbers than where each row is run alone; some only look as if they did. All
inputs are 32-bit floats, a row after the other.

The file holds, in little-endian, for each network: whether it must be answered (1 byte; 0: it may be refused), the number of
columns of a row (2 bytes), the length of its name (1 byte), the name, the length of the ONNX file (2 bytes), and the file.
"""

import math
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ML, MICROSOFT, OWN = "ai.onnx.ml", "com.microsoft", "own"
LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def tensor(name, shape=None, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


class Nodes:
    """Nodes under construction: of a graph, of a body inside it, or of a function."""

    def __init__(self, prefix="v"):
        self.prefix, self.nodes, self.constants = prefix, [], []

    def name(self):
        return f"{self.prefix}{len(self.constants) + sum(len(node.output) for node in self.nodes)}"

    def constant(self, values, dtype):
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def floats(self, values):
        return self.constant(values, np.float32)

    def longs(self, values):
        return self.constant(values, np.int64)

    def ones(self, *shape):
        return self.floats(np.ones(shape))

    def weights(self, *shape):
        return self.floats(np.random.default_rng(len(self.nodes) + len(self.constants) + 1).normal(0, 1, shape))

    def node(self, op, *inputs, outputs=1, **attributes):
        first = self.name()
        made = [first] + [f"{first}_{index}" for index in range(1, outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, **attributes))
        return first if outputs == 1 else made

    def body(self, inputs, outputs):
        return helper.make_graph(self.nodes, "body", inputs, outputs, self.constants)


class Network(Nodes):
    """A network of the input `x`. Operators are written as operator set 17 has them, where no other is given."""

    def __init__(self, row, output, batch=0, opset=17):
        super().__init__()
        self.row, self.output, self.batch, self.opset = row, output, batch, opset
        self.functions, self.declared, self.value = [], [], "x"

    def answers(self, value):
        self.value = value
        return self

    def count(self):
        """The number of rows of a run, as a list of one."""
        return self.node("Slice", self.node("Shape", "x"), self.longs([0]), self.longs([1]))

    def count_alone(self):
        return self.node("Squeeze", self.count(), self.longs([0]))

    def joined(self, *lists):
        return self.node("Concat", *(part if isinstance(part, str) else self.longs(part) for part in lists), axis=0)

    def product(self):
        """A number of each row of four columns: a list of one axis."""
        return self.node("MatMul", "x", self.floats([1, 2, 3, 4]))

    def column(self, value):
        return self.node("Unsqueeze", value, self.longs([1]))

    def reshape(self, value, *shape):
        return self.node("Reshape", value, self.longs(shape))

    def transpose(self, value, *order):
        return self.node("Transpose", value, perm=list(order)) if order else self.node("Transpose", value)

    def total(self, value, *axes, keepdims=1):
        return self.node("ReduceSum", value, self.longs(axes), keepdims=keepdims)

    def largest(self, value, axis, keepdims=0):
        return self.node("ReduceMax", value, axes=[axis], keepdims=keepdims)

    def slice(self, value, start, end, axis=1):
        bounds = [bound if isinstance(bound, str) else self.longs([bound]) for bound in (start, end)]
        return self.node("Slice", value, *bounds, self.longs([axis]))

    def quantised(self, value):
        scale, zero = self.floats(0.05), self.constant(128, np.uint8)
        return self.node("QuantizeLinear", value, scale, zero), scale, zero

    def numbers(self, value):
        return self.node("Cast", value, to=TensorProto.FLOAT)

    def unread(self, *shape):
        """A list that is not read as constant."""
        whole = self.longs(shape)
        return self.node("Max", whole, whole, whole)

    def mixed_where(self, value, axis, extent):
        """The rows with the last column added, or with the last row added where `value` has not that extent."""
        found = self.node("Gather", self.node("Shape", value), self.longs(axis))
        is_so = self.node("Cast", self.node("Equal", found, self.longs(extent)), to=TensorProto.INT64)
        along = self.node("Unsqueeze", is_so, self.longs([0]))
        flat = self.node("Flatten", "x")
        last = self.node("Slice", flat, self.longs([-1]), self.longs([LARGEST]), along)
        return self.answers(self.node("Add", flat, last))

    def model(self):
        rows = self.batch or "n"
        output = tensor(self.value, [rows, *self.output])
        values = [tensor(name, shape) for name, shape in self.declared]
        graph = helper.make_graph(
            self.nodes, "rows", [tensor("x", [rows, *self.row])], [output], self.constants, value_info=values
        )
        versions = {"": self.opset, ML: 3, MICROSOFT: 1, OWN: 1}
        used = {""} | {node.domain for node in self.nodes}
        imports = [helper.make_opsetid(domain, versions[domain]) for domain in sorted(used)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10 if self.functions else 8, functions=self.functions)


def last_axis_of_products():
    """A product with a vector takes the last axis away, so that the axis -1 is that of the rows."""
    g = Network([4], [1])
    yield g.answers(g.column(g.node("Softmax", g.product(), axis=-1)))
    g = Network([4], [1])
    s = g.product()
    yield g.answers(g.column(g.node("Sub", s, g.total(s, -1))))
    g = Network([4], [1])
    s = g.product()
    yield g.answers(g.column(g.node("Sub", s, g.node("ReduceMean", s, axes=[-1]))))
    g = Network([4], [1])
    s = g.product()
    yield g.answers(g.column(g.node("Sub", s, g.node("Gather", s, g.longs([0]), axis=-1))))
    g = Network([4], [1])
    yield g.answers(g.column(g.node("CumSum", g.product(), g.longs(-1))))
    g = Network([2, 4], [1])
    s = g.total(g.product(), -1, keepdims=0)
    yield g.answers(g.column(g.node("Sub", s, g.largest(s, -1, keepdims=1))))
    g = Network([4], [1])
    s = g.product()
    g.declared.append((s, ["n"]))
    yield g.answers(g.column(g.node("Softmax", s, axis=-1)))


def products_beside_columns():
    """Numbers of a product with a vector, a number for each row, stand where a number for each column is expected."""
    g = Network([4], [1])
    s = g.product()
    centred = g.node("Sub", s, g.node("ReduceMean", s, axes=[-1]))
    variance = g.node("ReduceMean", g.node("Mul", centred, centred), axes=[-1])
    scale = g.node("Add", g.node("Sqrt", variance), g.floats(1e-5))
    yield g.answers(g.column(g.node("Div", centred, scale)))
    g = Network([2], [2])
    yield g.answers(g.node("Add", "x", g.node("MatMul", "x", g.floats([1, 2]))))
    g = Network([2], [2])
    yield g.answers(g.node("Gemm", "x", g.weights(2, 2), g.node("MatMul", "x", g.floats([1, 2]))))


def squeezes_without_axes():
    """A Squeeze without axes takes the axis of the rows away as well where there is one row."""
    g = Network([4], [1])
    u = g.node("Unsqueeze", g.node("Squeeze", g.slice("x", 0, 1)), g.longs([0]))
    yield g.answers(g.reshape(g.node("Softmax", u, axis=-1), -1, 1))
    g = Network([4], [1])
    first, _ = g.node("Split", "x", g.longs([1, 3]), outputs=2, axis=1)
    u = g.node("Unsqueeze", g.node("Squeeze", first), g.longs([0]))
    yield g.answers(g.reshape(g.node("Sub", u, g.node("ReduceMean", u, axes=[-1])), -1, 1))
    g = Network([4, 4], [4])
    yield g.answers(g.total(g.node("Squeeze", "x"), 1, keepdims=0))
    g = Network([3, 1, 3], [3])
    yield g.answers(g.largest(g.node("Squeeze", "x"), 1))
    g = Network([3, 3], [3, 3])
    yield g.answers(g.node("Softmax", g.node("Squeeze", "x"), axis=1))


def columns_cut_by_the_number_of_rows():
    """Slice, Split and TopK leave as many columns as a run has rows."""
    g = Network([4], [1])
    yield g.answers(g.total(g.slice("x", 0, g.count()), 1))
    g = Network([4], [1])
    count = g.count()
    yield g.answers(g.total(g.slice("x", g.node("Sub", count, g.longs([1])), count), 1))
    for most in (3, 6):
        g = Network([6], [1])
        size = g.node("Min", g.count(), g.longs([most]))
        sizes = g.joined(size, g.node("Sub", g.longs([6]), size))
        first, _ = g.node("Split", "x", sizes, outputs=2, axis=1)
        yield g.answers(g.total(first, 1))
    g = Network([4], [1])
    best, _ = g.node("TopK", "x", g.count(), outputs=2, axis=1)
    yield g.answers(g.total(best, 1))


def columns_lengthened_by_the_number_of_rows():
    """Pad, Tile, Resize, Upsample and OneHot make columns of which there are as many as a run has rows."""
    g = Network([4], [1])
    padded = g.node("Pad", "x", g.joined([0, 0, 0], g.count()))
    yield g.answers(g.node("ReduceMean", padded, axes=[1]))
    g = Network([4], [1])
    yield g.answers(g.total(g.node("Tile", "x", g.joined([1], g.count())), 1))
    g = Network([1, 4, 4], [4])
    count = g.count()
    resized = g.node("Resize", "x", "", "", g.joined(count, [1, 4], count), mode="nearest")
    yield g.answers(g.node("Squeeze", g.total(resized, 3, keepdims=0), g.longs([1])))
    g = Network([1, 2, 2], [2], opset=9)
    scale = g.numbers(g.node("Slice", g.node("Shape", "x"), starts=[0], ends=[1]))
    larger = g.node("Upsample", "x", g.node("Concat", g.ones(3), scale, axis=0))
    yield g.answers(g.node("Squeeze", g.node("ReduceSum", larger, axes=[3], keepdims=0), axes=[1]))
    g = Network([4], [4])
    whole = g.node("Cast", "x", to=TensorProto.INT64)
    yield g.answers(g.total(g.node("OneHot", whole, g.count(), g.floats([0, 1]), axis=-1), 2, keepdims=0))
    g = Network([6], [1], opset=20)
    count = g.count()
    grid = g.node("AffineGrid", g.reshape("x", -1, 2, 3), g.joined(count, [1], count, [2]), align_corners=1)
    yield g.answers(g.column(g.total(grid, 1, 2, 3, keepdims=0)))


def shapes_by_the_number_of_rows():
    """The number of rows is an extent beside that of the rows, an axis, or a number to divide by."""
    g = Network([12], [1])
    count = g.count()
    square = g.node("Reshape", "x", g.joined(count, count, [-1]))
    yield g.answers(g.total(g.largest(square, 1), 1))
    g = Network([4], [1])
    count = g.count()
    square = g.node("Reshape", "x", g.joined(count, g.node("Min", count, g.longs([2])), [-1]))
    yield g.answers(g.total(g.largest(square, 1), 1))
    g = Network([6], [6])
    cut = g.slice("x", 0, g.node("Add", g.count(), g.longs([1])))
    yield g.answers(g.node("Div", "x", g.slice(g.numbers(g.node("Shape", cut)), 1, 2, axis=0)))
    g = Network([4], [2])
    squeezed = g.node("Squeeze", g.reshape("x", -1, 1, 1, 2, 2), g.count())
    yield g.answers(g.reshape(g.largest(squeezed, 1), -1, 2))


def constants_of_the_length_of_a_run():
    """A constant is cut, repeated or lengthened to the number of rows; what is made of it reaches each row."""
    lengthened = [
        lambda g: g.node("Pad", g.ones(1), g.joined([0], g.count()), g.floats(1)),
        lambda g: g.node("Tile", g.ones(1), g.count()),
        lambda g: g.node("Expand", g.ones(1), g.count()),
        lambda g: g.node("ConstantOfShape", g.count(), value=numpy_helper.from_array(np.ones(1, np.float32))),
        lambda g: g.node("Slice", g.floats(range(1, 7)), g.longs([0]), g.node("Min", g.count(), g.longs([2]))),
    ]
    for make in lengthened:
        g = Network([4], [4])
        yield g.answers(g.node("Div", "x", g.total(make(g), 0)))
    for most in (3, 6):
        g = Network([4], [4])
        size = g.node("Min", g.count(), g.longs([most]))
        sizes = g.joined(size, g.node("Sub", g.longs([6]), size))
        first, _ = g.node("Split", g.floats(range(6)), sizes, outputs=2, axis=0)
        yield g.answers(g.node("Add", "x", g.total(first, 0)))
    g = Network([4], [4])
    resized = g.node("Resize", g.floats([[[[2]]]]), "", "", g.joined([1, 1, 1], g.count()), mode="nearest")
    yield g.answers(g.node("Add", "x", g.total(resized, 0, 1, 2, 3, keepdims=0)))


def constants_shaped_by_the_number_of_rows():
    """A constant is reshaped by the number of rows, or another constant is as long: its shape is the number that is answered."""
    g = Network([4], [4])
    shaped = g.node("Reshape", g.floats(range(12)), g.joined(g.count(), [-1]))
    yield g.answers(g.node("Add", "x", g.total(shaped, 1)))
    g = Network([4], [4])
    shaped = g.node("Reshape", g.floats(range(12)), g.joined(g.node("Min", g.count(), g.longs([2])), [-1]))
    yield g.answers(g.node("Add", "x", g.node("Gather", g.largest(shaped, 1), g.longs(0), axis=0)))
    g = Network([4], [4])
    best, _ = g.node("TopK", g.floats(range(6)), g.node("Min", g.count(), g.longs([3])), outputs=2, axis=0)
    yield g.answers(g.node("Mul", "x", g.numbers(g.node("Shape", best))))
    g = Network([4], [4])
    coded = g.node("OneHot", g.longs([0]), g.count(), g.floats([0, 1]), axis=0)
    yield g.answers(g.node("Mul", "x", g.numbers(g.slice(g.node("Shape", coded), 0, 1, axis=0))))


def constants_along_merged_axes():
    """Rows and columns are one axis, cut in two: what stands in one half alone, and in which half together, is not the same."""
    halves = [
        (2, lambda g, r: g.node("Add", r, g.floats([[1], [100]]))),
        (4, lambda g, r: g.node("Where", g.constant([[True], [False]], np.bool_), r, g.floats(0))),
        (2, lambda g, r: g.node("PRelu", r, g.floats([[1], [100]]))),
    ]
    for columns, change in halves:
        g = Network([columns], [columns])
        yield g.answers(g.reshape(change(g, g.reshape("x", 2, -1)), -1, columns))
    g = Network([4], [4])
    yield g.answers(g.reshape(g.node("MatMul", g.reshape("x", 2, -1, 2), g.weights(2, 2, 2)), -1, 4))
    g = Network([2], [2])
    whole = g.node("QuantizeLinear", "x", g.floats(0.1), g.constant(0, np.int8))
    scaled = g.node("DequantizeLinear", g.reshape(whole, 2, -1), g.floats([1, 5]), g.constant([0, 0], np.int8), axis=0)
    yield g.answers(g.reshape(scaled, -1, 2))
    g = Network([4], [8])
    yield g.answers(g.reshape(g.node("Expand", g.reshape("x", 4, 1, -1), g.longs([1, 2, 1])), -1, 8))
    g = Network([2], [2])
    yield g.answers(g.reshape(g.node("Conv", g.reshape("x", 2, -1, 1), g.ones(1, 1, 1)), -1, 2))


def constants_along_rows():
    """A run has two rows, and a constant holds another number for the second."""
    second = [[0, 0, 0], [9, 9, 9]]
    for batch in (0, 2):
        g = Network([4], [3], batch)
        yield g.answers(g.node("Add", g.node("MatMul", "x", g.weights(4, 3)), g.floats(second)))
    g = Network([4], [3], 2)
    yield g.answers(g.node("Gemm", "x", g.weights(4, 3), g.floats(second)))
    g = Network([4], [3], 2)
    yield g.answers(g.node("MatMul", g.node("Concat", "x", g.floats([[0], [9]]), axis=1), g.weights(5, 3)))
    g = Network([4], [4], 2)
    yield g.answers(g.node("Where", g.constant([[True], [False]], np.bool_), "x", g.floats(0)))
    g = Network([4], [2])
    yield g.answers(g.node("Identity", g.floats([[1, 2], [3, 4]])))


def weights_of_each_row():
    """A run has two rows, and each has weights or indices of its own."""
    g = Network([4], [3], 2)
    yield g.answers(g.node("Squeeze", g.node("MatMul", g.column("x"), g.weights(2, 4, 3)), g.longs([1])))
    g = Network([4], [3], 2)
    yield g.answers(g.node("Einsum", "x", g.weights(2, 4, 3), equation="nd,ndc->nc"))
    g = Network([4], [3], 2)
    yield g.answers(g.node("GatherElements", "x", g.longs([[0, 1, 2], [3, 3, 3]]), axis=1))
    g = Network([4], [4], 2)
    place = g.node("Mod", g.node("Abs", g.node("Cast", "x", to=TensorProto.INT64)), g.longs(2))
    place = g.node("Unsqueeze", place, g.longs([2]))
    yield g.answers(g.node("GatherND", g.floats([[0, 1], [20, 30]]), place, batch_dims=1))
    g = Network([4], [4], 2)
    yield g.answers(g.transpose(g.node("BatchNormalization", g.transpose("x"), *[g.floats([1, 2])] * 4)))


def recurrent():
    """A run has two rows, which are the states, the weights or the first state of a recurrent layer."""
    g = Network([4], [2], 2)
    steps = g.node("Unsqueeze", "x", g.longs([0]))
    first = g.floats([[[0, 0], [1, -1]]])
    _, last = g.node("RNN", steps, g.weights(1, 2, 4), g.weights(1, 2, 2), "", "", first, outputs=2, hidden_size=2)
    yield g.answers(g.node("Squeeze", last, g.longs([0])))
    g = Network([4], [2], 2)
    weights = g.node("Unsqueeze", "x", g.longs([0]))
    _, last = g.node("RNN", g.weights(1, 2, 4), weights, g.weights(1, 2, 2), outputs=2, hidden_size=2)
    yield g.answers(g.node("Squeeze", last, g.longs([0])))
    g = Network([4], [2], 2)
    state = g.node("Unsqueeze", g.node("MatMul", "x", g.weights(4, 2)), g.longs([0]))
    given = [g.weights(3, 2, 4), g.weights(1, 2, 4), g.weights(1, 2, 2), "", "", state]
    _, last = g.node("RNN", *given, outputs=2, hidden_size=2)
    yield g.answers(g.node("Squeeze", g.node("Sub", last, g.total(last, 1)), g.longs([0])))


def places_of_maxima():
    """MaxPool tells places as those in the whole run, and MaxUnpool takes them so."""
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    g = Network([1, 4, 4], [4])
    _, places = g.node("MaxPool", "x", outputs=2, **pool)
    yield g.answers(g.node("Flatten", g.numbers(places)))
    g = Network([1, 4, 4], [16])
    largest = g.node("MaxPool", "x", **pool)
    places = g.node("Expand", g.longs([[[[0, 3], [9, 12]]]]), g.node("Shape", largest))
    yield g.answers(g.node("Flatten", g.node("MaxUnpool", largest, places, **pool)))


def regressor(g):
    """The rows again, of a shape that is not told."""
    identity = [float(weight) for weight in np.eye(4).ravel()]
    return g.node("LinearRegressor", "x", domain=ML, coefficients=identity, intercepts=[0.0] * 4, targets=4)


def unknown_shapes():
    """Values of shapes that are not told are turned around and become rows by a Reshape, as the output declares them."""
    g = Network([4], [4])
    yield g.answers(g.reshape(g.transpose(regressor(g)), -1, 4))
    g = Network([4], [4])
    yield g.answers(g.reshape(g.transpose(g.node("Reshape", "x", g.unread(-1, 4))), -1, 4))
    g = Network([4], [4])
    yield g.answers(g.reshape(g.transpose(g.node("Squeeze", g.column("x"), g.unread(1))), -1, 4))
    g = Network([2], [2])
    yield g.answers(g.node("Identity", g.node("Reshape", g.transpose("x"), g.unread(-1, 2))))
    g = Network([4], [1])
    products = g.node("MatMul", regressor(g), g.reshape("x", -1, 4, 1))
    yield g.answers(g.largest(products, 1))
    g = Network([4], [1])
    largest = g.largest(regressor(g), -1)
    yield g.answers(g.column(g.node("Sub", largest, g.largest(largest, -1, keepdims=1))))


def unknown_shapes_of_bodies():
    """As above, of what a branch or a loop makes."""
    g = Network([4], [4])
    turned, same = Nodes("a"), Nodes("b")
    turned = turned.body([], [tensor(turned.node("Transpose", "x", perm=[1, 0]))])
    same = same.body([], [tensor(same.node("Identity", "x"))])
    chosen = g.node("If", g.constant(True, np.bool_), then_branch=turned, else_branch=same)
    yield g.answers(g.reshape(chosen, -1, 4))
    g = Network([4], [4])
    turned = Nodes("a")
    going, value = turned.node("Identity", "going"), turned.node("Transpose", "value", perm=[1, 0])
    body = turned.body(*loop_ports(["value"], going, [value]))
    yield g.answers(g.reshape(g.node("Loop", g.longs(1), g.constant(True, np.bool_), "x", body=body), -1, 4))


def loop_ports(carried, going, made, shape=None):
    """What goes into the body of a loop, and out of it."""
    inputs = [tensor("step", [], TensorProto.INT64), tensor("going", [], TensorProto.BOOL)]
    outputs = [tensor(going, [], TensorProto.BOOL)]
    return inputs + [tensor(name, shape) for name in carried], outputs + [tensor(name, shape) for name in made]


def three_and_turned(nodes, value, other):
    """Three values as they are, and a fourth that has rows and columns turned around."""
    return [nodes.node("Identity", value) for _ in range(3)] + [nodes.node("Transpose", other, perm=[1, 0])]


def fourth_outputs():
    """Rows stand along the last axis of the fourth output of a branch, a loop or a function."""
    softmax = lambda g, value: g.answers(g.reshape(g.node("Softmax", value, axis=1), -1, 1))
    g = Network([4], [1])
    product = g.node("MatMul", "x", g.weights(4, 1))
    bodies = {}
    for name in ("then_branch", "else_branch"):
        nodes = Nodes(name)
        bodies[name] = nodes.body([], [tensor(value) for value in three_and_turned(nodes, "x", product)])
    yield softmax(g, g.node("If", g.constant(True, np.bool_), outputs=4, **bodies)[3])
    g = Network([4], [1])
    nodes, carried = Nodes("a"), ["b", "c", "d", "e"]
    going, made = nodes.node("Identity", "going"), [nodes.node("Relu", name) for name in carried]
    body = nodes.body(*loop_ports(carried, going, made))
    turned = g.transpose(g.node("MatMul", "x", g.weights(4, 1)), 1, 0)
    yield softmax(g, g.node("Loop", g.longs(2), g.constant(True, np.bool_), "x", "x", "x", turned, outputs=4, body=body)[3])
    g = Network([4], [1])
    nodes = Nodes("a")
    made = three_and_turned(nodes, "b", "c")
    g.functions.append(helper.make_function(OWN, "Four", ["b", "c"], made, nodes.nodes, [helper.make_opsetid("", 17)]))
    yield softmax(g, g.node("Four", "x", g.node("MatMul", "x", g.weights(4, 1)), outputs=4, domain=OWN)[3])
    g = Network([3, 2], [1])
    nodes = Nodes("a")
    state = nodes.node("Add", "b", "c")
    made = [state] + three_and_turned(nodes, state, state)[1:]
    body = nodes.body([tensor("b"), tensor("c")], [tensor(name) for name in made])
    scanned = g.node("Scan", g.total("x", 1, keepdims=0), "x", outputs=4, body=body, num_scan_inputs=1, scan_input_axes=[1])
    yield g.answers(g.column(g.total(g.node("Softmax", scanned[3], axis=2), 0, 1, keepdims=0)))


def overloads():
    """Of two functions of one name, the one that is meant puts rows together."""
    g = Network([4], [4])
    for overload in ("apart", "together"):
        nodes = Nodes("a")
        value = nodes.node("Relu", "b") if overload == "apart" else nodes.node("ReduceMean", "b", axes=[0])
        made = nodes.node("Sub", "b", value)
        function = helper.make_function(OWN, "Centred", ["b"], [made], nodes.nodes, [helper.make_opsetid("", 17)])
        function.overload = overload
        g.functions.append(function)
    value = g.node("Centred", "x", domain=OWN)
    g.nodes[-1].overload = "together"
    yield g.answers(value)


def lists_of_operators():
    """Shapes, paddings and axes are made by operators that repeat a number, leave a list as it is, or wrap around."""
    turned = lambda g, shape: g.answers(g.reshape(g.transpose(g.node("Reshape", "x", shape)), -1, 4))
    g = Network([4], [4])
    yield turned(g, g.node("Expand", g.longs([0]), g.longs([2])))
    g = Network([4], [4])
    yield turned(g, g.node("Tile", g.longs([0]), g.longs([2])))
    g = Network([4], [4], opset=18)
    yield turned(g, g.node("ReduceProd", g.longs([0, 0]), noop_with_empty_axes=1))
    g = Network([4], [4])
    axis = g.node("Cast", g.node("Cast", g.longs([2**32]), to=TensorProto.INT32), to=TensorProto.INT64)
    yield g.answers(g.node("Sub", "x", g.node("ReduceSum", "x", axis)))
    g = Network([4], [4])
    padded = g.node("Pad", "x", g.node("Expand", g.longs([1]), g.longs([4])), mode="edge")
    yield g.answers(g.node("Pad", padded, g.node("Expand", g.longs([-1]), g.longs([4]))))


def classical_operators():
    """Operators of classical learning take a list of a number for each row as one row."""
    linear = {"kernel_type": "LINEAR", "kernel_params": [0.0, 0.0, 0.0], "rho": [0.0]}
    added = [
        ("LinearRegressor", {"coefficients": [1.0], "intercepts": [0.0], "targets": 1}),
        ("SVMRegressor", {"coefficients": [1.0], "n_supports": 0, **linear}),
        ("FeatureVectorizer", {"inputdimensions": [1]}),
    ]
    for op, attributes in added:
        g = Network([4], [4])
        yield g.answers(g.node("Add", "x", g.node(op, g.product(), domain=ML, **attributes)))
    g = Network([4], [4])
    yield g.answers(g.node("Add", "x", g.node("ArrayFeatureExtractor", g.product(), g.longs([0]), domain=ML)))
    g = Network([4], [1])
    yield g.answers(g.reshape(g.node("Normalizer", g.product(), domain=ML, norm="L1"), -1, 1))
    scored = [
        ("LinearClassifier", {"coefficients": [-1.0, 1.0], "intercepts": [0.0, 0.0]}),
        ("SVMClassifier", {"coefficients": [1.0, 1.0], **linear, "rho": [0.0, 0.0]}),
    ]
    for op, attributes in scored:
        g = Network([4], [4])
        _, scores = g.node(op, g.product(), outputs=2, domain=ML, classlabels_ints=[0, 1], **attributes)
        yield g.answers(g.node("Add", "x", g.node("MatMul", scores, g.weights(2, 4))))


def operators_of_microsoft():
    """The state of Attention has keys and values before rows; a pool of channels in the last place takes rows for pixels."""
    g = Network([2], [2])
    weights = [g.weights(2, 6), g.floats(np.zeros(6))]
    seen, state = g.node("Attention", g.column("x"), *weights, outputs=2, domain=MICROSOFT, num_heads=1)
    scaled = g.node("Mul", seen, g.total(state, 1, 2, 3, 4, keepdims=0))
    yield g.answers(g.node("Squeeze", scaled, g.longs([1])))
    g = Network([4], [4])
    whole, scale, zero = g.quantised(g.node("Unsqueeze", "x", g.longs([0, 2])))
    quantised = [whole, scale, zero, scale, zero]
    mean = g.node("QLinearGlobalAveragePool", *quantised, domain=MICROSOFT, channels_last=1)
    mean = g.node("Squeeze", g.node("DequantizeLinear", mean, scale, zero), g.longs([0, 1, 2]))
    yield g.answers(g.node("Sub", "x", mean))
    g = Network([2, 2, 3], [12])
    whole, scale, zero = g.quantised("x")
    quantised = [whole, scale, zero, scale, zero]
    yield g.mixed_where(g.node("QLinearGlobalAveragePool", *quantised, domain=MICROSOFT, channels_last=1), 3, 1)


def choices_by_the_number_of_rows():
    """A branch is taken, or a loop is run, by the number of rows."""
    for op, number in (("Equal", 2), ("Greater", 2)):
        g = Network([4], [4])
        bodies = {}
        for name, value in (("then_branch", 1), ("else_branch", 5)):
            nodes = Nodes(name)
            bodies[name] = nodes.body([], [tensor(nodes.node("Identity", nodes.floats([value])))])
        chosen = g.node("If", g.node(op, g.count_alone(), g.longs(number)), **bodies)
        yield g.answers(g.node("Mul", "x", chosen))
    g = Network([4], [4])
    nodes, one = Nodes("a"), g.ones(1)
    going, more = nodes.node("Identity", "going"), nodes.node("Add", "b", one)
    body = nodes.body(*loop_ports(["b"], going, [more], [1]))
    yield g.answers(g.node("Mul", "x", g.node("Loop", g.count_alone(), g.constant(True, np.bool_), one, body=body)))
    g = Network([4], [4])
    nodes, one = Nodes("a"), g.ones(1)
    going, same = nodes.node("Identity", "going"), nodes.node("Identity", one)
    body = nodes.body(*loop_ports([], going, [same], [1]))
    scanned = g.node("Loop", g.count_alone(), g.constant(True, np.bool_), body=body)
    yield g.answers(g.node("Mul", "x", g.total(scanned, 0, keepdims=0)))
    g = Network([4], [4])
    nodes = Nodes("a")
    body = nodes.body([tensor("b", []), tensor("c", [])], [tensor(nodes.node("Add", "b", "c"), [])])
    scanned = g.node("Scan", g.floats(0), g.numbers(g.node("Shape", "x")), body=body, num_scan_inputs=1)
    yield g.answers(g.node("Mul", "x", scanned))


def resized_regions():
    """A region that is not used, or one that turns rows around, and scales that lengthen and shorten the axis of the rows."""
    nearest = {"mode": "nearest", "nearest_mode": "ceil"}
    for scale, first in ((2, "ceil"), (4, "round_prefer_floor")):
        g = Network([4], [4])
        region = g.ones(4)
        larger = g.node("Resize", "x", region, g.floats([scale, 1]), mode="nearest", nearest_mode=first)
        yield g.answers(g.node("Resize", larger, region, g.floats([1 / scale, 1]), **nearest))
    cropped = {"mode": "nearest", "coordinate_transformation_mode": "tf_crop_and_resize"}
    g = Network([4], [8])
    yield g.answers(g.node("Resize", "x", g.floats([1, 0, 0, 1]), g.floats([1, 2]), **cropped))
    g = Network([1, 2, 2], [9])
    sizes = g.joined(g.count(), [1, 3, 3])
    yield g.answers(g.node("Flatten", g.node("Resize", "x", g.floats([1, 0, 0, 0, 0, 1, 1, 1]), "", sizes, **cropped)))


def resized_by_half_pixels():
    """Half of a pixel is added to the place of a row as well, and rounded up."""
    halves = {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    g = Network([4], [8], opset=11)
    yield g.answers(g.node("Resize", "x", g.floats([]), g.floats([1, 2]), nearest_mode="ceil", **halves))
    g = Network([1, 2, 2], [16], opset=11)
    scales = g.floats([1, 1, 2, 2])
    yield g.answers(g.node("Flatten", g.node("Resize", "x", g.floats([]), scales, nearest_mode="round_prefer_ceil", **halves)))


def resized_with_the_same_aspect():
    """Rows are lengthened as columns are, and shortened again."""
    nearest = {"mode": "nearest", "nearest_mode": "ceil"}
    g = Network([4], [2], opset=18)
    count = g.count()
    larger = g.node("Resize", "x", "", "", g.joined(count, [8]), keep_aspect_ratio_policy="not_smaller", **nearest)
    sizes = g.joined(count, [2])
    cut = g.slice(larger, 0, 4)
    yield g.answers(g.node("Resize", cut, "", "", sizes, keep_aspect_ratio_policy="not_larger", **nearest))


def extents_of_windows():
    """What a row is mixed with depends on an extent of windows, of which specification and engines have not the same idea."""
    same = {"auto_pad": "SAME_UPPER"}
    for extent in (2, 3):
        g = Network([1, 5], [5])
        pooled = g.node("MaxPool", "x", kernel_shape=[2], strides=[2], auto_pad="VALID", ceil_mode=1)
        yield g.mixed_where(pooled, 2, extent)
    g = Network([1, 8], [8])
    yield g.mixed_where(g.node("MaxPool", "x", kernel_shape=[3], dilations=[3], **same), 2, 8)
    for extent in (9, 10):
        g = Network([1, 5], [5])
        yield g.mixed_where(g.node("ConvTranspose", "x", g.ones(1, 1, 1), strides=[2], **same), 2, extent)
    g = Network([1, 5], [5])
    yield g.mixed_where(g.node("ConvTranspose", "x", g.ones(1, 1, 3), strides=[2], output_shape=[9]), 2, 9)
    for extent in (6, 7):
        g = Network([1, 10, 2], [20])
        resized = g.node("Resize", "x", "", g.floats([1, 1, 0.7, 1]), mode="nearest")
        yield g.mixed_where(resized, 2, extent)


def extents_of_turned_rows():
    """As above, of an axis that is lengthened or shortened where rows stand along the second."""
    g = Network([4], [4])
    yield g.mixed_where(g.transpose("x", 1, 0), 0, 4)
    g = Network([4], [4])
    yield g.mixed_where(g.node("Pad", g.transpose("x", 1, 0), g.longs([0, 0, -1, 0])), 0, 4)
    g = Network([4], [4])
    yield g.mixed_where(g.node("Resize", g.transpose("x", 1, 0), "", g.floats([2, 1]), mode="nearest"), 0, 4)
    g = Network([4], [8])
    longer = g.node("Pad", g.node("Unsqueeze", "x", g.longs([0])), g.longs([0, 0, 0, 1, 0, 0]))
    yield g.answers(g.reshape(longer, -1, 8))


def extents_of_other_outputs():
    """As above, of operators that make values of another length than their input."""
    g = Network([4], [4])
    yield g.mixed_where(g.node("LayerNormalization", "x", g.ones(4), outputs=2, axis=-1)[1], 1, 4)
    g = Network([4], [4])
    yield g.mixed_where(g.node("TopK", "x", g.longs([2]), outputs=2, axis=1)[0], 1, 4)
    g = Network([4], [4])
    yield g.mixed_where(g.node("GatherElements", g.floats(range(4)), g.longs([0, 1]), axis=0), 0, 4)
    g = Network([4], [4])
    yield g.mixed_where(g.node("MatMul", g.reshape("x", -1, 1, 2, 2), g.ones(3, 2, 2)), 1, 1)
    g = Network([12], [12])
    yield g.mixed_where(g.node("MatMul", g.ones(1, 1, 2, 2), g.reshape("x", -1, 3, 2, 2)), 1, 1)
    g = Network([4], [4])
    _, scores = g.node(
        "SVMClassifier", "x", outputs=2, domain=ML, classlabels_ints=list(range(4)), kernel_type="LINEAR",
        kernel_params=[0.0, 0.0, 3.0], support_vectors=[float(weight) for weight in np.eye(4).ravel()],
        vectors_per_class=[1] * 4, coefficients=[1.0, -1.0] * 6, rho=[0.1] * 6,
    )
    yield g.mixed_where(scores, 1, 4)


def slices_of_all_rows():
    """Slices whose ends are computed, and are those of all rows."""
    linear = lambda g, value, columns: g.answers(g.node("MatMul", value, g.weights(columns, 3)))
    g = Network([4], [3])
    end = g.node("Constant", value=numpy_helper.from_array(np.array(LARGEST, np.int64)))
    yield linear(g, g.slice("x", 0, g.node("Unsqueeze", end, g.longs([0])), axis=0), 4)
    g = Network([4], [3])
    yield linear(g, g.slice("x", SMALLEST, LARGEST, axis=0), 4)
    g = Network([4], [3])
    yield linear(g, g.slice("x", 0, g.count(), axis=0), 4)
    g = Network([4], [3])
    yield linear(g, g.node("Slice", "x", g.joined([0], [1]), g.joined([LARGEST], [3])), 2)


def attention():
    """A share for each of three parts of a row, windows of an image, queries that are learned, and places that are counted."""
    g = Network([3, 4], [4])
    share = g.node("Softmax", g.product(), axis=-1)
    yield g.answers(g.total(g.node("Mul", "x", g.node("Unsqueeze", share, g.longs([-1]))), 1, keepdims=0))
    g = Network([4, 4, 3], [3])
    windows = g.reshape(g.transpose(g.reshape("x", -1, 2, 2, 2, 2, 3), 0, 1, 3, 2, 4, 5), -1, 4, 3)
    windows = g.node("Softmax", windows, axis=1)
    count = g.node("Div", g.slice(g.node("Shape", windows), 0, 1, axis=0), g.longs([4]))
    back = g.transpose(g.node("Reshape", windows, g.joined(count, [2, 2, 2, 2, -1])), 0, 1, 3, 2, 4, 5)
    whole = g.node("Reshape", back, g.joined(count, [16, 3]))
    yield g.answers(g.node("ReduceMean", whole, axes=[1], keepdims=0))
    g = Network([3, 4], [8])
    queries = g.node("Tile", g.column(g.weights(2, 4)), g.joined([1], g.count(), [1]))
    scores = g.node("MatMul", g.transpose(queries, 1, 0, 2), g.transpose("x", 0, 2, 1))
    yield g.answers(g.node("Flatten", g.node("MatMul", g.node("Softmax", scores, axis=-1), "x")))
    g = Network([3, 4], [4])
    length = g.node("Gather", g.node("Shape", "x"), g.longs(1))
    places = g.node("Gather", g.weights(9, 4), g.node("Range", g.longs(0), length, g.longs(1)))
    yield g.answers(g.node("ReduceMean", g.node("Add", "x", places), axes=[1], keepdims=0))


def layers_over_steps():
    """Steps of rows come first, as a recurrent layer takes them, or are scanned."""
    g = Network([3, 4], [4])
    weights = [g.weights(2, 8, 4), g.weights(2, 8, 2)]
    made = g.node("LSTM", g.transpose("x", 1, 0, 2), *weights, outputs=3, hidden_size=2, direction="bidirectional")
    yield g.answers(g.node("Concat", *(g.node("Gather", made[1], g.longs(place), axis=0) for place in (-2, -1)), axis=1))
    g = Network([3, 2], [2])
    size = g.node("Abs", g.node("ReduceMax", "x", axes=[1, 2], keepdims=0))
    lengths = g.node("Cast", g.node("Clip", size, g.floats(1), g.floats(3)), to=TensorProto.INT32)
    given = [g.transpose("x", 1, 0, 2), g.weights(1, 8, 2), g.weights(1, 8, 2), "", lengths]
    yield g.answers(g.node("Squeeze", g.node("LSTM", *given, outputs=2, hidden_size=2)[1], g.longs([0])))
    g = Network([3, 2], [6])
    nodes = Nodes("a")
    state = nodes.node("Add", "b", "c")
    body = nodes.body([tensor("b"), tensor("c")], [tensor(state), tensor(nodes.node("Relu", state))])
    axes = {"scan_input_axes": [1], "scan_output_axes": [1]}
    scanned = g.node("Scan", g.total("x", 1, keepdims=0), "x", outputs=2, body=body, num_scan_inputs=1, **axes)
    yield g.answers(g.node("Flatten", scanned[1]))


def layers_over_channels():
    """Channels are normalised in groups, shuffled, moved to the last place and back, or unpooled."""
    g = Network([4, 2, 2], [16])
    groups = g.node("InstanceNormalization", g.reshape("x", 0, 2, -1), g.ones(2), g.floats([0, 0]))
    whole = g.node("Reshape", groups, g.node("Shape", "x"))
    yield g.answers(g.node("Flatten", g.node("Mul", whole, g.ones(4, 1, 1))))
    g = Network([4, 2, 2], [4])
    count = g.count()
    pairs = g.node("Reshape", "x", g.joined(count, [2, 2, 2, 2]))
    shuffled = g.node("Reshape", g.transpose(pairs, 0, 2, 1, 3, 4), g.joined(count, [-1, 2, 2]))
    yield g.answers(g.node("Flatten", g.node("GlobalAveragePool", shuffled)))
    g = Network([2, 2, 3], [3])
    convolved = g.node("Conv", g.transpose("x", 0, 3, 1, 2), g.weights(3, 3, 1, 1))
    yield g.answers(g.node("ReduceMean", g.transpose(convolved, 0, 2, 3, 1), axes=[1, 2], keepdims=0))
    g = Network([1, 4, 4], [16])
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    largest = g.node("MaxPool", "x", outputs=2, **pool)
    yield g.answers(g.node("Flatten", g.node("MaxUnpool", *largest, **pool)))


def layers_over_columns():
    """Lengths of rows, products of their parts, and a network that fixes the number of rows."""
    g = Network([4], [4])
    length = g.node("Clip", g.node("ReduceL2", "x", axes=[1]), g.floats(1e-12))
    yield g.answers(g.node("Div", "x", g.node("Expand", length, g.node("Shape", "x"))))
    g = Network([4], [3])
    unit = g.node("Div", "x", g.node("ReduceL2", "x", axes=[-1]))
    yield g.answers(g.node("MatMul", unit, g.weights(4, 3)))
    g = Network([4], [4])
    yield g.answers(g.reshape(g.node("Add", g.reshape("x", -1, 2, 2), g.floats([[[1], [100]]])), -1, 4))
    g = Network([3, 4], [4])
    yield g.answers(g.node("MatMul", g.floats([0.5, -0.8, 0.9]), "x"))
    g = Network([4], [3], 2)
    yield g.answers(g.node("Softmax", g.node("Gemm", "x", g.weights(4, 3), g.floats([1, 2, 3])), axis=1))


ATTACKS = [
    last_axis_of_products, products_beside_columns, squeezes_without_axes, columns_cut_by_the_number_of_rows,
    columns_lengthened_by_the_number_of_rows, shapes_by_the_number_of_rows, constants_of_the_length_of_a_run,
    constants_shaped_by_the_number_of_rows, constants_along_merged_axes, constants_along_rows, weights_of_each_row, recurrent,
    places_of_maxima, unknown_shapes, unknown_shapes_of_bodies, fourth_outputs, overloads, lists_of_operators,
    classical_operators, operators_of_microsoft, choices_by_the_number_of_rows, resized_regions, resized_by_half_pixels,
    resized_with_the_same_aspect, extents_of_windows, extents_of_turned_rows, extents_of_other_outputs,
]
ORDINARY = [slices_of_all_rows, attention, layers_over_steps, layers_over_channels, layers_over_columns]


def main():
    out = bytearray()
    for make in ATTACKS + ORDINARY:
        for index, network in enumerate(make()):
            name = f"{make.__name__.replace('_', ' ')} {index}"
            model = network.model()
            onnx.checker.check_model(model)
            content = model.SerializeToString()
            out += struct.pack("<BHB", make in ORDINARY, math.prod(network.row), len(name)) + name.encode()
            out += struct.pack("<H", len(content)) + content
    with open(sys.argv[1], "wb") as file:
        file.write(out)


main()
