//! The certificate of a move: what came from where, how it was proved, who asked, signed by the server it came to.
//!
//! ```text
//! {"certificate": {…}, "public_key": "<64 hex digits>", "signature": "<128 hex digits>"}
//! ```
//!
//! The signature (Ed25519, RFC 8032) is over the bytes of the member `certificate` as compact JSON in the order written.

use std::path::{Path, PathBuf};

use dede_engine::move_id::MoveId;
use dede_model::error::{Error, Result};
use dede_storage::files::{read_text, remove_file, write_atomically, write_new_private};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hex::FromHex as _;
use serde_json::{Value, json};

use crate::MoveContext;
use crate::handle::Move;
use crate::record::{CERTIFICATE, Effects, MovePhase, MoveRecord};

/// Name of the server's key in its state directory.
const KEY: &str = "certificate.key";
/// Largest certificate, bytes.
const LIMIT: u64 = 16 << 20;

/// What a certificate says of itself once its signature is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The member `certificate`.
    pub certificate: Value,
    /// The key that signed it, in hex.
    pub public_key: String,
}

/// Writes the certificate of a move that is about to be done.
pub(crate) fn write(this: &Move, context: &MoveContext) -> Result<()> {
    let path = path(context, this);
    let record = this.record();
    let there = read_text(&path, LIMIT).ok().flatten();
    if there.is_some_and(|text| check(&text, this.id, &record.effects, context).is_ok()) {
        // Written before a crash.
        return this.note(|record| record.report.certificate = Some(place(record.id)));
    }
    let peer = context.peers.peer(&record.spec.source);
    let mut certificate = json!({
        "move": this.id.to_string(),
        "nonce": record.effects.nonce,
        "at_ms": context.clock.unix_ms(),
        "from": peer.map(|peer| peer.address()).unwrap_or_else(|_| record.spec.source.clone()),
        "to": context.host,
        "who": record.spec.who,
        "request": record.spec,
        "plan": record.plan,
        "report": record.report,
    });
    if let Some(company) = this.company() {
        certificate["together"] = company.known().iter().map(|member| member.look(of_all)).collect();
    }
    let signed = sign(certificate, &key(&context.directory)?);
    write_atomically(&path, format!("{signed:#}\n").as_bytes())?;
    this.note(|record| record.report.certificate = Some(place(record.id)))
}

/// What the certificate of each move says of all that switched together.
fn of_all(record: &MoveRecord) -> Value {
    json!({
        "move": record.id.to_string(),
        "service": record.spec.service,
        "as": record.spec.alias,
        "version": record.report.version,
        "generation": record.report.generation,
    })
}

fn place(id: MoveId) -> String {
    format!("/moves/{id}/certificate")
}

/// Reads the key of this server, where there is one: a move that could not be certified does not begin.
///
/// # Errors
/// [`Error::MoveConflict`] for a file that cannot be read, or is damaged.
pub(crate) fn check_key(directory: &Path) -> Result<()> {
    recorded_key(directory).map(drop).map_err(|error| {
        Error::MoveConflict(format!("no certificate could be signed: {error}; put the key back, or remove its file"))
    })
}

/// Whether a certificate is good, signed by this server, and of this move.
fn check(text: &str, id: MoveId, effects: &Effects, context: &MoveContext) -> Result<()> {
    let not_served = |reason: &str| Error::Internal(format!("the certificate of {id} is not served: {reason}"));
    let verified = verify(text).map_err(|error| not_served(&error.to_string()))?;
    let Verified { certificate, public_key } = verified;
    let key = recorded_key(&context.directory)?.ok_or_else(|| not_served("the key of this server is gone"))?;
    let own = hex::encode(key.verifying_key().as_bytes());
    let of = |member: &str| certificate.get(member).and_then(Value::as_str);
    let is_of = of("move") == Some(id.to_string().as_str()) && of("nonce") == effects.nonce.as_deref();
    let reason = match (public_key == own, is_of) {
        (true, true) => return Ok(()),
        (false, _) => "it was signed by another key than this server's",
        (true, false) => "it is of another move",
    };
    Err(not_served(reason))
}

/// The certificate of a move as it was written.
///
/// # Errors
/// [`Error::MoveNotFound`] while there is none; [`Error::Internal`] for one that is not good, or not of this move.
pub(crate) fn read(this: &Move, context: &MoveContext) -> Result<String> {
    let text = read_text(&path(context, this), LIMIT)?;
    let record = this.record();
    let was_done = record.report.phases.iter().any(|time| time.phase == MovePhase::Done);
    let text = text.filter(|_| was_done);
    let text = text.ok_or_else(|| Error::MoveNotFound(format!("{} has no certificate", this.id)))?;
    check(&text, this.id, &record.effects, context)?;
    Ok(text)
}

/// Removes the certificate of a move that is undone before its end was recorded.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn forget(this: &Move, context: &MoveContext) -> Result<()> {
    this.change_report(|report| report.certificate = None);
    remove_file(&path(context, this)).map_err(Error::from)
}

/// The certificate of a move of which nothing else is kept.
///
/// # Errors
/// [`Error::MoveNotFound`]; [`Error::Internal`] for one that is not good.
pub(crate) fn read_forgotten(id: MoveId, context: &MoveContext) -> Result<String> {
    let path = context.directory.join("moves").join(id.to_string()).join(CERTIFICATE);
    let text = read_text(&path, LIMIT)?.ok_or_else(|| Error::MoveNotFound(id.to_string()))?;
    let nonce = verify(&text)?.certificate.get("nonce").and_then(Value::as_str).map(str::to_owned);
    check(&text, id, &Effects { nonce, ..Effects::default() }, context)?;
    Ok(text)
}

fn path(context: &MoveContext, this: &Move) -> PathBuf {
    context.directory.join("moves").join(this.id.to_string()).join(CERTIFICATE)
}

fn sign(certificate: Value, key: &SigningKey) -> Value {
    let signature = key.sign(certificate.to_string().as_bytes());
    json!({
        "certificate": certificate,
        "public_key": hex::encode(key.verifying_key().as_bytes()),
        "signature": hex::encode(signature.to_bytes()),
    })
}

/// Checks the signature of a certificate.
///
/// # Errors
/// [`Error::BadParameter`] saying what is wrong.
pub fn verify(text: &str) -> Result<Verified> {
    let wrong = |reason: &str| Error::bad_parameter_at("certificate", reason);
    let signed = dede_json::parse(text).map_err(|error| wrong(&error.to_string()))?;
    let known = ["certificate", "public_key", "signature"];
    let members = signed.as_object().into_iter().flat_map(|members| members.keys());
    if let Some(other) = members.into_iter().find(|name| !known.contains(&name.as_str())) {
        return Err(wrong(&format!("the members certificate, public_key and signature expected, found {other:?}")));
    }
    let member = |name: &str| signed.get(name).and_then(Value::as_str).unwrap_or_default();
    let public_key = member("public_key").to_owned();
    let key = <[u8; 32]>::from_hex(&public_key).ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    let key = key.ok_or_else(|| wrong("a public key of 64 hex digits expected"))?;
    let signature =
        <[u8; 64]>::from_hex(member("signature")).map_err(|_| wrong("a signature of 128 hex digits expected"))?;
    let certificate = signed.get("certificate").cloned().ok_or_else(|| wrong("the member certificate is missing"))?;
    key.verify_strict(certificate.to_string().as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| wrong("the signature does not fit: it was changed, or signed by another key"))?;
    Ok(Verified { certificate, public_key })
}

/// The key of this server, made at its first use.
fn key(directory: &Path) -> Result<SigningKey> {
    if let Some(key) = recorded_key(directory)? {
        return Ok(key);
    }
    let path = directory.join(KEY);
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    write_new_private(&path, hex::encode(seed).as_bytes())?;
    // Another move may have been first.
    recorded_key(directory)?.ok_or_else(|| Error::Internal(format!("{} is gone", path.display())))
}

fn recorded_key(directory: &Path) -> Result<Option<SigningKey>> {
    let path = directory.join(KEY);
    let Some(text) = read_text(&path, 1024)? else { return Ok(None) };
    let bytes =
        <[u8; 32]>::from_hex(text.trim()).map_err(|_| Error::Internal(format!("{} is damaged", path.display())))?;
    Ok(Some(SigningKey::from_bytes(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_the_first_release_is_verified() {
        let text = include_str!("../record/fixtures/certificate.json");
        let verified = verify(text).unwrap();
        assert_eq!(verified.certificate["move"], "m1");
        assert_eq!(verified.certificate["report"]["version"], verified.certificate["plan"]["version"]);
    }

    #[test]
    fn a_certificate_is_verified_offline_and_a_changed_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let key = key(directory.path()).unwrap();
        let content = json!({"version": "sha256:aa", "switch_ms": 0.1, "failed": 0});
        let text = format!("{:#}", sign(content.clone(), &key));
        let verified = verify(&text).unwrap();
        assert_eq!(verified.certificate, content);
        assert_eq!(verified.public_key, hex::encode(super::key(directory.path()).unwrap().verifying_key().as_bytes()));
        for (from, to) in [
            ("\"failed\": 0", "\"failed\": 1"),
            ("sha256:aa", "sha256:ab"),
            ("\"signature\": \"", "\"signature\": \"0"),
        ] {
            assert!(verify(&text.replace(from, to)).is_err(), "{from}");
        }
        assert!(verify("{}").is_err() && verify("").is_err());
        for (from, to, complaint) in [
            ("\"failed\": 0", "\"failed\": 7, \"failed\": 0", "\"failed\" stands twice"),
            ("{", "{\"certificate\": {\"failed\": 7},", "\"certificate\" stands twice"),
            ("{", "{\"note\": \"good\",", "found \"note\""),
            ("}\n", "}\n{}", "trailing characters"),
        ] {
            let error = verify(&format!("{text}\n").replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(complaint), "{to}: {error}");
        }
    }
}
