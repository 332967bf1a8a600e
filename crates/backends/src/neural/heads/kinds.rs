//! The list of the kinds of heads that are built in and claim networks themselves.
//!
//! It must not know what they claim.

use super::HeadKind;
use super::detection::{FORMS, Listed};
use super::segmentation::{BinaryMaskKind, MaskKind};

/// All of them, in the order in which they are offered a network; boxes that are found by shapes are listed in [`FORMS`].
pub(in crate::neural) fn kinds() -> impl Iterator<Item = &'static dyn HeadKind> {
    let named: [&'static dyn HeadKind; 3] = [&Listed, &MaskKind, &BinaryMaskKind];
    named.into_iter().chain(FORMS.iter().map(|form| -> &'static dyn HeadKind { form }))
}
