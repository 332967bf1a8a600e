//! An access token: read from a file, compared in constant time, never shown.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

/// Longest token, bytes: it is sent with every request.
const LIMIT: usize = 4096;
/// Shorter ones can be guessed.
const SHORT: usize = 16;

/// One token, of visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the first line of a file. Warns of a file that others can read, and of a token that can be guessed.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let unreadable = |error: std::io::Error| format!("cannot read the token in {shown}: {error}");
        let metadata = std::fs::metadata(file).map_err(unreadable)?;
        if metadata.len() > LIMIT as u64 {
            return Err(format!("{shown}: expected a token of at most {LIMIT} bytes, found {}", metadata.len()));
        }
        let token = Self::parse(&std::fs::read_to_string(file).map_err(unreadable)?)
            .map_err(|reason| format!("{shown}: {reason}"))?;
        if metadata.permissions().mode() & 0o004 != 0 {
            tracing::warn!(target: "api", "{shown}: other users of this machine can read the token (chmod 600)");
        }
        if token.0.len() < SHORT {
            tracing::warn!(target: "api", "{shown}: a token of fewer than {SHORT} characters can be guessed");
        }
        Ok(token)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if token.is_empty() {
            return Err("expected a token, found nothing".to_owned());
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("expected a token in one line of visible ASCII characters without spaces".to_owned());
        }
        Ok(Self(token.to_owned()))
    }

    /// The value of an `Authorization` header that presents it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The value of an `Authorization` header that presents it as the password of a user.
    pub(crate) fn basic(&self, user: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{}", self.0)))
    }

    /// Whether the value of an `Authorization` header presents it: as bearer token, or as the password of any user.
    pub(crate) fn is_presented_by(&self, authorization: &str) -> bool {
        let Some((scheme, rest)) = authorization.trim().split_once(' ') else { return false };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(rest.as_bytes());
        }
        let decoded = if scheme.eq_ignore_ascii_case("basic") { STANDARD.decode(rest).ok() } else { None };
        let password = decoded.as_deref().and_then(|pair| pair.splitn(2, |byte| *byte == b':').nth(1));
        password.is_some_and(|password| self.is(password))
    }

    /// The time this takes tells at most the length.
    fn is(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_presented_in_two_ways() {
        let token = Token::parse("s3cret:with/odd+chars=\n").expect("a token");
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (header, expected) in [
            (token.bearer(), true),
            (token.basic("dede"), true),
            ("bearer   s3cret:with/odd+chars= ".to_owned(), true),
            (basic("anybody:s3cret:with/odd+chars="), true),
            (basic(":s3cret:with/odd+chars="), true),
            (basic("s3cret:with/odd+chars="), false),
            (basic("s3cret"), false),
            (basic("a:s3cret"), false),
            ("Basic !!!".to_owned(), false),
            ("Bearer s3cret".to_owned(), false),
            ("Bearer s3cret:with/odd+chars=x".to_owned(), false),
            ("Bearer ".to_owned(), false),
            ("Bearer".to_owned(), false),
            ("Digest s3cret:with/odd+chars=".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(token.is_presented_by(&header), expected, "{header}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn files_that_hold_no_token_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("token");
        assert!(Token::read(&file).expect_err("missing").contains("token"));
        for wrong in ["", " \n", "two words", "two\nlines", "é", &"x".repeat(LIMIT + 1)] {
            std::fs::write(&file, wrong).expect("written");
            let reason = Token::read(&file).expect_err(wrong);
            assert!(reason.contains("expected a token") && reason.contains("token:"), "{reason}");
        }
        std::fs::write(&file, "good\n").expect("written");
        assert_eq!(Token::read(&file), Ok(Token("good".to_owned())));
    }
}
