//! Forwarding requests about an alias that points to a service of a peer, and passing its answers back.
//!
//! A forwarded request carries the number of its hops and the aliases that forwarded it, so that a forwarding loop ends
//! with a clear error.

use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use dede_api::errors::ErrorKind;
use dede_engine::dispatch::RemoteTarget;
use dede_engine::limiter::Forwarded;
use dede_engine::name::ServiceName;
use dede_model::error::Error;
use dede_model::request_memory::MemoryShare;
use serde_json::Value;
use ureq::http::Method;

use super::access::LogName;
use super::authority::GUEST;
use super::body::Received;
use super::error::{Failure, Outcome};
use super::memory::parsed_size;
use super::predict::{SERVED_BY, TIMEOUT};
use super::{Server, identity, reply};
use crate::peer::{PeerAnswer, PeerRequest, path_part};

/// How often a request was forwarded.
const HOP: HeaderName = HeaderName::from_static("x-dede-hop");
/// Marks of the aliases that forwarded it.
const VIA: HeaderName = HeaderName::from_static("x-dede-via");
/// A request is forwarded no more often than this.
const MOST_HOPS: u32 = 4;

/// The forwarding path of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ForwardingPath {
    hops: u32,
    via: Vec<String>,
    /// Id and trace of the request.
    identity: Vec<(HeaderName, String)>,
    /// A client without the rights of this server's owner sent it.
    is_guest: bool,
}

impl ForwardingPath {
    /// Reads it from the headers of a request; a request from a client has none.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let identity = identity::passed_on(headers);
        let Some(hops) = headers.get(HOP) else { return Self { identity, ..Self::default() } };
        // Treat an unparseable hop header as the maximum.
        let hops = hops.to_str().ok().and_then(|hops| hops.trim().parse().ok()).unwrap_or(MOST_HOPS);
        let via = headers.get(VIA).and_then(|via| via.to_str().ok()).unwrap_or_default();
        let via = via.split(',').map(str::trim).filter(|mark| !mark.is_empty()).map(str::to_owned).collect();
        Self { hops, via, identity, is_guest: false }
    }

    /// The same path, for a client with or without the rights of this server's owner.
    pub(crate) fn by_guest(self, is_guest: bool) -> Self {
        Self { is_guest, ..self }
    }

    /// The path of the request that is forwarded by the alias with this mark.
    fn onward(mut self, mark: String, asked: &ServiceName) -> Result<Self, Failure> {
        let ends = |reason: String| Err(Failure::new(ErrorKind::ForwardingLoop, reason));
        if self.via.contains(&mark) {
            return ends(format!("alias {asked} is forwarded in a circle: the request came back to this server"));
        }
        if self.hops >= MOST_HOPS {
            return ends(format!("alias {asked}: the request was forwarded {} times already", self.hops));
        }
        self.hops += 1;
        self.via.push(mark);
        Ok(self)
    }

    fn headers(&self) -> Vec<(HeaderName, String)> {
        let guest = self.is_guest.then(|| (GUEST, "1".to_owned()));
        [(HOP, self.hops.to_string()), (VIA, self.via.join(", "))]
            .into_iter()
            .chain(guest)
            .chain(self.identity.iter().cloned())
            .collect()
    }
}

/// What became of a request that was sent to a peer.
pub(crate) enum Sending {
    /// Its answer.
    Answered(Response),
    /// The peer was gone before its answer began: the body may be sent again.
    Gone(Failure, Received),
}

/// Forwards a predict, once.
pub(crate) async fn predict(
    server: &Arc<Server>,
    to: RemoteTarget,
    forwarding: ForwardingPath,
    (mut received, deadline): (Received, Option<tokio::time::Instant>),
    permit: Forwarded,
) -> Outcome<Sending> {
    let body = move |to: &RemoteTarget| {
        let mut object = received.object()?;
        object.insert("service".to_owned(), to.service.as_str().into());
        let body = serde_json::to_vec(&object).map_err(|error| Error::Internal(error.to_string()))?;
        drop(object);
        // The text to forward is as long as the one received.
        let share = received.into_share();
        share.shrink_to(body.len() as u64);
        Ok((body, share))
    };
    let sent = Sent { method: Method::POST, path: "/predict".to_owned(), deadline, permit };
    send(server, to, forwarding, sent, body).await
}

/// What is sent to a peer besides the body.
struct Sent {
    method: Method,
    path: String,
    deadline: Option<tokio::time::Instant>,
    permit: Forwarded,
}

/// Asks for the description of a service there, once more where the peer is gone before it answers.
pub(crate) async fn describe(
    server: &Arc<Server>,
    to: RemoteTarget,
    forwarding: ForwardingPath,
    query: Option<&str>,
) -> Outcome {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("/services/{}{query}", path_part(to.service.as_str()));
    let attempt = async || {
        let share = server.settings.request_memory.share();
        let permit = server.dispatcher().await?.forward()?;
        let sent = Sent { method: Method::GET, path: path.clone(), deadline: None, permit };
        send(server, to.clone(), forwarding.clone(), sent, |_| Ok((Vec::new(), share))).await
    };
    if let Sending::Answered(response) = attempt().await? {
        return Ok(response);
    }
    match attempt().await? {
        Sending::Answered(response) => Ok(response),
        Sending::Gone(failure, _) => Err(failure),
    }
}

async fn send(
    server: &Arc<Server>,
    to: RemoteTarget,
    forwarding: ForwardingPath,
    sent: Sent,
    body: impl FnOnce(&RemoteTarget) -> Outcome<(Vec<u8>, MemoryShare)> + Send + 'static,
) -> Outcome<Sending> {
    let forwarding = forwarding.onward(server.mark(&to.asked), &to.asked)?;
    let Sent { method, path, deadline, permit } = sent;
    let shared = Arc::clone(server);
    let work = move || {
        let (body, share) = body(&to)?;
        let (peer, settings) = (&to.peer, &shared.settings);
        let unreachable = |reason: String| Failure::new(ErrorKind::PeerUnreachable, reason);
        settings.peers.check(peer).map_err(unreachable)?;
        let mut headers = forwarding.headers();
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now()).as_millis();
            if left == 0 {
                return Err(Error::DeadlineExceeded("the time that the request allows is over".into()).into());
            }
            headers.push((TIMEOUT, left.to_string()));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = PeerRequest { method, path: &path, headers: &headers, body: &body };
        let answer = match settings.peers.send(peer, &request, settings.body_limit, &share) {
            Err(gone @ Error::PeerAway(_)) => {
                let received = Received::inflated(body, settings.body_limit, share);
                return Ok(Sending::Gone(gone.into(), received));
            }
            answer => answer?,
        };
        drop(permit);
        passed_back(answer, &to.asked, share).map(Sending::Answered)
    };
    server.blocking(work).await
}

/// The peer's answer, under the name that this client asked for.
fn passed_back(answer: PeerAnswer, asked: &ServiceName, share: MemoryShare) -> Outcome {
    let PeerAnswer { status, headers, body } = answer;
    let code = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    // The parsed answer, and the text that is made of it.
    share.grow(parsed_size(&body).saturating_add(body.len() as u64))?;
    let mut response = reply::counted_bytes(code, renamed(&body, asked).unwrap_or(body), share);
    for name in [SERVED_BY, RETRY_AFTER] {
        if let Some(value) = header(&headers, &name) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(LogName(asked.as_str().into()));
    Ok(response)
}

fn header(headers: &ureq::http::HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    HeaderValue::from_bytes(headers.get(name.as_str())?.as_bytes()).ok()
}

/// The body with another name in its head; `None`: it has no head with a name.
fn renamed(body: &[u8], asked: &ServiceName) -> Option<Vec<u8>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let name = answer.get_mut("head")?.get_mut("service").filter(|name| name.is_string())?;
    *name = asked.as_str().into();
    serde_json::to_vec(&answer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarding(hop: &str, via: &str) -> ForwardingPath {
        let mut headers = HeaderMap::new();
        headers.insert(HOP, hop.parse().expect("a header"));
        headers.insert(VIA, via.parse().expect("a header"));
        ForwardingPath::of(&headers)
    }

    #[test]
    fn a_way_goes_on_until_it_closes_or_is_too_long() {
        let asked = ServiceName::parse("a").expect("a name");
        assert_eq!(ForwardingPath::of(&HeaderMap::new()), ForwardingPath::default());
        let onward = ForwardingPath::default().onward("m".into(), &asked).expect("goes on");
        assert_eq!(onward.headers(), [(HOP, "1".to_owned()), (VIA, "m".to_owned())]);
        for (hop, via, mark, ends) in [
            ("1", "m", "n", false),
            ("2", "m, n", "m", true),
            ("3", "", "m", false),
            ("4", "", "m", true),
            ("99999999999", "", "m", true),
            ("x", "", "m", true),
            ("-1", "", "m", true),
        ] {
            let outcome = forwarding(hop, via).onward(mark.into(), &asked);
            assert_eq!(outcome.is_err(), ends, "{hop} {via}");
            if let Err(failure) = outcome {
                assert_eq!(failure.status().code, 508);
            }
        }
    }

    #[test]
    fn only_a_name_in_the_head_is_replaced() {
        let asked = ServiceName::parse("stable").expect("a name");
        let body =
            br#"{"status":{"code":200},"head":{"method":"/predict","service":"b","time":0.25},"body":{"p":[0.1]}}"#;
        let expected =
            r#"{"status":{"code":200},"head":{"method":"/predict","service":"stable","time":0.25},"body":{"p":[0.1]}}"#;
        assert_eq!(renamed(body, &asked).map(|body| String::from_utf8(body).expect("text")).as_deref(), Some(expected));
        for other in [&br#"{"status":{"code":404}}"#[..], b"no JSON", br#"{"head":{"service":1}}"#] {
            assert_eq!(renamed(other, &asked), None);
        }
    }
}
