// SPDX-License-Identifier: GPL-2.0

//! The commands that kbuild recorded.
//!
//! Beside each object `DIR/NAME.o` of a build directory is `DIR/.NAME.o.cmd`, a piece of a makefile
//! that `scripts/basic/fixdep` of the kernel writes: the command line, the source file, and the
//! files that the compiler read.

use super::path::normal;
use super::tree::Tree;
use anyhow::{anyhow, bail, Context, Result};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What an object is linked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartOf {
    /// The kernel itself.
    Vmlinux,
    /// A module.
    Module {
        /// As the kernel knows it, with `_` for `-`.
        name: String,
        /// Its file, as below `/lib/modules/RELEASE`: `kernel/fs/ext4/ext4.ko`.
        file: PathBuf,
    },
}

impl PartOf {
    /// As `struct klp_object` names it: `vmlinux`, or the name of the module.
    pub fn name(&self) -> &str {
        match self {
            PartOf::Vmlinux => "vmlinux",
            PartOf::Module { name, .. } => name,
        }
    }
}

/// How a command names the source tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    /// By this path.
    Absolute(String),
    /// From the directory that it runs in: `.` or `..`.
    Relative,
}

/// How an object was compiled from a C file or from assembly, or what is like one.
#[derive(Debug, Clone)]
pub struct Command {
    product: Product,
    object: PathBuf,
    source: PathBuf,
    environment: Vec<(String, String)>,
    program: String,
    arguments: Vec<String>,
    root: Root,
}

/// The record of one object.
#[derive(Debug, Clone)]
pub struct Record {
    /// How it was compiled.
    pub command: Command,
    /// The files that the compiler read, as it named them, the C file first.
    pub dependencies: Vec<String>,
}

/// What is different when a command runs again.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    /// The object to write.
    pub output: &'a Path,
    /// Where the compiler lists the files that it read, as a makefile rule.
    pub dependencies: &'a Path,
    /// The source tree to take: the recorded one, or an overlay of it.
    pub source: &'a Path,
    /// Flags that come before all others.
    pub first: &'a [String],
    /// Flags that come after all others.
    pub last: &'a [String],
}

/// A command that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Variables that are set.
    pub environment: Vec<(String, String)>,
    /// The compiler.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The directory that it runs in.
    pub directory: PathBuf,
}

impl Invocation {
    /// The process to start.
    pub fn process(&self) -> std::process::Command {
        let mut process = std::process::Command::new(&self.program);
        process
            .args(&self.arguments)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        process
    }
}

/// What a command makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// An object, of a C file.
    Object,
    /// An object, of assembly.
    Assembly,
    /// The compiler's assembly, of a C file: kbuild takes numbers from it, for headers that it
    /// generates (`filechk_offsets` in `scripts/Makefile.lib`).
    Numbers,
    /// A linker script.
    LinkerScript,
}

impl Product {
    /// By what is made, and what it is made of.
    fn of(product: &Path, source: &str) -> Option<Self> {
        let extension = product.extension().and_then(OsStr::to_str);
        let (_, made_of) = source.rsplit_once('.')?;
        match (extension?, made_of) {
            ("o", "c") => Some(Product::Object),
            ("o", "S") => Some(Product::Assembly),
            ("s", "c") => Some(Product::Numbers),
            ("lds", "S") => Some(Product::LinkerScript),
            _ => None,
        }
    }

    /// The flag that has the compiler make it.
    fn flag(self) -> &'static str {
        match self {
            Product::Object | Product::Assembly => "-c",
            Product::Numbers => "-S",
            Product::LinkerScript => "-E",
        }
    }

    /// What its source is called.
    fn source(self, product: &Path) -> PathBuf {
        match self {
            Product::Object | Product::Numbers => product.with_extension("c"),
            Product::Assembly => product.with_extension("S"),
            Product::LinkerScript => product.with_extension("lds.S"),
        }
    }
}

/// The name of the record of an object, both relative to the build directory.
pub fn record_of(object: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(object.file_name().unwrap_or_default());
    name.push(".cmd");
    object.with_file_name(name)
}

/// The object, linker script, or assembly of the compiler whose record has this name, if it is the
/// name of one.
pub fn object_of(record: &Path) -> Option<PathBuf> {
    let name = record.file_name()?.to_str()?;
    let object = name.strip_prefix('.')?.strip_suffix(".cmd")?;
    let is_one = [".o", ".s", ".lds"].iter().any(|end| object.ends_with(end));
    (is_one && !object.starts_with('.')).then(|| record.with_file_name(object))
}

impl Record {
    /// Reads the record of `object`, which is relative to the build directory; `None` if there is
    /// none, or the object was made of something that is not compiled as C is.
    pub fn read(tree: &Tree, object: &Path) -> Result<Option<Self>> {
        let path = tree.build.join(record_of(object));
        match fs::read(&path) {
            Ok(bytes) => Record::parse(tree, object, &bytes)
                .with_context(|| format!("cannot use {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Parses the record of `object`; `None` if it was made of something that is not compiled as C
    /// is.
    ///
    /// # Errors
    ///
    /// If it is no record, or its command is none that can be run again.
    pub fn parse(tree: &Tree, object: &Path, bytes: &[u8]) -> Result<Option<Self>> {
        let text = std::str::from_utf8(bytes).context("it is not text in UTF-8")?;
        // A makefile may name a file of another directory, such as `../../../virt/kvm/kvm_main.o`.
        let object = normal(object);
        let value = |variable: &str| {
            text.lines().find_map(|line| {
                let rest = line.strip_prefix(variable)?.strip_prefix('_')?;
                let (name, value) = rest.split_once(" := ")?;
                (normal(Path::new(name)) == object).then_some(value)
            })
        };
        let Some(source) = value("source") else {
            return Ok(None);
        };
        let Some(product) = Product::of(&object, source) else {
            return Ok(None);
        };
        // Since Linux 6.2 it is called savedcmd.
        let Some(line) = value("savedcmd").or_else(|| value("cmd")) else {
            bail!("it has no command for {}", object.display());
        };
        let line = line.replace("$(pound)", "#").replace("$$", "$");
        let command = Command::new(tree, product, &object, source, &line)?;
        Ok(Some(Record {
            command,
            dependencies: dependencies(text, source),
        }))
    }
}

/// The files that a record lists, the source first.
fn dependencies(text: &str, source: &str) -> Vec<String> {
    let listed = text
        .lines()
        .skip_while(|line| !line.starts_with("deps_"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim_end_matches('\\').trim())
        // Those of configuration options are not the compiler's.
        .filter(|file| !file.is_empty() && !file.starts_with("$("));
    std::iter::once(source)
        .chain(listed)
        .map(str::to_owned)
        .collect()
}

impl Command {
    /// The command of `line`, as for a shell.
    fn new(tree: &Tree, product: Product, object: &Path, source: &str, line: &str) -> Result<Self> {
        let words = compilation(line, product.flag())?;
        let mut words = words.into_iter().peekable();
        let mut environment = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| assignment(word)) {
            environment.push((name, value));
            words.next();
        }
        let program = words
            .next()
            .ok_or_else(|| anyhow!("its command is empty"))?;
        let arguments: Vec<_> = words.collect();
        if !arguments.iter().any(|word| word == source) {
            bail!("its command does not compile {source}");
        }
        if let Some(flag) = arguments.iter().find(|word| word.starts_with("-flto")) {
            bail!("the kernel was built with {flag}: klp build needs objects with machine code");
        }
        let (root, source) = root(tree, &product.source(object), source)?;
        Ok(Command {
            product,
            object: object.to_owned(),
            source,
            environment,
            program,
            arguments,
            root,
        })
    }

    /// What it makes.
    pub fn product(&self) -> Product {
        self.product
    }

    /// The object, relative to the build directory.
    pub fn object(&self) -> &Path {
        &self.object
    }

    /// The file that is compiled: relative to the source tree, or, if it was generated, to the build directory.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The compiler, as it was called.
    pub fn compiler(&self) -> &str {
        &self.program
    }

    /// What the object is linked into.
    ///
    /// # Errors
    ///
    /// If it is in a module, and the command does not tell in which one.
    pub fn part_of(&self) -> Result<PartOf> {
        if !self.arguments.iter().any(|word| word == "-DMODULE") {
            return Ok(PartOf::Vmlinux);
        }
        let defined = |wanted: &str| {
            self.arguments.iter().rev().find_map(|word| {
                let (name, value) = word.strip_prefix("-D")?.split_once('=')?;
                (name == wanted).then(|| value.trim_matches('"'))
            })
        };
        let object = self.object.display();
        let Some(name) = defined("KBUILD_MODNAME") else {
            bail!("{object} is a part of a module, but its command does not name the module");
        };
        let named = name.replace('-', "_");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if named.is_empty() || !named.chars().all(is_name) {
            bail!("{object} is a part of several modules ({name}): klp build cannot patch it");
        }
        let file = match defined("KBUILD_MODFILE") {
            Some(file) => PathBuf::from(format!("{file}.ko")),
            None => self.object.with_file_name(format!("{name}.ko")),
        };
        Ok(PartOf::Module {
            name: named,
            file: Path::new("kernel").join(file),
        })
    }

    /// A file that the compiler read, as it named it, as a path from the source tree; `None` if it
    /// is not in there.
    pub fn in_source(&self, tree: &Tree, dependency: &str) -> Option<PathBuf> {
        let path = normal(&tree.build.join(dependency));
        if let Ok(path) = path.strip_prefix(&tree.source) {
            return Some(path.to_owned());
        }
        match &self.root {
            Root::Absolute(root) => path.strip_prefix(root).ok().map(Path::to_owned),
            Root::Relative => None,
        }
    }

    /// The same command for other files.
    pub fn again(&self, tree: &Tree, again: &Again<'_>) -> Result<Invocation> {
        let mut arguments = again.first.to_vec();
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if word == "-o" {
                words.next();
            } else if !is_dependency_flag(word) {
                arguments.push(self.moved(tree, word, again.source)?);
            }
        }
        if let Root::Absolute(root) = &self.root {
            // __FILE__ is a part of the code.
            let source = text(again.source)?;
            if source != root {
                let name = self.name_in_code(root);
                arguments.extend(name.map(|name| format!("-fmacro-prefix-map={source}={name}")));
            }
        }
        arguments.extend_from_slice(again.last);
        for path in [
            ["-MMD", "-MF"].as_slice(),
            &[text(again.dependencies)?, "-o", text(again.output)?],
        ] {
            arguments.extend(path.iter().map(|&word| word.to_owned()));
        }
        Ok(Invocation {
            environment: self.environment.clone(),
            program: self.program.clone(),
            arguments,
            directory: self.directory(tree, again.source),
        })
    }

    /// How the compiler names the source tree where that does not tell it otherwise: in what UBSAN
    /// and KASAN say.
    pub fn name_of_tree<'a>(&'a self, tree: &'a Tree) -> Result<&'a str> {
        match &self.root {
            Root::Absolute(root) if leads_to(root, &tree.source) => Ok(root),
            _ => text(&tree.source),
        }
    }

    /// How code names the source tree, where the command does not tell the compiler by the tree's
    /// own name: then it does so for another tree as well.
    fn name_in_code(&self, root: &str) -> Option<String> {
        // The compiler takes the last one that fits.
        let mapped = self.arguments.iter().rev().find_map(|word| {
            let map = ["-fmacro-prefix-map=", "-ffile-prefix-map="]
                .iter()
                .find_map(|flag| word.strip_prefix(flag))?;
            let (from, to) = map.split_once('=')?;
            match from.strip_prefix(root) {
                Some("" | "/") => Some(None),
                _ => Some(Some(format!("{to}{}", root.strip_prefix(from)?))),
            }
        });
        mapped.unwrap_or_else(|| Some(root.to_owned()))
    }

    /// Where the command runs. Relative paths lead into the overlay from the place in it that is
    /// the build directory's.
    fn directory(&self, tree: &Tree, source: &Path) -> PathBuf {
        match (&self.root, tree.build.strip_prefix(&tree.source)) {
            (Root::Relative, Ok(build)) => source.join(build),
            _ => tree.build.clone(),
        }
    }

    /// A word of the command, with another source tree.
    fn moved(&self, tree: &Tree, word: &str, source: &Path) -> Result<String> {
        if source == tree.source {
            // As it is recorded, if that still leads there.
            return match &self.root {
                Root::Absolute(root) if !leads_to(root, source) => {
                    Ok(replace(word, root, text(source)?))
                }
                _ => Ok(word.to_owned()),
            };
        }
        // Once only: the overlay may be in the source.
        let root = match &self.root {
            Root::Absolute(root) if word.contains(root.as_str()) => root,
            _ => text(&tree.source)?,
        };
        Ok(replace(word, root, text(source)?))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.display().fmt(f)
    }
}

/// Whether the flag tells the compiler where to list what it reads.
fn is_dependency_flag(word: &str) -> bool {
    word.starts_with("-Wp,-MMD,") || word.starts_with("-Wp,-MD,")
}

/// Whether a path is another name of the directory.
fn leads_to(path: &str, directory: &Path) -> bool {
    Path::new(path) == directory
        || Path::new(path)
            .canonicalize()
            .is_ok_and(|path| path == directory)
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| anyhow!("the name of {} is not text in UTF-8", path.display()))
}

/// How the command names the source tree, and the file in it that is compiled, which is `named`
/// where kbuild has not moved it.
fn root(tree: &Tree, named: &Path, source: &str) -> Result<(Root, PathBuf)> {
    let path = normal(&tree.build.join(source));
    let inside = path.strip_prefix(&tree.source);
    if !Path::new(source).is_absolute() {
        let Ok(inside) = inside else {
            // A file that was generated, in a build directory that is elsewhere.
            let generated = path.strip_prefix(&tree.build);
            let generated = generated.map_err(|_| another_tree(tree, source))?;
            let root = Root::Absolute(text(&tree.source)?.to_owned());
            return Ok((root, generated.to_owned()));
        };
        return Ok((Root::Relative, inside.to_owned()));
    }
    if let Ok(inside) = inside {
        return Ok((
            Root::Absolute(text(&tree.source)?.to_owned()),
            inside.to_owned(),
        ));
    }
    // The tree has another name, or has been moved.
    let inside = match path.canonicalize() {
        Ok(path) => path.strip_prefix(&tree.source).map(Path::to_owned).ok(),
        Err(_) => Some(named.to_owned()),
    };
    let inside = inside.ok_or_else(|| another_tree(tree, source))?;
    // Not by way of another directory's parent.
    let root = text(&path)?
        .strip_suffix(text(&inside)?)
        .and_then(|root| root.strip_suffix('/'))
        .ok_or_else(|| another_tree(tree, source))?;
    Ok((Root::Absolute(root.to_owned()), inside))
}

fn another_tree(tree: &Tree, source: &str) -> anyhow::Error {
    anyhow!(
        "it was compiled from {source}, which is not in {}: name the source that the kernel was built from",
        tree.source.display()
    )
}

/// Replaces the path of a directory wherever a word has it, also behind a flag.
fn replace(word: &str, from: &str, to: &str) -> String {
    let mut replaced = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        replaced.push_str(before);
        // Not a directory whose name only begins like this one's.
        let ends = after
            .chars()
            .next()
            .is_none_or(|next| "/=:,\"".contains(next));
        replaced.push_str(if ends { to } else { from });
        rest = after;
    }
    replaced + rest
}

/// A variable that is set for a command, as a word in front of it.
fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

/// The words of the first command of a line that compiles, with this flag. What comes behind it, such
/// as objtool, is left out.
fn compilation(line: &str, flag: &str) -> Result<Vec<String>> {
    let mut rest = line;
    loop {
        let (words, behind) = simple_command(rest)?;
        if words.iter().any(|word| word == flag) {
            return Ok(words);
        }
        rest = behind.ok_or_else(|| anyhow!("its command compiles nothing"))?;
    }
}

/// Splits off the first command of a line, as a POSIX shell does: its words, and what is behind
/// the operator that ends it.
fn simple_command(line: &str) -> Result<(Vec<String>, Option<&str>)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.char_indices();
    let unfinished = || anyhow!("its command ends within quotes");
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            ';' | '&' | '|' | '\n' => {
                words.extend(word.take());
                let rest = line.get(at..).unwrap_or_default();
                return Ok((words, Some(rest.trim_start_matches([';', '&', '|', '\n']))));
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unfinished)?.1 {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unfinished)?.1 {
                        '"' => break,
                        '\\' => match chars.next().ok_or_else(unfinished)?.1 {
                            '\n' => {}
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c @ ('$' | '`') => bail!("its command needs a shell, for '{c}'"),
                        c => word.push(c),
                    }
                }
            }
            '\\' => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, c)) => word.get_or_insert_default().push(c),
                None => word.get_or_insert_default().push('\\'),
            },
            '$' | '`' | '(' | ')' | '<' | '>' => bail!("its command needs a shell, for '{c}'"),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok((words, None))
}

/// The files in a makefile rule that a compiler has written.
pub fn rule(text: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut file = String::new();
    // The target ends at the first colon before white space.
    let behind = text.split_once(": ").or_else(|| text.split_once(":\n"));
    let mut chars = behind.map_or("", |(_, files)| files).chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => {}
            ('\\', Some(' ' | '#')) | ('$', Some('$')) => file.extend(chars.next()),
            (' ' | '\n', _) if file.is_empty() => {}
            (' ' | '\n', _) => files.push(std::mem::take(&mut file)),
            _ => file.push(c),
        }
    }
    files.extend((!file.is_empty()).then_some(file));
    files
}

/// Whether a path names a C file.
pub fn is_c(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("c"))
}

/// Whether a path names assembly that is preprocessed.
pub fn is_assembly(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tree::Of;
    use livepatch_format::elf::Machine;
    use proptest::prelude::*;

    fn tree(source: &str, build: &str) -> Tree {
        Tree {
            source: source.into(),
            build: build.into(),
            kernel: build.into(),
            of: Of::Kernel,
            machine: Machine::X86_64,
        }
    }

    fn record(tree: &Tree, object: &str, text: &str) -> Result<Option<Record>> {
        Record::parse(tree, Path::new(object), text.as_bytes())
    }

    /// A record as kbuild writes it, for fs/proc/meminfo.o.
    fn meminfo(root: &str, flags: &str) -> String {
        let source = format!("{root}fs/proc/meminfo.c");
        format!(
            "savedcmd_fs/proc/meminfo.o := gcc -Wp,-MMD,fs/proc/.meminfo.o.d -I{root}include \
             -I./include {flags} -DKBUILD_MODFILE='\"fs/proc/proc\"' -c -o fs/proc/meminfo.o \
             {source}   ; ./tools/objtool/objtool --hacks=jump_label   fs/proc/meminfo.o\n\n\
             source_fs/proc/meminfo.o := {source}\n\n\
             deps_fs/proc/meminfo.o := \\\n    $(wildcard include/config/CMA) \\\n  \
             {root}include/linux/fs.h \\\n  include/generated/autoconf.h \\\n\n\
             fs/proc/meminfo.o: $(deps_fs/proc/meminfo.o)\n\n$(deps_fs/proc/meminfo.o):\n"
        )
    }

    fn again(tree: &Tree, command: &Command, source: &str) -> Invocation {
        let again = Again {
            output: Path::new("/s/0.o"),
            dependencies: Path::new("/s/0.d"),
            source: Path::new(source),
            first: &["-Ishadow".to_owned()],
            last: &["-g0".to_owned()],
        };
        command.again(tree, &again).expect("it can run again")
    }

    #[test]
    fn a_record_gives_the_compilation_and_what_it_read() {
        let tree = tree("/k", "/b");
        let text = meminfo("/k/", "-fmacro-prefix-map=/k/=");
        let record = record(&tree, "fs/proc/meminfo.o", &text)
            .expect("it is a record")
            .expect("of a C file");
        assert_eq!(record.command.compiler(), "gcc");
        assert_eq!(record.command.source(), Path::new("fs/proc/meminfo.c"));
        assert_eq!(
            record.dependencies,
            [
                "/k/fs/proc/meminfo.c",
                "/k/include/linux/fs.h",
                "include/generated/autoconf.h"
            ]
        );
        assert_eq!(
            again(&tree, &record.command, "/o").arguments,
            [
                "-Ishadow",
                "-I/o/include",
                "-I./include",
                "-fmacro-prefix-map=/o/=",
                "-DKBUILD_MODFILE=\"fs/proc/proc\"",
                "-c",
                "/o/fs/proc/meminfo.c",
                "-g0",
                "-MMD",
                "-MF",
                "/s/0.d",
                "-o",
                "/s/0.o"
            ]
        );
        assert_eq!(
            again(&tree, &record.command, "/o").directory,
            Path::new("/b")
        );
    }

    #[test]
    fn an_overlay_in_the_source_is_found() {
        let tree = tree("/k", "/b");
        let record = record(&tree, "fs/proc/meminfo.o", &meminfo("/k/", ""))
            .expect("it is a record")
            .expect("of a C file");
        let after = again(&tree, &record.command, "/k/tmp/o");
        assert!(after.arguments.contains(&"-I/k/tmp/o/include".to_owned()));
    }

    #[test]
    fn the_name_of_a_file_stays_where_no_prefix_is_mapped() {
        let tree = tree("/k", "/b");
        let record = record(&tree, "fs/proc/meminfo.o", &meminfo("/k/", ""))
            .expect("it is a record")
            .expect("of a C file");
        let has = |source| {
            let again = again(&tree, &record.command, source);
            again
                .arguments
                .contains(&"-fmacro-prefix-map=/o=/k".to_owned())
        };
        assert!(has("/o"));
        assert!(!has("/k"));
    }

    #[test]
    fn other_prefixes_that_are_mapped_count_only_where_they_fit() {
        let tree = tree("/k", "/b");
        for (flags, expected) in [
            ("-fdebug-prefix-map=/k/=", Some("/k")),
            ("-ffile-prefix-map=/k-other/=", Some("/k")),
            ("-fmacro-prefix-map=/=./", Some("./k")),
            ("-ffile-prefix-map=/k=x", None),
            ("-fmacro-prefix-map=/k/= -fmacro-prefix-map=/none=", None),
        ] {
            let record = record(&tree, "fs/proc/meminfo.o", &meminfo("/k/", flags))
                .expect("it is a record")
                .expect("of a C file");
            let after = again(&tree, &record.command, "/o").arguments;
            let found = after
                .iter()
                .find_map(|word| word.strip_prefix("-fmacro-prefix-map=/o="));
            assert_eq!(found, expected, "{flags}");
        }
    }

    #[test]
    fn relative_commands_run_where_the_overlay_has_the_build_directory() {
        for (build, root, directory) in [
            ("/k", "", "/o"),
            ("/k", "./", "/o"),
            ("/k/b", "../", "/o/b"),
        ] {
            let tree = tree("/k", build);
            let record = record(&tree, "fs/proc/meminfo.o", &meminfo(root, ""))
                .expect("it is a record")
                .expect("of a C file");
            assert_eq!(record.command.source(), Path::new("fs/proc/meminfo.c"));
            let after = again(&tree, &record.command, "/o");
            assert_eq!(after.directory, Path::new(directory), "{root}");
            assert!(after.arguments.contains(&format!("-I{root}include")));
            let before = again(&tree, &record.command, "/k");
            assert_eq!(before.directory, Path::new(build), "{root}");
        }
    }

    #[test]
    fn a_tree_that_was_moved_is_found_by_the_name_of_the_object() {
        let tree = tree("/k", "/b");
        let record = record(&tree, "fs/proc/meminfo.o", &meminfo("/no/such/tree/", ""))
            .expect("it is a record")
            .expect("of a C file");
        assert_eq!(record.command.source(), Path::new("fs/proc/meminfo.c"));
        let before = again(&tree, &record.command, "/k");
        assert!(before.arguments.contains(&"-I/k/include".to_owned()));
        assert_eq!(
            record
                .command
                .in_source(&tree, "/no/such/tree/include/linux/fs.h"),
            Some(PathBuf::from("include/linux/fs.h"))
        );
        assert_eq!(
            record
                .command
                .in_source(&tree, "include/generated/autoconf.h"),
            None
        );
    }

    #[test]
    fn a_file_of_another_directory_is_found_by_way_of_a_parent() {
        // As kbuild does for kvm, whose makefile is in another directory.
        for (root, moved) in [("/k/", false), ("../", false), ("/no/such/tree/", true)] {
            let build = if moved { "/b" } else { "/k/b" };
            let tree = tree("/k", build);
            let text = meminfo(root, "").replace("fs/proc/meminfo", "arch/x/../../fs/proc/meminfo");
            let record = record(&tree, "fs/proc/meminfo.o", &text)
                .expect("it is a record")
                .expect("of a C file");
            let command = &record.command;
            assert_eq!(command.object(), Path::new("fs/proc/meminfo.o"));
            assert_eq!(command.source(), Path::new("fs/proc/meminfo.c"));
            let first = record.dependencies.first().expect("its source");
            assert_eq!(
                command.in_source(&tree, first).as_deref(),
                Some(command.source())
            );
            if root != "../" {
                let after = again(&tree, command, "/o").arguments;
                assert!(after.contains(&"-I/o/include".to_owned()), "{after:?}");
            }
        }
    }

    #[test]
    fn a_command_tells_its_module() {
        let part = |flags: &str| {
            let tree = tree("/k", "/b");
            let record = record(&tree, "fs/proc/meminfo.o", &meminfo("/k/", flags));
            record
                .expect("it is a record")
                .expect("of a C file")
                .command
                .part_of()
        };
        assert_eq!(part("").expect("it is"), PartOf::Vmlinux);
        let module = PartOf::Module {
            name: "pro_c".into(),
            file: "kernel/fs/proc/proc.ko".into(),
        };
        assert_eq!(
            part("-DMODULE -DKBUILD_MODNAME='\"pro-c\"'").expect("it is"),
            module
        );
        for (flags, message) in [
            ("-DMODULE", "does not name the module"),
            ("-DMODULE -DKBUILD_MODNAME='\"a:b\"'", "several modules"),
        ] {
            let error = part(flags).expect_err(flags).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn rejects_commands_that_cannot_run_again() {
        let tree = tree("/k", "/b");
        for (from, to, message) in [
            ("gcc ", "$$(cat x) ", "needs a shell"),
            ("-c ", "", "compiles nothing"),
            ("-I./include", "'-I./include", "within quotes"),
            ("-I./include", "-flto=auto", "-flto=auto"),
            ("savedcmd", "other", "no command"),
            (
                "source_fs/proc/meminfo.o := /k/",
                "source_fs/proc/meminfo.o := /k/x/",
                "does not compile",
            ),
        ] {
            let text = meminfo("/k/", "").replacen(from, to, 1);
            let error = record(&tree, "fs/proc/meminfo.o", &text).expect_err(from);
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn a_record_of_what_is_not_compiled_as_c_is_none() {
        let tree = tree("/k", "/b");
        for text in [
            "savedcmd_a.o := gcc -c -o a.o /k/a.rs\n\nsource_a.o := /k/a.rs\n",
            "savedcmd_a.o := ld -r -o a.o b.o c.o\n",
        ] {
            assert!(record(&tree, "a.o", text)
                .expect("it is a record")
                .is_none());
        }
    }

    #[test]
    fn a_record_tells_what_is_made() {
        let tree = tree("/k", "/b");
        for (made, command, source, product) in [
            ("a.o", "gcc -c", "a.c", Product::Object),
            ("a.o", "gcc -c", "a.S", Product::Assembly),
            ("a.s", "gcc -S", "a.c", Product::Numbers),
            ("a.lds", "gcc -E -P", "a.lds.S", Product::LinkerScript),
        ] {
            let text =
                format!("savedcmd_{made} := {command} -o {made} /k/{source}\n\nsource_{made} := /k/{source}\n");
            let record = record(&tree, made, &text).expect(made).expect(source);
            assert_eq!(record.command.product(), product);
            assert_eq!(record.command.source(), Path::new(source));
            // Where the tree has another name, too.
            let text = text.replace("/k/", "/moved/");
            let moved = super::Record::parse(&tree, Path::new(made), text.as_bytes());
            let moved = moved.expect(made).expect(source);
            assert_eq!(moved.command.source(), Path::new(source));
        }
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (line, words) in [
            (r#"gcc -DX='"a b"' -c"#, ["gcc", r#"-DX="a b""#, "-c"]),
            (r#"gcc -DX="a\"b" -c;x"#, ["gcc", r#"-DX=a"b"#, "-c"]),
            (r"gcc -DX=a\ b -c && x", ["gcc", "-DX=a b", "-c"]),
            ("set -e; gcc '' -c | x", ["gcc", "", "-c"]),
        ] {
            assert_eq!(compilation(line, "-c").expect(line), words);
        }
    }

    #[test]
    fn a_rule_lists_files() {
        let text = "a.o: b.c \\\n  /x/c\\ d.h e$$f.h \\\n g.h\n";
        assert_eq!(rule(text), ["b.c", "/x/c d.h", "e$f.h", "g.h"]);
        assert!(rule("").is_empty());
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[ -~]{0,12}", 0..8)) {
            let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
            let line = words.iter().map(quote).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(simple_command(&line).expect("it is quoted"), (words, None));
        }

        #[test]
        fn no_line_panics(line in "[ -~]{0,60}") {
            let _ = compilation(&line, "-c");
            let _ = rule(&line);
        }
    }
}
