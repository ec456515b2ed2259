// SPDX-License-Identifier: GPL-2.0

//! What is found. This is also the JSON: `Documentation/livepatch/klp-json.md`.

use livepatch_format::check::Fault;
use livepatch_format::error::Error;
use livepatch_format::name::Text;
use livepatch_format::refusal::{Refusal, Unresolved};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The module would be refused.
    Error,
    /// It would not, but somebody should know.
    Warning,
}

/// Something that is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is: in kebab case, and always the same.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What the module would be refused with.
    pub errno: Option<&'static str>,
    /// For an error the lines that the kernel would log, without the prefix.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// What to do, or to look at.
    pub help: Option<String>,
}

/// Where something is, as far as it has such a place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// A section.
    pub section: Option<String>,
    /// The number of a relocation in it.
    pub relocation: Option<u32>,
    /// A symbol, as its name stands in the file.
    pub symbol: Option<String>,
    /// The object that is patched.
    pub object: Option<String>,
    /// The function of it that is patched.
    pub function: Option<String>,
}

impl Place {
    /// A section.
    pub fn section(name: &[u8]) -> Self {
        Place {
            section: Some(Text(name).to_string()),
            ..Place::default()
        }
    }

    /// A relocation of it.
    pub fn relocation(mut self, nr: u32) -> Self {
        self.relocation = Some(nr);
        self
    }

    /// A symbol.
    pub fn symbol(mut self, name: &[u8]) -> Self {
        self.symbol = Some(Text(name).to_string());
        self
    }

    /// An object, and a function of it.
    pub fn function(object: &[u8], function: Option<&[u8]>) -> Self {
        Place {
            object: Some(Text(object).to_string()),
            function: function.map(|name| Text(name).to_string()),
            ..Place::default()
        }
    }
}

impl Finding {
    /// Something that livepatch.ko refuses.
    pub fn refusal(refusal: &Refusal<'_>, place: Place) -> Self {
        let mut lines = Vec::new();
        refusal.log(|line| lines.push(line.to_string()));
        Finding {
            id: id(refusal),
            severity: Severity::Error,
            errno: Some(refusal.errno().name()),
            message: lines.join("\n"),
            place,
            help: None,
        }
    }

    /// Something that the kernel itself refuses.
    pub fn kernel(id: &'static str, errno: &'static str, message: String, place: Place) -> Self {
        Finding {
            id,
            severity: Severity::Error,
            errno: Some(errno),
            message,
            place,
            help: None,
        }
    }

    /// Something that nobody refuses.
    pub fn warning(id: &'static str, message: String, place: Place) -> Self {
        Finding {
            id,
            severity: Severity::Warning,
            errno: None,
            message,
            place,
            help: None,
        }
    }

    /// The same, with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, where it need not be so when the patch is enabled.
    pub fn uncertain(mut self, why: &str) -> Self {
        self.severity = Severity::Warning;
        self.errno = None;
        self.help(why)
    }
}

/// A refusal's id.
fn id(refusal: &Refusal<'_>) -> &'static str {
    match refusal {
        Refusal::Unsafe { error, .. } => error_id(*error),
        Refusal::Section { fault, .. } => match *fault {
            Fault::Format(error) => error_id(error),
            Fault::SectionName(_) => "section-name",
            Fault::NotALivepatchSymbol { .. } => "not-livepatch-symbol",
            Fault::SymbolName { .. } => "symbol-name",
            Fault::Dialect { .. } => "mixed-dialects",
            Fault::VmlinuxSymbol { .. } => "vmlinux-symbol",
            Fault::Unresolved(unresolved) => unresolved_id(unresolved),
        },
        Refusal::Unflagged { .. } => "section-flag",
        Refusal::UnmarkedRelocations { .. } | Refusal::Unmarked { .. } => "not-marked",
        Refusal::NoModule | Refusal::Incomplete { .. } => "patch-incomplete",
        Refusal::Function(unresolved) => unresolved_id(*unresolved),
        Refusal::SameFunction { .. } => "same-function",
        Refusal::NoLocation { .. } => "function-not-traced",
    }
}

fn unresolved_id(unresolved: Unresolved<'_>) -> &'static str {
    match unresolved {
        Unresolved::NotFound { .. } => "symbol-not-found",
        Unresolved::Ambiguous { .. } => "symbol-ambiguous",
        Unresolved::Position { .. } => "symbol-position",
        Unresolved::Freed { .. } => "symbol-freed",
    }
}

/// The id of a defect of the file.
pub fn error_id(error: Error) -> &'static str {
    match error {
        Error::Truncated { .. }
        | Error::NotElf(_)
        | Error::EntrySize { .. }
        | Error::StringOffset { .. } => "elf-file",
        Error::UnknownMachine(_) => "machine",
        Error::SectionIndex { .. } => "section-index",
        Error::SymbolIndex { .. } | Error::RelocationSymbol { .. } => "symbol-index",
        Error::SectionName(_) => "section-name",
        Error::SymbolName(_) => "symbol-name",
        Error::NotALivepatchSymbol { .. } => "not-livepatch-symbol",
        Error::LivepatchSymbol { .. } | Error::ObjtoolSection { .. } => "livepatch-symbol",
        Error::RelocationType { .. } => "relocation-type",
        Error::RelocationOffset { .. } => "relocation-offset",
        Error::RelocationOverlap { .. } => "relocation-overlap",
        Error::RelocationPlace { .. } => "relocation-place",
        Error::RelocationTarget(_) => "section-target",
        Error::Unchecked(_) => "unsafe-file",
    }
}
