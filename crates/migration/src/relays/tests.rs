//! Relays as a command sees them: each question is answered once, whichever command leaves or comes back.

use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use dede_model::watch::Watch;

use super::queue::QUESTIONS;
use super::*;
use crate::clock::SystemClock;
use crate::clock::controlled::ControlledClock;

const FROM: &str = "http://dev:8080";

fn relays() -> Arc<Relays> {
    let times =
        Times { poll: Duration::from_millis(1), absence: Duration::from_secs(60), answer: Duration::from_secs(60) };
    Arc::new(Relays::with_times(times, Arc::new(SystemClock)))
}

/// Relays whose command counts as gone as soon as it does not wait.
fn forgotten() -> Relays {
    let times = Times { poll: Duration::from_millis(1), absence: Duration::ZERO, answer: Duration::from_secs(60) };
    Relays::with_times(times, Arc::new(SystemClock))
}

fn content(text: &str) -> Content {
    Box::new(Cursor::new(text.to_owned().into_bytes()))
}

fn predict(service: &str) -> Question {
    Question::Predict { service: service.into(), request: crate::Object::new() }
}

/// Asks on a thread of its own.
fn asking(relays: &Arc<Relays>, source: &str, question: Question) -> std::thread::JoinHandle<Result<String>> {
    let (relays, source) = (Arc::clone(relays), source.to_owned());
    std::thread::spawn(move || {
        let mut text = String::new();
        relays.ask(&source, question)?.read_to_string(&mut text).map_err(Error::io("read"))?;
        Ok(text)
    })
}

/// What a command is answered that asks once.
fn ask_once(relays: &Relays, source: &str, after: u64) -> Result<Option<NumberedQuestion>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(relays.next(source, after))
}

/// The next question, as a command gets it that asks until there is one.
fn next(relays: &Relays, source: &str, after: u64) -> NumberedQuestion {
    loop {
        if let Some(asked) = ask_once(relays, source, after).unwrap() {
            return asked;
        }
    }
}

#[test]
fn a_question_is_fetched_until_it_is_answered_and_answered_once() {
    let relays = relays();
    let source = relays.open(FROM, None).unwrap();
    let asked = asking(&relays, &source, predict("s"));
    let first = next(&relays, &source, 0);
    assert_eq!(first, NumberedQuestion { number: 1, question: predict("s") });
    assert_eq!(next(&relays, &source, 0), first, "whoever fetched it may be gone");
    assert_eq!(ask_once(&relays, &source, 1).unwrap(), None, "a command that has it waits for the next");
    relays.answer(&source, 1, content("yes")).unwrap();
    assert_eq!(asked.join().unwrap().unwrap(), "yes");
    let again = relays.answer(&source, 1, content("no")).unwrap_err();
    assert!(matches!(again, Error::MoveConflict(_)), "{again}");
    assert_eq!(ask_once(&relays, &source, 0).unwrap(), None);
}

#[test]
fn failures_cross_with_their_kind_and_a_bounded_text() {
    let relays = relays();
    let source = relays.open(FROM, None).unwrap();
    for (number, kind) in [FailureKind::Away, FailureKind::Refused, FailureKind::Forbidden].into_iter().enumerate() {
        let asked = asking(&relays, &source, Question::Host);
        let number = number as u64 + 1;
        assert_eq!(next(&relays, &source, 0).number, number);
        let text = format!("dev says {}", "no".repeat(REASON_LIMIT));
        relays.refuse(&source, number, Failure { kind, text }).unwrap();
        let error = asked.join().unwrap().unwrap_err();
        let fits = match kind {
            FailureKind::Away => matches!(error, Error::PeerAway(_)),
            FailureKind::Refused => matches!(error, Error::Peer(_)),
            FailureKind::Forbidden => matches!(error, Error::Forbidden(_)),
        };
        let text = error.to_string();
        assert!(fits && text.starts_with("dev says no") && text.len() == REASON_LIMIT, "{error:?}");
    }
}

#[test]
fn without_a_command_the_source_is_away_and_one_that_comes_back_goes_on() {
    let gone = forgotten();
    let source = gone.open(FROM, None).unwrap();
    assert!(matches!(gone.ask(&source, Question::Host), Err(Error::PeerAway(_))));
    assert!(matches!(gone.check(&source), Err(Error::MoveConflict(_))));
    assert!(gone.check("dev").is_ok(), "a peer is none of its business");

    // After a restart nothing is known; the name is made anew.
    let relays = relays();
    let away = relays.ask(&source, Question::Host).map(drop).unwrap_err();
    assert!(matches!(&away, Error::PeerAway(text) if text.contains("dede resume ID --relay")), "{away:?}");
    assert!(matches!(ask_once(&relays, &source, 0), Err(Error::MoveConflict(_))));
    assert_eq!(relays.open("http://elsewhere", Some(&source)).unwrap(), source);
    assert!(relays.check(&source).is_ok());
    let asked = asking(&relays, &source, Question::Host);
    let number = next(&relays, &source, 0).number;
    // A second command takes over: the question is there for it too.
    assert_eq!(relays.open(FROM, Some(&source)).unwrap(), source);
    assert_eq!(next(&relays, &source, 0).number, number);
    relays.answer(&source, number, content("{}")).unwrap();
    assert_eq!(asked.join().unwrap().unwrap(), "{}");
}

#[test]
fn a_question_ends_when_its_command_leaves_or_never_answers() {
    for (absence, answer) in [(5, 660), (900, 660)].map(|(absence, answer)| (seconds(absence), seconds(answer))) {
        let clock = ControlledClock::new();
        let relays =
            Relays::with_times(Times { poll: Duration::ZERO, absence, answer }, Arc::<ControlledClock>::clone(&clock));
        let source = relays.open(FROM, None).unwrap();
        assert!(matches!(relays.ask(&source, Question::Host), Err(Error::PeerAway(_))));
        assert_eq!(clock.passed(), absence.min(answer));
        assert_eq!(ask_once(&relays, &source, 0).unwrap(), None, "it does not stay behind");
    }
}

#[test]
fn a_command_is_answered_after_a_moment_where_nothing_is_asked() {
    let clock = ControlledClock::new();
    let relays = Relays::with_times(Times::default(), Arc::<ControlledClock>::clone(&clock));
    let source = relays.open(FROM, None).unwrap();
    assert_eq!(ask_once(&relays, &source, 0).unwrap(), None);
    assert_eq!(clock.passed(), seconds(3));
    assert!(relays.check(&source).is_ok(), "it was there just now");
    clock.advance(seconds(5));
    assert!(matches!(relays.check(&source), Err(Error::MoveConflict(_))));
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn questions_and_relays_are_bounded() {
    let relays = relays();
    let source = relays.open(FROM, None).unwrap();
    let asked: Vec<_> = (0..QUESTIONS).map(|_| asking(&relays, &source, Question::Host)).collect();
    let numbers: Vec<u64> = (0..QUESTIONS as u64).map(|after| next(&relays, &source, after).number).collect();
    let full = relays.ask(&source, Question::Host).map(drop).unwrap_err();
    assert!(matches!(&full, Error::PeerAway(text) if text.contains("the most at once")), "{full:?}");
    for number in numbers {
        relays.answer(&source, number, content("")).unwrap();
    }
    assert!(asked.into_iter().all(|thread| thread.join().unwrap().is_ok()));

    for _ in 1..REMEMBERED {
        relays.open(FROM, None).unwrap();
    }
    assert!(matches!(relays.open(FROM, None), Err(Error::Overloaded(_))));
    let gone = forgotten();
    for _ in 0..3 * REMEMBERED {
        gone.open(FROM, None).unwrap();
    }
    assert_eq!(gone.known.lock().unwrap().len(), 1, "relays that nobody uses make room");
}

#[test]
fn names_are_not_guessed_and_only_names_are_taken() {
    let relays = relays();
    let (one, other) = (relays.open(FROM, None).unwrap(), relays.open(FROM, None).unwrap());
    assert_ne!(one, other);
    assert_eq!(origin(&one).unwrap(), FROM);
    let digits = "0".repeat(DIGITS);
    for wrong in [
        "relay:".to_owned(),
        "relay:1:http://dev".to_owned(),
        format!("relay:{digits}"),
        format!("relay:{digits}:"),
        format!("relay:{digits}:http://dev /"),
        format!("relay:{digits}:http://dev\n"),
        format!("relay:{digits}:{}", "a".repeat(FROM_LIMIT + 1)),
        format!("upload:{digits}:http://dev"),
    ] {
        assert!(matches!(relays.open(FROM, Some(&wrong)), Err(Error::BadParameter(_))), "{wrong:?}");
    }
    assert!(matches!(relays.open("two words", None), Err(Error::BadParameter(_))));
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Option<NumberedQuestion>>> + 'a>>;

fn polled(waiting: &mut Waiting<'_>) -> Poll<Result<Option<NumberedQuestion>>> {
    waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn commands_wait_for_questions_on_one_thread_together() {
    const COMMANDS: usize = 128;
    let relays = Arc::new(Relays::with_times(Times::default(), Arc::new(SystemClock)));
    let sources: Vec<String> = (0..REMEMBERED).map(|_| relays.open(FROM, None).unwrap()).collect();
    let each = sources.iter().cycle().take(COMMANDS);
    let mut waiting: Vec<Waiting<'_>> = each.map(|source| Box::pin(relays.next(source, 0)) as Waiting<'_>).collect();
    assert!(waiting.iter_mut().all(|command| polled(command).is_pending()), "all of them wait, on this thread");
    let asked: Vec<_> = sources.iter().map(|source| asking(&relays, source, Question::Host)).collect();
    for command in waiting {
        let question = command.await.unwrap().expect("a question");
        assert_eq!(question, NumberedQuestion { number: 1, question: Question::Host });
    }
    for source in &sources {
        relays.answer(source, 1, content("{}")).unwrap();
    }
    assert!(asked.into_iter().all(|thread| thread.join().unwrap().unwrap() == "{}"));
}

#[tokio::test]
async fn a_command_whose_connection_ends_counts_as_gone_after_a_while() {
    let clock = ControlledClock::new();
    let relays = Relays::with_times(Times::default(), Arc::new(StillClock(Arc::clone(&clock))));
    let source = relays.open(FROM, None).unwrap();
    let mut waiting: Waiting<'_> = Box::pin(relays.next(&source, 0));
    assert!(polled(&mut waiting).is_pending());
    clock.advance(seconds(60));
    assert!(relays.check(&source).is_ok(), "it waits");
    drop(waiting);
    clock.advance(seconds(4));
    assert!(relays.check(&source).is_ok(), "it was there just now");
    clock.advance(seconds(1));
    assert!(matches!(relays.check(&source), Err(Error::MoveConflict(_))));
}

/// A clock that a wait does not move on.
struct StillClock(Arc<ControlledClock>);

impl Clock for StillClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }

    fn wait(&self, changed: &Watch, seen: u64, _: Instant) {
        changed.wait_after(seen, None);
    }

    fn waiting<'a>(&'a self, changed: &'a Watch, seen: u64, _: Instant) -> crate::clock::Waiting<'a> {
        Box::pin(changed.changed_after(seen))
    }
}
