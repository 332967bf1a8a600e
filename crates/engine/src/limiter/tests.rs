//! Bounds, turns, pauses and deadlines; time is that of the test.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::*;

fn limiter(requests: usize, slots: usize, own_slots: usize) -> Limiter {
    Limiter::new(Bounds { requests, slots, own_slots })
}

/// A request that was admitted.
fn permit(queue: &ServiceQueue) -> Permit {
    queue.admit().expect("there is room")
}

fn now<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn slot_of(permit: &Permit) -> Option<Slot> {
    now(pin!(permit.slot(None))).map(|slot| slot.expect("there is no deadline"))
}

#[test]
fn the_limit_of_a_service_holds_and_leaving_makes_room() {
    let queue = limiter(10, 4, 1).queue(2);
    let first = permit(&queue);
    let _second = permit(&queue);
    assert!(matches!(queue.admit(), Err(Refused::Full(Error::Overloaded(_)))));
    assert_eq!(queue.refused(), 1);
    assert!(matches!(queue.running()[..], [longest, other] if longest >= other));
    drop(first);
    assert_eq!((queue.inside(), queue.running().len()), (1, 1));
    assert!(queue.admit().is_ok());
}

#[test]
fn the_limit_of_the_server_holds_for_all_services_and_for_what_is_forwarded() {
    let limiter = limiter(3, 4, 1);
    let (one, other) = (limiter.queue(10), limiter.queue(10));
    let (_first, second) = (permit(&one), permit(&other));
    let forwarded = limiter.forward().expect("there is room");
    for queue in [&one, &other] {
        assert!(matches!(queue.admit(), Err(Refused::Full(Error::Overloaded(_)))));
    }
    assert!(matches!(limiter.forward(), Err(Error::Overloaded(_))));
    assert_eq!((limiter.inside(), one.refused()), (2, 0), "the service is not to blame");
    drop(forwarded);
    assert!(one.admit().is_ok());
    drop(second);
    assert!(limiter.forward().is_ok());
}

#[test]
fn no_request_begins_while_it_is_held_and_the_last_one_out_is_noticed() {
    let queue = limiter(10, 4, 1).queue(2);
    let inside = permit(&queue);
    let later = Instant::now() + Duration::from_secs(60);
    let own = queue.hold(later).expect("it is not held");
    assert!(queue.hold(later).is_err(), "one at a time");
    assert_eq!(queue.inside(), 1);
    assert!(!queue.wait_until_empty(Instant::now()));
    let Err(Refused::Held(hold)) = queue.admit() else { panic!("admitted") };
    let _waiting = hold.wait().expect("there is room");
    std::thread::scope(|scope| {
        let emptied = scope.spawn(|| queue.wait_until_empty(later));
        drop(inside);
        assert!(emptied.join().expect("it ends"));
    });
    queue.release(&Hold::new(1, later));
    assert!(matches!(queue.admit(), Err(Refused::Held(_))), "another hold is not ended");
    let counts = queue.release(&own);
    assert_eq!((counts.held, counts.refused), (1, 0));
    assert!(queue.admit().is_ok());
}

#[test]
fn slots_go_to_requests_of_a_service_in_the_order_of_their_arrival() {
    let queue = limiter(10, 1, 1).queue(10);
    let permits: Vec<Permit> = (0..4).map(|_| permit(&queue)).collect();
    let mut slot = slot_of(&permits[0]);
    assert!(slot.is_some());
    let mut waiting: Vec<_> = permits[1..].iter().map(|permit| Box::pin(permit.slot(None))).collect();
    assert!(waiting.iter_mut().all(|waiting| now(waiting.as_mut()).is_none()));
    for next in 0..waiting.len() {
        slot = None;
        drop(slot);
        let after: Vec<_> = waiting.iter_mut().skip(next + 1).map(|waiting| now(waiting.as_mut())).collect();
        assert!(after.iter().all(Option::is_none));
        slot = now(waiting[next].as_mut()).map(|slot| slot.expect("there is no deadline"));
        assert!(slot.is_some(), "{next}");
    }
}

#[test]
fn a_service_need_not_wait_for_the_long_requests_of_another() {
    let limiter = limiter(100, 2, 1);
    let (busy, other) = (limiter.queue(50), limiter.queue(50));
    let busy_permits = [permit(&busy), permit(&busy), permit(&busy)];
    let _slots = [slot_of(&busy_permits[0]), slot_of(&busy_permits[1])];
    assert!(slot_of(&busy_permits[2]).is_none());
    let other_permits = [permit(&other), permit(&other)];
    let own = slot_of(&other_permits[0]);
    assert!(own.is_some());
    assert!(slot_of(&other_permits[1]).is_none(), "its own are taken, and the shared ones");
}

/// Before it is given a slot, and after it was given one that it has not seen.
#[test]
fn a_request_whose_client_leaves_makes_room_for_the_next() {
    for has_been_given_a_slot in [false, true] {
        let queue = limiter(10, 1, 1).queue(10);
        let permits = [permit(&queue), permit(&queue), permit(&queue)];
        let mut slot = slot_of(&permits[0]);
        let mut leaving = Box::pin(permits[1].slot(None));
        let mut staying = Box::pin(permits[2].slot(None));
        assert!(now(leaving.as_mut()).is_none() && now(staying.as_mut()).is_none());
        if has_been_given_a_slot {
            drop(slot.take());
        }
        drop(leaving);
        drop(slot);
        assert!(now(staying.as_mut()).is_some(), "{has_been_given_a_slot}");
    }
}

#[test]
fn clients_that_come_and_leave_are_not_remembered() {
    let queue = limiter(10, 1, 1).queue(4);
    let (computing, second) = (permit(&queue), permit(&queue));
    let _slot = slot_of(&computing);
    let mut stays = Box::pin(second.slot(None));
    assert!(now(stays.as_mut()).is_none());
    for _ in 0..1000 {
        let leaving = permit(&queue);
        assert!(now(pin!(leaving.slot(None))).is_none());
    }
    let remembered = queue.read_waiting();
    assert!(remembered <= 10, "{remembered}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_nothing_else() {
    let queue = limiter(10, 1, 1).queue(10);
    let permits = [permit(&queue), permit(&queue), permit(&queue)];
    let in_ms = |ms| tokio::time::Instant::now() + Duration::from_millis(ms);
    let began = tokio::time::Instant::now();
    let slot = permits[0].slot(Some(in_ms(1))).await.expect("it is free");
    let late = permits[1].slot(Some(in_ms(250))).await;
    assert!(matches!(late, Err(Error::DeadlineExceeded(_))));
    assert_eq!(began.elapsed().as_millis(), 250);
    let over = permits[1].slot(Some(began)).await;
    assert!(matches!(over, Err(Error::DeadlineExceeded(_))), "it is over before it waits");
    let (in_time, ()) = tokio::join!(permits[2].slot(Some(in_ms(1000))), async {
        tokio::time::advance(Duration::from_millis(999)).await;
        drop(slot);
    });
    assert!(in_time.is_ok());
}

#[test]
fn a_slot_on_its_way_keeps_the_place_of_its_queue() {
    let limiter = limiter(10, 1, 1);
    let first = limiter.queue(2);
    assert!(limiter.0.locked().take_slot(0, &limiter.0.bounds));
    let on_its_way = queue::Grant::new(Arc::clone(&limiter.0), 0);
    drop(first);
    let second = limiter.queue(2);
    drop(on_its_way);
    assert_eq!(limiter.0.locked().computing, 0);
    let third = limiter.queue(2);
    let (one, other) = (permit(&second), permit(&third));
    let slot = slot_of(&one);
    assert!(slot.is_some() && slot_of(&one).is_none());
    assert!(slot_of(&other).is_some(), "each has a slot of its own");
}

#[test]
fn shared_slots_are_given_to_services_in_turn() {
    let limiter = limiter(100, 3, 1);
    let queues = [limiter.queue(50), limiter.queue(50)];
    let permits = queues.each_ref().map(|queue| (0..10).map(|_| permit(queue)).collect::<Vec<_>>());
    // Both use up their own slot, and the first the shared one.
    let mut slots = vec![slot_of(&permits[0][0]), slot_of(&permits[1][0]), slot_of(&permits[0][1])];
    assert!(slots.iter().all(Option::is_some));
    let mut waiting = permits
        .each_ref()
        .map(|permits| permits[2..].iter().map(|permit| Box::pin(permit.slot(None))).collect::<VecDeque<_>>());
    for waiting in waiting.iter_mut().flatten() {
        assert!(now(waiting.as_mut()).is_none());
    }
    let mut served = Vec::new();
    for _ in 0..6 {
        drop(slots.pop());
        for (service, waiting) in waiting.iter_mut().enumerate() {
            if let Some(slot) = waiting.front_mut().and_then(|first| now(first.as_mut())) {
                waiting.pop_front();
                slots.push(Some(slot.expect("there is no deadline")));
                served.push(service);
            }
        }
    }
    assert_eq!(served, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn queues_that_are_gone_leave_nothing() {
    let limiter = limiter(10, 1, 1);
    let first = limiter.queue(2);
    let kept = permit(&first);
    drop(first);
    assert_eq!(limiter.inside(), 1, "its requests end as they would have");
    let slot = slot_of(&kept);
    drop(kept);
    let second = limiter.queue(2);
    assert!(slot_of(&permit(&second)).is_some(), "one of its own");
    drop(slot);
    assert_eq!(limiter.inside(), 0);
    let third = limiter.queue(2);
    assert!(slot_of(&permit(&third)).is_some());
}
