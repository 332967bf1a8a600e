//! Memory of networks that are gone, given back to the system: an allocator keeps what is freed for itself, and that is most of it.
//!
//! Measured with glibc: of a server whose only network was deleted, ResNet-50 in ONNX Runtime, 647 MB stayed resident, and 61 after this.

/// Gives it back now. It may take some tens of milliseconds.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it has no requirements, may be called by any thread at any time, and moves nothing that is in use (malloc_trim(3)).
        #[expect(unsafe_code, reason = "a call into the C library's allocator")]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Gives it back soon, on another thread: whoever lets go of a network last may be answering a client. It holds locks of the allocator,
/// so it does not give way.
pub fn give_back_soon() {
    if let Err(error) = std::thread::Builder::new().name("memory".into()).spawn(give_back) {
        tracing::warn!(%error, "memory of a network stays with this process for now");
    }
}
