//! The open connections: how many in all and per address, and which idle ones are reclaimed when places run short.
//!
//! It must not know what is said over them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long to wait for a reclaimed connection to close before another one is reclaimed.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a connection must be idle before it is reclaimed for another address: the next request of an active client,
/// and the first of a new one, come sooner. Otherwise a burst of new connections would close them.
const IN_USE: Duration = Duration::from_millis(100);

/// Length of an answer that is handed over in one piece, bytes.
const SHORT: u64 = 16 << 10;

/// Bounds on open connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// In all; more wait to be accepted.
    pub(crate) all: usize,
    /// Of one address; more are closed at once.
    pub(crate) per_address: usize,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Numbers in the order in which they came.
    next: u64,
    connections: HashMap<Origin, HashMap<u64, Arc<Activity>>>,
}

/// Where connections come from, as far as one client can choose: an IPv4 address, or the first half of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Origin(IpAddr);

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// The activity on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// When its last request ended, nanoseconds since it was opened.
    idle_since_ns: AtomicU64,
    requests: AtomicUsize,
    /// An answer waits for the client to read.
    is_stalled: AtomicBool,
    close: Notify,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            idle_since_ns: AtomicU64::default(),
            requests: AtomicUsize::default(),
            is_stalled: AtomicBool::default(),
            close: Notify::default(),
        }
    }
}

impl Activity {
    /// A request begins; it is over when what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Whether no request goes on, and no answer is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0 && !self.is_stalled.load(Ordering::Acquire)
    }

    fn idle_since(&self) -> Instant {
        self.opened + Duration::from_nanos(self.idle_since_ns.load(Ordering::Relaxed))
    }

    /// Notes whether an answer waits for the client to read.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Release);
    }

    /// Waits until the connection is reclaimed.
    pub(super) async fn wanted_back(&self) {
        self.close.notified().await;
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

/// A body whose request is in progress until all of it was passed on.
pub(super) struct Passing {
    body: Body,
    _busy: Busy,
}

impl Passing {
    /// The same answer, which keeps its connection busy.
    pub(super) fn of(response: Response, busy: Busy) -> Response {
        // What is short is written at once, or seen to be stalled.
        if response.body().size_hint().exact().is_some_and(|length| length <= SHORT) {
            return response;
        }
        response.map(|body| Body::new(Self { body, _busy: busy }))
    }
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let since_ns = u64::try_from(self.0.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.idle_since_ns.store(since_ns, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An open connection; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    origin: Origin,
    number: u64,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.locked();
        if let Some(of_origin) = open.connections.get_mut(&self.origin) {
            of_origin.remove(&self.number);
            if of_origin.is_empty() {
                open.connections.remove(&self.origin);
            }
        }
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, places: Arc::new(Semaphore::new(limits.all)), open: Mutex::default() })
    }

    /// Waits for a place. When there is none, an idle connection is reclaimed.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(permit);
        }
        loop {
            self.want_back(Instant::now());
            // A request may have begun on the connection that was to be reclaimed.
            let waited = tokio::time::timeout(AGAIN, Arc::clone(&self.places).acquire_owned()).await;
            if let Ok(permit) = waited {
                return permit.ok();
            }
        }
    }

    /// Takes the place for a connection of this address. Where the address has as many as it may, its longest idle
    /// connection is closed instead; `None` where none of them is idle.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let origin = Origin::of(address);
        let mut open = self.locked();
        let number = open.next;
        let of_origin = open.connections.entry(origin).or_default();
        if of_origin.len() >= self.limits.per_address {
            let idle = of_origin.iter().filter(|(_, activity)| activity.is_idle());
            let longest = idle.min_by_key(|(_, activity)| activity.idle_since()).map(|(number, _)| *number)?;
            if let Some(activity) = of_origin.remove(&longest) {
                activity.close.notify_one();
            }
        }
        let activity = Arc::<Activity>::default();
        of_origin.insert(number, Arc::clone(&activity));
        open.next += 1;
        drop(open);
        Some(Place { connections: Arc::clone(self), origin, number, activity, _permit: permit })
    }

    /// Reclaims the connection that is idle for longest, of those addresses that have most idle ones.
    fn want_back(&self, now: Instant) {
        let open = self.locked();
        let chosen = open.connections.values().filter_map(|connections| {
            let idle = connections.values().filter(|activity| activity.is_idle());
            let idle: Vec<_> = idle.filter(|activity| activity.idle_since() + IN_USE <= now).collect();
            let longest = idle.iter().min_by_key(|activity| activity.idle_since())?;
            Some((idle.len(), Reverse(longest.idle_since()), *longest))
        });
        if let Some((_, _, activity)) = chosen.max_by_key(|(count, since, _)| (*count, *since)) {
            activity.close.notify_one();
        }
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[tokio::test]
    async fn one_address_has_its_part_and_idle_ones_are_wanted_back() {
        let connections = Connections::new(ConnectionLimits { all: 4, per_address: 2 });
        let take = async |from: &str| {
            let permit = connections.place().await.expect("never closed");
            connections.take(address(from), permit)
        };
        let first = take("10.0.0.1").await.expect("the first");
        let second = take("::ffff:10.0.0.1").await.expect("the second");
        let busy = first.activity().request();
        let third = take("10.0.0.1").await.expect("in the place of the second");
        tokio::time::timeout(Duration::from_secs(60), second.activity().wanted_back())
            .await
            .expect("the idle one goes");
        drop(second);
        let busy_too = third.activity().request();
        assert!(take("10.0.0.1").await.is_none(), "as many as it may, and none is idle");
        let other = take("2001:db8::1").await.expect("another address");
        let same = take("2001:db8::2").await.expect("the same network");
        let both = [other.activity().request(), same.activity().request()];
        drop(first);
        assert!(take("2001:db8:0:0:ffff::1").await.is_none(), "two of one network are busy");
        drop((busy, busy_too, both, third, other, same));
        assert!(connections.locked().connections.is_empty());
    }

    #[tokio::test]
    async fn what_is_used_stays_though_it_was_opened_first() {
        let connections = Connections::new(ConnectionLimits { all: 3, per_address: 2 });
        let take = async |from: &str| {
            let permit = connections.place().await.expect("never closed");
            connections.take(address(from), permit).expect("a place")
        };
        let patience = Duration::from_secs(60);
        let (used, unused) = (take("10.0.0.1").await, take("10.0.0.1").await);
        drop(used.activity().request());
        let third = take("10.0.0.1").await;
        tokio::time::timeout(patience, unused.activity().wanted_back()).await.expect("it is idle for longer");
        drop((unused, third));
        // Of other addresses, once each was idle for a while.
        let newer = take("10.0.0.2").await;
        drop(used.activity().request());
        connections.want_back(newer.activity().idle_since());
        let is_wanted =
            async |place: &Place| tokio::time::timeout(Duration::ZERO, place.activity().wanted_back()).await.is_ok();
        assert!(!is_wanted(&used).await && !is_wanted(&newer).await, "both are in use");
        connections.want_back(used.activity().idle_since() + IN_USE);
        assert!(is_wanted(&newer).await && !is_wanted(&used).await, "the newer one is idle for longer");
    }

    #[tokio::test]
    async fn where_all_places_are_taken_idle_ones_go() {
        let connections = Connections::new(ConnectionLimits { all: 2, per_address: 2 });
        let permit = connections.place().await.expect("never closed");
        let idle = connections.take(address("10.0.0.1"), permit).expect("a place");
        let permit = connections.place().await.expect("never closed");
        let other = connections.take(address("10.0.0.2"), permit).expect("a place");
        let _busy = other.activity().request();
        let closing = tokio::spawn(async move {
            idle.activity().wanted_back().await;
            drop(idle);
        });
        assert!(connections.place().await.is_some());
        closing.await.expect("no panic");
    }
}
