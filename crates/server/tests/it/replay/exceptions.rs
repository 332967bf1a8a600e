//! Every recorded request that is answered otherwise, and why. No other request may be.

/// How a request is answered here.
pub(super) enum Ours {
    /// With this status and dd_code.
    Answers(u16, Option<u16>),
    /// As recorded, but for the members at these paths.
    Shape(&'static [&'static str]),
    /// Not in this version; the request is not sent.
    Later,
}

/// One request.
pub(super) struct Exception {
    pub(super) transcript: &'static str,
    pub(super) number: u32,
    pub(super) ours: Ours,
    /// For the reader.
    #[expect(dead_code, reason = "the reason is read in this file")]
    pub(super) reason: &'static str,
}

/// Members that differ in every answer.
pub(super) const EVERYWHERE: &[(&str, &str)] = &[];

/// How many requests are left for later.
pub(super) const LATER: usize = 0;

/// All of them, by transcript and number.
pub(super) const ALL: &[Exception] = &[];

/// Those of one transcript.
pub(super) fn of(transcript: &str) -> impl Iterator<Item = &'static Exception> {
    ALL.iter().filter(move |exception| exception.transcript == transcript)
}
