// SPDX-License-Identifier: GPL-2.0

//! `klp list`: the livepatches that are loaded, or installed.

use super::report::{PatchReport, Report, NOT_LOADED};
use crate::cli::{Context, Outcome};
use crate::console::elapsed;
use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::{presets, Table};
use std::time::Duration;

/// List the livepatches that are loaded, or installed for this kernel
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    pub json: bool,
}

/// Lists the livepatches of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let report = Report::new(context, None, false)?;
    if args.json {
        context.console.json(&report)?;
        return Ok(Outcome::Done);
    }
    let text = if report.patches.is_empty() {
        format!(
            "no livepatch is loaded or installed (core: {})",
            report.core_text
        )
    } else {
        table(&report.patches)
    };
    context.console.result(&text)?;
    Ok(Outcome::Done)
}

fn table(patches: &[PatchReport]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "PATCH",
        "STATE",
        "ORDER",
        "REPLACE",
        "OBJECTS",
        "FUNCTIONS",
    ]);
    for patch in patches {
        let objects: Vec<&str> = patch
            .objects
            .iter()
            .map(|object| object.name.as_str())
            .collect();
        table.add_row([
            patch.name.clone(),
            state(patch),
            or_dash(patch.stack_order),
            or_dash(patch.replace.map(yes_or_no)),
            or_dash((!objects.is_empty()).then(|| objects.join(","))),
            or_dash((!objects.is_empty()).then_some(patch.functions)),
        ]);
    }
    table.trim_fmt()
}

/// With how long it has lasted, or is going to.
pub(super) fn state(patch: &PatchReport) -> String {
    if patch.state == NOT_LOADED {
        return "installed, not loaded".to_owned();
    }
    if patch.is_kept_until_boot == Some(true) {
        return format!("{}, kept until boot", patch.state);
    }
    match patch
        .transition
        .as_ref()
        .and_then(|transition| transition.seconds)
    {
        Some(seconds) => {
            let time = elapsed(Duration::from_secs(seconds));
            format!("{} for {time}", patch.state)
        }
        None => patch.state.to_owned(),
    }
}

pub(super) fn yes_or_no(value: bool) -> &'static str {
    if value {
        "yes"
    } else {
        "no"
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
