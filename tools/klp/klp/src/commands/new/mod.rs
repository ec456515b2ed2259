// SPDX-License-Identifier: GPL-2.0

//! `klp new`: a directory with a patch to begin with.
//!
//! Without a function it is one that works as it is. For others, what is written does not compile
//! until the author has written the new functions: an empty one would be loaded by mistake.

mod c;
mod names;
mod patch;
mod rust;
mod types;

use crate::authors;
use crate::cli::{Context, Outcome};
use anyhow::{bail, ensure, Context as _, Result};
use names::{FunctionArg, Object, PatchName};
use patch::Patch;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use types::Types;

/// What the patch replaces unless it is told: there in every kernel with /proc, of a type that
/// never changed.
const DEFAULT_FUNCTION: &str = "cmdline_proc_show";

/// Start a livepatch: write a directory with its source and a Makefile
///
/// Without FUNCTION, the patch works at once: it replaces the function behind /proc/cmdline. With
/// FUNCTION, the patch does not compile until you write the new functions. klp fills in the types
/// of the functions that it finds in the kernel's BTF or debug information. Files that exist are
/// never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The name of the patch and of its module: letters, digits, - and _
    #[arg(value_name = "NAME")]
    name: PatchName,

    /// A function to replace: FUNCTION in the kernel, or MODULE:FUNCTION in a module, such as
    /// meminfo_proc_show or ext4:ext4_readdir. If several functions have this name, FUNCTION,N is
    /// the N-th in the order of /proc/kallsyms
    #[arg(value_name = "FUNCTION")]
    functions: Vec<FunctionArg>,

    /// A function to replace, like the argument
    #[arg(
        long = "function",
        value_name = "FUNCTION",
        hide = true,
        conflicts_with = "functions"
    )]
    function_options: Vec<FunctionArg>,

    /// Where a FUNCTION without a module is: in vmlinux (the kernel) or in this module
    #[arg(long, value_name = "vmlinux|MODULE", default_value = "vmlinux")]
    object: Object,

    /// The same as FUNCTION,N, for a single FUNCTION
    #[arg(long, value_name = "N")]
    position: Option<u32>,

    /// Let the patch replace all patches that were loaded earlier
    #[arg(long)]
    replace: bool,

    /// Write the patch in Rust
    #[arg(long)]
    rust: bool,

    /// Look up the types of functions in this vmlinux, which has BTF or debug information, or in
    /// this file of BTF; the default is the kernel of --kdir, or the running kernel's BTF,
    /// /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "VMLINUX")]
    kernel: Option<PathBuf>,

    /// What the patch is going to be built against; if that is for another kernel than the running
    /// one, look up the types in its vmlinux
    #[arg(long, value_name = "DIR", env = "KDIR")]
    kdir: Option<OsString>,

    /// Look up the types of functions in the file of this module, and name the file in the Makefile;
    /// the default is the BTF that the running kernel has of the module
    #[arg(long, value_name = "TARGET.ko")]
    module: Vec<PathBuf>,

    /// The directory to write to; the default is the name of the patch
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The directory that contains scripts/Makefile.livepatch, installed or in a checkout; the
    /// default is the one that belongs to this klp
    #[arg(long, value_name = "DIR")]
    livepatch: Option<PathBuf>,
}

impl Args {
    /// The functions, with the position that stands by itself.
    fn functions(&self) -> Result<Vec<FunctionArg>> {
        let mut functions = self.functions.clone();
        functions.extend_from_slice(&self.function_options);
        if functions.is_empty() {
            ensure!(
                self.object.is_vmlinux() && self.position.is_none(),
                "--object and --position need a FUNCTION: name one"
            );
            functions.push(DEFAULT_FUNCTION.parse()?);
        }
        if let Some(position) = self.position {
            match functions.as_mut_slice() {
                [only] if only.position.is_none() => only.position = Some(position),
                [_] => bail!("there are two positions: write FUNCTION,N or --position N"),
                _ => bail!("--position is for one function: write FUNCTION,N for each"),
            }
        }
        Ok(functions)
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let functions = args.functions()?;
    let livepatch = for_make(&authors::find(args.livepatch.as_deref())?)?;
    // As make takes a variable that is empty.
    let kdir = args.kdir.as_deref().filter(|kdir| !kdir.is_empty());
    let kdir = kdir.map(Path::new);
    let types = Types::new(&context.system, args.kernel.as_deref(), kdir, &args.module)?;
    let name = args.name.as_str();
    let patch = Patch::new(name, args.replace, &functions, &args.object, &types)?;
    types.check_used(&patch)?;
    if args.rust {
        args.name.check_rust()?;
        patch.check_rust()?;
    }

    let mut files = vec![("Makefile".to_owned(), makefile(&patch, &types, &livepatch)?)];
    if args.rust {
        files.push((format!("{name}.rs"), rust::source(&patch)));
        files.push(("bindings.h".to_owned(), rust::bindings(&patch)));
    } else {
        files.push((format!("{name}.c"), c::source(&patch)));
    }
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    write(&dir, &files)?;

    let dir = dir.display();
    for (file, _) in &files {
        context.console.result(&format!("{dir}/{file}"))?;
    }
    if patch.is_default() {
        return Ok(Outcome::Done);
    }
    tell_sources(&patch, context)?;
    tell_unknown(&patch, context);
    let bindings = match args.rust && patch.functions().any(|(_, one)| one.kind.is_err()) {
        true => "bindings.h and ",
        false => "",
    };
    let suffix = if args.rust { "rs" } else { "c" };
    let text = format!("edit before you build: {bindings}{name}.{suffix}");
    context.console.result(&text)?;
    Ok(Outcome::Done)
}

/// Tells where the types of functions are from.
fn tell_sources(patch: &Patch, context: &mut Context) -> Result<()> {
    let known = patch
        .functions()
        .filter_map(|(_, one)| one.kind.as_ref().ok());
    let paths: BTreeSet<&Path> = known.map(|(_, path)| path.as_path()).collect();
    for path in paths {
        let shown = path.display();
        let text = match (path.starts_with(types::RUNNING), context.system.release()) {
            (true, Some(release)) => {
                format!("types from {shown}, of the running kernel {release}")
            }
            _ => format!("types from {shown}"),
        };
        context.console.result(&text)?;
    }
    Ok(())
}

/// Tells which types the author has to find, and why.
fn tell_unknown(patch: &Patch, context: &mut Context) {
    for patched in &patch.objects {
        // Most often, one reason is that of all.
        let mut unknown: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for function in &patched.functions {
            if let Err(why) = &function.kind {
                let names = unknown.entry(format!("{why:#}")).or_default();
                names.push(function.shown());
            }
        }
        for (why, names) in unknown {
            let (names, object) = (names.join(", "), &patched.object);
            let text = format!("{names} of {object}: type unknown: {why}");
            context.console.note(&text);
        }
    }
}

fn makefile(patch: &Patch, types: &Types<'_>, livepatch: &str) -> Result<String> {
    let mut given = Vec::new();
    let mut missing = Vec::new();
    for object in patch.objects.iter().map(|patched| &patched.object) {
        match types.module(object) {
            Some(module) => {
                let path = &module.path;
                let path = fs::canonicalize(path)
                    .with_context(|| format!("cannot find {}", path.display()))?;
                given.push(for_make(&path)?);
            }
            None if object.is_vmlinux() => {}
            None => missing.push(format!("/path/to/{object}.ko")),
        }
    }
    let mut targets = String::new();
    if !given.is_empty() {
        targets = format!(
            "\n# The modules that it patches.\nKLP_TARGETS := {}\n",
            given.join(" ")
        );
    }
    if !missing.is_empty() {
        let is_more = if given.is_empty() { ":=" } else { "+=" };
        targets += &format!(
            "\n# Name the files of the modules that it patches: make checks the functions in them,\n\
             # and the patch can use what else they have.\n\
             # KLP_TARGETS {is_more} {}\n",
            missing.join(" ")
        );
    }
    Ok(include_str!("templates/Makefile.in")
        .replace("@NAME@", &patch.name)
        .replace("@TARGETS@", &targets)
        .replace("@LIVEPATCH@", livepatch))
}

/// Declares the structures and unions that the types of functions name: whatever headers follow
/// may define them.
fn compounds(patch: &Patch) -> String {
    let known = patch
        .functions()
        .filter_map(|(_, one)| one.kind.as_ref().ok());
    let compounds: BTreeSet<_> = known.flat_map(|(kind, _)| kind.compounds()).collect();
    let lines = compounds
        .into_iter()
        .map(|(tag, name)| format!("{} {name};\n", tag.word()));
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{lines}"),
    }
}

/// With a large letter.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// Writes new files into a directory: all of them, or none.
fn write(dir: &Path, files: &[(String, String)]) -> Result<()> {
    let shown = dir.display();
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {shown}"))?;
    // kbuild's own condition for the directory of a module.
    let full = fs::canonicalize(dir).with_context(|| format!("cannot find {shown}"))?;
    ensure!(
        !full
            .to_string_lossy()
            .contains(|character: char| character.is_whitespace() || character == ':'),
        "{}: kbuild takes no directory with spaces or colons in its name",
        full.display()
    );
    for (name, _) in files {
        // Also a link that leads nowhere is somebody's.
        ensure!(
            fs::symlink_metadata(dir.join(name)).is_err(),
            "{shown}/{name} is there already"
        );
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = dir.join(name);
        let put = || {
            let mut file = fs::File::create_new(&path)?;
            written.push(path.clone());
            file.write_all(text.as_bytes())
        };
        let mut put = put;
        if let Err(error) = put() {
            for path in &written {
                // What stays is only half of what was to be said.
                let _ = fs::remove_file(path);
            }
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
    }
    Ok(())
}

/// A path as it stands in a Makefile.
fn for_make(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{}: not UTF-8", path.display()))?;
    ensure!(
        !text.contains(|character: char| character.is_whitespace() || "#$:\\".contains(character)),
        "{text}: make takes no path with spaces or any of # $ : \\ in it"
    );
    Ok(text.to_owned())
}
