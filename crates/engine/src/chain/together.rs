//! Several futures that are waited for together.
//!
//! It must not know what they do.

use std::pin::Pin;
use std::task::Poll;

/// A future with a life of its own.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One of them.
enum Each<'a, T, E> {
    Running(Boxed<'a, Result<T, E>>),
    Done(T),
}

/// What all of them come to, in their order. The first failure ends the others.
///
/// # Errors
/// The first one.
pub(super) async fn all<T, E>(futures: Vec<Boxed<'_, Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut all: Vec<Each<'_, T, E>> = futures.into_iter().map(Each::Running).collect();
    std::future::poll_fn(move |context| {
        let mut is_over = true;
        for each in &mut all {
            let Each::Running(future) = each else { continue };
            match future.as_mut().poll(context) {
                Poll::Pending => is_over = false,
                Poll::Ready(Ok(value)) => *each = Each::Done(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        if !is_over {
            return Poll::Pending;
        }
        let done = |each| match each {
            Each::Done(value) => Some(value),
            Each::Running(_) => None,
        };
        Poll::Ready(Ok(std::mem::take(&mut all).into_iter().filter_map(done).collect()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    fn number(receiver: oneshot::Receiver<Result<u32, &'static str>>) -> Boxed<'static, Result<u32, &'static str>> {
        Box::pin(async { receiver.await.unwrap() })
    }

    #[tokio::test]
    async fn results_come_in_order_and_the_first_failure_at_once() {
        let (first, one) = oneshot::channel();
        let (second, other) = oneshot::channel();
        let mut both = Box::pin(all(vec![number(one), number(other)]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(both.as_mut().poll(&mut context).is_pending());
        second.send(Ok(2)).unwrap();
        assert!(both.as_mut().poll(&mut context).is_pending());
        first.send(Ok(1)).unwrap();
        assert_eq!(both.await, Ok(vec![1, 2]));
        let (_never, one) = oneshot::channel();
        let (second, other) = oneshot::channel();
        second.send(Err("no")).unwrap();
        assert_eq!(all(vec![number(one), number(other)]).await, Err("no"));
        assert_eq!(all::<u32, u32>(Vec::new()).await, Ok(vec![]));
    }
}
