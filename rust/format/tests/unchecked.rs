// SPDX-License-Identifier: GPL-2.0

//! What the kernel's own loader would take as it is.

mod common;

use common::patch;
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::*;
use livepatch_format::error::{Error, LoaderFault};
use livepatch_format::unchecked::{check, RECORD, RECORD_ALIGN, RECORD_NAME};

/// Offsets of fields of a section header.
const NAME: usize = 0;
const TYPE: usize = 4;
const FLAGS: usize = 8;
const OFFSET: usize = 24;
const SIZE: usize = 32;
const INFO: usize = 44;
const ALIGN: usize = 48;

/// A module as kbuild links it, with the kernel's record.
struct File(Vec<u8>);

impl File {
    fn new(arch: Arch) -> Self {
        let text = "void elsewhere(void);\nstatic int here;\nint *pointer = &here;\n\
                    void call(void) { elsewhere(); here++; }\n\
                    int zeroes[100];\n\
                    struct { char before[24], name[56], after[48]; } record\n\
                    __section(\".gnu.linkonce.this_module\") __attribute__((aligned(64))) =\n\
                    { .name = \"patch\" };";
        let file = File(Module::new(arch, "patch").source("patch.c", text).build());
        assert_eq!(file.check(), Ok(()));
        file
    }

    fn image(&self) -> Image<'_> {
        Image::parse(&self.0).unwrap()
    }

    fn check(&self) -> Result<(), (SectionIndex, Error)> {
        check(&self.image(), None)
    }

    fn find(&self, name: &[u8]) -> (SectionIndex, Section) {
        self.image().find(name).unwrap()
    }

    /// The same file with another number in a section header.
    fn with(&self, section: SectionIndex, field: usize, value: u64) -> Self {
        let size = match field {
            NAME | TYPE | INFO => 4,
            _ => 8,
        };
        let at = self.image().header.e_shoff as usize + section.0 as usize * SHDR_SIZE + field;
        self.patched(at, value, size)
    }

    fn patched(&self, at: usize, value: u64, size: usize) -> Self {
        let mut file = self.0.clone();
        patch(&mut file, self.image().header.endian, at, value, size);
        File(file)
    }

    /// That the check finds just this in this section.
    #[track_caller]
    fn has(&self, section: SectionIndex, fault: LoaderFault) {
        assert_eq!(self.check(), Err((section, Error::Unchecked(fault))));
    }
}

/// A module's relocations of its code: their section, and where the first one is in the file.
fn relocations(file: &File) -> (SectionIndex, usize, Relocation) {
    let image = file.image();
    let (index, section) = file.find(b".rela.text");
    let table = RelocationTable::new(image.data(&section).unwrap(), image.header.endian).unwrap();
    (index, section.sh_offset as usize, table.get(0).unwrap())
}

#[test]
fn the_symbol_that_the_kernel_does_not_check_must_not_be_defined() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, table) = file.find(b".symtab");
        for shndx in [1, 0x8e85, SHN_LIVEPATCH] {
            let file = file.patched(table.sh_offset as usize + 6, shndx.into(), 2);
            file.has(index, LoaderFault::NullSymbol { shndx });
        }
    }
}

#[test]
fn section_0_has_neither_name_nor_flags() {
    for arch in ARCHES {
        let file = File::new(arch);
        for field in [NAME, FLAGS] {
            file.with(SectionIndex(0), field, 1)
                .has(SectionIndex(0), LoaderFault::NullSection);
        }
    }
}

#[test]
fn an_empty_section_has_a_name_too() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, _) = file.find(b".comment");
        let file = file.with(index, TYPE, SHT_NULL.into()).with(index, SIZE, 0);
        assert_eq!(file.check(), Ok(()));
        let (found, error) = file.with(index, NAME, 1 << 31).check().unwrap_err();
        assert_eq!(found, index);
        assert!(matches!(error, Error::StringOffset { .. }));
    }
}

#[test]
fn what_is_copied_has_contents() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (zeroes, _) = file.find(b".bss");
        file.with(zeroes, FLAGS, 0)
            .has(zeroes, LoaderFault::NoContents);
        for (name, section_type) in [
            (b".text".as_slice(), SHT_NULL),
            (b".modinfo", SHT_NULL),
            (b".modinfo", SHT_NOBITS),
            (RECORD, SHT_NOBITS),
        ] {
            let (index, _) = file.find(name);
            let file = file.with(index, TYPE, section_type.into());
            file.has(index, LoaderFault::NoContents);
        }
    }
}

#[test]
fn notes_stay_in_memory() {
    for arch in ARCHES {
        let text = "int a __attribute__((section(\".init.a\"))) = 1;\n\
                    int b __attribute__((section(\".exit.b\"))) = 1;\n\
                    int c __attribute__((section(\".note.init\"))) = 1;";
        let file = File(Module::new(arch, "patch").source("patch.c", text).build());
        assert_eq!(file.check(), Ok(()));
        let note = |name: &[u8]| {
            let (index, section) = file.find(name);
            let note = file.with(index, TYPE, SHT_NOTE.into());
            (index, section, note)
        };
        for name in [b".init.a".as_slice(), b".exit.b"] {
            let (index, section, note) = note(name);
            note.has(index, LoaderFault::FreedNote);
            assert_eq!(note.with(index, SIZE, 0).check(), Ok(()));
            let flags = section.sh_flags & !SHF_ALLOC;
            assert_eq!(note.with(index, FLAGS, flags).check(), Ok(()));
        }
        assert_eq!(note(b".note.init").2.check(), Ok(()));
    }
}

#[test]
fn an_alignment_is_a_power_of_two() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, _) = file.find(b".data");
        for align in [0, 1, 64, 4096] {
            assert_eq!(file.with(index, ALIGN, align).check(), Ok(()));
        }
        for align in [3, 24, u64::MAX] {
            let file = file.with(index, ALIGN, align);
            file.has(index, LoaderFault::Alignment { align });
        }
        file.with(index, ALIGN, 1 << 32)
            .has(index, LoaderFault::Memory);
    }
}

#[test]
fn the_kernel_can_count_what_a_module_takes() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, _) = file.find(b".bss");
        assert_eq!(file.with(index, SIZE, 1 << 30).check(), Ok(()));
        for size in [1 << 31, 1 << 32, u64::MAX] {
            let (_, error) = file.with(index, SIZE, size).check().unwrap_err();
            assert_eq!(error, Error::Unchecked(LoaderFault::Memory));
        }
    }
}

#[test]
fn many_symbols_may_have_one_long_name_but_not_too_many() {
    for arch in ARCHES {
        // Each symbol's name is copied, so that a small file can ask for more than there is.
        let file = File::new(arch);
        let (index, _) = file.find(b".symtab");
        let (strtab, _) = file.find(b".strtab");
        let many = |count: usize| {
            let mut data = file.0.clone();
            let names = data.len();
            data.push(0);
            data.extend(std::iter::repeat_n(b'x', 100_000));
            data.push(0);
            let symbols = data.len().next_multiple_of(8);
            data.resize(symbols + count * SYM_SIZE, 0);
            let mut file = File(data)
                .with(strtab, OFFSET, names as u64)
                .with(strtab, SIZE, 100_002)
                .with(index, OFFSET, symbols as u64)
                .with(index, SIZE, (count * SYM_SIZE) as u64);
            let endian = file.image().header.endian;
            for number in 1..count {
                patch(&mut file.0, endian, symbols + number * SYM_SIZE, 1, 4);
            }
            // The symbols that relocations name are others now.
            file.check()
        };
        let memory = Err((index, Error::Unchecked(LoaderFault::Memory)));
        assert_ne!(many(20_000), memory);
        assert_eq!(many(30_000), memory);
    }
}

#[test]
fn the_kernels_record_is_aligned() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, _) = file.find(RECORD);
        for align in [0, 1, 4] {
            let (found, error) = file.with(index, ALIGN, align).check().unwrap_err();
            assert_eq!(found, index);
            assert!(matches!(error, Error::Unchecked(LoaderFault::Record(_))));
        }
        assert_eq!(file.with(index, ALIGN, RECORD_ALIGN).check(), Ok(()));
    }
}

#[test]
fn the_kernels_record_holds_a_name_and_nothing_else() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, record) = file.find(RECORD);
        let start = record.sh_offset as usize;
        let wrong = |file: &File| {
            let (found, error) = file.check().unwrap_err();
            assert_eq!(found, index);
            assert!(matches!(error, Error::Unchecked(LoaderFault::Record(_))));
        };
        wrong(&file.with(index, FLAGS, SHF_ALLOC));
        wrong(&file.with(index, FLAGS, SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR));
        // The kernel looks at its length.
        assert_eq!(file.with(index, SIZE, 79).check(), Ok(()));
        let name = start + RECORD_NAME.start;
        for (at, byte) in [
            (name, b'/'),
            (name, 0),
            (name + 55, 1),
            (start, 1),
            (start + 80, 1),
        ] {
            wrong(&file.patched(at, byte.into(), 1));
        }
        // One without an end.
        let mut endless = file.0.clone();
        endless[name..name + 56].fill(b'x');
        wrong(&File(endless));
    }
}

#[test]
fn module_information_ends_with_a_nul() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, section) = file.find(b".modinfo");
        let file = file.with(index, SIZE, section.sh_size - 1);
        file.has(index, LoaderFault::Unterminated);
    }
}

#[test]
fn a_name_may_have_whatever_a_file_system_takes() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (_, record) = file.find(RECORD);
        let name = record.sh_offset as usize + RECORD_NAME.start;
        assert_eq!(file.patched(name + 1, b'.'.into(), 1).check(), Ok(()));
    }
}

#[test]
fn nothing_lies_over_what_each_processor_gets_a_copy_of() {
    for arch in ARCHES {
        let text = "int each __section(\".data..percpu\") = 1; int one = 1;";
        let file = File(Module::new(arch, "patch").source("patch.c", text).build());
        assert_eq!(file.check(), Ok(()));
        let (_, each) = file.find(b".data..percpu");
        let (index, _) = file.find(b".data");
        file.with(index, OFFSET, each.sh_offset)
            .has(index, LoaderFault::Overlap);
    }
}

#[test]
fn relocations_put_the_modules_functions_into_its_record_and_nothing_else() {
    for arch in ARCHES {
        let text = "int begin(void) { return 0; } void end(void) {}\n\
                    struct { char before[24], name[56], after[48]; void *begin, *end; } record\n\
                    __section(\".gnu.linkonce.this_module\") =\n\
                    { .name = \"patch\", .begin = begin, .end = end };";
        let file = File(Module::new(arch, "patch").source("patch.c", text).build());
        let image = file.image();
        let name = [b".rela".as_slice(), RECORD].concat();
        let (index, _) = file.find(&name);
        assert_eq!(check(&image, None), Ok(()));
        assert_eq!(check(&image, Some(&[128, 136])), Ok(()));
        for places in [vec![128], vec![128, 144], vec![]] {
            let (found, error) = check(&image, Some(&places)).unwrap_err();
            assert_eq!(found, index);
            assert!(matches!(error, Error::Unchecked(LoaderFault::Record(_))));
        }
    }
}

#[test]
fn what_the_kernel_reads_as_text_does_not_stay() {
    for arch in ARCHES {
        let text = "extern char info[] __asm__(\"info\");\n\
                    __asm__(\".pushsection .modinfo,\\\"a\\\"\\ninfo: .asciz \\\"a=b\\\"\\n.popsection\");\n\
                    char *pointer = info;";
        let file = File(Module::new(arch, "patch").source("patch.c", text).build());
        let (_, error) = file.check().unwrap_err();
        assert!(matches!(
            error,
            Error::Unchecked(LoaderFault::NotInMemory { .. })
        ));
    }
}

#[test]
fn what_does_not_stay_may_have_any_number() {
    /// So many section headers that the reserved indices are sections, too.
    const COUNT: usize = 0xfff3;
    for arch in ARCHES {
        let mut file = File::new(arch);
        let (index, _, first) = relocations(&file);
        let (_, symbols) = file.find(b".symtab");
        let (headers, count) = {
            let header = file.image().header;
            (header.e_shoff as usize, usize::from(header.e_shnum))
        };
        let table = file.0[headers..headers + count * SHDR_SIZE].to_vec();
        let end = file.0.len().next_multiple_of(8);
        file.0.resize(end, 0);
        file.0.extend_from_slice(&table);
        // Empty ones that are not in memory.
        file.0.resize(end + COUNT * SHDR_SIZE, 0);
        let file = file.patched(40, end as u64, 8).patched(60, COUNT as u64, 2);
        assert_eq!(file.check(), Ok(()));
        let symbol = first.symbol;
        let place = symbols.sh_offset as usize + symbol.0 as usize * SYM_SIZE + 6;
        for shndx in [0x8000, 0xff00, 0xff01, 0xfff0] {
            let fault = LoaderFault::NotInMemory { nr: 0, symbol };
            file.patched(place, shndx, 2).has(index, fault);
        }
        for shndx in [SHN_UNDEF, SHN_LIVEPATCH, SHN_ABS, SHN_COMMON] {
            assert_eq!(file.patched(place, shndx.into(), 2).check(), Ok(()));
        }
    }
}

#[test]
fn nothing_lies_over_the_tables() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, _) = file.find(b".comment");
        let headers = file.image().header.e_shoff;
        let (_, symbols) = file.find(b".symtab");
        let (_, names) = file.find(b".shstrtab");
        let (_, record) = file.find(RECORD);
        for offset in [
            0,
            headers,
            symbols.sh_offset,
            names.sh_offset,
            record.sh_offset,
        ] {
            file.with(index, OFFSET, offset)
                .has(index, LoaderFault::Overlap);
        }
    }
}

#[test]
fn the_kernels_own_relocations_stay_in_their_section_and_name_symbols_that_are_there() {
    for arch in ARCHES {
        let file = File::new(arch);
        let count = file.image().symbols().unwrap().0.len();
        let (index, at, first) = relocations(&file);
        let beyond = file.patched(at, u64::MAX, 8).check().unwrap_err();
        assert_eq!(beyond.0, index);
        assert!(matches!(beyond.1, Error::RelocationOffset { nr: 0, .. }));
        let info = u64::from(count) << 32 | u64::from(first.r_type);
        let (nr, symbol) = (0, SymbolIndex(count));
        assert_eq!(
            file.patched(at + 8, info, 8).check(),
            Err((index, Error::RelocationSymbol { nr, symbol, count }))
        );
        // A type that the kernel does not know is one that it refuses.
        let unknown = u64::from(first.symbol.0) << 32 | 0xffff;
        assert_eq!(file.patched(at + 8, unknown, 8).check(), Ok(()));
    }
}

#[test]
fn s390_counts_by_the_symbols_of_all_relocations() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, at, _) = relocations(&file);
        let (text, section) = file.find(b".text");
        // What is not in memory is not relocated; its symbols then are nobody's affair.
        let file = file
            .with(text, FLAGS, section.sh_flags & !SHF_ALLOC)
            .patched(at + 8, u64::MAX, 8);
        let found = file.check().map_err(|(section, _)| section);
        match arch {
            Arch::X86_64 => assert_ne!(found, Err(index)),
            Arch::S390 => assert_eq!(found, Err(index)),
        }
    }
}

#[test]
fn relocations_do_not_change_the_symbols_or_name_what_is_freed() {
    for arch in ARCHES {
        let file = File::new(arch);
        let (index, ..) = relocations(&file);
        let (symbols, _) = file.find(b".symtab");
        let (strings, _) = file.find(b".strtab");
        for table in [symbols, strings] {
            let (found, error) = file.with(index, INFO, table.0.into()).check().unwrap_err();
            assert_eq!(found, index);
            assert!(matches!(error, Error::RelocationTarget(_)));
        }
        let (data, section) = file.find(b".bss");
        let (_, error) = file
            .with(data, FLAGS, section.sh_flags & !SHF_ALLOC)
            .with(data, SIZE, 0)
            .check()
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Unchecked(LoaderFault::NotInMemory { .. })
        ));
    }
}
