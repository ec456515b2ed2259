// SPDX-License-Identifier: GPL-2.0

//! What is wrong with the functions that a module patches.

use super::file::{advice, clone, unsteady};
use super::finding::{Finding, Place};
use super::{reasons, statics, Lint};
use crate::clones;
use crate::description::{self, Function, Object, Patch};
use crate::knowledge::Known;
use crate::object_name::ObjectNameBuf;
use crate::symbols::Candidate;
use livepatch_format::name::{ObjectName, Text, VMLINUX};
use livepatch_format::patch::{self, Fault};
use livepatch_format::refusal::{Refusal, Unresolved};

/// How many functions are named that have a copy of another.
const SHOWN: usize = 8;

/// A function of an object that is replaced.
pub(super) struct Replaced<'n, 'k> {
    /// Its name.
    pub(super) name: &'n [u8],
    /// What is known of it.
    pub(super) candidate: &'k Candidate,
    /// The name of what runs instead.
    pub(super) new: Option<&'n [u8]>,
}

/// Checks everything that the module patches.
pub(super) fn check(lint: &mut Lint<'_>) {
    let patches = match description::patches(lint.module) {
        Ok(patches) => patches,
        Err(why) => return lint.unchecked(format!("what it patches cannot be told: {why}")),
    };
    if patches.is_empty() {
        if lint.module.is_marked() {
            let message = "it is marked as a livepatch, but does not call klp_enable_patch()";
            lint.push(Finding::warning(
                "enables-nothing",
                message.into(),
                Place::default(),
            ));
        }
        return;
    }
    let mut complete = true;
    let mut objects: Vec<ObjectNameBuf> = Vec::new();
    for patch in &patches {
        complete &= matches!(&patch.objects, Ok(Some(_)));
        check_patch(lint, patch);
        for object in patch.objects.iter().flatten().flatten() {
            objects.extend(ObjectNameBuf::new(
                object.name.as_deref().unwrap_or(VMLINUX),
            ));
        }
    }
    // Those for a module wait for an object of the patch.
    for object in std::mem::take(&mut lint.section_objects) {
        if complete && !object.is_vmlinux() && !objects.contains(&object) {
            let object = object.as_str().as_bytes();
            let refusal = Refusal::Incomplete {
                patch: lint.module.name(),
                fault: Fault::NoObject { object },
            };
            let place = Place::function(object, None);
            for patch in &patches {
                refuse(lint, patch, &refusal, place.clone());
            }
        }
    }
    depends(lint, &objects);
}

/// A patch that needs its target loads only after it, and the target never unloads.
fn depends(lint: &mut Lint<'_>, objects: &[ObjectNameBuf]) {
    let depends = lint.module.info(b"depends").unwrap_or_default();
    for needed in depends.split(|&byte| byte == b',') {
        if objects
            .iter()
            .any(|object| object.as_str().as_bytes() == needed)
        {
            let message = format!(
                "it depends on {}, which it patches: it can only be loaded after it, and keeps it \
                 from being unloaded",
                Text(needed)
            );
            let finding =
                Finding::warning("depends-on-target", message, Place::function(needed, None));
            lint.push(
                finding.help(
                    "klp convert --module TARGET.ko makes livepatch symbols of what it exports",
                ),
            );
        }
    }
}

/// Adds what the kernel would refuse, unless the module's code may change it before.
fn refuse(lint: &mut Lint<'_>, patch: &Patch, refusal: &Refusal<'_>, place: Place) {
    refuse_with(lint, patch, refusal, place, None);
}

/// The same, with what to do instead.
fn refuse_with(
    lint: &mut Lint<'_>,
    patch: &Patch,
    refusal: &Refusal<'_>,
    place: Place,
    help: Option<String>,
) {
    let mut finding = Finding::refusal(refusal, place);
    finding.help = help;
    lint.push(match patch.changeable {
        Some(what) => finding.uncertain(&format!(
            "it would be refused as the file has it; the module's code refers to {what}, which it \
             may change before"
        )),
        None => finding,
    });
}

fn check_patch(lint: &mut Lint<'_>, patch: &Patch) {
    let name = lint.module.name();
    if !patch.has_module {
        refuse(lint, patch, &Refusal::NoModule, Place::default());
    }
    let incomplete = |lint: &mut Lint<'_>, fault, place| {
        refuse(
            lint,
            patch,
            &Refusal::Incomplete { patch: name, fault },
            place,
        );
    };
    let objects = match &patch.objects {
        Ok(objects) => objects.as_deref(),
        Err(why) => return lint.unchecked(format!("what it patches cannot be told: {why}")),
    };
    // Where the file does not tell, the patch may be one that takes back what others do.
    let replace = patch.replace.unwrap_or(true);
    if let Err(fault) = patch::objects(objects.map(<[Object]>::len), replace) {
        incomplete(lint, fault, Place::default());
    }
    let objects = objects.unwrap_or_default();
    for (number, object) in objects.iter().enumerate() {
        let shown = match patch::object(object.name.as_deref()) {
            Ok(shown) => shown,
            Err(fault) => {
                incomplete(lint, fault, Place::default());
                continue;
            }
        };
        let place = Place::function(shown, None);
        if objects[..number]
            .iter()
            .any(|other| other.name == object.name)
        {
            incomplete(lint, Fault::ObjectTwice { object: shown }, place.clone());
        }
        match &object.functions {
            Ok(None) => incomplete(lint, Fault::NoFunctions { object: shown }, place),
            Ok(Some(functions)) => {
                check_functions(lint, patch, object, shown, functions);
            }
            Err(why) => lint.unchecked(format!(
                "the functions of {} cannot be told: {why}",
                Text(shown)
            )),
        }
    }
}

fn check_functions(
    lint: &mut Lint<'_>,
    patch: &Patch,
    object: &Object,
    shown: &[u8],
    functions: &[Function],
) {
    let name = lint.module.name();
    let mut good = Vec::new();
    for (number, function) in functions.iter().enumerate() {
        let place = Place::function(shown, function.name.as_deref());
        let checked = patch::function(shown, function.name.as_deref(), function.new.as_ref());
        let fault = match checked {
            Ok((name, _)) => {
                let again = |other: &Function| {
                    other.name.as_deref() == Some(name)
                        && patch::is_same_position(other.position, function.position)
                };
                if functions[..number].iter().any(again) {
                    Fault::FunctionTwice {
                        object: shown,
                        function: name,
                    }
                } else {
                    good.push((name, function));
                    continue;
                }
            }
            Err(fault) => fault,
        };
        refuse(
            lint,
            patch,
            &Refusal::Incomplete { patch: name, fault },
            place,
        );
    }
    let Ok(object_name) = ObjectName::new(object.name.as_deref().unwrap_or(VMLINUX)) else {
        return;
    };
    let Some(known) = lint.knowledge.get(object_name.as_bytes()) else {
        if !good.is_empty() {
            lint.unknown_object(object_name.as_bytes());
        }
        return;
    };
    let mut found: Vec<Replaced<'_, '_>> = Vec::new();
    for (name, function) in good {
        let place = Place::function(shown, Some(name));
        let candidate = match known.find(object_name, name, function.position) {
            Ok(candidate) => candidate,
            Err(unresolved) => {
                let help = match unresolved {
                    Unresolved::NotFound { symbol } => {
                        Some(reasons::not_found(lint.knowledge, known, symbol))
                    }
                    Unresolved::Ambiguous { .. } | Unresolved::Position { .. } => {
                        advice(lint.knowledge, unresolved)
                            .map(|all| format!("say with .old_sympos which one is meant: {all}"))
                    }
                    Unresolved::Freed { .. } => None,
                };
                let refusal = Refusal::Function(unresolved);
                refuse_with(lint, patch, &refusal, place, help);
                continue;
            }
        };
        if known.symbols.also_while_loading(name) {
            lint.push(unsteady(object_name, name, place.clone()));
        }
        if let Some(first) = found
            .iter()
            .find(|other| known.is_same(other.candidate, candidate))
        {
            let refusal = Refusal::SameFunction {
                first: first.name,
                second: name,
            };
            refuse(lint, patch, &refusal, place.clone());
        }
        found.push(Replaced {
            name,
            candidate,
            new: function.new.as_ref().and_then(|new| new.symbol.as_deref()),
        });
        let reachable = known
            .sites
            .as_ref()
            .map(|sites| sites.reach(&known.symbols, candidate));
        if reachable == Some(false) || !candidate.may_be_code() {
            let help = reasons::not_traced(known, name, candidate);
            let refusal = Refusal::NoLocation { function: name };
            refuse_with(lint, patch, &refusal, place, Some(help));
        } else if reachable.is_none() {
            lint.unchecked(format!(
                "whether ftrace reaches the functions of {object_name}: {} does not list its call \
                 sites",
                known.symbols.source.display()
            ));
        }
    }
    for replaced in &found {
        warn(lint, known, object_name, replaced);
    }
    statics::check(lint, known, shown, &found);
    clones(lint, known, shown, &found);
    inlined(lint, known, shown, &found);
}

/// What somebody should know of a function that can be patched.
fn warn(lint: &mut Lint<'_>, known: &Known, object: ObjectName<'_>, replaced: &Replaced<'_, '_>) {
    let &Replaced {
        name,
        candidate,
        new,
    } = replaced;
    let place = Place::function(object.as_bytes(), Some(name));
    if object.is_vmlinux() && reasons::is_always_running(name) {
        let message = format!(
            "some task is always in '{}': the transition will not end by itself",
            Text(name)
        );
        let finding = Finding::warning("function-always-running", message, place.clone());
        lint.push(finding.help("patch functions that it calls"));
    }
    clone(lint, known, "it patches", name, candidate, new, place);
}

/// Parts and copies of a function that have names of their own.
fn clones(lint: &mut Lint<'_>, known: &Known, object: &[u8], found: &[Replaced<'_, '_>]) {
    for &Replaced { name, .. } in found {
        let name_text = String::from_utf8_lossy(name);
        let clones: Vec<_> = known
            .symbols
            .names()
            .map(String::from_utf8_lossy)
            .filter(|other| clones::is_of(other, &name_text))
            .map(|name| name.escape_debug().to_string())
            .collect();
        if !clones.is_empty() {
            let message = format!(
                "the compiler made {} of '{}': calls may lead there, and are not patched",
                list(&clones),
                Text(name)
            );
            lint.push(Finding::warning(
                "function-cloned",
                message,
                Place::function(object, Some(name)),
            ));
        }
    }
}

/// Copies of a function in others.
fn inlined(lint: &mut Lint<'_>, known: &Known, object: &[u8], found: &[Replaced<'_, '_>]) {
    if found.is_empty() {
        return;
    }
    let source = known.symbols.source.display();
    let functions: Vec<_> = found.iter().map(|replaced| replaced.candidate).collect();
    let copies = match known.copies(&functions) {
        Ok(Some(copies)) => copies,
        Ok(None) => {
            return lint.unchecked(format!(
                "whether functions of {} are inlined elsewhere: {source} has no debug information",
                Text(object)
            ))
        }
        Err(error) => {
            return lint.unchecked(format!(
                "whether functions of {} are inlined elsewhere: the debug information of {source} \
                 cannot be read: {error:#}",
                Text(object)
            ))
        }
    };
    for (&Replaced { name, .. }, copies) in found.iter().zip(copies) {
        if !copies.is_empty() {
            let copies: Vec<_> = copies.into_iter().collect();
            let message = format!(
                "'{}' is inlined in {}, where it is not patched",
                Text(name),
                list(&copies)
            );
            let place = Place::function(object, Some(name));
            let finding = Finding::warning("function-inlined", message, place);
            lint.push(finding.help("patch these functions as well"));
        }
    }
}

pub(super) fn list(names: &[String]) -> String {
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("'{name}'"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
