//! What becomes of a field of a text: read, passed over because no number of a prediction depends on it, or refused by name.
//! It owns that vocabulary and the messages that several types of layer share; the tables say which field is which.

use crate::prototext::Number;

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// It is read, or compared with what can be computed, by the module that owns its message.
    Read,
    /// No number of a prediction depends on it: it says how to train, where data come from or how to compute the same.
    Idle,
    /// It may be there with this value alone; the text says what another would ask for.
    Only(Constant, &'static str),
    /// It is refused; the text says why.
    Never(&'static str),
    /// A message with these fields.
    Message(&'static [Entry]),
}

/// The one value that a field may have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Constant {
    /// `false`.
    False,
    /// `true`.
    True,
    /// A number.
    Number(f32),
    /// A name of an enum, or its number.
    Name(&'static str, &'static str),
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it may be there more than once.
    pub(crate) repeated: bool,
    /// What becomes of it.
    pub(crate) usage: Use,
}

impl Constant {
    /// Whether a text says this value.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::False => bool::parse(text) == Some(false),
            Self::True => bool::parse(text) == Some(true),
            Self::Number(number) => f32::parse(text) == Some(number),
            Self::Name(name, number) => text == name || text == number,
        }
    }

    /// For messages.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::False => "false".to_owned(),
            Self::True => "true".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Name(name, _) => name.to_owned(),
        }
    }
}

/// A field that is read.
pub(crate) const fn read(name: &'static str) -> Entry {
    Entry { name, repeated: false, usage: Use::Read }
}

/// One that is read and may be there more than once.
pub(crate) const fn reads(name: &'static str) -> Entry {
    Entry { name, repeated: true, usage: Use::Read }
}

/// One that no number of a prediction depends on.
pub(crate) const fn idle(name: &'static str) -> Entry {
    Entry { name, repeated: false, usage: Use::Idle }
}

/// Such a one that may be there more than once.
pub(crate) const fn idles(name: &'static str) -> Entry {
    Entry { name, repeated: true, usage: Use::Idle }
}

/// One that may have one value alone; the text says what another would ask for.
pub(crate) const fn only(name: &'static str, constant: Constant, reason: &'static str) -> Entry {
    Entry { name, repeated: false, usage: Use::Only(constant, reason) }
}

/// One that is refused; the text says why.
pub(crate) const fn never(name: &'static str, reason: &'static str) -> Entry {
    Entry { name, repeated: true, usage: Use::Never(reason) }
}

/// A message with these fields.
pub(crate) const fn message(name: &'static str, entries: &'static [Entry]) -> Entry {
    Entry { name, repeated: false, usage: Use::Message(entries) }
}

/// One that may be there more than once.
pub(crate) const fn messages(name: &'static str, entries: &'static [Entry]) -> Entry {
    Entry { name, repeated: true, usage: Use::Message(entries) }
}

/// Where weights start when they are drawn; a network is read with its weights, all of them.
pub(crate) const FILLER: &[Entry] = &[
    idle("type"),
    idle("value"),
    idle("min"),
    idle("max"),
    idle("mean"),
    idle("std"),
    idle("sparse"),
    idle("variance_norm"),
];

/// `ConvolutionParameter`.
pub(crate) const CONVOLUTION: &[Entry] = &[
    read("num_output"),
    read("bias_term"),
    reads("pad"),
    reads("kernel_size"),
    reads("stride"),
    reads("dilation"),
    read("pad_h"),
    read("pad_w"),
    read("kernel_h"),
    read("kernel_w"),
    read("stride_h"),
    read("stride_w"),
    read("group"),
    message("weight_filler", FILLER),
    message("bias_filler", FILLER),
    idle("engine"),
    read("axis"),
    idle("force_nd_im2col"),
    idle("cudnn_flavor"),
    idle("cudnn_convolution_algo_seeker"),
    idle("conv_algos_override"),
];
