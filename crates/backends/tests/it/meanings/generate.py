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

KINDS = [
    "softmax", "log_softmax", "sigmoid", "logits", "quantised", "heads", "written_out", "unclear", "merged", "items", "classical", "coded",
]
NETWORKS = 324
COLUMNS, ROWS = 4, 3
ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"


class Network:
    """A graph under construction; `value` is the last value made. Operators are written as its operator set has them."""

    def __init__(self, random):
        self.random, self.nodes, self.constants, self.value = random, [], [], "x"
        self.opset = int(random.integers(7, 23))
        self.element = TensorProto.FLOAT

    def name(self, prefix):
        return f"{prefix}{len(self.nodes) + len(self.constants)}"

    def chance(self, probability):
        return self.random.random() < probability

    def one_of(self, *choices):
        return choices[self.random.integers(len(choices))]

    def constant(self, values, dtype=np.float32):
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, op, *inputs, outputs=1, **attributes):
        made = [f"{self.name('v')}{'' if index == 0 else '_' + str(index)}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, **attributes))
        self.value = made[0]
        return made[0]

    def along(self, op, value, axes, since, **attributes):
        """An operator whose axes are an attribute before that operator set, and an input from it on."""
        if self.opset < since:
            return self.node(op, value, axes=axes, **attributes)
        return self.node(op, value, self.constant(axes, np.int64), **attributes)

    def total(self, value, axes):
        return self.along("ReduceSum", value, axes, 13, keepdims=1)

    def largest(self, value, axes):
        return self.along("ReduceMax", value, axes, 18, keepdims=1)

    def mean(self, value, axes):
        return self.along("ReduceMean", value, axes, 18, keepdims=1)

    def slice(self, value, start, end, axis):
        if self.opset < 10:
            return self.node("Slice", value, starts=[start], ends=[end], axes=[axis])
        return self.node("Slice", value, *(self.constant([number], np.int64) for number in (start, end, axis)))

    def split(self, value, sizes):
        if self.opset < 13:
            return self.node("Split", value, outputs=len(sizes), split=sizes, axis=1)
        return self.node("Split", value, self.constant(sizes, np.int64), outputs=len(sizes), axis=-1)

    def clip(self, value, low, high):
        if self.opset < 11:
            return self.node("Clip", value, min=low, max=high)
        return self.node("Clip", value, self.constant(low), self.constant(high))

    def reshape(self, value, *shape):
        return self.node("Reshape", value, self.constant(shape, np.int64))

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 1.5, shape))

    def linear(self, value, columns, classes):
        match self.random.integers(0, 4):
            case 0 | 1:
                return self.node("Gemm", value, self.weights(columns, classes), self.weights(classes))
            case 2:
                return self.node("Gemm", value, self.weights(classes, columns), self.weights(classes), transB=1)
        product = self.node("MatMul", value, self.weights(columns, classes))
        return self.node("Add", product, self.weights(classes)) if self.chance(0.5) else product

    def attention(self):
        """A softmax inside, over halves of the input."""
        halves = self.reshape("x", 0, 2, 2)
        keys, values = self.node("MatMul", halves, self.weights(2, 2)), self.node("MatMul", halves, self.weights(2, 2))
        scores = self.node("MatMul", halves, self.node("Transpose", keys, perm=[0, 2, 1]))
        share = self.node("Softmax", scores, axis=2 if self.opset < 13 else self.one_of(2, -1))
        share = self.node("Dropout", share) if self.chance(0.5) else share
        seen = self.node("MatMul", share, values)
        seen = self.node("Add", self.node("MatMul", seen, self.weights(2, 2)), halves)
        return self.node("Flatten", seen)

    def hidden(self):
        """What scores are made of, and how many numbers these are."""
        match self.random.integers(0, 8):
            case 0 | 1 | 2:
                return "x", COLUMNS
            case 3:
                return self.attention(), COLUMNS
            case 4:
                gate = self.node("Sigmoid", self.linear("x", COLUMNS, COLUMNS))
                return self.node("Mul", "x", gate), COLUMNS
            case 5:
                share = self.node("Softmax", self.linear("x", COLUMNS, COLUMNS), axis=1)
                return self.node("Relu", self.linear(share, COLUMNS, 3)), 3
            case _:
                return self.node(self.one_of("Relu", "Sigmoid", "Tanh"), self.linear("x", COLUMNS, 3)), 3

    def scores(self, classes):
        value, columns = self.hidden()
        return self.linear(value, columns, classes)

    def changed_scores(self, value, classes):
        """Other scores of the same classes."""
        match self.random.integers(0, 6):
            case 0:
                statistics = [self.weights(classes), self.weights(classes), self.constant(np.ones(classes))]
                return self.node("BatchNormalization", value, self.weights(classes), *statistics)
            case 1:
                return self.node("Mul", value, self.constant(0.5))
            case 2:
                return self.node("Add", value, self.scores(classes))
            case 3:
                return self.node("Sub", value, self.mean(value, [self.one_of(1, -1)]))
        return value

    def quantised(self, value, low, high):
        scale, zero = self.constant((high - low) / 255), self.constant(round(-low * 255 / (high - low)), np.uint8)
        whole = self.node("QuantizeLinear", value, scale, zero)
        whole = self.node("Identity", whole) if self.chance(0.3) else whole
        return self.node("DequantizeLinear", whole, scale, zero)

    def moved(self, value, classes):
        """The same numbers, perhaps after operators that only move them."""
        for _ in range(self.random.integers(0, 3)):
            match self.random.integers(0, 8):
                case 0:
                    value = self.node("Identity", value)
                case 1:
                    value = self.node("Flatten", value, axis=1)
                case 2:
                    value = self.reshape(value, -1, classes)
                case 3:
                    value = self.along("Squeeze", self.along("Unsqueeze", value, [2], 13), [2], 13)
                case 4:
                    value = self.node("Transpose", self.node("Transpose", value), perm=[1, 0])
                case 5:
                    value = self.slice(value, 0, 2**31 - 1, 0)
                case 6:
                    value = self.node("Dropout", value)
                case 7:
                    value = self.node("Cast", value, to=TensorProto.FLOAT)
        return value

    def softmax(self, scores, classes, op="Softmax"):
        match self.random.integers(0, 4):
            case 0:
                cube = self.reshape(scores, 0, classes, 1, 1)
                share = self.node(op, cube) if self.opset < 13 and self.chance(0.5) else self.node(op, cube, axis=1)
                return self.node("Flatten", share)
            case 1 if self.opset >= 13:
                turned = self.node(op, self.node("Transpose", scores, perm=[1, 0]), axis=self.one_of(0, -2))
                return self.node("Transpose", turned)
            case _:
                return self.node(op, scores) if self.chance(0.3) else self.node(op, scores, axis=self.one_of(1, -1))

    def shares(self, scores, axes):
        """A softmax written out along these axes."""
        exponentials = self.node("Exp", self.node("Sub", scores, self.largest(scores, axes)) if self.chance(0.7) else scores)
        total = self.total(exponentials, axes)
        if self.chance(0.3):
            total = self.node("Add", total, self.constant(1e-9))
        if self.chance(0.5):
            return self.node("Div", exponentials, total)
        return self.node("Mul", exponentials, self.node("Reciprocal", total))


def sigmoid(network, scores):
    match network.random.integers(0, 4):
        case 0:
            exponentials = network.node("Exp", network.node("Neg", scores))
            return network.node("Div", network.constant(1.0), network.node("Add", exponentials, network.constant(1.0)))
        case 1:
            return network.node("Sub", network.constant(1.0), network.node("Sigmoid", scores))
        case 2:
            return network.node("HardSigmoid", scores, alpha=0.1)
    return network.node("Sigmoid", scores)


def log_softmax(network, scores, classes):
    match network.random.integers(0, 4):
        case 0:
            return network.node("Log", network.softmax(network.node("Mul", scores, network.constant(0.1)), classes))
        case 1:
            axes = [network.one_of(1, -1)]
            return network.node("Sub", scores, network.along("ReduceLogSumExp", scores, axes, 18, keepdims=1))
    return network.softmax(scores, classes, "LogSoftmax")


def between(network, value, classes):
    """What may stand between probabilities and weights; gives how many numbers there are then."""
    match network.random.integers(0, 8):
        case 0:
            return network.node("Dropout", value), classes
        case 1:
            return network.slice(value, 0, classes - 1, network.one_of(1, -1)), classes - 1
        case 2:
            order = network.constant(network.random.permutation(classes), np.int64)
            return network.node("Gather", value, order, axis=1), classes
        case 3:
            return network.split(value, [classes - 1, 1]), classes - 1
        case 4:
            return network.clip(value, 1e-7, 1.0), classes
        case 5:
            return network.node("Mul", value, network.constant(0.5)), classes
        case 6:
            return network.node("Concat", value, network.softmax(network.scores(classes), classes), axis=1), 2 * classes
    return value, classes


def merged(network, classes):
    """Fewer classes of more, or the mean of several networks: no scores."""
    many = classes + 2
    if network.chance(0.2):
        share, count = network.node("Sigmoid", network.scores(many)), many
    elif network.chance(0.3):
        share, count = network.shares(network.scores(many), [network.one_of(1, -1)]), many
    else:
        share, count = between(network, network.softmax(network.scores(many), many), many)
    weights = np.zeros((count, classes))
    weights[np.arange(count), np.arange(count) % classes] = 1
    weights = network.constant(weights / weights.sum(axis=0))
    if network.chance(0.5):
        network.node("MatMul", share, weights)
    else:
        network.node("Gemm", share, weights, network.constant(np.zeros(classes)))


def over_items(network, classes):
    """Answers that depend on what else is asked."""
    items = [network.one_of(0, -2)]
    match network.random.integers(0, 8):
        case 0:
            network.node("Softmax", network.scores(classes), axis=items[0])
        case 1:
            network.shares(network.scores(classes), items)
        case 2:
            scores = network.scores(classes)
            network.node("Sub", scores, network.along("ReduceLogSumExp", scores, items, 18, keepdims=1))
        case 3:
            centred = network.node("Sub", "x", network.mean("x", items))
            network.node("Softmax", network.linear(centred, COLUMNS, classes), axis=1)
        case 4:
            scores = network.scores(classes)
            network.node("Sub", scores, network.largest(scores, items))
        case 5:
            network.opset = max(network.opset, 15)
            statistics = [network.constant(np.ones(COLUMNS)) for _ in range(4)]
            network.node("BatchNormalization", "x", *statistics, outputs=3, training_mode=1)
            network.linear(network.value, COLUMNS, classes)
        case 6:
            network.opset = max(network.opset, 13)
            training = [network.constant(0.5), network.constant(True, np.bool_)]
            network.linear(network.node("Dropout", "x", *training), COLUMNS, classes)
        case 7:
            noise = network.node("Add", "x", network.node("RandomNormalLike", "x"))
            network.softmax(network.linear(noise, COLUMNS, classes), classes)


def trees(network, classes):
    """Two trees of one split, whose leaves share half a vote each; of two classes the first is left out."""
    trees, nodes, modes, features, values, true, false = [], [], [], [], [], [], []
    votes = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    listed = [0] if classes == 2 else range(classes)
    for tree in range(2):
        trees += [tree] * 3
        nodes += [0, 1, 2]
        modes += ["BRANCH_LEQ", "LEAF", "LEAF"]
        features += [int(network.random.integers(COLUMNS)), 0, 0]
        values += [float(network.random.normal()), 0.0, 0.0]
        true, false = true + [1, 0, 0], false + [2, 0, 0]
        for leaf in (1, 2):
            shares = network.random.dirichlet(np.ones(classes)) / 2
            for place in listed:
                votes["treeids"].append(tree)
                votes["nodeids"].append(leaf)
                votes["ids"].append(place)
                votes["weights"].append(float(shares[place]))
    network.node(
        "TreeEnsembleClassifier", "x", outputs=2, domain=ML, post_transform="NONE", classlabels_int64s=list(range(classes)),
        nodes_treeids=trees, nodes_nodeids=nodes, nodes_modes=modes, nodes_featureids=features, nodes_values=values,
        nodes_truenodeids=true, nodes_falsenodeids=false, nodes_hitrates=[1.0] * 6,
        **{f"class_{name}": listed for name, listed in votes.items()},
    )
    network.value += "_1"


def classical(network, classes):
    """Classifiers of scikit-learn; gives whether they say what they answer."""
    network.opset = min(network.opset, 21)
    if network.chance(0.4):
        trees(network, classes)
        return True
    transform = network.one_of("SOFTMAX", "LOGISTIC", "NONE", "PROBIT")
    weights = network.random.normal(0, 1, COLUMNS * classes).astype(float)
    network.node(
        "LinearClassifier", "x", outputs=2, domain=ML, post_transform=transform, coefficients=list(weights),
        intercepts=[0.1] * classes, classlabels_ints=list(range(classes)), multi_class=0,
    )
    network.value += "_1"
    if transform == "LOGISTIC" and network.chance(0.5):
        network.node("Normalizer", network.value, domain=ML, norm="L1")
    return transform in ("SOFTMAX", "LOGISTIC")


def coded(network, classes):
    """Whole numbers whose scale is lost."""
    network.element = TensorProto.UINT8
    scale, zero = network.constant(1 / 255), network.constant(0, np.uint8)
    if network.chance(0.25):
        network.opset = max(network.opset, 13)
        whole = network.node("QuantizeLinear", "x", network.constant(0.05), network.constant(128, np.uint8))
        weights = network.constant(network.random.integers(0, 255, (COLUMNS, classes)), np.uint8)
        inputs = [whole, network.constant(0.05), network.constant(128, np.uint8), weights, network.constant(0.02)]
        inputs += [network.constant(128, np.uint8), "", network.constant(0.1), network.constant(128, np.uint8)]
        network.node("QGemm", *inputs, domain=MICROSOFT)
        return
    many = classes + 1
    network.opset = max(network.opset, 13)
    whole = network.node("QuantizeLinear", network.softmax(network.scores(many), many), scale, zero)
    match network.random.integers(0, 4):
        case 0:
            network.slice(whole, 0, classes, network.one_of(1, -1))
        case 1:
            network.node("Gather", whole, network.constant(np.arange(classes), np.int64), axis=1)
        case 2:
            network.split(whole, [classes, 1])
            network.value = network.nodes[-1].output[0]
        case 3:
            network.element = TensorProto.FLOAT
            numbers = network.node("Cast", whole, to=TensorProto.FLOAT)
            network.node("Dropout", network.slice(numbers, 0, classes, 1))


def head(network, kind, classes):
    """Makes the output; gives how its numbers become probabilities, None where that cannot be told."""
    as_it_is = lambda values: values
    softmax = lambda values: np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    match kind:
        case "softmax":
            network.softmax(network.scores(classes), classes)
            return as_it_is
        case "log_softmax":
            log_softmax(network, network.scores(classes), classes)
            return np.exp
        case "sigmoid":
            sigmoid(network, network.scores(classes))
            return as_it_is
        case "logits":
            network.changed_scores(network.scores(classes), classes)
            return softmax
        case "quantised":
            network.opset = max(network.opset, 10)
            scores = network.scores(classes)
            if network.chance(0.3):
                network.quantised(scores, -20, 20)
                return softmax
            network.quantised(network.softmax(scores, classes), 0, 1)
            return as_it_is
        case "heads":
            first = network.softmax(network.scores(classes), classes)
            if network.chance(0.5):
                first = network.slice(first, 0, classes - 1, network.one_of(1, -1))
                network.node("Concat", first, network.node("Sigmoid", network.scores(1)), axis=1)
            else:
                first = network.slice(first, 0, classes - 2, 1)
                network.node("Concat", first, network.softmax(network.scores(2), 2), axis=network.one_of(1, -1))
            return as_it_is
        case "written_out":
            network.shares(network.scores(classes), [network.one_of(1, -1)])
            return as_it_is
        case "unclear":
            op = network.one_of("Tanh", "Relu", "Exp", "Abs", "LeakyRelu", "Softplus")
            network.node(op, network.scores(classes))
            return None
        case "merged":
            merged(network, classes)
            return None
        case "items":
            over_items(network, classes)
            return None
        case "classical":
            return as_it_is if classical(network, classes) else None
        case "coded":
            coded(network, classes)
            return None


def build(network, classes):
    output = helper.make_tensor_value_info(network.value, network.element, ["n", classes])
    asked = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", COLUMNS])
    graph = helper.make_graph(network.nodes, "head", [asked], [output], network.constants)
    own = sorted({node.domain for node in network.nodes} - {""})
    versions = [helper.make_opsetid("", network.opset)] + [helper.make_opsetid(domain, 1) for domain in own]
    return helper.make_model(graph, opset_imports=versions, ir_version=8)


def main():
    random = np.random.default_rng(1)
    samples = random.normal(0, 2, (ROWS, COLUMNS)).astype(np.float32)
    out = bytearray(struct.pack("<BB", COLUMNS, ROWS) + samples.tobytes())
    for index in range(NETWORKS):
        kind = index % len(KINDS)
        classes = int(random.integers(3 if KINDS[kind] == "heads" else 2, 7))
        network = Network(random)
        become = head(network, KINDS[kind], classes)
        if KINDS[kind] not in ("coded", "items"):
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
