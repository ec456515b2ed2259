// SPDX-License-Identifier: GPL-2.0

//! Names that become a part of source text, checked.

use crate::prototype::is_identifier;
use anyhow::{ensure, Context, Result};
use livepatch_format::name::{OBJECT_NAME_MAX, SYMBOL_NAME_MAX, VMLINUX};
use std::fmt;
use std::str::FromStr;

/// Modules that a patch cannot have the name of: it would be taken for them.
const TAKEN: [&str; 2] = ["livepatch", "vmlinux"];

/// What a patch in Rust is built from, beside its own source.
const TAKEN_IN_RUST: [&str; 15] = [
    "alloc",
    "bindings",
    "build_error",
    "core",
    "ffi",
    "kernel",
    "klp_bindings",
    "klp_inlines",
    "klp_library_bindings",
    "macros",
    "pin_init",
    "proc_macro",
    "std",
    "uapi",
    "zerocopy",
];

/// The name of a patch's module, and of its source file.
#[derive(Debug, Clone)]
pub(super) struct PatchName(String);

impl PatchName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a source file in Rust can have this name as well.
    pub(super) fn check_rust(&self) -> Result<()> {
        let name = self.0.replace('-', "_");
        ensure!(
            !TAKEN_IN_RUST.contains(&name.as_str()),
            "{}: something else that a patch in Rust needs is called that",
            self.0
        );
        Ok(())
    }
}

impl FromStr for PatchName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(
            text.starts_with(|first: char| first.is_ascii_alphabetic()),
            "a module's name begins with a letter"
        );
        ensure!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "a module's name has letters, digits, - and _"
        );
        ensure!(
            text.len() <= OBJECT_NAME_MAX,
            "a module's name has at most {OBJECT_NAME_MAX} characters"
        );
        ensure!(
            !TAKEN.contains(&text.replace('-', "_").as_str()),
            "something else is called that"
        );
        Ok(PatchName(text.to_owned()))
    }
}

/// `vmlinux`, or the name of a module as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn vmlinux() -> Self {
        Object(String::from_utf8_lossy(VMLINUX).into_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_vmlinux(&self) -> bool {
        self.0.as_bytes() == VMLINUX
    }
}

impl Object {
    /// As a part of an identifier: a module's name may begin with a digit.
    pub(super) fn as_identifier(&self) -> String {
        match self.0.starts_with(|first: char| first.is_ascii_digit()) {
            true => format!("_{}", self.0),
            false => self.0.clone(),
        }
    }

    /// Whether `livepatch!` takes the name.
    pub(super) fn check_rust(&self) -> Result<()> {
        ensure!(
            is_identifier(&self.0),
            "{self}: a patch in Rust can only patch a module whose name is an identifier"
        );
        Ok(())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Object {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(
            (1..=OBJECT_NAME_MAX).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "a module's name has up to {OBJECT_NAME_MAX} letters, digits, - and _"
        );
        Ok(Object(text.replace('-', "_")))
    }
}

/// The name of a function as the kernel's symbols have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function(String);

impl Function {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Function {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(
            text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'),
            "a function's name begins with a letter or _"
        );
        // The compiler's own endings have dots: shrink.isra.0
        ensure!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte)),
            "a function's name has letters, digits and _"
        );
        ensure!(
            text.len() <= SYMBOL_NAME_MAX,
            "a function's name has at most {SYMBOL_NAME_MAX} characters"
        );
        Ok(Function(text.to_owned()))
    }
}

/// A function as the command line names it: `[OBJECT:]FUNCTION[,POSITION]`.
#[derive(Debug, Clone)]
pub(super) struct FunctionArg {
    pub(super) object: Option<Object>,
    pub(super) name: Function,
    pub(super) position: Option<u32>,
}

impl FromStr for FunctionArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (object, rest) = match text.split_once(':') {
            Some((object, rest)) => (Some(object.parse()?), rest),
            None => (None, text),
        };
        let (name, position) = match rest.split_once(',') {
            Some((name, position)) => {
                let position = position.parse();
                let position = position.context("after the comma stands a position, a number")?;
                (name, Some(position))
            }
            None => (rest, None),
        };
        Ok(FunctionArg {
            object,
            name: name.parse()?,
            position,
        })
    }
}
