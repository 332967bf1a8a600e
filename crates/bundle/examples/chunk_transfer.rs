//! What an edited 100 MB file sends, and how fast chunks are made: the figures of docs and notes, on this machine.
//!
//! ```text
//! cargo run --release -p dede-bundle --example chunk_transfer [BASE WANTED]
//! ```
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::fs;
use std::io;
use std::time::Instant;

use dede_bundle::chunks::{ChunkList, LocalIndex, Plan};
use dede_bundle::{Digest, Hasher};

const SIZE: usize = 100_000_000;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let [base, wanted] = arguments.as_slice() {
        return report("the second file beside the first", &fs::read(base)?, &fs::read(wanted)?);
    }
    let base = noise(1, SIZE);
    speed(&base)?;
    let mut replaced = base.clone();
    replaced[40_000_000..41_000_000].copy_from_slice(&noise(2, 1_000_000));
    report("1 MB replaced", &base, &replaced)?;
    let mut inserted = base.clone();
    inserted.splice(60_000_000..60_000_000, noise(3, 1000));
    report("1 KB inserted", &base, &inserted)?;
    replaced.splice(60_000_000..60_000_000, noise(3, 1000));
    report("1 MB replaced and 1 KB inserted", &base, &replaced)
}

fn report(what: &str, base: &[u8], wanted: &[u8]) -> io::Result<()> {
    let mut local = LocalIndex::new();
    local.add(&ChunkList::of_reader(base)?);
    let list = ChunkList::of_reader(wanted)?;
    let (listed, size) = (list.to_bytes().len() as u64, list.size());
    let plan = Plan::new(list, &local);
    let sent = plan.bytes_to_fetch() + listed;
    let percent = 100.0 * sent as f64 / size as f64;
    println!(
        "{what}: sends {:.2} MB of {:.1} ({percent:.2} %) in {} ranges, {:.2} MB of it the list",
        sent as f64 / 1e6,
        size as f64 / 1e6,
        plan.ranges().count(),
        listed as f64 / 1e6,
    );
    Ok(())
}

fn speed(bytes: &[u8]) -> io::Result<()> {
    let rate = |start: Instant| bytes.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    std::hint::black_box(Digest::of(bytes));
    println!("sha256: {:.0} MB/s", rate(start));
    let start = Instant::now();
    for chunk in bytes.chunks(64 << 10) {
        std::hint::black_box(dede_bundle::chunks::ChunkHash::of(chunk));
    }
    println!("BLAKE3 of 64 KiB chunks: {:.0} MB/s", rate(start));
    let start = Instant::now();
    std::hint::black_box(ChunkList::of_reader(bytes)?);
    println!("chunk list with sha256: {:.0} MB/s", rate(start));
    let start = Instant::now();
    let mut hasher = Hasher::new();
    hasher.update_reader(bytes)?;
    std::hint::black_box(hasher.digest());
    println!("sha256 of a reader: {:.0} MB/s", rate(start));
    Ok(())
}

/// Bytes without repetition.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
