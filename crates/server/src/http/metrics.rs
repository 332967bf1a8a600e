//! Prometheus metrics: names, and recording them.
//!
//! Label values come from the server, never from a client alone: an unknown service is counted without its name, so that no client can
//! fill the memory with time series.

mod series;

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use dede_engine::shadow::ShadowCounts;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use series::Lately;

/// Upper bounds of duration buckets, seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Starts recording.
///
/// # Errors
/// When a recorder is installed already.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .install_recorder()?;
    metrics::describe_counter!(
        "dede_predict_requests_total",
        "Predict requests answered, by service, version, alias and code."
    );
    metrics::describe_histogram!("dede_predict_duration_seconds", "Time from receiving a predict to its answer.");
    metrics::describe_histogram!("dede_queue_duration_seconds", "Time a request waited for a thread.");
    metrics::describe_counter!("dede_predict_items_total", "Items answered by predicts.");
    metrics::describe_counter!("dede_http_requests_total", "HTTP requests, by method, route and code.");
    metrics::describe_gauge!("dede_requests_in_flight", "HTTP requests being answered.");
    metrics::describe_gauge!("dede_queue_depth", "Requests of a service that wait or run.");
    metrics::describe_gauge!("dede_services", "Services.");
    metrics::describe_gauge!("dede_alias_generation", "Times the route of an alias changed.");
    metrics::describe_counter!("dede_shadow_compared_total", "Copies of an alias's requests that its shadow answered.");
    metrics::describe_counter!("dede_shadow_dropped_total", "Copies given up, so that no client waits.");
    metrics::describe_counter!("dede_shadow_failed_total", "Copies that the shadow failed on.");
    metrics::describe_counter!("dede_shadow_changed_total", "Copies whose input changed meanwhile: they say nothing.");
    metrics::describe_gauge!("dede_ready", "1 when ready.");
    Ok(handle)
}

/// Counts a request while it lives.
#[derive(Debug)]
pub(crate) struct InFlight(());

static IN_FLIGHT: LazyLock<Gauge> = LazyLock::new(|| gauge!("dede_requests_in_flight"));
static QUEUED: LazyLock<Histogram> = LazyLock::new(|| histogram!("dede_queue_duration_seconds"));

thread_local! {
    static ROUTES: RefCell<Lately<RouteSeries>> = const { RefCell::new(Lately::new()) };
    static PREDICTS: RefCell<Lately<PredictSeries>> = const { RefCell::new(Lately::new()) };
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.decrement(1);
    }
}

/// One more request in flight, until the guard is dropped.
pub(crate) fn in_flight() -> InFlight {
    IN_FLIGHT.increment(1);
    InFlight(())
}

/// What requests of one route, method and code are counted in.
struct RouteSeries {
    method: &'static str,
    route: &'static str,
    code: StatusCode,
    requests: Counter,
    duration: Histogram,
}

/// Counts an answered HTTP request.
pub(crate) fn http_request(method: &Method, route: &'static str, code: StatusCode, elapsed: Duration) {
    let method = known_method(method);
    ROUTES.with_borrow_mut(|routes| {
        let fits = |known: &RouteSeries| known.route == route && known.code == code && known.method == method;
        let series = routes.find(fits, || {
            let code_text = code.as_str().to_owned();
            RouteSeries {
                method,
                route,
                code,
                requests: counter!("dede_http_requests_total", "method" => method, "route" => route, "code" => code_text),
                duration: histogram!("dede_http_request_duration_seconds", "route" => route),
            }
        });
        series.requests.increment(1);
        series.duration.record(elapsed);
    });
}

/// Digest of a model as a label, without a copy of the text.
pub(crate) type Version = metrics::SharedString;

/// The labels and figures of an answered predict.
#[derive(Debug)]
pub(crate) struct PredictRecord<'a> {
    /// The service; empty when there was none.
    pub(crate) service: &'a str,
    /// Digest of its model; empty when it did not answer.
    pub(crate) version: Version,
    /// The alias it was addressed by; empty without.
    pub(crate) alias: &'a str,
    /// HTTP status.
    pub(crate) code: u16,
    /// Items answered.
    pub(crate) items: usize,
    /// Time from receiving to answering.
    pub(crate) elapsed: Duration,
}

impl PredictRecord<'_> {
    /// Of a request that could not be read.
    pub(crate) fn unaddressed(code: u16, elapsed: Duration) -> Self {
        Self { service: "", version: "".into(), alias: "", code, items: 0, elapsed }
    }
}

/// What predicts of one service, version, alias and code are counted in.
struct PredictSeries {
    service: String,
    version: Version,
    alias: String,
    code: u16,
    requests: Counter,
    duration: Histogram,
    /// Once there was an item.
    items: Option<Counter>,
}

impl PredictSeries {
    fn of(record: &PredictRecord<'_>) -> Self {
        let (service, alias) = (record.service.to_owned(), record.alias.to_owned());
        let requests = counter!(
            "dede_predict_requests_total",
            "service" => service.clone(),
            "version" => record.version.clone(),
            "alias" => alias.clone(),
            "code" => record.code.to_string()
        );
        let duration = histogram!("dede_predict_duration_seconds", "service" => service.clone());
        Self { service, version: record.version.clone(), alias, code: record.code, requests, duration, items: None }
    }

    fn fits(&self, record: &PredictRecord<'_>) -> bool {
        self.service == record.service
            && self.code == record.code
            && self.alias == record.alias
            && self.version == record.version
    }

    fn items(&mut self) -> &Counter {
        self.items.get_or_insert_with(|| counter!("dede_predict_items_total", "service" => self.service.clone()))
    }
}

/// Counts an answered predict.
pub(crate) fn predict(record: &PredictRecord<'_>) {
    let (items, elapsed) = (record.items as u64, record.elapsed);
    PREDICTS.with_borrow_mut(|predicts| {
        let series = predicts.find(|known| known.fits(record), || PredictSeries::of(record));
        series.requests.increment(1);
        series.duration.record(elapsed);
        if items > 0 {
            series.items().increment(items);
        }
    });
}

/// What became of the copies for the shadow of an alias; an alias that never had one is left out.
pub(crate) fn shadowed(alias: &str, counts: ShadowCounts) {
    if counts.offered > 0 {
        counter!("dede_shadow_compared_total", "alias" => alias.to_owned()).absolute(counts.compared);
        counter!("dede_shadow_dropped_total", "alias" => alias.to_owned()).absolute(counts.dropped);
        counter!("dede_shadow_failed_total", "alias" => alias.to_owned()).absolute(counts.failed);
        counter!("dede_shadow_changed_total", "alias" => alias.to_owned()).absolute(counts.changed);
    }
}

/// Time a request waited for a thread.
pub(crate) fn queued(elapsed: Duration) {
    QUEUED.record(elapsed);
}

fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        "HEAD" => "HEAD",
        _ => "other",
    }
}
