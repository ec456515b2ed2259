// SPDX-License-Identifier: GPL-2.0

//! Modules as large as they are wanted, made from small ones that kbuild has built.

use anyhow::{ensure, Context, Result};
use klp::file::elf::{Contents, ElfFile, Place, Relocation, Section, Symbol};
use livepatch_format::elf::{Machine, SectionIndex, SymbolIndex, SHN_LIVEPATCH};
use object::elf;
use std::collections::BTreeSet;

/// The module's name in the file that kbuild has built.
const PATCH: &str = "klp_bench_patch000";

/// The module that is patched.
pub const TARGET: &str = "klp_bench_target";

/// What patches [`FUNCTIONS`] functions of it at once.
pub const HUNDRED: &str = "klp_bench_hundred";

/// How many these are.
pub const FUNCTIONS: usize = 100;

/// What is patched while tasks are in the way.
pub const BLOCKED: &str = "klp_bench_blocked";

/// What patches it.
pub const UNBLOCK: &str = "klp_bench_unblock";

/// Where the relocations of a patch are.
const DATA: &str = ".data.klp_bench";

const SHF_RELA_LIVEPATCH: elf::SectionFlags =
    elf::SectionFlags(livepatch_format::elf::SHF_RELA_LIVEPATCH);

/// The name of the patch with that number.
pub fn patch_name(number: usize) -> String {
    format!("klp_bench_patch{number:03}")
}

/// The names of symbols that a patch can have relocations for.
pub struct Candidates(Vec<String>);

impl Candidates {
    /// Functions of the kernel that no module can use otherwise, and whose names stand once, in
    /// each of the kernels with these `System.map` files.
    pub fn of_kernels(maps: &[String]) -> Result<Self> {
        let mut common: Option<BTreeSet<&str>> = None;
        for map in maps {
            let names = unexported(map)?;
            common = Some(match common {
                None => names,
                Some(common) => common.intersection(&names).copied().collect(),
            });
        }
        let names = common.unwrap_or_default();
        Ok(Candidates(names.into_iter().map(str::to_owned).collect()))
    }

    /// Those that [`with_symbols`] adds to a module.
    pub fn of_module(symbols: usize) -> Self {
        Candidates((0..symbols).map(module_symbol).collect())
    }

    /// That many of them, spread over all.
    fn choose(&self, count: usize) -> Result<impl Iterator<Item = &str>> {
        ensure!(
            count <= self.0.len(),
            "{count} symbols are wanted, there are {}",
            self.0.len()
        );
        Ok((0..count).map(move |index| self.0[index * self.0.len() / count].as_str()))
    }
}

fn module_symbol(number: usize) -> String {
    format!("klp_bench_symbol_{number:05}")
}

/// Functions in the kernel's text that stand once in `map` and are not exported.
fn unexported(map: &str) -> Result<BTreeSet<&str>> {
    let (mut once, mut twice, mut left_out) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut text = false;
    for line in map.lines() {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (Some(kind), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        text = (text || name == "_stext") && name != "_etext";
        if let Some(exported) = name.strip_prefix("__ksymtab_") {
            left_out.insert(exported);
        }
        if !once.insert(name) {
            twice.insert(name);
        }
        if !text || !matches!(kind, "t" | "T") || name.contains('.') || name.starts_with("__pfx_") {
            left_out.insert(name);
        }
    }
    once.retain(|name| !twice.contains(name) && !left_out.contains(name));
    ensure!(!once.is_empty(), "there is no function in System.map");
    Ok(once)
}

/// The patch with relocations for symbols of an object, and with another number.
pub fn patch(
    template: &[u8],
    number: usize,
    object: &str,
    candidates: &Candidates,
    relocations: usize,
    used: usize,
) -> Result<Vec<u8>> {
    let mut file = ElfFile::parse(template)?;
    rename(&mut file, PATCH, &patch_name(number));
    if relocations == 0 {
        return file.write();
    }

    let first = index(file.symbols.len())?;
    for name in candidates.choose(used)? {
        file.symbols.push(Symbol {
            name: format!(".klp.sym.{object}.{name},0").into_bytes(),
            info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_NOTYPE),
            other: 0,
            place: Place::Reserved(SHN_LIVEPATCH),
            value: 0,
            size: 0,
        });
    }

    let target = index(file.sections.len())?;
    file.sections.push(Section {
        name: DATA.into(),
        sh_type: elf::SHT_PROGBITS,
        flags: elf::SHF_WRITE | elf::SHF_ALLOC,
        link: 0,
        info: 0,
        align: 8,
        entsize: 0,
        contents: Contents::Bytes(vec![0; relocations * 8]),
    });
    let r_type = match file.machine {
        Machine::X86_64 => elf::R_X86_64_64.0,
        Machine::S390 => elf::R_390_64.0,
    };
    // Neighbours in the section do not use the same symbol.
    let entries = (0..relocations)
        .map(|number| {
            Ok(Relocation {
                offset: number as u64 * 8,
                symbol: SymbolIndex(first + index(number % used)?),
                r_type,
                addend: 0,
            })
        })
        .collect::<Result<_>>()?;
    file.sections.push(Section {
        name: format!(".klp.rela.{object}.{DATA}")
            .replace("..", ".")
            .into_bytes(),
        sh_type: elf::SHT_RELA,
        flags: elf::SHF_ALLOC | elf::SHF_INFO_LINK | SHF_RELA_LIVEPATCH,
        link: file.symtab().0,
        info: target,
        align: 8,
        entsize: 24,
        contents: Contents::Relocations(entries),
    });
    file.write()
}

/// The module with that many symbols more.
pub fn with_symbols(template: &[u8], count: usize) -> Result<Vec<u8>> {
    let mut file = ElfFile::parse(template)?;
    let (text, section) = file.find(".text").context("it has no .text")?;
    // Not where a function begins: between that and what ftrace patches in it no module has symbols.
    let end = section.size().context(".text holds no bytes")?;
    let last = end.saturating_sub(1);
    for number in 0..count {
        file.symbols.push(Symbol {
            name: module_symbol(number).into_bytes(),
            info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
            other: 0,
            place: Place::Section(SectionIndex(text.0)),
            value: last,
            size: 1,
        });
    }
    file.write()
}

/// The module, as a file of that many KiB.
pub fn with_size(template: &[u8], kib: usize) -> Result<Vec<u8>> {
    const STEPS: usize = 3;
    let mut padding = 0;
    // Where the section begins decides about a few bytes before and after it.
    for _ in 0..STEPS {
        let mut file = ElfFile::parse(template)?;
        file.sections.push(Section {
            name: b".rodata.padding".to_vec(),
            sh_type: elf::SHT_PROGBITS,
            flags: elf::SHF_ALLOC,
            link: 0,
            info: 0,
            align: 1,
            entsize: 0,
            contents: Contents::Bytes((0..padding).map(|number: usize| number as u8).collect()),
        });
        let bytes = file.write()?;
        if bytes.len() == kib * 1024 {
            return Ok(bytes);
        }
        padding = (padding + kib * 1024)
            .checked_sub(bytes.len())
            .with_context(|| format!("it has {} bytes already", bytes.len()))?;
    }
    anyhow::bail!("no padding leads to a file of {kib} KiB")
}

/// Both names have the same length.
fn rename(file: &mut ElfFile, old: &str, new: &str) {
    for section in &mut file.sections {
        let Contents::Bytes(bytes) = &mut section.contents else {
            continue;
        };
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..at + old.len()) {
            if rest == old.as_bytes() {
                rest.copy_from_slice(new.as_bytes());
            }
            at += 1;
        }
    }
}

fn index(number: usize) -> Result<u32> {
    u32::try_from(number).context("the file gets too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use livepatch_fixtures::{Arch, Module, ARCHES};
    use livepatch_format::check;
    use livepatch_format::elf::Image;

    const MAP: &str = "\
ffffffff80000000 T before_text
ffffffff81000000 T _stext
ffffffff81000010 T exported
ffffffff81000020 t twin
ffffffff81000030 t twin
ffffffff81000040 t first
ffffffff81000050 t second.part.0
ffffffff81000060 T third
ffffffff81000070 T _etext
ffffffff82000000 D variable
ffffffff82000020 r __ksymtab_exported
";

    fn template(arch: Arch) -> Vec<u8> {
        Module::new(arch, PATCH)
            .source("patch.c", "int answer(void) { return 42; }")
            .build()
    }

    #[test]
    fn uses_unexported_functions_whose_names_stand_once() {
        let candidates = Candidates::of_kernels(&[MAP.to_owned()]).unwrap();
        assert_eq!(candidates.0, ["_stext", "first", "third"]);
    }

    #[test]
    fn uses_symbols_that_all_kernels_have() {
        let other = MAP.replace(" third\n", " fourth\n");
        let candidates = Candidates::of_kernels(&[MAP.to_owned(), other]).unwrap();
        assert_eq!(candidates.0, ["_stext", "first"]);
    }

    #[test]
    fn more_symbols_than_there_are_is_an_error() {
        let candidates = Candidates::of_module(3);
        assert!(patch(&template(Arch::X86_64), 0, TARGET, &candidates, 8, 4).is_err());
    }

    #[test]
    fn relocations_are_what_livepatch_accepts() {
        for arch in ARCHES {
            let bytes = patch(
                &template(arch),
                7,
                TARGET,
                &Candidates::of_module(50),
                100,
                10,
            )
            .unwrap();
            let file = ElfFile::parse(&bytes).unwrap();
            let (_, section) = file
                .find(".klp.rela.klp_bench_target.data.klp_bench")
                .unwrap();
            let Contents::Relocations(relocations) = &section.contents else {
                panic!("not relocations");
            };
            assert_eq!(relocations.len(), 100);
            let used: BTreeSet<_> = relocations.iter().map(|rela| rela.symbol.0).collect();
            assert_eq!(used.len(), 10);
            for index in used {
                let symbol = &file.symbols[index as usize];
                assert!(symbol
                    .name
                    .starts_with(b".klp.sym.klp_bench_target.klp_bench_symbol_"));
                assert_eq!(symbol.place, Place::Reserved(SHN_LIVEPATCH));
            }

            let image = Image::parse(&bytes).unwrap();
            let mut sections = image.sections.iter();
            let (_, section) = sections
                .find(|(_, section)| section.is_livepatch_relocation())
                .unwrap();
            let target = image.sections.get(SectionIndex(section.sh_info)).unwrap();
            check::section(&section, &target, file.symtab()).unwrap();
            assert!(check::symbol_uses(&image).is_ok());
        }
    }

    #[test]
    fn a_patch_gets_its_number() {
        let candidates = Candidates::of_module(1);
        let bytes = patch(&template(Arch::X86_64), 7, TARGET, &candidates, 0, 0).unwrap();
        let file = ElfFile::parse(&bytes).unwrap();
        let modinfo = file.bytes(".modinfo").unwrap();
        assert!(String::from_utf8_lossy(modinfo).contains("name=klp_bench_patch007"));
    }

    #[test]
    fn a_module_gets_its_size() {
        let bytes = with_size(&template(Arch::X86_64), 100).unwrap();
        assert_eq!(bytes.len(), 100 * 1024);
        assert!(with_size(&bytes, 10).is_err());
    }

    #[test]
    fn a_module_gets_its_symbols() {
        let before = ElfFile::parse(&template(Arch::S390)).unwrap();
        let bytes = with_symbols(&template(Arch::S390), 1_000).unwrap();
        let after = ElfFile::parse(&bytes).unwrap();
        assert_eq!(after.symbols.len(), before.symbols.len() + 1_000);
    }
}
