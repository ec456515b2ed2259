// SPDX-License-Identifier: GPL-2.0

//! What differs in each source file with the fix, and what is said of it.

use super::compile::Compiled;
use super::files::File;
use super::progress::Progress;
use super::report::{Report, Status, Unit};
use super::shared::Shared;
use super::stop::Stop;
use super::world::World;
use crate::knowledge::Knowledge;
use anyhow::{anyhow, Context, Result};
use klp_diff::model::{Patch, ReferBy};
use klp_diff::{diff_moved, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A part of the livepatch: what is patched, and the object with the new functions.
pub type Part = (Patch, Vec<u8>);

/// Compares the objects of each file before and after the fix. What is found is in the report, also
/// where nothing is to be done.
///
/// # Errors
///
/// Two objects cannot be compared; something is refused; nothing is to be done.
pub fn compare(
    files: &[File],
    knowledge: &Knowledge,
    report: &mut Report,
    progress: &Progress,
) -> Result<Vec<Part>, Stop> {
    let shared = Shared::of(files.iter().map(File::symbols), knowledge)
        .map_err(Stop::new(Status::Refused))?;
    let mut parts = Vec::new();
    for file in files {
        let object = file.part_of.name();
        let shared = shared.in_object(object);
        let world = World::new(knowledge, object, &file.placement, &file.numbered, shared);
        let target = Target {
            object: object.to_owned(),
            unit: file.path().display().to_string(),
        };
        let Compiled {
            before,
            after,
            moved,
            ..
        } = &file.compiled;
        let found = diff_moved(before, after, moved, &target, &world)
            .with_context(|| format!("cannot compare {}", file.path().display()))?;
        if let Some(object) = found.object {
            parts.push((found.patch.clone(), object));
        }
        report.units.push(Unit {
            path: file.path().to_owned(),
            proven: file.proven,
            patch: found.patch,
        });
    }
    let is_unknown = |unit: &Unit| !unit.patch.are_types_known && !unit.patch.is_empty();
    for unit in report.units.iter().filter(|unit| is_unknown(unit)) {
        progress.note(&format!(
            "warning: {} has no debug information: whether the layout of a structure changes, is \
             not known",
            unit.path.display()
        ));
    }
    check(report)?;
    Ok(parts)
}

/// Ends where something is refused, or nothing is to be done.
fn check(report: &Report) -> Result<(), Stop> {
    let refusals = report.units.iter().flat_map(|unit| &unit.patch.refusals);
    let first = refusals.clone().next();
    if let Some(first) = first {
        let more = match refusals.count() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let error = anyhow!("no livepatch can be made: {first}{more}");
        return Err(Stop::new(Status::Refused)(error));
    }
    let changes = |unit: &Unit| !unit.patch.is_empty();
    if !report.units.iter().any(changes) {
        let ignored = match &report.ignored[..] {
            [] => String::new(),
            all => format!("; {}", all.join("; ")),
        };
        let error = anyhow!("the fix changes no code of this kernel{ignored}");
        return Err(Stop::new(Status::Nothing)(error));
    }
    Ok(())
}

/// Says what of the fix is not in the livepatch: nobody is to take it for the whole fix.
pub fn say_what_is_missing(report: &Report, progress: &Progress) {
    for what in &report.ignored {
        progress.note(&format!("note: {what}"));
    }
    // Of a header, each file has the same.
    let left_out = report.units.iter().flat_map(|unit| &unit.patch.left_out);
    for left in left_out.collect::<BTreeSet<_>>() {
        progress.note(&format!("note: {}: {}", left.what, left.effect));
    }
}

/// The namespaces of the exported symbols that the livepatch uses.
pub fn namespaces(knowledge: &Knowledge, parts: &[Part]) -> BTreeSet<String> {
    let references = parts.iter().flat_map(|(patch, _)| &patch.references);
    let exported = references.filter(|reference| reference.by == ReferBy::Export);
    let symvers = knowledge.symvers.as_ref();
    let found = exported
        .filter_map(|reference| symvers?.namespace(reference.name.as_bytes()))
        .map(|namespace| String::from_utf8_lossy(namespace).into_owned());
    found.collect()
}

/// What the livepatch patches, in a line. Units that have only what others use are left out.
pub fn summary(verb: &str, parts: &[Part]) -> String {
    let mut objects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (patch, _) in parts {
        let names = patch.changed().map(|function| function.name.as_str());
        objects.entry(&patch.object).or_default().extend(names);
    }
    for (patch, _) in parts
        .iter()
        .filter(|(patch, _)| !patch.callbacks.is_empty())
    {
        if let Some(names) = objects.get_mut(&*patch.object) {
            if names.is_empty() {
                names.push("callbacks");
            }
        }
    }
    let objects: Vec<_> = objects
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(object, names)| format!("{} of {object}", names.join(", ")))
        .collect();
    format!("{verb} {}", objects.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A unit of an object, with functions that are patched and with callbacks.
    fn unit(object: &str, changed: &[&str], callbacks: &[&str]) -> (Patch, Vec<u8>) {
        let functions = changed.iter().map(|name| {
            json!({
                "name": name, "decision": "changed", "old_name": name, "position": 0, "symbol": name,
                "because": { "difference": "bytes", "of": name, "offset": 0 },
            })
        });
        let callbacks = callbacks
            .iter()
            .map(|name| json!({ "kind": "pre-patch", "function": name, "symbol": name }));
        let patch = json!({
            "object": object, "source": null, "data": [], "entries": [], "references": [],
            "left_out": [], "refusals": [], "functions": functions.collect::<Vec<_>>(),
            "callbacks": callbacks.collect::<Vec<_>>(),
        });
        (serde_json::from_value(patch).expect("a patch"), Vec::new())
    }

    #[test]
    fn an_object_that_only_lends_functions_is_not_in_the_summary() {
        let units = [unit("vmlinux", &[], &[]), unit("xfs", &["one", "two"], &[])];
        assert_eq!(summary("patches", &units), "patches one, two of xfs");
    }

    #[test]
    fn callbacks_alone_are_in_the_summary() {
        let units = [
            unit("vmlinux", &[], &["called"]),
            unit("xfs", &["one"], &["called"]),
        ];
        assert_eq!(
            summary("patches", &units),
            "patches callbacks of vmlinux; one of xfs"
        );
    }
}
