// SPDX-License-Identifier: GPL-2.0

//! Types in Rust, as bindgen makes them of C for the kernel crate and for patches.

use super::{Parameter, Prototype, Type};
use std::borrow::Cow;

/// The types of C's own, and what they are in the kernel's Rust.
const BASE: [(&str, &str); 14] = [
    ("_Bool", "bool"),
    ("char", "c_char"),
    ("signed char", "c_schar"),
    ("unsigned char", "c_uchar"),
    ("short", "c_short"),
    ("unsigned short", "c_ushort"),
    ("int", "c_int"),
    ("unsigned int", "c_uint"),
    ("long", "c_long"),
    ("unsigned long", "c_ulong"),
    ("long long", "c_longlong"),
    ("unsigned long long", "c_ulonglong"),
    ("__int128", "i128"),
    ("unsigned __int128", "u128"),
];

/// The same of names that the kernel gives to numbers.
const NUMBERS: [(&str, &str); 19] = [
    ("bool", "bool"),
    ("u8", "u8"),
    ("u16", "u16"),
    ("u32", "u32"),
    ("u64", "u64"),
    ("s8", "i8"),
    ("s16", "i16"),
    ("s32", "i32"),
    ("s64", "i64"),
    ("uint8_t", "u8"),
    ("uint16_t", "u16"),
    ("uint32_t", "u32"),
    ("uint64_t", "u64"),
    ("int8_t", "i8"),
    ("int16_t", "i16"),
    ("int32_t", "i32"),
    ("int64_t", "i64"),
    ("size_t", "usize"),
    ("ssize_t", "isize"),
];

/// How long a line may be.
const LINE: usize = 100;

/// Words that nothing can be called in Rust.
const KEYWORDS: [&str; 53] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];

/// Whether something can be called that in Rust.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|one| one.is_ascii_alphanumeric() || one == '_')
        && !KEYWORDS.contains(&name)
}

impl Parameter {
    /// Its name, or one for the parameter of this number, from 0.
    pub(super) fn name_or(&self, number: usize) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("arg{}", number + 1)),
        }
    }
}

impl Prototype {
    /// A function of this type, up to its body.
    pub fn rust(&self, name: &str) -> String {
        let parameters = self.parameters.iter().enumerate();
        let parameters = parameters.map(|(number, parameter)| {
            let name = parameter.name_or(number);
            let end = if is_identifier(&name) { "" } else { "_" };
            format!("{name}{end}: {}", parameter.kind.rust())
        });
        let parameters: Vec<_> = parameters.collect();
        let result = self.rust_result();
        let line = format!("extern \"C\" fn {name}({}){result}", parameters.join(", "));
        // As rustfmt has it, with the brace that follows.
        if line.len() + 2 <= LINE {
            return line;
        }
        let parameters = parameters.iter().map(|one| format!("    {one},\n"));
        let parameters: String = parameters.collect();
        format!("extern \"C\" fn {name}(\n{parameters}){result}")
    }

    fn rust_result(&self) -> String {
        match &self.result {
            Type::Void => String::new(),
            result => format!(" -> {}", result.rust()),
        }
    }
}

impl Type {
    fn rust(&self) -> String {
        let known = |table: &[(&str, &str)], name: &str| {
            let found = table.iter().find(|(c, _)| *c == name);
            found.map(|(_, rust)| (*rust).to_owned())
        };
        let bound = |name: &str| format!("bindings::{name}");
        match self {
            Type::Void => "c_void".to_owned(),
            Type::Base(name) => known(&BASE, name).unwrap_or_else(|| name.clone()),
            Type::Typedef(name) => known(&NUMBERS, name).unwrap_or_else(|| bound(name)),
            Type::Tagged(_, name) => bound(name),
            Type::Qualified(_, of) => of.rust(),
            Type::Array(of, length) => format!("[{}; {}]", of.rust(), length.unwrap_or(0)),
            Type::Pointer(to) => match &**to {
                Type::Function(prototype) => prototype.rust_pointer(),
                Type::Qualified("const", of) => format!("*const {}", of.rust()),
                to => format!("*mut {}", to.rust()),
            },
            // In C, there are only pointers to functions.
            Type::Function(prototype) => prototype.rust_pointer(),
        }
    }
}

impl Prototype {
    fn rust_pointer(&self) -> String {
        let parameters = self.parameters.iter();
        let mut kinds: Vec<_> = parameters.map(|one| one.kind.rust()).collect();
        if self.is_variadic {
            kinds.push("...".to_owned());
        }
        format!(
            "Option<unsafe extern \"C\" fn({}){}>",
            kinds.join(", "),
            self.rust_result()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tag;
    use super::*;

    fn parameter(name: Option<&str>, kind: Type) -> Parameter {
        Parameter {
            name: name.map(str::to_owned),
            kind,
        }
    }

    fn pointer(to: Type) -> Type {
        Type::Pointer(Box::new(to))
    }

    #[test]
    fn a_function_in_rust() {
        let inode = || Type::Tagged(Tag::Struct, "inode".into());
        let constant = Type::Qualified("const", Box::new(Type::base("char")));
        let callback = Prototype {
            result: Type::Void,
            parameters: vec![parameter(None, pointer(Type::Void))],
            is_variadic: false,
        };
        let prototype = Prototype {
            result: Type::base("long int"),
            parameters: vec![
                parameter(Some("inode"), pointer(inode())),
                parameter(Some("type"), pointer(constant)),
                parameter(None, Type::Typedef("u64".into())),
                parameter(Some("pos"), pointer(Type::Typedef("loff_t".into()))),
                parameter(Some("done"), pointer(Type::Function(Box::new(callback)))),
            ],
            is_variadic: false,
        };
        assert_eq!(
            prototype.rust("new"),
            "extern \"C\" fn new(\n    inode: *mut bindings::inode,\n    type_: *const c_char,\n    \
             arg3: u64,\n    pos: *mut bindings::loff_t,\n    \
             done: Option<unsafe extern \"C\" fn(*mut c_void)>,\n) -> c_long"
        );
        let short = Prototype {
            result: Type::Void,
            parameters: prototype.parameters[..1].to_vec(),
            is_variadic: false,
        };
        assert_eq!(
            short.rust("new"),
            "extern \"C\" fn new(inode: *mut bindings::inode)"
        );
    }
}
