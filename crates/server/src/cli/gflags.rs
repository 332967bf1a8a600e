//! DeepDetect's spelling of the command line: `-port 8080`, `-port=8080`, `--allow_origin=x`, `--noflag`, and no subcommand.
//!
//! Arguments are rewritten before they are parsed, so that only one definition of the flags exists (contract.md part 2).

use std::ffi::OsString;

/// Flags that take a value and mean the same here.
const VALUES: &[&str] = &["host", "port", "allow_origin", "service_start_list"];
/// Flags without a value that mean the same here.
const SWITCHES: &[&str] = &["service_start_list_no_exit_on_failure"];
/// Flags with a value that mean nothing here: the number of threads of a server this one is not, a path prefix of pages it
/// does not have.
const IGNORED: &[&str] = &["nthreads", "swagger_api_prefix"];

/// Turns DeepDetect's spelling into this program's; anything else stays as it is.
pub(super) fn rewrite(arguments: Vec<OsString>) -> Vec<OsString> {
    let texts: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let Some([program, rest @ ..]) = texts.as_deref() else { return arguments };
    let rewritten = match rest {
        ["serve", flags @ ..] => flags,
        [first, ..] if first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(first) => rest,
        _ => return arguments,
    };
    let flags = serve_flags(rewritten);
    [*program, "serve"].into_iter().map(OsString::from).chain(flags.into_iter().map(OsString::from)).collect()
}

fn serve_flags(arguments: &[&str]) -> Vec<String> {
    let mut flags = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some((name, value)) = flag(argument) else {
            flags.push((*argument).to_owned());
            continue;
        };
        let mut value_or_next = || value.map(str::to_owned).or_else(|| rest.next().map(|next| (*next).to_owned()));
        if VALUES.contains(&name.as_str()) {
            flags.push(format!("--{}", name.replace('_', "-")));
            flags.extend(value_or_next());
        } else if SWITCHES.contains(&name.as_str()) {
            let is_on = !matches!(value, Some("false" | "0" | "no"));
            flags.push(format!("--{}={is_on}", name.replace('_', "-")));
        } else if IGNORED.contains(&name.as_str()) {
            let _ = value_or_next();
        } else if name == "jsonapi" {
            // 0, 3 and 4 are HTTP servers; 1 reads calls from the command line, which is refused by its name.
            let mode = value_or_next();
            if !matches!(mode.as_deref(), Some("0" | "3" | "4")) {
                flags.push(format!("--jsonapi={}", mode.unwrap_or_default()));
            }
        } else if let Some(switch) = name.strip_prefix("no").filter(|switch| SWITCHES.contains(switch)) {
            flags.push(format!("--{}=false", switch.replace('_', "-")));
        } else {
            flags.push((*argument).to_owned());
        }
    }
    flags
}

/// Name and value of `-name`, `--name`, `-name=value`, `--name=value`.
fn flag(argument: &str) -> Option<(String, Option<&str>)> {
    let dashless = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    let (name, value) = dashless.split_once('=').map_or((dashless, None), |(name, value)| (name, Some(value)));
    Some((name.replace('-', "_"), value))
}
