//! Templates against the networks the original server wrote from them.

use std::path::Path;

use super::*;
use crate::caffe::{NetworkOptions, parse_network};
use crate::weights::Weight;

fn options(shape: Shape) -> TemplateOptions {
    TemplateOptions::new(shape, Head::Classification { classes: 3 })
}

fn build(name: &str, layers: &[&str], options: &TemplateOptions) -> Result<Graph> {
    let layers: Vec<String> = layers.iter().map(|&layer| layer.to_owned()).collect();
    Template::parse(name, &layers)?.build(options)
}

fn original(file: &str) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/fixtures/models").join(file);
    parse_network(&std::fs::read_to_string(path).unwrap(), &NetworkOptions::default()).unwrap()
}

fn kinds(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.layer.kind()).collect()
}

#[test]
fn an_mlp_is_the_one_the_original_server_writes() {
    let mut options = options(Shape::image(4, 1, 1));
    let built = build("mlp", &["16", "16"], &options).unwrap();
    assert_eq!(built.nodes, original("iris/mlp.prototxt").nodes.iter().map(renamed).collect::<Vec<_>>());
    options.head = Head::Regression { targets: 1 };
    options.shape = Shape::image(1, 1, 1);
    assert_eq!(build("mlp", &["50", "50"], &options).unwrap().nodes, original("reg/deploy.prototxt").nodes);
}

/// The original's training network calls its last values otherwise than its deploy network.
fn renamed(node: &crate::graph::Node) -> crate::graph::Node {
    let mut node = node.clone();
    for name in std::iter::once(&mut node.name).chain(&mut node.inputs).chain(&mut node.outputs) {
        for (from, to) in [("ip_losst", "ip_loss"), ("losst", "loss"), ("probt", "prob")] {
            if name == from {
                to.clone_into(name);
            }
        }
    }
    node
}

#[test]
fn a_convnet_has_the_layers_and_values_the_original_server_writes() {
    let built = build("convnet", &["1CR16", "1CR32", "64"], &options(Shape::image(3, 64, 64))).unwrap();
    let original = original("imgconv/convnet.prototxt");
    assert_eq!(kinds(&built), kinds(&original));
    let shapes = (built.shapes().unwrap(), original.shapes().unwrap());
    for value in ["ip0_conv_0", "ip0", "ip1_conv_0", "ip1", "fc64_0"] {
        assert_eq!(shapes.0[value], shapes.1[value], "{value}");
    }
    assert_eq!(built.parameter_count().unwrap(), 448 + 4640 + 64 * 32 * 15 * 15 + 64 + 195);
}

#[test]
fn options_choose_layers() {
    let base = options(Shape::image(1, 8, 8));
    let with = |change: &dyn Fn(&mut TemplateOptions)| {
        let mut options = base.clone();
        change(&mut options);
        options
    };
    let cases: [(&str, &[&str], TemplateOptions, usize); 8] = [
        ("lregression", &["50"], base.clone(), 2),
        ("lregression", &[], with(&|o| o.head = Head::Regression { targets: 2 }), 1),
        ("mlp", &[], base.clone(), 4),
        ("mlp", &["10", "10"], with(&|o| o.dropout = Some(0.2)), 8),
        ("mlp", &["10", "10"], with(&|o| o.batch_norm = true), 10),
        ("convnet", &["2CR4", "10"], base.clone(), 10),
        ("convnet", &["1CR4", "10"], with(&|o| o.dropout = Some(0.0)), 7),
        ("convnet", &["1CR4"], with(&|o| o.batch_norm = true), 7),
    ];
    for (name, layers, options, count) in cases {
        let graph = build(name, layers, &options).unwrap();
        assert_eq!(graph.nodes.len(), count, "{name} {layers:?}: {:?}", kinds(&graph));
    }
    for (activation, kind) in
        [("relu", "ReLU"), ("PReLU", "PReLU"), ("elu", "ELU"), ("sigmoid", "Sigmoid"), ("tanh", "TanH")]
    {
        let options = with(&|o| o.activation = activation.parse().unwrap());
        let graph = build("mlp", &["5"], &options).unwrap();
        assert_eq!(graph.nodes[1].name, format!("act_{kind}_ip0"));
    }
    assert!("softplus".parse::<Activation>().is_err());
}

#[test]
fn impossible_requests_are_errors() {
    let image = options(Shape::image(1, 4, 4));
    let cases: [(&str, &[&str], &str); 7] = [
        ("resnet", &[], "network: expected the template lregression, mlp or convnet, found \"resnet\""),
        ("mlp", &["1CR3"], "network: layers: expected numbers of units such as 50, found \"1CR3\""),
        ("mlp", &["0"], "network: layers: expected numbers of units"),
        ("convnet", &["1CD3"], "network: layers: expected blocks such as \"1CR32\""),
        ("convnet", &["10", "1CR3"], "network: layers: blocks of convolutions come before"),
        ("convnet", &["3CR3"], "layer ip0_conv_1: a kernel of 3"),
        ("mlp", &["4000000000"], "layer fc_data: shape [4000000000] has more than"),
    ];
    for (name, layers, expected) in cases {
        let error = build(name, layers, &image).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
    }
    let dropout = TemplateOptions { dropout: Some(1.0), ..image };
    assert!(build("mlp", &[], &dropout).is_err());
}

#[test]
fn initialising_fills_what_is_missing_and_nothing_else() {
    let mut graph = build("mlp", &["2"], &options(Shape::columns(4))).unwrap();
    let kept = Weight::new([2, 4], vec![9.0; 8]).unwrap();
    graph.weights.insert("fc_data.weight", kept.clone());
    graph.initialize(|| 0.25).unwrap();
    graph.check().unwrap();
    assert_eq!(graph.weights.get("fc_data.weight"), Some(&kept));
    assert_eq!(graph.weights.get("fc_data.bias").unwrap().data()[..], [0.0; 2]);
    let limit = -(1.5f32.sqrt()) / 2.0;
    assert_eq!(graph.weights.get("fc_ip0.weight").unwrap().data()[..], [limit; 6]);
    assert_eq!((graph.parameter_count(), graph.flops()), (Ok(8 + 2 + 6 + 3), Ok(2 * (8 + 6))));
}
