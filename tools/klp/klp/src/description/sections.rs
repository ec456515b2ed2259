// SPDX-License-Identifier: GPL-2.0

//! Descriptions from which a module's init code makes its patch.
//!
//! | | |
//! | --- | --- |
//! | `.init.klp_objects` | mainline's pipeline: `objtool klp diff` writes them, `scripts/livepatch/init.c` reads them (`struct klp_object_ext` and `klp_func_ext` of `include/linux/livepatch_external.h`) |
//! | `.kpatch.funcs`, `.kpatch.callbacks.*` | kpatch-build: `struct kpatch_patch_func` and `kpatch_*_callback` of its `kpatch-patch.h`, which `livepatch-patch-hook.c` there reads |
//!
//! In both, whether the patch replaces all earlier ones is only in the code.

use super::{at, Function, Object, Patch, Reader, Told, ENTRIES_MAX, FUNC_SIZE, NEAR};
use crate::file::module::{is_code, Place};
use livepatch_format::elf::{Endian, Machine, Section};
use livepatch_format::name::{SymPos, Text, VMLINUX};

/// Mainline's list of objects.
const OBJECTS: &[u8] = b".init.klp_objects";

/// Bytes of a `struct klp_object_ext`.
const OBJECT_EXT_SIZE: u64 = 64;

/// kpatch's list of functions.
const KPATCH_FUNCS: &[u8] = b".kpatch.funcs";

/// Bytes of a `struct kpatch_patch_func`.
const KPATCH_FUNC_SIZE: u64 = 56;

/// What kpatch's callbacks are in, and what the kernel calls them.
const KPATCH_CALLBACKS: [(&[u8], &str); 4] = [
    (b".kpatch.callbacks.pre_patch", "pre_patch"),
    (b".kpatch.callbacks.post_patch", "post_patch"),
    (b".kpatch.callbacks.pre_unpatch", "pre_unpatch"),
    (b".kpatch.callbacks.post_unpatch", "post_unpatch"),
];

/// Bytes of a `struct kpatch_pre_patch_callback`, and of the others.
const KPATCH_CALLBACK_SIZE: u64 = 16;

/// Where `replace` is in a `struct klp_patch`.
const REPLACE: u8 = 24;

/// The patch that the init code of a module makes; `None` where there is no description for it.
pub(super) fn patch(reader: &Reader<'_, '_>) -> Option<Told<Patch>> {
    let objects = match (find(reader, OBJECTS), find(reader, KPATCH_FUNCS)) {
        (Some((start, section)), _) => mainline(reader, start, &section),
        (None, Some((start, section))) => kpatch(reader, start, &section),
        (None, None) => return None,
    };
    Some(objects.map(|objects| Patch {
        symbol: None,
        has_module: true,
        replace: replace(reader),
        objects: Ok(Some(objects)),
        changeable: None,
    }))
}

/// The start of a section, and its header.
fn find(reader: &Reader<'_, '_>, name: &[u8]) -> Option<(Place, Section)> {
    let (index, section) = reader.module.image().find(name)?;
    let start = Place {
        section: index,
        offset: 0,
    };
    Some((start, section))
}

/// The entries of a section that holds nothing else.
fn entries(name: &[u8], start: Place, section: &Section, size: u64) -> Told<Vec<Place>> {
    let count = section.sh_size / size;
    if !section.sh_size.is_multiple_of(size) || count > ENTRIES_MAX {
        return Err(format!(
            "{} has {} bytes, which is no list of entries of {size} bytes: it is of a version of \
             its builder that klp does not know",
            Text(name),
            section.sh_size
        ));
    }
    Ok((0..count).map(|number| at(start, number * size)).collect())
}

fn mainline(reader: &Reader<'_, '_>, start: Place, section: &Section) -> Told<Vec<Object>> {
    let object = |place: Place| {
        let count = reader.module.number(reader.bytes(at(place, 56))?);
        // It has 32 bits.
        let count = match reader.module.image().header.endian {
            Endian::Little => count & u64::from(u32::MAX),
            Endian::Big => count >> 32,
        };
        let functions = match reader.pointer(at(place, 8), "a list of functions") {
            Ok(Some(list)) => functions(reader, list, count).map(Some),
            Ok(None) if count == 0 => Ok(Some(Vec::new())),
            Ok(None) => Err("there is no list of functions".to_owned()),
            Err(why) => Err(why),
        };
        Ok(Object {
            name: reader.string(place, "an object's name")?,
            functions,
            callbacks: reader.callbacks(at(place, 16))?,
        })
    };
    let entries = entries(OBJECTS, start, section, OBJECT_EXT_SIZE)?;
    entries.into_iter().map(object).collect()
}

/// So many functions, or as many as come before one that is nothing: the kernel goes no further.
fn functions(reader: &Reader<'_, '_>, start: Place, count: u64) -> Told<Vec<Function>> {
    let mut functions = Vec::new();
    for number in 0..count {
        if number == ENTRIES_MAX {
            return Err(format!("{count} functions are more than there can be"));
        }
        match reader.function(at(start, number * FUNC_SIZE))? {
            Some(function) => functions.push(function),
            None => break,
        }
    }
    Ok(functions)
}

fn kpatch(reader: &Reader<'_, '_>, start: Place, section: &Section) -> Told<Vec<Object>> {
    let mut objects: Vec<(Object, Vec<Function>)> = Vec::new();
    for place in entries(KPATCH_FUNCS, start, section, KPATCH_FUNC_SIZE)? {
        let function = Function {
            name: reader.string(at(place, 40), "a function's name")?,
            position: SymPos(reader.number(at(place, 32))?),
            new: reader.new_function(place)?,
        };
        let index = object_of(reader, &mut objects, at(place, 48))?;
        if let Some((_, functions)) = objects.get_mut(index) {
            functions.push(function);
        }
    }
    for (name, callback) in KPATCH_CALLBACKS {
        let Some((start, section)) = find(reader, name) else {
            continue;
        };
        // Behind the last one, zeroes may follow, so that the section is not empty.
        for number in 0..(section.sh_size / KPATCH_CALLBACK_SIZE).min(ENTRIES_MAX) {
            let place = at(start, number * KPATCH_CALLBACK_SIZE);
            if reader.new_function(place)?.is_none() {
                continue;
            }
            let index = object_of(reader, &mut objects, at(place, 8))?;
            if let Some((object, _)) = objects.get_mut(index) {
                object.callbacks.push(callback);
            }
        }
    }
    let objects = objects.into_iter().map(|(object, functions)| Object {
        functions: Ok(Some(functions)),
        ..object
    });
    Ok(objects.collect())
}

/// The index of the object whose name is at a place; it is added if it is new.
fn object_of(
    reader: &Reader<'_, '_>,
    objects: &mut Vec<(Object, Vec<Function>)>,
    place: Place,
) -> Told<usize> {
    let name = reader
        .string(place, "an object's name")?
        .ok_or("an object has no name")?;
    let name = Some(name).filter(|name| name != VMLINUX);
    let known = objects.iter().position(|(object, _)| object.name == name);
    Ok(known.unwrap_or_else(|| {
        let object = Object {
            name,
            functions: Ok(None),
            callbacks: Vec::new(),
        };
        objects.push((object, Vec::new()));
        objects.len() - 1
    }))
}

/// What the code that enables the patch writes to its `replace`; `None` where it is not seen to
/// write one value.
fn replace(reader: &Reader<'_, '_>) -> Option<bool> {
    let mut found = Vec::new();
    for call in reader.calls() {
        let header = reader.module.image().sections.get(call.section).ok()?;
        let start = match reader.module.function_around(call) {
            Some((start, _)) => start,
            None => call.offset.saturating_sub(NEAR),
        };
        let range = usize::try_from(start).ok()?..usize::try_from(call.offset).ok()?;
        let code = reader.module.data(&header).get(range)?;
        if is_code(&header) {
            found.extend(code.windows(4).filter_map(|code| stored(reader, code)));
        }
    }
    match found[..] {
        [first, ref rest @ ..] if rest.iter().all(|&other| other == first) => Some(first),
        _ => None,
    }
}

/// What an instruction writes to the `replace` of a structure whose address is in a register.
fn stored(reader: &Reader<'_, '_>, code: &[u8]) -> Option<bool> {
    let value = match (reader.module.machine, code) {
        // movb $value,REPLACE(register): an address without an index has no 4 in its low bits.
        (Machine::X86_64, &[0xc6, address @ 0x40..=0x47, REPLACE, value]) if address != 0x44 => {
            value
        }
        // mvi REPLACE(register),value
        (Machine::S390, &[0x92, value, base, REPLACE]) if base & 0xf == 0 && base != 0 => value,
        _ => return None,
    };
    match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
