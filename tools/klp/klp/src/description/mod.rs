// SPDX-License-Identifier: GPL-2.0

//! What a module patches: `struct klp_patch` and what it points to, as they stand in its file.
//!
//! Layout: `include/linux/livepatch.h`. The structure is the argument of a call of
//! `klp_enable_patch()`, which its relocation and the instruction before it show. What a module
//! only fills in when it runs cannot be told, and is said to be so; but what some builders make
//! is filled in from a description in the file, which [`sections`] reads.

mod sections;

use crate::file::module::{is_code, is_empty_in_file, Module, Place};
use livepatch_format::elf::{Machine, Relocation, Section, SectionIndex, SHN_LIVEPATCH};
use livepatch_format::name::{SymPos, Text, SYMBOL_NAME_MAX};
use livepatch_format::reloc;
use std::collections::BTreeMap;

/// What a module calls to enable a patch.
pub const ENABLE: &[u8] = b"klp_enable_patch";

/// Bytes of a `struct klp_patch`, `klp_object`, `klp_func`.
const PATCH_SIZE: u64 = 32;
const OBJECT_SIZE: u64 = 64;
const FUNC_SIZE: u64 = 24;

/// How far before a call its argument is looked for where no symbol says where the function
/// begins.
const NEAR: u64 = 64;

/// How far from an address that it has in a register code of s390 reaches other variables.
const ANCHOR: u64 = 0x1000;

/// More entries than this are no list.
const ENTRIES_MAX: u64 = 1 << 14;

/// Something that a file tells, or why it does not.
pub type Told<T> = Result<T, String>;

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its variable's name, where it has one.
    pub symbol: Option<Vec<u8>>,
    /// Whether it names its module.
    pub has_module: bool,
    /// Whether it replaces all earlier ones; `None` where the file does not tell.
    pub replace: Option<bool>,
    /// Its objects; `None` for no list of them.
    pub objects: Told<Option<Vec<Object>>>,
    /// What of it the module's code refers to, so that it may be changed before it is used.
    pub changeable: Option<&'static str>,
}

/// An object of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The module's name; `None` for the kernel itself.
    pub name: Option<Vec<u8>>,
    /// Its functions; `None` for no list of them.
    pub functions: Told<Option<Vec<Function>>>,
    /// Whether it has callbacks.
    pub callbacks: Vec<&'static str>,
}

/// A function that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Option<Vec<u8>>,
    /// Which one of that name.
    pub position: SymPos,
    /// What runs instead.
    pub new: Option<NewFunction>,
}

/// What runs in place of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunction {
    /// Its name, where it has one.
    pub symbol: Option<Vec<u8>>,
    /// Its section.
    pub section: Option<Vec<u8>>,
}

/// All patches that a module enables. Empty for one that enables none.
pub fn patches(module: &Module<'_>) -> Told<Vec<Patch>> {
    if !module.imports(ENABLE) {
        return Ok(Vec::new());
    }
    let reader = Reader::new(module);
    if let Some(described) = sections::patch(&reader) {
        return described.map(|patch| vec![patch]);
    }
    let mut places = reader.arguments();
    if places.is_empty() {
        places = reader.candidates();
        match places.len() {
            0 => {
                return Err(
                    "no patch is to be found in the module's data: its code makes it".into(),
                )
            }
            1 => {}
            count => {
                return Err(format!(
                    "{count} structures may be the patch, and the code does not show which"
                ))
            }
        }
    }
    places
        .into_iter()
        .map(|place| reader.patch(place))
        .collect()
}

/// What eight bytes of a section hold.
enum Word {
    /// A number.
    Number(u64),
    /// An address in this module.
    Pointer(Place),
    /// The address of something that is elsewhere.
    Elsewhere(Vec<u8>),
}

struct Reader<'m, 'a> {
    module: &'m Module<'a>,
    /// Every relocation of data, by place. Nothing else refers to addresses there.
    relocations: BTreeMap<Place, Relocation>,
    /// What code refers to: the place, as far as it is certain, and whether it is the argument
    /// of a call.
    uses: Vec<Use>,
}

/// A reference from code to data.
#[derive(Clone, Copy)]
struct Use {
    from: Place,
    to: Place,
    /// Bytes by which `to` may be too low: those that follow in the instruction, or what is added
    /// to an address that serves several variables.
    slack: u64,
    /// Whether the instruction does nothing but to load an address as the first argument.
    is_argument: bool,
}

impl<'m, 'a> Reader<'m, 'a> {
    fn new(module: &'m Module<'a>) -> Self {
        let mut relocations = BTreeMap::new();
        let mut uses = Vec::new();
        for (section, header, table) in module.ordinary_relocations() {
            let code = is_code(&header);
            for (_, rela) in table.iter() {
                if code {
                    uses.extend(reference(module, section, &header, &rela));
                } else {
                    let offset = rela.r_offset;
                    relocations.insert(Place { section, offset }, rela);
                }
            }
        }
        for (_, header, _) in module.sections() {
            if header.is_livepatch_relocation() {
                let section = SectionIndex(header.sh_info);
                if let Ok(table) = module.relocations(&header) {
                    for (_, rela) in table.iter() {
                        let offset = rela.r_offset;
                        relocations.insert(Place { section, offset }, rela);
                    }
                }
            }
        }
        Reader {
            module,
            relocations,
            uses,
        }
    }

    /// Where the code calls what enables a patch.
    fn calls(&self) -> Vec<Place> {
        let mut found = Vec::new();
        for (section, header, table) in self.module.ordinary_relocations() {
            if !is_code(&header) {
                continue;
            }
            for (_, rela) in table.iter() {
                let symbol = self.module.symbols().get(rela.symbol);
                if symbol.is_ok_and(|symbol| self.module.symbol_name(&symbol) == ENABLE) {
                    let offset = rela.r_offset;
                    found.push(Place { section, offset });
                }
            }
        }
        found
    }

    /// The arguments of all calls that enable a patch, as far as the code shows them.
    fn arguments(&self) -> Vec<Place> {
        let mut found = Vec::new();
        for call in self.calls() {
            let start = match self.module.function_around(call) {
                Some((start, _)) => start,
                None => call.offset.saturating_sub(NEAR),
            };
            let argument = self
                .uses
                .iter()
                .filter(|one| one.is_argument && one.from.section == call.section)
                .filter(|one| (start..call.offset).contains(&one.from.offset))
                .max_by_key(|one| one.from.offset);
            found.extend(argument.map(|one| one.to));
        }
        found.sort();
        found.dedup();
        found
    }

    /// Places that look like a patch: a variable of the right size that begins with the address
    /// of the module and that of a list of objects.
    fn candidates(&self) -> Vec<Place> {
        let modules = self.relocations.iter().filter(|(_, rela)| {
            let symbol = self.module.symbols().get(rela.symbol);
            self.module.is_pointer(rela.r_type)
                && symbol.is_ok_and(|symbol| self.module.symbol_name(&symbol) == b"__this_module")
        });
        modules
            .map(|(&place, _)| place)
            .filter(|&place| {
                let is_patch = self.module.size_at(place) == Some(PATCH_SIZE);
                let objects = self.word(at(place, 8));
                is_patch
                    && matches!(objects, Ok(Word::Pointer(objects)) if self.object(objects).is_ok())
            })
            .collect()
    }

    /// The contents of a section; `None` for one of zeroes that are not in the file.
    fn section(&self, place: Place) -> Told<Option<&'a [u8]>> {
        let sections = &self.module.image().sections;
        let section = sections
            .get(place.section)
            .map_err(|error| error.to_string())?;
        if !is_empty_in_file(&section) {
            return Ok(Some(self.module.data(&section)));
        }
        let (start, end) = self
            .module
            .variable_around(place)
            .unwrap_or((0, section.sh_size));
        if place.offset >= section.sh_size || self.may_be_filled_in(place.section, start, end) {
            return Err(format!(
                "{} is filled in when the module runs",
                self.describe(place)
            ));
        }
        Ok(None)
    }

    /// Whether code can get at a variable: by itself, or through another that points to it. That
    /// the patch is handed over does not count.
    fn may_be_filled_in(&self, section: SectionIndex, start: u64, end: u64) -> bool {
        let is_used = |section, start, end| {
            let reaches = |one: &&Use| self.reaches(one, section, start, end);
            let mut uses = self.uses.iter().filter(reaches);
            uses.any(|one| !(one.is_argument && one.to.offset == start))
        };
        let inside =
            |place: Place| place.section == section && (start..end).contains(&place.offset);
        let mut pointers = self.relocations.iter().filter(|(_, rela)| {
            let target = self.module.target(rela, rela.r_addend);
            target.is_some_and(inside)
        });
        is_used(section, start, end)
            || pointers.any(|(from, _)| {
                let around = self.module.variable_around(*from);
                let (start, end) = around.unwrap_or((0, u64::MAX));
                is_used(from.section, start, end)
            })
    }

    /// Whether a reference may be one to these bytes.
    fn reaches(&self, one: &Use, section: SectionIndex, start: u64, end: u64) -> bool {
        let last = one.to.offset.saturating_add(one.slack);
        one.to.section == section && one.to.offset < end && last >= start
    }

    /// A place, to be read.
    fn describe(&self, place: Place) -> String {
        let section = Text(self.module.section_name(place.section));
        match self.module.name_at(place) {
            Some(name) => format!("'{}' in {section}", Text(name)),
            None => format!("offset {:#x} of {section}", place.offset),
        }
    }

    fn bytes<const N: usize>(&self, place: Place) -> Told<[u8; N]> {
        let Some(data) = self.section(place)? else {
            return Ok([0; N]);
        };
        usize::try_from(place.offset)
            .ok()
            .and_then(|start| data.get(start..)?.first_chunk())
            .copied()
            .ok_or_else(|| format!("{} is past the end of it", self.describe(place)))
    }

    fn word(&self, place: Place) -> Told<Word> {
        let number = self.module.number(self.bytes(place)?);
        let Some(rela) = self.relocations.get(&place) else {
            return Ok(Word::Number(number));
        };
        let unknown = || format!("{} is relocated in an unknown way", self.describe(place));
        if !self.module.is_pointer(rela.r_type) {
            return Err(unknown());
        }
        if let Some(target) = self.module.target(rela, rela.r_addend) {
            return Ok(Word::Pointer(target));
        }
        let symbol = self
            .module
            .symbols()
            .get(rela.symbol)
            .map_err(|_| unknown())?;
        match self.module.symbol_name(&symbol) {
            b"" => Err(unknown()),
            name => Ok(Word::Elsewhere(name.to_vec())),
        }
    }

    /// The address of a string, a list or a function: `None` for a null pointer.
    fn pointer(&self, place: Place, what: &str) -> Told<Option<Place>> {
        match self.word(place)? {
            Word::Number(0) => Ok(None),
            Word::Pointer(target) => Ok(Some(target)),
            Word::Number(_) => Err(format!("{what} at {} is no address", self.describe(place))),
            Word::Elsewhere(name) => Err(format!(
                "{what} is '{}', which is not in the module",
                Text(&name)
            )),
        }
    }

    fn string(&self, place: Place, what: &str) -> Told<Option<Vec<u8>>> {
        let Some(start) = self.pointer(place, what)? else {
            return Ok(None);
        };
        let data = self.section(start)?.unwrap_or_default();
        let text = usize::try_from(start.offset)
            .ok()
            .and_then(|offset| data.get(offset..))
            .and_then(|rest| {
                let end = rest.iter().position(|&byte| byte == 0)?;
                rest.get(..end)
            })
            .ok_or_else(|| format!("{what} at {} does not end", self.describe(start)))?;
        // What is wrong with a longer one does not depend on how much longer it is.
        let shown = text.get(..SYMBOL_NAME_MAX + 1).unwrap_or(text);
        Ok(Some(shown.to_vec()))
    }

    fn patch(&self, place: Place) -> Told<Patch> {
        if let Some(size) = self
            .module
            .size_at(place)
            .filter(|&size| size != PATCH_SIZE)
        {
            return Err(format!(
                "{} has {size} bytes, where the struct klp_patch of livepatch.ko has \
                 {PATCH_SIZE}: it is built for another livepatch core",
                self.describe(place)
            ));
        }
        let has_module = !matches!(self.word(place)?, Word::Number(0));
        let objects = match self.pointer(at(place, 8), "the list of objects") {
            Ok(None) => Ok(None),
            Ok(Some(list)) => self
                .list(list, OBJECT_SIZE, "objects", |at| self.object(at))
                .map(Some),
            Err(why) => Err(why),
        };
        let [replace] = self.bytes(at(place, 24))?;
        let within = |start: Place, size| {
            let end = start.offset.saturating_add(size);
            self.uses.iter().any(|one| {
                let is_argument = one.to == place && one.is_argument;
                !is_argument && self.reaches(one, start.section, start.offset, end)
            })
        };
        let mut changeable = within(place, PATCH_SIZE).then_some("struct klp_patch");
        if let Ok(Some(list)) = self.pointer(at(place, 8), "") {
            let count = objects.iter().flatten().flatten().count() as u64;
            if within(list, (count + 1) * OBJECT_SIZE) {
                changeable = Some("the list of objects");
            }
            for number in 0..count {
                let entry = at(list, number * OBJECT_SIZE);
                if let Ok(Some(functions)) = self.pointer(at(entry, 8), "") {
                    let known = objects.iter().flatten().flatten().nth(number as usize);
                    let count = known
                        .and_then(|object| object.functions.as_ref().ok()?.as_ref())
                        .map_or(0, Vec::len) as u64;
                    if within(functions, (count + 1) * FUNC_SIZE) {
                        changeable = Some("a list of functions");
                    }
                }
            }
        }
        Ok(Patch {
            symbol: self.module.name_at(place).map(<[u8]>::to_vec),
            has_module,
            replace: Some(replace != 0),
            objects,
            changeable,
        })
    }

    /// The entries of a list, up to one that `entry` has nothing for.
    fn list<T>(
        &self,
        start: Place,
        size: u64,
        what: &str,
        entry: impl Fn(Place) -> Told<Option<T>>,
    ) -> Told<Vec<T>> {
        let total = self.module.size_at(start);
        if total.is_some_and(|total| total % size != 0) {
            return Err(format!(
                "{} is no list of {what} of {size} bytes each: it is built for another livepatch \
                 core",
                self.describe(start)
            ));
        }
        let mut entries = Vec::new();
        for number in 0..ENTRIES_MAX {
            match entry(at(start, number * size))? {
                Some(one) => entries.push(one),
                None => {
                    let used = (number + 1) * size;
                    return self
                        .check_rest(start, used, total.unwrap_or(used), what)
                        .map(|()| entries);
                }
            }
        }
        Err(format!(
            "the list of {what} at {} does not end",
            self.describe(start)
        ))
    }

    /// What follows the end of a list must be empty; else it is a list of something else.
    fn check_rest(&self, start: Place, used: u64, total: u64, what: &str) -> Told<()> {
        // What is not in the file is all zeroes.
        if self.section(start)?.is_none() {
            return Ok(());
        }
        for offset in (used..total.min(ENTRIES_MAX * OBJECT_SIZE)).step_by(8) {
            if !matches!(self.word(at(start, offset))?, Word::Number(0)) {
                return Err(format!(
                    "the list of {what} at {} goes on after its end: it may be built for another \
                     livepatch core, or be filled in when the module runs",
                    self.describe(start)
                ));
            }
        }
        Ok(())
    }

    fn object(&self, place: Place) -> Told<Option<Object>> {
        let name = self.string(place, "an object's name")?;
        let functions = self.pointer(at(place, 8), "a list of functions");
        if name.is_none() && functions == Ok(None) {
            return Ok(None);
        }
        let functions = match functions {
            Ok(None) => Ok(None),
            Ok(Some(list)) => self
                .list(list, FUNC_SIZE, "functions", |at| self.function(at))
                .map(Some),
            Err(why) => Err(why),
        };
        let callbacks = self.callbacks(at(place, 16))?;
        Ok(Some(Object {
            name,
            functions,
            callbacks,
        }))
    }

    /// Which callbacks a `struct klp_callbacks` has.
    fn callbacks(&self, place: Place) -> Told<Vec<&'static str>> {
        let names = ["pre_patch", "post_patch", "pre_unpatch", "post_unpatch"];
        let mut callbacks = Vec::new();
        for (number, name) in (0..).zip(names) {
            match self.word(at(place, 8 * number))? {
                Word::Number(0) => {}
                Word::Number(_) => {
                    return Err(format!(
                        "{} is no struct klp_callbacks",
                        self.describe(place)
                    ))
                }
                Word::Pointer(_) | Word::Elsewhere(_) => callbacks.push(name),
            }
        }
        Ok(callbacks)
    }

    /// What runs in place of a function, whose address is at a place.
    fn new_function(&self, place: Place) -> Told<Option<NewFunction>> {
        match self.word(place)? {
            Word::Number(0) => Ok(None),
            Word::Number(_) => Err(format!(
                "the new function at {} is no address",
                self.describe(place)
            )),
            Word::Pointer(target) => Ok(Some(NewFunction {
                symbol: self.module.name_at(target).map(<[u8]>::to_vec),
                section: Some(self.module.section_name(target.section).to_vec()),
            })),
            Word::Elsewhere(name) => Ok(Some(NewFunction {
                symbol: Some(name),
                section: None,
            })),
        }
    }

    /// A number that no relocation changes.
    fn number(&self, place: Place) -> Told<u64> {
        match self.word(place)? {
            Word::Number(number) => Ok(number),
            _ => Err(format!(
                "the position at {} is an address: it is built for another livepatch core",
                self.describe(place)
            )),
        }
    }

    fn function(&self, place: Place) -> Told<Option<Function>> {
        let name = self.string(place, "a function's name")?;
        let new = self.new_function(at(place, 8))?;
        let position = self.number(at(place, 16))?;
        if name.is_none() && new.is_none() && position == 0 {
            return Ok(None);
        }
        Ok(Some(Function {
            name,
            position: SymPos(position),
            new,
        }))
    }
}

fn at(place: Place, offset: u64) -> Place {
    Place {
        section: place.section,
        offset: place.offset.saturating_add(offset),
    }
}

/// What a relocation of code refers to, where that is in the module.
fn reference(
    module: &Module<'_>,
    section: SectionIndex,
    header: &Section,
    rela: &Relocation,
) -> Option<Use> {
    let symbol = module.symbols().get(rela.symbol).ok()?;
    if symbol.st_shndx == SHN_LIVEPATCH {
        return None;
    }
    let code = module.data(header);
    let before = |count: u64| -> Option<&[u8]> {
        let start = usize::try_from(rela.r_offset.checked_sub(count)?).ok()?;
        code.get(start..start.checked_add(count as usize)?)
    };
    let from = Place {
        section,
        offset: rela.r_offset,
    };
    let (addend, slack, is_argument) = match module.machine {
        Machine::X86_64 => match rela.r_type {
            // The processor counts from the end of the instruction.
            reloc::x86_64::PC32 | reloc::x86_64::PLT32 => {
                // lea place(%rip),%rdi
                let lea = before(3) == Some(&[0x48, 0x8d, 0x3d]);
                (rela.r_addend.checked_add(4)?, if lea { 0 } else { 4 }, lea)
            }
            // mov $place,%rdi and mov $place,%edi
            reloc::x86_64::ABS32S => (rela.r_addend, 0, before(3) == Some(&[0x48, 0xc7, 0xc7])),
            reloc::x86_64::ABS32 => (rela.r_addend, 0, before(1) == Some(&[0xbf])),
            reloc::x86_64::ABS64 => (rela.r_addend, 0, before(2) == Some(&[0x48, 0xbf])),
            _ => (rela.r_addend, 0, false),
        },
        Machine::S390 => match rela.r_type {
            // larl %r2,place, and lgrl %r2,place@GOT: they count from the start of the
            // instruction, two bytes before.
            reloc::s390::PC32DBL => {
                let larl = before(2) == Some(&[0xc0, 0x20]);
                let slack = if larl { 0 } else { ANCHOR };
                (rela.r_addend.checked_sub(2)?, slack, larl)
            }
            reloc::s390::GOTENT => {
                let lgrl = before(2) == Some(&[0xc4, 0x28]);
                (rela.r_addend.checked_sub(2)?, 0, lgrl)
            }
            reloc::s390::PLT32DBL => return None,
            _ => (rela.r_addend, 0, false),
        },
    };
    Some(Use {
        from,
        to: module.target(rela, addend)?,
        slack,
        is_argument,
    })
}
