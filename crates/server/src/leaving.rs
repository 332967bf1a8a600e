//! The end of the process.
//!
//! It must not know what the process did: what was promised to clients is on disk before this.

/// Ends the process at once. At an ordinary exit the C library runs what loaded libraries left to be done then; ONNX Runtime takes itself
/// apart, and a thread that still loads a network in it crashes.
pub(crate) fn leave(status: u8) -> ! {
    // SAFETY: it has no requirements, and nothing runs after it (_exit(2)). Standard output is flushed where it is written.
    #[expect(unsafe_code, reason = "no other way leaves out the exit handlers of libraries")]
    unsafe {
        libc::_exit(i32::from(status))
    }
}
