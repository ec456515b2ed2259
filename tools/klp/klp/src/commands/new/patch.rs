// SPDX-License-Identifier: GPL-2.0

//! The patch that is begun: which functions of which objects it replaces.

use super::names::{FunctionArg, Object};
use super::types::{Found, Types};
use super::DEFAULT_FUNCTION;
use anyhow::{ensure, Result};

/// A patch to be.
pub(super) struct Patch {
    pub(super) name: String,
    /// Whether it replaces all earlier patches.
    pub(super) replace: bool,
    pub(super) objects: Vec<Patched>,
}

/// An object that is patched.
pub(super) struct Patched {
    pub(super) object: Object,
    pub(super) functions: Vec<Replaced>,
}

/// A function that is replaced.
pub(super) struct Replaced {
    /// Its name, as the kernel's symbols have it.
    pub(super) name: String,
    /// Which one of that name it is; 0 if there is one.
    pub(super) position: u32,
    /// What stands for it in the source: for its declaration, and after `new_`.
    pub(super) identifier: String,
    pub(super) kind: Found,
}

impl Patch {
    /// Groups the functions by their objects, in the order in which they are named.
    pub(super) fn new(
        name: &str,
        replace: bool,
        functions: &[FunctionArg],
        default: &Object,
        types: &Types<'_>,
    ) -> Result<Self> {
        let mut objects: Vec<(Object, Vec<&FunctionArg>)> = Vec::new();
        for function in functions {
            let object = function.object.as_ref().unwrap_or(default);
            match objects.iter_mut().find(|(other, _)| other == object) {
                Some((_, functions)) => functions.push(function),
                None => objects.push((object.clone(), vec![function])),
            }
        }
        let mut patch = Patch {
            name: name.to_owned(),
            replace,
            objects: Vec::new(),
        };
        for (object, args) in objects {
            let names: Vec<&str> = args.iter().map(|one| one.name.as_str()).collect();
            let mut replaced: Vec<Replaced> = Vec::new();
            for (arg, kind) in args.iter().zip(types.find(&object, &names)?) {
                let (name, position) = (arg.name.as_str(), arg.position.unwrap_or(0));
                ensure!(
                    !replaced
                        .iter()
                        .any(|one| one.name == name && one.position == position),
                    "{name} of {object} is named twice"
                );
                let is_alone = functions.iter().filter(|one| one.name == arg.name).count() == 1;
                replaced.push(Replaced {
                    name: name.to_owned(),
                    position,
                    identifier: identifier(&object, name, position, is_alone),
                    kind,
                });
            }
            patch.objects.push(Patched {
                object,
                functions: replaced,
            });
        }
        Ok(patch)
    }

    /// Whether it can be written in Rust.
    pub(super) fn check_rust(&self) -> Result<()> {
        for (object, function) in self.functions() {
            object.check_rust()?;
            ensure!(
                !matches!(&function.kind, Ok((kind, _)) if kind.is_variadic),
                "{} takes a variable number of arguments, which no function in Rust can: write \
                 the patch in C",
                function.shown()
            );
        }
        Ok(())
    }

    /// All functions, with their objects.
    pub(super) fn functions(&self) -> impl Iterator<Item = (&Object, &Replaced)> {
        self.objects.iter().flat_map(|patched| {
            let functions = patched.functions.iter();
            functions.map(|function| (&patched.object, function))
        })
    }

    /// Whether it only replaces the default function, of which the source is known.
    pub(super) fn is_default(&self) -> bool {
        let mut functions = self.functions();
        functions.all(|(object, one)| {
            object.is_vmlinux() && one.name == DEFAULT_FUNCTION && one.position == 0
        })
    }

    /// What it does, in words.
    pub(super) fn title(&self) -> String {
        let objects: Vec<&str> = self.objects.iter().map(|one| one.object.as_str()).collect();
        let objects = match objects.as_slice() {
            [others @ .., last] if !others.is_empty() => {
                format!("{} and {last}", others.join(", "))
            }
            all => all.join(""),
        };
        let mut functions = self.functions();
        match (functions.next(), functions.next()) {
            (Some((_, only)), None) => format!("replaces {} of {objects}", only.shown()),
            _ => format!("replaces functions of {objects}"),
        }
    }
}

impl Replaced {
    /// As `/sys/kernel/livepatch` writes it, where its position is given.
    pub(super) fn shown(&self) -> String {
        match self.position {
            0 => format!("{}()", self.name),
            position => format!("{},{position}", self.name),
        }
    }
}

/// A name of its own for each function.
fn identifier(object: &Object, name: &str, position: u32, is_alone: bool) -> String {
    let name = name.replace('.', "_");
    match (is_alone, position) {
        (true, _) => name,
        (false, 0) => format!("{}_{name}", object.as_identifier()),
        (false, position) => format!("{}_{name}_{position}", object.as_identifier()),
    }
}
