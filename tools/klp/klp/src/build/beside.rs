// SPDX-License-Identifier: GPL-2.0

//! What is made of changed files and cannot be patched: whether it comes out the same.
//!
//! A header is also read by assembly, by the linker script, and by C files that kbuild takes numbers
//! from, such as the offsets in structures that assembly uses (`asm-offsets.c`). A livepatch with the
//! other half of the fix would not fit the kernel.

use super::affected::Other;
use super::command::{Product, Record};
use super::compile::{pool, Attempt, Compiler, Failure, Options, Variant};
use super::overlay::Overlay;
use super::tree::Tree;
use anyhow::{anyhow, bail, Result};
use std::collections::{BTreeMap, BTreeSet};

/// How many files a message names.
const SHOWN: usize = 5;

/// What becomes of it with the fix.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Contents,
    Numbers(Vec<String>),
}

/// Compares what cannot be patched before and after the fix. Returns what is to be said: what
/// differs outside of the kernel that runs.
///
/// # Errors
///
/// If a part of the kernel differs, or a compiler cannot be run.
pub fn check(
    tree: &Tree,
    overlay: &mut Overlay,
    others: &[Other],
    options: &Options<'_>,
) -> Result<Vec<String>> {
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let compiler = Compiler::new(tree, options)?;
    let records: Vec<_> = others
        .iter()
        .map(|other| &other.record)
        .enumerate()
        .collect();
    let changes = pool(options)?.install(|| {
        compiler.rounds(overlay, &records, |overlay, at, record| {
            change(&compiler, overlay, at, record)
        })
    });
    let changes = changes.map_err(|failure| match failure {
        Failure::NotCompiled(at, said) => {
            let source = others.get(at).map(|other| other.record.command.source());
            anyhow!(
                "{}, which includes what the fix changes, does not compile with it:\n{said}",
                source.unwrap_or(std::path::Path::new("")).display()
            )
        }
        Failure::Other(error) => error,
    })?;
    let mut outside: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (other, change) in others.iter().zip(changes) {
        let source = other.record.command.source().display().to_string();
        match (other.place, other.record.command.product(), change) {
            (_, _, Change::Nothing) => {}
            (Some(place), ..) => {
                outside.entry(place).or_default().insert(source);
            }
            (None, _, Change::Numbers(numbers)) => refused
                .entry("numbers that the kernel was built with, for assembly and for headers")
                .or_default()
                .extend(
                    numbers
                        .into_iter()
                        .map(|number| format!("{number} ({source})")),
                ),
            (None, product, Change::Contents) => {
                let what = match product {
                    Product::LinkerScript => "the linker script",
                    _ => "assembly",
                };
                refused.entry(what).or_default().insert(source);
            }
        }
    }
    if !refused.is_empty() {
        let all: Vec<_> = refused
            .iter()
            .map(|(what, names)| format!("{what}: {}", list(names)))
            .collect();
        bail!(
            "a livepatch cannot do what the fix does, which changes more than C code. {}",
            all.join("; ")
        );
    }
    let notes = outside.iter().map(|(place, names)| {
        format!(
            "{place} also includes what is changed, and is not patched: {}",
            list(names)
        )
    });
    Ok(notes.collect())
}

fn list(names: &BTreeSet<String>) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{}, and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

fn change(
    compiler: &Compiler<'_>,
    overlay: &Overlay,
    at: usize,
    record: &Record,
) -> std::result::Result<Attempt<Change>, Failure> {
    let text = compiler.is_same_text(overlay, at, record)?;
    let is_same = match text {
        Attempt::Missed(files) => return Ok(Attempt::Missed(files)),
        Attempt::Done(is_same) => is_same,
    };
    if is_same {
        return Ok(Attempt::Done(Change::Nothing));
    }
    let product = record.command.product();
    let variants = (Variant::OtherBefore, Variant::OtherAfter);
    compiler.both(
        overlay,
        at,
        record,
        variants,
        |before, after| match product {
            Product::Numbers => compare(&before, &after),
            _ if before == after => Change::Nothing,
            _ => Change::Contents,
        },
    )
}

/// Compares the numbers that kbuild would take from the compiler's assembly.
fn compare(before: &[u8], after: &[u8]) -> Change {
    let (before, after) = (
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after),
    );
    let (before, after) = (numbers(&before), numbers(&after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let shown = |value: Option<&&str>| value.map_or("nothing", |value| value).to_owned();
    let differ: Vec<_> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let (from, to) = (shown(before.get(name)), shown(after.get(name)));
            format!("{name} changes from {from} to {to}")
        })
        .collect();
    match differ.is_empty() {
        true => Change::Nothing,
        false => Change::Numbers(differ),
    }
}

/// The numbers in the compiler's assembly, by their names. `include/linux/kbuild.h` has the compiler
/// write `.ascii "->NAME VALUE COMMENT"` for each, where the value may begin with `$` or `#`.
fn numbers(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| {
        let (before, line) = line.split_once("\"->")?;
        let is_one = before.trim() == ".ascii" || before.trim().is_empty();
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| *name != "#" && is_one)?;
        let value = words.next()?.trim_end_matches('"');
        Some((name, value.trim_start_matches(['$', '#'])))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::affected::{self, Ask};
    use crate::build::progress::Progress;
    use crate::build::testing::{write, Kernel, Layout, LAYOUTS};
    use std::path::Path;

    const NUMBERS: &str = "arch/x86/kernel/asm-offsets.s";
    const SCRIPT: &str = "arch/x86/kernel/vmlinux.lds";

    /// A kernel with assembly, a linker script and numbers, which are made of a header.
    fn kernel(layout: Layout) -> Kernel {
        let kernel = Kernel::new(layout);
        for (path, text) in [
            (
                "include/linux/layout.h",
                "#define SIZE 8\n#define PLACE 0x1000\n#define SHIFT 3 /* of it */\n#define TEXT 5\n",
            ),
            (
                "arch/x86/kernel/asm-offsets.c",
                "#include <linux/layout.h>\nvoid f(void) { asm(\"\\n.ascii \\\"->BYTES %0 it\\\"\" : : \"i\" (SIZE * 2)); \
                 asm(\"nop # %0\" : : \"i\" (TEXT)); }\n",
            ),
            (
                "arch/x86/kernel/vmlinux.lds.S",
                "#include <linux/layout.h>\n. = PLACE;\n",
            ),
            ("lib/entry.S", "#include <linux/layout.h>\n.long SHIFT\n"),
            ("fs/two.c", "#include <linux/layout.h>\nint two(void) { return TEXT; }\n"),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        kernel.make(&[], &[NUMBERS]);
        kernel
    }

    fn checked(kernel: &Kernel, is_built: bool, from: &str, to: &str) -> Result<Vec<String>> {
        let fix = kernel.fix("fix.patch", &[("include/linux/layout.h", from, to)]);
        let scratch = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let work = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let mut overlay = Overlay::new(&kernel.tree, &[fix], scratch.path()).expect("it applies");
        let progress = Progress::new(true);
        let ask = Ask {
            jobs: 1,
            most: 10,
            progress: &progress,
        };
        let ask = (!is_built).then_some(&ask);
        let affected = affected::units(&kernel.tree, overlay.changed(), ask).expect("it is found");
        assert!(affected.notes.is_empty(), "{:?}", affected.notes);
        let objects: Vec<_> = affected
            .units
            .iter()
            .map(|unit| unit.record.command.object())
            .collect();
        assert_eq!(objects, [Path::new("fs/two.o")]);
        assert_eq!(affected.others.len(), 3);
        let options = Options {
            cache: &kernel.scratch("cache"),
            scratch: work.path(),
            jobs: 2,
            headers: None,
            progress: &progress,
        };
        check(&kernel.tree, &mut overlay, &affected.others, &options)
    }

    fn message(result: Result<Vec<String>>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn what_comes_out_the_same_is_not_mentioned() {
        for (layout, is_built) in LAYOUTS.into_iter().flat_map(|l| [(l, false), (l, true)]) {
            let kernel = kernel(layout);
            if is_built {
                kernel.make(&[], &["lib/entry.o", "fs/two.o", SCRIPT]);
            }
            for (from, to) in [
                ("/* of it */", "/* of that */"),
                ("TEXT 5", "TEXT 6"),
                ("SIZE 8", "SIZE (4 + 4)"),
            ] {
                let said = checked(&kernel, is_built, from, to).expect(from);
                assert!(said.is_empty(), "{layout:?} {said:?}");
            }
        }
    }

    #[test]
    fn what_differs_is_refused_with_its_name() {
        for is_built in [false, true] {
            let kernel = kernel(Layout::Apart);
            if is_built {
                kernel.make(&[], &["lib/entry.o", "fs/two.o", SCRIPT]);
            }
            let said = message(checked(&kernel, is_built, "SIZE 8", "SIZE 16"));
            assert!(
                said.contains("BYTES changes from 16 to 32 (arch/x86/kernel/asm-offsets.c)"),
                "{said}"
            );
            let said = message(checked(&kernel, is_built, "SHIFT 3", "SHIFT 4"));
            assert!(said.ends_with("assembly: lib/entry.S"), "{said}");
            let said = message(checked(&kernel, is_built, "0x1000", "0x2000"));
            assert!(
                said.ends_with("the linker script: arch/x86/kernel/vmlinux.lds.S"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_outside_of_the_kernel_is_mentioned_if_it_differs() {
        let kernel = kernel(Layout::Apart);
        kernel.make(&["MORE=-DBUILD_VDSO"], &["lib/entry.o"]);
        kernel.make(&[], &["fs/two.o", SCRIPT]);
        let said = checked(&kernel, true, "SHIFT 3", "SHIFT 4").expect("it is not the kernel");
        assert_eq!(
            said,
            ["the vdso also includes what is changed, and is not patched: lib/entry.S"]
        );
        let said = checked(&kernel, true, "TEXT 5", "TEXT 6").expect("it is not the kernel");
        assert!(said.is_empty(), "{said:?}");
    }

    const TEXT: &str = "\t.ascii \"->TASK_SIZE $2624 offsetof(struct task, x)\"\n\t.ascii \"->\"\n\
                        .ascii \"->FLAG #8 1 << 3\"\n\tmovl $1, %eax\n\t.ascii \"->#comment\"\n";

    #[test]
    fn numbers_are_read_from_markers() {
        let found: Vec<_> = numbers(TEXT).into_iter().collect();
        assert_eq!(found, [("FLAG", "8"), ("TASK_SIZE", "2624")]);
    }

    #[test]
    fn only_numbers_count() {
        let after = TEXT
            .replace("$1,", "$2,")
            .replace("offsetof(struct task, x)", "it");
        assert_eq!(compare(TEXT.as_bytes(), after.as_bytes()), Change::Nothing);
        let after = TEXT.replace("2624", "2632").replace("FLAG #8", "OTHER $9");
        let expected = [
            "FLAG changes from 8 to nothing",
            "OTHER changes from nothing to 9",
            "TASK_SIZE changes from 2624 to 2632",
        ];
        assert_eq!(
            compare(TEXT.as_bytes(), after.as_bytes()),
            Change::Numbers(expected.map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| (0..count).map(|at| at.to_string()).collect();
        assert_eq!(list(&names(5)), "0, 1, 2, 3, 4");
        assert_eq!(list(&names(7)), "0, 1, 2, 3, 4, and 2 more");
    }
}
