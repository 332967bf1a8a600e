//! Other servers that this one may talk to: their names, where they are, and how to talk to them.
//!
//! It must not know what is said: [`client`] sends requests and bounds answers, their meaning belongs to the callers.

pub(crate) mod client;
mod pool;
pub(crate) mod registry;
pub(crate) mod source;

pub(crate) use dede_engine::name::PeerName;

pub(crate) use self::pool::{PeerAnswer, PeerRequest, Peers};
pub(crate) use crate::config::{Peer, PeerUrl};

/// A name as one part of a path: everything but letters, digits and `-._~` in percent.
pub(crate) fn path_part(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_paths() {
        assert_eq!(path_part("a é?"), "a%20%C3%A9%3F");
        assert_eq!(dede_api::query::decode_path(&path_part("a é?+%")), "a é?+%");
    }
}
