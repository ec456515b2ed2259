// SPDX-License-Identifier: GPL-2.0

//! What `klp lint` finds.

mod common;

use common::livepatch::{ENABLE, GOOD};
use common::Case;
use livepatch_fixtures::{Arch, ARCHES};
use livepatch_format::elf::{Image, SHDR_SIZE};
use serde_json::Value;
use std::fs;

/// As little as `klp convert` needs.
const SYSTEM_MAP: &str = "--kernel System.map --symvers Module.symvers";

const KNOWN: &str = "--kernel vmlinux --module target.ko --symvers Module.symvers";

/// Checks `out.ko`; returns the findings.
fn findings(case: &Case, words: &str) -> Vec<Value> {
    let status = case
        .klp(&format!("lint {words} out.ko"))
        .get_output()
        .status;
    let (text, _) = case.output(
        &format!("lint --json {words} out.ko"),
        status.code().unwrap(),
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = report["findings"].as_array().unwrap().clone();
    assert_eq!(
        status.code(),
        Some(i32::from(!findings.is_empty())),
        "{text}"
    );
    findings
}

/// The only finding, with this id.
fn only(case: &Case, words: &str, id: &str) -> Value {
    let findings = findings(case, words);
    match &findings[..] {
        [only] if only["id"] == id => only.clone(),
        _ => panic!("not one {id}, but {findings:#?}"),
    }
}

/// The same, where `klp convert` refuses the module in the same words.
fn refused(case: &Case, words: &str, id: &str) -> Value {
    let finding = only(case, words, id);
    assert_eq!(finding["severity"], "error");
    let (_, errors) = case.output(&format!("convert {words} -o other.ko patch.ko"), 1);
    for line in finding["message"].as_str().unwrap().lines() {
        let line = format!("patch.ko: error[{id}]: {line}\n");
        assert!(errors.contains(&line), "{line}{errors}");
    }
    assert!(errors.contains("not converted, as it would be refused"));
    assert!(!case.path("other.ko").exists());
    finding
}

fn good(case: &Case) -> Vec<u8> {
    case.livepatch(&format!("{GOOD}{ENABLE}"))
}

/// A patch of one function.
fn one_function(object: &str, function: &str, position: u32) -> String {
    format!(
        "static int new_function(int x) {{ return x; }}
        static struct klp_func functions[] = {{ {{ {function}, new_function, {position} }}, {{ }} }};
        static struct klp_object objects[] = {{ {{ {object}, functions }}, {{ }} }};
        static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objects }};
        {ENABLE}"
    )
}

/// Where the header of a section is in the file.
fn header_of(file: &[u8], name: &[u8]) -> usize {
    let image = Image::parse(file).unwrap();
    let (index, _) = image.find(name).unwrap();
    image.header.e_shoff as usize + index.0 as usize * SHDR_SIZE
}

#[test]
fn a_good_patch_is_clean() {
    for arch in ARCHES {
        let case = Case::new(arch);
        good(&case);
        let (text, _) = case.output(&format!("lint {KNOWN} out.ko"), 0);
        assert_eq!(text, "out.ko: nothing found\n");
    }
}

#[test]
fn the_json_is_as_it_was() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let mut module = case.livepatch(
            &format!("{GOOD}{ENABLE}")
                .replace("shared\", new_shared, 2", "copied_1\", new_shared, 0"),
        );
        let release = module
            .windows(14)
            .position(|window| window == b"vermagic=7.3.4")
            .unwrap();
        module[release + 13] = b'5';
        let name = module
            .windows(13)
            .position(|window| window == b".vmlinux.twin")
            .unwrap();
        module[name + 9..name + 13].copy_from_slice(b"twit");
        case.write("out.ko", &module);
        let (text, _) = case.output(&format!("lint --json {KNOWN} out.ko"), 1);
        case.golden(&format!("lint-{}.json", case.arch_name()), &text);
    }
}

#[test]
fn what_is_not_given_is_not_checked_and_said() {
    for arch in ARCHES {
        let case = Case::new(arch);
        good(&case);
        let (text, _) = case.output("lint out.ko", 0);
        assert!(
            text.contains("not checked: the kernel's symbols: give --kernel"),
            "{text}"
        );
        assert!(text.contains("not checked: the symbols of target: give --module target.ko"));
        let (text, _) = case.output("lint --kernel System.map out.ko", 0);
        assert!(text.contains("does not list its call sites"), "{text}");
    }
}

#[test]
fn functions_that_are_not_found_as_they_are_named() {
    for arch in ARCHES {
        let case = Case::new(arch);
        for (object, function, position, id, message) in [
            (
                "NULL",
                "\"lonly\"",
                0,
                "symbol-not-found",
                "symbol 'lonly' not found in symbol table",
            ),
            (
                "NULL",
                "\"twin\"",
                0,
                "symbol-ambiguous",
                "unresolvable ambiguity for symbol 'twin' in object 'vmlinux'",
            ),
            (
                "\"target\"",
                "\"shared\"",
                3,
                "symbol-position",
                "symbol position 3 for symbol 'shared' in object 'target' not found",
            ),
        ] {
            case.livepatch(&one_function(object, function, position));
            let finding = refused(&case, KNOWN, id);
            assert_eq!(finding["message"], message);
            assert_eq!(finding["errno"], "EINVAL");
            assert_eq!(finding["severity"], "error");
            let help = finding["help"].as_str().unwrap();
            let asks = help.contains("say with .old_sympos which one is meant: there are");
            assert_eq!(asks, id != "symbol-not-found", "{help}");
        }
    }
}

#[test]
fn functions_that_ftrace_does_not_reach() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let cases = [("NULL", "\"untraced\""), ("\"target\"", "\"untraced_1\"")];
        for (object, function) in cases {
            case.livepatch(&one_function(object, function, 0));
            let finding = refused(&case, KNOWN, "function-not-traced");
            let name = function.trim_matches('"');
            let message = format!("failed to find location for function '{name}'");
            assert_eq!(finding["message"], message.as_str());
        }
        // Text of symbols alone tells of variables.
        case.livepatch(&one_function("NULL", "\"counter\"", 0));
        refused(&case, SYSTEM_MAP, "function-not-traced");
    }
}

#[test]
fn init_code_and_data_are_neither_patched_nor_referred_to() {
    let message = |symbol, object| {
        format!(
            "symbol '{symbol}' in object '{object}' is init code or data, which is freed: use what \
             stays, or copy it into the patch"
        )
    };
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&one_function("NULL", "\"starts\"", 0));
        let finding = refused(&case, SYSTEM_MAP, "symbol-freed");
        assert_eq!(finding["message"], message("starts", "vmlinux").as_str());
        assert_eq!(finding["place"]["function"], "starts");

        let using = |name: &str| {
            let patch = one_function("NULL", "\"lonely\"", 0);
            patch.replace(
                "return x;",
                &format!("extern int {name}; return x + {name};"),
            )
        };
        case.livepatch(&using("early_line"));
        let finding = refused(&case, SYSTEM_MAP, "symbol-freed");
        let lines = finding["message"].as_str().unwrap();
        assert!(
            lines.starts_with(&message("early_line", "vmlinux")),
            "{lines}"
        );
        assert_eq!(finding["place"]["symbol"], ".klp.sym.vmlinux.early_line,0");

        // What marks places in it, and per-CPU variables, whose first copies are there.
        for name in [
            "__init_begin",
            "_sinittext",
            "_einittext",
            "__init_end",
            "of_each",
            "counter",
        ] {
            case.livepatch(&using(name));
            assert_eq!(findings(&case, SYSTEM_MAP), [] as [Value; 0]);
        }

        // Of a module.
        let early = "int __section(\".init.text\") early_target(int x) { return x; }";
        let stays = "int stays(int x) { return x; }
            static void *site __attribute__((section(\"__mcount_loc\"), used)) = stays;";
        let early = case
            .module("early")
            .source("early.c", &format!("{early}{stays}"));
        case.write("early.ko", early.build());
        let known = "--kernel System.map --symvers Module.symvers --module early.ko";
        case.livepatch(&one_function("\"early\"", "\"early_target\"", 0));
        let finding = refused(&case, known, "symbol-freed");
        assert_eq!(
            finding["message"],
            message("early_target", "early").as_str()
        );
    }
}

#[test]
fn an_object_is_called_as_the_module_and_not_as_its_file() {
    for arch in ARCHES {
        let case = Case::new(arch);
        for (name, module) in [
            ("my-target", "my_target"),
            ("target.ko", "target"),
            ("a-b-c.ko", "a_b_c"),
        ] {
            case.livepatch(&one_function(&format!("\"{name}\""), "\"shared\"", 0));
            let finding = refused(&case, KNOWN, "patch-incomplete");
            let message = format!(
                "patch 'patch' is incomplete: no module that is loaded is called '{name}': write \
                 '{module}'"
            );
            assert_eq!(finding["message"], message.as_str());
            assert_eq!(finding["errno"], "EINVAL");
        }
    }
}

#[test]
fn functions_that_are_inlined() {
    for arch in ARCHES {
        let case = Case::new(arch);
        for (object, function, caller) in [
            ("NULL", "\"copied\"", "'copied' is inlined in 'caller'"),
            (
                "\"target\"",
                "\"copied_2\"",
                "'copied_2' is inlined in 'caller_2'",
            ),
        ] {
            case.livepatch(&one_function(object, function, 0));
            let finding = only(&case, KNOWN, "function-inlined");
            assert_eq!(finding["severity"], "warning");
            assert_eq!(
                finding["message"],
                format!("{caller}, where it is not patched").as_str()
            );
        }
    }
}

#[test]
fn a_static_variable_that_was_copied_with_its_function() {
    let counting = |object: &str, function: &str, variable: &str| {
        let patch = one_function(object, function, 0);
        let body = format!("static int {variable} = 7; return x + {variable}++;");
        patch.replace("return x;", &body)
    };
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&counting("NULL", "\"lonely\"", "calls"));
        let finding = only(&case, KNOWN, "static-copied");
        assert_eq!(finding["severity"], "warning");
        let message = finding["message"].as_str().unwrap();
        let beginning = "the patch has a variable 'calls.";
        assert!(message.starts_with(beginning), "{message}");
        assert!(
            message.contains("' of its own, where object 'vmlinux' has 'calls."),
            "{message}"
        );
        let help = finding["help"].as_str().unwrap();
        assert!(
            help.contains("with KLP_SYM_FILE(vmlinux, calls.") && help.contains("\"kernel.c\")"),
            "{help}"
        );
        // The one of another file, and a name that the object does not have.
        for (object, function, variable) in [
            ("\"target\"", "\"user_1\"", "calls_2"),
            ("NULL", "\"lonely\"", "callers"),
            ("NULL", "\"lonely\"", "__calls"),
        ] {
            case.livepatch(&counting(object, function, variable));
            assert_eq!(findings(&case, KNOWN), [] as [Value; 0], "{variable}");
        }
        case.livepatch(&counting("\"target\"", "\"user_2\"", "calls_2"));
        only(&case, KNOWN, "static-copied");

        // clang puts the functions' names before those of their variables.
        case.write(
            "System.map",
            "1000 T lonely\n2000 d lonely.calls\n3000 d other.callers\n",
        );
        for (variable, id) in [("calls", Some("static-copied")), ("callers", None)] {
            let text = counting("NULL", "\"lonely\"", variable);
            let module = case.module("patch").source(
                "patch.c",
                &format!("{}{text}", common::livepatch::LIVEPATCH_H),
            );
            case.write("patch.ko", module.clang().build());
            case.run(&format!("{SYSTEM_MAP} --no-lint -o out.ko patch.ko"))
                .success();
            match id {
                Some(id) => {
                    let finding = only(&case, SYSTEM_MAP, id);
                    assert_eq!(finding["place"]["symbol"], "new_function.calls");
                }
                None => assert_eq!(findings(&case, SYSTEM_MAP), [] as [Value; 0]),
            }
        }
    }
}

/// The help to the refusal of a function.
fn help_of(case: &Case, object: &str, function: &str, id: &str) -> String {
    case.livepatch(&one_function(object, &format!("\"{function}\""), 0));
    let finding = refused(case, KNOWN, id);
    finding["help"].as_str().unwrap().to_owned()
}

#[test]
fn why_a_function_cannot_be_patched() {
    for arch in ARCHES {
        let case = Case::new(arch);
        for (object, function, id, reason) in [
            (
                "NULL",
                "counter",
                "function-not-traced",
                "'counter' is a variable, no function",
            ),
            (
                "NULL",
                "untraced",
                "function-not-traced",
                "or 'kernel.c' is compiled without tracing, as are lib/ and others; patch the \
                 functions that call it",
            ),
            (
                "\"target\"",
                "untraced_2",
                "function-not-traced",
                "or 'target_2.c' is compiled without tracing",
            ),
            (
                "NULL",
                "everywhere",
                "symbol-not-found",
                "it is inlined everywhere: patch 'user' instead",
            ),
            (
                "NULL",
                "nowhere_at_all",
                "symbol-not-found",
                "no function of that name is inlined anywhere either",
            ),
            (
                "NULL",
                "user_1",
                "symbol-not-found",
                "'user_1' is in object 'target': name that in struct klp_object",
            ),
        ] {
            let help = help_of(&case, object, function, id);
            assert!(help.contains(reason), "{function}: {help}");
        }
        for name in ["pause", "sys_pause", "__se_sys_pause", "__do_sys_pause"] {
            let help = help_of(&case, "NULL", name, "symbol-not-found");
            assert_eq!(
                help,
                "the function of that system call is '__x64_sys_pause', whose only parameter is a \
                 'struct pt_regs *'"
            );
        }
        // Symbols by themselves do not tell what is inlined.
        case.livepatch(&one_function("NULL", "\"everywhere\"", 0));
        let finding = refused(&case, SYSTEM_MAP, "symbol-not-found");
        let help = finding["help"].as_str().unwrap();
        assert!(
            help.contains("it may be inlined everywhere, which System.map does not tell"),
            "{help}"
        );
    }
}

#[test]
fn functions_that_some_task_is_always_in() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&one_function("NULL", "\"do_idle\"", 0));
        let finding = only(&case, KNOWN, "function-always-running");
        assert_eq!(finding["severity"], "warning");
        assert_eq!(
            finding["message"],
            "some task is always in 'do_idle': the transition will not end by itself"
        );
    }
}

#[test]
fn what_the_compiler_made_of_a_function_has_other_parameters() {
    let warned = |finding: &Value, what: &str| {
        assert_eq!(finding["severity"], "warning");
        let message = format!(
            "{what}, which the compiler made of 'shrunk': its parameters need not be those of the \
             source, and the kernel crashes where they differ"
        );
        assert_eq!(finding["message"], message.as_str());
    };
    let call = "static int caller(int x) {
            extern int it(int, int, int) KLP_SYM(vmlinux, shrunk.isra.0, 0); return it(x, x, x);
        }";
    for arch in ARCHES {
        let case = Case::new(arch);
        // ftrace does not reach it in this kernel.
        case.livepatch(&one_function("NULL", "\"shrunk.isra.0\"", 0));
        let finding = only(&case, SYSTEM_MAP, "clone");
        warned(&finding, "it patches 'shrunk.isra.0'");
        let help = finding["help"].as_str().unwrap();
        assert!(help.starts_with("no debug information tells"), "{help}");

        let patch = one_function("NULL", "\"lonely\"", 0);
        case.livepatch(&format!(
            "{call}{}",
            patch.replace("return x;", "return caller(x);")
        ));
        let finding = only(&case, KNOWN, "clone");
        warned(&finding, "it refers to 'shrunk.isra.0'");
        assert_eq!(
            finding["help"],
            "debug information: of the source's parameters it has 'x', 'y', and no 'unused'"
        );
        assert_eq!(
            finding["place"]["symbol"],
            ".klp.sym.vmlinux.shrunk.isra.0,0"
        );

        // With the parameters of the source, of which one is not passed.
        let source = "static int new_function(int x, int unused, int y) { return x; }";
        let text = one_function("NULL", "\"shrunk.isra.0\"", 0)
            .replace("static int new_function(int x) { return x; }", source);
        let text = format!("{}{text}", common::livepatch::LIVEPATCH_H);
        let module = case.module("patch").source("patch.c", &text).flag("-g");
        case.write("patch.ko", module.build());
        case.run(&format!("{KNOWN} --no-lint -o out.ko patch.ko"))
            .success();
        let findings = findings(&case, KNOWN);
        let finding = findings.iter().find(|one| one["id"] == "clone").unwrap();
        let help = finding["help"].as_str().unwrap();
        assert!(
            help.ends_with("the new function has 3 parameters, and 2 are passed"),
            "{help}"
        );

        let help = help_of(&case, "NULL", "shrunk", "symbol-not-found");
        assert!(
            help.contains(
                "similar names: shrunk.isra.0 (a clone that the compiler made of shrunk: its"
            ),
            "{help}"
        );
    }
}

#[test]
fn clones_of_a_function() {
    let case = Case::new(Arch::X86_64);
    case.livepatch(&one_function("NULL", "\"lonely\"", 0));
    case.write(
        "System.map",
        "1000 T lonely\n1010 t lonely.constprop.0\n1020 t lonely.cold\n",
    );
    let finding = only(&case, "--kernel System.map", "function-cloned");
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.contains("'lonely.constprop.0' of 'lonely'"),
        "{message}"
    );
    assert!(!message.contains("cold"), "{message}");
}

#[test]
fn a_description_that_lacks_something() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let whole = one_function("\"target\"", "\"shared\"", 2);
        let is = "patch 'patch' is incomplete:";
        let long = "x".repeat(56);
        for (from, to, message) in [
            (
                ".mod = THIS_MODULE, ",
                "",
                "a patch without a module cannot be enabled".to_owned(),
            ),
            (", .objs = objects", "", format!("{is} it has no objects")),
            (
                "{ \"target\", functions }, ",
                "",
                format!("{is} it has no objects"),
            ),
            (
                "\"target\", functions",
                "\"target\"",
                format!("{is} object 'target' has no functions"),
            ),
            (
                "\"shared\", ",
                "NULL, ",
                format!("{is} a function of object 'target' has no name"),
            ),
            (
                "\"shared\"",
                "\"\"",
                format!("{is} '' cannot be a function's name"),
            ),
            (
                "new_function, 2",
                "NULL, 2",
                format!(
                    "{is} there is nothing to replace function 'shared' of object 'target' with"
                ),
            ),
            (
                "{ \"shared\", new_function, 2 }",
                "{ \"shared\", new_function, 2 }, { \"shared\", new_function, 2 }",
                format!("{is} function 'shared' of object 'target' is there twice"),
            ),
            (
                "{ \"target\", functions }",
                "{ \"target\", functions }, { \"target\", functions }",
                format!("{is} object 'target' is there twice"),
            ),
            (
                "\"target\"",
                &format!("\"{long}\""),
                format!("{is} an object's name is too long"),
            ),
        ] {
            let text = whole.replace(from, to);
            assert_ne!(text, whole, "{from}");
            case.livepatch(&text);
            let finding = refused(&case, KNOWN, "patch-incomplete");
            assert_eq!(finding["message"], message.as_str());
            assert_eq!(finding["errno"], "EINVAL");
        }
    }
}

#[test]
fn a_patch_that_replaces_others_may_have_no_objects() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = one_function("\"target\"", "\"shared\"", 2)
            .replace("{ \"target\", functions }, ", "")
            .replace(".objs = objects", ".objs = objects, .replace = 1");
        case.livepatch(&text);
        assert_eq!(findings(&case, KNOWN), [] as [Value; 0]);
        // But not no list of them.
        case.livepatch(&text.replace(".objs = objects, ", ""));
        let finding = only(&case, KNOWN, "patch-incomplete");
        let message = "patch 'patch' is incomplete: it has no objects";
        assert_eq!(finding["message"], message);
    }
}

#[test]
fn what_code_may_change_is_a_warning() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let patch = one_function("NULL", "\"no_such\"", 0).replace(ENABLE, "");
        let init = "int __section(\".init.text\") init_module(void) {
            functions[0].old_name = \"lonely\"; return klp_enable_patch(&patch); }";
        case.livepatch(&format!("{patch}{init}"));
        let finding = only(&case, KNOWN, "symbol-not-found");
        assert_eq!(finding["severity"], "warning");
        assert!(
            finding["help"]
                .as_str()
                .unwrap()
                .contains("which it may change"),
            "{finding}"
        );
    }
}

#[test]
fn two_names_of_one_function() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = one_function("NULL", "\"lonely\"", 0)
            .replace("{ }\n", "{ }")
            .replace(
                "new_function, 0 }",
                "new_function, 0 }, { \"alias\", new_function, 0 }",
            );
        case.livepatch(&text);
        case.write("System.map", "1000 T lonely\n1000 T alias\n");
        let finding = only(&case, "--kernel System.map", "same-function");
        assert_eq!(
            finding["message"],
            "'lonely' and 'alias' are the same function"
        );
    }
}

#[test]
fn marks_that_are_missing() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let mut module = good(&case);
        let at = module
            .windows(10)
            .position(|window| window == b"livepatch=")
            .unwrap();
        module[at] = b'x';
        case.write("out.ko", &module);
        let finding = only(&case, KNOWN, "not-marked");
        assert_eq!(
            finding["message"],
            "module 'patch' has livepatch relocations, but is not marked as a livepatch module"
        );
        assert_eq!(finding["errno"], "ENOEXEC");

        // No relocations either.
        let patch = one_function("NULL", "\"lonely\"", 0);
        let mut module = case.livepatch(&patch);
        let at = module
            .windows(10)
            .position(|window| window == b"livepatch=")
            .unwrap();
        module[at] = b'x';
        case.write("out.ko", &module);
        let finding = only(&case, KNOWN, "not-marked");
        assert_eq!(
            finding["message"],
            "module patch is not marked as a livepatch module"
        );
        assert_eq!(finding["errno"], "EINVAL");
    }
}

#[test]
fn damaged_sections() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let module = good(&case);
        let header = header_of(&module, b".klp.rela.target.text");
        let word = |bytes: &mut [u8], offset: usize, value: u32| {
            let value = match arch {
                Arch::X86_64 => value.to_le_bytes(),
                Arch::S390 => value.to_be_bytes(),
            };
            bytes[header + offset..header + offset + 4].copy_from_slice(&value);
        };
        // sh_type, sh_link, sh_info
        for (offset, value, id, message) in [
            (
                4,
                1,
                "section-target",
                "not a section of relocations with addends",
            ),
            (
                40,
                1,
                "section-target",
                "linked to something else than the symbol table",
            ),
            (
                44,
                999,
                "section-index",
                "section index 999 is out of range",
            ),
        ] {
            let mut bad = module.clone();
            word(&mut bad, offset, value);
            case.write("out.ko", &bad);
            let finding = only(&case, KNOWN, id);
            let text = finding["message"].as_str().unwrap();
            assert!(
                text.starts_with("module 'patch': section .klp.rela.target.text: "),
                "{text}"
            );
            assert!(text.contains(message), "{text}");
            assert_eq!(finding["place"]["section"], ".klp.rela.target.text");
        }
    }
}

#[test]
fn x86_64_writes_only_over_zeroes() {
    let case = Case::new(Arch::X86_64);
    let mut module = good(&case);
    let image = Image::parse(&module).unwrap();
    let (_, section) = image.find(b".klp.rela.target.text").unwrap();
    let (_, text) = image.find(b".text").unwrap();
    let entry = section.sh_offset as usize;
    let offset = u64::from_le_bytes(module[entry..entry + 8].try_into().unwrap());
    module[(text.sh_offset + offset) as usize] = 1;
    case.write("out.ko", &module);
    let finding = only(&case, KNOWN, "relocation-place");
    assert_eq!(finding["errno"], "EINVAL");
    assert_eq!(finding["place"]["relocation"], 0);
}

#[test]
fn relocations_that_wait_for_nobody() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = format!("{GOOD}{ENABLE}").replace(
            "{ .name = \"target\", .funcs = of_target, .callbacks = { .post_patch = told } },",
            "",
        );
        case.livepatch(&format!("{text} void *used[] = {{ of_target, told }};"));
        let known = "--kernel System.map --symvers Module.symvers --module target.ko";
        let finding = refused(&case, known, "patch-incomplete");
        assert_eq!(finding["place"]["object"], "target");
        assert_eq!(
            finding["message"],
            "patch 'patch' is incomplete: it has livepatch relocations for 'target', which is none \
             of its objects, so that they would never be applied: add it to them; its list of \
             functions may be empty"
        );
    }
}

#[test]
fn sections_that_are_used_up_before() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let entry = "extern int own KLP_SYM(target, shared, 1);
            int *early __section(\"__param\") = &own;";
        // klp convert refuses to make it: the section gets its name afterwards.
        let other = entry.replace("__param", "_aparam");
        let mut module = case.livepatch(&format!("{GOOD}{ENABLE}{other}"));
        while let Some(at) = module.windows(8).position(|window| window == b"_aparam\0") {
            module[at..at + 7].copy_from_slice(b"__param");
        }
        case.write("out.ko", &module);
        let finding = only(&case, KNOWN, "relocation-too-late");
        assert_eq!(finding["severity"], "warning");
    }
}

#[test]
fn the_vermagic_is_that_of_the_kernel() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let mut module = good(&case);
        let at = module
            .windows(14)
            .position(|window| window == b"vermagic=7.3.4")
            .unwrap();
        module[at + 13] = b'5';
        case.write("out.ko", &module);
        let finding = only(&case, KNOWN, "vermagic");
        assert_eq!(
            finding["message"],
            "patch: version magic '7.3.5 SMP mod_unload ' should be '7.3.4 SMP mod_unload '"
        );
        assert_eq!(finding["errno"], "ENOEXEC");
    }
}

#[test]
fn symbols_of_a_namespace_that_is_not_imported() {
    for arch in ARCHES {
        for (namespace, imported, help) in [
            ("INNER", "", Some("MODULE_IMPORT_NS(\"INNER\") imports it")),
            ("INNER", "MODULE_INFO(import_ns, \"INNER\");", None),
            (
                "module:other,patch",
                "",
                Some("klp convert makes livepatch symbols of those for other modules"),
            ),
        ] {
            let case = Case::new(arch);
            let patch = one_function("NULL", "\"lonely\"", 0);
            case.livepatch(&format!(
                "{patch} extern int exported(int); int f(int x) {{ return exported(x); }} {imported}"
            ));
            let export = format!("0x0\texported\tvmlinux\tEXPORT_SYMBOL_GPL\t{namespace}\n");
            let api = "0x0\tklp_enable_patch\tlivepatch\tEXPORT_SYMBOL_GPL\t\n";
            case.write("with", format!("{export}{api}"));
            let words = "--kernel vmlinux --symvers with";
            let Some(help) = help else {
                assert!(findings(&case, words).is_empty());
                continue;
            };
            let finding = only(&case, words, "symbol-namespace");
            assert_eq!(finding["errno"], "EINVAL");
            assert_eq!(finding["help"], help);
            let message = format!(
                "patch: module uses symbol (exported) from namespace {namespace}, but does not import it.\n\
                 patch: Unknown symbol exported (err -22)"
            );
            assert_eq!(finding["message"], message);
        }
    }
}

#[test]
fn symbols_that_nobody_exports() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let patch = one_function("NULL", "\"lonely\"", 0);
        case.livepatch(&format!(
            "{patch} extern int exported(int); int f(int x) {{ return exported(x); }}"
        ));
        case.write("without", "0x0\tklp_enable_patch\tlivepatch\tEXPORT_SYMBOL_GPL\t\n0x0\tx\tvmlinux\tEXPORT_SYMBOL\t\n");
        let finding = only(
            &case,
            "--kernel vmlinux --symvers without",
            "unknown-symbol",
        );
        assert_eq!(
            finding["message"],
            "patch: Unknown symbol exported (err -2)"
        );
        assert_eq!(finding["errno"], "ENOENT");
        assert!(findings(&case, KNOWN).is_empty());
    }
}

#[test]
fn the_running_kernel_tells_symbols_call_sites_and_vermagic() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&one_function("\"target\"", "\"shared\"", 2));
        for directory in [
            "root/proc/sys/kernel",
            "root/sys/kernel/tracing",
            "root/lib/modules/7.3.4/kernel",
        ] {
            fs::create_dir_all(case.path(directory)).unwrap();
        }
        let symbols = "1000 T lonely\n5000 t shared\t[target]\n5010 t shared\t[target]\n";
        case.write("root/proc/kallsyms", symbols);
        case.write("root/proc/sys/kernel/osrelease", "7.3.4\n");
        let sites = "root/sys/kernel/tracing/available_filter_functions_addrs";
        case.write(
            sites,
            "0000000000001000 lonely\n0000000000005014 shared [target]\n",
        );
        let running = "--running --root root";
        let (text, _) = case.output(&format!("lint {running} out.ko"), 0);
        assert!(text.ends_with("out.ko: nothing found\n"), "{text}");
        case.write(
            sites,
            "0000000000001000 lonely\n0000000000005000 shared [target]\n",
        );
        only(&case, running, "function-not-traced");
        // Nobody but root sees addresses.
        case.write(
            "root/proc/kallsyms",
            "0 T lonely\n0 t shared\t[target]\n0 t shared\t[target]\n",
        );
        let (text, _) = case.output(&format!("lint {running} out.ko"), 0);
        assert!(text.contains("does not list its call sites"), "{text}");
        case.write("root/proc/sys/kernel/osrelease", "7.3.40\n");
        let finding = only(&case, running, "vermagic");
        assert!(
            finding["message"]
                .as_str()
                .unwrap()
                .ends_with("should be '7.3.40'"),
            "{finding}"
        );
        // A module of that kernel tells all of it.
        let other = case.read("target.ko");
        fs::create_dir_all(case.path("root/lib/modules/7.3.40/kernel")).unwrap();
        case.write("root/lib/modules/7.3.40/kernel/other.ko", {
            let text = "MODULE_INFO(vermagic, \"7.3.40 SMP preempt \");";
            assert!(!other.is_empty());
            case.module("other").source("other.c", text).build()
        });
        let finding = only(&case, running, "vermagic");
        assert!(finding["message"]
            .as_str()
            .unwrap()
            .ends_with("should be '7.3.40 SMP preempt '"));
    }
}

#[test]
fn what_is_no_module_would_be_refused() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let module = good(&case);
        case.write("out.ko", &module[..module.len() / 2]);
        let finding = only(&case, KNOWN, "elf-file");
        assert_eq!(finding["errno"], "ENOEXEC");
        case.write("out.ko", &module[..40]);
        only(&case, KNOWN, "elf-file");
        case.write("out.ko", "no module");
        only(&case, KNOWN, "elf-file");
        let mut other = module.clone();
        other[18..20].copy_from_slice(&[0xff, 0xff]);
        case.write("out.ko", &other);
        only(&case, KNOWN, "machine");
    }
}

#[test]
fn status_2_where_it_cannot_be_checked() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let module = good(&case);
        for (words, message) in [
            ("missing.ko", "cannot read missing.ko"),
            (
                "--kernel missing out.ko",
                "cannot read the kernel's symbols from missing",
            ),
            (
                "--module missing.ko out.ko",
                "cannot read missing.ko: No such file",
            ),
            ("--symvers missing out.ko", "cannot read missing"),
            (
                "--running --root . out.ko",
                "cannot read the kernel's symbols from ./proc/kallsyms",
            ),
            (
                "--module target.ko --module target.ko out.ko",
                "target.ko and target.ko are both called target",
            ),
            ("--kernel out.ko out.ko", "it is a module, not a kernel"),
            ("--running --kernel vmlinux out.ko", "cannot be used with"),
            ("out.ko.gz", "cannot unpack out.ko.gz with gzip"),
        ] {
            case.write("out.ko.gz", [b"\x1f\x8b\x08", &module[..]].concat());
            let (text, errors) = case.output(&format!("lint {words}"), 2);
            assert!(errors.contains(message), "{words}: {errors}");
            assert_eq!(text, "");
        }
    }
}

#[test]
fn a_kernel_of_another_machine_is_not_taken() {
    let [one, other] = ARCHES.map(Case::new);
    good(&one);
    good(&other);
    one.write("other", other.read("vmlinux"));
    let (_, errors) = one.output("lint --kernel other out.ko", 2);
    assert!(
        errors.contains("it is a kernel for another machine"),
        "{errors}"
    );
}

#[test]
fn an_ordinary_module_is_clean_and_told_so() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.targets();
        let (text, _) = case.output("lint --kernel System.map target.ko", 0);
        assert!(text.contains("not checked: it is no livepatch"), "{text}");
    }
}
