//! `dede move` and the commands around it. They start and watch; the move itself is a job on the target and needs none of them.

use std::path::Path;

use dede_api::moves::{GoldenCase, MoveInfo, MovePhase, MovePlan, MoveRequest};
use dede_storage::failpoint;
use serde_json::Value;
use ureq::http::Method;

use super::directory;
use super::follow::Show;
use super::moving::{
    ActOptions, ApplyOptions, MoveOptions, MovesOptions, OnOptions, PlanOptions, ResumeOptions, RollbackOptions,
    VerifyOptions,
};
use super::relay;
use super::remote::{Remote, source_url};
use super::report::{self, say, say_json};
use super::together;
use crate::peer::path_part;

/// Largest file of golden cases, bytes.
const GOLDEN_LIMIT: u64 = 64 << 20;

/// `dede move`.
///
/// # Errors
/// What went wrong, in words; also when the move ended other than done.
pub(crate) fn make(options: &MoveOptions) -> Result<(), String> {
    let target = Remote::find(Some(&options.to), &options.config)?;
    start(&target, &request(options, &target)?, options.watch.json)
}

/// `dede plan`.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn plan(options: &PlanOptions) -> Result<(), String> {
    let target = Remote::find(Some(&options.options.to), &options.options.config)?;
    let request = serde_json::to_string(&request(&options.options, &target)?).map_err(|error| error.to_string())?;
    let plan: MovePlan = target.body(Method::POST, "/moves/plan", &request)?;
    if options.options.watch.json {
        say_json(&plan);
    } else {
        std::iter::once(&plan).chain(&plan.also).for_each(report::plan);
    }
    if let Some(file) = &options.out {
        let text = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
        std::fs::write(file, text).map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    let mut all = std::iter::once(&plan).chain(&plan.also);
    if all.all(|plan| plan.obstacles.is_empty()) {
        Ok(())
    } else {
        Err("something stands in the way, see above".into())
    }
}

/// `dede apply`.
///
/// # Errors
/// As [`make`]; also when the plan does not hold any more.
pub(crate) fn apply(options: &ApplyOptions) -> Result<(), String> {
    let text = read(&options.plan)?;
    let plan: MovePlan = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", options.plan.display()))?;
    let target = Remote::find(Some(&options.to), &options.config)?;
    options.relay.go_on(&plan.request, &target, &options.config)?;
    start(&target, &together::planned(plan)?, options.json)
}

/// `dede moves`.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn list(options: &MovesOptions) -> Result<(), String> {
    let target = target(&options.on)?;
    if let Some(id) = &options.id {
        return follow(&target, &path_part(id), options.on.json);
    }
    let moves: Vec<MoveInfo> = target.body(Method::GET, "/moves", "")?;
    for info in &moves {
        if options.on.json {
            say_json(info);
        } else {
            let alias = info.request.alias.as_deref().unwrap_or("-");
            let waits = info.waits_for.as_deref().map(|what| format!("  waits for {what}")).unwrap_or_default();
            // A move whose record is damaged has no request.
            let service = Some(info.request.service.as_str()).filter(|name| !name.is_empty()).unwrap_or("-");
            let others = together::others(info).collect::<Vec<_>>().join(", ");
            let with = if others.is_empty() { String::new() } else { format!("  with {others}") };
            let line = format!("{:<5} {:<12} {service:<20} as {alias:<20}{with}{waits}", info.id, info.phase.as_str());
            say(line.trim_end());
        }
    }
    Ok(())
}

/// `dede resume`: relays again first, where that was asked for.
///
/// # Errors
/// As [`make`].
pub(crate) fn resume(options: &ResumeOptions) -> Result<(), String> {
    let on = &options.act.on;
    if options.relay.relay {
        let target = target(on)?;
        let known: MoveInfo = target.body(Method::GET, &format!("/moves/{}", path_part(&options.act.id)), "")?;
        options.relay.go_on(&known.request, &target, &on.config)?;
    }
    act("resume", &options.act)
}

/// `dede promote`, `abort`, `resume`: says so, and follows the move to its end.
///
/// # Errors
/// As [`make`]; an aborted move is what was asked for.
pub(crate) fn act(action: &str, options: &ActOptions) -> Result<(), String> {
    let target = target(&options.on)?;
    let id = path_part(&options.id);
    let _: MoveInfo = target.body(Method::POST, &format!("/moves/{id}/{action}"), "")?;
    let followed = follow(&target, &id, options.on.json);
    if action != "abort" || followed.is_ok() {
        return followed;
    }
    // An undone move is what was asked for here.
    let info: MoveInfo = target.body(Method::GET, &format!("/moves/{id}"), "")?;
    if [MovePhase::Aborted, MovePhase::RolledBack].contains(&info.phase) { Ok(()) } else { followed }
}

/// `dede rollback`: all that were switched together with the alias go back in the same step.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn roll_back(options: &RollbackOptions) -> Result<(), String> {
    let target = target(&options.on)?;
    if let Some(switched) = together::switched(&target, &options.alias)? {
        return together::roll_back(&target, &switched, options.on.json);
    }
    let info: Value = target.body(Method::POST, &format!("/aliases/{}/rollback", path_part(&options.alias)), "")?;
    if options.on.json {
        say_json(&info);
    } else {
        let service = info["service"].as_str().unwrap_or_default();
        say(&format!("{} is {service} again, generation {}", options.alias, info["generation"]));
    }
    Ok(())
}

/// `dede verify`.
///
/// # Errors
/// Why the certificate is not good.
pub(crate) fn verify(options: &VerifyOptions) -> Result<(), String> {
    let verified = dede_migration::verify(&read(&options.certificate)?).map_err(|error| error.to_string())?;
    if options.key.as_ref().is_some_and(|key| !key.eq_ignore_ascii_case(&verified.public_key)) {
        return Err(format!("it is signed by another key: {}", verified.public_key));
    }
    let certificate = &verified.certificate;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    say("the signature is good");
    say(&format!("  key       {}", verified.public_key));
    say(&format!("  move      {} from {}", text(&certificate["move"]), text(&certificate["from"])));
    say(&format!("  version   {}", text(&certificate["report"]["version"])));
    say(&format!("  asked by  {}", text(&certificate["who"])));
    for member in certificate["together"].as_array().into_iter().flatten() {
        let (id, alias, version) = (text(&member["move"]), text(&member["as"]), text(&member["version"]));
        say(&format!("  together  {id} {alias} {version}"));
    }
    Ok(())
}

fn target(options: &OnOptions) -> Result<Remote, String> {
    Remote::find(options.on.as_deref(), &options.config)
}

fn request(options: &MoveOptions, target: &Remote) -> Result<MoveRequest, String> {
    let named = options.together()?;
    let golden = options.proof.golden.as_deref().map(golden).transpose()?.unwrap_or_default();
    let service = options.services.first().cloned();
    let Some(from) = &options.from_dir else {
        let from = options.from.as_deref().unwrap_or_default();
        if !named.is_empty() {
            return together::request(options, named, source_url(from, &options.config)?);
        }
        let service = service.unwrap_or_default();
        let mut request = options.request(service, source_url(from, &options.config)?, golden);
        if options.relay {
            request.source = relay::begin(from, &request, target, &options.config)?;
        }
        return Ok(request);
    };
    let root = from.canonicalize().map_err(|error| format!("{}: {error}", from.display()))?;
    let own = root.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let service = service.or(own).ok_or("which name? `dede move NAME --from-dir …`")?;
    let source = directory::hand_over(&root, options.parameters.as_deref(), &service, target)?;
    Ok(options.request(service, source, golden))
}

/// All JSON files of a directory, by name.
fn golden(directory: &Path) -> Result<Vec<GoldenCase>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no golden case there, one *.json each", directory.display()));
    }
    let parse =
        |path: &Path| serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()));
    files.iter().map(|path| parse(path)).collect()
}

fn read(path: &Path) -> Result<String, String> {
    let text = dede_storage::files::read_text(path, GOLDEN_LIMIT).map_err(|error| error.to_string())?;
    text.ok_or_else(|| format!("{}: no such file", path.display()))
}

fn start(target: &Remote, request: &MoveRequest, json: bool) -> Result<(), String> {
    let text = serde_json::to_string(request).map_err(|error| error.to_string())?;
    failpoint("asking");
    let begun: MoveInfo = target.body(Method::POST, "/moves", &text)?;
    failpoint("begun");
    follow(target, &begun.id, json)
}

/// Follows a move to its end, and those that switch together with it; other than done is a failure of the command.
fn follow(target: &Remote, id: &str, json: bool) -> Result<(), String> {
    let mut show = Show::new(json);
    let over = together::follow(target, id, |info| show.state(info, target.name()))?;
    drop(show);
    if json {
        // The last state of the one that was followed is shown already.
        over.iter().skip(1).for_each(say_json);
    } else {
        over.iter().for_each(report::table);
    }
    let Some(failed) = over.iter().find(|over| over.phase != MovePhase::Done) else { return Ok(()) };
    let phase = failed.phase.as_str().replace('_', " ");
    Err(format!("{} ended {phase}: {}", failed.id, failed.error.as_deref().unwrap_or_default()))
}
