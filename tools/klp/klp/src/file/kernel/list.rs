// SPDX-License-Identifier: GPL-2.0

//! Lists of symbols as text: lines of address, type letter and name. In `/proc/kallsyms`, those
//! of a module go on with its name in brackets.
//!
//! `scripts/mksysmap` and `scripts/kallsyms.c` of the kernel source say which symbols kallsyms
//! has, and in which order: by address. `System.map` has them all, whatever the kernel has.

use super::{has_variables, listed, GIVE};
use crate::object_name::ObjectNameBuf;
use crate::symbols::ObjectSymbols;
use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of symbols that kallsyms leaves out.
const LEFT_OUT: &[u8] = b"aNUw";

/// Where code is: what kallsyms keeps without `CONFIG_KALLSYMS_ALL` (`symbol_valid()` in
/// `scripts/kallsyms.c`).
const CODE: [(&[u8], &[u8]); 2] = [(b"_stext", b"_etext"), (b"_sinittext", b"_einittext")];

/// What kallsyms keeps wherever it is.
const EDGES: [&[u8]; 2] = [b"__start_", b"__stop_"];

/// What Debian has in place of a `System.map`.
const PLACEHOLDER: &[u8] = b"The real System.map is in";

struct Line<'a> {
    address: u64,
    kind: u8,
    name: &'a [u8],
}

/// Reads the kernel's symbols.
pub(super) fn read(symbols: &mut ObjectSymbols, path: &Path, data: &[u8]) -> Result<()> {
    let start = data.get(..200).unwrap_or(data);
    if start
        .windows(PLACEHOLDER.len())
        .any(|part| part == PLACEHOLDER)
    {
        bail!("it is an empty placeholder, as distributions install it: {GIVE}");
    }
    let mut lines = lines(data)?;
    let exports: Vec<_> = lines.iter().map(|line| line.name).collect();
    symbols.add_exports(exports.into_iter());
    let all = lines.iter().map(|line| (line.kind, line.name));
    symbols.functions_only = all_are_listed(path) == Some(false) || !has_variables(all);
    if symbols.functions_only {
        keep_code(&mut lines);
    }
    for line in lines {
        symbols.push(line.name, listed(line.address, line.kind));
    }
    Ok(())
}

fn lines(data: &[u8]) -> Result<Vec<Line<'_>>> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(data.split(|&byte| byte == b'\n')) {
        let words: Vec<_> = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        let malformed = || format!("line {number} is not ADDRESS TYPE NAME: {}", shorten(line));
        let (address, kind, name, module) = match words[..] {
            [] => continue,
            [address, &[kind], name] => (address, kind, name, None),
            [address, &[kind], name, module] => (address, kind, name, Some(module)),
            _ => bail!("{}", malformed()),
        };
        let address = number_of(address).with_context(|| {
            let shown = shorten(line);
            format!("line {number} has no hexadecimal address: {shown}")
        })?;
        match module {
            None if LEFT_OUT.contains(&kind) => {}
            None => lines.push(Line {
                address,
                kind,
                name,
            }),
            Some(module) if module.starts_with(b"[") => {}
            Some(_) => bail!("{}", malformed()),
        }
    }
    Ok(lines)
}

/// Leaves what kallsyms has of them without `CONFIG_KALLSYMS_ALL`, where they tell where code is.
fn keep_code(lines: &mut Vec<Line<'_>>) {
    let edge = |name: &[u8]| {
        let found = lines.iter().find(|line| line.name == name);
        found.map(|line| line.address)
    };
    let ranges: Vec<_> = CODE
        .iter()
        .filter_map(|(first, last)| Some((edge(first)?, edge(last)?, *last)))
        .collect();
    if ranges.is_empty() {
        return;
    }
    lines.retain(|line| {
        let is_edge = EDGES.iter().any(|edge| line.name.starts_with(edge));
        is_edge
            || ranges.iter().any(|&(first, end, last)| {
                (first..end).contains(&line.address) || line.name == last
            })
    });
}

/// Whether the kernel's configuration beside a list says that kallsyms has all symbols; `None`
/// where there is none.
fn all_are_listed(path: &Path) -> Option<bool> {
    let config = fs::read_to_string(configuration(path)?).ok()?;
    let set = |text: &str| config.lines().any(|line| line == text);
    if set("CONFIG_KALLSYMS_ALL=y") {
        Some(true)
    } else {
        // Where kallsyms is known at all.
        set("CONFIG_KALLSYMS=y").then_some(false)
    }
}

/// The configuration of the kernel whose `System.map` that is: in a build directory, and in
/// /boot.
fn configuration(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let release = name.strip_prefix("System.map")?;
    Some(path.with_file_name(match release {
        "" => ".config".to_owned(),
        release => format!("config{release}"),
    }))
}

/// The symbols of modules, of a list whose lines were checked before.
pub(super) fn modules(path: &Path, data: &[u8]) -> Vec<ObjectSymbols> {
    let mut modules: BTreeMap<ObjectNameBuf, ObjectSymbols> = BTreeMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let words: Vec<_> = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        let [address, &[kind], name, module] = words[..] else {
            continue;
        };
        let module = module
            .strip_prefix(b"[")
            .and_then(|rest| rest.strip_suffix(b"]"));
        let Some(Ok(object)) = module.map(ObjectNameBuf::new) else {
            continue;
        };
        modules
            .entry(object.clone())
            .or_insert_with(|| ObjectSymbols::new(object, path.to_owned()))
            .push(name, listed(number_of(address).unwrap_or(0), kind));
    }
    modules.into_values().collect()
}

fn number_of(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn shorten(line: &[u8]) -> String {
    line.get(..60).unwrap_or(line).escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_stands_beside_its_list() {
        for (list, config) in [
            ("/build/System.map", Some("/build/.config")),
            ("/boot/System.map-7.3.4", Some("/boot/config-7.3.4")),
            ("/proc/kallsyms", None),
        ] {
            let found = configuration(Path::new(list));
            assert_eq!(found, config.map(PathBuf::from), "{list}");
        }
    }

    #[test]
    fn without_kallsyms_all_code_is_kept() {
        let text = "\
            1000 T _stext\n1010 t twin\n1020 d table_in_code\n2000 T _etext\n2000 D _sdata\n\
            2010 d twin\n3000 D __start_list\n3008 D __stop_list\n4000 T _sinittext\n\
            4010 t early\n5000 T _einittext\n6000 B counter\n";
        let mut lines = lines(text.as_bytes()).unwrap();
        keep_code(&mut lines);
        let names: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.name))
            .collect();
        let kept = "_stext twin table_in_code _etext __start_list __stop_list _sinittext early \
                    _einittext";
        assert_eq!(names.join(" "), kept);
    }
}
