//! Names of uploads: random, so that none can be guessed.

use super::error::{Result, StoreError};
use crate::text::parsed_text;

parsed_text! {
    /// A random UUID in lower-case hex.
    UploadId,
    "upload id",
    "a UUID in lower-case hex",
    is_uuid
}

/// Characters of an id.
pub(super) const LENGTH: usize = 36;

impl UploadId {
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0u8; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            let more = rustix::rand::getrandom(&mut bytes[filled..], flags);
            filled += more.map_err(StoreError::system("read random bytes"))?;
        }
        // Version 4, variant 1.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex::encode(bytes);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Ok(Self(parts.join("-")))
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == LENGTH
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
