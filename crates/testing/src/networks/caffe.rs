//! Writes a description as Caffe's two files: the text of `deploy.prototxt` and the protobuf message `NetParameter`.
//!
//! Field numbers are those of caffe.proto: NetParameter.name 1 and layer 100; LayerParameter.name 1, type 2, bottom 3, top 4, blobs 7;
//! BlobProto.data 5 (packed) and shape 7; BlobShape.dim 1 (packed).

use std::io::{self, Write};

use super::description::{Blob, Description, Fill, Layer};

pub(super) fn prototxt(description: &Description) -> String {
    let mut text = format!("name: \"{}\"\n", description.name);
    for layer in &description.layers {
        text.push_str("layer {\n");
        text.push_str(&format!("  name: \"{}\"\n  type: \"{}\"\n", layer.name, layer.kind));
        for (key, names) in [("bottom", &layer.bottoms), ("top", &layer.tops)] {
            for name in names {
                text.push_str(&format!("  {key}: \"{name}\"\n"));
            }
        }
        for line in layer.parameters.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str("}\n");
    }
    text
}

/// Layer by layer, so that only the weights of one layer are in memory.
pub(super) fn write_caffemodel(description: &Description, seed: u64, out: &mut impl Write) -> io::Result<()> {
    let mut head = Vec::new();
    put_bytes(&mut head, 1, description.name.as_bytes());
    out.write_all(&head)?;
    let mut random = Random::new(seed);
    for layer in &description.layers {
        let mut message = Vec::new();
        put_bytes(&mut message, 100, &encode_layer(layer, &mut random));
        out.write_all(&message)?;
    }
    Ok(())
}

fn encode_layer(layer: &Layer, random: &mut Random) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(&mut message, 1, layer.name.as_bytes());
    put_bytes(&mut message, 2, layer.kind.as_bytes());
    for bottom in &layer.bottoms {
        put_bytes(&mut message, 3, bottom.as_bytes());
    }
    for top in &layer.tops {
        put_bytes(&mut message, 4, top.as_bytes());
    }
    for blob in &layer.blobs {
        put_bytes(&mut message, 7, &encode_blob(blob, random));
    }
    message
}

fn encode_blob(blob: &Blob, random: &mut Random) -> Vec<u8> {
    let data: Vec<u8> = random.fill(blob).into_iter().flat_map(f32::to_le_bytes).collect();
    let mut dimensions = Vec::new();
    for &size in &blob.shape {
        put_varint(&mut dimensions, size as u64);
    }
    let mut shape = Vec::new();
    put_bytes(&mut shape, 1, &dimensions);
    let mut message = Vec::with_capacity(data.len() + 32);
    put_bytes(&mut message, 5, &data);
    put_bytes(&mut message, 7, &shape);
    message
}

/// A length-delimited field.
fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    const LENGTH_DELIMITED: u64 = 2;
    put_varint(message, field << 3 | LENGTH_DELIMITED);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Standard deviation of the values of common photographs.
const PIXEL_DEVIATION: f32 = 58.0;

/// Number of inputs that one output of these weights sees.
fn fan_in(blob: &Blob) -> usize {
    blob.shape.iter().skip(1).product()
}

/// SplitMix64 (Steele, Lea, Flood 2014): short, and the same on every machine for ever.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Uniform in [0, 1), 24 bits.
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }

    fn fill(&mut self, blob: &Blob) -> Vec<f32> {
        let count: usize = blob.shape.iter().product();
        match blob.fill {
            Fill::Constant(value) => vec![value; count],
            Fill::Uniform(low, high) => (0..count).map(|_| low + (high - low) * self.unit()).collect(),
            Fill::OnPixels => {
                let bound = (6.0 / fan_in(blob) as f32).sqrt() / PIXEL_DEVIATION;
                (0..count).map(|_| bound * (2.0 * self.unit() - 1.0)).collect()
            }
            Fill::Centred { gain } => {
                let fan_in = fan_in(blob);
                (0..count / fan_in).flat_map(|_| self.centred(fan_in, gain)).collect()
            }
        }
    }

    /// The weights of one output, see [`Fill::Centred`].
    fn centred(&mut self, fan_in: usize, gain: f32) -> Vec<f32> {
        let variance = 2.0 / (1.0 - std::f32::consts::FRAC_1_PI) / fan_in as f32;
        let bound = gain * (3.0 * variance).sqrt();
        let mut weights: Vec<f32> = (0..fan_in).map(|_| bound * (2.0 * self.unit() - 1.0)).collect();
        let mean = weights.iter().sum::<f32>() / fan_in as f32;
        weights.iter_mut().for_each(|weight| *weight -= mean);
        weights
    }
}
