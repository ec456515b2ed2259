# SPDX-License-Identifier: GPL-2.0
"""What stable kernels really fixed, as a corpus of fixes: one diff for each C file in which
two versions of a source differ, and of which the kernel contains the object.

    corpus.py pick DIR OLD NEW SOURCE HEADERS SRCARCH N SEED
        draws N of them: DIR/c001.patch and so on, DIR/list. SOURCE is the kernel's own. Where
        that is another version than OLD, a diff is drawn only if it applies to it as it is,
        or reversed, where SOURCE has that fix already
    corpus.py build DIR COMMAND
        runs COMMAND, a line of bash, for each that has no result yet, with PATCH= and
        OUT=, the livepatch to write, in the environment. It prints the JSON of `klp build
        --json`. DIR/c001.json is what came of it
    corpus.py next DIR COUNT
        prints up to COUNT names of those that are built and were not loaded yet
    corpus.py loaded DIR NAME... <OUTPUT
        takes the results of tools/testing/corpus/guest from a guest's output
    corpus.py table DIR
        prints it all as Markdown; status 1 if something is wrong
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

# A fix that is refused for these reasons alone is none that a livepatch can be made of.
CANNOT_BE = {"changed-data", "changed-enumeration", "changed-layout", "init-only", "no-call-site", "registered"}
# What the guest says of a transition that did not end, and what klp build notes of a function that a
# thread of the kernel may never leave.
NO_END = "it is not loaded: klp load ends with status 3"
THREAD = "a thread of the kernel may run in it all the time"
# What klp load says of the tasks that a transition waits for, and in which functions they are.
HOLDERS = re.compile(r"but for \d+ tasks?: ")
FUNCTIONS = re.compile(r" in (\S+)\(\)")
# Seconds for one build, of which the first prepares the source.
LIMIT = 900

# What kbuild would make of a directory: its objects, with those that they consist of.
MAKEFILE = """
include $(config)
srctree := .
src := $(obj)
VERSION := 6
SRCARCH := $(ARCH)
BITS := 64
UTS_MACHINE := $(ARCH)
$(if $(wildcard scripts/Kbuild.include),$(eval include scripts/Kbuild.include))
include $(firstword $(wildcard $(obj)/Kbuild $(obj)/Makefile))
corpus-all := $(obj-y) $(obj-m) $(lib-y)
corpus-parts = $($(1:.o=-objs)) $($(1:.o=-y)) $($(1:.o=-m))
.PHONY: corpus
corpus:
	@printf '%s\\n' $(filter %/,$(corpus-all)) $(foreach object,$(filter %.o,$(corpus-all)), \\
		$(or $(strip $(call corpus-parts,$(object))),$(object)))
"""
# Where kbuild begins: the rest of an architecture is named by its Makefile.
BEGIN = {
    "x86": ["arch/x86", "arch/x86/lib", "arch/x86/pci", "arch/x86/power"],
    "s390": ["arch/s390", "arch/s390/lib"],
}
TOP = "init kernel certs mm fs ipc security crypto block io_uring lib drivers sound net virt"


def differing(old, new):
    """The C files that are in both and differ."""
    lines = subprocess.run(
        ["diff", "-qr", "--no-dereference", old, new], stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    pattern = re.compile(f"Files {re.escape(str(old))}/(.*\\.c) and .* differ")
    return sorted(match[1] for match in map(pattern.fullmatch, lines) if match)


def contained(source, headers, srcarch, files):
    """Those of the files whose object the kernel, or a module of it, is linked of."""
    above = {str(parent) for file in files for parent in pathlib.PurePath(file).parents}
    found, seen = set(), set()
    todo = BEGIN[srcarch] + TOP.split()
    while todo:
        directory = todo.pop()
        if directory in seen or directory not in above:
            continue
        seen.add(directory)
        made = subprocess.run(
            [
                "make", "-rRs", "-f", "-", "corpus", f"obj={directory}", f"ARCH={srcarch}",
                f"config={headers}/include/config/auto.conf",
            ],
            cwd=source, input=MAKEFILE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if made.returncode != 0:
            print(f"left out: {directory}: {made.stderr.strip()}", file=sys.stderr)
            continue
        for word in made.stdout.split():
            # Some name what is in another directory.
            path = pathlib.PurePath(directory, word)
            parts = []
            for part in path.parts:
                parts[-1:] = [] if part == ".." else [*parts[-1:], part]
            path = "/".join(parts)
            if word.endswith("/"):
                todo.append(path)
            else:
                found.add(path.removesuffix(".o") + ".c")
    return [file for file in files if file in found]


def difference(file, before, after):
    """A diff of the file, whose two versions are at these paths."""
    return subprocess.run(
        ["diff", "-up", "--label", f"a/{file}", "--label", f"b/{file}", before, after], stdout=subprocess.PIPE
    ).stdout


def fitted(file, old, new, source):
    """The diff of the file as one of that source, and whether it is reversed. None, if it
    does not apply there in either direction."""
    target = source / file
    if not target.is_file():
        return None
    patch = difference(file, old / file, new / file)
    if target.read_bytes() == (old / file).read_bytes():
        return patch, False
    with tempfile.TemporaryDirectory() as name:
        changed = pathlib.Path(name, file)
        changed.parent.mkdir(parents=True)
        changed.write_bytes(target.read_bytes())
        # Paths are not those of a repository that this directory happens to be in.
        alone = {**os.environ, "GIT_CEILING_DIRECTORIES": tempfile.gettempdir()}
        for options in [], ["--reverse"]:
            # It knows no fuzz, and a file that it refuses stays as it is.
            applied = subprocess.run(
                ["git", "apply", *options], cwd=name, env=alone, input=patch, stderr=subprocess.DEVNULL
            )
            if applied.returncode == 0:
                return difference(file, target, changed), bool(options)
    return None


def pick(directory, old, new, source, headers, srcarch, count, seed):
    files = differing(old, new)
    candidates = contained(source, headers, srcarch, files)
    patches = {file: fitted(file, old, new, source) for file in candidates}
    fitting = [file for file in candidates if patches[file]]
    of = f"{len(files)} C files differ, the kernel contains {len(candidates)} of them"
    if len(fitting) < len(candidates):
        of += f", the diffs of {len(fitting)} apply to its source"
    print(of, file=sys.stderr)
    if len(fitting) < count:
        sys.exit(f"error: there are {len(fitting)} diffs and not {count}: set N= to no more than that")
    drawn = random.Random(seed).sample(fitting, count)
    directory.mkdir(parents=True)
    names, turned = [], 0
    for number, file in enumerate(drawn, 1):
        name = f"c{number:03}"
        patch, is_reversed = patches[file]
        (directory / f"{name}.patch").write_bytes(patch)
        names.append(f"{name} {file}\n")
        turned += is_reversed
    of += f"; {count} were drawn"
    if turned:
        of += f", {turned} of them reversed, as the kernel has that fix already"
    (directory / "of").write_text(f"{of}.\n")
    (directory / "list").write_text("".join(names))


def listed(directory):
    return [line.split() for line in (directory / "list").read_text().splitlines()]


def build(directory, command):
    """The first one alone, as it prepares what the others find; then as many as there are
    processors."""
    waiting = [(name, file) for name, file in listed(directory) if not (directory / f"{name}.json").exists()]
    done = lambda name, file: build_one(directory, command, name, file)
    if waiting:
        done(*waiting.pop(0))
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "1"))) as pool:
        for result in [pool.submit(done, *one) for one in waiting]:
            result.result()


def build_one(directory, command, name, file):
    out = directory / f"{name}.ko"
    out.unlink(missing_ok=True)
    start = time.monotonic()
    with open(directory / f"{name}.log", "wb") as log:
        try:
            ran = subprocess.run(
                ["env", f"PATCH={directory}/{name}.patch", f"OUT={out}", "bash", "-c", command],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, timeout=LIMIT,
            )
            report = judged(ran.returncode, ran.stdout, out)
        except subprocess.TimeoutExpired:
            report = {"status": "wrong", "message": f"it did not end in {LIMIT} s"}
    report["seconds"] = time.monotonic() - start
    write(directory / f"{name}.json", report)
    print(f"{name} {file}: {report['status']} ({report['seconds']:.1f} s)", flush=True)


def judged(status, output, out):
    """What the command reported, if all that it did fits together."""
    def wrong(message):
        return {"status": "wrong", "message": message}

    try:
        report = json.loads(output)
        if not isinstance(report, dict) or report.get("schema") != 1 or not isinstance(report.get("status"), str):
            return wrong("its JSON is not that of schema 1")
    except ValueError:
        return wrong(f"status {status}, and no JSON")
    if (status == 0) != (report["status"] == "built"):
        return wrong(f"it says {report['status']} and ends with status {status}")
    if (report["status"] == "built") != out.exists():
        return wrong(f"it says {report['status']}, and there is {'a' if out.exists() else 'no'} livepatch")
    return report


def write(path, report):
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.rename(path)


def reports(directory):
    for name, file in listed(directory):
        path = directory / f"{name}.json"
        if not path.exists():
            sys.exit(f"error: there is no result for {name}, {file}")
        yield name, file, json.loads(path.read_text())


def targets(report):
    return sorted({unit["object"] for unit in report.get("units", [])} - {"vmlinux"})


def next_ones(directory, count):
    """Not all of them may have a result yet."""
    waiting = []
    for name, _ in listed(directory):
        path = directory / f"{name}.json"
        report = json.loads(path.read_text()) if path.exists() else {"status": "none"}
        if report["status"] == "built" and "loaded" not in report:
            waiting.append((name, report))
    for name, report in waiting[:count]:
        print(name, *targets(report))


def loaded(directory, names, output):
    """The guest says `=== NAME begin` and `=== NAME end RESULT`. Where it ended before all
    was done, it was the one that had begun last."""
    begun, ended, held = None, {}, {}
    for line in output:
        match = re.fullmatch(r"=== (\S+) (begin|end (.*))", line.rstrip())
        if match and match[1] in names:
            begun = match[1]
            if match[3] is not None:
                ended[begun] = match[3]
        elif HOLDERS.search(line):
            held[begun] = sorted(set(FUNCTIONS.findall(line)))
    if begun is None:
        sys.exit("error: the guest loaded nothing: see its output")
    if begun not in ended:
        ended[begun] = "the guest ended"
    for name, result in ended.items():
        path = directory / f"{name}.json"
        report = json.loads(path.read_text())
        report["loaded"] = result
        report["held"] = held.get(name, [])
        write(path, report)


def reasons(report):
    found = {refusal["reason"] for unit in report.get("units", []) for refusal in unit.get("refusals", [])}
    return sorted(found) or [begin(report)]


def begin(report, file=None):
    """Of its message, what does not name this or that. It may begin with the file."""
    return report.get("message", "").removeprefix(f"{file}: ").split(":")[0]


def is_held(report):
    """Whether klp build said that the transition may not end, and it did not."""
    notes = [note for unit in report.get("units", []) for note in unit.get("left_out", [])]
    foretold = {note["what"] for note in notes if note["effect"].startswith(THREAD)}
    held = set(report.get("held", []))
    return report.get("loaded") == NO_END and bool(held) and held <= foretold


def outcome(report, file):
    """A line of the table."""
    status = report["status"]
    if status == "wrong":
        return "wrong", report["message"]
    if status == "built" and is_held(report):
        return "built", "a thread of the kernel stays in the function, as klp build said"
    if status == "built":
        result = report.get("loaded", "not loaded")
        return ("built and loaded", "") if result == "ok" else ("wrong", result)
    if status == "refused":
        return "refused", ", ".join(reasons(report))
    return status.replace("-", " "), begin(report, file) if status == "error" else ""


def table(directory):
    lines, examples = collections.Counter(), collections.defaultdict(list)
    good = eligible = 0
    times, wrong = [], []
    for name, file, report in reports(directory):
        line = outcome(report, file)
        lines[line] += 1
        examples[line].append(file)
        times.append(report["seconds"])
        good += line[0] == "built and loaded"
        if line[0] == "wrong":
            wrong.append(f"{name} {file}: {line[1]}")
        cannot = line[0] == "refused" and set(reasons(report)) <= CANNOT_BE
        eligible += not cannot and line[0] not in ("does not compile", "nothing")
    print("| result | reason | diffs | for example |\n| --- | --- | ---: | --- |")
    order = ["built and loaded", "built", "refused", "nothing", "does not compile", "not proven", "error", "wrong"]
    for line in sorted(lines, key=lambda line: (order.index(line[0]) if line[0] in order else 9, -lines[line], line)):
        print(f"| {line[0]} | {line[1]} | {lines[line]} | `{examples[line][0]}` |")
    print()
    share = f"{100 * good / eligible:.1f} %" if eligible else "none"
    print(f"Of {eligible} diffs that a livepatch can be made of, built and loaded: {good} ({share}).")
    print(f"Seconds for a build: {times[0]:.1f} the first, median {statistics.median(times):.1f}, most {max(times[1:] or times):.1f} of the others.")
    for line in wrong:
        print(f"wrong: {line}", file=sys.stderr)
    return bool(wrong)


def main():
    command, directory, *rest = sys.argv[1:]
    directory = pathlib.Path(directory)
    if command == "pick":
        *trees, srcarch, count, seed = rest
        pick(directory, *map(pathlib.Path, trees), srcarch, int(count), int(seed))
    elif command == "build":
        build(directory, *rest)
    elif command == "next":
        next_ones(directory, int(rest[0]))
    elif command == "loaded":
        loaded(directory, rest, sys.stdin)
    elif command == "table":
        sys.exit(table(directory))
    else:
        sys.exit(f"error: unknown command: {command}")


if __name__ == "__main__":
    main()
