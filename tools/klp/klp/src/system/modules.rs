// SPDX-License-Identifier: GPL-2.0

//! Loaded modules.

use super::support::MODULE;
use super::{read_if_there, System};
use crate::file::module_file::{module_name, ModuleFile};
use anyhow::{bail, Context, Result};
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A line of `/proc/modules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// As the kernel writes it.
    pub name: String,
    /// How many references there are; `None` where the kernel removes no modules.
    pub references: Option<u64>,
    /// The modules that use it.
    pub users: Vec<String>,
    /// Whether it is neither being inserted nor being removed.
    pub is_live: bool,
    /// The letters of its taints.
    taints: String,
}

impl Loaded {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let _size = words.next()?;
        let references = words.next()?.parse().ok();
        let users = words.next()?.split(',');
        let users = users.filter(|user| !user.is_empty() && *user != "-" && !user.starts_with('['));
        let users = users.map(str::to_owned).collect();
        let is_live = words.next() == Some("Live");
        let taints = words
            .find_map(|word| word.strip_prefix('(')?.strip_suffix(')'))
            .unwrap_or_default();
        Some(Loaded {
            name,
            references,
            users,
            is_live,
            taints: taints.to_owned(),
        })
    }

    /// Whether the kernel knows it as a livepatch.
    pub fn is_livepatch(&self) -> bool {
        self.taints.contains('K')
    }

    /// Whether the kernel keeps it, though no other module uses it. Of a patch that is disabled, that
    /// is so for a moment, or for good where tasks were forced out of it.
    pub fn is_kept(&self) -> bool {
        self.users.is_empty() && self.references.is_some_and(|count| count > 0)
    }

    /// What keeps it from being removed, where something does.
    pub fn in_use(&self) -> Option<String> {
        if !self.users.is_empty() {
            return Some(format!("it is used by {}", self.users.join(", ")));
        }
        match self.references {
            None => Some("this kernel removes no modules (CONFIG_MODULE_UNLOAD is off)".to_owned()),
            Some(0) => None,
            Some(1) => Some("there is a reference to it".to_owned()),
            Some(count) => Some(format!("there are {count} references to it")),
        }
    }
}

/// All modules.
pub fn all(system: &System) -> Result<Vec<Loaded>> {
    let path = system.path("/proc/modules");
    let text = read_if_there(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = text.unwrap_or_default();
    Ok(text.lines().filter_map(Loaded::parse).collect())
}

/// The module of this name.
pub fn find(system: &System, name: &str) -> Result<Option<Loaded>> {
    let all = all(system)?;
    Ok(all.into_iter().find(|module| module.name == name))
}

/// Inserts the module. The kernel unpacks what it can; all else was unpacked for it.
pub fn insert(system: &System, module: &ModuleFile, parameters: &CString) -> io::Result<()> {
    let kernel = system.kernel();
    if let Some(method) = module.compression {
        let known = read_if_there(&system.path("/sys/module/compression"))?;
        if known != Some(method.to_string()) {
            return kernel.insert_bytes(&module.bytes, parameters);
        }
    }
    let file = File::open(&module.path)?;
    kernel.insert(&file, parameters, module.compression.is_some())
}

/// Removes the module of this name.
pub fn remove(system: &System, name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::NotFound)?;
    system.kernel().remove(&name)
}

/// `name=value` arguments in the one string that the kernel parses.
pub fn parameters(arguments: &[String]) -> Result<CString> {
    let mut words = Vec::new();
    for argument in arguments {
        let spaces = argument.contains(char::is_whitespace);
        let word = match argument.split_once('=') {
            Some((name, _)) if name.is_empty() || name.contains(char::is_whitespace) => {
                bail!("'{argument}' is no parameter: NAME=VALUE is")
            }
            None if spaces || argument.is_empty() => {
                bail!("'{argument}' is no parameter: NAME=VALUE is")
            }
            // It has no way to write a quotation mark.
            Some((_, value)) if spaces && value.contains('"') => {
                bail!("'{argument}': the kernel takes no value with both a space and a quotation mark")
            }
            Some((name, value)) if spaces => format!("{name}=\"{value}\""),
            _ => argument.clone(),
        };
        words.push(word);
    }
    CString::new(words.join(" ")).context("a parameter holds a NUL")
}

/// Checks that the module has these parameters: the kernel itself does without those that it does
/// not know.
///
/// # Errors
///
/// It has not.
pub fn check_parameters(module: &ModuleFile, arguments: &[String]) -> Result<()> {
    // Those that the kernel itself takes for any module (`unknown_module_param_cb()` of
    // kernel/module/main.c).
    const OF_ALL: [&str; 2] = ["async_probe", "dyndbg"];
    if !module.has_info() {
        return Ok(());
    }
    let known = module.parameters();
    for argument in arguments {
        let name = argument.split('=').next().unwrap_or_default();
        // It takes one for the other.
        let same = |known: &str| known.replace('-', "_") == name.replace('-', "_");
        if known.iter().any(|known| same(known)) || OF_ALL.contains(&name) {
            continue;
        }
        let all: Vec<&str> = known.iter().map(String::as_str).collect();
        let has = match all[..] {
            [] => "it has none".to_owned(),
            _ => format!("it has: {}", all.join(", ")),
        };
        bail!("{} has no parameter '{name}'; {has}", module.path.display());
    }
    Ok(())
}

/// Where depmod may not have been run since a module was put there, below `/lib/modules/RELEASE`.
const PLACES: [&str; 5] = ["updates/dkms", "updates", "extra", "weak-updates", "misc"];

/// Where modprobe finds `livepatch.ko`.
///
/// # Errors
///
/// One that says where it was looked for.
pub fn find_core(system: &System) -> Result<PathBuf> {
    let directory = directory(system)
        .context("cannot tell which kernel this is: /proc/sys/kernel/osrelease cannot be read")?;
    find_in(&directory, MODULE).with_context(|| format!(
        "this kernel needs livepatch.ko to load livepatches, and there is none in {} (not in {}, nor in modules.dep): name it with --core PATH, or install it for this kernel",
        directory.display(),
        PLACES.join(", ")
    ))
}

/// Where modprobe finds the module of this name.
pub fn find_file(system: &System, name: &str) -> Option<PathBuf> {
    find_in(&directory(system)?, name)
}

/// The modules of the kernel that runs.
fn directory(system: &System) -> Option<PathBuf> {
    let release = system.release()?;
    Some(system.path(format!("/lib/modules/{release}")))
}

fn find_in(directory: &Path, name: &str) -> Option<PathBuf> {
    if let Some(path) = of_depmod(directory, name) {
        return Some(path);
    }
    PLACES.iter().find_map(|place| {
        let entries = fs::read_dir(directory.join(place)).ok()?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| is_file_of(path, name)).min()
    })
}

/// What `modules.dep` says, which has of each module the one that counts.
fn of_depmod(directory: &Path, name: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(directory.join("modules.dep")).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, _)| directory.join(path))
        .find(|path| is_file_of(path, name) && path.exists())
}

fn is_file_of(path: &Path, name: &str) -> bool {
    const SUFFIXES: [&str; 4] = ["ko", "ko.gz", "ko.xz", "ko.zst"];
    let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    file.split_once('.')
        .is_some_and(|(stem, suffix)| module_name(stem) == name && SUFFIXES.contains(&suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_proc_modules() {
        let line = "livepatch 40960 3 a,b, Live 0xffffffffc0000000 (O)";
        let module = Loaded::parse(line).unwrap();
        assert_eq!(module.name, "livepatch");
        assert_eq!(module.references, Some(3));
        assert_eq!(module.users, ["a", "b"]);
        assert!(!module.is_livepatch());

        let line = "livepatch_cmdline 16384 1 - Live 0xffffffffc0000000 (OK)";
        let module = Loaded::parse(line).unwrap();
        assert!(module.users.is_empty());
        assert!(module.is_livepatch() && module.is_live);
        let loading = line.replace("Live", "Loading");
        assert!(!Loaded::parse(&loading).unwrap().is_live);
        assert_eq!(
            module.in_use().as_deref(),
            Some("there is a reference to it")
        );

        let module = Loaded::parse("K 1 - - Live 0x0").unwrap();
        assert_eq!(module.references, None);
        assert!(!module.is_livepatch());
        assert!(Loaded::parse("").is_none());
        assert_eq!(
            Loaded::parse("a 1 1 [permanent], Live 0x0").unwrap().users,
            Vec::<String>::new()
        );
    }

    fn joined(arguments: &[&str]) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Ok(parameters(&arguments)?.into_string()?)
    }

    #[test]
    fn parameters_are_quoted_where_they_have_spaces() {
        assert_eq!(joined(&[]).unwrap(), "");
        assert_eq!(joined(&["a=1", "b=x,y", "c"]).unwrap(), "a=1 b=x,y c");
        assert_eq!(joined(&["a=x y", "b=\"z\""]).unwrap(), "a=\"x y\" b=\"z\"");
        for bad in ["a b=1", "=1", "a=\"x y\"", "a b", "", "a=\0"] {
            assert!(joined(&[bad]).is_err(), "{bad:?}");
        }
    }
}
