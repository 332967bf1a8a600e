//! `dede services` and `dede aliases`: what a server has.

use serde_json::Value;
use ureq::http::Method;

use super::moving::OnOptions;
use super::remote::Remote;
use super::report::{say, say_json, short};
use crate::peer::path_part;

/// Lists services, with their versions.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn services(options: &OnOptions) -> Result<(), String> {
    let target = Remote::find(options.on.as_deref(), &options.config)?;
    let info: Value = target.json(Method::GET, "/info", "")?;
    for service in info["head"]["services"].as_array().into_iter().flatten() {
        if options.json {
            say_json(service);
            continue;
        }
        let text = |key: &str| service[key].as_str().unwrap_or("-");
        let version = short(text("version"));
        say(&format!(
            "{:<28} {version:<10} {:<8} {:<16} {}",
            text("name"),
            text("mllib"),
            text("mltype"),
            text("repository")
        ));
    }
    Ok(())
}

/// Lists aliases, with what they point to.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn aliases(options: &OnOptions) -> Result<(), String> {
    let target = Remote::find(options.on.as_deref(), &options.config)?;
    let names: Vec<String> = target.body(Method::GET, "/aliases", "")?;
    for name in names {
        let alias: Value = target.body(Method::GET, &format!("/aliases/{}", path_part(&name)), "")?;
        if options.json {
            say_json(&alias);
            continue;
        }
        let digest = short(alias["digest"].as_str().unwrap_or("-"));
        let service = alias["service"].as_str().unwrap_or("-");
        say(&format!("{name:<28} -> {service:<28} {digest:<10} generation {}", alias["generation"]));
    }
    Ok(())
}
