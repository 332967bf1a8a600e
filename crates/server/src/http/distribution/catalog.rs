//! Lists of names: tags of a repository, repositories.

use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::Response;
use dede_bundle::oci::{RepositoryName, Tag, listing_order};
use serde_json::json;

use super::refusal::{Answer, Code, Refusal};
use super::{Call, blocking, service, set};
use crate::http::reply;

/// GET tags/list.
pub(super) async fn tags(call: &Call, name: RepositoryName) -> Answer {
    let page = Page::of(call)?;
    let path = format!("/v2/{name}/tags/list");
    let (tags, more) = match call.service(&name).await? {
        Some(found) => page.cut(service::tags(&found, &name)?.into_iter().map(String::from)),
        None => {
            let (store, repository, page) = (call.store()?, name.clone(), page.clone());
            let found = blocking(move || Ok(store.tags(&repository, page.limit, page.last.as_deref())?)).await?;
            (found.tags.into_iter().map(Tag::into).collect(), found.more)
        }
    };
    Ok(answer(&page, &path, "tags", tags, more, Some(&name)))
}

/// GET _catalog: services, aliases of services, and what was pushed.
pub(super) async fn repositories(call: &Call) -> Answer {
    if !matches!(call.parts.method.as_str(), "GET" | "HEAD") {
        return Err(Refusal::method("GET, HEAD"));
    }
    let page = Page::of(call)?;
    let snapshot = call.server.catalogue().await?.snapshot();
    let services = snapshot.named_services().filter(|(_, service)| service::is_shown(service)).map(|(name, _)| name);
    let local = snapshot.aliases().filter(|alias| alias.target().service().is_some());
    let of_services = services.chain(local.map(|alias| &alias.name)).map(|name| name.as_str().to_owned());
    let mut names: Vec<String> = of_services.filter(|name| name.parse::<RepositoryName>().is_ok()).collect();
    names.extend(call.store()?.repositories().into_iter().map(String::from));
    names.sort_unstable_by(|one, other| listing_order(one, other));
    names.dedup();
    let (names, more) = page.cut(names.into_iter());
    Ok(answer(&page, "/v2/_catalog", "repositories", names, more, None))
}

/// The part of a list that is asked for.
#[derive(Debug, Clone)]
struct Page {
    limit: Option<usize>,
    last: Option<String>,
}

impl Page {
    fn of(call: &Call) -> Answer<Self> {
        let refused = |_| Refusal::new(400, Code::Unsupported, "n: a number of names expected");
        let limit = call.query.get("n").map(str::parse).transpose().map_err(refused)?;
        Ok(Self { limit, last: call.query.get("last").map(str::to_owned) })
    }

    /// That part of names in [`listing_order`], and whether more follow.
    fn cut(&self, names: impl Iterator<Item = String>) -> (Vec<String>, bool) {
        let is_before = |name: &String| self.last.as_ref().is_some_and(|last| listing_order(name, last).is_le());
        let mut following = names.skip_while(is_before);
        let page = following.by_ref().take(self.limit.unwrap_or(usize::MAX)).collect();
        (page, self.limit != Some(0) && following.next().is_some())
    }
}

fn answer(
    page: &Page,
    path: &str,
    member: &str,
    names: Vec<String>,
    more: bool,
    repository: Option<&RepositoryName>,
) -> Response {
    let next = names.last().filter(|_| more).zip(page.limit);
    let link = next.map(|(last, limit)| format!("<{path}?n={limit}&last={last}>; rel=\"next\""));
    let mut body = json!({ member: names });
    if let Some(name) = repository {
        body["name"] = name.as_str().into();
    }
    let mut response = reply::with_bytes(StatusCode::OK, body.to_string());
    if let Some(link) = link {
        set(&mut response, LINK, &link);
    }
    response
}
