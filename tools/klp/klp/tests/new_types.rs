// SPDX-License-Identifier: GPL-2.0

//! `klp new`: the types of functions, as BTF and debug information have them.

use assert_cmd::Command;
use livepatch_fixtures::{Arch, Module};
use std::fs;
use tempfile::TempDir;

/// Functions of types of all kinds; `twin` is there twice.
const KERNEL: &str = r#"
typedef unsigned long long u64;
typedef long long loff_t;
typedef _Bool bool;
typedef int (*filldir_t)(void *, const char *);
struct inode { long number; };
union id { int user; };
enum mode { READ, WRITE };
__noinline long long_type(struct inode *inode, const char *name, u64 size, loff_t *pos)
{
	return inode->number + *name + size + *pos;
}
__noinline void nothing(void) { __asm__ volatile(""); }
__noinline bool flags(enum mode type, union id *const id, volatile int *at, filldir_t fill)
{
	return fill(id, "") + *at + type;
}
__noinline void call(int (*done)(struct inode *, unsigned), void **pointers, int (*rows)[3])
{
	done(*pointers, **rows);
}
__noinline int list(const char *format, __builtin_va_list arguments)
{
	return *format + __builtin_va_arg(arguments, int);
}
/* No other declaration can have its type. */
__noinline void nameless(struct { int number; } *thing) { thing->number = 1; }
__noinline void print(const char *format, ...) { __asm__ volatile("" : : "r"(format)); }
static __noinline int twin(int x) { return x * 3; }
int use(int x) { return twin(x); }
"#;

const OTHER: &str = r#"
static __noinline long twin(long x) { return x * 5; }
long use_other(long x) { return twin(x); }
static __noinline int same(int x) { return x * 7; }
int use_same(int x) { return same(x); }
"#;

const TARGET: &str = r#"
struct inode { long number; };
__noinline int of_target(struct inode *inode) { return inode->number; }
/* In the kernel it is another one. */
__noinline void nothing(long x) { __asm__ volatile("" : : "r"(x)); }
MODULE_INFO(name, "target");
MODULE_INFO(vermagic, "7.3.4 SMP mod_unload ");
"#;

const FUNCTIONS: &str = "long_type nothing flags call list";

/// A system, and the files of a kernel and a module.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/sys/kernel/btf")).unwrap();
        fs::create_dir_all(dir.path().join("root/proc/sys/kernel")).unwrap();
        let machine = Machine { dir };
        machine.write("root/proc/sys/kernel/osrelease", "7.3.4\n");
        machine
    }

    fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(file), contents).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    fn run(&self, program: &str, words: &str) {
        let mut command = std::process::Command::new(program);
        command.args(words.split_whitespace());
        let output = command.current_dir(&self.dir).output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error}; the toolchain tree has it (scripts/enter)")
        });
        assert!(output.status.success(), "{program} {words}: {output:?}");
    }

    /// What `klp new` says of what it misses.
    fn new_patch(&self, words: &str) -> String {
        let assert = self.klp(words).success();
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    }

    fn refused(&self, words: &str) -> String {
        let assert = self.klp(words).failure();
        assert!(!self.dir.path().join("p").exists());
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    }

    fn klp(&self, words: &str) -> assert_cmd::assert::Assert {
        let _ = fs::remove_dir_all(self.dir.path().join("p"));
        Command::cargo_bin("klp")
            .unwrap()
            .current_dir(&self.dir)
            .env_remove("KDIR")
            .args(["--root", "root", "new", "p"])
            .args(words.split_whitespace())
            .assert()
    }

    /// The kernel with debug information, its BTF, and that of a module that has nothing else.
    fn with_btf() -> Self {
        let machine = Machine::new();
        machine.write("vmlinux", kernel(Arch::X86_64).build_kernel());
        machine.write("target.ko", target(Arch::X86_64).build());
        // As the kernel's build does it.
        let kind = "--skip_encoding_btf_inconsistent_proto";
        machine.run(
            "pahole",
            &format!("{kind} --btf_encode_detached=kernel.btf vmlinux"),
        );
        machine.run(
            "pahole",
            "--btf_base=kernel.btf --btf_encode_detached=target.btf target.ko",
        );
        machine.run("pahole", "-J --btf_base=kernel.btf target.ko");
        machine.run("objcopy", "--strip-debug target.ko");
        machine
    }
}

fn kernel(arch: Arch) -> Module {
    let module = Module::new(arch, "kernel").flag("-g");
    module.source("kernel.c", KERNEL).source("other.c", OTHER)
}

fn target(arch: Arch) -> Module {
    let module = Module::new(arch, "target").flag("-g");
    module.source("target.c", TARGET)
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// What a patch of [`FUNCTIONS`] has to say.
fn check(machine: &Machine, source: &str) {
    let as_in = |function: &str| format!("\n/* {function}() of vmlinux, as {source} has it. */\n");
    has(
        &machine.read("p/p.c"),
        &[
            "\nstruct inode;\nunion id;\n",
            &as_in("long_type"),
            "\nlong long_type(struct inode *inode, const char *name, u64 size, loff_t *pos);\n",
            "\nstatic long new_long_type(struct inode *inode, const char *name, u64 size,\n\
             \t\tloff_t *pos)\n{\n#error \"p.c: write new_long_type(), then remove this line\"\n}\n",
            "\nvoid nothing(void);\n",
            "\nstatic void new_nothing(void)\n{\n",
            "\nbool flags(enum mode type, union id *const id, volatile int *at,\n\t\tfilldir_t fill);\n",
            "\nvoid call(int (*done)(struct inode *, unsigned int), void **pointers,\n\
             \t\tint (*rows)[3]);\n",
            "\nint list(const char *format, va_list arguments);\n",
        ],
    );
}

#[test]
fn debug_information_has_the_types_of_functions() {
    for arch in [Arch::X86_64, Arch::S390] {
        for clang in [false, true] {
            let machine = Machine::new();
            let module = match clang {
                true => kernel(arch).clang(),
                false => kernel(arch),
            };
            machine.write("vmlinux", module.build_kernel());
            let told = machine.new_patch(&format!("--kernel vmlinux {FUNCTIONS}"));
            assert_eq!(told, "", "clang: {clang}");
            check(&machine, "vmlinux");
        }
    }
}

#[test]
fn btf_has_the_types_of_functions() {
    let machine = Machine::with_btf();
    machine.run("cp", "kernel.btf root/sys/kernel/btf/vmlinux");
    assert_eq!(machine.new_patch(FUNCTIONS), "");
    check(&machine, "/sys/kernel/btf/vmlinux");
    let told = machine.new_patch(&format!("--kernel kernel.btf {FUNCTIONS}"));
    assert_eq!(told, "");
    check(&machine, "kernel.btf");
    // As the headers packages of distributions have it.
    machine.run("pahole", "-J vmlinux");
    machine.run("objcopy", "--strip-debug vmlinux");
    let told = machine.new_patch(&format!("--kernel vmlinux {FUNCTIONS}"));
    assert_eq!(told, "");
    check(&machine, "vmlinux");
}

#[test]
fn in_rust_the_types_are_those_that_bindgen_makes() {
    let machine = Machine::with_btf();
    let told = machine.new_patch(&format!("--rust --kernel kernel.btf {FUNCTIONS}"));
    assert_eq!(told, "");
    has(
        &machine.read("p/bindings.h"),
        &[
            "\nstruct inode;\nunion id;\n",
            "\nlong long_type(struct inode *inode, const char *name, u64 size, loff_t *pos);\n",
        ],
    );
    has(
        &machine.read("p/p.rs"),
        &[
            "                long_type(_, _, _, _) => new_long_type,\n",
            "                nothing() => new_nothing,\n",
            "\nextern \"C\" fn new_long_type(\n    inode: *mut bindings::inode,\n    \
             name: *const c_char,\n    size: u64,\n    pos: *mut bindings::loff_t,\n) -> c_long {\n",
            "\nextern \"C\" fn new_nothing() {\n",
            "    type_: bindings::mode,\n",
            "    fill: bindings::filldir_t,\n",
            "Option<unsafe extern \"C\" fn(*mut bindings::inode, c_uint) -> c_int>",
            "*mut [c_int; 3]",
        ],
    );
    let error = machine.refused("--rust --kernel kernel.btf print");
    assert!(
        error.contains("print() takes a variable number of arguments"),
        "{error}"
    );
    machine.new_patch("--kernel kernel.btf print");
    has(
        &machine.read("p/p.c"),
        &["\nvoid print(const char *format, ...);\n"],
    );
}

#[test]
fn functions_of_one_name_with_several_types_stay_unknown() {
    let machine = Machine::with_btf();
    let told = machine.new_patch("--kernel vmlinux twin,2 same");
    assert_eq!(
        told,
        "twin,2 of vmlinux: type unknown: vmlinux has several functions of this name, with \
         different types\n"
    );
    let text = machine.read("p/p.c");
    has(
        &text,
        &["declare twin() with its type", "\nint same(int x);\n"],
    );
    // Each of those that are the same has its type.
    assert_eq!(machine.new_patch("--kernel vmlinux same,1 same,2"), "");
    has(
        &machine.read("p/p.c"),
        &[
            "\nint vmlinux_same_1(int x);\n",
            "\nint vmlinux_same_2(int x);\n",
        ],
    );
    // pahole leaves such functions out.
    let told = machine.new_patch("--kernel kernel.btf twin same gone");
    has(
        &told,
        &["twin(), gone() of vmlinux: type unknown: not in kernel.btf\n"],
    );
    assert!(!told.contains("same"), "{told}");
}

#[test]
fn a_type_that_cannot_be_declared_is_unknown() {
    let machine = Machine::with_btf();
    for file in ["kernel.btf", "vmlinux"] {
        let told = machine.new_patch(&format!("--kernel {file} nameless nothing"));
        assert_eq!(
            told,
            format!("nameless() of vmlinux: type unknown: {file}: a struct without a name\n")
        );
        has(&machine.read("p/p.c"), &["\nvoid nothing(void);\n"]);
    }
}

#[test]
fn modules_have_types_of_their_own() {
    let has_types = |machine: &Machine| {
        let text = machine.read("p/p.c");
        has(
            &text,
            &[
                "\nint of_target(struct inode *inode);\n",
                "\nvoid nothing(long x);\n",
            ],
        );
    };
    const WORDS: &str = "target:of_target target:nothing";
    let machine = Machine::with_btf();
    // A file with BTF needs that of its kernel.
    assert_eq!(
        machine.new_patch(&format!("--kernel kernel.btf --module target.ko {WORDS}")),
        ""
    );
    has_types(&machine);
    let path = fs::canonicalize(machine.dir.path().join("target.ko")).unwrap();
    has(
        &machine.read("p/Makefile"),
        &[&format!("\nKLP_TARGETS := {}\n", path.display())],
    );
    let told = machine.new_patch(&format!("--kernel kernel.btf {WORDS}"));
    has(
        &told,
        &["of_target(), nothing() of target: type unknown: give the file of the module, with --module\n"],
    );

    // The running kernel.
    machine.run("cp", "kernel.btf root/sys/kernel/btf/vmlinux");
    let told = machine.new_patch(WORDS);
    has(
        &told,
        &["type unknown: there is no /sys/kernel/btf/target: give the file of the module, with --module\n"],
    );
    machine.run("cp", "target.btf root/sys/kernel/btf/target");
    assert_eq!(machine.new_patch(WORDS), "");
    has_types(&machine);
    machine.run("rm", "root/sys/kernel/btf/target");
    assert_eq!(
        machine.new_patch(&format!("--module target.ko {WORDS}")),
        ""
    );
    has_types(&machine);
    // That of a module for another one is none.
    machine.write("root/proc/sys/kernel/osrelease", "7.2.1\n");
    let told = machine.new_patch(&format!("--module target.ko {WORDS}"));
    has(
        &told,
        &[
            "type unknown: target.ko is for the kernel 7.3.4: give the vmlinux of that kernel, with \
             --kernel\n",
        ],
    );

    for arch in [Arch::X86_64, Arch::S390] {
        machine.write("target.ko", target(arch).build());
        let told = machine.new_patch(&format!("--module target.ko {WORDS}"));
        assert_eq!(told, "");
        has_types(&machine);
    }
}

#[test]
fn a_file_without_types_is_refused() {
    let machine = Machine::new();
    let bare = Module::new(Arch::X86_64, "kernel").source("kernel.c", KERNEL);
    machine.write("vmlinux", bare.build_kernel());
    machine.write("System.map", "ffffffff81000010 T nothing\n");
    machine.write("bad.btf", b"\x9f\xeb\x01\0\x18\0\0\0damaged");
    let bare = Module::new(Arch::X86_64, "target").source("target.c", TARGET);
    machine.write("target.ko", bare.build());
    for (words, why) in [
        ("--kernel gone", "cannot read gone"),
        (
            "--kernel vmlinux",
            "vmlinux has no types: it was built with neither",
        ),
        (
            "--kernel System.map",
            "System.map is neither a vmlinux nor BTF",
        ),
        ("--kernel bad.btf", "bad.btf: its BTF cannot be read"),
        ("--module System.map", "System.map is no kernel module"),
        (
            "--module target.ko",
            "--module target.ko: the patch replaces no function of target",
        ),
        (
            "--kernel gone --module target.ko --object target",
            "cannot read gone",
        ),
    ] {
        let error = machine.refused(&format!("{words} nothing"));
        assert!(error.contains(why), "{words}: {error}");
    }
    // The file of a module is for the Makefile as well.
    let told = machine.new_patch("--module target.ko target:nothing");
    assert_eq!(
        told,
        "nothing() of target: type unknown: target.ko has no types: it has neither BTF nor debug \
         information\n"
    );
    has(&machine.read("p/Makefile"), &["\nKLP_TARGETS := /"]);
    // What the running kernel tells need not be readable.
    machine.run("cp", "bad.btf root/sys/kernel/btf/vmlinux");
    let told = machine.new_patch("nothing");
    has(
        &told,
        &["nothing() of vmlinux: type unknown: /sys/kernel/btf/vmlinux: its BTF cannot be read"],
    );
}

#[test]
fn the_types_of_another_kernel_are_not_taken() {
    let machine = Machine::with_btf();
    machine.run("cp", "kernel.btf root/sys/kernel/btf/vmlinux");
    let out = |words: &str, kdir: Option<&str>| {
        let _ = fs::remove_dir_all(machine.dir.path().join("p"));
        let mut command = Command::cargo_bin("klp").unwrap();
        command.current_dir(&machine.dir).env_remove("KDIR");
        command.envs(kdir.map(|kdir| ("KDIR", kdir)));
        command
            .args(["--root", "root", "new", "p"])
            .args(words.split_whitespace());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let running = "\ntypes from /sys/kernel/btf/vmlinux, of the running kernel 7.3.4\n";
    let (_, told, _) = out("same", None);
    has(&told, &[running]);

    let kdir = |release: &str| {
        fs::create_dir_all(machine.dir.path().join("kdir/include/config")).unwrap();
        machine.write("kdir/include/config/kernel.release", format!("{release}\n"));
    };
    // That of the running kernel changes nothing.
    kdir("7.3.4");
    for (words, variable) in [
        ("--kdir kdir same", None),
        ("same", Some("kdir")),
        ("same", Some("")),
    ] {
        has(&out(words, variable).1, &[running]);
    }
    kdir("7.2.1");
    let unknown = "same() of vmlinux: type unknown: kdir is for the kernel 7.2.1, and has no types of it: give a vmlinux ";
    for (words, variable) in [("--kdir kdir same", None), ("same", Some("kdir"))] {
        let (done, told, missed) = out(words, variable);
        assert!(done && !told.contains("types from"), "{told}");
        has(&missed, &[unknown]);
        has(&machine.read("p/p.c"), &["declare same() with its type"]);
    }
    has(
        &out("--kdir kdir of_target --object target", None).2,
        &["type unknown: give the file of the module, with --module\n"],
    );
    machine.run("cp", "vmlinux kdir/vmlinux");
    let (_, told, missed) = out("same", Some("kdir"));
    has(&told, &["\ntypes from kdir/vmlinux\n"]);
    assert_eq!(missed, "");
    // What is named counts first.
    has(
        &out("--kernel kernel.btf same", Some("kdir")).1,
        &["\ntypes from kernel.btf\n"],
    );
    let (done, _, error) = out("--kdir root same", None);
    assert!(!done);
    has(&error, &["root is no prepared kernel tree"]);
}

#[test]
fn damaged_types_do_not_crash() {
    let machine = Machine::with_btf();
    for file in ["kernel.btf", "vmlinux"] {
        let whole = fs::read(machine.dir.path().join(file)).unwrap();
        let step = whole.len() / 60 + 1;
        for place in (0..whole.len()).step_by(step) {
            let mut changed = whole.clone();
            changed[place] ^= 0xff;
            for damaged in [changed.as_slice(), &whole[..place]] {
                machine.write("damaged", damaged);
                let assert = machine.klp(&format!("--kernel damaged {FUNCTIONS}"));
                let output = assert.get_output();
                assert!(
                    matches!(output.status.code(), Some(0 | 1)),
                    "{file} at {place}: {output:?}"
                );
            }
        }
    }
}
