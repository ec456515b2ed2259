#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/check-unsafe.py: what is wrong is found, what is right is not."""

import importlib.util
import pathlib
import sys
import unittest

# The checkout stays as it is.
sys.dont_write_bytecode = True

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "check-unsafe.py"
spec = importlib.util.spec_from_file_location("check_unsafe", SCRIPT)
check_unsafe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_unsafe)

SYS = "rust/sys/some/file.rs"


def lines(text, path=SYS):
    """The lines that are found to be wrong."""
    return [line for line, _ in check_unsafe.check(path, text)]


class Place(unittest.TestCase):
    """Where `unsafe` may stand."""

    JUSTIFIED = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() }\n}\n"

    def test_found_outside_of_sys_even_with_a_reason(self):
        for path in (
            "rust/livepatch.rs",
            "rust/patch/redirect.rs",
            "rust/system.rs",
            "samples/rust/cmdline/cmdline.rs",
            "rust/authors.rs",
            "tools/klp/src/main.rs",
            "tools/klp/rust/sys/main.rs",
        ):
            self.assertEqual(lines(self.JUSTIFIED, path), [3], path)

    def test_allowed_in_sys(self):
        self.assertEqual(lines(self.JUSTIFIED), [])

    def test_allowed_in_the_library_for_patches(self):
        self.assertEqual(lines(self.JUSTIFIED, "rust/authors/patch.rs"), [])

    def test_a_patch_declares_symbols(self):
        path = "samples/rust/cmdline/cmdline.rs"
        declared = "livepatch::symbols! {\n    // SAFETY: it is.\n    unsafe { fn f(); }\n}\n"
        self.assertEqual(lines(declared, path), [])
        self.assertEqual(lines(declared.replace("// SAFETY: it is.", "//"), path), [3])
        self.assertEqual(lines(declared.replace("symbols", "other"), path), [3])
        self.assertEqual(lines(declared.replace("fn f();", "unsafe {}"), path), [3])

    def test_a_patch_says_what_a_function_is_called_with(self):
        path = "samples/rust/cmdline/cmdline.rs"
        one = "livepatch! {\n    functions: [\n        // SAFETY: it is.\n        unsafe old(_) => new,\n"
        for text in (one, one.replace("old(", '"old.isra.0" as old('), one.replace("old(", "old[2](")):
            self.assertEqual(lines(text + "    ],\n}\n", path), [], text)
            # One reason is for one function.
            two = text + "        unsafe other(_) => newer,\n    ],\n}\n"
            self.assertEqual(lines(two, path), [5], text)
        self.assertEqual(lines(one.replace("SAFETY", "Safe") + "    ],\n}\n", path), [4])
        self.assertEqual(lines(one.replace("functions: [", "f([").replace("old(_) => new,", "{ old() }"), path), [4])

    def test_words_that_only_look_like_it(self):
        text = (
            "//! unsafe\n#![deny(unsafe_op_in_unsafe_fn)]\n"
            "/* unsafe /* unsafe */ unsafe */\n"
            "// unsafe { }\n/// unsafe\n"
            'const A: &str = "unsafe { \\" unsafe }";\n'
            'const B: &str = r#"unsafe " unsafe"#;\n'
            'const C: &[u8] = b"unsafe";\nconst D: &CStr = c"unsafe";\n'
            "const E: char = '\"'; fn unsafe_name() {} const F: u8 = b'\\'';\n"
            "fn lifetime<'unsafe_a>(r#unsafe: &'unsafe_a str) {}\n"
        )
        self.assertEqual(lines(text, "rust/patch/mod.rs"), [])

    def test_found_behind_text_that_could_hide_it(self):
        for before in (
            "'\"'",
            "b'\"'",
            "'\\''",
            "'\\\\'",
            "'\\u{1F600}'",
            'r"\\"',
            'r#"""#',
            '"\\\\"',
            'br##""#"##',
            'c"//"',
            '"/*"',
            "a::<'static>()",
        ):
            text = f"fn f() {{ g({before}); unsafe {{ h() }} }}"
            self.assertEqual(lines(text, "rust/patch/mod.rs"), [1], before)
            self.assertEqual(lines(text), [1], before)

    def test_found_behind_a_nested_comment(self):
        self.assertEqual(lines("/* /* */ */ fn f() { unsafe { } }", "rust/a.rs"), [1])


class Reason(unittest.TestCase):
    """`// SAFETY:`"""

    def test_block_without(self):
        self.assertEqual(lines("fn f() {\n    unsafe { g() }\n}"), [2])

    def test_impl_without(self):
        self.assertEqual(lines("struct S;\nunsafe impl Send for S {}"), [2])

    def test_impl_with(self):
        self.assertEqual(lines("struct S;\n// SAFETY: it is.\nunsafe impl Send for S {}"), [])

    def test_extern_block_and_attribute_without(self):
        self.assertEqual(lines('unsafe extern "C" {\n    fn f();\n}'), [1])
        self.assertEqual(lines('#[unsafe(no_mangle)]\npub extern "C" fn f() {}'), [1])

    def test_extern_block_and_attribute_with(self):
        self.assertEqual(lines('// SAFETY: a.\nunsafe extern "C" {\n    fn f();\n}'), [])
        self.assertEqual(lines('// SAFETY: a.\n#[unsafe(no_mangle)]\npub extern "C" fn f() {}'), [])

    def test_ordinary_comment_is_no_reason(self):
        self.assertEqual(lines("fn f() {\n    // This is safe.\n    unsafe { g() }\n}"), [3])

    def test_documentation_is_no_reason(self):
        self.assertEqual(lines("/// SAFETY: a.\nunsafe impl Send for S {}"), [2])

    def test_reason_of_the_statement_before_does_not_count(self):
        self.assertEqual(lines("fn f() {\n    // SAFETY: a.\n    unsafe { g() };\n    unsafe { g() }\n}"), [4])
        self.assertEqual(lines("fn f() {\n    // SAFETY: a.\n    g();\n    unsafe { g() }\n}"), [4])
        self.assertEqual(lines("fn f() {\n    // SAFETY: a.\n    if a {}\n    unsafe { g() }\n}"), [4])

    def test_reason_in_a_string_does_not_count(self):
        self.assertEqual(lines('fn f() {\n    g("// SAFETY: a.", unsafe { h() })\n}'), [2])

    def test_reason_behind_does_not_count(self):
        self.assertEqual(lines("fn f() {\n    unsafe { g() } // SAFETY: a.\n}"), [2])

    def test_second_block_needs_its_own(self):
        self.assertEqual(lines("fn f() {\n    // SAFETY: a.\n    g(unsafe { h() },\n      unsafe { h() })\n}"), [4])

    def test_places_where_a_reason_is_seen(self):
        for text in (
            "// SAFETY: a.\n// More of it.\nlet a = unsafe { g() };",
            "// SAFETY: a.\nlet a: [u8; 4] = unsafe { g() };",
            "// SAFETY: a.\nlet a =\n    g(b, unsafe { h() });",
            "g(\n    // SAFETY: a.\n    unsafe { h() },\n);",
            "match a {\n    // SAFETY: a.\n    B(c) => unsafe { h() },\n    _ => {}\n}",
            "/* SAFETY: a. */ unsafe { g() }",
            "let a = b.map(|c| {\n    // SAFETY: a.\n    unsafe { g(c) }\n});",
            "if a {\n} else {\n    // SAFETY: a.\n    unsafe { g() }\n}",
        ):
            self.assertEqual(lines("fn f() {\n" + text + "\n}"), [], text)


class Contract(unittest.TestCase):
    """`# Safety`"""

    def test_function_without(self):
        self.assertEqual(lines("pub unsafe fn f() {}"), [1])
        self.assertEqual(lines("/// What it does.\npub(crate) unsafe fn f() {}"), [2])
        self.assertEqual(lines('/// What it does.\nunsafe extern "C" fn f() {}'), [2])
        self.assertEqual(lines("/// What it does.\nunsafe trait T {}"), [2])

    def test_comment_is_no_documentation(self):
        self.assertEqual(lines("// # Safety\nunsafe fn f() {}"), [2])
        self.assertEqual(lines("// SAFETY: a.\nunsafe fn f() {}"), [2])
        self.assertEqual(lines("//! # Safety\nunsafe fn f() {}"), [2])

    def test_documentation_of_another_item_does_not_count(self):
        self.assertEqual(lines("/// # Safety\n///\n/// A.\nunsafe fn f() {}\nunsafe fn g() {}"), [5])

    def test_function_with(self):
        for head in (
            "unsafe fn f() {}",
            "pub(crate) const unsafe fn f() {}",
            "#[inline]\npub unsafe fn f() {}",
            'pub unsafe extern "C" fn f() {}',
            "unsafe extern fn f() {}",
            "unsafe trait T {}",
        ):
            self.assertEqual(lines("struct S;\n/// A.\n///\n/// # Safety\n///\n/// B.\n" + head), [], head)
        self.assertEqual(lines("/** A.\n\n# Safety\n\nB. */\nunsafe fn f() {}"), [])

    def test_function_type_needs_nothing(self):
        self.assertEqual(lines('type F = unsafe extern "C" fn(usize) -> usize;\nfn g(f: unsafe fn()) {}'), [])

    def test_method_of_a_trait_and_its_implementation(self):
        self.assertEqual(lines("trait T {\n    unsafe fn f();\n}"), [2])
        self.assertEqual(lines("impl T for S {\n    unsafe fn f() {}\n}"), [])
        self.assertEqual(lines("// SAFETY: a.\nunsafe impl<'a> T for S<'a> {\n    unsafe fn f() {}\n}"), [])

    def test_method_of_a_type(self):
        self.assertEqual(lines("impl S {\n    unsafe fn f() {}\n}"), [2])
        self.assertEqual(lines("impl<F: for<'a> Fn(&'a u8)> S<F> {\n    unsafe fn f() {}\n}"), [2])

    def test_function_within_a_method_of_an_implementation(self):
        self.assertEqual(lines("impl T for S {\n    fn f() {\n        unsafe fn g() {}\n    }\n}"), [3])

    def test_body_of_an_unsafe_function(self):
        self.assertEqual(lines("/// # Safety\nunsafe fn f() {\n    unsafe { g() }\n}"), [3])


if __name__ == "__main__":
    unittest.main()
