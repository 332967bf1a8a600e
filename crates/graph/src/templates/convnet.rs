//! `convnet`: blocks of 3 × 3 convolutions with a pooling each, then inner products.

use std::str::FromStr;

use super::TemplateOptions;
use super::chain::Chain;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::initializer::Initializer;
use crate::layer::{Convolution, Layer, Pooling, PoolingMethod, Rounding};

/// An entry of `layers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvnetLayer {
    /// Written `1CR32`.
    Block(Block),
    /// Written as a number: an inner product of so many units.
    InnerProduct {
        /// Number of units.
        units: usize,
    },
}

/// Convolutions, then a 2 × 2 maximum with stride 2. Each convolution is 3 × 3, unpadded, with stride 1 and an activation.
///
/// In the original server inner products read the last block before its pooling, which is left without effect; here they
/// read what was pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// How many convolutions.
    pub convolutions: usize,
    /// Filters of each.
    pub filters: usize,
}

/// Most convolutions of one block.
const MOST_CONVOLUTIONS: usize = 100;

impl FromStr for ConvnetLayer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|&number| number > 0);
        let block = || {
            let (convolutions, filters) = text.split_once("CR")?;
            let convolutions = number(convolutions).filter(|&count| count <= MOST_CONVOLUTIONS)?;
            Some(Self::Block(Block { convolutions, filters: number(filters)? }))
        };
        let layer = block().or_else(|| Some(Self::InnerProduct { units: number(text)? }));
        layer.ok_or_else(|| {
            let expected = "layers: expected blocks such as \"1CR32\" or numbers of units such as 256";
            Error::Network(format!("{expected}, found {text:?}"))
        })
    }
}

/// The original server's documentation has no default; this is its first example.
pub(super) fn default_layers() -> Vec<ConvnetLayer> {
    let block = |filters| ConvnetLayer::Block(Block { convolutions: 1, filters });
    vec![block(32), block(32), ConvnetLayer::InnerProduct { units: 256 }]
}

/// # Errors
/// Says that a block stands after an inner product.
pub(super) fn build(options: &TemplateOptions, layers: &[ConvnetLayer]) -> Result<Graph> {
    let mut chain = Chain::new(options);
    let (mut blocks, mut inner_products) = (0, 0);
    for layer in layers {
        match *layer {
            ConvnetLayer::Block(_) if inner_products > 0 => {
                return Err(Error::Network("layers: blocks of convolutions come before numbers of units".to_owned()));
            }
            ConvnetLayer::Block(Block { convolutions, filters }) => {
                for index in 0..convolutions {
                    let name = format!("ip{blocks}_conv_{index}");
                    chain.layer(name.clone(), convolution(filters), name);
                    chain.activation();
                }
                chain.layer(format!("pool_{}", chain.value()), pooling(), format!("ip{blocks}"));
                blocks += 1;
            }
            ConvnetLayer::InnerProduct { units } => {
                chain.inner_product(units, format!("fc{units}_{inner_products}"));
                chain.activation();
                chain.dropout(0.5);
                inner_products += 1;
            }
        }
    }
    Ok(chain.finish("convnet"))
}

fn convolution(filters: usize) -> Layer {
    Layer::Convolution(Convolution {
        outputs: filters,
        kernel: [3; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: true,
        weight_initializer: Initializer::Msra,
        bias_initializer: Initializer::ZERO,
    })
}

fn pooling() -> Layer {
    Layer::Pooling(Pooling {
        method: PoolingMethod::Max,
        kernel: [2; 2],
        stride: [2; 2],
        padding: [0; 2],
        global: false,
        rounding: Rounding::Ceil,
    })
}
