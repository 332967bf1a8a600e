//! The two passes on 8 bits with AVX2: three times as fast as what compiles for every x86-64 processor.
//!
//! The only unsafe code of this crate: dispatch, and loads and stores of whole vectors. Results equal those of the
//! portable code, since all sums along rows are of whole numbers.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_permutevar8x32_ps, _mm256_set_m128i, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_storeu_ps,
};

use super::combine::Combine;

/// Values that one step writes; intermediate rows need this much room beyond their end.
pub(super) const WRITTEN: usize = 8;

/// Bytes that one load reads; padded source rows need this much room beyond their end.
pub(super) const READ: usize = 16;

/// Proof that this processor has AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

/// Columns in the layout of the vector code: groups of eight for one channel, of two for more.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where each column's window starts in the padded row, in bytes.
    starts: Vec<usize>,
    /// By group and pair of taps: two weights for each of the eight sums of a group.
    weights: Vec<[i16; 16]>,
}

/// Columns that are worked on at once.
const fn group(channels: usize) -> usize {
    if channels == 1 { 8 } else { 2 }
}

impl Plan {
    /// `columns`: window starts and weights, as whole numbers.
    pub(super) fn new<const N: usize>(columns: &[(usize, [f32; N])], channels: usize) -> Self {
        let size = group(channels);
        let (mut starts, mut weights) = (Vec::new(), Vec::new());
        for group in columns.chunks(size) {
            let column = |at: usize| group[at.min(group.len() - 1)];
            starts.extend((0..size).map(|at| column(at).0));
            for pair in 0..N / 2 {
                // Sums of a group are channel after channel, column after column.
                let weight = |at: usize| column(at / 2 * size / 8).1[2 * pair + at % 2] as i16;
                weights.push(std::array::from_fn(weight));
            }
        }
        Self { starts, weights }
    }
}

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Calls `combine`, which the compiler vectorises with AVX2 if it is always inlined.
    #[expect(unsafe_code, reason = "dispatch on the processor")]
    pub(super) fn combine<T, const N: usize>(
        self,
        combine: impl Combine<T, N>,
        rows: [&[f32]; N],
        weights: &[f32; N],
        out: &mut [T],
    ) {
        #[target_feature(enable = "avx2")]
        fn inner<T, const N: usize>(combine: impl Combine<T, N>, rows: [&[f32]; N], weights: &[f32; N], out: &mut [T]) {
            combine(rows, weights, out);
        }
        // SAFETY: a value of this type exists only where `detect` found AVX2.
        unsafe { inner(combine, rows, weights, out) }
    }

    /// One intermediate row. `padded` has [`READ`] bytes more, `out` [`WRITTEN`] values more than are needed.
    #[expect(unsafe_code, reason = "dispatch on the processor")]
    pub(super) fn convolve<const N: usize>(self, channels: usize, padded: &[u8], plan: &Plan, out: &mut [f32]) {
        // SAFETY: a value of this type exists only where `detect` found AVX2.
        unsafe {
            match channels {
                1 => convolve::<N, 1>(padded, plan, out),
                3 => convolve::<N, 3>(padded, plan, out),
                _ => convolve::<N, 4>(padded, plan, out),
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn convolve<const N: usize, const C: usize>(padded: &[u8], plan: &Plan, out: &mut [f32]) {
    let (first, second) = pair_masks::<C>();
    let close_gap = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    let groups = plan.starts.chunks_exact(group(C)).zip(plan.weights.chunks_exact(N / 2));
    for (nth, (starts, weights)) in groups.enumerate() {
        let mut sum = _mm256_setzero_si256();
        for (quad, weights) in weights.chunks(2).enumerate() {
            let pixels = load::<C>(padded, starts, quad * 4 * C);
            let pair = _mm256_shuffle_epi8(pixels, first);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pair, load_weights(&weights[0])));
            if let Some(weights) = weights.get(1) {
                let pair = _mm256_shuffle_epi8(pixels, second);
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pair, load_weights(weights)));
            }
        }
        let sum = _mm256_cvtepi32_ps(sum);
        let sum = if C == 3 { _mm256_permutevar8x32_ps(sum, close_gap) } else { sum };
        let start = nth * group(C) * C;
        if let Some(out) = out.get_mut(start..).and_then(|out| out.first_chunk_mut()) {
            store(sum, out);
        }
    }
}

/// Shuffles that pair the first and the second, or the third and the fourth, of four taps as 16-bit numbers.
#[target_feature(enable = "avx2")]
fn pair_masks<const C: usize>() -> (__m256i, __m256i) {
    let mask = |pairs: [[i8; 2]; 4]| {
        let [[a, b], [c, d], [e, f], [g, h]] = pairs;
        let z = -1;
        _mm256_setr_epi8(a, z, b, z, c, z, d, z, e, z, f, z, g, z, h, z, a, z, b, z, c, z, d, z, e, z, f, z, g, z, h, z)
    };
    match C {
        1 => (mask([[0, 1], [4, 5], [8, 9], [12, 13]]), mask([[2, 3], [6, 7], [10, 11], [14, 15]])),
        3 => (mask([[0, 3], [1, 4], [2, 5], [-1, -1]]), mask([[6, 9], [7, 10], [8, 11], [-1, -1]])),
        _ => (mask([[0, 4], [1, 5], [2, 6], [3, 7]]), mask([[8, 12], [9, 13], [10, 14], [11, 15]])),
    }
}

/// Four taps of each column of a group, `offset` bytes into its window.
#[expect(unsafe_code, reason = "loads of whole vectors")]
#[target_feature(enable = "avx2")]
fn load<const C: usize>(padded: &[u8], starts: &[usize], offset: usize) -> __m256i {
    if C == 1 {
        let four = |at: usize| {
            let start = starts[at] + offset;
            let bytes = padded.get(start..start + 4).and_then(|window| window.first_chunk());
            i32::from_le_bytes(*bytes.unwrap_or(&[0; 4]))
        };
        return _mm256_setr_epi32(four(0), four(1), four(2), four(3), four(4), four(5), four(6), four(7));
    }
    let sixteen = |at: usize| {
        let window: &[u8] = &padded[starts[at] + offset..][..READ];
        // SAFETY: the slice has as many bytes as are read.
        unsafe { _mm_loadu_si128(window.as_ptr().cast()) }
    };
    _mm256_set_m128i(sixteen(1), sixteen(0))
}

#[expect(unsafe_code, reason = "loads of whole vectors")]
#[target_feature(enable = "avx2")]
fn load_weights(weights: &[i16; 16]) -> __m256i {
    // SAFETY: the array has as many bytes as are read.
    unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) }
}

#[expect(unsafe_code, reason = "stores of whole vectors")]
#[target_feature(enable = "avx2")]
fn store(values: std::arch::x86_64::__m256, out: &mut [f32; 8]) {
    // SAFETY: the array has as many bytes as are written.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) }
}
