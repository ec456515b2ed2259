// SPDX-License-Identifier: GPL-2.0

//! Whether two preprocessed C files make the same code, by their text.
//!
//! Most files that include a changed header do not use what is changed in it. The preprocessor is
//! many times as fast as the compiler, and its output tells: what differs is left out where it is in
//! `static inline` functions that nothing names which is compiled, as the compiler makes no code of
//! those. Everything else counts as a difference.

use memchr::memmem;
use std::collections::{HashMap, HashSet};

/// Whether the same code comes of both texts, which the preprocessor has written without line
/// markers (`-P`). It may say that it does not where it does.
pub fn same_code(before: &[u8], after: &[u8]) -> bool {
    before == after || compiled(before) == compiled(after)
}

/// The declarations of which code can come, in their order.
fn compiled(text: &[u8]) -> Vec<&[u8]> {
    let items = items(text);
    let mut inline: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let mut is_compiled = vec![true; items.len()];
    for (at, item) in items.iter().enumerate() {
        if let (Some(name), Some(flag)) = (inline_function(item), is_compiled.get_mut(at)) {
            inline.entry(name).or_default().push(at);
            *flag = false;
        }
    }
    let mut open: Vec<usize> = (0..items.len())
        .filter(|&at| is_compiled.get(at) == Some(&true))
        .collect();
    let mut seen = HashSet::new();
    while let Some(at) = open.pop() {
        for word in words(items.get(at).copied().unwrap_or_default()) {
            if !seen.insert(word) {
                continue;
            }
            for &at in inline.get(word).into_iter().flatten() {
                if let Some(flag @ false) = is_compiled.get_mut(at) {
                    *flag = true;
                    open.push(at);
                }
            }
        }
    }
    let kept = items.iter().zip(is_compiled);
    kept.filter_map(|(item, is_kept)| is_kept.then_some(*item))
        .collect()
}

/// Splits a file into its declarations and definitions. A piece may have more than one of them, or a
/// part of one, but a function begins a piece and ends with it.
fn items(text: &[u8]) -> Vec<&[u8]> {
    let mut items = Vec::new();
    let mut begin = 0;
    let (mut braces, mut parentheses) = (0usize, 0usize);
    // Whether a parenthesis is the last before the brace: of parameters, if it is a function.
    let (mut last, mut is_body) = (b';', false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let mut next = at + 1;
        let mut ends = false;
        match byte {
            b'"' | b'\'' => next = after_literal(text, at),
            b'(' => parentheses += 1,
            b')' => parentheses = parentheses.saturating_sub(1),
            b'{' => {
                if (braces, parentheses) == (0, 0) {
                    is_body = last == b')';
                }
                braces += 1;
            }
            b'}' => {
                braces = braces.saturating_sub(1);
                ends = (braces, parentheses) == (0, 0) && is_body;
            }
            b';' => ends = (braces, parentheses) == (0, 0),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
        if ends {
            items.push(text.get(begin..next).unwrap_or_default().trim_ascii());
            begin = next;
            is_body = false;
        }
        at = next;
    }
    items.push(text.get(begin..).unwrap_or_default().trim_ascii());
    items
}

/// Where a string or a character that begins at `at` has ended.
fn after_literal(text: &[u8], at: usize) -> usize {
    let quote = text.get(at).copied();
    let mut at = at + 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            // It is not one, such as an apostrophe in a pragma.
            b'\n' => break,
            _ if Some(byte) == quote => break,
            _ => {}
        }
    }
    at
}

/// The name of a `static inline` function of which there is no code unless it is called.
fn inline_function(item: &[u8]) -> Option<&[u8]> {
    let head = memchr::memchr(b'{', item).and_then(|at| item.get(..at))?;
    if !item.ends_with(b"}") {
        return None;
    }
    let specifiers: Vec<_> = words(head).collect();
    let has = |names: &[&[u8]]| specifiers.iter().any(|word| names.contains(word));
    let begins = |word: &[u8]| words(item).next() == Some(word);
    // A pragma in the function may be for what follows.
    let is_plain = !has_pragma(item)
        && (begins(b"static") || begins(b"inline") || begins(b"__inline") || begins(b"__inline__"))
        && has(&[b"static"])
        && has(&[b"inline", b"__inline", b"__inline__"])
        && !has(&[
            b"used",
            b"__used__",
            b"constructor",
            b"__constructor__",
            b"destructor",
            b"__destructor__",
            b"alias",
            b"__alias__",
        ]);
    is_plain.then(|| declared(head))?
}

fn has_pragma(item: &[u8]) -> bool {
    memmem::find_iter(item, b"#").any(|at| {
        let behind = item.get(at + 1..).unwrap_or_default().trim_ascii_start();
        behind.starts_with(b"pragma")
    })
}

/// The name before the last parentheses of what is before the body.
fn declared(head: &[u8]) -> Option<&[u8]> {
    let head = head.trim_ascii_end();
    let mut depth = 0usize;
    let mut open = None;
    for (at, byte) in head.iter().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    open = Some(at);
                    break;
                }
            }
            _ => {}
        }
    }
    let before = head.get(..open?)?.trim_ascii_end();
    let begin = before.iter().rposition(|byte| !is_word(*byte));
    let name = before.get(begin.map_or(0, |at| at + 1)..)?;
    let is_attribute = name.starts_with(b"__attribute") || name.starts_with(b"__asm");
    let is_name = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    (is_name && !is_attribute).then_some(name)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// All words, also those in strings: assembly has names.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte))
        .filter(|word| word.first().is_some_and(|byte| !byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "struct s { int a; };\n\
        static inline __attribute__((__gnu_inline__)) int unused(int x) { return x + 1; }\n\
        static inline int deep(int x) { return x + 2; }\n\
        static inline int between(int x) { char c = '}'; return deep(x) + c; }\n\
        static inline __attribute__((__used__)) int kept(void) { return 3; }\n\
        int variable = sizeof(struct s) + 4;\n\
        int function(int x) { const char *s = \"{\\\"\"; return between(x) + s[0] + 5; }\n\
        extern int other(int (*call)(void));\n\
        static inline int unused_too(void) { asm(\"\"); return unused(6); }\n";

    fn is_same(from: &str, to: &str) -> bool {
        assert!(HEADER.contains(from), "{from}");
        same_code(HEADER.as_bytes(), HEADER.replacen(from, to, 1).as_bytes())
    }

    #[test]
    fn functions_that_nothing_calls_make_no_code() {
        for (from, to) in [
            ("x + 1", "x + 10"),
            ("unused(6)", "unused(60)"),
            ("int unused(int x) {", "long unused(int x, int y) {"),
            (
                "static inline int unused_too",
                "static inline int more(void) { return 7; }\nstatic inline int unused_too",
            ),
        ] {
            assert!(is_same(from, to), "{from}");
        }
    }

    #[test]
    fn everything_else_counts() {
        for (from, to) in [
            ("x + 2", "x + 20"),
            ("int between(int x)", "long between(int x)"),
            ("return 3", "return 30"),
            ("+ 4", "+ 40"),
            ("+ 5", "+ 50"),
            ("int a;", "long a;"),
            ("(void));", "(int));"),
            // Then it is compiled.
            (
                "static inline __attribute__((__gnu_inline__)) int unused(int x) { return x + 1",
                "static int unused(int x) { return x + 1",
            ),
            ("return between(x)", "return unused(x)"),
            ("asm(\"\")", "\n#pragma pack(1)\nasm(\"\")"),
        ] {
            assert!(!is_same(from, to), "{from}");
        }
    }

    #[test]
    fn pieces_are_declarations_and_functions() {
        let text = "int a = 1, b[] = { 2, 3 };\nstruct s { int x; } y;\nint f(void)\n{ if (1) { g(); } }\n\
                    int (*p)(int);\n_Static_assert(1, \"a;b\");";
        let found = items(text.as_bytes());
        let found: Vec<_> = found.into_iter().map(String::from_utf8_lossy).collect();
        assert_eq!(
            found,
            [
                "int a = 1, b[] = { 2, 3 };",
                "struct s { int x; } y;",
                "int f(void)\n{ if (1) { g(); } }",
                "int (*p)(int);",
                "_Static_assert(1, \"a;b\");",
                "",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(before in "[a-f(){};\"'\\\\ #\n]{0,80}", after in "(static inline int f\\(\\) |[{}a;'\"]){0,20}") {
            let _ = same_code(before.as_bytes(), after.as_bytes());
            let all: Vec<u8> = items(after.as_bytes()).concat();
            prop_assert!(all.len() <= after.len());
            prop_assert!(same_code(after.as_bytes(), after.as_bytes()));
        }
    }
}
