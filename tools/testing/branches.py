#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks the branches of livepatch.ko, for a kernel with indirect branch tracking.

    branches.py livepatch.ko

Runs in the toolchain tree, whose objdump it reads.
"""

import re
import subprocess
import sys

# Where functions are called by their addresses, and which: all have ENDBR, as their
# addresses are taken in C or Rust.
INDIRECT = {
    r"livepatch::sys::kobject::(show|store)::": "show and store of a file in sysfs",
    r"^livepatch_debug_show$": "what a file in debugfs shows",
    r"livepatch::sys::param::": "get and set of a module parameter",
    r"livepatch::sys::shadow::|^klp_shadow_": "an author's constructor or destructor",
    r"livepatch::sys::spec::|livepatch::patch::(transition|modules|object|model)::"
    r"|ModuleEvents>::(coming|going)|^klp_enable_patch$": "an author's callback",
}


def objdump(*arguments):
    return subprocess.run(["objdump", "-C", *arguments], check=True, capture_output=True, text=True).stdout


def functions(path):
    """By section and address: the name of a function, and its instructions."""
    found, section, current = {}, None, None
    for line in objdump("-dr", "--no-show-raw-insn", path).splitlines():
        if match := re.match(r"Disassembly of section (.*):", line):
            section = match[1]
        elif match := re.match(r"([0-9a-f]+) <(.*)>:$", line):
            current = (match[2], [])
            found[section, int(match[1], 16)] = current
        elif current and line.strip():
            current[1].append(line.strip())
    return found


def addresses_taken(path, code):
    """The functions whose addresses stand in data, or are loaded by code."""
    symbols = {}
    for line in objdump("-t", path).splitlines():
        if match := re.match(r"([0-9a-f]{16}) .{7} (\S+)\s+[0-9a-f]+ (?:\.hidden )?(.*)", line):
            symbols[match[3]] = (match[2], int(match[1], 16))
    # What only describes code: unwinding, tracing, patching, versions, debugging.
    silent = re.compile(
        r"\.(orc_|call_sites|return_sites|retpoline_sites|ibt_endbr_seal|cfi_sites|debug|altinstr|kcfi_traps)"
        r"|__(mcount_loc|patchable|jump_table|bug_table|ksymtab|ex_table|mcount)|\.discard|\.static_call"
    )
    taken, section = {}, None
    for line in objdump("-r", path).splitlines():
        if match := re.match(r"RELOCATION RECORDS FOR \[(.*)\]:", line):
            section = match[1]
        match = re.match(r"[0-9a-f]+ R_X86_64_(64|32S?)\s+(.*)", line)
        if not match or silent.search(section):
            continue
        name, sign, offset = re.match(r"(.*?)(?:([+-])0x([0-9a-f]+))?$", match[2]).groups()
        home, address = symbols.get(name, (name, 0))
        address += int(offset or "0", 16) * (-1 if sign == "-" else 1)
        if home.startswith((".text", ".init.text", ".exit.text")) and (home, address) in code:
            taken[home, address] = section
    # The address of a function of this file may also be computed from the instruction's own.
    for (home, _), (_, instructions) in code.items():
        for load, relocation in zip(instructions, instructions[1:]):
            match = re.search(r"R_X86_64_PC32\s+(.*?)(?:-0x4|([+-])0x([0-9a-f]+))?$", relocation)
            if not match or not re.search(r"\blea\b.*%rip", load):
                continue
            name, sign, offset = match[1], match[2], match[3]
            target, address = symbols.get(name, (name, 0))
            if offset:
                address += int(offset, 16) * (-1 if sign == "-" else 1) + 4
            if target.startswith(".text") and (target, address) in code:
                taken[target, address] = home
    return taken


def main():
    path = sys.argv[1]
    code = functions(path)
    results = []

    def verdict(good, text):
        results.append(good)
        print(f"{'ok' if good else 'not ok'} {len(results)} {text}", flush=True)

    taken = addresses_taken(path, code)
    verdict(len(taken) >= 10, f"{len(taken)} functions can be called by their addresses")
    for key, where in sorted(taken.items()):
        name, instructions = code[key]
        has = bool(instructions) and "endbr64" in instructions[0]
        verdict(has, f"{name}, whose address is taken in {where}, begins with ENDBR")
    indirect = [
        name
        for name, instructions in code.values()
        for instruction in instructions
        if re.search(r"__x86_indirect_thunk|\b(call|jmp)q?\s+\*", instruction)
    ]
    verdict(bool(indirect), f"there are {len(indirect)} indirect branches")
    for name in sorted(set(indirect)):
        why = next((text for pattern, text in INDIRECT.items() if re.search(pattern, name)), None)
        verdict(why is not None, f"{name} calls by address: {why or 'nobody knows what'}")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
