"""Writes networks.bin: small networks of Caffe and NVCaffe in every form of their files, with what they compute.

    pip install numpy
    python3 generate.py networks.bin

The files are written here field by field (caffe.proto), the results are the layers' formulas in double precision. The file is
a list of networks, each in little-endian: name, prototxt, caffemodel, name of a mean image and the mean image (each with its
length as 32 bits before it), extents of a sample (channels, rows, columns; 3 bytes), number of samples and of results of
each (2 bytes), whether samples are images (1 byte), the samples (32-bit floats, images with the channels of a pixel side by
side), and the results (32-bit floats).
"""

import struct
import sys

import numpy as np

SAMPLES = 3


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def number(field, value):
    return varint(field << 3) + varint(value)


def shape(dims):
    return message(7, message(1, b"".join(varint(dim) for dim in dims)))


def blob(values):
    return shape(values.shape) + message(5, values.astype("<f4").tobytes())


def old_blob(values):
    """Before 2014: four extents, numbers one by one."""
    dims = [1] * (4 - values.ndim) + list(values.shape)
    fields = b"".join(number(field, dim) for field, dim in zip(range(1, 5), dims))
    return fields + b"".join(varint(5 << 3 | 5) + struct.pack("<f", value) for value in values.ravel())


def raw_blob(kind):
    """NVCaffe's: DOUBLE 0, FLOAT 1, FLOAT16 2."""
    dtype = ["<f8", "<f4", "<f2"][kind]
    return lambda values: shape(values.shape) + number(10, kind) + message(12, values.astype(dtype).tobytes())


def layer(name, blobs, write=blob):
    return message(100, message(1, name.encode()) + b"".join(message(7, write(values)) for values in blobs))


def old_layer(name, blobs):
    return message(2, message(4, name.encode()) + b"".join(message(6, old_blob(values)) for values in blobs))


def floats(random, *dims):
    return random.normal(0, 1, dims).astype(np.float32)


def data(dims):
    extents = " ".join(f"dim: {dim}" for dim in (1, *dims))
    return f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {extents} }} }} }}\n'


def inner_product(random, outputs, transpose, write=blob, dtype=np.float32, old=False, columns=6):
    """y = x W' + b; W is stored as [inputs, outputs] where `transpose` says so."""
    weight, bias = floats(random, outputs, columns).astype(dtype), floats(random, outputs).astype(dtype)
    x = floats(random, SAMPLES, columns)
    stored = weight.T if transpose else weight
    param = f"inner_product_param {{ num_output: {outputs} {'transpose: true' if transpose else ''} }}"
    if old:
        text = f'input: "data" input_dim: 1 input_dim: {columns} input_dim: 1 input_dim: 1\n'
        text += f'layers {{ name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" {param} }}\n'
        model = old_layer("ip", [stored, bias])
    else:
        text = data([columns]) + f'layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip" {param} }}\n'
        model = layer("ip", [stored, bias], write)
    y = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    return text, model, (columns, 1, 1), x, y


def shared(random):
    """One weight for two layers, which its file has twice."""
    weight, x = floats(random, 6, 6), floats(random, SAMPLES, 6)
    text = data([6])
    for name, bottom in [("one", "data"), ("two", "one")]:
        text += f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" param {{ name: "w" }} '
        text += "inner_product_param { num_output: 6 bias_term: false } }\n"
    model = layer("one", [weight]) + layer("two", [weight])
    twice = weight.T.astype(np.float64)
    return text, model, (6, 1, 1), x, x.astype(np.float64) @ twice @ twice


def batch_norm(random, form):
    """(x - mean) / sqrt(variance + eps), of NVCaffe then times scale plus bias."""
    dims = (3, 2, 1)
    mean, variance, x = floats(random, 3), np.abs(floats(random, 3)) + np.float32(0.1), floats(random, SAMPLES, *dims)
    scale, bias = floats(random, 3), floats(random, 3)
    one, eps, param, write = np.ones(1, np.float32), 0.001, "", blob
    if form == "bvlc":
        factor = np.float32(random.uniform(0.5, 999))
        blobs, param = [mean * factor, variance * factor, np.array([factor])], "use_global_stats: true"
        mean, variance = blobs[0] / np.float64(factor), blobs[1] / np.float64(factor)
        scale, bias = 1, 0
    elif form == "old":
        blobs, param = [scale, bias, mean, variance, one], "scale_bias: true"
    else:
        blobs, param = [mean, variance, one, scale, bias], "scale_bias: true engine: CUDNN"
        write = raw_blob(1) if form == "raw" else blob
    text = data(dims) + f'layer {{ name: "bn" type: "BatchNorm" bottom: "data" top: "bn" '
    text += f"batch_norm_param {{ eps: {eps} {param} }} }}\n"
    along = lambda values: np.reshape(np.broadcast_to(values, 3), (3, 1, 1)).astype(np.float64)
    y = (x - along(mean)) / np.sqrt(along(variance) + eps) * along(scale) + along(bias)
    return text, layer("bn", blobs, write), dims, x, y


def depthwise(random):
    """One filter for each channel; the file says nothing of groups."""
    weight, bias, x = floats(random, 3, 1, 2, 1), floats(random, 3), floats(random, SAMPLES, 3, 2, 1)
    text = data((3, 2, 1)) + 'layer { name: "dw" type: "ConvolutionDepthwise" bottom: "data" top: "dw" '
    text += "convolution_param { num_output: 3 kernel_h: 2 kernel_w: 1 } }\n"
    y = (x.astype(np.float64) * weight[:, 0]).sum(axis=(2, 3)) + bias
    return text, layer("dw", [weight, bias]), (3, 2, 1), x, y


def image(random, transform, mean_file, scale, mean_values=None, write=blob):
    """(x - mean) * scale, pixel by pixel; here followed by the numbers themselves."""
    channels, rows, columns = 3, 3, 4
    pixels = random.integers(0, 256, (SAMPLES, rows, columns, channels)).astype(np.float32)
    mean = (random.integers(0, 512, (channels, rows, columns)) / 2).astype(np.float32)
    text = 'layer { name: "data" type: "MemoryData" top: "data" top: "label" '
    text += f"memory_data_param {{ batch_size: 1 channels: {channels} height: {rows} width: {columns} }} "
    text += f"transform_param {{ {transform} }} }}\n"
    text += 'layer { name: "f" type: "Flatten" bottom: "data" top: "f" }\n'
    planes = pixels.transpose(0, 3, 1, 2).astype(np.float64)
    subtracted = mean if mean_file else np.reshape(mean_values, (channels, 1, 1))
    y = (planes - subtracted) * scale
    bytes_of_mean = write(mean[np.newaxis]) if mean_file else b""
    return text, b"", (channels, rows, columns), pixels, y, mean_file, bytes_of_mean


def cases():
    random = np.random.default_rng(10)
    for round in range(6):
        yield "square, transposed", inner_product(random, 6, True)
        yield "square, as it is", inner_product(random, 6, False)
        yield "not square, transposed", inner_product(random, 4, True)
        yield "one output, transposed", inner_product(random, 1, True)
        yield "of 2013, transposed", inner_product(random, 4, True, old=True)
        yield "16-bit floats", inner_product(random, 4, round % 2 == 1, raw_blob(2), np.float16)
        yield "32-bit floats as bytes", inner_product(random, 4, False, raw_blob(1))
        yield "64-bit floats as bytes", inner_product(random, 4, False, raw_blob(0))
        yield "shared", shared(random)
        yield "depthwise", depthwise(random)
        for form in ["bvlc", "new", "raw", "old"]:
            yield f"batch norm, {form}", batch_norm(random, form)
        yield "mean of another name", image(random, 'mean_file: "train.mean"', "train.mean", 1)
        yield "mean of another machine", image(random, 'mean_file: "/data/x/imagenet.mean" scale: 0.5', "imagenet.mean", 0.5)
        yield "mean in 16-bit floats", image(random, 'mean_file: "m.binaryproto"', "m.binaryproto", 1, write=raw_blob(2))
        yield "mean by channel", image(random, "mean_value: [1, 2.5, 3] scale: 0.25", "", 0.25, [1, 2.5, 3])
        yield "one mean for all", image(random, "mean_value: 7 force_color: true", "", 1, [7] * 3)


def write(path, cases):
    sized = lambda content: struct.pack("<I", len(content)) + content
    with open(path, "wb") as out:
        for name, (text, model, dims, x, y, *mean) in cases:
            mean_name, mean_bytes = mean or ("", b"")
            for content in [name.encode(), text.encode(), model, mean_name.encode(), mean_bytes]:
                out.write(sized(content))
            flat = y.reshape(SAMPLES, -1).astype("<f4")
            out.write(bytes([*dims, SAMPLES, flat.shape[1], bool(mean)]))
            out.write(x.astype("<f4").tobytes() + flat.tobytes())


if __name__ == "__main__":
    write(sys.argv[1], cases())
