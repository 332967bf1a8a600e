//! Keep-alive clients. In a closed loop each sends its next request when it has the answer to the last; in an open loop requests are
//! due by a schedule, whatever the server does, and a latency counts from when the request was due.
//!
//! A failure is anything but a 200 with as many predictions as items. It knows the two members an answer's predictions can be in
//! (`body.predictions`, DeepDetect; `predictions`, the peers of `benches/peers`) and nothing else about the server.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::http::{self, Connection};

/// Pause of a client after a failure, so that a dead server is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// What to send.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Path of the requests, `/predict`.
    pub path: String,
    /// Bodies, taken in turn; clients start at different ones. Not empty.
    pub bodies: Vec<Vec<u8>>,
    /// Predictions expected in each answer.
    pub items: usize,
    /// Connections, each with its thread.
    pub clients: usize,
    /// After this no new request is sent; those in flight are finished and counted. Every client sends at least one.
    pub duration: Duration,
    /// Requests due per second, of all clients together; `None`: a closed loop.
    pub rate: Option<f64>,
}

impl Load {
    /// When request `number` of a client is due, after the start. Clients take turns.
    fn due(&self, client: usize, number: usize) -> Option<Duration> {
        let rate = self.rate?;
        Some(Duration::from_secs_f64((number * self.clients + client) as f64 / rate))
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Requests answered as expected.
    pub requests: usize,
    /// All others.
    pub failures: usize,
    /// What the first failure of the first client that had one was.
    pub first_failure: Option<String>,
    /// Seconds from the common start to the last answer.
    pub wall_s: f64,
    /// Answered requests per second.
    pub requests_s: f64,
    /// Answered items per second.
    pub items_s: f64,
    /// Median time to the answer, milliseconds; none without answers.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile; the maximum of fewer than 100 requests.
    pub p99_ms: Option<f64>,
    /// Each answered request, in order, and only where asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// When a request was sent, or due in an open loop, milliseconds since 1970; its latency, milliseconds; and the version
/// that answered.
pub type Sample = (f64, f64, String);

/// Runs the load; returns when the last answer is there.
///
/// # Panics
/// When `bodies` is empty.
pub fn drive(load: &Load) -> Report {
    drive_with_samples(load, false)
}

/// As [`drive`]; with `samples`, the report lists each request.
///
/// # Panics
/// As [`drive`].
pub fn drive_with_samples(load: &Load, samples: bool) -> Report {
    assert!(!load.bodies.is_empty(), "a load needs bodies");
    let requests: Vec<_> = load.bodies.iter().map(|body| http::request("POST", &load.path, body)).collect();
    let gate = Barrier::new(load.clients + 1);
    let clock = (Instant::now(), SystemTime::now());
    let (results, wall) = std::thread::scope(|scope| {
        let start_client = |index| {
            let (requests, gate) = (&requests, &gate);
            scope.spawn(move || client(load, requests, index, gate))
        };
        let clients: Vec<_> = (0..load.clients).map(start_client).collect();
        gate.wait();
        let start = Instant::now();
        let results: Vec<_> =
            clients.into_iter().map(|client| client.join().expect("a client turns errors into failures")).collect();
        (results, start.elapsed())
    });
    let report = report(&results, wall, load.items);
    if samples { Report { samples: in_order(&results, clock), ..report } } else { report }
}

#[derive(Default)]
struct Outcome {
    /// When each was sent or due, its latency, and the version that answered.
    answered: Vec<(Instant, Duration, String)>,
    failures: Vec<String>,
}

fn client(load: &Load, requests: &[Vec<u8>], index: usize, gate: &Barrier) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = Connection::open(load.address).ok();
    gate.wait();
    let start = Instant::now();
    for (number, request) in requests.iter().cycle().skip(index * 7 % requests.len()).enumerate() {
        let due = load.due(index, number);
        if due.is_some_and(|due| due >= load.duration && number > 0) {
            break;
        }
        let wait = due.and_then(|due| due.checked_sub(start.elapsed()));
        std::thread::sleep(wait.unwrap_or_default());
        let began = due.map_or_else(Instant::now, |due| start + due);
        match attempt(&mut connection, load, request) {
            Ok(served_by) => outcome.answered.push((began, began.elapsed(), served_by)),
            Err(failure) => {
                outcome.failures.push(failure);
                connection = None;
                std::thread::sleep(PAUSE_AFTER_FAILURE);
            }
        }
        if due.is_none() && start.elapsed() >= load.duration {
            break;
        }
    }
    outcome
}

/// One request; returns the version that answered, by the server's header; empty without one.
fn attempt(connection: &mut Option<Connection>, load: &Load, request: &[u8]) -> Result<String, String> {
    let open = match connection.take() {
        Some(open) => open,
        None => Connection::open(load.address).map_err(|error| error.to_string())?,
    };
    let response = connection.insert(open).exchange(request).map_err(|error| error.to_string())?;
    match serde_json::from_slice::<Answer>(&response.body) {
        Ok(answer) if response.status == 200 && answer.predictions() == Some(load.items) => {
            Ok(response.header("x-dede-served-by").unwrap_or_default().to_owned())
        }
        Ok(_) | Err(_) => {
            let body = String::from_utf8_lossy(&response.body);
            Err(format!("{} {}", response.status, body.chars().take(300).collect::<String>()))
        }
    }
}

/// The parts of an answer that are counted.
#[derive(Deserialize)]
struct Answer {
    body: Option<Predictions>,
    predictions: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Predictions {
    predictions: Option<Vec<serde::de::IgnoredAny>>,
}

impl Answer {
    fn predictions(&self) -> Option<usize> {
        let nested = self.body.as_ref().and_then(|body| body.predictions.as_ref());
        nested.or(self.predictions.as_ref()).map(Vec::len)
    }
}

fn in_order(outcomes: &[Outcome], (start, started): (Instant, SystemTime)) -> Vec<Sample> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let since_1970 = milliseconds(started.duration_since(UNIX_EPOCH).unwrap_or_default());
    let answered = outcomes.iter().flat_map(|outcome| &outcome.answered);
    let mut samples: Vec<_> = answered
        .map(|(began, took, served_by)| {
            (since_1970 + milliseconds(began.duration_since(start)), milliseconds(*took), served_by.clone())
        })
        .collect();
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    samples
}

fn report(outcomes: &[Outcome], wall: Duration, items: usize) -> Report {
    let mut latencies: Vec<Duration> =
        outcomes.iter().flat_map(|outcome| &outcome.answered).map(|(_, took, _)| *took).collect();
    let failures: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    latencies.sort();
    let quantile = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len().checked_sub(1)?);
        latencies.get(index).map(|latency| latency.as_secs_f64() * 1000.0)
    };
    let requests_s = latencies.len() as f64 / wall.as_secs_f64();
    Report {
        requests: latencies.len(),
        failures: failures.len(),
        first_failure: failures.first().map(|first| (*first).clone()),
        wall_s: wall.as_secs_f64(),
        requests_s,
        items_s: requests_s * items as f64,
        p50_ms: quantile(50),
        p95_ms: quantile(95),
        p99_ms: quantile(99),
        samples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A server that answers request number n (from 1) with `answer(n)`, as status and body.
    fn server(answer: fn(usize) -> (u16, &'static str)) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = counter.clone();
                std::thread::spawn(move || while serve(&stream, &counter, answer).is_some() {});
            }
        });
        (address, count)
    }

    fn serve(
        mut stream: &std::net::TcpStream,
        count: &AtomicUsize,
        answer: fn(usize) -> (u16, &'static str),
    ) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let (status, body) = answer(count.fetch_add(1, Ordering::SeqCst) + 1);
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).ok()
    }

    fn load(address: SocketAddr, clients: usize, millis: u64) -> Load {
        let bodies = (0..3).map(|n| format!("{{\"data\":[\"{n}\"]}}").into_bytes()).collect();
        let duration = Duration::from_millis(millis);
        Load { address, path: "/predict".into(), bodies, items: 2, clients, duration, rate: None }
    }

    #[test]
    fn every_request_is_counted_once() {
        let (address, count) = server(|_| (200, r#"{"status":{"code":200},"body":{"predictions":[{},{"a":[1]}]}}"#));
        let report = drive(&load(address, 4, 50));
        assert_eq!((report.requests, report.failures), (count.load(Ordering::SeqCst), 0), "{report:?}");
        assert!(report.requests >= 4);
        assert!(report.p50_ms <= report.p95_ms && report.p95_ms <= report.p99_ms);
        assert!((report.items_s - 2.0 * report.requests_s).abs() < 1e-9);
    }

    #[test]
    fn wrong_answers_are_failures_and_are_quoted() {
        let (address, count) = server(|n| match n {
            1 => (200, r#"{"predictions":[1,2]}"#),
            2 => (503, r#"{"predictions":[1,2]}"#),
            3 => (200, r#"{"predictions":[1]}"#),
            _ => (200, "no JSON"),
        });
        let report = drive(&load(address, 1, 200));
        assert_eq!((report.requests, report.failures + 1), (1, count.load(Ordering::SeqCst)), "{report:?}");
        assert!(report.failures >= 3, "{report:?}");
        assert!(report.first_failure.as_deref().is_some_and(|first| first.starts_with("503 ")), "{report:?}");
    }

    #[test]
    fn in_an_open_loop_the_schedule_decides_how_many_are_sent_and_a_stalled_server_delays_them_all() {
        let (address, count) = server(|n| {
            if n == 1 {
                std::thread::sleep(Duration::from_millis(200));
            }
            (200, r#"{"predictions":[1,2]}"#)
        });
        let load = Load { rate: Some(100.0), ..load(address, 1, 500) };
        let report = drive_with_samples(&load, true);
        assert_eq!((report.requests, count.load(Ordering::SeqCst), report.failures), (50, 50, 0), "{report:?}");
        let (due, took): (Vec<f64>, Vec<f64>) =
            report.samples.iter().map(|(due, took, _)| (due - report.samples[0].0, *took)).unzip();
        assert!(due.iter().enumerate().all(|(number, due)| (due - 10.0 * number as f64).abs() < 0.01), "{due:?}");
        // The second was due 10 ms after the first, which took 200.
        assert!(took[0] >= 200.0 && took[1] >= 190.0, "{took:?}");
    }

    #[test]
    fn clients_of_an_open_loop_take_turns() {
        let (address, _) = server(|_| (200, r#"{"predictions":[1,2]}"#));
        let load = Load { rate: Some(400.0), ..load(address, 4, 100) };
        assert_eq!(load.due(3, 2), Some(Duration::from_micros(27_500)));
        assert_eq!(drive(&load).requests, 40);
    }

    #[test]
    fn a_server_that_is_not_there_is_a_failure_per_client() {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let report = drive(&load(address, 2, 0));
        assert_eq!((report.requests, report.failures, report.p50_ms), (0, 2, None));
    }
}
