// SPDX-License-Identifier: GPL-2.0

//! What kernels `klp` takes symbols from, and how it counts those of kernels that do not list
//! all.

mod common;

use common::livepatch::{ENABLE, LIVEPATCH_H};
use common::{Case, Elf};
use livepatch_fixtures::boot_image::{boot_image, executable, Packing, PACKINGS};
use livepatch_fixtures::kallsyms::{Kallsyms, Layout, Listed};
use livepatch_fixtures::{Arch, Module, ARCHES};

/// Where the kernel is linked to; its list of symbols begins there.
const BASE: u64 = 0x10_0000;

/// What stands behind the list.
const TAIL: u64 = 0x8000;

/// `twin` twice as a function and once as a variable, with more symbols than are looked at;
/// `variables` says whether there are any.
fn memory(arch: Arch, variables: bool) -> Vec<u8> {
    let mut symbols: Vec<(u64, u8, &str)> = vec![
        (0, b'T', "_stext"),
        (0x10, b't', "twin"),
        (0x18, b't', "lonely"),
        (0x20, b'd', "twin"),
        (0x30, b't', "twin"),
        (TAIL, b'D', "__start_mcount_loc"),
        (TAIL + 8, b'D', "__stop_mcount_loc"),
        (TAIL + 16, b'd', "vermagic"),
        (TAIL + 0x40, b'D', "counter"),
    ];
    let fillers: Vec<String> = (0..300).map(|number| format!("filler_{number}")).collect();
    for (number, name) in fillers.iter().enumerate() {
        symbols.push((0x1000 + 16 * number as u64, b't', name));
    }
    symbols.sort_by_key(|(offset, ..)| *offset);
    symbols
        .retain(|(_, kind, name)| variables || !b"dD".contains(kind) || name.starts_with("__st"));
    let listed = symbols.into_iter().map(|(offset, kind, name)| Listed {
        address: BASE + offset,
        kind,
        name: name.to_owned(),
    });
    let list = Kallsyms {
        layout: Layout::Own,
        absolute: false,
        base: BASE,
        symbols: listed.collect(),
    };
    let mut memory = list.tables(arch, BASE);
    memory.resize(TAIL as usize, 0);
    let site = BASE + 0x18;
    memory.extend(match arch {
        Arch::X86_64 => site.to_le_bytes(),
        Arch::S390 => site.to_be_bytes(),
    });
    memory.extend([0; 8]);
    memory.extend(b"7.3.4 SMP mod_unload \0");
    memory.resize(0x9000, 0);
    memory
}

fn write_image(case: &Case, packing: Packing, variables: bool) {
    let image = boot_image(case.arch, packing, BASE, &memory(case.arch, variables));
    case.write("vmlinuz", image);
}

#[test]
fn a_boot_image_tells_symbols_and_positions() {
    for arch in ARCHES {
        for packing in PACKINGS {
            let case = Case::new(arch);
            write_image(&case, packing, true);
            case.patch(
                "#include <klp_sym.h>
                 extern int lonely(int), counter, second(int) KLP_SYM(vmlinux, twin, 3);
                 int f(int x) { return lonely(x) + counter + second(x); }",
            );
            case.run("--kernel vmlinuz -o out.ko patch.ko").success();
            let symbols = Elf::read(&case.read("out.ko"));
            let mut symbols = symbols.livepatch_symbols();
            symbols.sort_unstable();
            let expected = [
                ".klp.sym.vmlinux.counter,0",
                ".klp.sym.vmlinux.lonely,0",
                ".klp.sym.vmlinux.twin,3",
            ];
            assert_eq!(symbols, expected, "{arch:?} {packing:?}");
        }
    }
}

#[test]
fn lint_reads_call_sites_and_vermagic_of_a_boot_image() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_image(&case, Packing::Zstd, true);
        let patch = |function: &str| {
            case.livepatch(&format!(
                "static int new_one(int x) {{ return x; }}
                 static struct klp_func functions[] = {{ {{ \"{function}\", new_one }}, {{ }} }};
                 static struct klp_object objects[] = {{ {{ .funcs = functions }}, {{ }} }};
                 static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objects }};
                 {ENABLE}"
            ));
        };
        patch("lonely");
        let (text, _) = case.output("lint --kernel vmlinuz out.ko", 0);
        assert!(text.contains("nothing found"), "{text}");
        assert!(!text.contains("call sites"), "{text}");
        patch("filler_7");
        let (text, _) = case.output("lint --kernel vmlinuz out.ko", 1);
        assert!(text.contains("filler_7"), "{text}");

        patch("lonely");
        let mut image = memory(arch, true);
        let release = image.windows(5).rposition(|part| part == b"7.3.4").unwrap();
        image[release + 4] = b'5';
        case.write("vmlinuz", boot_image(arch, Packing::Gzip, BASE, &image));
        let (text, _) = case.output("lint --kernel vmlinuz out.ko", 1);
        assert!(text.contains("should be '7.3.5"), "{text}");
    }
}

#[test]
fn a_vmlinux_without_symbols_is_refused_with_what_to_give() {
    for arch in ARCHES {
        let case = Case::new(arch);
        // As in a headers package: what there is is for type information only.
        case.write("vmlinux", executable(arch, BASE, b"BTF"));
        case.patch("extern int lonely(int); int f(int x) { return lonely(x); }");
        let error = case.refuse_with("--kernel vmlinux");
        for part in [
            "vmlinux",
            "headers package",
            "/boot/vmlinuz-RELEASE",
            "/proc/kallsyms",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        // One that was stripped of them still has the kernel's own list.
        case.write("vmlinux", executable(arch, BASE, &memory(arch, true)));
        case.run("--kernel vmlinux -o out.ko patch.ko").success();
    }
}

#[test]
fn a_boot_image_that_cannot_be_read_says_why() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x); }");
    let data = vec![7; 100_000];
    case.write(
        "vmlinuz",
        boot_image(Arch::X86_64, Packing::Xz, BASE, &data),
    );
    let error = case.refuse_with("--kernel vmlinuz");
    assert!(error.contains("no list of its symbols"), "{error}");
    write_image(&case, Packing::Xz, true);
    let mut image = case.read("vmlinuz");
    image[0x1600..0x1610].fill(0);
    case.write("vmlinuz", image);
    let error = case.refuse_with("--kernel vmlinuz");
    assert!(error.contains("cannot be unpacked with xz"), "{error}");
    let other = boot_image(Arch::S390, Packing::Gzip, BASE, &memory(Arch::S390, true));
    case.write("vmlinuz", other);
    let error = case.refuse_with("--kernel vmlinuz");
    assert!(error.contains("another machine"), "{error}");
}

/// A target with a function and a variable of one name, and a function of another.
fn write_target(case: &Case) {
    let a = "static int __noinline pick(int x) { __asm__ volatile(\"\"); return x + 1; }
        int first_pick(int x) { return pick(x); }";
    let b = "static int pick __attribute__((used)) = 5; int of_target = 6;
        int read_pick(void) { return pick; }";
    let target = Module::new(case.arch, "target")
        .source("a.c", a)
        .source("b.c", b);
    case.write("target.ko", target.build());
}

/// A function and a variable of one name, in the kernel and in the target.
const PATCH: &str = "extern int twin(int), pick(int); int f(int x) { return twin(x) + pick(x); }";

#[test]
fn without_kallsyms_all_variables_do_not_count() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_target(&case);
        let list = "\
            1000 T _stext\n1010 t twin\n1020 T lonely\n2000 T _etext\n2010 d twin\n\
            2020 D counter\n2030 r __ksymtab_exported\n3000 T _sinittext\n4000 T _einittext\n";
        case.write("System.map", list);
        case.patch(PATCH);
        let words = "--kernel System.map --module target.ko";
        let error = case.refuse_with(words);
        assert!(
            error.contains("twin: 2 symbols") && error.contains("pick: 2 symbols"),
            "{error}"
        );

        // As its configuration says.
        case.write(
            ".config",
            "CONFIG_KALLSYMS=y\n# CONFIG_KALLSYMS_ALL is not set\n",
        );
        case.run(&format!("{words} -o out.ko patch.ko")).success();
        let symbols = Elf::read(&case.read("out.ko"));
        let mut symbols = symbols.livepatch_symbols();
        symbols.sort_unstable();
        assert_eq!(
            symbols,
            [".klp.sym.target.pick,0", ".klp.sym.vmlinux.twin,0"]
        );
        std::fs::remove_file(case.path("out.ko")).unwrap();

        case.patch(
            "#include <klp_sym.h>
             extern int counter, of_target, second KLP_SYM(vmlinux, twin, 2);
             extern int exported(int);
             int f(int x) { return exported(counter + of_target + second); }",
        );
        let error = case.refuse_with(words);
        for part in [
            "counter: found nowhere",
            "of_target: found nowhere",
            "no position 2",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(
            error.contains("built without CONFIG_KALLSYMS_ALL"),
            "{error}"
        );
        assert!(!error.contains("exported:"), "{error}");

        case.write(".config", "CONFIG_KALLSYMS=y\nCONFIG_KALLSYMS_ALL=y\n");
        case.patch(PATCH);
        assert!(case.refuse_with(words).contains("twin: 2 symbols"));
    }
}

#[test]
fn a_kernel_tells_itself_whether_variables_count() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_target(&case);
        case.patch("extern int pick(int); int f(int x) { return pick(x); }");
        for (image, variables) in [(true, true), (true, false), (false, true), (false, false)] {
            if image {
                write_image(&case, Packing::Lz4, variables);
            } else {
                let text = "10 t twin\n20 t lonely\n";
                let more = if variables { "30 d counter\n" } else { "" };
                case.write("vmlinuz", format!("{text}{more}"));
            }
            let words = "--kernel vmlinuz --module target.ko";
            if variables {
                assert!(case.refuse_with(words).contains("pick: 2 symbols"));
            } else {
                case.run(&format!("{words} -o out.ko patch.ko")).success();
                std::fs::remove_file(case.path("out.ko")).unwrap();
            }
        }
    }
}

#[test]
fn lint_counts_as_such_a_kernel_does() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let patch = format!(
            "{LIVEPATCH_H}
             extern int counter KLP_SYM(vmlinux, counter, 0);
             static int new_twin(int x) {{ return x + counter; }}
             static struct klp_func functions[] = {{ {{ \"twin\", new_twin, 2 }}, {{ }} }};
             static struct klp_object objects[] = {{ {{ .funcs = functions }}, {{ }} }};
             static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objects }};
             {ENABLE}"
        );
        case.patch(&patch);
        case.run("--symvers Module.symvers --no-lint -o out.ko patch.ko")
            .success();
        let lint = "lint --kernel System.map out.ko";
        case.write(
            "System.map",
            "1000 T _stext\n1010 t twin\n1020 d twin\n1030 t twin\n2000 T _etext\n2010 d twin\n\
             2020 D counter\n",
        );
        case.write(".config", "CONFIG_KALLSYMS=y\n");
        let (text, _) = case.output(lint, 1);
        // The second one is in the code, and still no function.
        assert!(text.contains("'counter' not found"), "{text}");
        assert!(text.contains("built without CONFIG_KALLSYMS_ALL"), "{text}");
    }
}
