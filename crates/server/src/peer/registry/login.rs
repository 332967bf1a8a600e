//! What a client presents to a registry to be served, and the Bearer token that a registry issues for a limited time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use ureq::Body;
use ureq::http::header::WWW_AUTHENTICATE;
use ureq::http::{Method, Response};

use super::Registry;
use super::authorization::{self, Challenge, Credentials};
use super::exchange::{SMALL, read};
use super::failure::Failure;

/// What goes along with requests.
pub(super) struct Login {
    present: Mutex<Present>,
    /// Where a new token comes from, and what it is asked with.
    source: Option<(url::Url, Option<String>)>,
}

/// The value of `Authorization`, and whether anything was served for it.
#[derive(Default)]
struct Present {
    header: Option<String>,
    has_served: bool,
}

impl Login {
    /// Nothing.
    pub(super) fn none() -> Self {
        Self { present: Mutex::default(), source: None }
    }

    /// The value of an `Authorization` header.
    pub(super) fn header(&self) -> Option<String> {
        self.lock().header.clone()
    }

    /// Notes what a request was answered with; whether a token that was good is good no more.
    pub(super) fn has_run_out(&self, status: u16) -> bool {
        let mut present = self.lock();
        if status != 401 {
            present.has_served = true;
        }
        status == 401 && self.source.is_some() && present.has_served
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// What a registry that answered 401 wants to see.
    pub(super) fn challenge(
        &self,
        answer: &Response<Body>,
        credentials: Option<&Credentials>,
        actions: &str,
    ) -> Result<Challenge, Failure> {
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let scope = format!("repository:{}:{actions}", self.repository);
        let asked = authorization::challenge(headers, &self.base, &scope).map_err(Failure::permanent)?;
        match (asked, credentials) {
            (Some(Challenge::Basic), None) | (None, _) => {
                Err(Failure::permanent("it wants a user and a password (--user, --password-file)"))
            }
            (Some(asked), _) => Ok(asked),
        }
    }

    /// What is shown from now on.
    pub(super) fn log_in(&self, challenge: &Challenge, credentials: Option<&Credentials>) -> Result<Login, Failure> {
        let basic = credentials.map(Credentials::basic);
        let (header, source) = match challenge {
            Challenge::Basic => (basic, None),
            Challenge::Bearer(realm) => (Some(self.token(realm, basic.as_deref())?), Some((realm.clone(), basic))),
        };
        Ok(Login { present: Mutex::new(Present { header, has_served: false }), source })
    }

    /// Asks for another token. One that is refused before anything was served for it is not renewed again.
    pub(super) fn renew(&self) -> Result<(), Failure> {
        let Some((realm, basic)) = &self.login.source else { return Ok(()) };
        let header = Some(self.token(realm, basic.as_deref())?);
        *self.login.lock() = Present { header, has_served: false };
        Ok(())
    }

    fn token(&self, realm: &url::Url, basic: Option<&str>) -> Result<String, Failure> {
        let answer = self.accepted(self.exchange(Method::GET, realm, &[], (), basic)?)?;
        let said: Value = serde_json::from_slice(&read(answer, SMALL)?).unwrap_or_default();
        let token = said["token"].as_str().or(said["access_token"].as_str());
        token.map(|token| format!("Bearer {token}")).ok_or_else(|| Failure::permanent("it gives no token"))
    }
}
