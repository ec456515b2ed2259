// SPDX-License-Identifier: GPL-2.0

//! A directory with modules in it, the command, and a look at what comes out.

#![allow(dead_code)] // no test uses all of it

pub mod livepatch;

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use livepatch_fixtures::{Arch, Module};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::Endianness;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

pub const SHN_LIVEPATCH: u16 = 0xff20;
pub const SHF_RELA_LIVEPATCH: u64 = 0x0010_0000;

/// The symbols of a kernel.
pub const SYSTEM_MAP: &str = "\
ffffffff81000000 T _text
ffffffff81000010 T lonely
ffffffff81000020 t twin
ffffffff81000030 T exported
ffffffff81000040 t twin
ffffffff81000050 t shrunk.isra.0
ffffffff82000000 D counter
ffffffff82000010 d twin
ffffffff82000020 r __ksymtab_exported
ffffffff83000000 B __init_begin
ffffffff83000000 T _sinittext
ffffffff83000010 t starts
ffffffff83000020 T _einittext
ffffffff83000030 D early_line
ffffffff83001000 D __per_cpu_start
ffffffff83001010 d of_each
ffffffff83002000 D __per_cpu_end
ffffffff83003000 R __init_end
";

/// What it exports.
pub const SYMVERS: &str = "\
0x12345678\texported\tvmlinux\tEXPORT_SYMBOL_GPL\t
0x00000000\tklp_enable_patch\tlivepatch\tEXPORT_SYMBOL_GPL\t
";

/// A directory for one test.
pub struct Case {
    pub dir: TempDir,
    pub arch: Arch,
}

impl Case {
    /// With a kernel's `System.map` and `Module.symvers`.
    pub fn new(arch: Arch) -> Self {
        let case = Case {
            dir: tempfile::tempdir().unwrap(),
            arch,
        };
        case.write("System.map", SYSTEM_MAP);
        case.write("Module.symvers", SYMVERS);
        case
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// What is in the directory.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A module to be, which finds `linux/klp_sym.h`.
    pub fn module(&self, name: &str) -> Module {
        let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../include/linux");
        Module::new(self.arch, name).flag("-I").flag(include)
    }

    /// Compiles `patch.ko`.
    pub fn patch(&self, text: &str) -> Vec<u8> {
        let bytes = self.module("patch").source("patch.c", text).build();
        self.write("patch.ko", &bytes);
        bytes
    }

    /// Runs `klp convert` with these words, in the directory.
    pub fn run(&self, words: &str) -> Assert {
        self.klp(&format!("convert {words}"))
    }

    /// Runs `klp` with these words, in the directory.
    pub fn klp(&self, words: &str) -> Assert {
        Command::cargo_bin("klp")
            .unwrap()
            .current_dir(self.dir.path())
            .env_remove("CLICOLOR_FORCE")
            .args(words.split_whitespace())
            .assert()
    }

    /// The same, where it ends with this status; returns what it prints, and its errors.
    pub fn output(&self, words: &str, status: i32) -> (String, String) {
        let assert = self.klp(words);
        let output = assert.get_output().clone();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(
            output.status.code(),
            Some(status),
            "{words}:\n{stdout}{stderr}"
        );
        (stdout, stderr)
    }

    /// Compares with a file of `tests/golden`, or writes it anew where KLP_BLESS is set.
    pub fn golden(&self, name: &str, text: &str) {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("KLP_BLESS").is_some() {
            fs::write(&path, text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            text, expected,
            "{path}: if this is as it should be, set KLP_BLESS=1"
        );
    }

    /// Converts `patch.ko` against the kernel, with more options.
    pub fn convert(&self, words: &str) -> Elf {
        let usual = "--kernel System.map --symvers Module.symvers -o out.ko patch.ko";
        self.run(&format!("{usual} {words}")).success();
        Elf::read(&self.read("out.ko"))
    }

    /// The same, where it is to fail; returns the message.
    pub fn refuse(&self, words: &str) -> String {
        self.refuse_with(&format!(
            "--kernel System.map --symvers Module.symvers {words}"
        ))
    }

    /// Fails to convert `patch.ko` with these options; returns the message.
    pub fn refuse_with(&self, words: &str) -> String {
        let before = self.read("patch.ko");
        let assert = self
            .run(&format!("-o out.ko patch.ko {words}"))
            .failure()
            .code(1);
        assert_eq!(self.read("patch.ko"), before);
        assert!(!self.path("out.ko").exists());
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub name: String,
    pub sh_type: u32,
    pub flags: u64,
    pub link: u32,
    pub info: u32,
    pub align: u64,
    pub entsize: u64,
    pub data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub info: u8,
    pub other: u8,
    pub shndx: u16,
    pub value: u64,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rela {
    pub offset: u64,
    pub symbol: u32,
    pub r_type: u32,
    pub addend: i64,
}

/// A module, read by `object` and not by what klp reads and writes with.
#[derive(Debug)]
pub struct Elf {
    pub sections: Vec<Section>,
    pub symbols: Vec<Symbol>,
    endian: Endianness,
}

impl Elf {
    pub fn read(bytes: &[u8]) -> Self {
        let file = ElfFile64::<Endianness>::parse(bytes).unwrap();
        let endian = file.elf_header().endian().unwrap();
        let table = file.elf_section_table();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let sections = table
            .iter()
            .map(|section| Section {
                name: text(table.section_name(endian, section).unwrap()),
                sh_type: section.sh_type(endian).0,
                flags: section.sh_flags(endian).0,
                link: section.sh_link(endian),
                info: section.sh_info(endian),
                align: section.sh_addralign(endian),
                entsize: section.sh_entsize(endian),
                data: section.data(endian, bytes).unwrap().to_vec(),
            })
            .collect();
        let table = file.elf_symbol_table();
        let symbols = table
            .iter()
            .map(|symbol| Symbol {
                name: text(table.symbol_name(endian, symbol).unwrap()),
                info: symbol.st_info().0,
                other: symbol.st_other().0,
                shndx: symbol.st_shndx(endian).0,
                value: symbol.st_value(endian),
                size: symbol.st_size(endian),
            })
            .collect();
        Elf {
            sections,
            symbols,
            endian,
        }
    }

    pub fn section(&self, name: &str) -> &Section {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .unwrap_or_else(|| {
                let names: Vec<_> = self.sections.iter().map(|section| &section.name).collect();
                panic!("no {name} among {names:?}")
            })
    }

    pub fn has_section(&self, name: &str) -> bool {
        self.sections.iter().any(|section| section.name == name)
    }

    pub fn index_of_symbol(&self, name: &str) -> usize {
        self.symbols
            .iter()
            .position(|symbol| symbol.name == name)
            .unwrap_or_else(|| {
                let names: Vec<_> = self.symbols.iter().map(|symbol| &symbol.name).collect();
                panic!("no {name} among {names:?}")
            })
    }

    pub fn symbol(&self, name: &str) -> &Symbol {
        &self.symbols[self.index_of_symbol(name)]
    }

    /// The names of all livepatch symbols.
    pub fn livepatch_symbols(&self) -> Vec<&str> {
        self.symbols
            .iter()
            .filter(|symbol| symbol.shndx == SHN_LIVEPATCH)
            .map(|symbol| symbol.name.as_str())
            .collect()
    }

    /// The names of all livepatch relocation sections.
    pub fn livepatch_sections(&self) -> Vec<&str> {
        self.sections
            .iter()
            .filter(|section| section.flags & SHF_RELA_LIVEPATCH != 0)
            .map(|section| section.name.as_str())
            .collect()
    }

    pub fn relocations(&self, section: &Section) -> Vec<Rela> {
        let (entries, rest) = object::pod::slice_from_bytes::<elf::Rela64<Endianness>>(
            &section.data,
            section.data.len() / 24,
        )
        .unwrap();
        assert!(rest.is_empty());
        entries
            .iter()
            .map(|rela| Rela {
                offset: rela.r_offset(self.endian),
                symbol: rela.r_sym(self.endian, false),
                r_type: rela.r_type(self.endian, false).0,
                addend: rela.r_addend(self.endian),
            })
            .collect()
    }

    /// The relocations of all sections for `target`, ordinary ones and those of livepatch, by
    /// offset.
    pub fn all_relocations(&self, target: &str) -> Vec<Rela> {
        let mut all: Vec<_> = self
            .sections
            .iter()
            .filter(|section| {
                section.sh_type == elf::SHT_RELA.0
                    && self.sections[section.info as usize].name == target
            })
            .flat_map(|section| self.relocations(section))
            .collect();
        all.sort_by_key(|rela| rela.offset);
        all
    }

    /// The `key=value` strings of the module.
    pub fn modinfo(&self) -> Vec<String> {
        let text = String::from_utf8(self.section(".modinfo").data.clone()).unwrap();
        text.split('\0')
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }
}
