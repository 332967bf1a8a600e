//! The sources and the hash of `tests/fixtures/opencv/make_expected.py`, for tests against OpenCV.

use super::raster::Raster;

/// The generator of make_expected.py: its `bits` highest bits.
pub(super) fn noise(count: usize, bits: u32) -> impl Iterator<Item = u16> {
    let mut state = 1u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> (64 - bits)) as u16
    })
}

/// The pixels that make_expected.py calls `noise` or `waves`.
pub(super) fn source(kind: &str, (width, height): (usize, usize), channels: usize) -> Raster<u8> {
    let count = width * height * channels;
    let values = match kind {
        "noise" => noise(count, 8).map(|value| value as u8).collect(),
        _ => (0..count)
            .map(|at| {
                let (c, x, y) = (at % channels, at / channels % width, at / channels / width);
                ((x * x + 3 * y * y + 170 * c) / 5 % 256) as u8
            })
            .collect(),
    };
    Raster::new(width, height, channels, values)
}

/// FNV-1a, 64 bits.
pub(super) fn fnv(bytes: impl Iterator<Item = u8>) -> String {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}
