//! The tokens of a server: its owner's, and one that may only predict; read from files, and again when the server is told to.
//!
//! It must not know routes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::token::Token;

/// What is read from the files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Present {
    owner: Option<Token>,
    predict: Option<Token>,
}

/// Who presents a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// The owner of the server.
    Owner,
    /// A client that may predict.
    Predicting,
    /// Another token than those, or one that cannot be read.
    Unknown,
    /// No token at all.
    Nameless,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Tokens {
    present: ArcSwap<Present>,
    owner_file: Option<PathBuf>,
    predict_file: Option<PathBuf>,
    predict_wants_token: bool,
}

impl Tokens {
    /// Reads the files. Predicts want a token where that is said, or where there is one for them.
    ///
    /// # Errors
    /// A sentence naming the file; one that says that there is no token for predicts.
    pub(crate) fn load(
        owner: Option<&Path>,
        predict: Option<&Path>,
        predict_wants_token: bool,
    ) -> Result<Self, String> {
        if predict_wants_token && owner.is_none() && predict.is_none() {
            return Err("--predict-wants-token: expected --token-file or --predict-token-file".to_owned());
        }
        if predict.is_some() && owner.is_none() {
            return Err(
                "--predict-token-file: expected --token-file too, or predicting clients could do everything else"
                    .to_owned(),
            );
        }
        Ok(Self {
            present: ArcSwap::from_pointee(read(owner, predict)?),
            owner_file: owner.map(Path::to_owned),
            predict_file: predict.map(Path::to_owned),
            predict_wants_token: predict_wants_token || predict.is_some(),
        })
    }

    /// Reads the files again; on an error the former tokens stay.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.present.store(Arc::new(read(self.owner_file.as_deref(), self.predict_file.as_deref())?));
        Ok(())
    }

    /// Whether the owner has one.
    pub(crate) fn has_owner(&self) -> bool {
        self.owner_file.is_some()
    }

    /// Whether predicts want one.
    pub(crate) fn predict_wants_token(&self) -> bool {
        self.predict_wants_token
    }

    /// Which bearer an `Authorization` header shows.
    pub(crate) fn bearer(&self, authorization: Option<&str>) -> Bearer {
        let Some(value) = authorization else { return Bearer::Nameless };
        let present = self.present.load();
        let is = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.is_presented_by(value));
        if is(&present.owner) {
            Bearer::Owner
        } else if is(&present.predict) {
            Bearer::Predicting
        } else {
            Bearer::Unknown
        }
    }
}

fn read(owner: Option<&Path>, predict: Option<&Path>) -> Result<Present, String> {
    let present =
        Present { owner: owner.map(Token::read).transpose()?, predict: predict.map(Token::read).transpose()? };
    if present.predict.is_some() && present.predict == present.owner {
        return Err("--predict-token-file: expected another token than the owner's, found the same".to_owned());
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "owner-0123456789";
    const PREDICT: &str = "predict-0123456789";

    #[test]
    fn tokens_are_told_apart_and_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, token: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, token).expect("written");
            path
        };
        let (owner, predict) = (file("owner", OWNER), file("predict", PREDICT));
        let tokens = Tokens::load(Some(&owner), Some(&predict), false).expect("good");
        assert!(tokens.has_owner() && tokens.predict_wants_token());
        let bearer = |token: &str| tokens.bearer(Some(&format!("Bearer {token}")));
        assert_eq!(
            [bearer(OWNER), bearer(PREDICT), bearer("x"), tokens.bearer(Some("x")), tokens.bearer(None)],
            [Bearer::Owner, Bearer::Predicting, Bearer::Unknown, Bearer::Unknown, Bearer::Nameless]
        );
        file("owner", "another-0123456789");
        tokens.reload().expect("good");
        assert_eq!([bearer(OWNER), bearer("another-0123456789")], [Bearer::Unknown, Bearer::Owner]);
        file("owner", "");
        assert!(tokens.reload().is_err());
        assert_eq!(bearer("another-0123456789"), Bearer::Owner, "the former one stays");
    }

    #[test]
    fn what_protects_nothing_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("token");
        std::fs::write(&file, OWNER).expect("written");
        for (owner, predict, wants) in
            [(None, None, true), (None, Some(&*file), false), (Some(&*file), Some(&*file), false)]
        {
            assert!(Tokens::load(owner, predict, wants).is_err(), "{owner:?} {predict:?} {wants}");
        }
        assert!(!Tokens::load(None, None, false).expect("open").has_owner());
        assert!(Tokens::load(Some(&file), None, true).expect("the owner's").predict_wants_token());
    }
}
