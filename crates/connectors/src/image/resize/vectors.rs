//! Which vector instructions this processor has beyond those that every one has.

#[cfg(target_arch = "x86_64")]
pub(super) use super::avx2::Plan;
#[cfg(target_arch = "x86_64")]
use super::avx2::{self, Avx2};
use super::combine::Combine;

/// The layout of columns for vector code: none here.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug)]
pub(super) enum Plan {}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<Avx2>,
}

#[cfg(target_arch = "x86_64")]
impl Vectors {
    /// Room that padded rows need beyond their end, values.
    pub(super) const READ: usize = avx2::READ;
    /// Room that intermediate rows need beyond their end, values.
    pub(super) const WRITTEN: usize = avx2::WRITTEN;

    pub(super) fn detect() -> Self {
        Self { avx2: Avx2::detect() }
    }

    /// As if nothing had been found.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { avx2: None }
    }

    /// Calls `combine`, as vectorised as possible.
    pub(super) fn combine<T, const N: usize>(
        self,
        combine: impl Combine<T, N>,
        rows: [&[f32]; N],
        weights: &[f32; N],
        out: &mut [T],
    ) {
        match self.avx2 {
            Some(avx2) => avx2.combine(combine, rows, weights, out),
            None => combine(rows, weights, out),
        }
    }

    /// Prepares [`Self::convolve`], where there is such code.
    pub(super) fn plan<const N: usize>(self, columns: &[(usize, [f32; N])], channels: usize) -> Option<Plan> {
        self.avx2.map(|_| Plan::new(columns, channels))
    }

    /// One intermediate row.
    pub(super) fn convolve<const N: usize>(self, channels: usize, padded: &[u8], plan: &Plan, out: &mut [f32]) {
        if let Some(avx2) = self.avx2 {
            avx2.convolve::<N>(channels, padded, plan, out);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Vectors {
    /// Room that padded rows need beyond their end, values.
    pub(super) const READ: usize = 0;
    /// Room that intermediate rows need beyond their end, values.
    pub(super) const WRITTEN: usize = 0;

    pub(super) fn detect() -> Self {
        Self {}
    }

    /// The only value here.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {}
    }

    /// Calls `combine`.
    pub(super) fn combine<T, const N: usize>(
        self,
        combine: impl Combine<T, N>,
        rows: [&[f32]; N],
        weights: &[f32; N],
        out: &mut [T],
    ) {
        combine(rows, weights, out);
    }

    /// There is no such code here.
    pub(super) fn plan<const N: usize>(self, _: &[(usize, [f32; N])], _: usize) -> Option<Plan> {
        None
    }

    /// Never called: there is no plan.
    pub(super) fn convolve<const N: usize>(self, _: usize, _: &[u8], plan: &Plan, _: &mut [f32]) {
        match *plan {}
    }
}
