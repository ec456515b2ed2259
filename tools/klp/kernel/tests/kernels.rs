// SPDX-License-Identifier: GPL-2.0

//! What was written into a kernel is read from it: for all layouts of its list of symbols, all
//! ways to compress it, and both machines.

use livepatch_fixtures::boot_image::{boot_image, executable, Packing, PACKINGS};
use livepatch_fixtures::kallsyms::{Kallsyms as Written, Layout, Listed, LAYOUTS};
use livepatch_fixtures::{Arch, ARCHES};
use livepatch_format::elf::Machine;
use livepatch_kernel::{Error, Image, Kallsyms, Symbol};
use proptest::prelude::*;

/// More than any test needs.
const LIMIT: u64 = 64 << 20;

/// Where kernels are linked to.
fn base(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 0xffff_ffff_8100_0000,
        Arch::S390 => 0x10_0000,
    }
}

/// Symbols of code and data, of which some have the same name.
fn symbols(arch: Arch, count: u64) -> Vec<Listed> {
    (0..count)
        .map(|number| {
            let (kind, name) = match number % 5 {
                0 => (b'T', format!("init_sys_{number}")),
                1 => (b't', "twin".to_owned()),
                2 => (b'D', format!("counter_0{number}")),
                3 => (b'r', format!("__func__.{number}")),
                _ => (b'W', format!("{}_{number}", "long".repeat(40))),
            };
            Listed {
                address: base(arch) + number / 2 * 16,
                kind,
                name,
            }
        })
        .collect()
}

/// A kernel's memory: something, its list, something.
fn memory(arch: Arch, list: &Written) -> Vec<u8> {
    let mut data: Vec<u8> = (0..0x4000u32).flat_map(|word| word.to_le_bytes()).collect();
    // What looks like the tokens at first sight.
    data[0x100..0x114].copy_from_slice(b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
    data.extend(list.tables(arch, base(arch) + data.len() as u64));
    data.extend([0x55; 999]);
    data
}

fn list(arch: Arch, layout: Layout) -> Written {
    Written {
        layout,
        absolute: false,
        base: base(arch),
        symbols: symbols(arch, 1000),
    }
}

fn read(written: &[Listed]) -> Vec<Symbol> {
    let read = written.iter().map(|symbol| Symbol {
        address: symbol.address,
        kind: symbol.kind,
        name: symbol.name.clone().into_bytes(),
    });
    read.collect()
}

fn machine(arch: Arch) -> Machine {
    match arch {
        Arch::X86_64 => Machine::X86_64,
        Arch::S390 => Machine::S390,
    }
}

#[test]
fn every_layout_is_read() {
    for arch in ARCHES {
        for layout in LAYOUTS {
            let list = list(arch, layout);
            let file = executable(arch, base(arch), &memory(arch, &list));
            let image = Image::read(file).unwrap();
            assert_eq!(image.memory.machine, machine(arch));
            let found = Kallsyms::find(&image.memory).unwrap();
            assert_eq!(found.symbols, read(&list.symbols), "{arch:?} {layout:?}");
            assert!(found.has_variables());
        }
    }
}

#[test]
fn per_cpu_variables_may_be_at_absolute_addresses() {
    let arch = Arch::X86_64;
    for layout in [Layout::First, Layout::Numbered, Layout::Reordered] {
        let mut symbols: Vec<_> = (0..90)
            .map(|number| Listed {
                address: number * 8,
                kind: b'A',
                name: format!("per_cpu_{number}"),
            })
            .collect();
        symbols.extend(self::symbols(arch, 900));
        let list = Written {
            layout,
            absolute: true,
            base: base(arch),
            symbols,
        };
        let image = Image::read(executable(arch, base(arch), &memory(arch, &list))).unwrap();
        let found = Kallsyms::find(&image.memory).unwrap();
        assert_eq!(found.symbols, read(&list.symbols), "{layout:?}");
    }
}

#[test]
fn every_compression_is_unpacked() {
    for arch in ARCHES {
        for packing in PACKINGS {
            let list = list(arch, Layout::Own);
            let data = memory(arch, &list);
            let file = boot_image(arch, packing, base(arch), &data);
            assert!(Image::is_boot_image(&file));
            let image =
                Image::read(file).unwrap_or_else(|error| panic!("{arch:?} {packing:?}: {error}"));
            assert!(image.packed.is_some());
            assert_eq!(
                image.memory.bytes(base(arch), data.len() as u64),
                Some(&data[..])
            );
            let found = Kallsyms::find(&image.memory).unwrap();
            assert_eq!(found.symbols, read(&list.symbols), "{arch:?} {packing:?}");
        }
    }
}

#[test]
fn a_kernel_without_kallsyms_all_has_no_variables() {
    let arch = Arch::X86_64;
    let mut list = list(arch, Layout::Own);
    list.symbols.retain(|symbol| b"tT".contains(&symbol.kind));
    list.symbols.push(Listed {
        address: base(arch) + 0x10000,
        kind: b'D',
        name: "__start_mcount_loc".to_owned(),
    });
    let image = Image::read(executable(arch, base(arch), &memory(arch, &list))).unwrap();
    assert!(!Kallsyms::find(&image.memory).unwrap().has_variables());
}

#[test]
fn memory_ends_where_the_file_does() {
    let arch = Arch::X86_64;
    let image = Image::read(executable(arch, base(arch), b"0123456789")).unwrap();
    let memory = &image.memory;
    assert_eq!(memory.bytes(base(arch) + 3, 4), Some(&b"3456"[..]));
    assert_eq!(memory.bytes(base(arch) + 3, 8), None);
    assert_eq!(memory.bytes(base(arch) - 1, 4), None);
    assert_eq!(memory.bytes(base(arch) + 10, 0), None);
    assert_eq!(memory.from(base(arch) + 8), Some(&b"89"[..]));
    assert!(matches!(Kallsyms::find(memory), Err(Error::NoKallsyms)));
}

#[test]
fn says_what_is_wrong() {
    let good = boot_image(Arch::X86_64, Packing::Gzip, 0x1000, &[7; 100_000]);
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        Image::read_up_to(file, LIMIT).unwrap_err()
    };
    assert!(matches!(wrong(&Vec::clear), Error::NoKernel));
    assert!(matches!(wrong(&|file| file[0x202] = 0), Error::NoKernel));
    assert!(matches!(wrong(&|file| file[0x207] = 1), Error::Damaged(_)));
    assert!(matches!(
        wrong(&|file| file.truncate(0x1420)),
        Error::Damaged(_)
    ));
    assert!(matches!(
        wrong(&|file| file[0x1401] ^= 1),
        Error::NotCompressed
    ));
    assert!(matches!(
        wrong(&|file| file[0x1420] ^= 1),
        Error::Unpack { .. }
    ));
    let error = Image::read_up_to(good.clone(), 100_000).unwrap_err();
    assert!(matches!(error, Error::TooLong(100_000)), "{error}");

    let mut file = boot_image(Arch::S390, Packing::Zstd, base(Arch::S390), &[7; 100_000]);
    file[0x11000..0x11008].fill(0);
    assert!(matches!(Image::read(file), Err(Error::NoBase)));
    let mut file = vec![0; 0x20000];
    file[0x10008..0x1000e].copy_from_slice(b"S390EP");
    assert!(matches!(Image::read(file), Err(Error::NotCompressed)));
}

/// Names as they are in kernels, and others.
fn names() -> impl Strategy<Value = Vec<(u8, String)>> {
    let kind = prop::sample::select(b"tTdDbBrRwW".to_vec());
    let name = prop_oneof![
        4 => "[a-z_][a-z0-9_.]{0,40}",
        1 => "[a-z0-9_]{100,500}",
    ];
    prop::collection::vec((kind, name), 257..700)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_list_is_read(
        names in names(),
        layout in prop::sample::select(LAYOUTS.to_vec()),
        arch in prop::sample::select(ARCHES.to_vec()),
        offset in 0usize..64,
    ) {
        let mut address = base(arch);
        let symbols = names.into_iter().map(|(kind, name)| {
            address += name.len() as u64 / 3;
            Listed { address, kind, name }
        });
        let list = Written { layout, absolute: false, base: base(arch), symbols: symbols.collect() };
        let start = offset * 8;
        let mut data = vec![0; start];
        data.extend(list.tables(arch, base(arch) + start as u64));
        let image = Image::read(executable(arch, base(arch), &data)).unwrap();
        prop_assert_eq!(Kallsyms::find(&image.memory).unwrap().symbols, read(&list.symbols));
    }

    #[test]
    fn damage_is_survived(
        packing in prop::sample::select(PACKINGS.to_vec()),
        layout in prop::sample::select(LAYOUTS.to_vec()),
        arch in prop::sample::select(ARCHES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        inside in any::<bool>(),
    ) {
        let mut list = list(arch, layout);
        list.symbols.truncate(300);
        let mut data = memory(arch, &list);
        let change = |bytes: &mut Vec<u8>| for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        };
        if inside {
            change(&mut data);
        }
        let mut file = boot_image(arch, packing, base(arch), &data);
        if !inside {
            change(&mut file);
        }
        if let Ok(image) = Image::read_up_to(file, LIMIT) {
            if let Ok(found) = Kallsyms::find(&image.memory) {
                prop_assert!(found.symbols.len() > 256);
            }
        }
    }
}
