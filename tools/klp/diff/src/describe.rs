// SPDX-License-Identifier: GPL-2.0

//! The source of what describes a livepatch to the kernel: the `struct klp_patch` of
//! `<linux/livepatch.h>`, which kbuild compiles and links with the emitted objects.

use crate::model::{Callback, CallbackKind, Decision, Patch, Reason, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How the patch is to behave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What is said of the module.
    pub description: String,
    /// Whether it replaces all earlier livepatches.
    pub replace: bool,
    /// The namespaces of the exported symbols that it uses.
    pub namespaces: BTreeSet<String>,
}

/// What is done with one object.
#[derive(Default)]
struct Object<'a> {
    /// Its name in the kernel, position, and the symbol of the new one.
    functions: Vec<(&'a str, u64, &'a str)>,
    /// With the source file that declares it.
    callbacks: BTreeMap<CallbackKind, (&'a Callback, &'a str)>,
}

/// The C source for a livepatch of one or several units.
///
/// # Errors
///
/// If several units have a callback of one kind for the same object: units are compared one by one,
/// so that only here it is seen.
pub fn describe<'a>(
    patches: impl IntoIterator<Item = &'a Patch>,
    options: &Options,
) -> Result<String, Box<Refusal>> {
    let objects = objects(patches)?;
    let mut out = String::from(
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/livepatch.h>\n#include \
         <linux/module.h>\n#include <linux/objtool.h>\n\n/* Each has the type of the function that it replaces, or of the callback \
         that it is. */\n",
    );
    let functions = objects.values().flat_map(|object| &object.functions);
    let callbacks = objects
        .values()
        .flat_map(|object| object.callbacks.values());
    let symbols: BTreeSet<&str> = functions
        .map(|(_, _, symbol)| *symbol)
        .chain(callbacks.map(|(callback, _)| callback.symbol.as_str()))
        .collect();
    for symbol in symbols {
        line(&mut out, format_args!("extern void {symbol}(void);"));
    }
    // Kernels with IBT have objtool look at all parts of the module together.
    out.push_str(
        "\n#if defined(CONFIG_X86_KERNEL_IBT) && defined(ANNOTATE_NOENDBR_SYM)\n/* ftrace does not \
         jump to these by their addresses: it returns to them. */\n",
    );
    let functions = objects.values().flat_map(|object| &object.functions);
    for (_, _, symbol) in functions {
        line(&mut out, format_args!("ANNOTATE_NOENDBR_SYM({symbol});"));
    }
    out.push_str("#endif\n");
    // An object with callbacks only has a list of functions as well, which is empty.
    for (index, object) in objects.values().enumerate() {
        line(
            &mut out,
            format_args!("\nstatic struct klp_func functions_{index}[] = {{"),
        );
        for (old_name, position, symbol) in &object.functions {
            let name = quoted(old_name);
            line(
                &mut out,
                format_args!(
                    "\t{{ .old_name = {name}, .new_func = {symbol}, .old_sympos = {position} }},"
                ),
            );
        }
        out.push_str("\t{ }\n};\n");
    }
    out.push_str("\nstatic struct klp_object objects[] = {\n");
    for (index, (name, object)) in objects.iter().enumerate() {
        let name = match *name {
            "vmlinux" => String::new(),
            module => format!(".name = {}, ", quoted(module)),
        };
        let mut callbacks = String::new();
        for (kind, (callback, _)) in &object.callbacks {
            let (field, symbol) = (kind.field(), &callback.symbol);
            callbacks.push_str(&format!(", .callbacks.{field} = (void *){symbol}"));
        }
        line(
            &mut out,
            format_args!("\t{{ {name}.funcs = functions_{index}{callbacks} }},"),
        );
    }
    let replace = if options.replace { "true" } else { "false" };
    let description = quoted(&options.description);
    line(
        &mut out,
        format_args!(
            "\t{{ }}\n}};\n\nstatic struct klp_patch patch = {{\n\t.mod = THIS_MODULE,\n\t.objs = \
             objects,\n\t.replace = {replace},\n}};\n\nstatic int __init patch_init(void)\n{{\n\
             \treturn klp_enable_patch(&patch);\n}}\n\nstatic void __exit patch_exit(void)\n{{\n\
             }}\n\nmodule_init(patch_init);\nmodule_exit(patch_exit);\nMODULE_DESCRIPTION(\
             {description});\nMODULE_LICENSE(\"GPL\");\nMODULE_INFO(livepatch, \"Y\");"
        ),
    );
    // As MODULE_IMPORT_NS(), whose argument is a string since 6.13 only.
    for namespace in &options.namespaces {
        let namespace = quoted(namespace);
        line(
            &mut out,
            format_args!("MODULE_INFO(import_ns, {namespace});"),
        );
    }
    Ok(out)
}

/// Puts together what the units have for each object.
fn objects<'a>(
    patches: impl IntoIterator<Item = &'a Patch>,
) -> Result<BTreeMap<&'a str, Object<'a>>, Box<Refusal>> {
    let mut objects: BTreeMap<&str, Object<'_>> = BTreeMap::new();
    for patch in patches {
        let name = patch.object.as_str();
        for function in &patch.functions {
            if let Decision::Changed {
                old_name,
                position,
                symbol,
                ..
            } = &function.decision
            {
                let object = objects.entry(name).or_default();
                object.functions.push((old_name, *position, symbol));
            }
        }
        let source = patch.source.as_deref().unwrap_or("a source file");
        for callback in &patch.callbacks {
            let object = objects.entry(name).or_default();
            if let Some((other, file)) = object.callbacks.insert(callback.kind, (callback, source))
            {
                let reason = Reason::SeveralCallbacks {
                    kind: callback.kind,
                    first: format!("{} in {file}", other.function),
                    second: format!("{} in {source}", callback.function),
                };
                return Err(Box::new(Refusal::new(name, reason)));
            }
        }
    }
    Ok(objects)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

/// A string literal of C.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte.into());
            }
            b' '..=b'~' => out.push(byte.into()),
            // Always three digits, so that what follows is no part of it.
            byte => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}
