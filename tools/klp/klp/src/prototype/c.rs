// SPDX-License-Identifier: GPL-2.0

//! Types in C.

use super::{Parameter, Prototype, Type};

impl Prototype {
    /// A declaration of a function of this type, up to its `;` or body.
    pub fn c(&self, name: &str) -> String {
        self.declare(name, |_, parameter| parameter.name.clone())
    }

    /// The same where all parameters have names, for a definition.
    pub fn c_definition(&self, name: &str) -> String {
        self.declare(name, |number, parameter| {
            Some(parameter.name_or(number).into_owned())
        })
    }

    fn declare(
        &self,
        declarator: &str,
        name: impl Fn(usize, &Parameter) -> Option<String>,
    ) -> String {
        let parameters = self.parameters.iter().enumerate();
        let mut words: Vec<String> = parameters
            .map(|(number, parameter)| {
                let name = name(number, parameter).unwrap_or_default();
                parameter.kind.declare(&name)
            })
            .collect();
        if self.is_variadic {
            words.push("...".to_owned());
        }
        if words.is_empty() {
            words.push("void".to_owned());
        }
        let declarator = format!("{declarator}({})", words.join(", "));
        self.result.declare(&declarator)
    }
}

impl Type {
    /// The declaration of what `declarator` names, which is empty for the type itself.
    fn declare(&self, declarator: &str) -> String {
        let join = |name: &str| match declarator {
            "" => name.to_owned(),
            _ => format!("{name} {declarator}"),
        };
        match self {
            Type::Void => join("void"),
            Type::Base(name) | Type::Typedef(name) => join(name),
            Type::Tagged(tag, name) => join(&format!("{} {name}", tag.word())),
            Type::Pointer(to) => match **to {
                Type::Array(..) | Type::Function(_) => to.declare(&format!("(*{declarator})")),
                _ => to.declare(&format!("*{declarator}")),
            },
            Type::Qualified(word, of) => match **of {
                Type::Pointer(_) => of.declare(&match declarator {
                    "" => (*word).to_owned(),
                    _ => format!("{word} {declarator}"),
                }),
                _ => format!("{word} {}", of.declare(declarator)),
            },
            Type::Array(of, length) => {
                let length = length.map(|length| length.to_string());
                of.declare(&format!("{declarator}[{}]", length.unwrap_or_default()))
            }
            Type::Function(prototype) => {
                prototype.declare(declarator, |_, parameter| parameter.name.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tag;
    use super::*;

    fn pointer(to: Type) -> Type {
        Type::Pointer(Box::new(to))
    }

    fn constant(of: Type) -> Type {
        Type::Qualified("const", Box::new(of))
    }

    fn function(result: Type, parameters: &[Type]) -> Prototype {
        let parameters = parameters.iter().map(|kind| Parameter {
            name: None,
            kind: kind.clone(),
        });
        Prototype {
            result,
            parameters: parameters.collect(),
            is_variadic: false,
        }
    }

    #[test]
    fn declarators_are_written_from_the_inside() {
        let inode = || Type::Tagged(Tag::Struct, "inode".into());
        let handler = function(Type::base("int"), &[pointer(inode())]);
        for (kind, text) in [
            (Type::base("int"), "int x"),
            (pointer(inode()), "struct inode *x"),
            (pointer(constant(inode())), "const struct inode *x"),
            (constant(pointer(inode())), "struct inode *const x"),
            (pointer(pointer(Type::Void)), "void **x"),
            (
                Type::Array(Box::new(Type::base("char")), Some(8)),
                "char x[8]",
            ),
            (
                pointer(Type::Array(Box::new(Type::base("int")), Some(2))),
                "int (*x)[2]",
            ),
            (
                pointer(Type::Function(Box::new(handler.clone()))),
                "int (*x)(struct inode *)",
            ),
        ] {
            assert_eq!(kind.declare("x"), text);
        }
        let get = function(
            pointer(Type::Function(Box::new(handler))),
            &[constant(pointer(Type::Void))],
        );
        assert_eq!(get.c("get"), "int (*get(void *const))(struct inode *)");
    }

    #[test]
    fn a_definition_names_its_parameters() {
        let mut print = function(Type::Void, &[Type::base("int"), Type::Typedef("u8".into())]);
        print.parameters[1].name = Some("level".into());
        print.is_variadic = true;
        assert_eq!(print.c("print"), "void print(int, u8 level, ...)");
        assert_eq!(
            print.c_definition("print"),
            "void print(int arg1, u8 level, ...)"
        );
        assert_eq!(function(Type::Void, &[]).c("f"), "void f(void)");
    }
}
