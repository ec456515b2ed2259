// SPDX-License-Identifier: GPL-2.0

//! The types of functions, as the kernel's own type information has them, and as C and Rust write
//! them.
//!
//! | | |
//! | --- | --- |
//! | [`btf`] | reads them from BTF; [`debug_info`](crate::debug_info) does from DWARF |
//! | [`c`], [`rust`] | write them |

pub mod btf;
mod c;
mod rust;

pub(crate) use rust::is_identifier;

use std::collections::BTreeSet;

/// How deep types may be in each other. What refers to itself has to end.
pub(crate) const MAX_DEPTH: usize = 32;

/// What a function takes and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// What it returns.
    pub result: Type,
    /// What it takes.
    pub parameters: Vec<Parameter>,
    /// Whether more may follow, `...`.
    pub is_variadic: bool,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What the source calls it; declarations may leave it out.
    pub name: Option<String>,
    /// Its type.
    pub kind: Type,
}

/// A type, as far as a declaration writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `void`
    Void,
    /// One of C's own, by its usual name: see [`Type::base`].
    Base(String),
    /// `struct`, `union` or `enum`, and its tag.
    Tagged(Tag, String),
    /// The name that `typedef` gave it.
    Typedef(String),
    /// A pointer to it.
    Pointer(Box<Type>),
    /// An array of it, and its length.
    Array(Box<Type>, Option<u64>),
    /// `const` or `volatile`, and what is.
    Qualified(&'static str, Box<Type>),
    /// A function.
    Function(Box<Prototype>),
}

/// What a tag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// `struct`
    Struct,
    /// `union`
    Union,
    /// `enum`
    Enum,
}

impl Tag {
    /// The word of C.
    pub fn word(self) -> &'static str {
        match self {
            Tag::Struct => "struct",
            Tag::Union => "union",
            Tag::Enum => "enum",
        }
    }
}

impl Type {
    /// A pointer. A `va_list` that is a parameter is one to what only the compiler has a name for.
    pub(crate) fn pointer(to: Type) -> Self {
        match to {
            Type::Tagged(Tag::Struct, name) if name == "__va_list_tag" => {
                Type::Typedef("va_list".to_owned())
            }
            to => Type::Pointer(Box::new(to)),
        }
    }

    /// A type of C's own by any of its names: compilers put the words in another order than
    /// people do, and say `int` where these leave it out.
    pub fn base(name: &str) -> Self {
        let mut words: Vec<&str> = name.split_whitespace().collect();
        if words.len() > 1 {
            words.retain(|&word| word != "int" && (word != "signed" || name.contains("char")));
            if words == ["unsigned"] {
                words.push("int");
            }
            words.sort_by_key(|&word| !matches!(word, "unsigned" | "signed"));
        }
        if words.is_empty() {
            words.push("int");
        }
        Type::Base(words.join(" "))
    }
}

impl Prototype {
    /// Whether callers could take one for the other: parameters may have other names.
    pub fn is_same(&self, other: &Self) -> bool {
        let kinds = |one: &Self| -> Vec<Type> {
            let parameters = one.parameters.iter();
            parameters.map(|parameter| parameter.kind.clone()).collect()
        };
        self.result == other.result
            && self.is_variadic == other.is_variadic
            && kinds(self) == kinds(other)
    }

    /// The structures and unions that it names.
    pub fn compounds(&self) -> BTreeSet<(Tag, &str)> {
        let mut found = BTreeSet::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut BTreeSet<(Tag, &'a str)>) {
        self.result.collect(found);
        for parameter in &self.parameters {
            parameter.kind.collect(found);
        }
    }
}

impl Type {
    fn collect<'a>(&'a self, found: &mut BTreeSet<(Tag, &'a str)>) {
        match self {
            Type::Tagged(tag @ (Tag::Struct | Tag::Union), name) => {
                found.insert((*tag, name));
            }
            Type::Pointer(of) | Type::Array(of, _) | Type::Qualified(_, of) => of.collect(found),
            Type::Function(prototype) => prototype.collect(found),
            Type::Void | Type::Base(_) | Type::Tagged(Tag::Enum, _) | Type::Typedef(_) => {}
        }
    }
}

/// What is known of the type of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// All functions of that name are of this type.
    One(Prototype),
    /// There are several, of different types.
    Several,
    /// There is none.
    None,
}

impl Known {
    /// One more function of that name.
    pub(crate) fn add(&mut self, prototype: Prototype) {
        match self {
            Known::One(known) if known.is_same(&prototype) => {}
            Known::None => *self = Known::One(prototype),
            Known::One(_) | Known::Several => *self = Known::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_c_have_their_usual_names() {
        for (name, usual) in [
            ("int", "int"),
            ("signed int", "int"),
            ("unsigned int", "unsigned int"),
            ("long unsigned int", "unsigned long"),
            ("unsigned long", "unsigned long"),
            ("long int", "long"),
            ("long long unsigned int", "unsigned long long"),
            ("short int", "short"),
            ("short unsigned int", "unsigned short"),
            ("unsigned char", "unsigned char"),
            ("signed char", "signed char"),
            ("char", "char"),
            ("_Bool", "_Bool"),
            ("__int128 unsigned", "unsigned __int128"),
        ] {
            assert_eq!(Type::base(name), Type::Base(usual.to_owned()), "{name}");
        }
    }

    #[test]
    fn functions_of_one_name_may_differ_in_the_names_of_parameters_only() {
        let prototype = |name: &str, kind: &str| Prototype {
            result: Type::Void,
            parameters: vec![Parameter {
                name: Some(name.to_owned()),
                kind: Type::base(kind),
            }],
            is_variadic: false,
        };
        let mut known = Known::None;
        known.add(prototype("first", "int"));
        known.add(prototype("second", "int"));
        assert_eq!(known, Known::One(prototype("first", "int")));
        known.add(prototype("first", "long"));
        assert_eq!(known, Known::Several);
        known.add(prototype("first", "int"));
        assert_eq!(known, Known::Several);
    }
}
