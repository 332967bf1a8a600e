//! Runs tests of the ONNX backend suite through an engine, and says of each how it came out.
//!
//! It owns how a test is read (`model.onnx` with `test_data_set_0/{input,output}_N.pb`) and compared. It must not know where
//! the tests come from nor which outcome is expected: `tests/onnx/conformance.py` does. Arguments: the engine, then folders
//! of tests. Each line of the answer is `NAME<tab>pass`, `NAME<tab>refused<tab>why` or `NAME<tab>wrong<tab>what`. An engine that
//! panics is wrong: overflow of integers, which a debug build finds so, is a wrong number in a release.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use dede_backends::neural::engine::{Array, Engine, LoadOptions, Network, Parallelism, Port, Values, select};
use dede_backends::neural::onnx_view::{ElementType, OnnxView, TensorView, ValueView};

/// As in ONNX's own runner.
const RELATIVE: f64 = 1e-3;
/// As in ONNX's own runner.
const ABSOLUTE: f64 = 1e-7;
/// Of the largest number of an output: what a sum of such numbers that should be 0 may come to in 32 bits.
const OF_LARGEST: f64 = 1e-6;

/// Why a test has no answer that could be compared, or what was wrong with the answer.
enum Failure {
    Refused(String),
    Wrong(String),
}

/// The last panic of any thread.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn refused(reason: impl ToString) -> Failure {
    Failure::Refused(reason.to_string())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let engine = match arguments
        .next()
        .ok_or_else(|| "the name of an engine expected".to_owned())
        .and_then(|name| select(Some(&name)).map_err(|error| error.to_string()))
    {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string());
    }));
    for folder in arguments {
        let name = Path::new(&folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outcome = run(engine, Path::new(&folder));
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        let line = match panic.map_or(outcome, |panic| Err(Failure::Wrong(panic))) {
            Ok(()) => "pass".to_owned(),
            Err(Failure::Refused(reason)) => format!("refused\t{}", reason.replace(['\n', '\t'], " ")),
            Err(Failure::Wrong(what)) => format!("wrong\t{}", what.replace(['\n', '\t'], " ")),
        };
        // What is said before an engine ends the process must have left it.
        let mut output = std::io::stdout().lock();
        if writeln!(output, "{name}\t{line}").and_then(|()| output.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(engine: &dyn Engine, folder: &Path) -> Result<(), Failure> {
    let path = folder.join("model.onnx");
    let onnx = std::fs::read(&path).map_err(refused)?;
    dede_graph::onnx::inspect(&onnx).map_err(refused)?;
    let view = OnnxView::parse(&onnx).map_err(refused)?;
    let names: Vec<String> = view.graph.required_inputs().map(|input| input.name.to_owned()).collect();
    let data = folder.join("test_data_set_0");
    let read = |kind: &str, (index, value): (usize, &ValueView<'_>)| match value.element {
        Some(_) => array(&data.join(format!("{kind}_{index}.pb"))),
        None => Err(refused(format!("{} is no tensor, and nothing else crosses engines", value.name))),
    };
    let inputs = view.graph.required_inputs().enumerate().map(|input| read("input", input));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let expected = view.graph.outputs.iter().enumerate().map(|output| read("output", output));
    let expected = expected.collect::<Result<Vec<_>, _>>()?;
    let network = Network { onnx: onnx.clone().into(), path: Some(path), external: Vec::new() };
    let options = LoadOptions { threads: 1, lanes: 1, outputs: Vec::new(), is_optimised: true };
    let session = engine.load(network, &options).map_err(refused)?;
    let given = |port: &Port| {
        let index = names.iter().position(|name| *name == port.name);
        index.map(|index| inputs[index].0.clone()).ok_or_else(|| refused(format!("no data for input {}", port.name)))
    };
    let given = session.inputs().iter().map(given).collect::<Result<Vec<_>, _>>()?;
    let found = session.run(given, Parallelism::One).map_err(refused)?;
    if found.len() != expected.len() {
        return Err(Failure::Wrong(format!("{} outputs, expected {}", found.len(), expected.len())));
    }
    for (index, (found, (expected, element))) in found.iter().zip(&expected).enumerate() {
        compare(found, expected, *element).map_err(|what| Failure::Wrong(format!("output {index}: {what}")))?;
    }
    Ok(())
}

/// A tensor of a test, in the type that crosses engines, and the type it has in the file.
fn array(path: &Path) -> Result<(Array, ElementType), Failure> {
    let bytes = std::fs::read(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    let tensor = TensorView::parse(&bytes).map_err(refused)?;
    let raw = tensor.raw;
    let values = match tensor.element {
        ElementType::F32 => Values::F32(words(raw).map(f32::from_le_bytes).collect()),
        // Engines answer wider and narrower floats as 32-bit ones.
        ElementType::F64 => Values::F32(words(raw).map(|word| f64::from_le_bytes(word) as f32).collect()),
        ElementType::F16 => Values::F32(words(raw).map(|word| half(u16::from_le_bytes(word))).collect()),
        ElementType::U8 => Values::U8(raw.to_vec()),
        ElementType::I8 => Values::I8(words(raw).map(i8::from_le_bytes).collect()),
        ElementType::I32 => Values::I32(words(raw).map(i32::from_le_bytes).collect()),
        ElementType::I64 => Values::I64(words(raw).map(i64::from_le_bytes).collect()),
        ElementType::Bool => Values::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        other @ (ElementType::Bf16 | ElementType::Other(_)) => {
            return Err(refused(format!("values of type {other:?} do not cross engines")));
        }
    };
    let shape = tensor.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    Array::new(shape, values).map(|array| (array, tensor.element)).map_err(refused)
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks::<N>().0.iter().copied()
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    };
    if sign == 1 { -size } else { size }
}

fn compare(found: &Array, expected: &Array, element: ElementType) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    if std::mem::discriminant(found.values()) != std::mem::discriminant(expected.values()) {
        return Err(format!("another type than {element:?}"));
    }
    let is_float = matches!(expected.values(), Values::F32(_));
    let (found, expected) = (numbers(found.values()), numbers(expected.values()));
    let largest =
        expected.iter().filter(|value| value.is_finite()).fold(0f64, |largest, value| largest.max(value.abs()));
    let absolute = ABSOLUTE + OF_LARGEST * largest;
    let is_close = |(&found, &expected): (&f64, &f64)| {
        found == expected
            || found.is_nan() && expected.is_nan()
            || is_float && found.is_finite() && (found - expected).abs() <= absolute + RELATIVE * expected.abs()
    };
    match found.iter().zip(&expected).position(|pair| !is_close(pair)) {
        Some(place) => Err(format!("[{place}] is {}, expected {}", found[place], expected[place])),
        None => Ok(()),
    }
}

fn numbers(values: &Values) -> Vec<f64> {
    match values {
        Values::F32(values) => values.iter().copied().map(f64::from).collect(),
        Values::U8(values) => values.iter().copied().map(f64::from).collect(),
        Values::I8(values) => values.iter().copied().map(f64::from).collect(),
        Values::I32(values) => values.iter().copied().map(f64::from).collect(),
        Values::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
    }
}
