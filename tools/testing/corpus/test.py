# SPDX-License-Identifier: GPL-2.0
"""Tests of corpus.py."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import corpus


class Contained(unittest.TestCase):
    """Which files a kernel is linked of."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.top = pathlib.Path(self.directory.name)
        self.write("include/config/auto.conf", "CONFIG_ONE=y\nCONFIG_TWO=m\n")

    def write(self, path, text):
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def contained(self, *files):
        with contextlib.redirect_stderr(io.StringIO()):
            return corpus.contained(self.top, self.top, "x86", list(files))

    def test_what_is_configured(self):
        self.write("fs/Makefile", "obj-$(CONFIG_ONE) += one.o\nobj-$(CONFIG_TWO) += two.o\nobj-$(CONFIG_NONE) += none.o\n")
        self.assertEqual(self.contained("fs/one.c", "fs/two.c", "fs/none.c", "fs/other.c"), ["fs/one.c", "fs/two.c"])

    def test_parts_of_a_module_but_no_file_of_its_name(self):
        self.write("fs/Makefile", "obj-m += all.o\nall-y := a.o\nall-$(CONFIG_ONE) += b.o\nall-$(CONFIG_NONE) += c.o\n")
        self.assertEqual(self.contained("fs/all.c", "fs/a.c", "fs/b.c", "fs/c.c"), ["fs/a.c", "fs/b.c"])

    def test_directories_below_that_are_configured(self):
        self.write("fs/Makefile", "obj-$(CONFIG_TWO) += in/\nobj-$(CONFIG_NONE) += out/\n")
        self.write("fs/in/Kbuild", "obj-y += x.o ../shared/y.o\n")
        self.write("fs/out/Makefile", "obj-y += x.o\n")
        self.assertEqual(self.contained("fs/in/x.c", "fs/out/x.c", "fs/shared/y.c"), ["fs/in/x.c", "fs/shared/y.c"])

    def test_libraries(self):
        self.write("lib/Makefile", "lib-y += x.o\n")
        self.assertEqual(self.contained("lib/x.c"), ["lib/x.c"])


class Differing(unittest.TestCase):
    def test_c_files_of_both(self):
        with tempfile.TemporaryDirectory() as name:
            for version, files in (("old", "ab"), ("new", "abc")):
                for file in files:
                    path = pathlib.Path(name, version, "d", f"{file}.c")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text("same" if file == "a" else version)
                path.with_name("h.h").write_text(version)
            self.assertEqual(corpus.differing(f"{name}/old", f"{name}/new"), ["d/b.c"])


class Fitted(unittest.TestCase):
    """A diff of one source, made into one of the kernel's."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.top = pathlib.Path(self.directory.name)
        self.old = [f"line {number}\n" for number in range(20)]
        self.new = [*self.old[:10], "the fix\n", *self.old[10:]]

    def fit(self, source):
        for tree, lines in (("old", self.old), ("new", self.new), ("source", source)):
            path = self.top / tree / "fs" / "a.c"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines))
        return corpus.fitted("fs/a.c", self.top / "old", self.top / "new", self.top / "source")

    def lines(self, patch):
        return [line for line in patch.decode().splitlines() if line[0] in "+-@"]

    def test_the_same_version(self):
        patch, is_reversed = self.fit(self.old)
        self.assertFalse(is_reversed)
        self.assertEqual(
            self.lines(patch), ["--- a/fs/a.c", "+++ b/fs/a.c", "@@ -8,6 +8,7 @@ line 6", "+the fix"]
        )

    def test_another_version_has_other_line_numbers(self):
        patch, is_reversed = self.fit(["above\n", *self.old])
        self.assertFalse(is_reversed)
        self.assertEqual(self.lines(patch)[2:], ["@@ -9,6 +9,7 @@ line 6", "+the fix"])

    def test_a_version_that_has_the_fix(self):
        patch, is_reversed = self.fit(["above\n", *self.new])
        self.assertTrue(is_reversed)
        self.assertEqual(self.lines(patch)[2:], ["@@ -9,7 +9,6 @@ line 6", "-the fix"])

    def test_a_version_that_it_does_not_fit(self):
        self.assertIsNone(self.fit([*self.old[:9], "something else\n", *self.old[11:]]))

    def test_a_version_without_the_file(self):
        self.assertIsNone(corpus.fitted("fs/b.c", self.top, self.top, self.top))


class Picked(unittest.TestCase):
    def test_a_seed_draws_the_same_again_of_what_applies(self):
        with tempfile.TemporaryDirectory() as name:
            top = pathlib.Path(name)
            for number in range(9):
                for tree, text in (("old", "old\n"), ("new", "new\n"), ("source", f"{number % 3}\n")):
                    path = top / tree / "fs" / f"{number}.c"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text({"0\n": "old\n", "1\n": "new\n"}.get(text, text))
            (top / "source/fs/Makefile").write_text(f"obj-y := {' '.join(f'{number}.o' for number in range(9))}\n")
            (top / "source/include/config").mkdir(parents=True)
            (top / "source/include/config/auto.conf").touch()
            for directory in ("first", "second"):
                with contextlib.redirect_stderr(io.StringIO()):
                    corpus.pick(
                        top / directory, top / "old", top / "new", top / "source", top / "source", "x86", 6, 1
                    )
            lists = [(top / directory / "list").read_text() for directory in ("first", "second")]
            self.assertEqual(lists[0], lists[1])
            self.assertEqual(
                (top / "first/of").read_text(),
                "9 C files differ, the kernel contains 9 of them, the diffs of 6 apply to its source; "
                "6 were drawn, 3 of them reversed, as the kernel has that fix already.\n",
            )


class Judged(unittest.TestCase):
    """A command's report counts where it fits its status and what it wrote."""

    def judge(self, status, output, is_there=False):
        with tempfile.TemporaryDirectory() as name:
            out = pathlib.Path(name, "out.ko")
            if is_there:
                out.touch()
            return corpus.judged(status, output, out)["status"]

    def report(self, status):
        return json.dumps({"schema": 1, "status": status})

    def test_what_fits(self):
        self.assertEqual(self.judge(0, self.report("built"), True), "built")
        self.assertEqual(self.judge(1, self.report("refused")), "refused")

    def test_what_does_not(self):
        self.assertEqual(self.judge(0, self.report("built")), "wrong")
        self.assertEqual(self.judge(1, self.report("built"), True), "wrong")
        self.assertEqual(self.judge(0, self.report("refused")), "wrong")
        self.assertEqual(self.judge(1, self.report("refused"), True), "wrong")
        self.assertEqual(self.judge(101, "thread panicked"), "wrong")
        self.assertEqual(self.judge(1, "[]"), "wrong")
        self.assertEqual(self.judge(1, '{"schema": 2, "status": "refused"}'), "wrong")


class Results(unittest.TestCase):
    """What guests say, and the table."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.top = pathlib.Path(self.directory.name)

    def have(self, **results):
        (self.top / "list").write_text("".join(f"{name} fs/{name}.c\n" for name in results))
        for name, report in results.items():
            corpus.write(self.top / f"{name}.json", {"seconds": 1, "message": "m", **report})

    def names(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            corpus.next_ones(self.top, 9)
        return out.getvalue().split("\n")[:-1]

    def table(self):
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
            status = corpus.table(self.top)
        return status, out.getvalue()

    def test_what_is_built_waits_with_its_targets(self):
        units = [{"object": "xfs"}, {"object": "vmlinux"}, {"object": "xfs"}]
        self.have(a={"status": "refused"}, b={"status": "built", "units": units}, c={"status": "built", "loaded": "ok"})
        self.assertEqual(self.names(), ["b xfs"])

    def test_the_guest_ends_with_the_one_that_had_begun(self):
        self.have(**{name: {"status": "built"} for name in "abc"})
        corpus.loaded(self.top, ["a", "b", "c"], ["=== a begin\n", "=== a end ok\r\n", "noise\n", "=== b begin\n"])
        self.assertEqual(self.names(), ["c"])
        status, text = self.table()
        self.assertTrue(status)
        self.assertIn("| built and loaded |  | 1 |", text)
        self.assertIn("| wrong | the guest ended | 1 |", text)
        self.assertIn("| wrong | not loaded | 1 |", text)

    def test_a_thread_in_the_way_is_no_mistake_where_it_was_foretold(self):
        note = {"what": "f", "effect": f"{corpus.THREAD}: then the transition does not end"}
        built = {"status": "built", "units": [{"left_out": [note]}]}
        end = f"=== a end {corpus.NO_END}\n"
        says = "a: enabling for 2 s, in effect, but for 1 task: 19 thread in {}()\n"
        self.have(a=built)
        corpus.loaded(self.top, ["a"], ["=== a begin\n", says.format("f"), end])
        status, text = self.table()
        self.assertFalse(status)
        self.assertIn("| built | a thread of the kernel stays", text)
        self.assertIn("Of 1 diffs that a livepatch can be made of, built and loaded: 0", text)
        for report, lines in (
            ({**built, "units": []}, [says.format("f"), end]),
            (built, [says.format("g"), end]),
            (built, [end]),
            (built, [says.format("f")]),
        ):
            self.have(a=report)
            corpus.loaded(self.top, ["a"], ["=== a begin\n", *lines])
            self.assertTrue(self.table()[0])

    def test_a_guest_that_does_nothing_is_no_result(self):
        self.have(a={"status": "built"})
        with self.assertRaises(SystemExit):
            corpus.loaded(self.top, ["a"], ["error: no kernel image\n"])

    def test_what_cannot_be_a_livepatch_does_not_count(self):
        def refused(*reasons):
            return {"status": "refused", "units": [{"object": "vmlinux", "refusals": [{"reason": r} for r in reasons]}]}
        self.have(
            a={"status": "built", "loaded": "ok"}, b=refused("changed-data"), c=refused("changed-data", "ambiguous"),
            d={"status": "does-not-compile"}, e={"status": "nothing"},
        )
        status, text = self.table()
        self.assertFalse(status)
        self.assertIn("Of 2 diffs that a livepatch can be made of, built and loaded: 1 (50.0 %).", text)
        self.assertIn("| refused | ambiguous, changed-data | 1 |", text)


if __name__ == "__main__":
    unittest.main()
