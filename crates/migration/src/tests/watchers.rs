//! Clients that watch a move: they wake for its own changes only, and miss none.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use dede_engine::move_id::MoveId;
use serde_json::json;

use crate::clock::SystemClock;
use crate::handle::Move;
use crate::record::MoveRecord;
use crate::status::MoveStatus;

const WATCHERS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(3600);

/// How often what waits was woken.
#[derive(Default)]
struct WakeUps(AtomicUsize);

impl Wake for WakeUps {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Watching<'a> = Pin<Box<dyn Future<Output = Option<(u64, MoveStatus)>> + 'a>>;

fn begun(number: u64) -> Arc<Move> {
    let spec = serde_json::from_value(json!({"service": "s", "source": "dev"})).unwrap();
    let record = MoveRecord::new(MoveId(number), spec, "ab".into());
    Move::begun(record, PathBuf::new(), None, None, Arc::new(SystemClock))
}

async fn version(watched: &Move) -> u64 {
    watched.change_after(0, Duration::ZERO).await.expect("a move has a state from the start").0
}

#[tokio::test]
async fn watchers_wake_for_their_own_move_and_for_no_other() {
    let (own, other) = (begun(1), begun(2));
    let wake_ups = Arc::new(WakeUps::default());
    let waker = Waker::from(Arc::clone(&wake_ups));
    let mut context = Context::from_waker(&waker);
    let seen = version(&own).await;
    let mut watchers: Vec<Watching<'_>> =
        (0..WATCHERS).map(|_| Box::pin(own.change_after(seen, PATIENCE)) as Watching<'_>).collect();
    assert!(watchers.iter_mut().all(|watcher| watcher.as_mut().poll(&mut context).is_pending()));

    for count in 0..1000 {
        other.show(format!("{count} of 1000"), None);
    }
    assert_eq!(wake_ups.0.load(Ordering::SeqCst), 0, "woken by another move");

    own.show("copies", None);
    assert_eq!(wake_ups.0.load(Ordering::SeqCst), WATCHERS);
    for watcher in &mut watchers {
        let Poll::Ready(Some((version, status))) = watcher.as_mut().poll(&mut context) else { panic!("not told") };
        assert_eq!((version, status.activity.as_str()), (seen + 1, "copies"));
    }
}

#[tokio::test]
async fn a_change_between_reading_and_waiting_is_not_missed() {
    let watched = begun(1);
    let seen = version(&watched).await;
    watched.show("copies", None);
    let (version, status) = watched.change_after(seen, Duration::ZERO).await.expect("it changed");
    assert_eq!((version, status.activity.as_str()), (seen + 1, "copies"));
    assert!(watched.change_after(version, Duration::ZERO).await.is_none(), "nothing changed since");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_of_a_move_that_changes_all_the_time_are_told_its_last_state() {
    const CHANGES: u64 = 2000;
    let watched = begun(1);
    let last = version(&watched).await + CHANGES;
    let watch = |watched: Arc<Move>| async move {
        let mut seen = 0;
        while seen < last {
            seen = watched.change_after(seen, PATIENCE).await.expect("it goes on changing").0;
        }
        watched.info().activity
    };
    let watchers: Vec<_> = (0..WATCHERS).map(|_| tokio::spawn(watch(Arc::clone(&watched)))).collect();
    let changing = tokio::task::spawn_blocking(move || {
        for count in 1..=CHANGES {
            watched.show(count.to_string(), None);
        }
    });
    changing.await.unwrap();
    for watcher in watchers {
        assert_eq!(watcher.await.unwrap(), CHANGES.to_string());
    }
}
