//! Floating-point numbers in JSON that come back bit by bit: those that JSON has as numbers, widened to double precision, the others as
//! their bits in hex, such as `"0x7fc00000"`.
//!
//! It must not know what the numbers mean.

use std::fmt;
use std::marker::PhantomData;

use half::{bf16, f16};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A number of one of the floating-point types.
pub(super) trait Float: Copy {
    /// Its type, for people.
    const NAME: &'static str;

    /// The same number with double precision.
    fn widened(self) -> f64;
    /// The nearest number to one with double precision.
    fn nearest(number: f64) -> Self;
    fn bits(self) -> u64;
    /// `None` for more bits than it has.
    fn of_bits(bits: u64) -> Option<Self>;
}

macro_rules! float {
    ($type:ty, $bits:ty, $name:literal, $widened:expr, $nearest:expr) => {
        impl Float for $type {
            const NAME: &'static str = $name;

            fn widened(self) -> f64 {
                $widened(self)
            }

            fn nearest(number: f64) -> Self {
                $nearest(number)
            }

            fn bits(self) -> u64 {
                self.to_bits().into()
            }

            fn of_bits(bits: u64) -> Option<Self> {
                <$bits>::try_from(bits).ok().map(<$type>::from_bits)
            }
        }
    };
}

float!(f16, u16, "fp16", f16::to_f64, f16::from_f64);
float!(bf16, u16, "bf16", bf16::to_f64, bf16::from_f64);
float!(f32, u32, "fp32", f64::from, |number| number as f32);
float!(f64, u64, "fp64", |number| number, |number| number);

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact<T>(pub(super) T);

impl<T: Float> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = self.0.widened();
        match number.is_finite() {
            true => serializer.serialize_f64(number),
            false => serializer.serialize_str(&format!("{:#x}", self.0.bits())),
        }
    }
}

impl<'de, T: Float> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactVisitor(PhantomData))
    }
}

struct ExactVisitor<T>(PhantomData<T>);

impl<T: Float> Visitor<'_> for ExactVisitor<T> {
    type Value = Exact<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a number of {}, or the bits of one that JSON has not, such as \"0x7f80\"", T::NAME)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Exact<T>, E> {
        let nearest = T::nearest(number);
        let is_exact = nearest.widened().to_bits() == number.to_bits();
        if is_exact {
            Ok(Exact(nearest))
        } else {
            Err(E::custom(format!("a number of {} expected, found {number}", T::NAME)))
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Exact<T>, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Exact<T>, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Exact<T>, E> {
        let bits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = bits.and_then(T::of_bits).filter(|number| !number.widened().is_finite());
        number.map(Exact).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

/// As they are written.
pub(super) fn exact<T>(numbers: Vec<T>) -> Vec<Exact<T>> {
    numbers.into_iter().map(Exact).collect()
}

/// As they are.
pub(super) fn plain<T>(numbers: Vec<Exact<T>>) -> Vec<T> {
    numbers.into_iter().map(|number| number.0).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn again<T: Float>(number: T) -> u64 {
        let text = serde_json::to_string(&Exact(number)).unwrap();
        serde_json::from_str::<Exact<T>>(&text).unwrap_or_else(|error| panic!("{text}: {error}")).0.bits()
    }

    #[test]
    fn what_is_no_number_of_the_type_is_refused() {
        for text in ["0.1", "1e39", "true", "\"0.5\"", "\"0x3f800000\"", "\"0x1ffffffff\"", "\"7fc00000\"", "null"] {
            let error = serde_json::from_str::<Exact<f32>>(text).unwrap_err().to_string();
            assert!(error.contains("a number of fp32"), "{text}: {error}");
        }
        assert_eq!(serde_json::to_string(&Exact(-0.0_f32)).unwrap(), "-0.0");
        assert_eq!(serde_json::to_string(&Exact(f32::NEG_INFINITY)).unwrap(), "\"0xff800000\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_number_comes_back_bit_by_bit(single in any::<u32>(), double in any::<u64>(), small in any::<u16>()) {
            // Subnormal ones are few among all.
            for bits in [single, single & 0x807f_ffff, single | 0x7f80_0000, 0x8000_0000] {
                prop_assert_eq!(again(f32::from_bits(bits)), u64::from(bits));
            }
            for bits in [double, double & 0x800f_ffff_ffff_ffff, double | 0x7ff0_0000_0000_0000, 1 << 63] {
                prop_assert_eq!(again(f64::from_bits(bits)), bits);
            }
            for bits in [small, small | 0x7f80] {
                prop_assert_eq!(again(bf16::from_bits(bits)), u64::from(bits));
                prop_assert_eq!(again(f16::from_bits(bits)), u64::from(bits));
            }
        }
    }
}
