// SPDX-License-Identifier: GPL-2.0

//! `klp completions`: what a shell completes. The shell asks klp itself each time, so that the
//! names of patches that are loaded or installed are completed as well.

use crate::cli::{Cli, Context, Outcome};
use crate::system::store::Store;
use crate::system::System;
use anyhow::{Context as _, Result};
use clap::builder::Resettable;
use clap::CommandFactory as _;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";

/// Print a shell's completions for klp
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&shell)
        .with_context(|| format!("there are no completions for {shell}"))?;
    let mut text = Vec::new();
    shell.write_registration(VARIABLE, "klp", "klp", "klp", &mut text)?;
    context.console.write(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Done)
}

/// Answers a shell that asks, and ends klp; does nothing where none does.
pub fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The command line, each alias as a command of its own: clap_complete offers one word for a command,
/// the first one in the alphabet.
fn command() -> clap::Command {
    let klp = Cli::command();
    let of_alias = |command: &clap::Command| {
        let aliases = command.get_visible_aliases().map(str::to_owned);
        let named = |alias: String| {
            let command = command.clone().visible_alias(Resettable::Reset);
            // klp ends when it has answered.
            command.name(&*alias.leak())
        };
        aliases.map(named).collect::<Vec<_>>()
    };
    let aliases: Vec<_> = klp.get_subcommands().flat_map(of_alias).collect();
    klp.mut_subcommands(|command| command.visible_alias(Resettable::Reset))
        .subcommands(aliases)
}

/// Completes the names of patches that are loaded, and the names of module files.
pub(super) fn loaded() -> ArgValueCompleter {
    names_or_files(loaded_names)
}

/// Completes the names of patches that are installed, and the names of module files.
pub(super) fn installed() -> ArgValueCompleter {
    names_or_files(installed_names)
}

/// Completes the names of module files, and of patches that are installed for the running kernel.
pub(super) fn files_or_installed() -> ArgValueCompleter {
    names_or_files(running_names)
}

/// Completes the kernels that have installed patches.
pub(super) fn releases() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| names(installed_releases, current))
}

/// Completes the names of module files.
pub(super) fn files() -> ArgValueCompleter {
    ArgValueCompleter::new(module_files())
}

fn module_files() -> PathCompleter {
    PathCompleter::any().filter(|path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !path.is_dir() && (name.ends_with(".ko") || name.contains(".ko."))
    })
}

fn names_or_files(all: fn(&System) -> BTreeSet<String>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let mut all = names(all, current);
        all.extend(module_files().complete(current));
        all
    })
}

fn names(all: fn(&System) -> BTreeSet<String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    all(&system())
        .into_iter()
        .filter(|name| name.starts_with(&*begun))
        .map(CompletionCandidate::new)
        .collect()
}

/// The system that the command line is about.
fn system() -> System {
    match value_of("--root") {
        Some(root) => System::tree(Path::new(&root)),
        None => System::running(),
    }
}

/// What follows an option on the command line, which is not parsed yet.
fn value_of(option: &str) -> Option<OsString> {
    env::args_os().skip_while(|word| word != option).nth(1)
}

/// What cannot be read is not completed.
fn loaded_names(system: &System) -> BTreeSet<String> {
    let names = super::names(system).unwrap_or_default();
    names.into_iter().collect()
}

/// Those of the kernel that klp uninstall takes: the one that is named, or the running one.
fn installed_names(system: &System) -> BTreeSet<String> {
    let kernel = value_of("--kernel")
        .map(|release| release.to_string_lossy().into_owned())
        .or_else(|| system.release());
    installed_for(system, kernel)
}

fn running_names(system: &System) -> BTreeSet<String> {
    installed_for(system, system.release())
}

fn installed_for(system: &System, kernel: Option<String>) -> BTreeSet<String> {
    let all = Store::of(system).all().unwrap_or_default().into_iter();
    all.filter(|(release, _)| {
        kernel
            .as_deref()
            .is_none_or(|kernel| kernel == release.as_str())
    })
    .flat_map(|(_, entries)| entries)
    .map(|entry| entry.name.to_string())
    .collect()
}

fn installed_releases(system: &System) -> BTreeSet<String> {
    let all = Store::of(system).all().unwrap_or_default().into_iter();
    all.map(|(release, _)| release.to_string()).collect()
}
