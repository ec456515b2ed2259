// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
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
pub mod cache;
pub mod command;
pub mod compile;
pub mod compiler;
pub mod configured;
pub mod finish;
pub mod includes;
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
pub mod shared;
pub mod sign;
pub mod tree;

#[cfg(test)]
mod testing;
pub mod world;

use crate::authors;
use crate::knowledge::Knowledge;
use crate::object_name::ObjectNameBuf;
use crate::symvers::Symvers;
use crate::terminal::Color;
use affected::Ask;
use anyhow::{anyhow, ensure, Context, Error, Result};
use command::PartOf;
use finish::Signer;
use kdir::Kdir;
use klp_diff::model::{Patch, ReferBy};
use klp_diff::{diff, Options, Target as DiffTarget};
use overlay::Overlay;
use progress::Progress;
use proof::{Outcome, Placement, Target};
use report::{Report, Status, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use tree::Tree;
use world::World;

/// What the modules of livepatches are called, before their own names.
const PREFIX: &str = "livepatch-";

/// What livepatch.ko exports (`rust/exports.c`), to kernels that have no livepatch support.
const API: [&str; 9] = [
    "klp_enable_patch",
    "klp_find_section_by_name",
    "klp_get_prev_state",
    "klp_get_state",
    "klp_shadow_alloc",
    "klp_shadow_free",
    "klp_shadow_free_all",
    "klp_shadow_get",
    "klp_shadow_get_or_alloc",
];

/// Make a livepatch of a source diff
///
/// The fix is applied to a copy of what it changes; the files that it affects are compiled without
/// and with it, and what differs becomes a livepatch. Before that, the unchanged functions of these
/// files are compared with the kernel's: a livepatch of another source, compiler or configuration
/// would crash it.
///
/// The exit status is 0 if there is a livepatch, or with --list if there would be one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kernel's source; the default is what the headers or the build directory point to
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,

    /// The kernel's headers or build directory; the default is the running kernel's
    #[arg(long, value_name = "DIR")]
    kdir: Option<PathBuf>,

    /// The kernel: its vmlinux or its boot image (/boot/vmlinuz-RELEASE), which is found by itself
    /// where it is installed
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// A target module that is not installed for that kernel
    #[arg(long, value_name = "TARGET.ko")]
    module: Vec<PathBuf>,

    /// One more Module.symvers, beside the kernel's: that of livepatch.ko, or of other modules
    #[arg(long, value_name = "FILE")]
    symvers: Vec<PathBuf>,

    /// What the livepatch is called: livepatch-NAME.ko; the default is the name of the first diff
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The livepatch, or the directory for it
    #[arg(short, long, value_name = "OUT", default_value = ".")]
    output: PathBuf,

    /// It replaces all livepatches that are loaded
    #[arg(long, overrides_with = "no_replace")]
    replace: bool,

    /// It leaves other livepatches as they are; this is the default
    #[arg(long)]
    no_replace: bool,

    /// Only show what would be patched, and why, or what is refused
    #[arg(long)]
    list: bool,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,

    /// Do not compare the source with the kernel. If it is not the kernel's, the livepatch crashes
    /// it
    #[arg(long)]
    no_proof: bool,

    /// Sign it
    #[arg(long, num_args = 2, value_names = ["KEY", "CERT"])]
    sign: Option<Vec<PathBuf>>,

    /// Keep everything that is made on the way in this directory, which is to be new
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// Where what takes long is kept; the default is klp in the user's cache directory
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// How many compilers run at a time; the default is one for each processor
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Where scripts/Makefile.livepatch is: what is installed, or a checkout; the default is what
    /// this klp belongs to
    #[arg(long, value_name = "DIR")]
    livepatch: Option<PathBuf>,

    /// Say nothing but errors and warnings
    #[arg(short, long)]
    quiet: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// The diffs, as git and diff -u make them, with names below the source's directory after one
    /// component (-p1)
    #[arg(value_name = "FIX.patch", required = true)]
    fixes: Vec<PathBuf>,
}

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
    let name = name(args)?;
    let kdir = kdir(args)?;
    report.release = Some(kdir.release.clone());
    suits(&kdir)?;
    let livepatch = authors::find(args.livepatch.as_deref())?;
    let source = kdir.source(args.source.as_deref())?;
    let cache = cache(args)?;
    let jobs = args.jobs.map_or_else(processors, NonZeroUsize::get);
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
    let symvers = other_symvers(args, &kdir, &livepatch);
    let mut knowledge = knowledge(args, &kdir, &symvers)?;
    let (build, is_ours) = match kdir.is_build() {
        true => (kdir.path.clone(), false),
        false => {
            let begin = || {
                progress.step(format!(
                    "preparing the source for {}, once (about 2 min)",
                    kdir.release
                ));
            };
            let prepared = prepare::prepare(&source, &kdir, &cache.join("trees"), jobs, begin)?;
            (prepared, true)
        }
    };
    let tree = at_source(&build);

    progress.step("looking for what the fix affects".to_owned());
    // Too many may be asked for; what the kernel has not is seen by the proof.
    let ask = Ask {
        contains: &|_| true,
        jobs,
    };
    let affected = affected::units(&tree, overlay.changed(), is_ours.then_some(&ask))?;
    report.ignored = affected.notes;
    for unit in &affected.units {
        compiler::check(&tree.build, unit.record.command.compiler())?;
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
        add_target(args, &kdir, &mut knowledge, &part_of)?;
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
    let shared = shared::shared(
        files
            .iter()
            .map(|file| (&file.compiled.before[..], &file.compiled.after[..])),
    )?;
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
    let output = output(args, &name);
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

fn kdir(args: &Args) -> Result<Kdir> {
    match &args.kdir {
        Some(dir) => Kdir::open(dir),
        None => {
            let release = fs::read_to_string("/proc/sys/kernel/osrelease")
                .context("cannot tell which kernel runs: give --kdir")?;
            Kdir::open(&Path::new("/lib/modules").join(release.trim()).join("build"))
        }
    }
}

/// Refuses kernels of which a single file cannot be made again.
fn suits(kdir: &Kdir) -> Result<()> {
    let refused = [
        (
            "LTO_CLANG",
            "is built with link time optimisation: its functions are made when all files are known",
        ),
        (
            "GCC_PLUGIN_LATENT_ENTROPY",
            "has random numbers in its code, which are not the same again",
        ),
    ];
    for (option, why) in refused {
        ensure!(
            !kdir.config.is_set(option),
            "the kernel {} {why} (CONFIG_{option})",
            kdir.release
        );
    }
    ensure!(
        kdir.is_build() || !kdir.config.is_set("RANDSTRUCT"),
        "the kernel {} has structures in a random order (CONFIG_RANDSTRUCT), which only the \
         directory that it was built in tells: give that with --kdir",
        kdir.release
    );
    Ok(())
}

/// Whether the fix includes headers for livepatches, such as those for callbacks.
fn uses_headers(overlay: &Overlay) -> bool {
    overlay.changed().iter().any(|file| {
        let text = fs::read(overlay.root().join(&file.path)).unwrap_or_default();
        memchr::memmem::find(&text, b"<linux/livepatch").is_some()
    })
}

/// What is known of the kernel, without target modules.
fn knowledge(args: &Args, kdir: &Kdir, others: &[PathBuf]) -> Result<Knowledge> {
    let mut knowledge = Knowledge::default();
    match &args.kernel {
        Some(path) => knowledge.add_kernel(path, kdir.machine)?,
        None => {
            let there = kdir.kernels().into_iter().filter(|path| path.is_file());
            let mut failure = None;
            let mut is_read = false;
            for path in there {
                match knowledge.add_kernel(&path, kdir.machine) {
                    Ok(()) => {
                        is_read = true;
                        break;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if !is_read {
                let missing = anyhow!(
                    "the kernel {} itself is not here, neither its vmlinux nor its boot image",
                    kdir.release
                );
                return Err(failure
                    .unwrap_or(missing)
                    .context("give the kernel with --kernel"));
            }
        }
    }
    let own = kdir.path.join("Module.symvers");
    ensure!(
        own.is_file(),
        "{} has no Module.symvers, so that it is not known what the kernel exports",
        kdir.path.display()
    );
    knowledge.add_symvers(&own)?;
    for path in others {
        knowledge.add_symvers(path)?;
    }
    let symvers = knowledge.symvers.get_or_insert_with(Symvers::default);
    if symvers.exporter(b"klp_enable_patch").is_none() {
        ensure!(
            !kdir.config.is_set("MODVERSIONS"),
            "the kernel {} has no livepatch support of its own, and checks versions of symbols: \
             build livepatch.ko, then give its Module.symvers with --symvers",
            kdir.release
        );
        symvers.assume("livepatch", &API);
    }
    Ok(knowledge)
}

/// What tells exported symbols beside the kernel's own: what is given, and what is found of
/// livepatch.ko.
fn other_symvers(args: &Args, kdir: &Kdir, livepatch: &Path) -> Vec<PathBuf> {
    let of_livepatch = [
        livepatch.join("Module.symvers"),
        Path::new("/var/lib/livepatch-rs")
            .join(&kdir.release)
            .join("Module.symvers"),
    ];
    let found = of_livepatch.into_iter().filter(|path| {
        let is_needed = !kdir.config.is_set("LIVEPATCH") && args.symvers.is_empty();
        is_needed && path.is_file()
    });
    args.symvers.iter().cloned().chain(found).collect()
}

/// Adds a target module to what is known.
fn add_target(args: &Args, kdir: &Kdir, knowledge: &mut Knowledge, part_of: &PartOf) -> Result<()> {
    let PartOf::Module { name, file } = part_of else {
        return Ok(());
    };
    if knowledge.get(name.as_bytes()).is_some() {
        return Ok(());
    }
    let path = modules::find(kdir, &args.module, name, file)?;
    let mut given: BTreeSet<ObjectNameBuf> = BTreeSet::new();
    knowledge.add_module(&path, kdir.machine, &mut given)
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

/// What the livepatch patches, in a line.
fn summary(verb: &str, units: &[(Patch, Vec<u8>)]) -> String {
    let mut objects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (patch, _) in units {
        let names = patch.changed().map(|function| function.name.as_str());
        objects.entry(&patch.object).or_default().extend(names);
    }
    let objects: Vec<_> = objects
        .into_iter()
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

/// The module's name.
fn name(args: &Args) -> Result<String> {
    let given = args.name.clone().unwrap_or_else(|| {
        let stem = args.fixes.first().and_then(|fix| fix.file_stem());
        let stem = stem.unwrap_or_default().to_string_lossy().into_owned();
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = stem.chars().map(fits).collect();
        let name = name.trim_matches('-');
        name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
    });
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = format!("{PREFIX}{given}");
    ensure!(
        !given.is_empty() && given.chars().all(is_name),
        "a livepatch cannot be called '{given}': letters, digits, - and _ can be in its name; give \
         another one with --name"
    );
    ensure!(
        name.len() <= livepatch_format::name::OBJECT_NAME_MAX,
        "'{name}' is too long for a module's name: give a shorter one with --name"
    );
    Ok(name)
}

/// Where the livepatch is to be.
fn output(args: &Args, name: &str) -> PathBuf {
    match args.output.is_dir() || args.output.as_os_str().as_encoded_bytes().ends_with(b"/") {
        true => args.output.join(format!("{name}.ko")),
        false => args.output.clone(),
    }
}

fn cache(args: &Args) -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let user = || {
        let set = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
        Some(set.map(PathBuf::from).or_else(home)?.join("klp"))
    };
    let dir = args
        .cache
        .clone()
        .or_else(user)
        .context("there is no HOME to keep a cache in: give --cache")?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::canonicalize(&dir).with_context(|| format!("cannot find {}", dir.display()))
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// A directory for what is made on the way.
struct Scratch {
    path: PathBuf,
    /// Removes it in the end.
    _temporary: Option<tempfile::TempDir>,
}

impl Scratch {
    fn new(keep: Option<&Path>, cache: &Path) -> Result<Self> {
        match keep {
            Some(dir) => {
                fs::create_dir(dir)
                    .with_context(|| format!("cannot make --keep {}", dir.display()))?;
                let path = fs::canonicalize(dir)?;
                Ok(Scratch {
                    path,
                    _temporary: None,
                })
            }
            None => {
                let made = tempfile::Builder::new().prefix("build-").tempdir_in(cache);
                let temporary =
                    made.with_context(|| format!("cannot write to {}", cache.display()))?;
                Ok(Scratch {
                    path: temporary.path().to_owned(),
                    _temporary: Some(temporary),
                })
            }
        }
    }

    /// A directory in it.
    fn sub(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }
}
