//! The fields themselves, message by message. It owns the lists; [`super::schema`] checks texts by them.

use crate::fields::{CONVOLUTION, Constant, Entry, FILLER, idle, idles, message, messages, never, only, read, reads};
use crate::operations;

const SHAPE: &[Entry] = &[reads("dim")];

/// `NetParameter`. The layers have tables of their own. The types of NVCaffe say how precisely to compute, not what.
pub(super) const NETWORK: &[Entry] = &[
    idle("name"),
    reads("input"),
    messages("input_shape", SHAPE),
    reads("input_dim"),
    idle("force_backward"),
    message("state", STATE),
    idle("debug_info"),
    idles("layer"),
    idles("layers"),
    idle("default_forward_type"),
    idle("default_backward_type"),
    idle("default_forward_math"),
    idle("default_backward_math"),
    idle("global_grad_scale"),
    idle("global_grad_scale_adaptive"),
    idle("default_conv_algos_override"),
    idle("reduce_buckets"),
    idle("default_cudnn_math_override"),
    idle("eltwise_mem_sharing"),
];

/// `NetState`. Loading a network for prediction sets phase TEST and level 0, as the original server did.
const STATE: &[Entry] = &[
    idle("phase"),
    only("level", Constant::Number(0.0), "a network is loaded at level 0 for prediction"),
    reads("stage"),
];

const RULE: &[Entry] = &[read("phase"), read("min_level"), read("max_level"), reads("stage"), reads("not_stage")];

/// `LayerParameter` and `V1LayerParameter` without the messages of single types. `param` is a message there and the name of
/// a weight here.
pub(super) const LAYER: &[Entry] = &[
    read("name"),
    read("type"),
    reads("bottom"),
    reads("top"),
    only("phase", Constant::Name("TEST", "1"), "a layer that trains while predicting is not supported"),
    idles("loss_weight"),
    // Sharing is read from it; a message or a scalar, so that it is no `read`.
    idles("param"),
    never("blobs", "weights in the network's text are not read, they belong into the weights file"),
    idles("propagate_down"),
    messages("include", RULE),
    messages("exclude", RULE),
    idle("loss_param"),
    idles("blobs_lr"),
    idles("weight_decay"),
    idles("blob_share_mode"),
    idle("forward_type"),
    idle("backward_type"),
    idle("forward_math"),
    idle("backward_math"),
    idle("debug"),
    idle("cudnn_math_override"),
    // Of Intel's Caffe: with which library to compute.
    idle("engine"),
];

const RANDOM: &str = "images changed at random are for training, a prediction would be another each time";
const RESIZED: &str = "images are resized to the extents of the network's input, by parameters.input alone";

const TRANSFORM: &[Entry] = &[
    read("scale"),
    only("mirror", Constant::False, RANDOM),
    read("crop_size"),
    read("mean_file"),
    reads("mean_value"),
    read("force_color"),
    read("force_gray"),
    only("crop_h", Constant::Number(0.0), RESIZED),
    only("crop_w", Constant::Number(0.0), RESIZED),
    never("resize_param", RESIZED),
    never("noise_param", RANDOM),
    never("distort_param", RANDOM),
    never("geometry_param", RANDOM),
    never("expand_param", RANDOM),
    idle("emit_constraint"),
    only("rotate", Constant::False, RANDOM),
    only("untransformed_top", Constant::False, "a second output of the data layer is not supported"),
    only("img_rand_resize_lower", Constant::Number(0.0), RANDOM),
    only("img_rand_resize_upper", Constant::Number(0.0), RANDOM),
    only("rand_resize_ratio_lower", Constant::Number(0.0), RANDOM),
    only("rand_resize_ratio_upper", Constant::Number(0.0), RANDOM),
    only("vertical_stretch_lower", Constant::Number(1.0), RANDOM),
    only("vertical_stretch_upper", Constant::Number(1.0), RANDOM),
    only("horizontal_stretch_lower", Constant::Number(1.0), RANDOM),
    only("horizontal_stretch_upper", Constant::Number(1.0), RANDOM),
    // How the random sizes are made that are refused above.
    idle("interpolation_algo_down"),
    idle("interpolation_algo_up"),
    idle("allow_upscale"),
    idle("forward_packing"),
    idle("use_gpu_transform"),
    idle("random_seed"),
    idle("display"),
    idle("num_labels"),
];

const DATA: &[Entry] = &[
    idle("source"),
    idle("batch_size"),
    idle("rand_skip"),
    idle("backend"),
    read("scale"),
    read("mean_file"),
    read("crop_size"),
    only("mirror", Constant::False, RANDOM),
    read("force_encoded_color"),
    idle("prefetch"),
    idle("threads"),
    idle("parser_threads"),
    idle("cache"),
    idle("shuffle"),
    idle("precache"),
];

const IMAGE_DATA: &[Entry] = &[
    idle("source"),
    idle("batch_size"),
    idle("rand_skip"),
    idle("shuffle"),
    read("new_height"),
    read("new_width"),
    read("is_color"),
    read("scale"),
    read("mean_file"),
    read("crop_size"),
    only("mirror", Constant::False, RANDOM),
    idle("root_folder"),
    idle("label_size"),
    idle("ignore_label"),
    idle("label_type"),
    only("short_side", Constant::Number(0.0), RESIZED),
    idle("threads"),
    idle("cache"),
    idle("precache"),
    idle("dataset_share_per_node"),
];

const MEMORY_DATA: &[Entry] = &[idle("batch_size"), read("channels"), read("height"), read("width")];

const INNER_PRODUCT: &[Entry] = &[
    read("num_output"),
    read("bias_term"),
    message("weight_filler", FILLER),
    message("bias_filler", FILLER),
    read("axis"),
    read("transpose"),
];

const POOLING: &[Entry] = &[
    read("pool"),
    read("pad"),
    read("pad_h"),
    read("pad_w"),
    read("kernel_size"),
    read("kernel_h"),
    read("kernel_w"),
    read("stride"),
    read("stride_h"),
    read("stride_w"),
    idle("engine"),
    read("global_pooling"),
    read("round_mode"),
    // Of several forks: whether a last window that the input does not fill is kept.
    read("ceil_mode"),
    only("torch_pooling", Constant::False, "windows by the rules of Torch are not supported"),
];

const LRN: &[Entry] =
    &[read("local_size"), read("alpha"), read("beta"), read("norm_region"), read("k"), idle("engine")];

const BATCH_NORM: &[Entry] = &[
    only(
        "use_global_stats",
        Constant::True,
        "Caffe then normalises each request by the images it was sent with (their mean and variance), NVCaffe by the stored \
         statistics all the same; say true, or leave it out, for the stored statistics",
    ),
    read("moving_average_fraction"),
    read("eps"),
    message("scale_filler", FILLER),
    message("bias_filler", FILLER),
    read("scale_bias"),
    idle("engine"),
];

const SCALE: &[Entry] =
    &[read("axis"), read("num_axes"), message("filler", FILLER), read("bias_term"), message("bias_filler", FILLER)];

const ELU: &[Entry] =
    &[read("alpha"), only("lambda", Constant::Number(1.0), "a factor of the whole function is not supported")];

const DROPOUT: &[Entry] = &[
    // The share of values that a training leaves out.
    read("dropout_ratio"),
    only(
        "scale_train",
        Constant::True,
        "the values would be multiplied when predicting instead of when training, which is not supported",
    ),
    only("sample_weights_test", Constant::False, RANDOM),
    idle("engine"),
    idle("random_seed"),
];

const SOFTMAX: &[Entry] = &[
    idle("engine"),
    read("axis"),
    only("scaling_temperature", Constant::Number(1.0), "a softmax with a temperature is not supported yet"),
];

/// The message of each type that is read and no operation, with the type. Its fields are those of BVLC's `caffe.proto`, and of the forks.
const PARAMETERS: &[(&str, Entry)] = &[
    ("Input", message("input_param", &[messages("shape", SHAPE)])),
    ("MemoryData", message("memory_data_param", MEMORY_DATA)),
    ("Data", message("data_param", DATA)),
    ("ImageData", message("image_data_param", IMAGE_DATA)),
    ("Convolution", message("convolution_param", CONVOLUTION)),
    ("ConvolutionDepthwise", message("convolution_param", CONVOLUTION)),
    ("InnerProduct", message("inner_product_param", INNER_PRODUCT)),
    ("ReLU", message("relu_param", &[read("negative_slope"), idle("engine")])),
    ("PReLU", message("prelu_param", &[message("filler", FILLER), read("channel_shared")])),
    ("ELU", message("elu_param", ELU)),
    ("Sigmoid", message("sigmoid_param", &[idle("engine")])),
    ("TanH", message("tanh_param", &[idle("engine")])),
    ("Pooling", message("pooling_param", POOLING)),
    ("LRN", message("lrn_param", LRN)),
    ("BatchNorm", message("batch_norm_param", BATCH_NORM)),
    ("Scale", message("scale_param", SCALE)),
    ("Bias", message("bias_param", &[read("axis"), read("num_axes"), message("filler", FILLER)])),
    ("Concat", message("concat_param", &[read("axis"), read("concat_dim")])),
    ("Eltwise", message("eltwise_param", &[read("operation"), reads("coeff"), idle("stable_prod_grad")])),
    ("Dropout", message("dropout_param", DROPOUT)),
    ("Flatten", message("flatten_param", &[read("axis"), read("end_axis")])),
    ("Reshape", message("reshape_param", &[message("shape", SHAPE), read("axis"), read("num_axes")])),
    ("Softmax", message("softmax_param", SOFTMAX)),
    ("ContinuationIndicator", message("continuation_indicator_param", &[read("time_step"), read("axis")])),
    ("Slice", message("slice_param", &[read("axis"), reads("slice_point"), read("slice_dim")])),
];

/// The parameter message of a type; some have none.
pub(super) fn parameters(kind: &str) -> Option<&'static Entry> {
    kinds().find(|(of, _)| *of == kind).map(|(_, entry)| entry)
}

/// All types with a parameter message, those of [`operations`] with the rest.
pub(super) fn kinds() -> impl Iterator<Item = (&'static str, &'static Entry)> {
    let others = operations::types().filter_map(|kind| Some((kind.name(), kind.parameters.as_ref()?)));
    PARAMETERS.iter().map(|(kind, entry)| (*kind, entry)).chain(others)
}

/// What a layer of a type may have besides. Layers that give data are changed from one kind into another by hand, and keep
/// what said where theirs came from.
pub(super) fn beside(kind: &str) -> &'static [Entry] {
    const TRANSFORMED: Entry = message("transform_param", TRANSFORM);
    const IN_MEMORY: &[Entry] =
        &[TRANSFORMED, idle("data_param"), idle("image_data_param"), idle("annotated_data_param")];
    const FROM_FILES: &[Entry] = &[TRANSFORMED];
    match kind {
        "MemoryData" => IN_MEMORY,
        "Data" | "ImageData" => FROM_FILES,
        _ => &[],
    }
}

/// The types of layer whose message this is.
pub(super) fn owner(name: &str) -> Option<&'static str> {
    if name == "transform_param" {
        return Some("MemoryData, Data or ImageData");
    }
    kinds().find(|(_, entry)| entry.name == name).map(|(kind, _)| kind)
}
