# SPDX-License-Identifier: GPL-2.0
"""What klp_diff makes of edits of the kernel's source, beside what objtool makes of them.

    oracle.py DIR [NAME...]
        compares them for each edit of edits.py, or for those that are named, and ends with
        `N passed, N failed`. In the toolchain tree. DIR is for what is made on the way.
    oracle.py --draw N SEED
        prints the names of N edits

    KOBJ     the kernel's build directory; SRC: its source
    OBJTOOL  objtool with klp
    DIFF     the example `diff` of klp_diff
    JOBS     how many are compared at a time

A file is compiled as it is and as the edit leaves it, with the kernel's own command and a section
for each function, and the kernel's objtool options are applied to both objects. That pair is given
to `objtool klp diff` and to klp_diff. klp_diff also gets the objects as the compiler made them, as
klp build gives them, and must find the same functions and symbols there.

What is compared: functions that differ and that are new, symbols that livepatch relocations refer
to, exported symbols, the entries of tables that are taken along, and, where one of the two refuses
the edit, why.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import traceback

import edits

# What objtool makes again when it looks at the livepatch, and what is for objtool alone: it is not
# looked at which of these go along.
FOR_OBJTOOL = re.compile(r"\.discard\.|\.orc_|\.return_sites|\.retpoline_sites|\.call_sites|__patchable_function_entries")

SECTIONS = ["-ffunction-sections", "-fdata-sections"]


class Failure(Exception):
    """Something that is not a difference: the edit is wrong, or a tool does not work."""


def run(command, **more):
    """Runs a command that has to work, and returns what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise Failure(f"{shlex.join(map(str, command))[:300]}: status {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


def symbols(path):
    """The symbols of an object: (value, type, binding, section's index or name, name)."""
    for line in run(["readelf", "-sW", path]).splitlines():
        words = line.split()
        if len(words) >= 7 and words[0][:-1].isdigit():
            yield int(words[1], 16), words[3], words[4], words[6], words[7] if len(words) > 7 else ""


def positioned(name, position):
    """A name, and which of its namesakes is meant."""
    return f"{name},{position}" if position else name


class Kernel:
    """The kernel that was built."""

    def __init__(self, build, source):
        self.build = pathlib.Path(build)
        self.source = pathlib.Path(source)
        # Each name's addresses with the source files that they are of.
        self.places = {}
        source_file = None
        for value, kind, binding, section, name in symbols(self.build / "vmlinux"):
            if kind == "FILE":
                source_file = name
            elif section not in ("UND", "ABS") and kind != "SECTION":
                place = (value, source_file if binding == "LOCAL" else None)
                self.places.setdefault(name, set()).add(place)

    def position(self, name, source_file):
        """Which of its namesakes a symbol is, from 1 on; 0 if there are none. By its address, as
        kallsyms is sorted, and by the names of source files that the linker leaves in vmlinux."""
        places = sorted(self.places.get(name, ()), key=lambda place: place[0])
        if len(places) <= 1:
            return 0
        found = [at for at, (_, of) in enumerate(places, 1) if of == source_file]
        if len(found) != 1:
            raise Failure(f"vmlinux has {len(found)} symbols {name} of {source_file}: the test cannot say which one is meant")
        return found[0]

    def map(self, module, path, work):
        """A list of the kernel's symbols, with those of the module that a file is the source of."""
        kernels = self.build / "System.map"
        if module == "vmlinux":
            return kernels
        lines = run(["nm", "-p", (self.build / path).with_suffix(".ko")]).splitlines()
        lines = [f"{line} [{module}]" for line in lines if " U " not in line and " a " not in line]
        everything = work / "System.map"
        everything.write_text(kernels.read_text() + "\n".join(lines) + "\n")
        return everything

    def commands(self, path):
        """How a source file was compiled, and how objtool was called for it."""
        recorded = self.build / path.with_name(f".{path.stem}.o.cmd")
        if not recorded.exists():
            raise Failure(f"the kernel has no {path}: choose another file")
        line = next(text for text in recorded.read_text().splitlines() if text.startswith("savedcmd_"))
        compiler, *rest = line.split(" := ", 1)[1].split(" ; ")
        objtool = [part for part in rest if "tools/objtool/objtool" in part]
        if not objtool:
            raise Failure(f"{recorded} does not say how objtool was called")
        words = [word for word in shlex.split(compiler) if not word.startswith("-Wp,-MMD,")]
        return words[: words.index("-c")], shlex.split(objtool[0])[1:-1]


@dataclasses.dataclass
class Found:
    """What one of the two makes of an edit."""

    changed: set = dataclasses.field(default_factory=set)
    new: set = dataclasses.field(default_factory=set)
    # Names with their positions.
    livepatch: set = dataclasses.field(default_factory=set)
    exported: set = dataclasses.field(default_factory=set)
    # How many entries of a table.
    tables: dict = dataclasses.field(default_factory=dict)
    refused: set = dataclasses.field(default_factory=set)

    def merge(self, other):
        for field in ("changed", "new", "livepatch", "exported", "refused"):
            getattr(self, field).update(getattr(other, field))
        for table, count in other.tables.items():
            self.tables[table] = self.tables.get(table, 0) + count


def differences(ours, theirs):
    """What only one of the two has, in words."""
    if ours.refused or theirs.refused:
        # objtool ends at the first.
        found = {f"refused: only objtool: {what}" for what in theirs.refused - ours.refused}
        if not theirs.refused:
            found |= {f"refused: only klp_diff: {what}" for what in ours.refused}
        return found
    found = set()
    for field in ("changed", "new", "livepatch", "exported"):
        one, other = getattr(ours, field), getattr(theirs, field)
        found |= {f"{field}: only klp_diff: {what}" for what in one - other}
        found |= {f"{field}: only objtool: {what}" for what in other - one}
    for table in ours.tables.keys() | theirs.tables.keys():
        one, other = ours.tables.get(table, 0), theirs.tables.get(table, 0)
        if one != other:
            found.add(f"{table}: klp_diff {one}, objtool {other}")
    return found


def without_boot_constants(work):
    """A directory of headers that come first: what the kernel writes into its code at boot is read
    from variables, as in what klp build compiles."""
    header = work / "include/asm/runtime-const.h"
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text("#include <asm-generic/runtime-const.h>\n")
    return work / "include"


def numberless(what):
    """Without the numbers that the compiler gives to names, as one of each kind is enough."""
    return re.sub(r"(__UNIQUE_ID_[a-z]+)_\d+(\.\d+)?", r"\1", what)


class Pair:
    """The objects of one source file."""

    def __init__(self, kernel, edit, path, work):
        self.kernel, self.path, self.work = kernel, path, work / str(path).replace("/", "-")
        self.patched_source = work / "patched"
        self.compiler, self.objtool = kernel.commands(path)
        self.edit = edit

    def compile(self, side):
        """Compiles one side, and has objtool look at it."""
        raw = self.work / "raw" / side
        raw.mkdir(parents=True)
        command = list(self.compiler)
        source = self.kernel.source / self.path
        if not self.edit.has_boot_constants:
            command.insert(1, f"-I{without_boot_constants(self.work)}")
        if side == "patched":
            # Paths are in the object, and are to be the same.
            command.append(f"-fmacro-prefix-map={self.patched_source}/=")
            include = self.patched_source / "include"
            if include.exists():
                command.insert(1, f"-I{include}")
            if (self.patched_source / self.path).exists():
                command.append(f"-iquote{source.parent}")
                source = self.patched_source / self.path
        raw_object = raw / "vmlinux.all.o"
        run([*command, *SECTIONS, "-c", "-o", raw_object, source], cwd=self.kernel.build)
        seen = self.work / "seen" / side
        seen.mkdir(parents=True)
        shutil.copy(raw_object, seen)
        # The name must not end in vmlinux.o: objtool would look for vmlinux.
        run([os.environ["OBJTOOL"], *self.objtool, seen / "vmlinux.all.o"])

    def ours(self, which, module):
        """What klp_diff makes of the pair, and why it refuses it."""
        pair = [self.work / which / side / "vmlinux.all.o" for side in ("orig", "patched")]
        known = [self.kernel.map(module, self.path, self.work), self.kernel.build / "Module.symvers"]
        model = json.loads(run([os.environ["DIFF"], module, str(self.path), *pair, *known]))
        found = Found()
        for function in model["functions"]:
            if function["decision"] == "changed":
                found.changed.add(positioned(function["old_name"], function["position"]))
            elif function["decision"] in ("with-callers", "refused", "left-out"):
                found.changed.add(function["name"])
            elif function["decision"] == "new":
                found.new.add(function["name"])
        for reference in model["references"]:
            if reference["by"] == "export":
                found.exported.add(reference["name"])
            else:
                found.livepatch.add(positioned(f"{reference['object']}.{reference['name']}", reference["position"]))
        found.tables = {
            entry["table"]: entry["count"] for entry in model["entries"] if not FOR_OBJTOOL.match(entry["table"])
        }
        # As objtool says it.
        words = {"changed-data": "changed data: {}", "init-only": "{}: can't patch or reference init code/data"}
        for refusal in model["refusals"]:
            said = words.get(refusal["reason"], f"{refusal['reason']}: {{}}")
            found.refused.add(said.format(refusal["subject"]))
        return found

    def theirs(self, module):
        """What objtool makes of the pair, and why it refuses it."""
        work = self.work / "checksum"
        (work / "modinfo").parent.mkdir(parents=True)
        (work / "modinfo").write_bytes(f"\0name={module}\0".encode())
        for side in ("orig", "patched"):
            (work / side).mkdir()
            path = work / side / "vmlinux.all.o"
            shutil.copy(self.work / "seen" / side / "vmlinux.all.o", path)
            modinfo = ["--remove-section=.modinfo", f"--add-section=.modinfo={work / 'modinfo'}"]
            run(["objcopy", *modinfo, "--set-section-flags", ".modinfo=alloc,readonly", path])
            run([os.environ["OBJTOOL"], "klp", "checksum", path])
        # What the kernel exports, objtool reads in its working directory.
        (work / "Module.symvers").symlink_to(self.kernel.build / "Module.symvers")
        command = [os.environ["OBJTOOL"], "klp", "diff", "orig/vmlinux.all.o", "patched/vmlinux.all.o", "out.o"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = re.findall(r"error: objtool(?: \[[^]]*\])?: (.*)", done.stderr) or [done.stderr]
            return Found(refused={error.strip() for error in errors})
        found = Found()
        for what, name in re.findall(r": (changed|new) function: (\S+)$", done.stdout, re.M):
            # The rest of a function is a part of it for klp_diff.
            if re.search(r"\.cold(\.\d+)?$", name):
                continue
            if what == "changed" and module == "vmlinux":
                name = positioned(name, self.kernel.position(name, self.path.name))
            getattr(found, what).add(name)
        if not (work / "out.o").exists():
            return found
        counters = {}
        for name in self.sections(work / "out.o"):
            counters[re.sub(r"\W", "_", name)] = name
        for _, kind, _, section, name in symbols(work / "out.o"):
            if name.startswith(".klp.sym."):
                found.livepatch.add(self.placed(name.removeprefix(".klp.sym.")))
            elif section == "UND" and name and not name.startswith(".klp."):
                found.exported.add(name)
            # objtool gives each entry that it takes a symbol of its section's name and a number.
            table = counters.get(name.rpartition("_")[0]) if re.search(r"_\d+$", name) else None
            if table and kind == "OBJECT" and not FOR_OBJTOOL.match(table):
                found.tables[table] = found.tables.get(table, 0) + 1
        return found

    def placed(self, symbol):
        """A symbol of objtool's, with the position in vmlinux: without CONFIG_KLP_BUILD objtool
        does not know it."""
        symbol, _, position = symbol.rpartition(",")
        module, name = symbol.split(".", 1)
        known = self.kernel.position(name, self.path.name) if module == "vmlinux" else int(position)
        return positioned(f"{module}.{name}", known)

    @staticmethod
    def sections(path):
        found = re.findall(r"^ *\[ *\d+\] (\S+)", run(["readelf", "-SW", path]), re.M)
        return [name for name in found if name != "NULL"]


def compare(kernel, edit, directory):
    """The differences between the two."""
    work = directory / edit.name
    shutil.rmtree(work, ignore_errors=True)
    for path, script in edit.files.items():
        original = (kernel.source / path).read_text()
        patched = run(["sed", "-E", *[word for part in script for word in ("-e", part)], kernel.source / path])
        if patched == original:
            raise Failure(f"the edit changes nothing in {path}")
        if patched.count("\n") != original.count("\n"):
            raise Failure(f"the edit moves lines of {path}: klp build would keep their numbers by #line")
        target = work / "patched" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(patched)
    ours, theirs = Found(), Found()
    for path in edit.units():
        pair = Pair(kernel, edit, pathlib.Path(path), work)
        for side in ("orig", "patched"):
            pair.compile(side)
        seen, raw = pair.ours("seen", edit.module), pair.ours("raw", edit.module)
        for field in ("changed", "new", "livepatch", "refused"):
            # objtool makes the sites of static calls, which refer to their keys.
            one, other = ({what for what in getattr(found, field) if ".__SCK__" not in what} for found in (seen, raw))
            if one != other:
                raise Failure(f"klp_diff finds other {field} before objtool has seen {path}: {sorted(one ^ other)}")
        ours.merge(seen)
        theirs.merge(pair.theirs(edit.module))
    if not (ours.changed or ours.refused):
        raise Failure("klp_diff finds nothing that changes")
    return ours, theirs


def judge(kernel, edit, directory):
    """Whether an edit passes, and what is to be said of it."""
    try:
        ours, theirs = compare(kernel, edit, directory)
    except Failure as failure:
        return False, [str(failure)]
    except Exception:  # pylint: disable=broad-except
        return False, traceback.format_exc().splitlines()
    found = {numberless(what) for what in differences(ours, theirs)}
    expected = {what for whats in edit.differences.values() for what in whats}
    said = []
    for reason, whats in edit.differences.items():
        said += [f"expected: {reason}:", *[f"    {what}" for what in sorted(found.intersection(whats))]]
    said += [f"not expected: {what}" for what in sorted(found - expected)]
    said += [f"no longer so: {what}" for what in sorted(expected - found)]
    counts = [f"{len(ours.changed)} changed", f"{len(ours.new)} new", f"{len(ours.livepatch)} livepatch symbols"]
    counts += [f"{len(ours.exported)} exported", f"{sum(ours.tables.values())} entries", f"{len(ours.refused)} refusals"]
    said.append(", ".join(counts))
    good = found == expected
    if good:
        shutil.rmtree(directory / edit.name)
    return good, said


def main():
    match sys.argv[1:]:
        case ["--draw", number, seed]:
            names = [edit.name for edit in edits.EDITS]
            print(*random.Random(seed).sample(names, int(number)))
            return 0
        case [directory, *names]:
            directory = pathlib.Path(directory)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    known = {edit.name: edit for edit in edits.EDITS}
    unknown = set(names) - known.keys()
    if unknown or len(known) != len(edits.EDITS):
        print(f"error: no edits, or two, have the names {sorted(unknown)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or edits.EDITS
    kernel = Kernel(os.environ["KOBJ"], os.environ["SRC"])
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ["JOBS"])) as pool:
        results = pool.map(lambda edit: judge(kernel, edit, directory), chosen)
        for number, (edit, (good, said)) in enumerate(zip(chosen, results), 1):
            passed += good
            print(f"{'ok' if good else 'not ok'} {number} {edit.name}: {edit.what}")
            for line in said:
                print("#", line.replace("\n", "\n# "), flush=True)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
