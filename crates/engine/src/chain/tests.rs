//! Chains of services that add numbers, and of an action that makes pictures of them.

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use dede_model::action::{Action, Effect, Made, PreparedAction, Seen, Yield};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::Section;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::picture::Picture;
use dede_model::repository::Clear;
use dede_model::request_memory::MemoryShare;
use serde_json::{Value, json};

use super::{AskedCall, Asking, ChainAnswer, Filter, Members, Observer, Plan, StepAnswer, What, run};
use crate::catalogue::{AliasChange, Catalogue};
use crate::dispatch::{Dispatcher, Record, Target};
use crate::environment::Environment;
use crate::limiter::{Bounds, Limiter};
use crate::service::PredictCall;
use crate::stage::{Gate, catalogue, create, environment};

/// Makes a picture of each class, or of each item with `whole`, that is brighter by one; `shown`: it is a part of the answer.
struct Brighter;

struct Brightened(Yield);

impl Action for Brighter {
    fn name(&self) -> &'static str {
        "brighter"
    }

    fn keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&[
            Key::applied("whole", Moment::Each),
            Key::applied("shown", Moment::Each),
            Key::not_yet("save"),
        ]]);
        KEYS
    }

    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let is_set = |key| parameters.get(key) == Some(&Value::Bool(true));
        let is_shown = is_set("shown");
        Ok(Box::new(Brightened(if is_set("whole") { Yield::PerItem { is_shown } } else { Yield::PerClass })))
    }
}

impl PreparedAction for Brightened {
    fn yields(&self) -> Yield {
        self.0
    }

    fn apply(&self, items: &[Seen<'_>], memory: &MemoryShare) -> Result<Effect> {
        let mut made = Vec::new();
        for (item, seen) in items.iter().enumerate() {
            let pixel = seen.kept.expect("it is kept").picture.pixels()[0] + 1;
            let classes =
                if self.0 == Yield::PerClass { (0..seen.found.len()).map(Some).collect() } else { vec![None] };
            for class in classes {
                memory.grow(1)?;
                made.push(Made { item, class, picture: Picture::new(1, 1, 1, vec![pixel]).unwrap() });
            }
        }
        Ok(Effect::Made(made))
    }
}

/// Who answered, and how many items.
#[derive(Default)]
struct Seer(Mutex<Vec<(String, usize, Option<String>)>>);

impl Observer for Seer {
    fn queued(&self, _: Duration) {}

    fn record(&self, record: &Record<'_>, outcome: Result<(), &Error>) {
        let Target::Here(service) = &record.to.target else { panic!("a service of this server") };
        let refusal = outcome.err().map(ToString::to_string);
        self.0.lock().unwrap().push((service.name().to_string(), record.items, refusal));
    }
}

fn service(name: &str) -> AskedCall {
    AskedCall { id: None, parent: None, what: What::Service { name: name.into(), request: Box::default() } }
}

/// The first call, with these items and output parameters.
fn first(name: &str, items: &[&str], output: Value) -> AskedCall {
    let mut request = PredictCall { data: items.iter().map(|item| (*item).into()).collect(), ..PredictCall::default() };
    request.parameters.output = output.as_object().unwrap().clone();
    AskedCall { id: None, parent: None, what: What::Service { name: name.into(), request: Box::new(request) } }
}

fn action(kind: &str, parameters: Value) -> AskedCall {
    let parameters = parameters.as_object().unwrap().clone();
    AskedCall { id: None, parent: None, what: What::Action { kind: kind.into(), parameters } }
}

trait Named {
    fn id(self, id: &str) -> Self;
    fn of(self, parent: &str) -> Self;
}

impl Named for AskedCall {
    fn id(self, id: &str) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    fn of(self, parent: &str) -> Self {
        Self { parent: Some(parent.into()), ..self }
    }
}

fn plan(calls: Vec<AskedCall>) -> Result<Plan> {
    Plan::of(calls, &[&Filter, &Brighter], Members { of_items: &["uri"], of_classes: &["cat"] })
}

/// Adders of classes: `one` adds 1, `two` adds 2, `three` adds 3.
fn adders(catalogue: &Catalogue, directory: &Path) {
    for (name, answer) in [("one", 1), ("two", 2), ("three", 3)] {
        create(catalogue, directory, name, &json!({"answer": answer, "classes": true}));
    }
}

async fn ask(dispatcher: &Dispatcher, calls: Vec<AskedCall>) -> Result<ChainAnswer> {
    ask_with(dispatcher, calls, &MemoryShare::unbounded(), Arc::new(Seer::default())).await
}

async fn ask_with(
    dispatcher: &Dispatcher,
    calls: Vec<AskedCall>,
    memory: &MemoryShare,
    observer: Arc<Seer>,
) -> Result<ChainAnswer> {
    run(dispatcher, plan(calls)?, Asking { deadline: None, received: Instant::now(), memory, observer }).await
}

/// An answer as text: the service, its numbers, and in brackets what stands in it.
fn shown(step: &StepAnswer) -> String {
    let (Outputs::Classification(values) | Outputs::Regression(values)) = &step.outputs else { panic!("numbers") };
    let mut text = format!("{}{:?}", step.service, values.values());
    if let Some(stays) = &step.stays {
        text += &format!("{stays:?}");
    }
    for action in &step.actions {
        let places: Vec<_> = action.places.iter().map(|place| (place.item, place.class)).collect();
        let steps: Vec<String> = action.steps.iter().map(shown).collect();
        let pictures = action.shown.as_ref().map_or(String::new(), |shown| format!(" {} shown", shown.len()));
        text += &format!(" {}{places:?}{pictures} <{}>", action.id, steps.join(", "));
    }
    text
}

#[tokio::test]
async fn each_answer_stands_where_it_belongs() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    let dispatcher = Dispatcher::new(Arc::clone(&catalogue));
    let (each, whole) = (|| action("brighter", json!({})), || action("brighter", json!({"whole": true})));
    for (calls, expected) in [
        (vec![first("one", &["10", "20"], json!({}))], "one[11.0, 21.0]"),
        (
            vec![first("one", &["10", "20"], json!({})), each(), service("two")],
            "one[11.0, 21.0] 0[(0, Some(0)), (1, Some(0))] <two[13.0, 23.0]>",
        ),
        // Two read the same pictures, and one reads what the first of them saw.
        (
            vec![
                first("one", &["10"], json!({})),
                each().id("a"),
                service("two"),
                service("three").of("a").id("t"),
                whole().of("2"),
                service("one").of("1"),
            ],
            "one[11.0] a[(0, Some(0))] <two[13.0] 1[(0, None)] <one[13.0]>, three[14.0]>",
        ),
        // What is filtered out is left out of the answer, and nothing is made of it.
        (
            vec![
                first("one", &["10"], json!({})),
                action("filter", json!({"classes": ["0"]})).id("f"),
                each().of("f"),
                service("two"),
            ],
            "one[11.0][[0]] 1[(0, Some(0))] <two[13.0]>",
        ),
        (
            vec![first("one", &["10"], json!({})), action("filter", json!({"classes": ["1"]})), each(), service("two")],
            "one[11.0][[]] 1[] <>",
        ),
        // Nothing was found: what would follow is left out.
        (
            vec![first("one", &["10"], json!({"best": 0})), each(), service("two"), each(), service("three")],
            "one[11.0] 0[] <>",
        ),
        (
            vec![first("one", &["10"], json!({})), action("brighter", json!({"whole": true, "shown": true})).id("p")],
            "one[11.0] p[(0, None)] 1 shown <>",
        ),
    ] {
        let answer = ask(&dispatcher, calls).await.unwrap();
        assert_eq!(shown(&answer.first), expected);
    }
    assert_eq!(catalogue.limiter().inside(), 0);
}

#[test]
fn calls_that_do_not_fit_together_are_refused_before_anything_computes() {
    let start = || first("one", &["10"], json!({}));
    let each = || action("brighter", json!({}));
    let filter = || action("filter", json!({"classes": ["0"]}));
    let drawn = || action("brighter", json!({"whole": true, "shown": true}));
    let many = || vec![start(); 65];
    for (calls, expected) in [
        (vec![], "Malformed: expected 1 to 64, found 0 (chain.calls)"),
        (many(), "Malformed: expected 1 to 64, found 65 (chain.calls)"),
        (vec![each()], "BadChain: the first call of a chain names a service, found an action"),
        (vec![start().of("x")], "BadInput: no action data for action id x"),
        (vec![start(), service("two")], "BadInput: no action data for action id "),
        (vec![start(), filter().id("f"), service("two").of("f")], "BadInput: no action data for action id f"),
        (vec![start(), each(), filter(), service("two")], "BadInput: no action data for action id 1"),
        (
            vec![start(), each(), service("two").of("0"), service("three").of("1")],
            "BadInput: no action data for action id 1",
        ),
        (
            vec![start(), each(), first("two", &["1"], json!({}))],
            "BadInput: expected none: the items of this call are what action 0 makes (chain.calls[2].data)",
        ),
        (vec![start(), action("nosuch", json!({}))], "BadAction: unknown action nosuch"),
        (
            vec![start(), action("brighter", json!({"save": true}))],
            "BadAction: not supported yet: action.parameters.save",
        ),
        (vec![start(), action("filter", json!({}))], "BadAction: filter action is missing classes parameter"),
        (vec![start(), each().of("9")], "BadChain: no call before has the id 9, which parent_id names"),
        (
            vec![start(), each().id("e"), each().of("e")],
            "BadChain: an action works on the answer of a service, and parent_id e is an action whose pictures no service has read",
        ),
        (
            vec![start(), each().id("e"), service("two").id("f"), filter().id("0"), each().of("0")],
            "BadChain: parent_id 0 is both the id of a service call and that of an action on another one: give them other ids",
        ),
        (
            vec![start(), each().id("e"), each().id("e")],
            "BadChain: two calls have the id e: expected another one for each",
        ),
        (
            vec![start().id("2"), each(), service("two")],
            "BadChain: two calls have the id 2: expected another one for each",
        ),
        (
            vec![start(), each().id("e"), service("two"), service("two").of("e")],
            "BadChain: This key already exists and cannot be used to reference model output: two",
        ),
        (
            vec![start(), each(), service("CAT")],
            "BadChain: This key already exists and cannot be used to reference model output: cat",
        ),
        (
            vec![start(), drawn().id("uri")],
            "BadChain: This key already exists and cannot be used to reference model output: uri",
        ),
        (vec![start(), each(), service("a/b")], "BadChain: Service a/b does not exist"),
        (
            vec![first("one", &["10"], json!({"template": "{{status}}"}))],
            "BadParameter: the answer to a call of a chain is a part of another, which no template makes (chain.calls[0].parameters.output.template)",
        ),
        (
            vec![first("one", &["10"], json!({"measure": ["acc"]}))],
            "BadParameter: measures are of labelled data: ask POST /predict for them (chain.calls[0].parameters.output.measure)",
        ),
    ] {
        let error = plan(calls).err().unwrap();
        let kind = format!("{error:?}");
        let kind = kind.split('(').next().unwrap();
        assert_eq!(format!("{kind}: {error}"), expected);
    }
    // The same name in places of their own, and keys of no table.
    assert!(plan(vec![start(), each(), service("two"), each(), service("two")]).is_ok());
    let unknown = plan(vec![start(), action("brighter", json!({"whloe": true}))]).unwrap();
    assert_eq!(unknown.unknown(), ["chain.calls[1].action.parameters.whloe"]);
}

#[tokio::test]
async fn what_fails_in_a_call_ends_the_chain_and_is_counted_for_its_service() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    create(&catalogue, directory.path(), "bad", &json!({"behaviour": "fail", "classes": true}));
    create(&catalogue, directory.path(), "values", &json!({"answer": 1}));
    let remote = AliasChange { service: "there".into(), peer: Some("prod".into()), ..AliasChange::default() };
    catalogue.put_alias("remote", remote).unwrap();
    let dispatcher = Dispatcher::new(Arc::clone(&catalogue));
    let start = || first("one", &["10", "20"], json!({}));
    let each = || action("brighter", json!({}));
    let answered = ("one".to_owned(), 2, None);
    for (calls, expected, counted) in [
        (vec![start(), each(), service("nosuch")], "Service nosuch does not exist", vec![]),
        (
            vec![start(), each(), service("remote")],
            "remote is there of the server prod; images are handed on within one server: send the chain to that one",
            vec![],
        ),
        (
            vec![start(), each(), service("bad")],
            "told to fail",
            vec![answered.clone(), ("bad".to_owned(), 0, Some("told to fail".to_owned()))],
        ),
        (
            vec![first("values", &["1"], json!({})), each(), service("two")],
            "actions work on classes and boxes, and values answers values",
            vec![(
                "values".to_owned(),
                0,
                Some("actions work on classes and boxes, and values answers values".to_owned()),
            )],
        ),
        (vec![start(), each(), service("values")], "", vec![answered.clone(), ("values".to_owned(), 2, None)]),
    ] {
        let seer = Arc::new(Seer::default());
        let outcome = ask_with(&dispatcher, calls, &MemoryShare::unbounded(), Arc::clone(&seer)).await;
        assert_eq!(outcome.err().map(|error| error.to_string()).unwrap_or_default(), expected);
        assert_eq!(*seer.0.lock().unwrap(), counted, "{expected}");
    }
    let many: Vec<String> = (0..8193).map(|_| "1".to_owned()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = ask(&dispatcher, vec![first("one", &many, json!({})), each()]).await.err().unwrap();
    assert_eq!(error.to_string(), "expected at most 8192 pictures of one chain");
    assert_eq!(catalogue.limiter().inside(), 0);
}

/// Both aliases are switched while the first service computes: the chain goes on with what was there when it came, and the next one finds
/// what is there by then.
#[tokio::test]
async fn a_switch_in_the_middle_mixes_no_generations() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    let slow = json!({"answer": 1, "classes": true, "behaviour": "block", "gate": "chain-generations"});
    create(&catalogue, directory.path(), "slow", &slow);
    let point = |alias: &str, service: &str| {
        let change = AliasChange { service: service.into(), ..AliasChange::default() };
        catalogue.put_alias(alias, change).unwrap();
    };
    point("detector", "slow");
    point("reader", "two");
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&catalogue)));
    let calls = || vec![first("detector", &["10"], json!({})), action("brighter", json!({})), service("reader")];
    let asked = {
        let dispatcher = Arc::clone(&dispatcher);
        tokio::spawn(async move { ask(&dispatcher, calls()).await })
    };
    let gate = Gate::named("chain-generations");
    tokio::task::spawn_blocking(move || gate.until_reached()).await.unwrap();
    point("detector", "one");
    point("reader", "three");
    // The service that comes later may be deleted by now, and answers nevertheless.
    catalogue.delete("two", Clear::Memory).unwrap();
    Gate::named("chain-generations").open();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(shown(&answer.first), "slow[11.0] 0[(0, Some(0))] <two[13.0]>");
    let versions: Vec<String> = answer.steps().iter().map(|step| step.service.to_string()).collect();
    assert_eq!(versions, ["slow", "two"]);
    let answer = ask(&dispatcher, calls()).await.unwrap();
    assert_eq!(shown(&answer.first), "one[11.0] 0[(0, Some(0))] <three[14.0]>");
}

/// An exchange of a network waits for the chains that will still need it, and a chain that comes meanwhile waits for the exchange without
/// a place anywhere.
#[tokio::test]
async fn a_chain_keeps_its_places_until_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    let slow = json!({"classes": true, "behaviour": "block", "gate": "chain-places"});
    create(&catalogue, directory.path(), "slow", &slow);
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&catalogue)));
    let calls = |name: &str| vec![first(name, &["10"], json!({})), action("brighter", json!({})), service("two")];
    let asked = {
        let (dispatcher, calls) = (Arc::clone(&dispatcher), calls("slow"));
        tokio::spawn(async move { ask(&dispatcher, calls).await })
    };
    tokio::task::spawn_blocking(|| Gate::named("chain-places").until_reached()).await.unwrap();
    let queue = catalogue.resolve("two").unwrap().service.queue.clone();
    let hold = queue.hold(Instant::now() + Duration::from_secs(3600)).unwrap();
    assert!(!queue.wait_until_empty(Instant::now()), "the chain has a place");
    let mut waiting = pin!(ask(&dispatcher, calls("one")));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(catalogue.resolve("one").unwrap().service.queue.inside(), 0, "it holds none while it waits");
    Gate::named("chain-places").open();
    assert_eq!(shown(&asked.await.unwrap().unwrap().first), "slow[10.0] 0[(0, Some(0))] <two[13.0]>");
    assert!(queue.wait_until_empty(Instant::now()));
    queue.release(&hold);
    assert_eq!(shown(&waiting.await.unwrap().first), "one[11.0] 0[(0, Some(0))] <two[13.0]>");
}

/// With one slot in all, a call that kept its own while the next one waits would wait for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_waits_for_a_slot_while_another_of_its_chain_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let limiter = Limiter::new(Bounds { requests: 64, slots: 1, own_slots: 0 });
    let catalogue = Catalogue::start(Environment { limiter, ..environment(directory.path(), None) }).unwrap();
    adders(&catalogue, directory.path());
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&catalogue)));
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let dispatcher = Arc::clone(&dispatcher);
            let mut calls = vec![first("one", &["10"], json!({})), action("brighter", json!({})).id("a")];
            calls.extend(["one", "two", "three"].map(|name| service(name).of("a")));
            tokio::spawn(async move { ask(&dispatcher, calls).await })
        })
        .collect();
    for asked in asked {
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(shown(&answer.first), "one[11.0] a[(0, Some(0))] <one[12.0], two[13.0], three[14.0]>");
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_everything() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    let slow = json!({"classes": true, "behaviour": "block", "gate": "chain-leaving"});
    create(&catalogue, directory.path(), "slow", &slow);
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&catalogue)));
    let asked = {
        let dispatcher = Arc::clone(&dispatcher);
        let calls = vec![first("slow", &["10"], json!({})), action("brighter", json!({})), service("two")];
        tokio::spawn(async move { ask(&dispatcher, calls).await.map(drop) })
    };
    tokio::task::spawn_blocking(|| Gate::named("chain-leaving").until_reached()).await.unwrap();
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    assert_eq!(catalogue.resolve("two").unwrap().service.queue.inside(), 0, "the place for what would have followed");
    Gate::named("chain-leaving").open();
    // What has begun to compute ends by itself.
    let queue = catalogue.resolve("slow").unwrap().service.queue.clone();
    let hold = queue.hold(Instant::now() + Duration::from_secs(3600)).unwrap();
    let empty = {
        let queue = queue.clone();
        tokio::task::spawn_blocking(move || queue.wait_until_empty(Instant::now() + Duration::from_secs(60)))
    };
    assert!(empty.await.unwrap());
    queue.release(&hold);
    assert_eq!(catalogue.resolve("two").unwrap().service.statistics.snapshot().successes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_chain_whose_time_is_over_computes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = catalogue(directory.path());
    adders(&catalogue, directory.path());
    let dispatcher = Dispatcher::new(Arc::clone(&catalogue));
    let plan = plan(vec![first("one", &["10"], json!({})), action("brighter", json!({})), service("two")]).unwrap();
    let memory = MemoryShare::unbounded();
    let deadline = Some(tokio::time::Instant::now());
    let asking = Asking { deadline, received: Instant::now(), memory: &memory, observer: Arc::new(Seer::default()) };
    assert!(matches!(run(&dispatcher, plan, asking).await, Err(Error::DeadlineExceeded(_))));
    assert_eq!(catalogue.resolve("one").unwrap().service.statistics.snapshot().successes, 0);
    assert_eq!(catalogue.limiter().inside(), 0);
}
