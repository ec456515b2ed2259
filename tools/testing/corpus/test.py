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
