//! A future that is woken while it is polled is polled again at once, instead of by way of the scheduler.
//!
//! hyper hands the body of a request to its handler on the same task, which wakes that task in the middle of a poll. The scheduler then
//! queues it and wakes another thread to look for work, and the task may continue there: two switches for each request.
//! It must not know what is polled.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// So often a future is polled in a row; then others have their turn.
const MOST_POLLS: usize = 4;

/// Nothing was heard since the last poll.
const QUIET: u8 = 0;
/// It is being polled.
const POLLED: u8 = 1;
/// It was woken, and is to be polled.
const WOKEN: u8 = 2;

/// What a future is woken by: notes it while the future is polled, and passes it on otherwise.
#[derive(Default)]
struct Notice {
    state: AtomicU8,
    task: Mutex<Option<Waker>>,
}

impl Notice {
    /// Remembers the task to pass on to.
    fn register(&self, task: &Waker) {
        let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == QUIET {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

/// Polls `future`, again where it was woken meanwhile.
pub(super) struct OwnWakes<F> {
    future: F,
    notice: Arc<Notice>,
    /// Of the notice.
    waker: Waker,
}

impl<F: Future + Unpin> OwnWakes<F> {
    pub(super) fn new(future: F) -> Self {
        let notice = Arc::new(Notice::default());
        let waker = Waker::from(Arc::clone(&notice));
        Self { future, notice, waker }
    }
}

impl<F: Future + Unpin> Future for OwnWakes<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, notice, waker } = self.get_mut();
        notice.register(context.waker());
        for _ in 0..MOST_POLLS {
            // What woke it before is seen by this poll; what wakes it from here on sees that it is polled.
            notice.state.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if notice.state.compare_exchange(POLLED, QUIET, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        // It stays woken: what wakes it next has nothing to pass on.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls once: what came, and how often the task was woken meanwhile.
    fn once<F: Future + Unpin>(future: &mut OwnWakes<F>) -> (Poll<F::Output>, usize) {
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        let polled = Pin::new(future).poll(&mut Context::from_waker(&waker));
        (polled, counted.0.load(Ordering::SeqCst))
    }

    /// Wakes itself in each poll, and is ready in the last one.
    fn after(polls: usize) -> impl Future<Output = usize> + Unpin {
        let mut polled = 0;
        poll_fn(move |context| {
            polled += 1;
            context.waker().wake_by_ref();
            if polled == polls { Poll::Ready(polled) } else { Poll::Pending }
        })
    }

    #[test]
    fn a_future_that_wakes_itself_needs_no_scheduler() {
        assert_eq!(once(&mut OwnWakes::new(after(MOST_POLLS))), (Poll::Ready(MOST_POLLS), 0));
    }

    #[test]
    fn others_have_their_turn_where_it_goes_on() {
        let mut future = OwnWakes::new(after(MOST_POLLS + 2));
        assert_eq!(once(&mut future), (Poll::Pending, 1));
        assert_eq!(once(&mut future), (Poll::Ready(MOST_POLLS + 2), 0));
    }

    #[test]
    fn what_wakes_it_between_polls_wakes_the_task_once() {
        let seen: Arc<Mutex<Option<Waker>>> = Arc::default();
        let inside = Arc::clone(&seen);
        let mut future = OwnWakes::new(poll_fn(move |context| {
            *inside.lock().unwrap() = Some(context.waker().clone());
            Poll::<()>::Pending
        }));
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        for round in 1..=3 {
            assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
            let inner = seen.lock().unwrap().take().unwrap();
            inner.wake_by_ref();
            inner.wake();
            assert_eq!(counted.0.load(Ordering::SeqCst), round, "two wakes are one until it is polled");
        }
    }

    /// A handle of blocking work keeps the waker that it knows, and looks with a plain load; another thread wakes the task meanwhile.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_of_blocking_work_is_not_lost_among_other_wakes() {
        const ROUNDS: usize = 3000;
        for round in 0..ROUNDS {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let work = tokio::task::spawn_blocking(move || {
                let _ = sender.blocking_send(());
                round
            });
            let both = OwnWakes::new(Box::pin(async move {
                let noise = async { while receiver.recv().await.is_some() {} };
                tokio::join!(work, noise).0.unwrap()
            }));
            assert_eq!(tokio::time::timeout(Duration::from_secs(60), both).await, Ok(round));
        }
    }

    /// A wake of another thread is never lost, whenever it comes.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn wakes_of_other_threads_are_not_lost() {
        const SENT: usize = 20_000;
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let sending = tokio::spawn(async move {
            for number in 0..SENT {
                sender.send(number).await.unwrap();
            }
        });
        let received = OwnWakes::new(Box::pin(async move {
            let mut count = 0;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            count
        }));
        let received = tokio::time::timeout(Duration::from_secs(60), received).await;
        assert_eq!(received, Ok(SENT));
        sending.await.unwrap();
    }
}
