// SPDX-License-Identifier: GPL-2.0

//! From a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`args`], [`inputs`] | what is asked, and what is known of the kernel at first |
//! | [`scratch`], [`lock`], [`interrupt`], [`process`] | files and programs of this run alone |
//! | [`kdir`], [`prepare`], [`fingerprint`], [`make`] | what modules are built against, and a build directory |
//! | [`external`] | modules that are not in the kernel's source |
//! | [`tree`], [`overlay`], [`path`], [`lines`] | the source tree, and as the fix leaves it |
//! | [`command`] | the commands that kbuild recorded |
//! | [`affected`], [`includes`], [`makefiles`], [`configured`], [`kbuild`] | which objects the fix affects |
//! | [`compile`], [`text`], [`compiler`], [`cache`] | these objects, as built, before and after the fix |
//! | [`beside`] | what is made of changed files and cannot be patched |
//! | [`modules`] | the files of target modules |
//! | [`files`], [`proof`] | whether an object is a part of the kernel, and where |
//! | [`patches`], [`world`], [`shared`] | what differs with the fix, and what that asks about the kernel |
//! | [`link`], [`finish`], [`sign`] | from the new functions to the livepatch |
//! | [`report`], [`progress`], [`stop`] | what is said of it |

pub mod affected;
pub mod args;
pub mod beside;
pub mod cache;
pub mod command;
pub mod compile;
pub mod compiler;
pub mod configured;
pub mod external;
pub mod files;
pub mod fingerprint;
pub mod finish;
pub mod includes;
pub mod inputs;
pub mod interrupt;
pub mod kbuild;
pub mod kdir;
pub mod lines;
pub mod link;
pub mod lock;
pub mod make;
pub mod makefiles;
pub mod modules;
pub mod overlay;
pub mod patches;
pub mod path;
pub mod prepare;
pub mod process;
pub mod progress;
pub mod proof;
pub mod report;
pub mod scratch;
pub mod shared;
pub mod sign;
pub mod stop;
pub mod text;
pub mod tree;

#[cfg(test)]
mod testing;
pub mod world;

use crate::authors;
use crate::knowledge::Knowledge;
use affected::{Affected, Ask};
use anyhow::{ensure, Context as _, Result};
pub use args::Args;
use finish::Signer;
use kdir::Kdir;
use klp_diff::Options;
use overlay::Overlay;
use patches::Part;
use progress::Progress;
use report::{Report, Status};
use scratch::Scratch;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use stop::Stop;
use tree::{Of, Tree};

/// What is known before anything is made.
struct Setting<'a> {
    args: &'a Args,
    progress: &'a Progress,
    name: String,
    kdir: Kdir,
    /// Where the headers and scripts for livepatches are.
    livepatch: PathBuf,
    source: PathBuf,
    of: Of,
    cache: PathBuf,
    scratch: Scratch,
    jobs: usize,
}

/// Makes the livepatch, and fills in what there is to say of it.
///
/// # Errors
///
/// Why there is none.
pub fn build(args: &Args, report: &mut Report, progress: &Progress) -> Result<(), Stop> {
    let setting = Setting::new(args, report, progress)?;

    // What is wrong with the fix is said before anything takes long.
    progress.step("applying the fix".to_owned());
    let mut overlay = Overlay::new(
        &setting.tree(&setting.kdir.path),
        &args.fixes,
        &setting.scratch.sub("overlay")?,
    )?;

    progress.step("reading the kernel".to_owned());
    let mut symvers = inputs::other_symvers(args, &setting.kdir, &setting.livepatch);
    let mut knowledge = inputs::knowledge(args, &setting.kdir, &symvers)?;
    let (tree, lock) = setting.recorded()?;
    if tree.source != setting.source {
        let scratch = setting.scratch.sub("overlay-of-copy")?;
        overlay = Overlay::new(&tree, &args.fixes, &scratch)?;
    }
    if let Some(own) = external::symvers(&tree) {
        knowledge.add_symvers(&own)?;
        symvers.push(own);
    }
    let affected = setting.affected(&tree, &overlay)?;
    // Others may compile what is affected by their fixes.
    let lock = lock.filter(|_| setting.of != Of::Kernel);
    report.ignored = affected.notes.clone();
    check_deleted(&overlay, &affected.units).map_err(Stop::new(Status::Refused))?;
    let (compiled, beside) = setting.compile(&tree, &mut overlay, &affected)?;
    report.ignored.extend(beside);
    drop(lock);

    progress.step("comparing with the kernel".to_owned());
    let leave_out = |what| report.ignored.push(what);
    let files = files::place(
        args,
        &setting.kdir,
        &tree,
        &mut knowledge,
        affected.units,
        compiled,
        leave_out,
    )?;
    for file in modules::unused(&args.module, &knowledge) {
        progress.note(&format!(
            "warning: --module {} is not used: no module that is called like that file is affected",
            file.display()
        ));
    }
    if args.no_proof {
        progress.note(
            "warning: the source was not compared with the kernel: if it is not the kernel's, the \
             livepatch crashes it",
        );
    }

    progress.step("comparing before and after".to_owned());
    let parts = patches::compare(&files, &knowledge, report, progress)?;
    if args.list {
        report.status = Status::Possible;
        report.message = patches::summary("would patch", &parts);
        return Ok(());
    }
    // A list has it all.
    patches::say_what_is_missing(report, progress);

    let output = setting.link(&parts, &knowledge, &symvers)?;
    report.status = Status::Built;
    let summary = patches::summary("patches", &parts);
    report.message = format!("{}: {summary}", output.display());
    report.output = Some(output);
    Ok(())
}

impl<'a> Setting<'a> {
    fn new(args: &'a Args, report: &mut Report, progress: &'a Progress) -> Result<Self> {
        let name = args.name()?;
        args.check_files(&name)?;
        let kdir = args.kdir()?;
        report.release = Some(kdir.release.clone());
        inputs::suits(&kdir)?;
        let livepatch = authors::find(args.livepatch.as_deref())?;
        let (source, of) = source(args, &kdir)?;
        // What is made there would count as source.
        let is_read_whole = of != Of::Kernel || !kdir.is_build();
        if is_read_whole {
            args.check_outside(&source)?;
        }
        let cache = args.cache()?;
        Ok(Setting {
            args,
            progress,
            name,
            kdir,
            livepatch,
            source,
            of,
            scratch: Scratch::new(args.keep.as_deref(), &cache)?,
            cache,
            jobs: args.jobs(),
        })
    }

    /// The source, with a directory in which it was built or can be.
    fn tree(&self, build: &Path) -> Tree {
        Tree {
            source: self.source.clone(),
            build: build.to_owned(),
            kernel: build.to_owned(),
            of: self.of,
            machine: self.kdir.machine,
        }
    }

    /// The source, with records of how files are compiled, or where they can be made. While the file
    /// is open where there is one, nobody else writes there.
    fn recorded(&self) -> Result<(Tree, Option<File>)> {
        let step = |what: String| self.progress.step(what);
        let wait = || step("waiting for another klp build, which uses the same source".to_owned());
        if self.of != Of::Kernel {
            let begin = || step("building a copy of the module as it is".to_owned());
            let cache = self.cache.join("modules");
            return external::tree(&self.source, &self.kdir, &cache, self.jobs, wait, begin);
        }
        if self.kdir.is_build() {
            return Ok((self.tree(&self.kdir.path), None));
        }
        let begin = |is_anew| {
            step(format!(
                "preparing the source for {}{} (about 2 min)",
                self.kdir.release,
                match is_anew {
                    true => " again, as it has changed",
                    false => ", once",
                }
            ));
        };
        let cache = self.cache.join("trees");
        let (prepared, lock) =
            prepare::prepare(&self.source, &self.kdir, &cache, self.jobs, wait, begin)?;
        Ok((self.tree(&prepared), Some(lock)))
    }

    /// What the fix affects.
    fn affected(&self, tree: &Tree, overlay: &Overlay) -> Result<Affected> {
        self.progress
            .step("looking for what the fix affects".to_owned());
        let ask = Ask {
            jobs: self.jobs,
            most: self.args.max_files,
            progress: self.progress,
        };
        let is_prepared = self.of == Of::Kernel && !self.kdir.is_build();
        affected::units(tree, overlay.changed(), is_prepared.then_some(&ask))
    }

    /// The objects of the units, in their order, and what is to be said of what else is made of what
    /// the fix changes.
    fn compile(
        &self,
        tree: &Tree,
        overlay: &mut Overlay,
        affected: &Affected,
    ) -> Result<(Vec<Option<compile::Compiled>>, Vec<String>), Stop> {
        let records = affected.units.iter().map(|unit| &unit.record);
        let compilers: BTreeSet<_> = records.map(|record| record.command.compiler()).collect();
        for compiler in compilers {
            compiler::check(&self.kdir.path, compiler)?;
        }
        let headers = compile::Headers {
            directory: self.livepatch.join("include"),
            come_first: !self.kdir.config.is_set("LIVEPATCH"),
        };
        let options = compile::Options {
            cache: &self.cache.join("objects"),
            scratch: &self.scratch.sub("objects")?,
            jobs: self.jobs,
            headers: uses_headers(overlay).then_some(&headers),
            progress: self.progress,
        };
        let beside = match affected.others.len() {
            0 => Vec::new(),
            count => {
                self.progress.step(format!(
                    "looking at what else is made of it ({count} files)"
                ));
                beside::check(tree, overlay, &affected.others, &options)
                    .map_err(Stop::new(Status::Refused))?
            }
        };
        self.progress.step(match affected.units.len() {
            1 => "compiling 1 file".to_owned(),
            count => format!("compiling {count} files"),
        });
        let compiled =
            compile::compile(tree, overlay, &affected.units, &options).map_err(|error| {
                match error.is::<compile::DoesNotCompile>() {
                    true => Stop::new(Status::DoesNotCompile)(error),
                    false => error.into(),
                }
            })?;
        Ok((compiled, beside))
    }

    /// Makes the livepatch of its parts.
    fn link(&self, parts: &[Part], knowledge: &Knowledge, symvers: &[PathBuf]) -> Result<PathBuf> {
        self.progress.step("linking the livepatch".to_owned());
        let module = link::Module {
            name: &self.name,
            units: parts,
            options: Options {
                description: format!("Livepatch: {}", titles(&self.args.fixes)),
                replace: self.args.replace,
                namespaces: patches::namespaces(knowledge, parts),
            },
        };
        let scratch = self.scratch.sub("module")?;
        let linked = module.link(&scratch, &self.kdir, &self.livepatch, symvers)?;
        let output = self.args.output(&self.name);
        let signer = match self.args.sign.as_deref() {
            Some([key, certificate]) => Some(Signer { key, certificate }),
            _ => None,
        };
        finish::finish(
            &linked,
            &output,
            knowledge,
            &self.kdir,
            signer.as_ref(),
            |text| self.progress.note(text),
        )?;
        Ok(output)
    }
}

/// The source that the fix is for, and what that is the source of.
fn source(args: &Args, kdir: &Kdir) -> Result<(PathBuf, Of)> {
    match &args.source {
        Some(dir) if !Kdir::is_source(dir) && external::is_module(dir) => {
            let source = fs::canonicalize(dir);
            let source = source.with_context(|| format!("cannot find {}", dir.display()))?;
            Ok((source, Of::Module { is_copy: false }))
        }
        given => Ok((kdir.source(given.as_deref())?, Of::Kernel)),
    }
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

/// Whether the fix includes headers for livepatches, such as those for callbacks.
fn uses_headers(overlay: &Overlay) -> bool {
    overlay.changed().iter().any(|file| {
        let text = fs::read(overlay.root().join(&file.path)).unwrap_or_default();
        memchr::memmem::find(&text, b"<linux/livepatch").is_some()
    })
}

/// The names of the diffs, without directories.
fn titles(fixes: &[PathBuf]) -> String {
    let names = fixes.iter().filter_map(|fix| fix.file_stem());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    names.join(", ")
}
