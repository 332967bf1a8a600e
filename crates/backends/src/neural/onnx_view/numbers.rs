//! Elements of constants as numbers, whichever type the file keeps them in.
//!
//! It owns how each element type is stored. It must not know what the numbers are for.

use super::{ElementType, TensorView};

impl TensorView<'_> {
    /// Its elements; `None` where they are in another file, of a type that is not looked at, or not as many as its dimensions say.
    pub fn numbers(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        if self.external.is_some() {
            return None;
        }
        let stored = if self.raw.is_empty() { self.floats } else { self.raw };
        match self.element {
            ElementType::F32 => self.held::<4>(stored, |bytes| f64::from(f32::from_le_bytes(bytes))),
            ElementType::F64 => self.held::<8>(stored, f64::from_le_bytes),
            ElementType::F16 => self.whole::<2>(|bytes| i64::from(u16::from_le_bytes(bytes)), half),
            ElementType::Bf16 => self.whole::<2>(|bytes| i64::from(u16::from_le_bytes(bytes)), brain),
            ElementType::U8 | ElementType::Bool => self.whole::<1>(|bytes| i64::from(u8::from_le_bytes(bytes)), whole),
            ElementType::I8 => self.whole::<1>(|bytes| i64::from(i8::from_le_bytes(bytes)), whole),
            ElementType::I32 => self.whole::<4>(|bytes| i64::from(i32::from_le_bytes(bytes)), whole),
            ElementType::I64 => self.whole::<8>(i64::from_le_bytes, whole),
            ElementType::Other(_) => None,
        }
    }

    /// The number, where there is a single one.
    pub fn single_number(&self) -> Option<f64> {
        if self.elements() == 1 { self.numbers()?.next() } else { None }
    }

    fn held<'s, const WIDTH: usize>(
        &self,
        stored: &'s [u8],
        read: impl Fn([u8; WIDTH]) -> f64 + 's,
    ) -> Option<Box<dyn Iterator<Item = f64> + 's>> {
        let (values, rest) = stored.as_chunks::<WIDTH>();
        let is_whole = rest.is_empty() && self.elements() == values.len() as u64;
        is_whole.then(|| Box::new(values.iter().map(move |bytes| read(*bytes))) as Box<_>)
    }

    /// Types that are stored as bytes, or as whole numbers.
    fn whole<const WIDTH: usize>(
        &self,
        code: impl Fn([u8; WIDTH]) -> i64 + 'static,
        read: impl Fn(i64) -> f64 + 'static,
    ) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        if !self.raw.is_empty() {
            return self.held::<WIDTH>(self.raw, move |bytes| read(code(bytes)));
        }
        let is_whole = self.elements() == self.integers.len() as u64;
        is_whole.then(|| Box::new(self.integers.iter().map(move |&value| read(value))) as Box<_>)
    }
}

fn whole(value: i64) -> f64 {
    value as f64
}

/// The number of these 16 bits of IEEE 754.
fn half(bits: i64) -> f64 {
    let (exponent, fraction) = ((bits >> 10) & 0x1f, (bits & 0x3ff) as f64 / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1.0 + fraction) * 2f64.powi(exponent as i32 - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// The number whose 32 bits begin with these.
fn brain(bits: i64) -> f64 {
    f64::from(f32::from_bits(((bits & 0xffff) as u32) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_are_read() {
        let tensor = |element, raw, integers: &[i64]| TensorView {
            name: "",
            element,
            dims: vec![2],
            raw,
            integers: integers.to_vec(),
            floats: &[],
            external: None,
        };
        type Case = (ElementType, &'static [u8], &'static [i64], Option<[f64; 2]>);
        let cases: [Case; 9] = [
            (ElementType::F32, &[0, 0, 128, 63, 0, 0, 0, 192], &[], Some([1.0, -2.0])),
            (ElementType::F64, &[0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 192], &[], Some([1.0, -2.0])),
            (ElementType::F16, &[0, 60, 0, 192], &[], Some([1.0, -2.0])),
            (ElementType::F16, &[], &[1, 0x3800], Some([2f64.powi(-24), 0.5])),
            (ElementType::Bf16, &[128, 63, 0, 192], &[], Some([1.0, -2.0])),
            (ElementType::I8, &[1, 254], &[], Some([1.0, -2.0])),
            (ElementType::U8, &[1, 254], &[], Some([1.0, 254.0])),
            (ElementType::I64, &[], &[1, -2], Some([1.0, -2.0])),
            (ElementType::F32, &[0, 0, 128, 63], &[], None),
        ];
        for (element, raw, integers, expected) in cases {
            let tensor = tensor(element, raw, integers);
            let found = tensor.numbers().map(Iterator::collect::<Vec<_>>);
            assert_eq!(found, expected.map(|numbers| numbers.to_vec()), "{element:?}");
        }
    }
}
