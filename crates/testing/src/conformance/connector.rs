//! The standard cases of an input connector.

use std::sync::Arc;

use dede_model::connector::{Connector, InputLimits, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, Image, SampleShape, Samples, Targets};
use dede_model::error::Error;
use dede_model::labels::Labels;
use dede_model::parameters::Section;
use dede_model::parameters::keys::Call;
use dede_model::request_memory::MemoryShare;
use serde_json::{Value, json};

/// A connector with data it can read.
pub struct ConnectorCase<'a> {
    /// The connector.
    pub connector: &'a dyn Connector,
    /// `parameters.input` of a service, with everything that `items` need.
    pub parameters: Section,
    /// What the network takes, if reading needs it.
    pub shape: Option<SampleShape>,
    /// At least two items that a predict accepts, each of which is one sample, all different.
    pub items: Vec<String>,
    /// Items that must be refused, each with a piece of the message that says what is wrong with it.
    pub refused: Vec<(String, &'static str)>,
    /// A parameter with a value of the wrong type.
    pub wrong_parameter: (&'static str, Value),
    /// `data` of a training, if the case has some.
    pub training: Option<Vec<String>>,
}

/// Runs all cases.
///
/// # Panics
/// At the first rule that the connector breaks, saying which.
pub fn connector_suite(case: &ConnectorCase<'_>) {
    assert!(case.items.len() > 1, "the suite needs two items");
    reads_nothing_without_data(case);
    keeps_the_order(case);
    refuses_bad_items(case);
    names_parameters(case);
    reads_concurrently(case);
    keeps_what_it_reads(case);
    if reader(case).shape().is_some() {
        makes_up_examples(reader(case).as_ref());
    }
    if let Some(training) = &case.training {
        fits(case, training);
    }
}

fn open(case: &ConnectorCase<'_>, parameters: &Section) -> Result<Box<dyn Reader>, Error> {
    case.connector.open(&ReaderContext {
        parameters,
        own: parameters,
        created: &Section::new(),
        stored: &Section::new(),
        parameters_in_call: false,
        shape: case.shape,
        labels: &Labels::default(),
        regression: false,
        limits: Arc::new(InputLimits::default()),
    })
}

fn reader(case: &ConnectorCase<'_>) -> Box<dyn Reader> {
    open(case, &case.parameters).expect("the case's parameters are accepted")
}

fn reads_nothing_without_data(case: &ConnectorCase<'_>) {
    match reader(case).read(&[]) {
        Err(Error::BadInput(fault)) => assert!(fault.reason.contains("missing data"), "{fault}"),
        other => panic!("no data is bad input, found {other:?}"),
    }
}

fn keeps_the_order(case: &ConnectorCase<'_>) {
    let reader = reader(case);
    let together = reader.read(&case.items).expect("the case's items are read");
    check_batch(case, &together, case.items.len());
    let alone: Vec<_> = case.items.iter().map(|item| read_one(reader.as_ref(), item)).collect();
    for (index, alone) in alone.iter().enumerate() {
        assert_eq!(sample(&together.samples, index), sample(&alone.samples, 0), "item {index} alone and with others");
    }
    let reversed: Vec<_> = case.items.iter().rev().cloned().collect();
    let backwards = reader.read(&reversed).expect("the order does not matter");
    for (index, alone) in alone.iter().rev().enumerate() {
        assert_eq!(sample(&backwards.samples, index), sample(&alone.samples, 0), "reversed item {index}");
    }
    assert_ne!(sample(&together.samples, 0), sample(&together.samples, 1), "the items of the case differ");
}

fn read_one(reader: &dyn Reader, item: &String) -> Batch {
    let batch = reader.read(std::slice::from_ref(item)).expect("an item is read alone");
    assert_eq!(batch.samples.len(), 1, "one item is one sample");
    batch
}

fn check_batch(case: &ConnectorCase<'_>, batch: &Batch, length: usize) {
    assert_eq!(batch.samples.kind(), case.connector.kind(), "the kind announced is the kind read");
    assert_eq!((batch.samples.len(), batch.uris.len()), (length, length), "one sample and one uri per item");
    if let Some(shape) = reader(case).shape() {
        for index in 0..length {
            assert_shape(shape, &batch.samples, index);
        }
    }
}

fn assert_shape(shape: SampleShape, samples: &Samples, index: usize) {
    match (shape, sample(samples, index)) {
        (SampleShape::Row { columns }, Sample::Row(row)) => assert_eq!(row.len(), columns, "columns of item {index}"),
        (SampleShape::Image { width, height, channels }, Sample::Image(image)) => {
            assert_eq!(image.channels, channels, "channels of item {index}");
            assert!(width.is_none_or(|width| width == image.width), "width of item {index}");
            assert!(height.is_none_or(|height| height == image.height), "height of item {index}");
        }
        (shape, sample) => panic!("the reader announced {shape:?} and read {sample:?}"),
    }
}

#[derive(Debug, PartialEq)]
enum Sample<'a> {
    Row(&'a [f32]),
    Image(&'a Image),
}

fn sample(samples: &Samples, index: usize) -> Sample<'_> {
    match samples {
        Samples::Table(table) => Sample::Row(table.row(index)),
        Samples::Images { images, .. } => Sample::Image(&images[index]),
    }
}

fn refuses_bad_items(case: &ConnectorCase<'_>) {
    let reader = reader(case);
    for (bad, reason) in &case.refused {
        let mixed = [case.items[0].clone(), bad.clone(), case.items[1].clone()];
        for data in [std::slice::from_ref(bad), mixed.as_slice()] {
            match reader.read(data) {
                Err(Error::BadInput(fault)) => {
                    let text = fault.to_string();
                    assert!(text.contains(reason), "{bad:?}: expected a message with {reason:?}, found {text:?}");
                }
                other => panic!("{bad:?} is bad input, found {other:?}"),
            }
        }
    }
    reader.read(&case.items).expect("a reader goes on after bad items");
}

fn names_parameters(case: &ConnectorCase<'_>) {
    let mut parameters = case.parameters.clone();
    parameters.insert("no_such_parameter".to_owned(), json!(1));
    let table = case.connector.keys();
    let remarks = table
        .check(&parameters, "parameters.input", Call::Create, &Section::new())
        .expect("parameters of the case are accepted");
    assert_eq!(remarks.unknown, ["parameters.input.no_such_parameter"]);
    assert_eq!(table.ambiguous(), [""; 0]);

    let (key, value) = &case.wrong_parameter;
    let mut parameters = case.parameters.clone();
    parameters.insert((*key).to_owned(), value.clone());
    match open(case, &parameters) {
        Err(Error::BadInput(fault)) => assert_eq!(fault.at, format!("parameters.input.{key}")),
        Err(other) => panic!("a wrong parameter is bad input, found {other:?}"),
        Ok(_) => panic!("{value} is no value of {key}"),
    }
}

fn reads_concurrently(case: &ConnectorCase<'_>) {
    let reader = reader(case);
    let expected = reader.read(&case.items).expect("read");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(reader.read(&case.items).expect("read"), expected, "concurrent reads agree"));
        }
    });
}

/// Items kept are the same samples once more, without a word of where they came from.
fn keeps_what_it_reads(case: &ConnectorCase<'_>) {
    const ENOUGH: usize = 1 << 24;
    let reader = reader(case);
    let expected = reader.read(&case.items).expect("read");
    for data in case.items.chunks(1).chain([case.items.as_slice()]) {
        let (batch, kept) =
            reader.read_keeping(data, ENOUGH, &MemoryShare::unbounded()).expect("read as without keeping");
        let again = match kept {
            RetainedItems::AsSent => data.to_vec(),
            RetainedItems::Rewritten(items) => {
                let named = items.iter().any(|item| data.contains(item));
                assert!(!named, "items that are rewritten hold what was sent");
                items
            }
            RetainedItems::Nothing => panic!("the case's items are not kept"),
        };
        assert!(again.iter().all(|item| !std::path::Path::new(item).exists()), "a path is kept");
        let read = reader.read(&again).expect("what was kept is read");
        assert_eq!(read.samples, batch.samples, "what was kept is what was read");
        if let (_, RetainedItems::Rewritten(_)) =
            reader.read_keeping(data, 1, &MemoryShare::unbounded()).expect("read as without keeping")
        {
            panic!("more is kept than asked for");
        }
    }
    let (batch, _) = reader.read_keeping(&case.items, ENOUGH, &MemoryShare::unbounded()).expect("read");
    assert_eq!(batch, expected, "keeping changes nothing");
}

/// A predict accepts every item made up.
fn makes_up_examples(reader: &dyn Reader) {
    let examples: Vec<String> = (0..8).map(|seed| reader.example(seed).expect("made up")).collect();
    for (seed, item) in examples.iter().enumerate() {
        assert_eq!(reader.example(seed as u64).as_ref().ok(), Some(item), "seed {seed} once more");
        assert_eq!(examples.iter().filter(|other| *other == item).count(), 1, "seeds give different items");
        let batch = reader.read(std::slice::from_ref(item)).expect("an item made up is accepted");
        assert_eq!(batch.samples.len(), 1, "an item made up is one sample");
        if let Some(shape) = reader.shape() {
            assert_shape(shape, &batch.samples, 0);
        }
    }
    assert_eq!(reader.read(&examples).expect("and so are all together").samples.len(), examples.len());
}

fn fits(case: &ConnectorCase<'_>, training: &[String]) {
    let fitted = reader(case).fit(training).expect("the case's training data is read");
    let length = fitted.train.len();
    assert!(length > 0, "training data is not empty");
    let all: Vec<_> = (0..length).collect();
    let forwards = fitted.train.batch(&all).expect("a batch");
    assert_eq!(forwards.samples.kind(), case.connector.kind());
    assert_eq!((forwards.samples.len(), forwards.uris.len()), (length, length));
    assert_eq!(forwards.targets.as_ref().map(Targets::len), Some(length), "training data has targets");
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    let backwards = fitted.train.batch(&reversed).expect("a batch");
    for index in 0..length {
        assert_shape(fitted.shape, &forwards.samples, index);
        let other = length - 1 - index;
        assert_eq!(sample(&forwards.samples, index), sample(&backwards.samples, other), "batch order of item {index}");
        assert_eq!(forwards.uris[index], backwards.uris[other]);
    }

    let again = reader(case).fit(training).expect("the same data once more");
    assert_eq!(again.state, fitted.state, "fitting the same data twice learns the same");
    let context = ReaderContext {
        parameters: &fitted.state,
        own: &Section::new(),
        created: &Section::new(),
        stored: &fitted.state,
        parameters_in_call: false,
        shape: Some(fitted.shape),
        labels: &fitted.labels,
        regression: false,
        limits: Arc::new(InputLimits::default()),
    };
    let reopened = case.connector.open(&context).expect("the state alone opens a reader");
    let predicted = reopened.read(&case.items).expect("and reads what the service read");
    for index in 0..case.items.len() {
        assert_shape(fitted.shape, &predicted.samples, index);
    }
    makes_up_examples(reopened.as_ref());
}
