// SPDX-License-Identifier: GPL-2.0

//! The source of a patch in Rust, and the declarations that it needs.

use super::c;
use super::patch::{Patch, Replaced};
use std::fmt::Write as _;

/// `NAME.rs`
pub(super) fn source(patch: &Patch) -> String {
    let template = match patch.is_default() {
        true => include_str!("templates/cmdline.rs.in"),
        false => include_str!("templates/function.rs.in"),
    };
    let replace = if patch.replace {
        "    replace: true,\n"
    } else {
        ""
    };
    let mut text = template
        .replace("@NAME@", &patch.name)
        .replace("@SENTENCE@", &super::sentence(&patch.title()))
        .replace("@TITLE@", &patch.title())
        .replace("@REPLACE@", replace);
    if patch.is_default() {
        return text;
    }
    text = text.replace("@OBJECTS@", &objects(patch));
    for (object, function) in patch.functions() {
        let new = format!("new_{}", function.identifier);
        let head = match &function.kind {
            Ok((prototype, _)) => prototype.rust(&new),
            Err(_) => format!("extern \"C\" fn {new}()"),
        };
        let _ = writeln!(
            text,
            "\n/// The new `{}` of {object}. The compiler checks its type against bindings.h.\n\
             {head} {{\n    \
                 compile_error!(\"{}.rs: write {new}(), then remove this line\");\n\
             }}",
            function.shown(),
            patch.name
        );
    }
    text
}

/// `bindings.h`
pub(super) fn bindings(patch: &Patch) -> String {
    if patch.is_default() {
        return include_str!("templates/cmdline.h.in").to_owned();
    }
    let mut text = include_str!("templates/function.h.in").to_owned();
    text += &super::compounds(patch);
    for (object, function) in patch.functions() {
        let Replaced { identifier, .. } = function;
        let shown = function.shown();
        let _ = match &function.kind {
            Ok((prototype, path)) => writeln!(
                text,
                "\n{}{};",
                c::comment(&shown, object.as_str(), path),
                c::wrap(&prototype.c(identifier))
            ),
            Err(_) => writeln!(
                text,
                "\n/* {shown} of {object}. */\n\
                 #error \"bindings.h: declare {identifier}(), then remove this line\"\n\
                 void {identifier}(void);"
            ),
        };
    }
    text
}

fn objects(patch: &Patch) -> String {
    let mut text = String::new();
    for patched in &patch.objects {
        let _ = writeln!(
            text,
            "        {} {{\n            functions: [",
            patched.object
        );
        for function in &patched.functions {
            let count = function
                .kind
                .as_ref()
                .map_or(0, |(kind, _)| kind.parameters.len());
            let parameters = vec!["_"; count].join(", ");
            let position = match function.position {
                0 => String::new(),
                position => format!("[{position}]"),
            };
            let Replaced {
                name, identifier, ..
            } = function;
            let old = match name == identifier {
                true => format!("{name}{position}"),
                false => format!("\"{name}\"{position} as {identifier}"),
            };
            let _ = writeln!(
                text,
                "                {old}({parameters}) => new_{identifier},"
            );
        }
        text += "            ],\n        },\n";
    }
    text
}
