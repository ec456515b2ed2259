// SPDX-License-Identifier: GPL-2.0

//! The source of what describes a livepatch to the kernel: the `struct klp_patch` of
//! `<linux/livepatch.h>`, which kbuild compiles and links with the emitted objects.

use crate::model::{Decision, Patch};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How the patch is to behave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What is said of the module.
    pub description: String,
    /// Whether it replaces all earlier livepatches.
    pub replace: bool,
}

/// The C source for a livepatch of one or several units.
pub fn describe<'a>(patches: impl IntoIterator<Item = &'a Patch>, options: &Options) -> String {
    let mut objects: BTreeMap<&str, Vec<(&str, u64, &str)>> = BTreeMap::new();
    for patch in patches {
        for function in &patch.functions {
            if let Decision::Changed {
                old_name,
                position,
                symbol,
                ..
            } = &function.decision
            {
                let functions = objects.entry(patch.object.as_str()).or_default();
                functions.push((old_name, *position, symbol));
            }
        }
    }
    let mut out = String::from(
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/livepatch.h>\n#include \
         <linux/module.h>\n\n/* Each has the type of the function that it replaces. */\n",
    );
    for (_, _, symbol) in objects.values().flatten() {
        line(&mut out, format_args!("extern void {symbol}(void);"));
    }
    for (index, functions) in objects.values().enumerate() {
        line(
            &mut out,
            format_args!("\nstatic struct klp_func functions_{index}[] = {{"),
        );
        for (old_name, position, symbol) in functions {
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
    for (index, object) in objects.keys().enumerate() {
        let name = match *object {
            "vmlinux" => String::new(),
            module => format!(".name = {}, ", quoted(module)),
        };
        line(
            &mut out,
            format_args!("\t{{ {name}.funcs = functions_{index} }},"),
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
    out
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
