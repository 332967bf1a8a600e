//! Random changes of what parsers read, the same ones for the same seed.

/// Numbers that are the same for the same seed (xorshift64*, Vigna 2016).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// That of a seed, which may be any.
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below a bound; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// One of several.
    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A few changes of single bytes, numbers, lengths; cuts, repetitions, and parts of others.
    pub fn mutant(&mut self, originals: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.of(originals).clone();
        for _ in 0..=self.below(8) {
            if bytes.is_empty() {
                break;
            }
            let place = self.below(bytes.len());
            match self.below(8) {
                0 => bytes[place] ^= 1 << self.below(8),
                1 => bytes[place] = *self.of(&[0, 1, 0x7f, 0x80, 0xff]),
                2 => bytes.truncate(place),
                3 => {
                    let end = (place + self.below(64)).min(bytes.len());
                    let piece = bytes[place..end].to_vec();
                    let _ = bytes.splice(place..place, piece);
                }
                4 => {
                    let end = (place + self.below(64)).min(bytes.len());
                    bytes.drain(place..end);
                }
                5 => {
                    let value = *self.of(&[0_u64, 1, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 1 << 40]);
                    let end = (place + *self.of(&[2, 4, 8])).min(bytes.len());
                    let width = end - place;
                    bytes[place..end].copy_from_slice(&value.to_be_bytes()[8 - width..]);
                }
                6 => {
                    let other = self.of(originals).clone();
                    let from = self.below(other.len());
                    bytes.truncate(place);
                    bytes.extend_from_slice(&other[from..]);
                }
                _ => bytes.insert(place, self.below(256) as u8),
            }
        }
        bytes
    }
}

/// A number in a variable of the environment.
///
/// # Panics
/// When something else is there.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}
