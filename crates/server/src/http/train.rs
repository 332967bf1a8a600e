//! /train: start, watch, stop.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use dede_api::answer::{Answer, Status};
use dede_api::query::Query;
use dede_api::requests::{Malformed, TrainRequest};
use dede_api::training::{JobStatus, TrainBody, TrainHead};
use dede_engine::job::{JobId, JobView};
use dede_engine::output::OutputOptions;
use dede_engine::service::{Service, TrainCall};
use dede_model::error::Error;
use dede_model::parameters::{Section, over};

use super::error::{Failure, Outcome};
use super::{Server, authority, query_of, reply};
use crate::deepdetect::{blocking_body, job_status, sections, status_body};

/// Points of a history that are answered unless the request says otherwise (contract.md 1.6).
const HISTORY_POINTS: usize = 10_000;
/// What a status request may say of histories: they are answered in any case.
const MEASURE_HIST: &str = "parameters.output.measure_hist";
const MAX_HIST_POINTS: &str = "parameters.output.max_hist_points";
/// Longest wait of a status request.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// POST and PUT: starts a training, and waits for its end when `async` is false.
pub(crate) async fn start(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(start_outcome(&server, request).await)
}

async fn start_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let is_guest = authority::is_guest(server, request.headers());
    let (mut received, object) = server.receive_object(request).await?;
    let shared = Arc::clone(server);
    let (service, job, histories, is_asynchronous) = server
        .manage(move |catalogue| {
            let request = TrainRequest::read(object, received.text()?)?;
            let service = catalogue.service(&request.service)?;
            shared.check_unknown(&request.service, request.unknown)?;
            let parameters = sections(request.parameters);
            let histories = Histories::of(&over(&parameters.output, &service.definition.parameters.output))?;
            let job = service.train(TrainCall { is_guest, parameters, data: request.data, body: request.body })?;
            Ok((service, job, histories, request.asynchronous))
        })
        .await?;
    if is_asynchronous {
        let head = TrainHead::state(job.id, JobStatus::Running, None);
        return Ok(reply::json(&Answer::<_, ()> { status: Status::created(), head: Some(head), body: None }));
    }
    job.settled().await;
    server.blocking(move || finished(&service, job.view(), histories)).await
}

fn finished(service: &Service, view: JobView, histories: Histories) -> Outcome {
    if let Some(error) = view.status.error {
        return Err(error.into());
    }
    let result = view.status.result.unwrap_or_default();
    let body = blocking_body(&result, &service.identity(), histories.wanted.then_some(histories.points));
    Ok(reply::json(&Answer::whole(Status::created(), TrainHead::blocking(view.seconds.floor()), body)))
}

/// Which histories a blocking train answers.
#[derive(Debug, Clone, Copy)]
struct Histories {
    wanted: bool,
    points: usize,
}

impl Histories {
    fn of(output: &Section) -> Result<Self, Error> {
        let output = OutputOptions::parse(output)?;
        let points = output.max_hist_points.and_then(|points| usize::try_from(points).ok());
        Ok(Self { wanted: output.measure_hist, points: points.unwrap_or(HISTORY_POINTS) })
    }
}

/// GET: where a job is.
pub(crate) async fn get(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let query = query_of(&uri);
    let outcome = get_outcome(&server, &query).await;
    answer_job(outcome, &query)
}

async fn get_outcome(server: &Server, query: &Query) -> Outcome {
    let (name, job) = named(query)?;
    server.check_unknown(&name, query.others(&["service", "job", "timeout", MEASURE_HIST, MAX_HIST_POINTS]))?;
    let timeout = Duration::from_secs(query.number("timeout")?.unwrap_or(0)).min(LONGEST_WAIT);
    let points = query.number(MAX_HIST_POINTS)?.and_then(|points| usize::try_from(points).ok());
    let (service, id) = server.manage(move |catalogue| Ok((catalogue.service(&name)?, job?))).await?;
    if let Some(live) = service.jobs.live(id).filter(|_| !timeout.is_zero()) {
        // What it is after that time is answered all the same.
        let _ = tokio::time::timeout(timeout, live.settled()).await;
    }
    let shown = move || {
        let view = service.jobs.view(id)?;
        Ok(reply::json(&status(&service, &view, points.unwrap_or(HISTORY_POINTS))))
    };
    server.blocking(shown).await
}

fn status(service: &Service, view: &JobView, points: usize) -> Answer<TrainHead, TrainBody> {
    let state = job_status(view.status.state);
    if let Some(error) = &view.status.error {
        let body = TrainBody { error: Some(Failure::from(error.clone()).status()), ..TrainBody::default() };
        return Answer::whole(Status::ok(), TrainHead::state(view.id, state, None), body);
    }
    let body = status_body(view, &service.identity(), points);
    Answer::whole(Status::ok(), TrainHead::state(view.id, state, Some(view.seconds.floor())), body)
}

/// DELETE: stops a job and waits for it, unless `wait` is false.
pub(crate) async fn delete(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let query = query_of(&uri);
    let outcome = delete_outcome(&server, &query).await;
    answer_job(outcome, &query)
}

async fn delete_outcome(server: &Server, query: &Query) -> Outcome {
    let (name, job) = named(query)?;
    server.check_unknown(&name, query.others(&["service", "job", "wait"]))?;
    let wait = query.flag("wait", true)?;
    let (id, live) = server
        .manage(move |catalogue| {
            let (service, id) = (catalogue.service(&name)?, job?);
            let is_over = service.jobs.view(id)?.status.state.is_over();
            Ok((id, if is_over { None } else { Some(service.jobs.terminate(id)?) }))
        })
        .await?;
    let Some(live) = live else { return Ok(reply::json(&head_only(TrainHead::job(id)))) };
    if wait {
        live.settled().await;
    }
    let view = live.view();
    let head = TrainHead::state(id, job_status(view.status.state), Some(view.seconds.floor()));
    Ok(reply::json(&head_only(head)))
}

fn head_only(head: TrainHead) -> Answer<TrainHead> {
    Answer { status: Status::ok(), head: Some(head), body: None }
}

/// Service and job of a status request. A missing job is looked up like an unknown one, after the service.
fn named(query: &Query) -> Outcome<(String, Result<JobId, Error>)> {
    let name = query.get("service").ok_or_else(|| Malformed::new("service", "missing member \"service\""))?;
    let job = query.number("job")?.ok_or(Error::JobNotFound);
    Ok((name.to_owned(), job))
}

/// An unknown job is answered with a head that names it.
fn answer_job(outcome: Outcome, query: &Query) -> Response {
    match outcome {
        Err(failure) if failure.is_job_not_found() => {
            let job = query.number("job").ok().flatten();
            let head = job.map(TrainHead::job).unwrap_or(TrainHead {
                method: TrainHead::METHOD,
                job: None,
                status: None,
                time: None,
            });
            reply::json(&Answer::<_, ()> { status: failure.status(), head: Some(head), body: None })
        }
        Err(failure) => failure.into_response(),
        Ok(response) => response,
    }
}
