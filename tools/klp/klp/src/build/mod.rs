// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`args`], [`inputs`], [`scratch`] | what is asked, and what is known of the kernel at first |
//! | [`kdir`], [`prepare`], [`make`] | what modules are built against, and a build directory |
//! | [`tree`], [`overlay`], [`path`], [`lines`] | the source tree, and as the fix leaves it |
//! | [`command`] | the commands that kbuild recorded |
//! | [`affected`], [`includes`], [`configured`], [`kbuild`] | which objects the fix affects |
//! | [`compile`], [`compiler`], [`cache`] | these objects, as built, before and after the fix |
//! | [`modules`] | the files of target modules |
//! | [`proof`], [`numbered`] | whether an object is a part of the kernel, and where |
//! | [`world`], [`shared`] | what the comparison of two objects asks about the kernel |
//! | [`link`], [`finish`], [`sign`] | from the new functions to the livepatch |
//! | [`report`], [`progress`] | what is said of it |

pub mod affected;
pub mod args;
pub mod cache;
pub mod command;
pub mod compile;
pub mod compiler;
pub mod configured;
pub mod finish;
pub mod includes;
pub mod inputs;
pub mod kbuild;
pub mod kdir;
pub mod lines;
pub mod link;
pub mod make;
pub mod modules;
pub mod numbered;
pub mod overlay;
pub mod path;
pub mod prepare;
pub mod progress;
pub mod proof;
pub mod report;
pub mod scratch;
pub mod shared;
pub mod sign;
pub mod tree;

#[cfg(test)]
mod testing;
pub mod world;

use crate::authors;
use crate::knowledge::Knowledge;
use affected::Ask;
use anyhow::{anyhow, ensure, Context, Error, Result};
pub use args::Args;
use command::PartOf;
use finish::Signer;
use klp_diff::model::{Patch, ReferBy};
use klp_diff::{diff, Options, Target as DiffTarget};
use overlay::Overlay;
use progress::Progress;
use proof::{Outcome, Placement, Target};
use report::{Report, Status, Unit};
use scratch::Scratch;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tree::Tree;
use world::World;

/// Why there is no livepatch.
struct Stop {
    status: Status,
    error: Error,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop {
            status: Status::Error,
            error,
        }
    }
}

impl Stop {
    fn new(status: Status) -> impl Fn(Error) -> Stop {
        move |error| Stop { status, error }
    }
}

/// Runs the command.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut report = Report::default();
    let progress = Progress::new(args.quiet);
    let stopped = build(args, &mut report, &progress).err();
    drop(progress);
    if let Some(Stop { status, error }) = &stopped {
        report.status = *status;
        report.message = format!("{error:#}");
    }
    let mut out = args.color.stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        if args.list || matches!(report.status, Status::Refused) {
            report.write(&mut out)?;
        }
        match &stopped {
            Some(_) => eprintln!("error: {}", report.message),
            None if !args.quiet => writeln!(out, "{}", report.message)?,
            None => {}
        }
    }
    Ok(match stopped {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// A source file that is affected, and what is known of it.
struct File {
    unit: affected::Unit,
    part_of: PartOf,
    compiled: compile::Compiled,
    placement: Placement,
    proven: Option<usize>,
}

impl File {
    fn path(&self) -> &Path {
        self.unit.record.command.source()
    }
}

fn build(args: &Args, report: &mut Report, progress: &Progress) -> Result<(), Stop> {
    let name = args.name()?;
    args.check_files(&name)?;
    let kdir = args.kdir()?;
    report.release = Some(kdir.release.clone());
    inputs::suits(&kdir)?;
    let livepatch = authors::find(args.livepatch.as_deref())?;
    let source = kdir.source(args.source.as_deref())?;
    let cache = args.cache()?;
    let jobs = args.jobs();
    let scratch = Scratch::new(args.keep.as_deref(), &cache)?;

    // What is wrong with the fix is said before anything takes long.
    let at_source = |build: &Path| Tree {
        source: source.clone(),
        build: build.to_owned(),
        machine: kdir.machine,
    };
    progress.step("applying the fix".to_owned());
    let mut overlay = Overlay::new(
        &at_source(&kdir.path),
        &args.fixes,
        &scratch.sub("overlay")?,
    )?;

    progress.step("reading the kernel".to_owned());
    let symvers = inputs::other_symvers(args, &kdir, &livepatch);
    let mut knowledge = inputs::knowledge(args, &kdir, &symvers)?;
    let (build, lock) = match kdir.is_build() {
        true => (kdir.path.clone(), None),
        false => {
            let begin = || {
                progress.step(format!(
                    "preparing the source for {}, once (about 2 min)",
                    kdir.release
                ));
            };
            let (prepared, lock) =
                prepare::prepare(&source, &kdir, &cache.join("trees"), jobs, begin)?;
            (prepared, Some(lock))
        }
    };
    let tree = at_source(&build);

    progress.step("looking for what the fix affects".to_owned());
    // Too many may be asked for; what the kernel has not is seen by the proof.
    let ask = Ask {
        contains: &|_| true,
        jobs,
    };
    let affected = affected::units(&tree, overlay.changed(), lock.is_some().then_some(&ask))?;
    drop(lock);
    report.ignored = affected.notes;
    check_deleted(&overlay, &affected.units).map_err(Stop::new(Status::Refused))?;
    let units = affected.units.iter();
    let compilers: BTreeSet<_> = units.map(|unit| unit.record.command.compiler()).collect();
    for compiler in compilers {
        compiler::check(&tree.build, compiler)?;
    }

    progress.step(match affected.units.len() {
        1 => "compiling 1 file".to_owned(),
        count => format!("compiling {count} files"),
    });
    let headers = compile::Headers {
        directory: livepatch.join("include"),
        come_first: !kdir.config.is_set("LIVEPATCH"),
    };
    let options = compile::Options {
        cache: &cache.join("objects"),
        scratch: &scratch.sub("objects")?,
        jobs,
        headers: uses_headers(&overlay).then_some(&headers),
    };
    let compiled =
        compile::compile(&tree, &mut overlay, &affected.units, &options).map_err(|error| {
            match error.is::<compile::DoesNotCompile>() {
                true => Stop::new(Status::DoesNotCompile)(error),
                false => error.into(),
            }
        })?;

    progress.step("comparing with the kernel".to_owned());
    let mut files = Vec::new();
    for (unit, compiled) in affected.units.into_iter().zip(compiled) {
        // Its object is the same before and after.
        let Some(compiled) = compiled else {
            continue;
        };
        let part_of = unit.record.command.part_of()?;
        inputs::add_target(args, &kdir, &mut knowledge, &part_of)?;
        let path = unit.record.command.source().to_owned();
        match prove(args, &knowledge, &part_of, &path, &compiled.as_built)? {
            Some((placement, proven)) => {
                numbered::check(&compiled.as_built, &compiled.before)
                    .with_context(|| path.display().to_string())?;
                files.push(File {
                    unit,
                    part_of,
                    compiled,
                    placement,
                    proven,
                });
            }
            None => report.ignored.push(format!(
                "{} is left out: the kernel has nothing of it",
                path.display()
            )),
        }
    }
    if args.no_proof {
        progress.note(
            "warning: the source was not compared with the kernel: if it is not the kernel's, the \
             livepatch crashes it",
        );
    }

    progress.step("comparing before and after".to_owned());
    let objects = files
        .iter()
        .map(|file| (&file.compiled.before[..], &file.compiled.after[..]));
    let shared = shared::shared(objects).map_err(Stop::new(Status::Refused))?;
    let mut units = Vec::new();
    for file in &files {
        let object = file.part_of.name();
        let world = World::new(&knowledge, object, &file.placement, &shared);
        let target = DiffTarget {
            object: object.to_owned(),
            unit: file.path().display().to_string(),
        };
        let found = diff(&file.compiled.before, &file.compiled.after, &target, &world)
            .with_context(|| format!("cannot compare {}", file.path().display()))?;
        if let Some(object) = found.object {
            units.push((found.patch.clone(), object));
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
    check_found(report)?;
    if args.list {
        report.status = Status::Possible;
        report.message = summary("would patch", &units);
        return Ok(());
    }
    // A list has it all.
    say_what_is_missing(report, progress);

    progress.step("linking the livepatch".to_owned());
    let module = link::Module {
        name: &name,
        units: &units,
        options: Options {
            description: format!("Livepatch: {}", titles(&args.fixes)),
            replace: args.replace,
            namespaces: namespaces(&knowledge, &units),
        },
    };
    let linked = module.link(&scratch.sub("module")?, &kdir, &livepatch, &symvers)?;
    let output = args.output(&name);
    let signer = match args.sign.as_deref() {
        Some([key, certificate]) => Some(Signer { key, certificate }),
        _ => None,
    };
    finish::finish(
        &linked,
        &output,
        &knowledge,
        &kdir,
        signer.as_ref(),
        |text| progress.note(text),
    )?;
    report.status = Status::Built;
    report.message = format!("{}: {}", output.display(), summary("patches", &units));
    report.output = Some(output);
    Ok(())
}

/// Refuses a fix that moves or removes what the kernel is made of.
fn check_deleted(overlay: &Overlay, units: &[affected::Unit]) -> Result<()> {
    let deleted = overlay.changed().iter().filter(|file| file.is_deleted);
    for file in deleted {
        let is_unit = |unit: &affected::Unit| unit.record.command.source() == file.path;
        ensure!(
            !units.iter().any(is_unit),
            "the fix moves or removes {}, which the kernel is made of: leave it where it is",
            file.path.display()
        );
    }
    Ok(())
}

/// Says what of the fix is not in the livepatch: nobody is to take it for the whole fix.
fn say_what_is_missing(report: &Report, progress: &Progress) {
    for what in &report.ignored {
        progress.note(&format!("note: {what}"));
    }
    for left in report.units.iter().flat_map(|unit| &unit.patch.left_out) {
        progress.note(&format!("note: {}: {}", left.what, left.effect));
    }
}

/// Whether the fix includes headers for livepatches, such as those for callbacks.
fn uses_headers(overlay: &Overlay) -> bool {
    overlay.changed().iter().any(|file| {
        let text = fs::read(overlay.root().join(&file.path)).unwrap_or_default();
        memchr::memmem::find(&text, b"<linux/livepatch").is_some()
    })
}

/// Where a file is in the kernel or in its module, and how many of its functions are the same there;
/// `None` if nothing of it is there.
fn prove(
    args: &Args,
    knowledge: &Knowledge,
    part_of: &PartOf,
    path: &Path,
    as_built: &[u8],
) -> Result<Option<(Placement, Option<usize>)>, Stop> {
    let shown = path.display();
    let object = part_of.name();
    let known = knowledge
        .get(object.as_bytes())
        .with_context(|| format!("nothing is known of {object}"))?;
    let target = match known.module() {
        Some(file) => Target::of_module(file)?,
        None => Target::of_kernel(&known.symbols, known.memory()),
    };
    let outcome =
        proof::prove(as_built, &target).with_context(|| format!("cannot read {shown}"))?;
    let not_proven = |why: String| {
        let error = anyhow!("{shown} is not what {object} was made of: {why}");
        Stop::new(Status::NotProven)(error)
    };
    Ok(match outcome {
        Outcome::Proven {
            functions,
            placement,
            ..
        } => Some((placement, Some(functions))),
        Outcome::NotThere => None,
        Outcome::Unproven { placement } | Outcome::Different { placement, .. } if args.no_proof => {
            Some((placement, None))
        }
        Outcome::Unproven { .. } => {
            return Err(not_proven(
                "that cannot be seen from a list of symbols; give its vmlinux or boot image with \
                 --kernel, or --no-proof"
                    .to_owned(),
            ))
        }
        Outcome::Different { mismatch, .. } => return Err(not_proven(mismatch.to_string())),
    })
}

/// The namespaces of the exported symbols that the livepatch uses.
fn namespaces(knowledge: &Knowledge, units: &[(Patch, Vec<u8>)]) -> BTreeSet<String> {
    let references = units.iter().flat_map(|(patch, _)| &patch.references);
    let exported = references.filter(|reference| reference.by == ReferBy::Export);
    let symvers = knowledge.symvers.as_ref();
    let found = exported
        .filter_map(|reference| symvers?.namespace(reference.name.as_bytes()))
        .map(|namespace| String::from_utf8_lossy(namespace).into_owned());
    found.collect()
}

/// Ends where something is refused, or nothing is to be done.
fn check_found(report: &Report) -> Result<(), Stop> {
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

/// What the livepatch patches, in a line. Units that have only what others use are left out.
fn summary(verb: &str, units: &[(Patch, Vec<u8>)]) -> String {
    let mut objects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (patch, _) in units {
        let names = patch.changed().map(|function| function.name.as_str());
        objects.entry(&patch.object).or_default().extend(names);
    }
    for (patch, _) in units
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

/// The names of the diffs, without directories.
fn titles(fixes: &[PathBuf]) -> String {
    let names = fixes.iter().filter_map(|fix| fix.file_stem());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    names.join(", ")
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
