// SPDX-License-Identifier: GPL-2.0

//! Where `klp convert` finds symbols: kernels in every form, and target modules.

mod common;

use common::{Case, Elf};
use livepatch_fixtures::{Arch, Module, ARCHES};

/// Two files with a function and a variable of the same name, and more that is not to count.
fn write_target(case: &Case) {
    let a = "
        static int __noinline pick(int x) { __asm__ volatile(\"\"); return x + 1; }
        int counter_of_target;
        int sold(int x) { return pick(x); }
        __asm__(\".section __ksymtab,\\\"a\\\"\\n__ksymtab_sold: .quad 0\\n.previous\");
        int alone(int x) { return x; }";
    let b = "
        static int __noinline pick(int x) { __asm__ volatile(\"\"); return x * 2; }
        int second_pick(int x) { return pick(x); }
        int also_sold(int x) { return x; }";
    let target = Module::new(case.arch, "my_target")
        .source("a.c", a)
        .source("b.c", b);
    case.write("file-name.ko", target.build());
}

#[test]
fn finds_symbols_in_a_target_module() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_target(&case);
        case.patch(
            "#include <klp_sym.h>
             extern int alone(int), counter_of_target, lonely(int);
             extern int second(int) KLP_SYM(my_target, pick, 2);
             int f(int x) { return alone(x) + second(x) + lonely(x) + counter_of_target; }",
        );
        let after = case.convert("--module file-name.ko");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        let expected = [
            ".klp.sym.my_target.alone,0",
            ".klp.sym.my_target.counter_of_target,0",
            ".klp.sym.my_target.pick,2",
            ".klp.sym.vmlinux.lonely,0",
        ];
        assert_eq!(names, expected);
        let mut sections = after.livepatch_sections();
        sections.sort_unstable();
        assert_eq!(
            sections,
            [".klp.rela.my_target.text", ".klp.rela.vmlinux.text"]
        );
        assert_eq!(
            after
                .relocations(after.section(".klp.rela.my_target.text"))
                .len(),
            3
        );
    }
}

#[test]
fn a_module_without_a_name_is_called_as_its_file() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = "int alone(int x) { return x; }";
        let mut target = Module::new(arch, "x").source("a.c", text).build();
        let at = target
            .windows(7)
            .position(|bytes| bytes == b"name=x\0")
            .unwrap();
        target[at] = b'N';
        case.write("file-name.ko", target);
        case.patch("extern int alone(int); int f(int x) { return alone(x) + 1; }");
        let after = case.convert("--module file-name.ko");
        assert_eq!(after.livepatch_symbols(), [".klp.sym.file_name.alone,0"]);
    }
}

#[test]
fn what_a_target_exports_becomes_its_livepatch_symbol() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_target(&case);
        case.patch(
            "extern int sold(int), also_sold(int), exported(int);
             int f(int x) { return sold(x) + also_sold(x) + exported(x); }
             MODULE_INFO(depends, \"other,my-target,third\");",
        );
        let symvers = "0x1\tsold\tdrivers/x/my-target\tEXPORT_SYMBOL\t\n\
                       0x1\talso_sold\tmy-target\tEXPORT_SYMBOL_GPL\t\n";
        case.write("target.symvers", symvers);
        let after = case.convert("--symvers target.symvers --module file-name.ko");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                ".klp.sym.my_target.also_sold,0",
                ".klp.sym.my_target.sold,0"
            ]
        );
        assert_eq!(after.symbol("exported").shndx, 0);
        assert!(after.modinfo().contains(&"depends=other,third".to_owned()));

        // Also without a Module.symvers of the target.
        let after = case.convert("--module file-name.ko");
        assert_eq!(after.livepatch_symbols().len(), 2);
    }
}

#[test]
fn what_is_exported_to_other_modules_only_becomes_a_livepatch_symbol() {
    for arch in ARCHES {
        let case = Case::new(arch);
        write_target(&case);
        case.patch(
            "extern int sold(int), exported(int);
             int f(int x) { return sold(x) + exported(x); }",
        );
        let symvers = "0x1\tsold\tmy-target\tEXPORT_SYMBOL_GPL\tmodule:buyer\n\
                       0x1\texported\tvmlinux\tEXPORT_SYMBOL_GPL\tmodule:kvm,vfio-*\n";
        // Of two files the first counts.
        case.write("Module.symvers", symvers);
        let after = case.convert("--module file-name.ko");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        assert_eq!(
            names,
            [".klp.sym.my_target.sold,0", ".klp.sym.vmlinux.exported,0"]
        );
    }
}

#[test]
fn a_module_that_is_no_target_keeps_its_exports_and_is_depended_on() {
    let case = Case::new(Arch::X86_64);
    case.patch(
        "extern int sold(int), lonely(int); int f(int x) { return sold(x) + lonely(x); }
         MODULE_INFO(depends, \"my-target\");",
    );
    case.write("target.symvers", "0x1\tsold\tmy-target\tEXPORT_SYMBOL\t\n");
    let after = case.convert("--symvers target.symvers");
    assert_eq!(after.livepatch_symbols(), [".klp.sym.vmlinux.lonely,0"]);
    assert!(after.modinfo().contains(&"depends=my-target".to_owned()));
}

#[test]
fn an_exported_name_is_told_from_static_ones_by_its_position() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let hidden = "static int __noinline sold(int x) { __asm__ volatile(\"\"); return x + 1; }
                      int use(int x) { return sold(x); }";
        let open = "int sold(int x) { return x; }
                    __asm__(\".section __ksymtab,\\\"a\\\"\\n__ksymtab_sold: .quad 0\\n.previous\");";
        let target = Module::new(arch, "my_target")
            .source("a.c", hidden)
            .source("b.c", open);
        case.write("target.ko", target.build());
        case.patch("extern int sold(int); int f(int x) { return sold(x) + 1; }");
        let after = case.convert("--module target.ko");
        assert_eq!(after.livepatch_symbols(), [".klp.sym.my_target.sold,2"]);
    }
}

#[test]
fn symbols_of_init_sections_do_not_count_but_are_warned_of() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let early = "static int __noinline __section(\".init.text\") pick(int x)
                     { __asm__ volatile(\"\"); return x + 1; }
                     int __section(\".init.text\") start(int x) { return pick(x); }";
        let late = "static int __noinline pick(int x) { __asm__ volatile(\"\"); return x + 2; }
                    int use(int x) { return pick(x); }";
        let target = Module::new(arch, "my_target")
            .source("a.c", early)
            .source("b.c", late);
        case.write("target.ko", target.build());
        case.patch("extern int pick(int); int f(int x) { return pick(x) + 1; }");
        let usual = "--kernel System.map --module target.ko -o out.ko patch.ko";
        let assert = case.run(usual).success();
        let warned = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(
            warned.contains("warning[position-unsteady]: my_target has another symbol 'pick'"),
            "{warned}"
        );
        let after = Elf::read(&case.read("out.ko"));
        assert_eq!(after.livepatch_symbols(), [".klp.sym.my_target.pick,0"]);
    }
}

#[test]
fn a_vmlinux_says_the_same_as_its_system_map() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let a = "static int __noinline twin(int x) { __asm__ volatile(\"\"); return x + 1; }
                 int use_a(int x) { return twin(x); }";
        let b = "static int __noinline twin(int x) { __asm__ volatile(\"\"); return x + 2; }
                 int use_b(int x) { return twin(x); } int lonely(int x) { return x; }";
        // Linked in this order, so that positions are not in the order of names.
        let kernel = Module::new(arch, "k")
            .source("zz.c", b)
            .source("aa.c", a)
            .build_kernel();
        case.write("vmlinux", kernel);
        case.patch(
            "extern int lonely(int), twin(int); int f(int x) { return lonely(x) + twin(x); }",
        );
        let error = case.refuse_with("--kernel vmlinux");
        let position = |file: &str| {
            let line = error
                .lines()
                .find(|line| line.ends_with(file))
                .expect(&error);
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        assert_eq!(
            (position("zz.c"), position("aa.c")),
            ("1".into(), "2".into()),
            "{error}"
        );
        assert!(
            error.contains("function") && error.contains(".text"),
            "{error}"
        );

        case.patch(
            "#include <klp_sym.h>
             extern int lonely(int), second(int) KLP_SYM(vmlinux, twin, 2);
             int f(int x) { return lonely(x) + second(x); }",
        );
        case.run("--kernel vmlinux -o out.ko patch.ko").success();
        let with_vmlinux = case.read("out.ko");
        case.run("--kernel System.map -o out.ko patch.ko").success();
        assert_eq!(with_vmlinux, case.read("out.ko"));
    }
}

#[test]
fn kallsyms_counts_what_is_not_in_brackets() {
    let case = Case::new(Arch::X86_64);
    let text = "0000000000000000 T lonely\n\
                0000000000000000 t twin\n\
                0000000000000000 t lonely\t[some_module]\n\
                0000000000000000 t twin [some_module]\n\
                0000000000000000 t bpf_prog_1234\t[bpf]\n";
    case.write("kallsyms", text);
    case.patch("extern int lonely(int), twin(int); int f(int x) { return lonely(x) + twin(x); }");
    case.run("--kernel kallsyms -o out.ko patch.ko").success();
    let after = Elf::read(&case.read("out.ko"));
    assert_eq!(after.livepatch_symbols().len(), 2);
}

#[test]
fn undefined_symbols_of_a_list_do_not_count() {
    let case = Case::new(Arch::X86_64);
    let text = "                 U lonely\n0000000000000010 T lonely\n0000000000000020 a lonely\n";
    case.write(
        "nm.txt",
        text.replace("                 U", "0000000000000000 U"),
    );
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    case.run("--kernel nm.txt -o out.ko patch.ko").success();
}

#[test]
fn names_the_line_of_a_symbol_list_that_is_malformed() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    for (text, expected) in [
        ("ffffffff81000000 T a\nffffffff81000000 T\n", "line 2"),
        ("ffffffff81000000 T a b\n", "line 1"),
        ("ffffffff81000000 Tt a\n", "line 1"),
        ("nonsense T a\n", "line 1"),
        // What Debian installs as /boot/System.map-*.
        (
            "ffffffffffffffff B The real System.map is in the linux-image-dbg package\n",
            "placeholder",
        ),
        ("", "no symbols"),
        ("\n\n", "no symbols"),
    ] {
        case.write("System.map", text);
        let error = case.refuse("");
        assert!(
            error.contains(expected) && error.contains("System.map"),
            "{text:?}: {error}"
        );
    }
}
