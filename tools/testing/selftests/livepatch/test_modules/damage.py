#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Damages a livepatch module in one chosen way, for the tests of bad input.

    damage.py FAULT IN.ko OUT.ko

The faults are the functions below whose names begin with "fault_".
"""

import struct
import sys

SHDR = "IIQQQQIIQQ"
SYM = "IBBHQQ"
RELA = "QQq"


class Module:
    """A 64-bit ELF file of either byte order, changed in place."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.order = ">" if data[5] == 2 else "<"
        self.shoff = self.read("Q", 40)[0]
        self.shnum, self.shstrndx = self.read("HH", 60)
        self.sections = [self.read(SHDR, self.shoff + 64 * i) for i in range(self.shnum)]

    def read(self, form, offset):
        return struct.unpack_from(self.order + form, self.data, offset)

    def write(self, form, offset, *values):
        struct.pack_into(self.order + form, self.data, offset, *values)

    def name(self, section):
        start = self.sections[self.shstrndx][4] + section[0]
        return bytes(self.data[start : self.data.index(b"\0", start)])

    def klp_section(self, prefix=b".klp.rel"):
        """Index and header of the first livepatch relocation section."""
        for index, section in enumerate(self.sections):
            if self.name(section).startswith(prefix):
                return index, section
        sys.exit("no section named %s..." % prefix.decode())

    def set_field(self, index, field, value):
        """Changes one field of a section header."""
        section = list(self.sections[index])
        section[field] = value
        self.write(SHDR, self.shoff + 64 * index, *section)

    def rename_section(self, name):
        _, section = self.klp_section()
        start = self.sections[self.shstrndx][4] + section[0]
        assert len(name) <= len(self.name(section))
        self.data[start : start + len(name) + 1] = name + b"\0"

    def rela(self, nr=0, prefix=b".klp.rel"):
        """Offset in the file, and fields, of a livepatch relocation."""
        _, section = self.klp_section(prefix)
        offset = section[4] + 24 * nr
        return offset, list(self.read(RELA, offset))

    def set_rela(self, where=None, symbol=None, kind=None, nr=0, prefix=b".klp.rel"):
        offset, (r_offset, info, addend) = self.rela(nr, prefix)
        if where is not None:
            r_offset = where
        old_symbol, old_kind = info >> 32, info & 0xFFFFFFFF
        symbol = old_symbol if symbol is None else symbol
        kind = old_kind if kind is None else kind
        self.write(RELA, offset, r_offset, symbol << 32 | kind, addend)

    def rename_symbol(self, old, new):
        """Renames the symbol whose name starts with `old`; no longer than before."""
        symtab = next(s for s in self.sections if s[1] == 2)
        strings = self.sections[symtab[6]]
        for nr in range(symtab[5] // 24):
            name_offset = self.read(SYM, symtab[4] + 24 * nr)[0]
            start = strings[4] + name_offset
            name = bytes(self.data[start : self.data.index(b"\0", start)])
            if name.startswith(old):
                assert len(new) <= len(name), (new, name)
                self.data[start : start + len(new) + 1] = new + b"\0"
                return
        sys.exit("no symbol named %s..." % old.decode())


def fault_section_without_target(module):
    module.rename_section(b".klp.rela.vmlinux")


def fault_section_without_object(module):
    module.rename_section(b".klp.rela..text")


def fault_section_unknown_prefix(module):
    module.rename_section(b".klp.relo.vmlinux.text")


def fault_section_without_flag(module):
    index, section = module.klp_section()
    module.set_field(index, 2, section[2] & ~0x00100000)


def fault_section_of_another_kind(module):
    """The kernel's own loader takes it for one of its relocation sections."""
    fault_section_without_flag(module)
    fault_section_unknown_prefix(module)


def fault_section_not_allocated(module):
    index, section = module.klp_section(b".klp.rela.klp_test_target")
    module.set_field(index, 2, section[2] & ~0x2)


def fault_target_symtab(module):
    index, section = module.klp_section()
    module.set_field(index, 7, section[6])


def mark(module):
    """Where the mark of a livepatch is."""
    _, modinfo = named(module, b".modinfo")
    return module.data.index(b"livepatch=", modinfo[4])


def fault_not_marked(module):
    module.data[mark(module)] = ord("x")


def fault_marked_as_admitted(module):
    """As livepatch.ko marks what it lets in, and with a fault that it looks for before."""
    module.data[mark(module)] = 1
    fault_symbol_index(module)


def fault_marked_as_admitted_foreign(module):
    """The same mark in a file that says of its byte order what no file does; the kernel does not look."""
    module.data[mark(module)] = 1
    module.data[5] = 0


def fault_record_relocated(module):
    """A relocation of the kernel's own record of the module, somewhere else than at its functions."""
    _, section = named(module, b".rela.gnu.linkonce.this_module")
    where, info, addend = module.read(RELA, section[4])
    module.write(RELA, section[4], where - 8, info, addend)


def fault_not_livepatch_symbol(module):
    module.set_rela(symbol=1)


def fault_symbol_index(module):
    module.set_rela(symbol=0x00FFFFFF)


def fault_offset(module):
    _, section = module.klp_section()
    module.set_rela(where=module.sections[section[7]][5] - 1)


def fault_offset_huge(module):
    module.set_rela(where=0xFFFFFFFFFFFFFFFC)


TARGET_TEXT = b".klp.rela.klp_test_target.text"


def fault_place_twice(module):
    _, (where, _, _) = module.rela(0, TARGET_TEXT)
    module.set_rela(where=where + 1, nr=1, prefix=TARGET_TEXT)


def fault_place_of_another_object(module):
    _, (where, _, _) = module.rela(0, b".klp.rela.vmlinux.text")
    module.set_rela(where=where, prefix=TARGET_TEXT)


def fault_place_occupied(module):
    """Where an ordinary relocation writes: the call of __fentry__, or of a return thunk."""
    _, section = module.klp_section(TARGET_TEXT)
    ordinary = next(s for s in module.sections if s[1] == 4 and s[7] == section[7] and not s[2] & 0x00100000)
    where = module.read(RELA, ordinary[4])[0]
    module.set_rela(where=where, prefix=TARGET_TEXT)


def fault_switched_on(module):
    """What objtool klp post-link has switched off: the kernel's own loader would write there."""
    _, klp = module.klp_section()
    ordinary = next(s for s in module.sections if s[1] == 4 and s[7] == klp[7] and not s[2] & 0x00100000)
    for offset in range(ordinary[4], ordinary[4] + ordinary[5], 24):
        where, info, addend = module.read(RELA, offset)
        if info & 0xFFFFFFFF == 0:
            module.write(RELA, offset, where, info | 2, addend)
            return
    sys.exit("no relocation that is switched off")


def fault_renamed_objtool_section(module):
    """Somebody may read it then. Its name may be the end of that of its relocations."""
    section = next(s for s in module.sections if module.name(s).startswith(b"__klp_relocs."))
    module.data[module.sections[module.shstrndx][4] + section[0]] = ord("a")


def fault_type(module):
    module.set_rela(kind=200)


def fault_symbol_not_found(module):
    module.rename_symbol(b".klp.sym.vmlinux.saved_command_line", b".klp.sym.vmlinux.saved_command_lime,0")


def fault_symbol_name(module):
    module.rename_symbol(b".klp.sym.vmlinux.saved_command_line", b".klp.sym.vmlinux.saved,x")


def fault_symbol_without_object(module):
    module.rename_symbol(b".klp.sym.vmlinux.saved_command_line", b".klp.sym..saved,0")


def fault_vmlinux_symbol_for_module(module):
    module.rename_symbol(b".klp.sym.klp_test_target.", b".klp.sym.vmlinux.jiffies,0")


def fault_ambiguous(module):
    module.rename_symbol(b".klp.sym.vmlinux.init_once,2", b".klp.sym.vmlinux.init_once,0")


def fault_position_too_large(module):
    module.rename_symbol(b".klp.sym.vmlinux.init_once,2", b".klp.sym.vmlinux._printk,99")


def fault_target_ambiguous(module):
    module.rename_symbol(b".klp.sym.klp_test_target.shared_counter,2", b".klp.sym.klp_test_target.shared_counter,0")


def fault_target_position(module):
    module.rename_symbol(b".klp.sym.klp_test_target.shared_counter,2", b".klp.sym.klp_test_target.shared_counter,4")


def fault_symbol_freed(module):
    module.rename_symbol(b".klp.sym.vmlinux.saved_command_line", b".klp.sym.vmlinux.boot_command_line,0")


def fault_object_not_patched(module):
    """The patch's only object has another name, and its relocations wait for the one that it had."""
    section = next(s for s in module.sections if module.name(s).startswith(b".rodata") and name_in(module, s) >= 0)
    start = name_in(module, section)
    module.data[start : start + 15] = b"klp_test_targex"


def name_in(module, section):
    """Where the name of the patched object is in a section, else -1."""
    return module.data.find(b"klp_test_target\0", section[4], section[4] + section[5])


def named(module, name):
    """Index and header of the section of that name."""
    return next((i, s) for i, s in enumerate(module.sections) if module.name(s) == name)


def fault_symbol_zero(module):
    """The kernel's own loader checks symbols from 1 on."""
    _, symtab = named(module, b".symtab")
    module.write("H", symtab[4] + 6, 0x8E85)


def fault_section_zero(module):
    module.set_field(0, 0, 0x7FFFFFFF)


def applied(module):
    """Offset in the file of the first relocation, which is overwritten by a copy of the first one
    that the kernel's own loader applies: objtool leaves some of type 0, which say nothing."""
    _, section = named(module, b".rela.text")
    first = section[4]
    for entry in range(first, first + section[5], 24):
        where, info, addend = module.read(RELA, entry)
        if info & 0xFFFFFFFF:
            module.write(RELA, first, where, info, addend)
            return first
    sys.exit("no relocation that is applied")


def fault_kernel_relocation(module):
    """It does not look at where."""
    module.write("Q", applied(module), 0x7FFFFFFF0000)


def fault_kernel_relocation_symbol(module):
    entry = applied(module)
    info = module.read("Q", entry + 8)[0]
    module.write("Q", entry + 8, 0x7FFFFFFF << 32 | info & 0xFFFFFFFF)


def fault_alignment(module):
    index, _ = named(module, b".text")
    module.set_field(index, 8, 3 << 61)


def fault_no_contents(module):
    """Of a section that is none, the kernel's own loader checks no extent, and copies it."""
    index, _ = named(module, b".text")
    module.set_field(index, 1, 0)


def fault_freed_note(module):
    """Everybody may read a note, also when its memory is gone."""
    index, _ = named(module, b".init.text")
    module.set_field(index, 1, 7)


def fault_record(module):
    """What the kernel takes for the state of the module, and for its memory."""
    _, section = named(module, b".gnu.linkonce.this_module")
    for offset in range(80, section[5]):
        module.data[section[4] + offset] = 0xA5


def fault_record_alignment(module):
    """It has links of trees, in which addresses have bits for other things."""
    index, _ = named(module, b".gnu.linkonce.this_module")
    module.set_field(index, 8, 1)


def fault_truncated(module):
    del module.data[len(module.data) // 2 :]


def fault_truncated_header(module):
    del module.data[40:]


def main():
    faults = {
        name[len("fault_") :].replace("_", "-"): function
        for name, function in globals().items()
        if name.startswith("fault_")
    }
    if len(sys.argv) != 4 or sys.argv[1] not in faults:
        sys.exit("usage: damage.py FAULT IN.ko OUT.ko; faults: " + " ".join(faults))
    with open(sys.argv[2], "rb") as file:
        module = Module(file.read())
    faults[sys.argv[1]](module)
    with open(sys.argv[3], "wb") as file:
        file.write(module.data)


main()
