// SPDX-License-Identifier: GPL-2.0

//! The source of a patch in C.

use super::patch::{Patch, Patched, Replaced};
use std::fmt::Write as _;
use std::path::Path;

/// How long a line may be.
const LINE: usize = 80;

/// The whole file.
pub(super) fn source(patch: &Patch) -> String {
    let mut text = match patch.is_default() {
        true => include_str!("templates/cmdline.c.in").to_owned(),
        false => {
            let mut text = include_str!("templates/function.c.in")
                .replace("@TITLE@", &super::sentence(&patch.title()));
            text += &super::compounds(patch);
            for (object, function) in patch.functions() {
                text += &replacement(&patch.name, object.as_str(), function);
            }
            text
        }
    };
    text += &tables(patch);
    text += &include_str!("templates/tail.c.in").replace("@TITLE@", &patch.title());
    text
}

/// A function that is replaced, the new one, and that both have the same type.
fn replacement(patch: &str, object: &str, function: &Replaced) -> String {
    let Replaced { identifier, .. } = function;
    let new = format!("new_{identifier}");
    let shown = function.shown();
    let write = format!("#error \"{patch}.c: write {new}(), then remove this line\"");
    let mut text = match &function.kind {
        Ok((prototype, path)) => format!(
            "\n{}{};\n\
             \n\
             {}\n\
             {{\n\
             {write}\n\
             }}\n",
            comment(&shown, object, path),
            wrap(&prototype.c(identifier)),
            wrap(&format!("static {}", prototype.c_definition(&new))),
        ),
        Err(_) => include_str!("templates/unknown.c.in")
            .replace("@FUNCTION@", &shown)
            .replace("@OBJECT@", object)
            .replace("@PATCH@", patch)
            .replace("@IDENTIFIER@", identifier)
            .replace("@WRITE@", &write),
    };
    let _ = writeln!(
        text,
        "static_assert(__same_type({identifier}, {new}),\n\
         \t      \"{new}() does not have the type of {identifier}()\");"
    );
    text
}

/// Says which function is declared, and whence.
pub(super) fn comment(shown: &str, object: &str, source: &Path) -> String {
    let source = source.display();
    let line = format!("/* {shown} of {object}, as {source} has it. */\n");
    match line.trim_end().len() > LINE {
        true => format!("/*\n * {shown} of {object}, as this file has it:\n * {source}\n */\n"),
        false => line,
    }
}

/// A declaration in lines that are not longer than the kernel's style has them, if its commas
/// let it.
pub(super) fn wrap(declaration: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (number, part) in declaration.split_inclusive(", ").enumerate() {
        // One more for what follows.
        if number > 0 && column + part.trim_end().len() >= LINE {
            text.truncate(text.trim_end().len());
            text += "\n\t\t";
            column = 16;
        }
        text += part;
        column += part.len();
    }
    text
}

/// What the livepatch core reads.
fn tables(patch: &Patch) -> String {
    let mut text = String::new();
    let name = |patched: &Patched| match patch.objects.len() {
        1 => "functions".to_owned(),
        _ => format!("{}_functions", patched.object.as_identifier()),
    };
    for patched in &patch.objects {
        let _ = writeln!(text, "\nstatic struct klp_func {}[] = {{", name(patched));
        for function in &patched.functions {
            let position = match function.position {
                0 => String::new(),
                position => format!(", .old_sympos = {position}"),
            };
            let _ = writeln!(
                text,
                "\t{{ .old_name = \"{}\", .new_func = new_{}{position} }},",
                function.name, function.identifier
            );
        }
        text += "\t{ }\n};\n";
    }
    text += "\nstatic struct klp_object objects[] = {\n";
    for patched in &patch.objects {
        let field = match patched.object.is_vmlinux() {
            true => String::new(),
            false => format!(".name = \"{}\", ", patched.object),
        };
        let _ = writeln!(text, "\t{{ {field}.funcs = {} }},", name(patched));
    }
    text += "\t{ }\n};\n\nstatic struct klp_patch patch = {\n\t.mod = THIS_MODULE,\n\t.objs = objects,\n";
    if patch.replace {
        text += "\t.replace = true,\n";
    }
    text += "};\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_declarations_are_wrapped() {
        let short = "int f(int a, int b)";
        assert_eq!(wrap(short), short);
        let name = "x".repeat(60);
        assert_eq!(
            wrap(&format!("int f(int {name}, struct other *{name}, int z)")),
            format!("int f(int {name},\n\t\tstruct other *{name},\n\t\tint z)")
        );
    }
}
