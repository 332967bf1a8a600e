//! Templates that DeepDetect has and this version has not (contract.md 7.1, 7.2): one list, for creation and training.

/// Of `caffe` and `caffe2`, then of `torch`.
const PLANNED: [&str; 102] = [
    "alexnet",
    "cifar",
    "crnn",
    "crnn_resnet_18",
    "crnn_se_resnet_50",
    "crnn_se_resnext_50",
    "deeplab_vgg16",
    "enet",
    "googlenet",
    "googlenet_bn",
    "inception_bn",
    "lenet",
    "mobilenet_v2",
    "mobilenet_v2_ssd",
    "nin",
    "pspnet_101",
    "pspnet_50",
    "pspnet_vgg16",
    "recurrent",
    "refinedet_512",
    "refinedet_vovnet27slim_512",
    "refinedet_vovnet39_512",
    "resnet",
    "resnet_10_ssd",
    "resnet_101",
    "resnet_152",
    "resnet_18",
    "resnet_18_ssd",
    "resnet_32",
    "resnet_34_ssd",
    "resnet_50",
    "se_bn_inception",
    "se_net",
    "se_resnet_101",
    "se_resnet_152",
    "se_resnet_50",
    "se_resnext_101",
    "se_resnext_50",
    "segnet",
    "shufflenet",
    "squeezenet",
    "squeezenet_ssd",
    "ssd_300",
    "ssd_300_res_128",
    "ssd_512",
    "ssd_512_res_128",
    "unet",
    "vdcnn_17",
    "vdcnn_9",
    "vgg_16",
    "vgg_19",
    "wrn_50",
    "xception",
    "bert",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "detr",
    "fasterrcnn",
    "gpt2",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenetv2",
    "nbeats",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext50_32x4d",
    "retinanet",
    "rtdetrv2",
    "segformer",
    "shufflenetv2_x0_5",
    "shufflenetv2_x1_0",
    "shufflenetv2_x1_5",
    "shufflenetv2_x2_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "ttransformer",
    "vgg11",
    "vgg11_bn",
    "vgg11bn",
    "vgg13",
    "vgg13_bn",
    "vgg13bn",
    "vgg16",
    "vgg16_bn",
    "vgg16bn",
    "vgg19",
    "vgg19_bn",
    "vgg19bn",
    "visformer",
    "vit",
    "wideresnet101_2",
    "wideresnet50_2",
    "yolox",
    "consistency",
];

/// Templates that are here.
const HERE: [&str; 3] = ["lregression", "mlp", "convnet"];

/// Whether a template of this name is here.
pub(super) fn is_here(name: &str) -> bool {
    HERE.contains(&name)
}

/// Whether DeepDetect has a template of this name that is not here yet.
pub(super) fn is_planned(name: &str) -> bool {
    PLANNED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_and_none_is_of_a_template_that_is_here() {
        for (place, name) in PLANNED.iter().enumerate() {
            assert!(!PLANNED[..place].contains(name), "{name}");
        }
        for here in HERE {
            assert!(!is_planned(here), "{here}");
        }
    }
}
