"""Writes networks.bin: one small network of Caffe for each way of writing a layer, with what it computes.

    pip install numpy 'opencv-python-headless<5'
    python3 generate.py networks.bin

The format is that of ../caffe_files/generate.py, whose helpers are used. Expected values are those of OpenCV's importer of Caffe
(cv2.dnn) where it has the layer, else the layer's formula in double precision, written after the source of Caffe (or of the fork
that has the layer); where there are both, they are compared here. Values must vary: a network whose outputs are all alike is an
error here.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "caffe_files"))
from generate import SAMPLES, data, floats, layer, old_layer, write  # noqa: E402

DIMS = (4, 3, 5)


def text_of(kind, param="", bottoms=("data",), tops=("y",), name="l"):
    fields = "".join(f'bottom: "{bottom}" ' for bottom in bottoms) + "".join(f'top: "{top}" ' for top in tops)
    return f'layer {{ name: "{name}" type: "{kind}" {fields} {param} }}\n'


def one(kind, param, function, x, model=b"", opencv=True, dims=None):
    """A network of one layer."""
    dims = dims or x.shape[1:]
    return data(dims) + text_of(kind, param), model, dims, x, function(x.astype(np.float64)), opencv


def whole(random, *dims, low=-3, high=4):
    """Whole numbers, of which many are equal."""
    return random.integers(low, high, (SAMPLES, *dims)).astype(np.float32)


def pointwise(random):
    x, positive = floats(random, SAMPLES, *DIMS), np.abs(floats(random, SAMPLES, *DIMS)) + np.float32(0.25)
    power = lambda fields: f"power_param {{ {fields} }}"
    yield "Power, none of it", one("Power", "", lambda x: x, x)
    yield "Power, affine", one("Power", power("scale: -0.5 shift: 1.5"), lambda x: 1.5 - 0.5 * x, x)
    yield "Power, square", one("Power", power("power: 2 scale: 3 shift: -1"), lambda x: (3 * x - 1) ** 2, x)
    yield "Power, cube", one("Power", power("power: 3"), lambda x: x**3, x)
    yield "Power, reciprocal", one("Power", power("power: -1 shift: 0.5"), lambda x: 1 / (x + 0.5), positive)
    yield "Power, root", one("Power", power("power: 0.5"), lambda x: x**0.5, positive)
    exp = lambda fields: f"exp_param {{ {fields} }}"
    yield "Exp", one("Exp", "", np.exp, x)
    yield "Exp, of a base", one("Exp", exp("base: 2 scale: 0.5 shift: 1.5"), lambda x: 2 ** (1.5 + 0.5 * x), x)
    yield "Exp, shifted", one("Exp", exp("scale: -1 shift: 0.5"), lambda x: np.exp(0.5 - x), x)
    log = lambda fields: f"log_param {{ {fields} }}"
    yield "Log", one("Log", "", np.log, positive)
    yield "Log, of a base", one("Log", log("base: 10 scale: 2 shift: 0.5"), lambda x: np.log10(2 * x + 0.5), positive, opencv=False)
    yield "AbsVal", one("AbsVal", "", np.abs, x)
    yield "BNLL", one("BNLL", "", lambda x: np.log1p(np.exp(x)), x * np.float32(8))
    yield "Threshold", one("Threshold", "threshold_param { threshold: 0.25 }", lambda x: x > 0.25, x, opencv=False)
    yield "Threshold, equal", one("Threshold", "threshold_param { threshold: 1 }", lambda x: x > 1, whole(random, *DIMS), opencv=False)
    yield "ReLU6", one("ReLU6", "", lambda x: np.clip(x, 0, 6), x * np.float32(4))
    yield "Clip", one("Clip", "clip_param { min: -0.5 max: 1 }", lambda x: np.clip(x, -0.5, 1), x, opencv=False)
    yield "Swish", one("Swish", "swish_param { beta: 1.5 }", lambda x: x / (1 + np.exp(-1.5 * x)), x, opencv=False)


def moving(random):
    x = floats(random, SAMPLES, *DIMS)
    order = lambda axes: f"permute_param {{ {' '.join(f'order: {axis}' for axis in axes)} }}"
    yield "Permute", one("Permute", order([0, 2, 3, 1]), lambda x: x.transpose(0, 2, 3, 1), x)
    yield "Permute, the rest", one("Permute", order([0, 3]), lambda x: x.transpose(0, 3, 1, 2), x, opencv=False)
    yield "Permute, none", one("Permute", "", lambda x: x, x, opencv=False)
    shuffle = lambda x: x.reshape(SAMPLES, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4)
    yield "ShuffleChannel", one("ShuffleChannel", "shuffle_channel_param { group: 2 }", shuffle, x)
    six = floats(random, SAMPLES, 6, 2, 2)
    shuffle = lambda x: x.reshape(SAMPLES, 3, 2, 2, 2).transpose(0, 2, 1, 3, 4)
    yield "ShuffleChannel, of three", one("ShuffleChannel", "shuffle_channel_param { group: 3 }", shuffle, six)
    tile = lambda fields: f"tile_param {{ {fields} }}"
    yield "Tile", one("Tile", tile("tiles: 3"), lambda x: np.tile(x, (1, 3, 1, 1)), x, opencv=False)
    yield "Tile, last", one("Tile", tile("axis: -1 tiles: 2"), lambda x: np.tile(x, (1, 1, 1, 2)), x, opencv=False)
    yield "Reverse", one("Reverse", "reverse_param { axis: 1 }", lambda x: x[:, ::-1], x, opencv=False)
    yield "Reverse, last", one("Reverse", "reverse_param { axis: 3 }", lambda x: x[..., ::-1], x, opencv=False)
    part = text_of("Pooling", "pooling_param { kernel_size: 2 }", tops=["p"], name="p")
    for name, fields, crop in [
        ("Crop", "", lambda x: x[:, :, :2, :4]),
        ("Crop, by one offset", "offset: 1", lambda x: x[:, :, 1:3, 1:5]),
        ("Crop, by each offset", "axis: -2 offset: 0 offset: 1", lambda x: x[:, :, 0:2, 1:5]),
        ("Crop, last axis", "axis: 3 offset: 1", lambda x: x[..., 1:5]),
    ]:
        text = data(DIMS) + part + text_of("Crop", f"crop_param {{ {fields} }}", ["data", "p"])
        yield name, (text, b"", DIMS, x, crop(x), fields != "axis: 3 offset: 1")


def normalize(random):
    x = floats(random, SAMPLES, *DIMS)
    for across in [True, False]:
        for shared in [True, False]:
            for eps in [1e-10, 0.5]:
                scale = floats(random, 1 if shared else 4)
                param = f"norm_param {{ across_spatial: {str(across).lower()} channel_shared: {str(shared).lower()} "
                param += f"eps: {eps} scale_filler {{ type: \"constant\" value: 20 }} }}"
                axes = (1, 2, 3) if across else 1
                weight = scale.reshape(-1, 1, 1).astype(np.float64)
                y = lambda x: x / np.sqrt((x**2).sum(axes, keepdims=True) + eps) * weight
                # Caffe writes a blob without axes for one number, which OpenCV does not read; nor has it a scale of each channel
                # beside a norm of the whole sample.
                stored = np.array(scale[0]) if shared else scale
                opencv = layer("l", [scale]) if shared or not across else False
                yield f"Normalize, {across}, {shared}, {eps}", one("Normalize", param, y, x, layer("l", [stored]), opencv)


def deconvolve(x, weight, bias, stride, pad, dilation, groups):
    """After deconv_layer.cpp: every value adds the kernel times itself."""
    count, channels, height, width = x.shape
    _, each, kernel_height, kernel_width = weight.shape
    reach = [dilation[0] * (kernel_height - 1) + 1, dilation[1] * (kernel_width - 1) + 1]
    y = np.zeros((count, each * groups, stride[0] * (height - 1) + reach[0], stride[1] * (width - 1) + reach[1]))
    for channel in range(channels):
        group = channel // (channels // groups)
        for output in range(each):
            for i in range(kernel_height):
                for j in range(kernel_width):
                    top, left = i * dilation[0], j * dilation[1]
                    rows = slice(top, top + stride[0] * (height - 1) + 1, stride[0])
                    columns = slice(left, left + stride[1] * (width - 1) + 1, stride[1])
                    y[:, group * each + output, rows, columns] += x[:, channel] * weight[channel, output, i, j]
    y = y[:, :, pad[0] : y.shape[2] - pad[0], pad[1] : y.shape[3] - pad[1]]
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def deconvolution(random):
    cases = [
        ("", "num_output: 3 kernel_size: 2 stride: 2", 3, (2, 2), (2, 2), (0, 0), (1, 1), 1, True, False),
        (", padded", "num_output: 2 kernel_size: 4 stride: 2 pad: 1 bias_term: false", 2, (4, 4), (2, 2), (1, 1), (1, 1), 1, False, False),
        (", in groups", "num_output: 6 kernel_size: 3 stride: 2 pad: 1 group: 2", 6, (3, 3), (2, 2), (1, 1), (1, 1), 2, True, False),
        (", by channel", "num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false", 4, (4, 4), (2, 2), (1, 1), (1, 1), 4, False, False),
        (", not square", "num_output: 2 kernel_h: 1 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1", 2, (1, 3), (2, 1), (0, 1), (1, 1), 1, True, False),
        (", dilated", "num_output: 2 kernel_size: 2 dilation: 2", 2, (2, 2), (1, 1), (0, 0), (2, 2), 1, True, False),
        (", of 2013", "num_output: 3 kernel_size: 2 stride: 2", 3, (2, 2), (2, 2), (0, 0), (1, 1), 1, True, True),
    ]
    dims = (4, 3, 2)
    for name, fields, outputs, kernel, stride, pad, dilation, groups, has_bias, old in cases:
        x = floats(random, SAMPLES, *dims)
        weight = floats(random, 4, outputs // groups, *kernel)
        bias = floats(random, outputs) if has_bias else None
        blobs = [weight] + ([bias] if has_bias else [])
        y = deconvolve(x.astype(np.float64), weight, bias, stride, pad, dilation, groups)
        param = f"convolution_param {{ {fields} }}"
        if old:
            text = 'input: "data" input_dim: 1 input_dim: 4 input_dim: 3 input_dim: 2\n'
            text += f'layers {{ name: "l" type: DECONVOLUTION bottom: "data" top: "y" {param} }}\n'
            yield "Deconvolution" + name, (text, old_layer("l", blobs), dims, x, y, True)
        else:
            yield "Deconvolution" + name, (data(dims) + text_of("Deconvolution", param), layer("l", blobs), dims, x, y, dilation == (1, 1))


def reducing(random):
    x, ties = floats(random, SAMPLES, *DIMS), whole(random, *DIMS)
    for operation, summand in [("SUM", lambda x: x), ("ASUM", np.abs), ("SUMSQ", np.square)]:
        for axis, axes in [(2, (2, 3)), (-1, (3,))]:
            y = lambda x: -1.5 * summand(x).sum(axes)
            param = f"reduction_param {{ operation: {operation} axis: {axis} coeff: -1.5 }}"
            yield f"Reduction, {operation}, {axis}", one("Reduction", param, y, x, opencv=False)
    yield "Reduction, MEAN", one("Reduction", "reduction_param { operation: MEAN axis: 2 }", lambda x: x.mean((2, 3)), x, opencv=False)

    def greatest(x, count):
        """Places and values along the last axis: pairs of value and place, sorted downwards."""
        places = np.array([sorted(range(x.shape[-1]), key=lambda place: (row[place], place), reverse=True)[:count]
                           for row in x.reshape(-1, x.shape[-1])]).reshape(*x.shape[:-1], count)
        return places, np.take_along_axis(x, places, -1)

    for name, x in [("", x), (", ties", ties)]:
        argmax = lambda fields, y: one("ArgMax", f"argmax_param {{ {fields} }}", y, x, opencv=False)
        for count in [1, 3]:
            along = lambda which: lambda x: np.moveaxis(greatest(np.moveaxis(x, 1, -1), count)[which], -1, 1)
            yield f"ArgMax{name}, along, {count}", argmax(f"axis: 1 top_k: {count}", along(0))
            yield f"ArgMax{name}, values along, {count}", argmax(f"axis: 1 top_k: {count} out_max_val: true", along(1))
            flat = lambda x: greatest(x.reshape(SAMPLES, -1), count)
            yield f"ArgMax{name}, whole, {count}", argmax(f"top_k: {count}", lambda x: flat(x)[0])
            both = lambda x: np.concatenate(flat(x), 1)
            yield f"ArgMax{name}, whole with values, {count}", argmax(f"top_k: {count} out_max_val: true", both)


def axpy(random):
    dims = (4, 2, 3)
    x, factor = floats(random, SAMPLES, *dims), floats(random, 4, 4, 1, 1)
    text = data(dims) + text_of("Pooling", "pooling_param { pool: AVE global_pooling: true }", tops=["a"], name="a")
    text += text_of("Convolution", "convolution_param { num_output: 4 kernel_size: 1 bias_term: false }", ["data"], ["c"], "c")
    text += text_of("Axpy", "", ["a", "data", "c"])
    y = x.mean((2, 3), keepdims=True, dtype=np.float64) * x + np.einsum("oi,nihw->nohw", factor[:, :, 0, 0].astype(np.float64), x)
    # OpenCV takes the second and the third bottom for each other.
    yield "Axpy", (text, layer("c", [factor]), dims, x, y, False)


def interpolate(x, height, width):
    """After interp.cpp: corners stay where they are."""
    for axis, size in [(2, height), (3, width)]:
        old = x.shape[axis]
        place = np.arange(size) * ((old - 1) / (size - 1) if size > 1 else 0.0)
        low = np.minimum(place.astype(int), old - 1)
        high = np.minimum(low + 1, old - 1)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def interp(random):
    dims = (2, 3, 5)
    x = floats(random, SAMPLES, *dims)
    for name, fields, cut, size, opencv in [
        ("to a size", "height: 7 width: 8", (0, 0), (7, 8), True),
        ("to a smaller size", "height: 2 width: 3", (0, 0), (2, 3), True),
        ("to one row", "height: 1 width: 9", (0, 0), (1, 9), True),
        ("zoomed", "zoom_factor: 3", (0, 0), (7, 13), True),
        ("shrunk", "shrink_factor: 2", (0, 0), (2, 3), False),
        ("shrunk and zoomed", "shrink_factor: 2 zoom_factor: 4", (0, 0), (5, 9), False),
        ("cut", "pad_beg: -1 zoom_factor: 4", (1, 0), (5, 13), False),
        ("cut at both ends", "height: 6 width: 6 pad_beg: -1 pad_end: -1", (1, 1), (6, 6), False),
        ("as it is", "height: 3 width: 5", (0, 0), (3, 5), True),
    ]:
        cropped = lambda x: x[:, :, cut[0] : x.shape[2] - cut[1], cut[0] : x.shape[3] - cut[1]]
        y = lambda x: interpolate(cropped(x), *size)
        yield f"Interp, {name}", one("Interp", f"interp_param {{ {fields} }}", y, x, opencv=opencv)


def pooled(x, kernel, rows, columns):
    """After pooling_layer.cpp with two tops: the first of equal values counts."""
    count, channels, height, width = x.shape
    values, places = np.zeros((count, channels, rows, columns)), np.zeros((count, channels, rows, columns), int)
    for index in np.ndindex(values.shape):
        best = None
        for h in range(index[2] * kernel, min((index[2] + 1) * kernel, height)):
            for w in range(index[3] * kernel, min((index[3] + 1) * kernel, width)):
                value = x[index[0], index[1], h, w]
                if best is None or value > best:
                    best, places[index] = value, h * width + w
        values[index] = best
    return values, places


def unpooled(values, places, height, width):
    y = np.zeros((*values.shape[:2], height * width))
    for index in np.ndindex(values.shape):
        y[index[0], index[1], places[index]] = values[index]
    return y.reshape(*values.shape[:2], height, width)


def upsample(random):
    for name, dims, kernel, fields, size, pooling in [
        ("by two", (3, 4, 6), 2, "", (4, 6), ""),
        ("of odd extents", (3, 5, 7), 2, "scale: 2 upsample_h: 5 upsample_w: 7", (5, 7), ""),
        ("of odd extents, without the last", (2, 5, 7), 2, "upsample_h: 5 upsample_w: 7", (5, 7), "round_mode: FLOOR"),
        ("of an odd height", (2, 5, 4), 2, "scale: 2 pad_out_h: true", (5, 4), ""),
        ("by three", (2, 6, 7), 3, "upsample_h: 6 upsample_w: 7", (6, 7), ""),
        ("of other scales", (2, 4, 4), 2, "scale_h: 2 scale_w: 3", (4, 6), ""),
    ]:
        x = whole(random, *dims, low=-2, high=3) + np.float32(0.5)
        rows, columns = [size // kernel if "FLOOR" in pooling else -(-size // kernel) for size in dims[1:]]
        text = data(dims)
        text += text_of("Pooling", f"pooling_param {{ pool: MAX kernel_size: {kernel} stride: {kernel} {pooling} }}", tops=["p", "m"], name="p")
        values, places = pooled(x.astype(np.float64), kernel, rows, columns)
        for what, end, y in [
            ("maxima", text_of("Silence", bottoms=["m"], tops=[]), values),
            ("places", text_of("Silence", bottoms=["p"], tops=[]), places),
            ("upsampled", text_of("Upsample", f"upsample_param {{ {fields} }}", ["p", "m"]), unpooled(values, places, *size)),
        ]:
            yield f"Upsample, {name}, {what}", (text + end, b"", dims, x, y, False)


def embed(random):
    x = random.integers(0, 5, (SAMPLES, 6)).astype(np.float32)
    weight, bias = floats(random, 5, 3), floats(random, 3)
    embedded = lambda x: weight[x.astype(int)]
    param = "embed_param { num_output: 3 input_dim: 5 "
    yield "Embed", one("Embed", param + "}", lambda x: embedded(x) + bias, x, layer("l", [weight, bias]), False, (6,))
    yield "Embed, without bias", one("Embed", param + "bias_term: false }", embedded, x, layer("l", [weight]), False, (6,))


def in_place(random):
    """Layers that write over what they read, and what the versions of a blob are."""
    x = floats(random, SAMPLES, *DIMS)
    text = data(DIMS) + text_of("Power", "power_param { scale: 2 }", tops=["y"], name="double")
    y = 2 * x.astype(np.float64)
    for kind, param, function in [
        ("AbsVal", "", np.abs),
        ("Power", "power_param { power: 2 shift: 1 }", lambda y: (y + 1) ** 2),
        ("Log", "", np.log),
        ("BNLL", "", lambda y: np.log1p(np.exp(y))),
        ("Exp", "exp_param { base: 0.5 }", lambda y: 0.5**y),
        ("ShuffleChannel", "shuffle_channel_param { group: 2 }", lambda y: y.reshape(SAMPLES, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4).reshape(y.shape)),
        ("Clip", "clip_param { min: 0.1 max: 0.4 }", lambda y: np.clip(y, 0.1, 0.4)),
        ("Swish", "", lambda y: y / (1 + np.exp(-y))),
    ]:
        text += text_of(kind, param, ["y"], ["y"], f"{kind}_{len(text)}")
        y = function(y)
    yield "in place", (text, b"", DIMS, x, y, False)


def of_2013(random):
    x = floats(random, SAMPLES, 4, 3, 5)
    header = 'input: "data" input_dim: 1 input_dim: 4 input_dim: 3 input_dim: 5\n'
    for kind, param, function in [
        ("ABSVAL", "", np.abs),
        ("BNLL", "", lambda x: np.log1p(np.exp(x))),
        ("EXP", "exp_param { base: 3 }", lambda x: 3.0**x),
        ("POWER", "power_param { shift: 1 }", lambda x: x + 1),
        ("THRESHOLD", "", lambda x: x > 0),
        ("ARGMAX", "argmax_param { axis: 1 }", lambda x: x.argmax(1)),
    ]:
        text = header + f'layers {{ name: "l" type: {kind} bottom: "data" top: "y" {param} }}\n'
        yield f"of 2013, {kind}", (text, b"", (4, 3, 5), x, function(x.astype(np.float64)), kind not in ["THRESHOLD", "ARGMAX"])


def recurrent(random):
    """After lstm_layer.cpp: gates i, f, o, g; each sample is a series that begins with a state of zeros."""
    dims, steps, hidden = (4, 6), 6, 3
    x = floats(random, SAMPLES, *dims)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))

    def series(x, weight, bias, state):
        y, cell, found = np.zeros((SAMPLES, hidden)), np.zeros((SAMPLES, hidden)), []
        for step in range(x.shape[1]):
            i, f, o, g = np.split(x[:, step] @ weight.T.astype(np.float64) + bias + y @ state.T.astype(np.float64), 4, 1)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            y = sigmoid(o) * np.tanh(cell)
            found.append(y)
        return np.stack(found, 1)

    blobs = lambda inputs: [floats(random, 4 * hidden, inputs), floats(random, 4 * hidden), floats(random, 4 * hidden, hidden)]
    one, two, last = blobs(4), blobs(hidden), [floats(random, 2, hidden), floats(random, 2)]
    begin = text_of("Permute", "permute_param { order: 2 order: 0 order: 1 }", tops=["p"], name="p")
    begin += text_of("ContinuationIndicator", f"continuation_indicator_param {{ time_step: {steps} axis: 1 }}", ["p"], ["c"], "c")
    lstm = lambda bottom, top: text_of("LSTM", f"recurrent_param {{ num_output: {hidden} }}", [bottom, "c"], [top], top)
    y = series(x.astype(np.float64).transpose(0, 2, 1), *one)
    model = layer("one", one)
    yield "LSTM", (data(dims) + begin + lstm("p", "one"), model, dims, x, y, False)
    y = series(y, *two) @ last[0].T.astype(np.float64) + last[1]
    model += layer("two", two) + layer("l", last)
    text = data(dims) + begin + lstm("p", "one") + lstm("one", "two")
    text += text_of("InnerProduct", "inner_product_param { num_output: 2 axis: 2 }", ["two"])
    yield "LSTM, two of them", (text, model, dims, x, y, False)
    text = text.replace('top: "y"', 'top: "t"') + text_of("ReLU", "", ["t"], ["t"], "relu")
    text += text_of("Permute", "permute_param { order: 1 order: 0 order: 2 }", ["t"], ["b"], "b")
    text += text_of("Reverse", "reverse_param { axis: 1 }", ["b"], name="r")
    yield "LSTM, the batch back in front", (text, model, dims, x, np.maximum(y, 0)[:, ::-1], False)


GROUPS = [pointwise, moving, normalize, deconvolution, reducing, axpy, interp, upsample, embed, in_place, of_2013, recurrent]


def of_opencv(text, model, x):
    """What OpenCV computes, for each sample; its importer wants weights even where there are none."""
    import cv2

    net = cv2.dnn.readNetFromCaffe(*[np.frombuffer(part, np.uint8) for part in [text.encode(), model or layer("none", [])]])
    results = []
    for sample in x:
        net.setInput(sample[np.newaxis])
        results.append(net.forward().ravel())
    return np.array(results)


def cases():
    random = np.random.default_rng(12)
    by_opencv = []
    for group in GROUPS:
        for name, (text, model, dims, x, y, opencv) in group(random):
            flat = np.asarray(y, np.float64).reshape(SAMPLES, -1)
            assert np.isfinite(flat).all() and np.ptp(flat) > 0.1, name
            assert np.mean(np.ptp(flat, 0) > 0) > 0.2, f"{name}: samples are alike"
            if opencv:
                found = of_opencv(text, opencv if isinstance(opencv, bytes) else model, x.reshape(SAMPLES, *dims))
                error = np.abs(found - flat) / np.maximum(np.abs(flat), 1)
                assert found.shape == flat.shape and error.max() < 1e-5, f"{name}: {found} {flat}"
                by_opencv.append(name)
                flat = found
            yield name, (text, model, (*dims, 1, 1)[:3], x, flat)
    print(f"of OpenCV: {len(by_opencv)}: {'; '.join(by_opencv)}")


if __name__ == "__main__":
    write(sys.argv[1], cases())
