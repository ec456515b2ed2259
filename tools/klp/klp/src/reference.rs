// SPDX-License-Identifier: GPL-2.0

//! How the author of a patch states which symbol is meant.
//!
//! `KLP_SYM(object, symbol, position)` of `include/linux/klp_sym.h` makes the compiler call a
//! function or variable `.klp.extern.<object>.<symbol>..<position>`. No C identifier starts with
//! a dot, and the name of an object has none, so that the parts are always found again.

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

/// A name that starts as a stated symbol does, and goes on differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Reference {
    /// The symbol that the author states; `None` for an ordinary name.
    pub fn parse(name: &[u8]) -> Option<Result<Self, Malformed>> {
        let rest = name.strip_prefix(PREFIX.as_bytes())?;
        Some(Self::parse_parts(rest).ok_or(Malformed))
    }

    fn parse_parts(rest: &[u8]) -> Option<Self> {
        let dot = rest.iter().position(|&byte| byte == b'.')?;
        let (object, rest) = (&rest[..dot], &rest[dot + 1..]);
        let dots = rest.windows(2).rposition(|pair| pair == b"..")?;
        let (symbol, digits) = (&rest[..dots], &rest[dots + 2..]);
        if symbol.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let position = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Reference {
            object: ObjectNameBuf::new(object).ok()?,
            symbol: symbol.to_vec(),
            position: SymPos(position),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = self.symbol.escape_ascii();
        write!(f, "KLP_SYM({}, {symbol}, {})", self.object, self.position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<Result<String, Malformed>> {
        Reference::parse(name.as_bytes()).map(|result| result.map(|r| r.to_string()))
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
            ".klp.extern.vmlinux...1",
            ".klp.extern..init_once..1",
            ".klp.extern.a-module-name-that-is-longer-than-any-module-can-ever-be-named.x..1",
        ] {
            assert_eq!(parse(name), Some(Err(Malformed)), "{name}");
        }
    }
}
