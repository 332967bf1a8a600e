//! What a move would do: computed from the source's bundle and this server's state, without changing either.

mod estimate;
pub(crate) mod together;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dede_bundle::Digest;
use dede_bundle::modelpack::Bundle;
use dede_engine::catalogue::{Snapshot, check_idle};
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Result};
use dede_storage::Place;
use serde_json::json;

pub use self::estimate::TransferRate;
use self::estimate::estimate;
pub(crate) use self::estimate::{CANARY_STEP, IN_PLACE_WARMING_CALLS};
use crate::fetch::{Local, bytes_to_send};
use crate::files::destination::Destination;
use crate::package::absolute_paths;
use crate::record::{MovePlan, MoveSpec, PlannedFile, PlannedTime, Replaced};
use crate::{ModelSource, MoveContext, certificate};

/// A plan and what it was computed from.
pub(crate) struct Planned {
    pub(crate) plan: MovePlan,
    pub(crate) bundle: Bundle,
    pub(crate) peer: Arc<dyn ModelSource>,
    /// The service that answers under the alias now.
    pub(crate) former: Option<Arc<Service>>,
}

/// Computes the plan of a request.
pub(crate) fn plan(spec: &MoveSpec, peer: Arc<dyn ModelSource>, context: &MoveContext) -> Result<Planned> {
    let (manifest, config) = peer.bundle(&spec.service, spec.with_training_state)?;
    let refused =
        |error: String| Error::Peer(format!("{} sent no valid bundle of {}: {error}", peer.address(), spec.service));
    let bundle = Bundle::parse(&manifest, &config).map_err(|error| refused(error.to_string()))?;
    let snapshot = context.catalogue.snapshot();
    let former = former(spec, &snapshot)?;
    let replaces = former.as_ref().map(|(_, replaced)| replaced.clone());
    let name = name(spec, &bundle, &snapshot)?;
    let directory = directory(spec, &name, &bundle, context);
    let local = local(replaces.as_ref(), &snapshot);
    let files = planned_files(&bundle, spec, peer.as_ref(), &local, context)?;
    let send_bytes = files.iter().map(|file| file.send_bytes).sum();
    let host = peer.describe()?;
    let mut plan = MovePlan {
        digest: String::new(),
        spec: spec.clone(),
        version: bundle.version().to_string(),
        manifest: bundle.manifest_digest().to_string(),
        name: name.to_string(),
        repository: directory.display().to_string(),
        replaces,
        total_bytes: bundle.total_size(),
        send_bytes,
        files,
        disk_free_bytes: disk_free(&directory),
        memory_free_bytes: memory_free(),
        memory_needed_bytes: 0,
        pause_ms: None,
        time: PlannedTime::default(),
        differences: host.as_ref().map(|host| host.differences(&context.host)).unwrap_or_default(),
        notes: Vec::new(),
        obstacles: Vec::new(),
    };
    estimate(&mut plan, &bundle, &snapshot, context);
    remark(&mut plan, &bundle, spec, &snapshot);
    plan.obstacles.extend(obstacles(spec, &directory, &bundle, context, &snapshot));
    if host.is_none() && spec.golden.is_empty() {
        plan.notes.push(
            "the source cannot be asked, and no golden cases are given: only live requests will tell how it answers"
                .into(),
        );
    }
    plan.digest = digest(&plan).to_string();
    let former = former.map(|(service, _)| service);
    Ok(Planned { plan, bundle, peer, former })
}

/// What answers under the alias now.
fn former(spec: &MoveSpec, snapshot: &Snapshot) -> Result<Option<(Arc<Service>, Replaced)>> {
    let Some(alias) = spec.alias() else { return Ok(None) };
    Ok(snapshot.resolve(alias.as_str()).ok().map(|resolved| {
        let replaced = Replaced {
            takeover: !resolved.is_alias(),
            service: resolved.name.to_string(),
            version: resolved.service.version().to_string(),
        };
        (resolved.service, replaced)
    }))
}

/// What stops the move besides names, space and memory: places that cannot be used, services that change, keys that cannot be read.
fn obstacles(
    spec: &MoveSpec,
    directory: &Path,
    bundle: &Bundle,
    context: &MoveContext,
    snapshot: &Snapshot,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |outcome: Result<()>| found.extend(outcome.err().map(|error| error.to_string()));
    check(context.catalogue.check_repository(directory));
    check(check_place(directory, snapshot));
    check(certificate::check_key(&context.directory));
    if let Destination::Unusable(reason) = Destination::look(directory, bundle) {
        check(Err(Error::MoveConflict(reason)));
    }
    let alias = spec.alias();
    if let Some(alias) = alias.and_then(|name| snapshot.alias(name)).filter(|alias| alias.target().service().is_none())
    {
        let text = format!(
            "{} forwards to {}, which cannot be compared with: point it to a service of this server, or delete it, first",
            alias.name,
            alias.target()
        );
        check(Err(Error::AliasConflict(text)));
    }
    found
}

/// Whether neither a service nor a move uses a directory.
pub(crate) fn check_place(directory: &Path, snapshot: &Snapshot) -> Result<()> {
    let place = Place::of(directory);
    snapshot.check_directory(&place, None)?;
    snapshot.service_at(&place, None).map_or(Ok(()), |service| {
        let text = format!("{} is, or overlaps, the directory of service {}", directory.display(), service.name());
        Err(Error::MoveConflict(text))
    })
}

/// The name asked for, or the one it has on the source; with the first eight digits of its version where that is taken.
fn name(spec: &MoveSpec, bundle: &Bundle, snapshot: &Snapshot) -> Result<ServiceName> {
    let wanted = match &spec.name {
        Some(name) => name.name().clone(),
        None => ServiceName::parse(&spec.service)?,
    };
    if !snapshot.is_taken(&wanted) && spec.alias() != Some(&wanted) {
        return Ok(wanted);
    }
    Ok(wanted.with_suffix(&bundle.version().short()))
}

fn directory(spec: &MoveSpec, name: &ServiceName, bundle: &Bundle, context: &MoveContext) -> PathBuf {
    match &spec.repository {
        Some(directory) => directory.clone(),
        None => {
            context.directory.join(dede_engine::environment::BROUGHT).join(name.as_str()).join(bundle.version().hex())
        }
    }
}

/// What the service that is replaced has in common with the new one.
pub(crate) fn local(replaces: Option<&Replaced>, snapshot: &Snapshot) -> Local {
    let former = replaces.and_then(|replaced| snapshot.resolve(&replaced.service).ok());
    former.map_or_else(Local::none, |resolved| Local::of_service(&resolved.service))
}

fn planned_files(
    bundle: &Bundle,
    spec: &MoveSpec,
    peer: &dyn ModelSource,
    local: &Local,
    context: &MoveContext,
) -> Result<Vec<PlannedFile>> {
    let mut files = bundle
        .files()
        .iter()
        .map(|file| {
            let send_bytes = bytes_to_send(file, &spec.service, peer, local, &context.store)?;
            Ok(PlannedFile { name: file.name.to_string(), size: file.size, send_bytes })
        })
        .collect::<Result<Vec<_>>>()?;
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    Ok(files)
}

/// What people should know, and what stops the move.
fn remark(plan: &mut MovePlan, bundle: &Bundle, spec: &MoveSpec, snapshot: &Snapshot) {
    let mut paths = Vec::new();
    absolute_paths(&bundle.service().clone().into(), "", &mut paths);
    plan.notes.extend(paths.into_iter().map(|path| format!("absolute path in the configuration, {path}")));
    match (&plan.replaces, &spec.alias) {
        (Some(replaced), Some(alias)) if replaced.takeover => plan.notes.push(format!(
            "{alias} is a service here: it is renamed, and {alias} becomes an alias in its place, in one step"
        )),
        (None, Some(alias)) => plan.notes.push(format!("{alias} is nothing here yet: it becomes an alias")),
        _ => {}
    }
    if plan.replaces.as_ref().is_some_and(|replaced| replaced.version == plan.version) {
        plan.obstacles.push("the alias answers with this very version already".into());
    }
    if ServiceName::parse(&plan.name).is_ok_and(|name| snapshot.is_taken(&name)) {
        plan.obstacles.push(format!("there is a service {} already; choose another name with --name", plan.name));
    }
    if let Ok(former) =
        plan.replaces.as_ref().map_or(Err(()), |former| snapshot.resolve(&former.service).map_err(|_| ()))
        && former.service.jobs.is_busy()
    {
        plan.obstacles.push(format!("{} is in training; wait for its end, or stop it", former.name));
    }
    // Content is kept once in the store and once more in the directory where the file system cannot share it.
    remark_exchange(plan, spec, snapshot);
    let disk = plan.total_bytes.saturating_mul(2);
    if plan.disk_free_bytes < disk {
        plan.obstacles.push(format!("{} bytes are free on the disk, {disk} may be needed", plan.disk_free_bytes));
    }
    if plan.memory_free_bytes > 0 && plan.memory_free_bytes < plan.memory_needed_bytes {
        let (free, needed) = (plan.memory_free_bytes, plan.memory_needed_bytes);
        let advice = if spec.replace_first { "" } else { "; --replace-first needs less, and has clients wait" };
        let text =
            format!("{free} bytes of memory are free, {needed} may be needed to load it beside the others{advice}");
        plan.obstacles.push(text);
    }
}

/// What follows from the former network leaving memory first.
fn remark_exchange(plan: &mut MovePlan, spec: &MoveSpec, snapshot: &Snapshot) {
    let Some(former) = plan.replaces.as_ref().filter(|_| spec.replace_first).map(|former| former.service.clone())
    else {
        return;
    };
    let pause_ms = plan.pause_ms.unwrap_or_default();
    plan.notes.push(format!(
        "requests wait for about {pause_ms} ms while {former} leaves memory and the new network is loaded; after {} s they are answered 503",
        spec.hold_for.as_secs()
    ));
    plan.notes.push("nothing is compared on live requests; going back loads the former network again".into());
    if pause_ms > spec.hold_for.as_secs().saturating_mul(1000) {
        plan.notes.push("requests are expected to fail: --hold-for is shorter than that".into());
    }
    let Ok(found) = snapshot.resolve(&former) else { return };
    let alone = spec.alias().map_or(Ok(()), |asked| snapshot.check_alone(asked, found.service.id));
    let refused = alone.err().into_iter().chain(check_idle(&found.service).err());
    plan.obstacles.extend(refused.map(|error| format!("{former} cannot leave memory: {error}")));
}

/// Everything that carrying out the plan relies on; not how much is free at the moment.
fn digest(plan: &MovePlan) -> Digest {
    let relied_on = json!({
        "request": MoveSpec { plan: None, who: None, ..plan.spec.clone() },
        "version": plan.version, "manifest": plan.manifest, "name": plan.name, "repository": plan.repository,
        "replaces": plan.replaces, "differences": plan.differences,
    });
    Digest::of(relied_on.to_string().as_bytes())
}

/// Free for this process on the disk that will hold the directory; 0 when unknown.
fn disk_free(directory: &Path) -> u64 {
    let existing = directory.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_or(0, |statistics| statistics.f_bavail.saturating_mul(statistics.f_frsize))
}

/// Memory that can be had without swapping, bytes; 0 when unknown.
fn memory_free() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan that was made before an upgrade can be carried out after it.
    #[test]
    fn the_digest_of_a_plan_is_that_of_the_first_release() {
        let record: serde_json::Value =
            serde_json::from_str(include_str!("../record/fixtures/rolled-back.json")).unwrap();
        let plan: MovePlan = serde_json::from_value(record["plan"].clone()).unwrap();
        assert_eq!(digest(&plan).hex(), "b2a9eed82e5d9125a514d6a2240aac0a0c4e748746fe90b16f97813b8e6748f0");
    }
}
