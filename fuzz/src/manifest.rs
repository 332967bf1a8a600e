//! Manifests of OCI registries, and those of services.

use dede_bundle::modelpack::Bundle;
use dede_bundle::oci::Manifest;

/// Reads the bytes as a manifest, and, where a zero byte divides them, as that of a service and its configuration.
pub fn run(bytes: &[u8]) {
    if let Ok((_, manifest)) = Manifest::parse(None, bytes) {
        let _ = manifest.contents().count();
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    if let (Some(manifest), Some(config)) = (parts.next(), parts.next()) {
        let _ = Bundle::parse(manifest, config);
    }
}
