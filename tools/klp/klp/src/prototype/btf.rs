// SPDX-License-Identifier: GPL-2.0

//! Types of functions in BTF (Documentation/bpf/btf.rst of the kernel).

use super::{Known, Parameter, Prototype, Tag, Type, MAX_DEPTH};
use anyhow::{anyhow, bail, ensure, Context, Result};
use btf_rs::{BtfType, Type as Raw};

/// What files of BTF alone begin with, in either byte order.
const MAGIC: [[u8; 2]; 2] = [[0x9f, 0xeb], [0xeb, 0x9f]];

/// The BTF of a kernel or a module.
pub struct Btf(btf_rs::Btf);

impl Btf {
    /// Whether a file holds BTF and nothing else.
    pub fn is_btf(data: &[u8]) -> bool {
        MAGIC.iter().any(|magic| data.starts_with(magic))
    }

    /// The BTF of a kernel.
    ///
    /// # Errors
    ///
    /// It is damaged, or of a kind that is not known.
    pub fn of_kernel(data: &[u8]) -> Result<Self> {
        btf_rs::Btf::from_bytes(data).map(Btf).map_err(damaged)
    }

    /// The BTF of a module, which refers to that of its kernel.
    ///
    /// # Errors
    ///
    /// It is damaged, or that of another kernel.
    pub fn of_module(data: &[u8], kernel: &Btf) -> Result<Self> {
        let read = btf_rs::Btf::from_split_bytes(data, &kernel.0);
        read.map(Btf).map_err(damaged)
    }

    /// What is known of the type of a function.
    ///
    /// # Errors
    ///
    /// It is damaged, or refers to BTF of another kernel.
    pub fn function(&self, name: &str) -> Result<Known> {
        // What the kernel has by that name is none of the module's.
        let section = self.0.split().unwrap_or_else(|| self.0.base());
        let mut known = Known::None;
        for one in section.resolve_types_by_name(name).map_err(damaged)? {
            if let Raw::Func(function) = one {
                known.add(self.prototype(self.target(&function)?, 0)?);
            }
        }
        Ok(known)
    }

    /// The type that another one refers to.
    fn target(&self, of: &dyn BtfType) -> Result<Raw> {
        let id = of.get_type_id().context("its BTF is damaged")?;
        self.0.resolve_type_by_id(id).map_err(damaged)
    }

    fn name(&self, of: &dyn BtfType) -> Result<String> {
        self.0.resolve_name(of).map_err(damaged)
    }

    fn prototype(&self, raw: Raw, depth: usize) -> Result<Prototype> {
        let Raw::FuncProto(function) = raw else {
            bail!("its BTF is damaged: a function has no type");
        };
        let mut parameters = Vec::new();
        let mut is_variadic = false;
        for parameter in &function.parameters {
            if parameter.is_variadic() {
                is_variadic = true;
                continue;
            }
            parameters.push(Parameter {
                name: Some(self.name(parameter)?).filter(|name| !name.is_empty()),
                kind: self.kind(self.target(parameter)?, depth + 1)?,
            });
        }
        let result = self.0.resolve_type_by_id(function.return_type_id());
        Ok(Prototype {
            result: self.kind(result.map_err(damaged)?, depth + 1)?,
            parameters,
            is_variadic,
        })
    }

    fn kind(&self, raw: Raw, depth: usize) -> Result<Type> {
        ensure!(depth <= MAX_DEPTH, "its BTF is damaged: a type has no end");
        let inner = |of: &dyn BtfType| self.kind(self.target(of)?, depth + 1);
        let tagged = |tag: Tag, of: &dyn BtfType| -> Result<Type> {
            let name = self.name(of)?;
            ensure!(!name.is_empty(), "a {} without a name", tag.word());
            Ok(Type::Tagged(tag, name))
        };
        Ok(match &raw {
            Raw::Void => Type::Void,
            Raw::Int(of) => Type::base(&self.name(of)?),
            Raw::Float(of) => Type::base(&self.name(of)?),
            Raw::Ptr(of) => Type::pointer(inner(of)?),
            Raw::Array(of) => Type::Array(Box::new(inner(of)?), u64::try_from(of.len()).ok()),
            Raw::Struct(of) => tagged(Tag::Struct, of)?,
            Raw::Union(of) => tagged(Tag::Union, of)?,
            Raw::Fwd(of) if of.is_union() => tagged(Tag::Union, of)?,
            Raw::Fwd(of) => tagged(Tag::Struct, of)?,
            Raw::Enum(of) => tagged(Tag::Enum, of)?,
            Raw::Enum64(of) => tagged(Tag::Enum, of)?,
            Raw::Typedef(of) => Type::Typedef(self.name(of)?),
            Raw::Const(of) => Type::Qualified("const", Box::new(inner(of)?)),
            Raw::Volatile(of) => Type::Qualified("volatile", Box::new(inner(of)?)),
            // Neither changes the type of a function that has it.
            Raw::Restrict(of) => inner(of)?,
            Raw::TypeTag(of) => inner(of)?,
            Raw::FuncProto(_) => Type::Function(Box::new(self.prototype(raw, depth + 1)?)),
            other => bail!("its BTF is damaged: a {} as a type", other.name()),
        })
    }
}

fn damaged(error: btf_rs::Error) -> anyhow::Error {
    anyhow!("its BTF cannot be read: {error}")
}
