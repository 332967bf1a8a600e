//! Random mutants of what clients and repositories bring, for `DEDE_FUZZ_S` seconds each (3 without it), the same ones for the same
//! `DEDE_FUZZ_SEED`. Whatever comes is answered: no 500, no panic, no memory that grows, and the server goes on.

mod images;
mod models;
mod parameters;
mod raw;

use std::time::{Duration, Instant};

use crate::server::Server;

/// Memory that a server may take on in a run, MiB.
const GROWTH_MB: u64 = 400;

/// Numbers that are the same for the same seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A few changes of single bytes, numbers, lengths; cuts, repetitions, and parts of others.
    fn mutant(&mut self, originals: &[Vec<u8>]) -> Vec<u8> {
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

/// Runs `attempt` for the time that is set, and looks at the server afterwards.
fn run(what: &str, server: &Server, mut attempt: impl FnMut(&mut Random)) {
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(default, |value| value.parse().expect("a number"));
    let (seed, time) = (number("DEDE_FUZZ_SEED", 1), Duration::from_secs(number("DEDE_FUZZ_S", 3)));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (began, before_mb, mut attempts) = (Instant::now(), server.resident_mb(), 0);
    while began.elapsed() < time {
        attempt(&mut random);
        attempts += 1;
    }
    assert_eq!(server.get("/info").0, 200, "{what}");
    let grown_mb = server.resident_mb().saturating_sub(before_mb);
    assert!(grown_mb < GROWTH_MB, "{what}: {grown_mb} MB more after {attempts} attempts");
    let log = server.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    eprintln!("{what}: {attempts} attempts, seed {seed}, {grown_mb} MB more");
}
