"""Writes networks.bin: detectors of Caffe at reduced width, SSD and RefineDet, with the boxes that they answer.

    pip install numpy 'opencv-python-headless<5'
    python3 generate.py networks.bin

Of each network there are its name, its prototxt, its caffemodel, and a JSON text, each with its length as 32 bits before it
(little-endian). The text says the extents of the network's input, those of the images that were sent (width, height), and for each
of several requests the boxes of each image: class, score, and corners in pixels of the image that was sent.

The networks are run by OpenCV's importer of Caffe (cv2.dnn). Where it has the last layer as the network wants it, its boxes are the
expected ones; they are compared here with `decoded`, which is written after the formulas of Caffe's DetectionOutput (Liu et al., SSD,
arXiv 1512.02325; Zhang et al., RefineDet, arXiv 1711.06897). Where it lacks the second step of RefineDet, corners in extents, variances in
offsets, an overlap that falls or a network without background, the boxes of `decoded` are expected. Weights are drawn until no box is near
a threshold; boxes must differ from image to image, and each field of the last layer must count.
"""

import json
import struct
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "caffe_files"))
from generate import layer as weights  # noqa: E402

SIZE = 48
CLASSES = 3
# As they were sent.
IMAGES = [(97, 61), (48, 48), (200, 33)]
MEAN = (104.0, 117.0, 123.0)
SCALE = 0.0078125


def image(number):
    """As `image` of caffe_detectors.rs: [row, column, channel]."""
    at = np.arange(SIZE * SIZE * 3)
    row, column, channel = at // (SIZE * 3), at // 3 % SIZE, at % 3
    wave = row * (3 + number) + column * (5 - number) + (row * column) // (7 + number) + channel * (40 + 30 * number)
    return (wave % 256).astype(np.uint8).reshape(SIZE, SIZE, 3)


def prepared(number):
    planes = image(number).transpose(2, 0, 1).astype(np.float32)
    return (planes - np.array(MEAN, np.float32).reshape(3, 1, 1)) * np.float32(SCALE)


class Network:
    """A text of Caffe that grows, and its weights."""

    def __init__(self, random):
        self.random, self.text, self.model, self.channels = random, "", b"", {"data": 3}

    def layer(self, kind, bottoms, top, param="", channels=None):
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        fields = "".join(f"bottom: '{bottom}' " for bottom in bottoms)
        self.text += f"layer {{ name: '{top}' type: '{kind}' {fields}top: '{top}' {param} }}\n"
        self.channels[top] = channels or self.channels[bottoms[0]]
        return top

    def convolution(self, bottom, top, outputs, kernel, stride=1, gain=1.0, bias=0.1, kind="Convolution"):
        inputs = self.channels[bottom]
        dims = (outputs, inputs, kernel, kernel) if kind == "Convolution" else (inputs, outputs, kernel, kernel)
        weight = self.random.normal(0, gain / np.sqrt(inputs * kernel * kernel), dims).astype(np.float32)
        self.model += weights(top, [weight, self.random.normal(0, bias, outputs).astype(np.float32)])
        pad = (kernel - 1) // 2 if kind == "Convolution" else 0
        param = f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {pad} }}"
        return self.layer(kind, bottom, top, param, outputs)

    def relu(self, top):
        self.text += f"layer {{ name: '{top}_relu' type: 'ReLU' bottom: '{top}' top: '{top}' }}\n"
        return top

    def normalize(self, bottom, top):
        scale = (1.5 + self.random.random(self.channels[bottom])).astype(np.float32)
        self.model += weights(top, [scale])
        return self.layer("Normalize", bottom, top, "norm_param { across_spatial: false channel_shared: false }")

    def head(self, bottom, top, outputs, gain, bias):
        """Numbers of each place side by side."""
        self.convolution(bottom, top, outputs, 1, gain=gain, bias=bias)
        self.layer("Permute", top, f"{top}_perm", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
        return self.layer("Flatten", f"{top}_perm", f"{top}_flat")

    def joined(self, values, top, axis=1):
        return self.layer("Concat", values, top, f"concat_param {{ axis: {axis} }}")

    def probabilities(self, bottom, classes):
        """Scores of each box."""
        self.layer("Reshape", bottom, f"{bottom}_reshape", f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }}")
        self.layer("Softmax", f"{bottom}_reshape", f"{bottom}_softmax", "softmax_param { axis: 2 }")
        return self.layer("Flatten", f"{bottom}_softmax", f"{bottom}_flatten")

    def backbone(self):
        one = self.relu(self.convolution("data", "conv1", 4, 3, 2, 1.6))
        two = self.relu(self.convolution(one, "conv2", 6, 3, 2, 1.6))
        three = self.relu(self.convolution(two, "conv3", 8, 3, 2, 1.6))
        four = self.relu(self.convolution(three, "conv4", 8, 3, 2, 1.6))
        return self.normalize(two, "conv2_norm"), three, four

    def priors(self, bottom, sizes, variance):
        param = "".join(f"{name}: {value} " for name, value in sizes) + "".join(f"variance: {value} " for value in variance)
        return self.layer("PriorBox", [bottom, "data"], f"{bottom}_priorbox", f"prior_box_param {{ {param} clip: false }}")


def sizes(smallest, largest, ratios, step):
    max_size = [("max_size", largest)] if largest else []
    return [("min_size", smallest), *max_size, *[("aspect_ratio", ratio) for ratio in ratios], ("flip", "true"), ("step", step)]


def ssd(random, variance, gain, classes_of_offsets=1):
    """Single shots from three maps; `gain` is how far offsets reach."""
    network = Network(random)
    maps = network.backbone()
    # Boxes of a place: one of each size, and two of each ratio.
    of_maps = [(sizes(9, 14, [2], 4), 4), (sizes(14, 24, [2, 3], 8), 6), (sizes(24, None, [2], 16), 3)]
    loc, conf, boxes = [], [], []
    for map, (of_map, count) in zip(maps, of_maps):
        loc.append(network.head(map, f"{map}_mbox_loc", 4 * count * classes_of_offsets, gain, gain / 4))
        conf.append(network.head(map, f"{map}_mbox_conf", CLASSES * count, 0.8, 0.4))
        boxes.append(network.priors(map, of_map, variance))
    loc = network.joined(loc, "mbox_loc")
    conf = network.probabilities(network.joined(conf, "mbox_conf"), CLASSES)
    return network, [loc, conf, network.joined(boxes, "mbox_priorbox", 2)]


def refinedet(random, variance, gain):
    """Boxes refined in two steps (ARM and ODM); maps of the second are joined with those behind them."""
    network = Network(random)
    maps = network.backbone()
    arm_loc, arm_conf, boxes = [], [], []
    for map, (smallest, step) in zip(maps, [(9, 4), (14, 8), (24, 16)]):
        arm_loc.append(network.head(map, f"{map}_arm_loc", 12, gain, gain / 4))
        arm_conf.append(network.head(map, f"{map}_arm_conf", 6, 0.8, 0.4))
        boxes.append(network.priors(map, sizes(smallest, None, [2], step), variance))
    names = ["P3", "P4", "P5"]
    last = None
    tops = []
    for map, name in reversed(list(zip(maps, names))):
        top = network.convolution(map, f"{name}_lateral", 6, 3, 1, 1.5)
        if last:
            larger = network.convolution(last, f"{name}_deconv", 6, 2, 2, 2.0, kind="Deconvolution")
            top = network.layer("Eltwise", [top, larger], f"{name}_sum", "eltwise_param { operation: SUM }")
        last = network.relu(network.layer("Power", top, name))
        tops.insert(0, last)
    odm_loc = [network.head(top, f"{top}_mbox_loc", 12, gain, gain / 4) for top in tops]
    odm_conf = [network.head(top, f"{top}_mbox_conf", 3 * CLASSES, 0.8, 0.4) for top in tops]
    arm_loc, odm_loc = network.joined(arm_loc, "arm_loc"), network.joined(odm_loc, "odm_loc")
    arm_conf = network.probabilities(network.joined(arm_conf, "arm_conf"), 2)
    odm_conf = network.probabilities(network.joined(odm_conf, "odm_conf"), CLASSES)
    return network, [odm_loc, odm_conf, network.joined(boxes, "arm_priorbox", 2), arm_conf, arm_loc]


def moved(prior, code, by, offset):
    """A box moved by an offset (bbox_util.cpp)."""
    by = (by * offset).astype(np.float32)
    low, high = prior[:, :2], prior[:, 2:]
    extent = high - low
    if code == "CORNER":
        return prior + by
    if code == "CORNER_SIZE":
        return prior + by * np.tile(extent, 2)
    centre = by[:, :2] * extent + (low + high) / np.float32(2)
    half = np.exp(by[:, 2:]) * extent / np.float32(2)
    return np.concatenate([centre - half, centre + half], 1)


def overlap(one, others):
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    sides = np.maximum(high - low, 0)
    area = lambda boxes: np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), -1)
    shared = np.prod(sides, -1)
    return np.where(shared > 0, shared / np.maximum(area(one) + area(others) - shared, 1e-12), 0)


def decoded(values, param, request):
    """[class, score, corners as shares], by class and then by score, after detection_output_layer.cpp."""
    loc, conf, priors = values[0].ravel(), values[1].reshape(-1, CLASSES), values[2].reshape(2, -1, 4)
    boxes, by = priors[0], np.ones_like(priors[1]) if param.get("variance_encoded_in_target") else priors[1]
    code, shared = param["code_type"], param.get("share_location", True)
    if len(values) == 5:
        boxes = moved(boxes, code, by, values[4].reshape(-1, 4))
        nothing = values[3].reshape(-1, 2)[:, 1] < param["objectness_score"]
        conf = np.where(nothing[:, None], np.eye(CLASSES, dtype=np.float32)[0], conf)
    offsets = loc.reshape(len(boxes), -1, 4)
    found = []
    lists = {}
    for label in range(CLASSES):
        if label == param.get("background_label_id", 0):
            continue
        scores = conf[:, label]
        places = np.flatnonzero((scores > param.get("confidence_threshold", -1)) & (scores >= request.get("confidence_threshold", 0)))
        places = places[np.argsort(-scores[places], kind="stable")][: param.get("top_k")]
        lists[label] = places
    if "top_k" in request:
        all = [(-conf[place, label], label, rank) for label, places in lists.items() for rank, place in enumerate(places)]
        kept = sorted(all)[: request["top_k"]]
        lists = {label: places[: sum(one[1] == label for one in kept)] for label, places in lists.items()}
    for label, places in lists.items():
        at = moved(boxes, code, by, offsets[:, 0 if shared else label])
        most, stays = request.get("nms_threshold", param["nms_threshold"]), []
        for place in places:
            if not stays or (overlap(at[place], at[stays]) <= most).all():
                stays.append(place)
                if param.get("eta", 1) < 1 and most > 0.5:
                    most *= param["eta"]
        found += [(label, conf[place, label], *at[place]) for place in stays]
    most = param.get("keep_top_k", -1)
    if most > -1 and len(found) > most:
        found = sorted(found, key=lambda one: -one[1])[:most]
    return np.array(sorted(found, key=lambda one: -one[1]), np.float32).reshape(-1, 6)


INNER = ["nms_threshold", "top_k", "eta"]


def last_layer(param, bottoms):
    inner = " ".join(f"{name}: {param[name]}" for name in INNER if name in param)
    outer = " ".join(f"{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in param.items() if name not in INNER)
    fields = "".join(f"bottom: '{bottom}' " for bottom in bottoms)
    return (f"layer {{ name: 'detection_out' type: 'DetectionOutput' {fields}top: 'detection_out' "
            f"detection_output_param {{ num_classes: {CLASSES} {outer} nms_param {{ {inner} }} }} }}\n")


def of_opencv(text, model, number, names=None):
    data = f"layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: 1 dim: 3 dim: {SIZE} dim: {SIZE} }} }} }}\n"
    net = cv2.dnn.readNetFromCaffe(*[np.frombuffer(part, np.uint8) for part in [(data + text).encode(), model]])
    net.setInput(prepared(number)[np.newaxis])
    return net.forward(names) if names else net.forward()


def in_pixels(found, number):
    """Shares cut to 0 to 1, whose 1 is the last pixel."""
    width, height = IMAGES[number]
    corners = np.clip(found[:, 2:], 0, 1) * np.array([width - 1, height - 1] * 2, np.float32)
    rounded = lambda numbers, digits: [round(float(number), digits) for number in numbers]
    return [[int(one[0]), *rounded(one[1:2], 6), *rounded(at, 3)] for one, at in zip(found, corners)]


# What OpenCV wants to be said. It answers keep_top_k rows, those beyond the boxes of zeros; -1 is a number that is high enough there.
SAID = {"share_location": True, "background_label_id": 0, "top_k": 10000}
REQUESTS = [{}, {"confidence_threshold": 0.5}, {"nms_threshold": 0.2}, {"top_k": 12}]
TENTHS = (0.1, 0.1, 0.2, 0.2)
CASES = [
    ("SSD", ssd, (TENTHS, 1.5), {"code_type": "CENTER_SIZE", "share_location": True, "background_label_id": 0, "nms_threshold": 0.45,
     "top_k": 40, "keep_top_k": 20, "confidence_threshold": 0.3}, True),
    ("SSD, all that is found", ssd, (TENTHS, 1.5), {"code_type": "CENTER_SIZE", "nms_threshold": 0.3, "keep_top_k": -1,
     "confidence_threshold": 0.7}, True),
    ("SSD, corners", ssd, (TENTHS, 0.4), {"code_type": "CORNER", "nms_threshold": 0.4, "top_k": 30, "keep_top_k": 25,
     "confidence_threshold": 0.4}, True),
    ("SSD, corners in extents", ssd, (TENTHS, 1.0), {"code_type": "CORNER_SIZE", "nms_threshold": 0.4, "top_k": 30, "keep_top_k": 25,
     "confidence_threshold": 0.4}, False),
    ("SSD, offsets of each class", ssd, (TENTHS, 1.5, CLASSES), {"code_type": "CENTER_SIZE", "share_location": False,
     "background_label_id": 2, "nms_threshold": 0.45, "top_k": 30, "keep_top_k": 25, "confidence_threshold": 0.4}, True),
    ("SSD, no background", ssd, (TENTHS, 1.5), {"code_type": "CENTER_SIZE", "background_label_id": -1, "nms_threshold": 0.45,
     "top_k": 20, "keep_top_k": 25, "confidence_threshold": 0.4}, False),
    ("SSD, variances in offsets", ssd, (TENTHS, 0.3), {"code_type": "CENTER_SIZE", "variance_encoded_in_target": True,
     "nms_threshold": 0.45, "top_k": 30, "keep_top_k": 25, "confidence_threshold": 0.4}, False),
    ("SSD, overlap that falls", ssd, (TENTHS, 1.0), {"code_type": "CENTER_SIZE", "nms_threshold": 0.8, "eta": 0.9, "top_k": 60,
     "keep_top_k": 25, "confidence_threshold": 0.3}, False),
    ("RefineDet", refinedet, (TENTHS, 1.0), {"code_type": "CENTER_SIZE", "share_location": True, "background_label_id": 0,
     "nms_threshold": 0.45, "top_k": 40, "keep_top_k": 20, "confidence_threshold": 0.3, "objectness_score": 0.3}, False),
]


def is_steady(values, param, request, random):
    """Whether the same boxes stay where numbers are a little different, as they are on another engine."""
    kept = decoded(values, param, request)
    for _ in range(4):
        others = [value * (1 + random.normal(0, 3e-6, value.shape)).astype(np.float32) for value in values]
        found = decoded(others, param, request)
        if found.shape != kept.shape or (found[:, 0] != kept[:, 0]).any() or np.abs(found - kept).max(initial=0) > 1e-3:
            return False
    return True


# Of fields that change the boxes, what they are where nothing is said.
USUAL = {"eta": 1, "objectness_score": 0, "variance_encoded_in_target": False, "background_label_id": 0, "keep_top_k": -1}


def counts(values, param, field):
    """Whether a field changes the boxes of an image."""
    usual = {**param, field: USUAL[field]}
    found = [[decoded(of_image, some, {}) for some in (param, usual)] for of_image in values]
    return param[field] == USUAL[field] or any(one.shape != other.shape or (one != other).any() for one, other in found)


def case(name, build, arguments, param, is_opencv, seed):
    """The network of a seed; none where its boxes are too few, too much alike, or too near to a threshold."""
    random = np.random.default_rng(seed)
    network, bottoms = build(random, *arguments)
    images = range(len(IMAGES))
    values = [of_opencv(network.text, network.model, number, bottoms) for number in images]
    if not all(counts(values, param, field) for field in USUAL if field in param):
        return None
    answers = []
    for request in REQUESTS:
        found = [decoded(of_image, param, request) for of_image in values]
        if not all(is_steady(of_image, param, request, random) for of_image in values):
            return None
        answers.append({**request, "found": [in_pixels(boxes, number) for number, boxes in zip(images, found)]})
        if request and "nms_threshold" not in request or not is_opencv:
            continue
        for number, boxes in zip(images, found):
            said = {**SAID, **param, **request}
            said["keep_top_k"] = said["keep_top_k"] if said["keep_top_k"] > -1 else 10000
            asked = of_opencv(network.text + last_layer(said, bottoms), network.model, number)
            asked = asked.reshape(-1, 7)
            asked = asked[asked[:, 2] > 0]
            asked = asked[np.argsort(-asked[:, 2], kind="stable")][:, 1:]
            assert asked.shape == boxes.shape, f"{name}: {len(asked)} boxes of OpenCV, {len(boxes)} of the formulas"
            assert np.abs(asked - boxes).max() < 1e-4, f"{name}: {np.abs(asked - boxes).max()}"
            answers[-1]["found"][number] = in_pixels(asked, number)
    plain = answers[0]["found"]
    numbers = [len(boxes) for boxes in plain]
    is_varied = all(any(one not in other for one in boxes) for boxes, other in zip(plain, plain[1:] + plain[:1]))
    corners = [box[2:] for boxes in plain for box in boxes]
    is_inside = np.mean([0 < box[0] and 0 < box[1] for box in corners]) > 0.2 if corners else False
    in_order = all(box[2] <= box[4] and box[3] <= box[5] for answer in answers for boxes in answer["found"] for box in boxes)
    classes = {box[0] for boxes in plain for box in boxes}
    if min(numbers) < 4 or len(classes) < 2 or not (is_varied and is_inside and in_order) or answers[3]["found"] == plain:
        return None
    data = ("layer { name: 'data' type: 'MemoryData' top: 'data' top: 'label' memory_data_param { batch_size: 1 channels: 3 "
            f"height: {SIZE} width: {SIZE} }} transform_param {{ scale: {SCALE} "
            + "".join(f"mean_value: {mean} " for mean in MEAN) + "} }\n")
    text = data + network.text + last_layer(param, bottoms)
    description = {"size": SIZE, "classes": CLASSES, "images": IMAGES, "requests": answers}
    print(f"{name}: seed {seed}, boxes {numbers}, {'OpenCV' if is_opencv else 'formulas'}")
    return [name, text, network.model, json.dumps(description, separators=(",", ":"))]


with open(sys.argv[1], "wb") as out:
    for number, (name, build, arguments, param, is_opencv) in enumerate(CASES):
        seeds = range(100 * number, 100 * number + 100)
        parts = next(filter(None, (case(name, build, arguments, param, is_opencv, seed) for seed in seeds)))
        for part in parts:
            content = part.encode() if isinstance(part, str) else part
            out.write(struct.pack("<I", len(content)) + content)
