// SPDX-License-Identifier: GPL-2.0

//! How the author of a patch states which symbol is meant.
//!
//! `KLP_SYM(object, symbol, position)` of `include/linux/klp_sym.h` makes the compiler call a
//! function or variable `.klp.extern.<object>.<symbol>..<position>`; `KLP_SYM_FILE()` has the path
//! of a source file in place of the position. No C identifier starts with a dot, and the name of
//! an object has none, so that the parts are always found again.

use crate::object_name::ObjectNameBuf;
use livepatch_format::name::SymPos;
use std::fmt;

const PREFIX: &str = ".klp.extern.";

/// A symbol whose object and position are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is to be found.
    pub object: ObjectNameBuf,
    /// What it is called there.
    pub symbol: Vec<u8>,
    /// Which one of that name.
    pub position: SymPos,
}

/// What the author states of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Where it is to be found.
    pub object: ObjectNameBuf,
    /// What it is called there.
    pub symbol: Vec<u8>,
    /// Which one of that name.
    pub which: Which,
}

/// How an author tells one symbol from others of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its position.
    Position(SymPos),
    /// By the source file that defines it: a path, or the end of one.
    File(String),
}

/// A name that starts as a stated symbol does, and goes on differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Stated {
    /// The symbol that the author states; `None` for an ordinary name.
    pub fn parse(name: &[u8]) -> Option<Result<Self, Malformed>> {
        // clang keeps the quotes that the assembler needs around a path.
        let inner = name.strip_prefix(b"\"");
        let inner = inner.and_then(|rest| rest.strip_suffix(b"\""));
        let rest = inner.unwrap_or(name).strip_prefix(PREFIX.as_bytes())?;
        Some(Self::parse_parts(rest).ok_or(Malformed))
    }

    fn parse_parts(rest: &[u8]) -> Option<Self> {
        let dot = rest.iter().position(|&byte| byte == b'.')?;
        let (object, rest) = (&rest[..dot], &rest[dot + 1..]);
        let dots = rest.windows(2).rposition(|pair| pair == b"..")?;
        let (symbol, which) = (&rest[..dots], &rest[dots + 2..]);
        if symbol.is_empty() {
            return None;
        }
        Some(Stated {
            object: ObjectNameBuf::new(object).ok()?,
            symbol: symbol.to_vec(),
            which: Which::parse(which)?,
        })
    }
}

impl Which {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Which::Position(SymPos(text.parse().ok()?)));
        }
        let name = text.rsplit('/').next()?;
        let has_extension = name.find('.').is_some_and(|dot| dot != 0);
        let is_path = has_extension && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_path.then(|| Which::File(text.to_owned()))
    }
}

/// Whether `stated` is the path of a source file, `known`, as far as both go.
pub fn is_same_file(stated: &str, known: &str) -> bool {
    stated
        .rsplit('/')
        .zip(known.rsplit('/'))
        .all(|(one, other)| one == other)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = self.symbol.escape_ascii();
        write!(f, "KLP_SYM({}, {symbol}, {})", self.object, self.position.0)
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, symbol) = (&self.object, self.symbol.escape_ascii());
        match &self.which {
            Which::Position(SymPos(position)) => {
                write!(f, "KLP_SYM({object}, {symbol}, {position})")
            }
            Which::File(file) => write!(f, "KLP_SYM_FILE({object}, {symbol}, \"{file}\")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<Result<String, Malformed>> {
        Stated::parse(name.as_bytes()).map(|result| result.map(|r| r.to_string()))
    }

    #[test]
    fn reads_object_symbol_and_position() {
        let stated = |text: &str| Some(Ok(text.to_owned()));
        assert_eq!(
            parse(".klp.extern.vmlinux.init_once..2"),
            stated("KLP_SYM(vmlinux, init_once, 2)")
        );
        assert_eq!(
            parse(".klp.extern.ext4.foo.isra.0..0"),
            stated("KLP_SYM(ext4, foo.isra.0, 0)")
        );
        assert_eq!(
            parse(".klp.extern.m.a..b..12"),
            stated("KLP_SYM(m, a..b, 12)")
        );
    }

    #[test]
    fn reads_a_file_in_place_of_a_position() {
        let file = "KLP_SYM_FILE(vmlinux, level, \"drivers/a-b/8250.c\")";
        for name in [
            ".klp.extern.vmlinux.level..drivers/a-b/8250.c",
            "\".klp.extern.vmlinux.level..drivers/a-b/8250.c\"",
        ] {
            assert_eq!(parse(name), Some(Ok(file.to_owned())));
        }
        for (stated, known, same) in [
            ("fs/fat/inode.c", "/build/fs/fat/inode.c", true),
            ("fs/fat/inode.c", "inode.c", true),
            ("inode.c", "fs/fat/inode.c", true),
            ("fs/fat/inode.c", "fs/vfat/inode.c", false),
            ("inode.c", "fs/inode.h", false),
        ] {
            assert_eq!(is_same_file(stated, known), same, "{stated} {known}");
        }
    }

    #[test]
    fn leaves_ordinary_names_alone() {
        assert_eq!(parse("init_once"), None);
        assert_eq!(parse(".klp.sym.vmlinux.init_once,1"), None);
    }

    #[test]
    fn refuses_incomplete_names() {
        for name in [
            ".klp.extern.",
            ".klp.extern.vmlinux",
            ".klp.extern.vmlinux.init_once",
            ".klp.extern.vmlinux.init_once.2",
            ".klp.extern.vmlinux.init_once..",
            ".klp.extern.vmlinux.init_once..2U",
            ".klp.extern.vmlinux.init_once..-1",
            ".klp.extern.vmlinux.init_once..99999999999999999999",
            ".klp.extern.vmlinux.init_once..inode",
            ".klp.extern.vmlinux.init_once..fs/.c",
            ".klp.extern.vmlinux.init_once..fs/a b.c",
            ".klp.extern.vmlinux...1",
            ".klp.extern..init_once..1",
            ".klp.extern.a-module-name-that-is-longer-than-any-module-can-ever-be-named.x..1",
        ] {
            assert_eq!(parse(name), Some(Err(Malformed)), "{name}");
        }
    }
}
