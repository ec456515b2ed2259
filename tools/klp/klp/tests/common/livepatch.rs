// SPDX-License-Identifier: GPL-2.0

//! Livepatches with all that a patch is made of, and what they are for.

use super::Case;
use livepatch_fixtures::Arch;

/// The structures of `include/linux/livepatch.h`, without the kernel's headers.
pub const LIVEPATCH_H: &str = r#"
#include <klp_sym.h>
#define NULL ((void *)0)
struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };
struct klp_callbacks { void *pre_patch, *post_patch, *pre_unpatch, *post_unpatch; _Bool enabled; };
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; void *mod; };
struct klp_state { unsigned long id; unsigned int version; void *data; };
struct klp_patch { void *mod; struct klp_object *objs; struct klp_state *states; _Bool replace; };
int klp_enable_patch(struct klp_patch *);
char __this_module[64] __attribute__((aligned(64))) __section(".gnu.linkonce.this_module");
#define THIS_MODULE (&__this_module)
MODULE_INFO(livepatch, "Y");
MODULE_INFO(vermagic, "7.3.4 SMP mod_unload ");
MODULE_INFO(depends, "livepatch");
"#;

/// The end of a patch: `patch` is enabled.
pub const ENABLE: &str = "
int __section(\".init.text\") init_module(void) { return klp_enable_patch(&patch); }
";

/// Functions and variables of the kernel and of `target`.
pub const GOOD: &str = r#"
extern int lonely(int), counter;
extern int second(int) KLP_SYM(vmlinux, twin, 2), there(int) KLP_SYM(target, shared, 2);
static int new_lonely(int x) { return x + counter + second(x); }
static int new_shared(int x) { return there(x) + 1; }
static struct klp_func of_kernel[] = { { "lonely", new_lonely }, { } };
static struct klp_func of_target[] = { { "shared", new_shared, 2 }, { } };
static void told(void) { }
static struct klp_object objects[] = {
	{ .funcs = of_kernel },
	{ .name = "target", .funcs = of_target, .callbacks = { .post_patch = told } },
	{ }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects, .replace = 1 };
"#;

/// What both of the following have: new functions, and init code that makes a patch of what
/// `REPLACE` and the sections say.
const DESCRIBED: &str = r#"
extern int counter, second(int) KLP_SYM(vmlinux, twin, 2);
extern int there(int) KLP_SYM(target, shared, 2);
extern void *exported(unsigned long);
static __noinline int new_lonely(int x) { return x + counter + second(x); }
static __noinline int new_shared(int x) { return there(x) + 1; }
static int before(void *object) { return object == NULL; }
static void after(void *object) { (void)object; }
int __section(".init.text") init_module(void)
{
	struct klp_patch *patch = exported(sizeof(*patch));

	if (!patch)
		return -12;
	patch->mod = THIS_MODULE;
	patch->objs = exported(3 * sizeof(*patch->objs));
	patch->replace = REPLACE;
	return klp_enable_patch(patch);
}
"#;

/// What mainline's pipeline makes.
const MAINLINE: &str = r#"
struct klp_func_ext { const char *old_name; void *new_func; unsigned long sympos; };
struct klp_object_ext {
	const char *name; struct klp_func_ext *funcs; struct klp_callbacks callbacks; unsigned nr_funcs;
};
static struct klp_func_ext functions[] __section(".init.klp_funcs") = {
	{ "lonely", new_lonely }, { "twin", new_lonely, 2 }, { "shared", new_shared, 2 },
};
static struct klp_object_ext objects[] __section(".init.klp_objects") = {
	{ .funcs = functions, .nr_funcs = 2, .callbacks = { .pre_patch = before } },
	{ "target", functions + 2, { .post_patch = after, .post_unpatch = after }, 1 },
};
"#;

/// What kpatch-build makes, of the same. Its linker script leaves something in every section.
const KPATCH: &str = r#"
struct kpatch_patch_func {
	void *new_addr; unsigned long new_size, old_addr, old_size, sympos;
	const char *name, *objname;
};
struct kpatch_callback { void *callback; const char *objname; };
static struct kpatch_patch_func functions[] __section(".kpatch.funcs") = {
	{ new_lonely, 16, 0, 16, 0, "lonely", "vmlinux" },
	{ new_shared, 16, 0, 16, 2, "shared", "target" },
	{ new_lonely, 16, 0, 16, 2, "twin", "vmlinux" },
};
static struct kpatch_callback pre_patch __section(".kpatch.callbacks.pre_patch") =
	{ before, "vmlinux" };
static struct kpatch_callback post_patch __section(".kpatch.callbacks.post_patch") =
	{ after, "target" };
static unsigned long pre_unpatch __section(".kpatch.callbacks.pre_unpatch");
static struct kpatch_callback post_unpatch[2] __section(".kpatch.callbacks.post_unpatch") =
	{ { after, "target" } };
"#;

/// Who makes a description from which the module's init code makes a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    Mainline,
    Kpatch,
}

pub const BUILDERS: [Builder; 2] = [Builder::Mainline, Builder::Kpatch];

impl Builder {
    /// The source of a patch.
    pub fn source(self, replace: bool) -> String {
        let description = match self {
            Builder::Mainline => MAINLINE,
            Builder::Kpatch => KPATCH,
        };
        let code = DESCRIBED.replace("REPLACE", if replace { "1" } else { "0" });
        format!("{code}{description}")
    }
}

/// Two files of a module `target`, each with a function `shared`, which ftrace reaches.
const TARGET: &str = r#"
static __noinline int shared(int x) { return x * X; }
static void *site __attribute__((section("__mcount_loc"), used)) = shared;
int user_X(int x) { static int calls_X; return shared(x) + calls_X++; }
static void *user __attribute__((section("__mcount_loc"), used)) = user_X;
static __noinline __attribute__((used)) int untraced_X(int x) { return x + X; }
static int copied_X(int x) { return x * 77 + X; }
int (*volatile pointer_X)(int) = copied_X;
static void *other __attribute__((section("__mcount_loc"), used)) = copied_X;
int caller_X(int x) { return copied_X(x) - 1; }
"#;

/// A kernel in which ftrace reaches `lonely` and `copied`.
const KERNEL: &str = r#"
extern void *__start_mcount_loc[], *__stop_mcount_loc[];
void **const call_sites[] = { __start_mcount_loc, __stop_mcount_loc };
static const char __attribute__((used)) vermagic[] = "7.3.4 SMP mod_unload ";
int counter = 5;
__noinline int lonely(int x) { static int calls; return x * 3 + calls++; }
__noinline int untraced(int x) { return x * 5; }
static int copied(int x) { return x * 77 + counter; }
int (*volatile pointer)(int) = copied;
int caller(int x) { return copied(x) - 1; }
static inline int everywhere(int x) { return x * 99 + counter; }
int user(int x) { return everywhere(x) - 2; }
static __attribute__((noinline)) int shrunk(int x, int unused, int y) { return x / y + counter; }
int shrinker(int x, int y) { return shrunk(x, y + 7, y) + 1; }
__noinline int do_idle(int x) { return x + counter; }
static void *idle __attribute__((section("mcount_loc"), used)) = do_idle;
int __x64_sys_pause(void *regs) { return counter; }
int __s390x_sys_pause(void *regs) { return counter; }
static void *site __attribute__((section("mcount_loc"), used)) = lonely;
static void *other __attribute__((section("mcount_loc"), used)) = copied;
"#;

const TWIN: &str = "static __noinline __attribute__((used)) int twin(int x) { return x - X; }\n";

impl Case {
    /// Compiles and converts a patch, for the kernel and `target.ko`, to `out.ko`, whatever is
    /// wrong with it.
    pub fn livepatch(&self, text: &str) -> Vec<u8> {
        if !self.path("vmlinux").exists() {
            self.targets();
        }
        let module = self.module("patch");
        let text = format!("{LIVEPATCH_H}{text}");
        self.write("patch.ko", module.source("patch.c", &text).build());
        self.run(
            "--kernel System.map --symvers Module.symvers --module target.ko --no-lint -o out.ko \
             patch.ko",
        )
        .success();
        self.read("out.ko")
    }

    /// `target.ko`, and `vmlinux`, both with debug information.
    pub fn targets(&self) {
        let file = |number: u32| TARGET.replace('X', &number.to_string());
        let mut target = self.module("target").flag("-g");
        for number in [1, 2] {
            target = target.source(&format!("target_{number}.c"), &file(number));
        }
        self.write("target.ko", target.build());
        let mut vmlinux = self.module("kernel").flag("-g").source("kernel.c", KERNEL);
        for number in [1, 2] {
            vmlinux = vmlinux.source(
                &format!("twin_{number}.c"),
                &TWIN.replace('X', &number.to_string()),
            );
        }
        self.write("vmlinux", vmlinux.build_kernel());
    }

    /// Its architecture's name in the names of files.
    pub fn arch_name(&self) -> &'static str {
        match self.arch {
            Arch::X86_64 => "x86_64",
            Arch::S390 => "s390x",
        }
    }
}
