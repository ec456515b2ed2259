// SPDX-License-Identifier: GPL-2.0

//! `klp convert`: makes a livepatch module of an ordinary one.

use super::completions;
use crate::cli::{Context, Outcome};
use crate::convert::{files, output, Conversion};
use crate::file::module_file::ModuleFile;
use crate::knowledge::Knowledge;
use crate::lint;
use crate::reference::Reference;
use anyhow::{bail, ensure, Context as _, Result};
use clap::ValueEnum;
use livepatch_format::elf::{Header, Machine};
use livepatch_format::name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Make a livepatch module of an ordinary kernel module
///
/// Every symbol that the module refers to and that nothing exports is looked up in the kernel
/// and in the target modules, and becomes a livepatch symbol. Where a name stands several times,
/// the source has to say which one is meant: see KLP_SYM() in include/linux/klp_sym.h.
///
/// What comes out is checked as klp lint does it: what would be refused, or would crash, is not
/// converted.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The kernel: its System.map or vmlinux, its boot image (/boot/vmlinuz-RELEASE), or text as
    /// in /proc/kallsyms
    #[arg(long, value_name = "SYMBOLS")]
    kernel: Option<PathBuf>,

    /// A Module.symvers; the symbols that it lists are exported and stay ordinary ones
    #[arg(long, value_name = "FILE")]
    symvers: Vec<PathBuf>,

    /// A module that is to be patched; also what it exports becomes livepatch symbols, so that
    /// the patch can be loaded before it
    #[arg(long, value_name = "TARGET.ko")]
    module: Vec<PathBuf>,

    /// How livepatch names are written
    #[arg(long, value_enum, default_value_t = Dialect::Mainline)]
    dialect: Dialect,

    /// Where to write; the default is to replace IN.ko
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Do not check what comes out as klp lint does
    #[arg(long)]
    no_lint: bool,

    /// Say nothing but errors and warnings
    #[arg(short, long)]
    quiet: bool,

    /// The module to convert
    #[arg(value_name = "IN.ko", add = completions::files())]
    input: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dialect {
    /// .klp.sym.<object>.<symbol>,<position> and .klp.rela.<object>.<section>
    Mainline,
    /// The form of 2016: .klp.sym.<object>.<symbol> with the position in st_other, and
    /// .klp.rel.<object>.<section>
    Draft,
}

impl From<Dialect> for name::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Mainline => name::Dialect::Mainline,
            Dialect::Draft => name::Dialect::Draft,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let shown = args.input.display();
    let file = ModuleFile::read(&args.input)?;
    ensure!(
        file.compression.is_none() || args.output.is_some(),
        "{shown} is compressed, and what comes out is not: say where to write it, with -o"
    );
    let input = file.bytes;
    let machine = machine(&input).with_context(|| shown.to_string())?;
    let knowledge = knowledge(args, machine)?;
    let conversion = Conversion::new(&input, &knowledge, args.dialect.into())
        .with_context(|| shown.to_string())?;
    if !args.no_lint {
        let bytes = conversion.as_ref().map_or(&input, |made| &made.bytes);
        let implied = conversion.as_ref().map_or(&[][..], |made| &made.implied);
        lint(args, context, bytes, &knowledge, implied)?;
    }

    let output = args.output.as_ref().unwrap_or(&args.input);
    let Some(conversion) = conversion else {
        if args.output.is_some() {
            output::write(output, &args.input, &input, |_| Ok(()))?;
        }
        if !args.quiet {
            let text = format!("{shown}: refers to no unexported symbol; left as it is");
            context.console.result(&text)?;
        }
        return Ok(Outcome::Done);
    };
    output::write(output, &args.input, &conversion.bytes, |written| {
        let verified = conversion.verify(&input, written);
        verified.with_context(|| format!("{shown}: a mistake of klp, please report it"))
    })?;
    if !args.quiet {
        let text = format!("{shown}: {}", summary(&conversion));
        context.console.result(&text)?;
    }
    Ok(Outcome::Done)
}

/// Says what `klp lint` finds in what the module becomes, and what may be wrong with symbols that
/// the author does not state; fails where there is an error.
fn lint(
    args: &Args,
    context: &mut Context,
    bytes: &[u8],
    knowledge: &Knowledge,
    implied: &[Reference],
) -> Result<()> {
    let mut report = lint::check(&args.input, bytes, knowledge);
    for finding in files::check(bytes, knowledge, implied) {
        report.warn(finding);
    }
    report.note(&mut context.console);
    if report.errors != 0 {
        bail!(
            "{}: not converted, as it would be refused (--no-lint converts it nevertheless)",
            args.input.display()
        );
    }
    Ok(())
}

fn machine(input: &[u8]) -> Result<Machine> {
    Ok(Header::parse(input)?.machine()?)
}

fn knowledge(args: &Args, machine: Machine) -> Result<Knowledge> {
    let mut knowledge = Knowledge::default();
    if let Some(kernel) = &args.kernel {
        knowledge.add_kernel(kernel, machine)?;
    }
    let mut given = BTreeSet::new();
    for path in &args.module {
        knowledge.add_module(path, machine, &mut given)?;
    }
    for path in &args.symvers {
        knowledge.add_symvers(path)?;
    }
    Ok(knowledge)
}

/// What was done, for the author to compare with what was meant.
fn summary(conversion: &Conversion) -> String {
    if conversion.resolved.is_empty() {
        return "marked as a livepatch; it refers to no unexported symbol".to_owned();
    }
    let mut by_object: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for reference in conversion.resolved.values() {
        let symbol = reference.symbol.escape_ascii();
        by_object
            .entry(&reference.object)
            .or_default()
            .push(match reference.position.0 {
                0 => symbol.to_string(),
                position => format!("{symbol},{position}"),
            });
    }
    let objects: Vec<_> = by_object
        .into_iter()
        .map(|(object, symbols)| format!("{object}: {}", symbols.join(" ")))
        .collect();
    format!(
        "{} livepatch symbols in {} relocations ({})",
        conversion.resolved.len(),
        conversion.moved,
        objects.join("; ")
    )
}
