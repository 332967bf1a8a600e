//! Reads the generated files back with a reader of its own, and checks what the module promises.

use super::*;

/// Field number and payload of every length-delimited field of a message.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        assert_eq!(key & 7, 2, "only length-delimited fields are written");
        let length = varint(&mut message) as usize;
        let (payload, rest) = message.split_at(length);
        found.push((key >> 3, payload));
        message = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Shape and values of every blob of a caffemodel.
fn blobs(model: &[u8]) -> Vec<(Vec<usize>, Vec<f32>)> {
    let layers = fields(model).into_iter().filter(|(field, _)| *field == 100);
    let blobs = layers.flat_map(|(_, layer)| fields(layer)).filter(|(field, _)| *field == 7);
    blobs
        .map(|(_, blob)| {
            let blob = fields(blob);
            let [(5, data), (7, shape)] = blob[..] else { panic!("data and shape, found {blob:?}") };
            let [(1, mut dimensions)] = fields(shape)[..] else { panic!("one packed field") };
            let mut sizes = Vec::new();
            while !dimensions.is_empty() {
                sizes.push(varint(&mut dimensions) as usize);
            }
            let values = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            (sizes, values)
        })
        .collect()
}

fn generate(network: Network, generation: Generation) -> (String, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let repository = directory.path().join("repository");
    network.write_repository(&repository, generation).expect("written");
    let text = std::fs::read_to_string(repository.join("deploy.prototxt")).expect("text");
    (text, std::fs::read(repository.join("model_iter_1.caffemodel")).expect("weights"))
}

#[test]
fn every_network_has_its_published_number_of_weights() {
    // Published counts, without the means and variances of BatchNorm, which are no trained weights.
    for (network, published) in
        [(Network::SqueezeNet, 1_235_496), (Network::ResNet18, 11_689_512), (Network::ResNet50, 25_557_032)]
    {
        let (text, model) = generate(network, Generation::default());
        let blobs = blobs(&model);
        for (shape, values) in &blobs {
            assert_eq!(shape.iter().product::<usize>(), values.len());
            assert!(values.iter().all(|value| value.is_finite()));
        }
        let all: usize = blobs.iter().map(|(_, values)| values.len()).sum();
        let statistics: usize = blobs
            .windows(3)
            .filter(|three| three[2].0 == [1])
            .map(|three| three.iter().map(|(_, values)| values.len()).sum::<usize>())
            .sum();
        assert_eq!(all - statistics, published, "{}", network.name());
        assert_eq!(text.matches("layer {").count(), fields(&model).len() - 1, "one message per layer, and the name");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}

#[test]
fn the_seed_decides_the_bytes() {
    let generation = Generation { classes: 5, seed: 3 };
    let (text, model) = generate(Network::SqueezeNet, generation);
    assert_eq!((text.clone(), model.clone()), generate(Network::SqueezeNet, generation));
    let (other_text, other_model) = generate(Network::SqueezeNet, Generation { seed: 4, ..generation });
    assert_eq!(text, other_text);
    assert_ne!(model, other_model);
    assert!(text.contains("num_output: 5\n"));
}

#[test]
fn weights_after_a_relu_have_no_mean_per_output() {
    let (_, model) = generate(Network::SqueezeNet, Generation { classes: 5, seed: 1 });
    let (shape, values) = blobs(&model).swap_remove(2);
    assert_eq!(shape, [16, 64, 1, 1]);
    for output in values.chunks(64) {
        let mean: f32 = output.iter().sum::<f32>() / 64.0;
        assert!(mean.abs() < 1e-6, "{mean}");
    }
}

#[test]
fn names_are_parsed_and_unknown_ones_listed() {
    for network in Network::ALL {
        assert_eq!(network.name().parse(), Ok(network));
    }
    let error = "vgg".parse::<Network>().expect_err("not a network");
    assert!(error.contains("resnet18") && error.contains("vgg"), "{error}");
}
