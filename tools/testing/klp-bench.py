# SPDX-License-Identifier: GPL-2.0
"""What klp and objtool take on a large kernel.

    klp-bench.py DIR
        prints a table, and ends with `N passed, N failed`. In the toolchain tree. DIR is for what is
        made on the way.

    KOBJ     the kernel's build directory
    KLP      klp, as it is released
    OBJTOOL  objtool with klp

Processor time is that of the process alone, without its children: klp build runs git, and the
compiler for the patched file. Other load on the machine changes it little, so that the goals need
no room for that; the figure is the least of three runs. Memory is the most that the process or one
of its children had at a time, in three runs.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

RUNS = 3

# Of a command that reads the vmlinux.
SECONDS = 1.0
TIMES_THE_FILE = 3.0

MIB = 1 << 20
FILE = "fs/proc/meminfo.c"
FROM, TO = '"MemTotal:       "', '"MEMTOTAL:       "'

# What livepatch.ko exports, for `klp convert` of a module that uses it.
SYMVERS = "0x00000000\tklp_enable_patch\tlivepatch\tEXPORT_SYMBOL_GPL\t\n"


@dataclasses.dataclass
class Cost:
    """What a process took."""

    seconds: float
    memory: int


def once(command, directory):
    """Runs a command that has to work."""
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read()
    # It stays until it is waited for, and its own time can be told from that of its children.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}: status {process.returncode}\n{said.decode()}")
    ticks = int(fields[11]) + int(fields[12])
    return Cost(ticks / os.sysconf("SC_CLK_TCK"), usage.ru_maxrss * 1024)


def measure(command, directory, runs=RUNS):
    """What a command takes: the least time and the most memory."""
    costs = [once(command, directory) for _ in range(runs)]
    return Cost(min(cost.seconds for cost in costs), max(cost.memory for cost in costs))


def fix(source, work):
    """A diff that changes one string."""
    text = (source / FILE).read_text()
    if FROM not in text:
        sys.exit(f"error: {FILE} has no {FROM}: change what klp-bench.py edits")
    for side, new in (("a", text), ("b", text.replace(FROM, TO))):
        path = work / side / FILE
        path.parent.mkdir(parents=True)
        path.write_text(new)
    diff = subprocess.run(["diff", "-u", f"a/{FILE}", f"b/{FILE}"], cwd=work, capture_output=True, check=False)
    path = work / "meminfo.patch"
    path.write_bytes(diff.stdout)
    return path


def klp(kernel, work):
    """The costs of klp's commands, each with whether there are goals for it."""
    program = os.environ["KLP"]
    vmlinux, keep, patch = kernel / "vmlinux", work / "keep", work / "livepatch-meminfo.ko"
    build = [program, "build", "--kdir", kernel, "--cache", work / "cache"]
    diff = fix(kernel / "source", work)
    # What does not depend on the fix is compiled here, and found later.
    once([*build, "--keep", keep, "-o", patch, diff], work)
    module = keep / "module" / patch.name
    symvers = work / "livepatch.symvers"
    symvers.write_text(SYMVERS)
    known = ["--kernel", vmlinux, "--symvers", kernel / "Module.symvers", "--symvers", symvers]
    yield "klp lint", measure([program, "lint", *known, patch], work), True
    yield "klp convert", measure([program, "convert", *known, "-o", work / "out.ko", module], work), True
    yield "klp build --list", measure([*build, "--list", diff], work), True
    yield "klp inspect", measure([program, "inspect", patch], work), False


def objtool(kernel, work):
    """The costs of objtool's commands on all of the kernel, as mainline's klp-build calls them."""
    program = os.environ["OBJTOOL"]
    (work / "Module.symvers").symlink_to(kernel / "Module.symvers")
    # The name must not end in vmlinux.o: objtool would look for vmlinux.
    pair = [work / side / "vmlinux.all.o" for side in ("orig", "patched")]
    for path in pair:
        path.parent.mkdir()
        shutil.copy(kernel / "vmlinux.o", path)
    yield "objtool klp checksum", [once([program, "klp", "checksum", path], work) for path in pair][0], False
    yield "objtool klp diff", measure([program, "klp", "diff", *pair, work / "out.o"], work), False


def main():
    work, kernel = pathlib.Path(sys.argv[1]), pathlib.Path(os.environ["KOBJ"])
    work.mkdir(parents=True)
    size = (kernel / "vmlinux").stat().st_size
    results = []

    def verdict(good, text):
        results.append(good)
        print(f"{'ok' if good else 'not ok'} {len(results)} {text}", flush=True)

    rows = []
    for name, cost, has_goals in (*klp(kernel, work), *objtool(kernel, work)):
        part = cost.memory / size
        rows.append(f"| `{name}` | {cost.seconds:.2f} s | {cost.memory / MIB:.0f} MiB | {part:.2f} |")
        if has_goals:
            verdict(cost.seconds <= SECONDS, f"{name}: {cost.seconds:.2f} s of {SECONDS:.2f} s")
            verdict(part <= TIMES_THE_FILE, f"{name}: {part:.2f} of {TIMES_THE_FILE:.2f} times the file")
    print(f"\nvmlinux: {size / MIB:.1f} MiB\n")
    print("| command | processor time | peak memory | of the vmlinux |\n| --- | ---: | ---: | ---: |")
    print("\n".join(rows))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
