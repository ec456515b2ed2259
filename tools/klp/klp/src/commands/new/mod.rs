// SPDX-License-Identifier: GPL-2.0

//! `klp new`: a directory with a patch to begin with.
//!
//! Without `--function` it is one that works as it is. For another function the type cannot be
//! known: what is written then does not compile until the author has filled it in.

mod names;

use crate::authors;
use crate::cli::{Context, Outcome};
use anyhow::{bail, ensure, Context as _, Result};
use names::{Function, Object, PatchName};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the patch replaces unless it is told: there in every kernel with /proc, of a type that
/// never changed.
const DEFAULT_FUNCTION: &str = "cmdline_proc_show";

/// Begin a livepatch: a directory with its source and a Makefile
///
/// Without --function it is a patch that works as it is: it replaces the function behind
/// /proc/cmdline. With it, the type and the body of the new function are left to be written, and
/// the patch does not compile until they are. Files that are there already are never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// What the patch's module is called: letters, digits, - and _
    #[arg(value_name = "NAME")]
    name: PatchName,

    /// Write it in Rust
    #[arg(long)]
    rust: bool,

    /// The function to replace
    #[arg(long, value_name = "FUNCTION")]
    function: Option<Function>,

    /// What the function is a part of: vmlinux, or a module
    #[arg(long, value_name = "vmlinux|MODULE", default_value = "vmlinux")]
    object: Object,

    /// The directory to write to; the default is one of the patch's name
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Where scripts/Makefile.livepatch is: what is installed, or a checkout; the default is what
    /// this klp belongs to
    #[arg(long, value_name = "DIR")]
    livepatch: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let object = &args.object;
    let function = match &args.function {
        Some(function) => function.as_str(),
        None if object.is_vmlinux() => DEFAULT_FUNCTION,
        None => bail!("--object {object}: which of its functions? Give --function as well"),
    };
    if args.rust {
        args.name.check_rust()?;
        names::check_rust_function(function)?;
    }
    let livepatch = authors::find(args.livepatch.as_deref())?;
    let livepatch = for_make(&livepatch)?;

    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => PathBuf::from(args.name.as_str()),
    };
    let works_as_it_is = object.is_vmlinux() && function == DEFAULT_FUNCTION;
    let fill = |template: &str| {
        let field = match object.is_vmlinux() {
            true => String::new(),
            false => format!(".name = \"{object}\", "),
        };
        let targets = match object.is_vmlinux() {
            true => String::new(),
            false => format!(
                "\n# For what the patch uses of {object} beside the function.\n\
                 # KLP_TARGETS := /path/to/{object}.ko\n"
            ),
        };
        template
            .replace("@NAME@", args.name.as_str())
            .replace("@IDENTIFIER@", &function.replace('.', "_"))
            .replace("@FUNCTION@", function)
            .replace("@OBJECT_FIELD@", &field)
            .replace("@OBJECT@", object.as_str())
            .replace("@TARGETS@", &targets)
            .replace("@LIVEPATCH@", &livepatch)
    };
    let name = args.name.as_str();
    let mut files = vec![(
        "Makefile".to_owned(),
        fill(include_str!("templates/Makefile.in")),
    )];
    match (args.rust, works_as_it_is) {
        (false, works) => {
            let head = match works {
                true => include_str!("templates/cmdline.c.in"),
                false => include_str!("templates/function.c.in"),
            };
            let tail = include_str!("templates/tail.c.in");
            files.push((format!("{name}.c"), fill(head) + &fill(tail)));
        }
        (true, works) => {
            let (source, bindings) = match works {
                true => (
                    include_str!("templates/cmdline.rs.in"),
                    include_str!("templates/cmdline.h.in"),
                ),
                false => (
                    include_str!("templates/function.rs.in"),
                    include_str!("templates/function.h.in"),
                ),
            };
            files.push((format!("{name}.rs"), fill(source)));
            files.push(("bindings.h".to_owned(), fill(bindings)));
        }
    }
    write(&dir, &files)?;

    let dir = dir.display();
    for (file, _) in &files {
        context.console.result(&format!("{dir}/{file}"))?;
    }
    if !works_as_it_is {
        let place = if args.rust { "bindings.h and " } else { "" };
        let suffix = if args.rust { "rs" } else { "c" };
        let text = format!("to be filled in before it compiles: {place}{name}.{suffix}");
        context.console.result(&text)?;
    }
    Ok(Outcome::Done)
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
