// SPDX-License-Identifier: GPL-2.0

//! What must hold of the description of a patch, `struct klp_patch` and what it points to, before
//! anything in it is looked up.

use super::name::{ObjectName, SymPos, Text, OBJECT_NAME_MAX, SYMBOL_NAME_MAX, VMLINUX};
use core::fmt;

/// The files in the directory of a patch in sysfs, where its objects have directories.
const PATCH_FILES: [&[u8]; 5] = [
    b"enabled",
    b"transition",
    b"force",
    b"replace",
    b"stack_order",
];

/// What is wrong with a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'a> {
    /// No list of objects, or an empty one in a patch that does not replace others.
    NoObjects,
    /// The name of an object is longer than a module name can be.
    ObjectNameTooLong,
    /// A name that no module can have, or that stands for something else where objects are shown.
    ObjectName { object: &'a [u8] },
    /// The name of a module's file, where its name differs.
    ObjectFileName { object: &'a [u8] },
    /// A module that relocations wait for, and that is none of the objects.
    NoObject { object: &'a [u8] },
    /// An object without a list of functions.
    NoFunctions { object: &'a [u8] },
    /// An object that is there before.
    ObjectTwice { object: &'a [u8] },
    /// A function without a name.
    NoName { object: &'a [u8] },
    /// A name that no function can have.
    FunctionName { function: &'a [u8] },
    /// A function without a replacement.
    NoNewFunction {
        object: &'a [u8],
        function: &'a [u8],
    },
    /// A function that is there before.
    FunctionTwice {
        object: &'a [u8],
        function: &'a [u8],
    },
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::NoObjects => f.write_str("it has no objects"),
            Fault::ObjectNameTooLong => f.write_str("an object's name is too long"),
            Fault::ObjectName { object } => {
                write!(f, "'{}' cannot be an object's name", Text(object))
            }
            Fault::ObjectFileName { object } => write!(
                f,
                "no module that is loaded is called '{}': write '{}'",
                Text(object),
                ModuleOf(object)
            ),
            Fault::NoObject { object } => write!(
                f,
                "it has livepatch relocations for '{}', which is none of its objects, so that \
                 they would never be applied: add it to them; its list of functions may be empty",
                Text(object)
            ),
            Fault::NoFunctions { object } => {
                write!(f, "object '{}' has no functions", Text(object))
            }
            Fault::ObjectTwice { object } => write!(f, "object '{}' is there twice", Text(object)),
            Fault::NoName { object } => {
                write!(f, "a function of object '{}' has no name", Text(object))
            }
            Fault::FunctionName { function } => {
                write!(f, "'{}' cannot be a function's name", Text(function))
            }
            Fault::NoNewFunction { object, function } => write!(
                f,
                "there is nothing to replace function '{}' of object '{}' with",
                Text(function),
                Text(object)
            ),
            Fault::FunctionTwice { object, function } => write!(
                f,
                "function '{}' of object '{}' is there twice",
                Text(function),
                Text(object)
            ),
        }
    }
}

/// What the file of a module ends with.
const FILE_SUFFIX: &[u8] = b".ko";

/// The name under which the kernel has the module of such a file.
struct ModuleOf<'a>(&'a [u8]);

impl fmt::Display for ModuleOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = stem(self.0).split(|&byte| byte == b'-');
        if let Some(first) = parts.next() {
            write!(f, "{}", Text(first))?;
        }
        parts.try_for_each(|part| write!(f, "_{}", Text(part)))
    }
}

/// The name of a module's file without what it ends with.
fn stem(name: &[u8]) -> &[u8] {
    name.strip_suffix(FILE_SUFFIX).unwrap_or(name)
}

/// Whether it is the name of a file rather than that of a module, which kbuild makes of it
/// (`KBUILD_MODNAME`): no module that is loaded is called so.
fn is_file_name(name: &[u8]) -> bool {
    (name.contains(&b'-') || stem(name).len() < name.len()) && ObjectName::new(stem(name)).is_ok()
}

/// Checks how many objects a patch has, `None` where it has no list of them. One that replaces all
/// earlier patches may have an empty list: it takes back what they do.
///
/// # Errors
///
/// [`Fault::NoObjects`]
pub fn objects(count: Option<usize>, replace: bool) -> core::result::Result<(), Fault<'static>> {
    match count {
        Some(0) if replace => Ok(()),
        Some(0) | None => Err(Fault::NoObjects),
        Some(_) => Ok(()),
    }
}

/// Checks the name of an object, `None` for the kernel itself; returns how it is shown.
///
/// # Errors
///
/// [`Fault::ObjectNameTooLong`], [`Fault::ObjectFileName`], [`Fault::ObjectName`]
pub fn object<'a>(name: Option<&'a [u8]>) -> core::result::Result<&'a [u8], Fault<'a>> {
    match name {
        Some(name) if name.len() > OBJECT_NAME_MAX => Err(Fault::ObjectNameTooLong),
        Some(name) if is_file_name(name) => Err(Fault::ObjectFileName { object: name }),
        // One that is called so is not the kernel itself, and no module either.
        Some(name)
            if ObjectName::new(name).is_err() || name == VMLINUX || PATCH_FILES.contains(&name) =>
        {
            Err(Fault::ObjectName { object: name })
        }
        Some(name) => Ok(name),
        None => Ok(VMLINUX),
    }
}

/// Checks a function of `object`, which is to be replaced by `new`; returns its name and that.
///
/// # Errors
///
/// [`Fault::NoName`], [`Fault::FunctionName`], [`Fault::NoNewFunction`]
pub fn function<'a, N, F>(
    object: &'a [u8],
    name: Option<&'a N>,
    new: Option<F>,
) -> core::result::Result<(&'a N, F), Fault<'a>>
where
    N: ?Sized + Name,
{
    let name = name.ok_or(Fault::NoName { object })?;
    let function = name.name();
    // It also names a directory in sysfs, where a slash would become something else.
    let is_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
    if !(1..=SYMBOL_NAME_MAX).contains(&function.len()) || !function.iter().all(is_name) {
        return Err(Fault::FunctionName { function });
    }
    let new = new.ok_or(Fault::NoNewFunction { object, function })?;
    Ok((name, new))
}

/// Whatever a name is kept in.
pub trait Name {
    /// Its bytes, without a NUL.
    fn name(&self) -> &[u8];
}

impl Name for [u8] {
    fn name(&self) -> &[u8] {
        self
    }
}

impl Name for core::ffi::CStr {
    fn name(&self) -> &[u8] {
        self.to_bytes()
    }
}

/// Whether two positions of one name stand for one symbol. Position 0 says that there is one of
/// that name, which makes it the first.
pub fn is_same_position(SymPos(one): SymPos, SymPos(other): SymPos) -> bool {
    one.max(1) == other.max(1)
}
