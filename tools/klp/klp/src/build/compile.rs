// SPDX-License-Identifier: GPL-2.0

//! Compiles what a fix affects: as the kernel was built, before the fix, and after it.

use super::affected::Unit;
use super::cache::Cache;
use super::command::{rule, text, Again, Invocation, Record};
use super::compiler;
use super::kbuild::source_arch;
use super::overlay::Overlay;
use super::path::normal;
use super::process;
use super::progress::Progress;
use super::text::same_code;
use super::tree::Tree;
use anyhow::{anyhow, bail, ensure, Context, Result};
use klp_diff::Moved;
use livepatch_format::elf::Machine;
use rayon::prelude::*;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// The objects of one source file.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// By the kernel's own command, as objtool has not seen it.
    pub as_built: Vec<u8>,
    /// Of the original source, with a section for each function and variable, and with debug
    /// information.
    pub before: Vec<u8>,
    /// Of the patched source, the same way.
    pub after: Vec<u8>,
    /// Where the patched source was.
    pub moved: Moved,
}

/// Headers that are not the kernel's own.
#[derive(Debug, Clone)]
pub struct Headers {
    /// Their directory.
    pub directory: PathBuf,
    /// Whether they take the place of the kernel's own; else the kernel's count, where it has them.
    pub come_first: bool,
}

/// The fix is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the fix does not compile, in {source_file}:\n{said}")]
pub struct DoesNotCompile {
    source_file: String,
    said: String,
}

/// Where things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// A directory for objects that do not depend on the fix: another run finds them there.
    pub cache: &'a Path,
    /// A directory for this run alone.
    pub scratch: &'a Path,
    /// How many compilers may run at a time.
    pub jobs: usize,
    /// Headers for livepatches, for a fix that includes them.
    pub headers: Option<&'a Headers>,
    /// Where it says how far it is.
    pub progress: &'a Progress,
}

/// Compiles the units, in their order. There is nothing for a unit whose object is the same before
/// and after the fix: most of those are that include a changed header. The preprocessor tells many of
/// them, so that they are not compiled at all.
///
/// # Errors
///
/// If a compiler cannot be run, the source does not compile as it is, or the fix does not compile.
pub fn compile(
    tree: &Tree,
    overlay: &mut Overlay,
    units: &[Unit],
    options: &Options<'_>,
) -> Result<Vec<Option<Compiled>>> {
    let compiler = Compiler::new(tree, options)?;
    let pool = pool(options)?;
    pool.install(|| {
        let is_open = compiler.differ(overlay, units, options.progress)?;
        let open = units.iter().enumerate().zip(is_open);
        let open: Vec<_> = open
            .filter_map(|(unit, is_open)| is_open.then_some(unit))
            .collect();
        let step = Step::new(options.progress, open.len() * 2);
        // First what is most likely to fail.
        let after = compiler.patched(overlay, units, &open, &step)?;
        let before: Vec<_> = open
            .par_iter()
            .map(|(at, unit)| {
                let object = compiler.original(unit, *at, Variant::Before);
                step.done();
                object
            })
            .collect::<Result<_>>()?;
        let compiled: Vec<_> = open
            .par_iter()
            .zip(before)
            .zip(after)
            .map(|(((at, unit), before), after)| {
                if before == after {
                    return Ok(None);
                }
                let compiled = Compiled {
                    as_built: compiler.original(unit, *at, Variant::AsBuilt)?,
                    before: compiler.original(unit, *at, Variant::TypedBefore)?,
                    after: compiler.typed_after(overlay.root(), unit, *at)?,
                    moved: Moved {
                        from: text(overlay.root())?.to_owned(),
                        to: unit.record.command.name_of_tree(tree)?.to_owned(),
                    },
                };
                Ok(Some((*at, compiled)))
            })
            .collect::<Result<_>>()?;
        let mut all = vec![None; units.len()];
        for (at, compiled) in compiled.into_iter().flatten() {
            if let Some(place) = all.get_mut(at) {
                *place = Some(compiled);
            }
        }
        Ok(all)
    })
}

/// Threads for as many compilers as may run.
pub(super) fn pool(options: &Options<'_>) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(options.jobs.max(1))
        .build()
        .context("cannot start threads")
}

/// How far a step is.
struct Step<'a> {
    progress: &'a Progress,
    all: usize,
    done: AtomicUsize,
}

impl<'a> Step<'a> {
    fn new(progress: &'a Progress, all: usize) -> Self {
        Step {
            progress,
            all,
            done: AtomicUsize::new(0),
        }
    }

    fn done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.progress.count(done.min(self.all), self.all);
    }
}

/// Which object of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    AsBuilt,
    Before,
    After,
    /// With debug information.
    TypedBefore,
    /// With debug information.
    TypedAfter,
    /// What the preprocessor makes of it.
    TextBefore,
    TextAfter,
    /// As it is recorded, without debug information.
    OtherBefore,
    OtherAfter,
}

impl Variant {
    fn extension(self) -> &'static str {
        match self {
            Variant::AsBuilt => "built.o",
            Variant::Before => "before.o",
            Variant::After => "after.o",
            Variant::TypedBefore => "typed-before.o",
            Variant::TypedAfter => "typed-after.o",
            Variant::TextBefore => "before.i",
            Variant::TextAfter => "after.i",
            Variant::OtherBefore => "before.other",
            Variant::OtherAfter => "after.other",
        }
    }
}

/// Flags that klp build adds.
struct Flags {
    first: Vec<String>,
    /// Without debug information.
    plain: Vec<String>,
    /// With debug information that tells types.
    typed: Vec<String>,
    /// Only what the preprocessor makes, without the places that it comes from.
    text: Vec<String>,
    /// For what is not taken apart: debug information has the lines of the source.
    other: Vec<String>,
}

/// Modules cannot have instructions that the kernel rewrites at boot with a constant, so that they
/// read the variable: the header that makes such instructions is replaced by the generic one. The
/// replacement has a place that does not change, or nothing compiled with it would be found again.
fn flags(tree: &Tree, options: &Options<'_>) -> Result<Flags> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if let Some(Headers {
        directory,
        come_first,
    }) = options.headers
    {
        let directory = directory
            .to_str()
            .context("the path of the headers for livepatches is not text in UTF-8")?;
        match come_first {
            true => first.push(format!("-I{directory}")),
            false => last.push(format!("-idirafter{directory}")),
        }
    }
    let cache = options.cache;
    let generic = tree.source.join("include/asm-generic/runtime-const.h");
    if generic.exists() {
        let also = match tree.machine {
            Machine::X86_64 => "",
            // What the architecture's own header includes besides.
            Machine::S390 => "#include <linux/uaccess.h>\n",
        };
        let headers = cache.join("include").join(source_arch(tree.machine));
        let header = headers.join("asm/runtime-const.h");
        let text = format!(
            "/* SPDX-License-Identifier: GPL-2.0 */\n{also}#include <asm-generic/runtime-const.h>\n"
        );
        // Its time counts for what was compiled with it.
        if fs::read(&header).ok().as_deref() != Some(text.as_bytes()) {
            fs::create_dir_all(headers.join("asm"))
                .and_then(|()| fs::write(&header, text))
                .with_context(|| format!("cannot write {}", header.display()))?;
        }
        let headers = headers
            .canonicalize()
            .with_context(|| format!("cannot find {}", headers.display()))?;
        let headers = headers
            .to_str()
            .context("the cache's path is not text in UTF-8")?;
        first.push(format!("-I{headers}"));
    }
    last.extend(["-ffunction-sections", "-fdata-sections"].map(str::to_owned));
    let with = |last: &[String], more: &[&str]| {
        let more = more.iter().map(|&flag| flag.to_owned());
        last.iter().cloned().chain(more).collect()
    };
    let is_clang = compiler::configured(&tree.kernel)?.contains("clang");
    Ok(Flags {
        first,
        // Debug information has paths and lines in it, so that nothing would be the same.
        plain: with(&last, &["-g0"]),
        text: with(&last, &["-g0", "-E", "-P"]),
        other: vec!["-g0".to_owned()],
        typed: match is_clang {
            true => with(&last, &["-g0", "-gdwarf-5", "-gno-split-dwarf", "-gz=none"]),
            false => with(
                &last,
                &[
                    "-g0",
                    "-gdwarf-5",
                    "-gno-split-dwarf",
                    "-gz=none",
                    "-femit-struct-debug-detailed=any",
                    "-fno-var-tracking",
                ],
            ),
        },
    })
}

pub(super) struct Compiler<'a> {
    tree: &'a Tree,
    cache: Cache,
    flags: Flags,
    scratch: PathBuf,
}

/// What a compiler has made.
pub(super) struct Made {
    pub object: Vec<u8>,
    /// What it has read, as it named the files, from the directory that it ran in.
    pub dependencies: Vec<PathBuf>,
}

/// Why there is no object of the patched source.
pub(super) enum Failure {
    /// The compiler does not take the file of this number, and says why.
    NotCompiled(usize, String),
    Other(anyhow::Error),
}

/// What came of a file with the patched source.
pub(super) enum Attempt<T> {
    Done(T),
    /// The compiler has read these files as they are without the fix.
    Missed(Vec<PathBuf>),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Other(error)
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn new(tree: &'a Tree, options: &Options<'_>) -> Result<Self> {
        let scratch = options
            .scratch
            .canonicalize()
            .with_context(|| format!("cannot find {}", options.scratch.display()))?;
        Ok(Compiler {
            tree,
            cache: Cache::new(options.cache)?,
            flags: flags(tree, options)?,
            scratch,
        })
    }

    /// An object of the source as it is, perhaps one that was made before.
    fn original(&self, unit: &Unit, at: usize, variant: Variant) -> Result<Vec<u8>> {
        let invocation = self.invocation(&unit.record, at, variant, &self.tree.source)?;
        if let Some(object) = self.cache.find(&invocation) {
            return Ok(object);
        }
        let began = SystemTime::now();
        let made = self.run(&invocation, at, variant)?.map_err(|said| {
            let source = unit.record.command.source().display();
            let tree = self.tree.source.display();
            anyhow!("{source} of {tree} does not compile as it is, without the fix:\n{said}")
        })?;
        self.cache
            .keep(&invocation, &made.dependencies, &made.object, began)?;
        Ok(made.object)
    }

    /// Whether each unit can have another object after the fix, by what the preprocessor makes of it.
    /// Those whose own source is changed can.
    fn differ(
        &self,
        overlay: &mut Overlay,
        units: &[Unit],
        progress: &Progress,
    ) -> Result<Vec<bool>> {
        let is_included = |unit: &Unit| !unit.because.contains(unit.record.command.source());
        let asked: Vec<_> = units
            .iter()
            .enumerate()
            .filter(|(_, unit)| is_included(unit))
            .collect();
        let step = Step::new(progress, asked.len());
        let asked: Vec<_> = asked
            .into_iter()
            .map(|(at, unit)| (at, &unit.record))
            .collect();
        let same = self.rounds(overlay, &asked, |overlay, at, record| {
            let same = self.is_same_text(overlay, at, record);
            step.done();
            same
        });
        let same = same.map_err(|failure| self.failed(overlay, units, failure))?;
        let mut differ = vec![true; units.len()];
        for ((at, _), is_same) in asked.iter().zip(same) {
            if let Some(differs) = differ.get_mut(*at) {
                *differs = !is_same;
            }
        }
        Ok(differ)
    }

    /// Whether the same code comes of a file before and after the fix, by what the preprocessor makes
    /// of it.
    pub(super) fn is_same_text(
        &self,
        overlay: &Overlay,
        at: usize,
        record: &Record,
    ) -> std::result::Result<Attempt<bool>, Failure> {
        let variants = (Variant::TextBefore, Variant::TextAfter);
        self.both(overlay, at, record, variants, |before, after| {
            same_code(&before, &after)
        })
    }

    /// Compares what the compiler makes of the original and of the patched source.
    pub(super) fn both<T>(
        &self,
        overlay: &Overlay,
        at: usize,
        record: &Record,
        (before, after): (Variant, Variant),
        compare: impl Fn(Vec<u8>, Vec<u8>) -> T,
    ) -> std::result::Result<Attempt<T>, Failure> {
        let run = |variant, root: &Path| {
            let invocation = self.invocation(record, at, variant, root)?;
            let made = self.run(&invocation, at, variant)?;
            let made = made.map_err(|said| Failure::NotCompiled(at, said))?;
            Ok::<_, Failure>((made, invocation))
        };
        let (after, invocation) = run(after, overlay.root())?;
        let missed = missed(overlay, &invocation, &after);
        if !missed.is_empty() {
            return Ok(Attempt::Missed(missed));
        }
        let (before, _) = run(before, &self.tree.source)?;
        Ok(Attempt::Done(compare(before.object, after.object)))
    }

    /// The objects of the patched source, of the units that are `open`.
    fn patched(
        &self,
        overlay: &mut Overlay,
        units: &[Unit],
        open: &[(usize, &Unit)],
        step: &Step<'_>,
    ) -> Result<Vec<Vec<u8>>> {
        let open: Vec<_> = open.iter().map(|(at, unit)| (*at, &unit.record)).collect();
        let objects = self.rounds(overlay, &open, |overlay, at, record| {
            let invocation = self.invocation(record, at, Variant::After, overlay.root())?;
            let made = self.run(&invocation, at, Variant::After)?;
            step.done();
            let made = made.map_err(|said| Failure::NotCompiled(at, said))?;
            Ok(match missed(overlay, &invocation, &made) {
                missed if missed.is_empty() => Attempt::Done(made.object),
                missed => Attempt::Missed(missed),
            })
        });
        objects.map_err(|failure| self.failed(overlay, units, failure))
    }

    fn failed(&self, overlay: &Overlay, units: &[Unit], failure: Failure) -> anyhow::Error {
        match failure {
            Failure::NotCompiled(at, _) => self.not_compiled(overlay, units, at),
            Failure::Other(error) => error,
        }
    }

    /// Does something with the patched source for each of the records, which have numbers, until the
    /// compiler finds all that is patched.
    pub(super) fn rounds<T: Send>(
        &self,
        overlay: &mut Overlay,
        records: &[(usize, &Record)],
        run: impl Fn(&Overlay, usize, &Record) -> std::result::Result<Attempt<T>, Failure> + Sync,
    ) -> std::result::Result<Vec<T>, Failure> {
        let mut found: Vec<Option<T>> = records.iter().map(|_| None).collect();
        loop {
            let open: Vec<_> = found
                .iter()
                .zip(records)
                .enumerate()
                .filter_map(|(place, (found, record))| found.is_none().then_some((place, record)))
                .collect();
            let attempts = open
                .par_iter()
                .map(|(place, (at, record))| Ok((*place, run(overlay, *at, record)?)))
                .collect::<std::result::Result<Vec<_>, Failure>>()?;
            let mut unpatched = None;
            let mut has_grown = false;
            for (place, attempt) in attempts {
                match attempt {
                    Attempt::Done(value) => {
                        if let Some(found) = found.get_mut(place) {
                            *found = Some(value);
                        }
                    }
                    Attempt::Missed(dependencies) => {
                        for dependency in dependencies {
                            if let Some(file) = overlay.missed(&dependency) {
                                unpatched = Some(file.path.clone());
                                // Another one may have done so in this round already.
                                has_grown |= overlay.deepen(&dependency)?;
                            }
                        }
                    }
                }
            }
            if found.iter().all(Option::is_some) {
                return Ok(found.into_iter().flatten().collect());
            }
            if let (Some(unpatched), false) = (unpatched, has_grown) {
                return Err(Failure::Other(anyhow!(
                    "the compiler does not read {} of the patched source: the kernel's command names the source in another way than {}",
                    unpatched.display(),
                    self.tree.source.display()
                )));
            }
        }
    }

    /// An object of the patched source with debug information, for one that has compiled without.
    fn typed_after(&self, root: &Path, unit: &Unit, at: usize) -> Result<Vec<u8>> {
        let invocation = self.invocation(&unit.record, at, Variant::TypedAfter, root)?;
        let made = self.run(&invocation, at, Variant::TypedAfter)?;
        let made = made.map_err(|said| {
            let source = unit.record.command.source().display();
            anyhow!("{source} does not compile with debug information:\n{said}")
        })?;
        Ok(made.object)
    }

    /// Why the patched source does not compile, with the lines of the patched files.
    fn not_compiled(&self, overlay: &Overlay, units: &[Unit], at: usize) -> anyhow::Error {
        let said = || -> Result<(String, String)> {
            let unit = unit(units, at)?;
            // Else the fix is not to blame.
            self.original(unit, at, Variant::Before)?;
            overlay.without_lines()?;
            let invocation = self.invocation(&unit.record, at, Variant::After, overlay.root())?;
            let source = unit.record.command.source().display().to_string();
            match self.run(&invocation, at, Variant::After)? {
                Err(said) => Ok((source, said.replace(&prefix(overlay.root()), ""))),
                Ok(_) => bail!("{source} compiles only with the fix's own line numbers"),
            }
        };
        match said() {
            Ok((source_file, said)) => DoesNotCompile { source_file, said }.into(),
            Err(error) => error,
        }
    }

    fn invocation(
        &self,
        record: &Record,
        at: usize,
        variant: Variant,
        source: &Path,
    ) -> Result<Invocation> {
        let (first, last): (&[String], &[String]) = match variant {
            Variant::AsBuilt => (&[], &[]),
            Variant::Before | Variant::After => (&self.flags.first, &self.flags.plain),
            Variant::TypedBefore | Variant::TypedAfter => (&self.flags.first, &self.flags.typed),
            Variant::TextBefore | Variant::TextAfter => (&self.flags.first, &self.flags.text),
            Variant::OtherBefore | Variant::OtherAfter => (&[], &self.flags.other),
        };
        let output = self.output(at, variant);
        let again = Again {
            output: &output,
            dependencies: &output.with_extension("d"),
            source,
            first,
            last,
        };
        record.command.again(self.tree, &again)
    }

    fn output(&self, at: usize, variant: Variant) -> PathBuf {
        self.scratch.join(format!("{at}.{}", variant.extension()))
    }

    /// Runs a compiler; the inner error is what it said.
    fn run(
        &self,
        invocation: &Invocation,
        at: usize,
        variant: Variant,
    ) -> Result<std::result::Result<Made, String>> {
        let program = &invocation.program;
        let output = process::output(&mut invocation.process(), || {
            format!("cannot run {program}, the kernel's compiler: install it")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.replace(&prefix(&self.tree.source), "");
            return Ok(Err(said.trim_end().to_owned()));
        }
        let object = self.output(at, variant);
        let list = object.with_extension("d");
        let read = |path: &Path| {
            fs::read(path).with_context(|| format!("{program} has not written {}", path.display()))
        };
        let made = Made {
            dependencies: rule(&String::from_utf8_lossy(&read(&list)?))
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            object: read(&object)?,
        };
        let is_object = object.extension() == Some(OsStr::new("o"));
        ensure!(
            !is_object || made.object.starts_with(b"\x7fELF"),
            "{program} makes no ELF files: klp build needs objects with machine code"
        );
        for path in [object, list] {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Ok(made))
    }
}

/// What the compiler has read of the source, where it should have read the patched one.
fn missed(overlay: &Overlay, invocation: &Invocation, made: &Made) -> Vec<PathBuf> {
    let files = made.dependencies.iter();
    let files = files.map(|file| invocation.directory.join(file));
    files
        .filter(|file| overlay.missed(file).is_some())
        .collect()
}

fn unit(units: &[Unit], at: usize) -> Result<&Unit> {
    units.get(at).context("a source is missing")
}

/// How the paths in a directory begin.
fn prefix(directory: &Path) -> String {
    format!("{}/", normal(directory).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::affected;
    use crate::build::testing::{write, Kernel, Layout, LAYOUTS};
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt as _;

    fn compile_fix(
        kernel: &Kernel,
        changes: &[(&str, &str, &str)],
    ) -> Result<Vec<Option<Compiled>>> {
        let fix = kernel.fix("fix.patch", changes);
        let scratch = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let work = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let mut overlay = Overlay::new(&kernel.tree, &[fix], scratch.path()).expect("it applies");
        let affected =
            affected::units(&kernel.tree, overlay.changed(), None).expect("they are found");
        let options = Options {
            cache: &kernel.scratch("cache"),
            scratch: work.path(),
            jobs: 2,
            headers: None,
            progress: &Progress::new(true),
        };
        compile(&kernel.tree, &mut overlay, &affected.units, &options)
    }

    fn only(compiled: Result<Vec<Option<Compiled>>>) -> Compiled {
        let mut compiled = compiled.expect("it compiles");
        assert_eq!(compiled.len(), 1);
        compiled.remove(0).expect("it differs")
    }

    /// The sections of an object, by their names.
    fn sections(object: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let file = object::File::parse(object).expect("an object");
        file.sections()
            .map(|section| {
                let name = section.name().expect("a name").to_owned();
                (name, section.data().expect("data").to_owned())
            })
            .collect()
    }

    fn has(object: &[u8], text: &str) -> bool {
        memchr::memmem::find(object, text.as_bytes()).is_some()
    }

    #[test]
    fn only_what_the_fix_changes_differs() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            let change = (
                "fs/one.c",
                "return __FILE__;",
                "/* A line,\n\t * (or more. */\n\treturn __FILE__ + 1;",
            );
            let compiled = only(compile_fix(&kernel, &[change]));
            let before = sections(&compiled.before);
            let after = sections(&compiled.after);
            assert!(before.contains_key(".text.first") && before.contains_key(".text.second"));
            for (name, data) in &before {
                // Debug information has the lines of what is behind.
                let is_changed = name.contains(".debug_")
                    || [".text.where", ".rela.text.where", ".strtab", ".shstrtab"]
                        .contains(&&**name);
                assert!(
                    is_changed || after.get(name) == Some(data),
                    "{layout:?} {name}"
                );
            }
            assert_ne!(before, after);
            // The kernel's own command has no sections of their own.
            assert!(!sections(&compiled.as_built).contains_key(".text.first"));
            assert_eq!(
                compiled.as_built,
                fs::read(kernel.tree.build.join("fs/one.o")).expect("it was built"),
                "{layout:?}"
            );
            for object in [&compiled.before, &compiled.after, &compiled.as_built] {
                assert!(has(object, "fs/one.c\0"), "{layout:?}");
            }
            assert!(!has(&compiled.as_built, "/scratch/"), "{layout:?}");
        }
    }

    #[test]
    fn what_a_compiler_says_of_a_header_is_told() {
        for layout in LAYOUTS {
            let kernel = Kernel::new(layout);
            write(
                &kernel.tree.source.join("include/linux/thing.h"),
                "static inline int thing(int x) { return 1 << x; }\n",
            );
            kernel.make(&["MORE=-fsanitize=shift"], &["fs/one.o"]);
            let change = ("fs/one.c", "return thing(x)", "return 2 * thing(x)");
            let compiled = only(compile_fix(&kernel, &[change]));
            // Where all paths are relative, they are the same.
            let is_told = layout == Layout::Apart;
            for (object, directory) in [
                (&compiled.before, &compiled.moved.to),
                (&compiled.after, &compiled.moved.from),
            ] {
                let path = format!("\0{directory}/include/linux/thing.h\0");
                assert_eq!(has(object, &path), is_told, "{layout:?} {path}");
            }
            assert_eq!(compiled.moved.to, kernel.tree.source.display().to_string());
        }
    }

    #[test]
    fn an_object_that_stays_the_same_is_left_out() {
        let kernel = Kernel::built(Layout::Apart);
        let change = (
            "include/linux/thing.h",
            "return x + 1;",
            "/* The next one. */\n\treturn x + 1;",
        );
        let compiled = compile_fix(&kernel, &[change]).expect("it compiles");
        assert!(matches!(compiled.as_slice(), [None]));
    }

    #[test]
    fn a_header_that_is_found_by_way_of_a_parent_is_the_patched_one() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            let compiled = only(compile_fix(&kernel, &[("fs/near.h", "7", "1234567")]));
            let after = sections(&compiled.after);
            let code = after.get(".text.three").expect("it is there");
            assert!(
                code.windows(4)
                    .any(|bytes| bytes == 1_234_567_i32.to_le_bytes()),
                "{layout:?}"
            );
        }
    }

    #[test]
    fn a_new_header_is_found() {
        let kernel = Kernel::built(Layout::Apart);
        let changes = [
            ("fs/new.h", "", "#define NEW 1234567\n"),
            (
                "fs/part.c",
                "int part(void) { return 5; }",
                "#include \"new.h\"\nint part(void) { return NEW; }",
            ),
        ];
        let compiled = only(compile_fix(&kernel, &changes));
        let after = sections(&compiled.after);
        let code = after.get(".text.part").expect("it is there");
        assert!(code
            .windows(4)
            .any(|bytes| bytes == 1_234_567_i32.to_le_bytes()));
    }

    #[test]
    fn the_compiler_s_words_have_the_lines_of_the_patched_file() {
        let kernel = Kernel::built(Layout::Apart);
        let change = (
            "fs/one.c",
            "int second(int x)\n{",
            "int added;\n\nint second(int x)\n{\n\tnonsense();\n\tnonsense nonsense;",
        );
        let error = compile_fix(&kernel, &[change]).expect_err("it does not compile");
        let message = error.to_string();
        assert!(
            message.starts_with("the fix does not compile, in fs/one.c:\n"),
            "{message}"
        );
        assert!(
            message.contains("fs/one.c:16:") && message.contains("nonsense nonsense"),
            "{message}"
        );
        assert!(!message.contains("/scratch/"), "{message}");
    }

    #[test]
    fn a_source_that_does_not_compile_is_not_the_fix_s_fault() {
        let kernel = Kernel::built(Layout::Apart);
        write(
            &kernel.tree.source.join("include/linux/rarer.h"),
            "nonsense nonsense;\n",
        );
        let error =
            compile_fix(&kernel, &[("fs/part.c", "5", "6")]).expect_err("it does not compile");
        let message = error.to_string();
        assert!(
            message.contains("fs/two.c of ") && message.contains("without the fix"),
            "{message}"
        );
    }

    #[test]
    fn objects_are_made_once_until_what_they_are_made_of_changes() {
        let kernel = Kernel::built(Layout::Apart);
        let entries = || -> BTreeMap<PathBuf, u64> {
            fs::read_dir(kernel.scratch("cache"))
                .expect("it is there")
                .map(|entry| entry.expect("it can be read").path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
                .map(|path| (path.clone(), fs::metadata(path).expect("it is there").ino()))
                .collect()
        };
        let change = [("fs/part.c", "5", "6")];
        let first = only(compile_fix(&kernel, &change));
        let kept = entries();
        assert_eq!(kept.len(), 3);
        let second = only(compile_fix(&kernel, &change));
        assert_eq!(entries(), kept);
        assert!(first.before == second.before && first.as_built == second.as_built);

        write(
            &kernel.tree.source.join("include/linux/rarer.h"),
            "#define RARE 1234567\n",
        );
        let third = only(compile_fix(&kernel, &change));
        assert!(third.before != first.before && third.as_built != first.as_built);
        assert!(entries()
            .iter()
            .all(|(path, inode)| kept.get(path).is_some_and(|kept| kept != inode)));
    }

    #[test]
    fn a_damaged_entry_is_made_anew() {
        let kernel = Kernel::built(Layout::Apart);
        let change = [("fs/part.c", "5", "6")];
        let first = only(compile_fix(&kernel, &change));
        for entry in fs::read_dir(kernel.scratch("cache")).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                fs::write(path, "{").expect("it is written");
            }
        }
        assert_eq!(only(compile_fix(&kernel, &change)).before, first.before);
    }

    #[test]
    fn constants_of_the_boot_are_variables() {
        let kernel = Kernel::new(Layout::Apart);
        for (path, text) in [
            ("include/asm/runtime-const.h", "#define runtime_const_ptr(sym) 5\n"),
            ("include/asm-generic/runtime-const.h", "#define runtime_const_ptr(sym) (sym)\n"),
            (
                "fs/one.c",
                "#include <asm/runtime-const.h>\nextern int konst;\nint f(void) { return runtime_const_ptr(konst); }\n",
            ),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        kernel.make(&[], &["fs/one.o"]);
        let compiled = only(compile_fix(
            &kernel,
            &[("fs/one.c", "return runtime", "return 1 + runtime")],
        ));
        let refers = |object: &[u8]| {
            let file = object::File::parse(object).expect("an object");
            let refers = file.symbols().any(|symbol| symbol.name() == Ok("konst"));
            refers
        };
        assert!(refers(&compiled.before) && refers(&compiled.after));
        assert!(!refers(&compiled.as_built));
    }
}
