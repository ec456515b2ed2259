// SPDX-License-Identifier: GPL-2.0

//! `klp status`: all that is known of livepatches.

use super::list::{state, yes_or_no};
use super::report::{BlockersReport, PatchReport, Report, NOT_LOADED};
use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use anyhow::Result;
use clap::Args as ClapArgs;

/// What it means that a patch was enabled by force.
const FORCED: &str =
    "it was enabled by force: tasks that were in the way may still run what it replaces";

/// Show the state of one livepatch, or of all of them
///
/// klp shows the core that loads livepatches, and of each livepatch the description, version and
/// author, its objects and functions, and whether each function is in effect or overridden by another
/// livepatch. During a transition, it shows which tasks are in the way.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The livepatch, or its file; without it, all livepatches
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: Option<String>,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    pub json: bool,
}

/// Tells about livepatches of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let name = args.patch.as_deref().map(name_of_argument);
    let report = Report::new(context, name.as_deref(), true)?;
    if let (Some(name), []) = (&name, &report.patches[..]) {
        find(&context.system, name)?;
    }
    match args.json {
        true => context.console.json(&report)?,
        false => context.console.result(&text(&report))?,
    }
    Ok(Outcome::Done)
}

fn text(report: &Report) -> String {
    let mut lines = vec![format!("core: {}", report.core_text)];
    if report.patches.iter().all(|patch| patch.state == NOT_LOADED) {
        lines.push("no livepatch is loaded".to_owned());
    }
    for patch in &report.patches {
        lines.push(String::new());
        describe(&mut lines, patch);
    }
    lines.join("\n")
}

fn describe(lines: &mut Vec<String>, patch: &PatchReport) {
    let mut first = format!("{}: {}", patch.name, state(patch));
    if let Some(order) = patch.stack_order {
        first.push_str(&format!(", order {order}"));
    }
    if let Some(replace) = patch.replace {
        first.push_str(&format!(", replace {}", yes_or_no(replace)));
    }
    if patch.installed == Some(true) && patch.state != NOT_LOADED {
        first.push_str(match patch.is_installed_build {
            Some(false) => ", another build is installed",
            _ => ", installed",
        });
    }
    lines.push(first);
    if patch.is_installed_build == Some(false) && patch.state != NOT_LOADED {
        let name = &patch.name;
        let now = match patch.is_kept_until_boot {
            Some(true) => String::new(),
            _ => format!("; 'klp load --replace-loaded {name}' loads it now"),
        };
        lines.push(format!("  the next boot loads the installed build{now}"));
    }
    lines.extend(patch.removal.iter().map(|line| format!("  {line}")));
    if patch.was_forced == Some(true) {
        lines.push(format!("  {FORCED}"));
    }
    describe_module(lines, patch);
    for object in &patch.objects {
        let patched = match object.patched {
            Some(true) => ": patched",
            Some(false) => ": not patched",
            None => "",
        };
        lines.push(format!("  {}{patched}", object.name));
        for function in &object.functions {
            let position = function.position.map(|position| format!(",{position}"));
            let position = position.unwrap_or_default();
            lines.push(format!(
                "    {}{position}: {}",
                function.name, function.text
            ));
        }
    }
    if let Some(blockers) = patch.transition.as_ref().and_then(|t| t.blockers.as_ref()) {
        describe_blockers(lines, blockers);
    }
}

/// What the module says of itself.
fn describe_module(lines: &mut Vec<String>, patch: &PatchReport) {
    let line = |what, value: &String| format!("  {what}: {}", on_one_line(value));
    let description = patch.description.iter().map(|one| line("description", one));
    let version = patch.version.iter().map(|one| line("version", one));
    let srcversion = patch.srcversion.iter().map(|one| line("srcversion", one));
    let authors = patch.authors.iter().map(|one| line("author", one));
    lines.extend(description.chain(version).chain(srcversion).chain(authors));
}

/// What a module says must not look like what klp says, nor move the cursor.
fn on_one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

fn describe_blockers(lines: &mut Vec<String>, blockers: &BlockersReport) {
    lines.push(format!("  {}", blockers.text));
    for task in &blockers.tasks {
        lines.push(format!("    {} {} {}", task.pid, task.name, task.text));
    }
    if blockers.more > 0 {
        lines.push(format!("    and {} more", blockers.more));
    }
    lines.extend(blockers.advice.iter().map(|line| format!("  {line}")));
}
