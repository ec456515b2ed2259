// SPDX-License-Identifier: GPL-2.0

//! Compiles what a fix affects: as the kernel was built, before the fix, and after it.

use super::affected::Unit;
use super::cache::Cache;
use super::command::{rule, Again, Invocation};
use super::compiler;
use super::kbuild::source_arch;
use super::overlay::Overlay;
use super::path::normal;
use super::process;
use super::tree::Tree;
use anyhow::{anyhow, bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The objects of one source file.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// By the kernel's own command, as objtool has not seen it.
    pub as_built: Vec<u8>,
    /// Of the original source, with a section for each function and variable, and with debug
    /// information.
    pub before: Vec<u8>,
    /// Of the patched source, the same way.
    pub after: Vec<u8>,
}

/// Headers that are not the kernel's own.
#[derive(Debug, Clone)]
pub struct Headers {
    /// Their directory.
    pub directory: PathBuf,
    /// Whether they take the place of the kernel's own; else the kernel's count, where it has them.
    pub come_first: bool,
}

/// The fix is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the fix does not compile, in {source_file}:\n{said}")]
pub struct DoesNotCompile {
    source_file: String,
    said: String,
}

/// Where things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// A directory for objects that do not depend on the fix: another run finds them there.
    pub cache: &'a Path,
    /// A directory for this run alone.
    pub scratch: &'a Path,
    /// How many compilers may run at a time.
    pub jobs: usize,
    /// Headers for livepatches, for a fix that includes them.
    pub headers: Option<&'a Headers>,
}

/// Compiles the units, in their order. There is nothing for a unit whose object is the same before
/// and after the fix: most of those are that include a changed header.
///
/// # Errors
///
/// If a compiler cannot be run, the source does not compile as it is, or the fix does not compile.
pub fn compile(
    tree: &Tree,
    overlay: &mut Overlay,
    units: &[Unit],
    options: &Options<'_>,
) -> Result<Vec<Option<Compiled>>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.jobs.max(1))
        .build()
        .context("cannot start threads")?;
    let scratch = options
        .scratch
        .canonicalize()
        .with_context(|| format!("cannot find {}", options.scratch.display()))?;
    let compiler = Compiler {
        tree,
        cache: Cache::new(options.cache)?,
        flags: flags(tree, options)?,
        scratch,
    };
    pool.install(|| {
        // First what is most likely to fail.
        let after = compiler.patched(overlay, units)?;
        let before: Vec<_> = units
            .par_iter()
            .enumerate()
            .map(|(at, unit)| compiler.original(unit, at, Variant::Before))
            .collect::<Result<_>>()?;
        units
            .par_iter()
            .zip(before)
            .zip(after)
            .enumerate()
            .map(|(at, ((unit, before), after))| {
                if before == after {
                    return Ok(None);
                }
                Ok(Some(Compiled {
                    as_built: compiler.original(unit, at, Variant::AsBuilt)?,
                    before: compiler.original(unit, at, Variant::TypedBefore)?,
                    after: compiler.typed_after(overlay.root(), unit, at)?,
                }))
            })
            .collect()
    })
}

/// Which object of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    AsBuilt,
    Before,
    After,
    /// With debug information.
    TypedBefore,
    /// With debug information.
    TypedAfter,
}

impl Variant {
    fn extension(self) -> &'static str {
        match self {
            Variant::AsBuilt => "built.o",
            Variant::Before => "before.o",
            Variant::After => "after.o",
            Variant::TypedBefore => "typed-before.o",
            Variant::TypedAfter => "typed-after.o",
        }
    }
}

/// Flags that klp build adds.
struct Flags {
    first: Vec<String>,
    /// Without debug information.
    plain: Vec<String>,
    /// With debug information that tells types.
    typed: Vec<String>,
}

/// Modules cannot have instructions that the kernel rewrites at boot with a constant, so that they
/// read the variable: the header that makes such instructions is replaced by the generic one. The
/// replacement has a place that does not change, or nothing compiled with it would be found again.
fn flags(tree: &Tree, options: &Options<'_>) -> Result<Flags> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if let Some(Headers {
        directory,
        come_first,
    }) = options.headers
    {
        let directory = directory
            .to_str()
            .context("the path of the headers for livepatches is not text in UTF-8")?;
        match come_first {
            true => first.push(format!("-I{directory}")),
            false => last.push(format!("-idirafter{directory}")),
        }
    }
    let cache = options.cache;
    let generic = tree.source.join("include/asm-generic/runtime-const.h");
    if generic.exists() {
        let also = match tree.machine {
            Machine::X86_64 => "",
            // What the architecture's own header includes besides.
            Machine::S390 => "#include <linux/uaccess.h>\n",
        };
        let headers = cache.join("include").join(source_arch(tree.machine));
        let header = headers.join("asm/runtime-const.h");
        let text = format!(
            "/* SPDX-License-Identifier: GPL-2.0 */\n{also}#include <asm-generic/runtime-const.h>\n"
        );
        // Its time counts for what was compiled with it.
        if fs::read(&header).ok().as_deref() != Some(text.as_bytes()) {
            fs::create_dir_all(headers.join("asm"))
                .and_then(|()| fs::write(&header, text))
                .with_context(|| format!("cannot write {}", header.display()))?;
        }
        let headers = headers
            .canonicalize()
            .with_context(|| format!("cannot find {}", headers.display()))?;
        let headers = headers
            .to_str()
            .context("the cache's path is not text in UTF-8")?;
        first.push(format!("-I{headers}"));
    }
    last.extend(["-ffunction-sections", "-fdata-sections"].map(str::to_owned));
    let with = |last: &[String], more: &[&str]| {
        let more = more.iter().map(|&flag| flag.to_owned());
        last.iter().cloned().chain(more).collect()
    };
    let is_clang = compiler::configured(&tree.kernel)?.contains("clang");
    Ok(Flags {
        first,
        // Debug information has paths and lines in it, so that nothing would be the same.
        plain: with(&last, &["-g0"]),
        typed: match is_clang {
            true => with(&last, &["-g0", "-gdwarf-5", "-gno-split-dwarf", "-gz=none"]),
            false => with(
                &last,
                &[
                    "-g0",
                    "-gdwarf-5",
                    "-gno-split-dwarf",
                    "-gz=none",
                    "-femit-struct-debug-detailed=any",
                    "-fno-var-tracking",
                ],
            ),
        },
    })
}

struct Compiler<'a> {
    tree: &'a Tree,
    cache: Cache,
    flags: Flags,
    scratch: PathBuf,
}

/// What a compiler has made.
struct Made {
    object: Vec<u8>,
    /// What it has read, as it named the files.
    dependencies: Vec<PathBuf>,
}

/// Why there is no object of the patched source.
enum Failure {
    /// The compiler does not take this unit's.
    NotCompiled(usize),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Other(error)
    }
}

impl Compiler<'_> {
    /// An object of the source as it is, perhaps one that was made before.
    fn original(&self, unit: &Unit, at: usize, variant: Variant) -> Result<Vec<u8>> {
        let invocation = self.invocation(unit, at, variant, &self.tree.source)?;
        if let Some(object) = self.cache.find(&invocation) {
            return Ok(object);
        }
        let began = SystemTime::now();
        let made = self.run(&invocation, at, variant)?.map_err(|said| {
            let source = unit.record.command.source().display();
            let tree = self.tree.source.display();
            anyhow!("{source} of {tree} does not compile as it is, without the fix:\n{said}")
        })?;
        self.cache
            .keep(&invocation, &made.dependencies, &made.object, began)?;
        Ok(made.object)
    }

    /// The objects of the patched source.
    fn patched(&self, overlay: &mut Overlay, units: &[Unit]) -> Result<Vec<Vec<u8>>> {
        let mut objects = vec![None; units.len()];
        loop {
            let open: Vec<_> = (0..units.len())
                .filter(|&at| objects.get(at).is_some_and(Option::is_none))
                .collect();
            if open.is_empty() {
                return objects
                    .into_iter()
                    .map(|object| object.context("an object is missing"))
                    .collect();
            }
            let made = open
                .par_iter()
                .map(|&at| {
                    let unit = unit(units, at)?;
                    let invocation = self.invocation(unit, at, Variant::After, overlay.root())?;
                    match self.run(&invocation, at, Variant::After)? {
                        Ok(made) => Ok((at, invocation, made)),
                        Err(_) => Err(Failure::NotCompiled(at)),
                    }
                })
                .collect::<std::result::Result<Vec<_>, Failure>>();
            let made = match made {
                Ok(made) => made,
                Err(Failure::NotCompiled(at)) => return Err(self.not_compiled(overlay, units, at)),
                Err(Failure::Other(error)) => return Err(error),
            };
            let mut missed = None;
            let mut has_grown = false;
            for (at, invocation, made) in made {
                let mut is_complete = true;
                for dependency in &made.dependencies {
                    let dependency = invocation.directory.join(dependency);
                    if let Some(file) = overlay.missed(&dependency) {
                        missed = Some(file.path.clone());
                        is_complete = false;
                        // Another unit may have done so in this round already.
                        has_grown |= overlay.deepen(&dependency)?;
                    }
                }
                if let (true, Some(object)) = (is_complete, objects.get_mut(at)) {
                    *object = Some(made.object);
                }
            }
            if let (Some(missed), false) = (missed, has_grown) {
                bail!(
                    "the compiler does not read {} of the patched source: the kernel's command names the source in another way than {}",
                    missed.display(),
                    self.tree.source.display()
                );
            }
        }
    }

    /// An object of the patched source with debug information, for one that has compiled without.
    fn typed_after(&self, root: &Path, unit: &Unit, at: usize) -> Result<Vec<u8>> {
        let invocation = self.invocation(unit, at, Variant::TypedAfter, root)?;
        let made = self.run(&invocation, at, Variant::TypedAfter)?;
        let made = made.map_err(|said| {
            let source = unit.record.command.source().display();
            anyhow!("{source} does not compile with debug information:\n{said}")
        })?;
        Ok(made.object)
    }

    /// Why the patched source does not compile, with the lines of the patched files.
    fn not_compiled(&self, overlay: &Overlay, units: &[Unit], at: usize) -> anyhow::Error {
        let said = || -> Result<(String, String)> {
            let unit = unit(units, at)?;
            // Else the fix is not to blame.
            self.original(unit, at, Variant::Before)?;
            overlay.without_lines()?;
            let invocation = self.invocation(unit, at, Variant::After, overlay.root())?;
            let source = unit.record.command.source().display().to_string();
            match self.run(&invocation, at, Variant::After)? {
                Err(said) => Ok((source, said.replace(&prefix(overlay.root()), ""))),
                Ok(_) => bail!("{source} compiles only with the fix's own line numbers"),
            }
        };
        match said() {
            Ok((source_file, said)) => DoesNotCompile { source_file, said }.into(),
            Err(error) => error,
        }
    }

    fn invocation(
        &self,
        unit: &Unit,
        at: usize,
        variant: Variant,
        source: &Path,
    ) -> Result<Invocation> {
        let (first, last): (&[String], &[String]) = match variant {
            Variant::AsBuilt => (&[], &[]),
            Variant::Before | Variant::After => (&self.flags.first, &self.flags.plain),
            Variant::TypedBefore | Variant::TypedAfter => (&self.flags.first, &self.flags.typed),
        };
        let output = self.output(at, variant);
        let again = Again {
            output: &output,
            dependencies: &output.with_extension("d"),
            source,
            first,
            last,
        };
        unit.record.command.again(self.tree, &again)
    }

    fn output(&self, at: usize, variant: Variant) -> PathBuf {
        self.scratch.join(format!("{at}.{}", variant.extension()))
    }

    /// Runs a compiler; the inner error is what it said.
    fn run(
        &self,
        invocation: &Invocation,
        at: usize,
        variant: Variant,
    ) -> Result<std::result::Result<Made, String>> {
        let program = &invocation.program;
        let output = process::output(&mut invocation.process(), || {
            format!("cannot run {program}, the kernel's compiler: install it")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.replace(&prefix(&self.tree.source), "");
            return Ok(Err(said.trim_end().to_owned()));
        }
        let object = self.output(at, variant);
        let list = object.with_extension("d");
        let read = |path: &Path| {
            fs::read(path).with_context(|| format!("{program} has not written {}", path.display()))
        };
        let made = Made {
            dependencies: rule(&String::from_utf8_lossy(&read(&list)?))
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            object: read(&object)?,
        };
        ensure!(
            made.object.starts_with(b"\x7fELF"),
            "{program} makes no ELF files: klp build needs objects with machine code"
        );
        for path in [object, list] {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Ok(made))
    }
}

fn unit(units: &[Unit], at: usize) -> Result<&Unit> {
    units.get(at).context("a source is missing")
}

/// How the paths in a directory begin.
fn prefix(directory: &Path) -> String {
    format!("{}/", normal(directory).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::affected;
    use crate::build::testing::{write, Kernel, Layout, LAYOUTS};
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt as _;

    fn compile_fix(
        kernel: &Kernel,
        changes: &[(&str, &str, &str)],
    ) -> Result<Vec<Option<Compiled>>> {
        let fix = kernel.fix("fix.patch", changes);
        let scratch = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let work = tempfile::tempdir_in(kernel.scratch("scratch")).expect("a directory");
        let mut overlay = Overlay::new(&kernel.tree, &[fix], scratch.path()).expect("it applies");
        let affected =
            affected::units(&kernel.tree, overlay.changed(), None).expect("they are found");
        let options = Options {
            cache: &kernel.scratch("cache"),
            scratch: work.path(),
            jobs: 2,
            headers: None,
        };
        compile(&kernel.tree, &mut overlay, &affected.units, &options)
    }

    fn only(compiled: Result<Vec<Option<Compiled>>>) -> Compiled {
        let mut compiled = compiled.expect("it compiles");
        assert_eq!(compiled.len(), 1);
        compiled.remove(0).expect("it differs")
    }

    /// The sections of an object, by their names.
    fn sections(object: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let file = object::File::parse(object).expect("an object");
        file.sections()
            .map(|section| {
                let name = section.name().expect("a name").to_owned();
                (name, section.data().expect("data").to_owned())
            })
            .collect()
    }

    fn has(object: &[u8], text: &str) -> bool {
        memchr::memmem::find(object, text.as_bytes()).is_some()
    }

    #[test]
    fn only_what_the_fix_changes_differs() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            let change = (
                "fs/one.c",
                "return __FILE__;",
                "/* A line,\n\t * (or more. */\n\treturn __FILE__ + 1;",
            );
            let compiled = only(compile_fix(&kernel, &[change]));
            let before = sections(&compiled.before);
            let after = sections(&compiled.after);
            assert!(before.contains_key(".text.first") && before.contains_key(".text.second"));
            for (name, data) in &before {
                // Debug information has the lines of what is behind.
                let is_changed = name.contains(".debug_")
                    || [".text.where", ".rela.text.where", ".strtab", ".shstrtab"]
                        .contains(&&**name);
                assert!(
                    is_changed || after.get(name) == Some(data),
                    "{layout:?} {name}"
                );
            }
            assert_ne!(before, after);
            // The kernel's own command has no sections of their own.
            assert!(!sections(&compiled.as_built).contains_key(".text.first"));
            assert_eq!(
                compiled.as_built,
                fs::read(kernel.tree.build.join("fs/one.o")).expect("it was built"),
                "{layout:?}"
            );
            for object in [&compiled.before, &compiled.after, &compiled.as_built] {
                assert!(has(object, "fs/one.c\0"), "{layout:?}");
            }
            assert!(!has(&compiled.as_built, "/scratch/"), "{layout:?}");
        }
    }

    #[test]
    fn an_object_that_stays_the_same_is_left_out() {
        let kernel = Kernel::built(Layout::Apart);
        let change = (
            "include/linux/thing.h",
            "return x + 1;",
            "/* The next one. */\n\treturn x + 1;",
        );
        let compiled = compile_fix(&kernel, &[change]).expect("it compiles");
        assert!(matches!(compiled.as_slice(), [None]));
    }

    #[test]
    fn a_header_that_is_found_by_way_of_a_parent_is_the_patched_one() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            let compiled = only(compile_fix(&kernel, &[("fs/near.h", "7", "1234567")]));
            let after = sections(&compiled.after);
            let code = after.get(".text.three").expect("it is there");
            assert!(
                code.windows(4)
                    .any(|bytes| bytes == 1_234_567_i32.to_le_bytes()),
                "{layout:?}"
            );
        }
    }

    #[test]
    fn a_new_header_is_found() {
        let kernel = Kernel::built(Layout::Apart);
        let changes = [
            ("fs/new.h", "", "#define NEW 1234567\n"),
            (
                "fs/part.c",
                "int part(void) { return 5; }",
                "#include \"new.h\"\nint part(void) { return NEW; }",
            ),
        ];
        let compiled = only(compile_fix(&kernel, &changes));
        let after = sections(&compiled.after);
        let code = after.get(".text.part").expect("it is there");
        assert!(code
            .windows(4)
            .any(|bytes| bytes == 1_234_567_i32.to_le_bytes()));
    }

    #[test]
    fn the_compiler_s_words_have_the_lines_of_the_patched_file() {
        let kernel = Kernel::built(Layout::Apart);
        let change = (
            "fs/one.c",
            "int second(int x)\n{",
            "int added;\n\nint second(int x)\n{\n\tnonsense();\n\tnonsense nonsense;",
        );
        let error = compile_fix(&kernel, &[change]).expect_err("it does not compile");
        let message = error.to_string();
        assert!(
            message.starts_with("the fix does not compile, in fs/one.c:\n"),
            "{message}"
        );
        assert!(
            message.contains("fs/one.c:16:") && message.contains("nonsense nonsense"),
            "{message}"
        );
        assert!(!message.contains("/scratch/"), "{message}");
    }

    #[test]
    fn a_source_that_does_not_compile_is_not_the_fix_s_fault() {
        let kernel = Kernel::built(Layout::Apart);
        write(
            &kernel.tree.source.join("include/linux/rarer.h"),
            "nonsense nonsense;\n",
        );
        let error =
            compile_fix(&kernel, &[("fs/part.c", "5", "6")]).expect_err("it does not compile");
        let message = error.to_string();
        assert!(
            message.contains("fs/two.c of ") && message.contains("without the fix"),
            "{message}"
        );
    }

    #[test]
    fn objects_are_made_once_until_what_they_are_made_of_changes() {
        let kernel = Kernel::built(Layout::Apart);
        let entries = || -> BTreeMap<PathBuf, u64> {
            fs::read_dir(kernel.scratch("cache"))
                .expect("it is there")
                .map(|entry| entry.expect("it can be read").path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
                .map(|path| (path.clone(), fs::metadata(path).expect("it is there").ino()))
                .collect()
        };
        let change = [("fs/part.c", "5", "6")];
        let first = only(compile_fix(&kernel, &change));
        let kept = entries();
        assert_eq!(kept.len(), 3);
        let second = only(compile_fix(&kernel, &change));
        assert_eq!(entries(), kept);
        assert!(first.before == second.before && first.as_built == second.as_built);

        write(
            &kernel.tree.source.join("include/linux/rarer.h"),
            "#define RARE 1234567\n",
        );
        let third = only(compile_fix(&kernel, &change));
        assert!(third.before != first.before && third.as_built != first.as_built);
        assert!(entries()
            .iter()
            .all(|(path, inode)| kept.get(path).is_some_and(|kept| kept != inode)));
    }

    #[test]
    fn a_damaged_entry_is_made_anew() {
        let kernel = Kernel::built(Layout::Apart);
        let change = [("fs/part.c", "5", "6")];
        let first = only(compile_fix(&kernel, &change));
        for entry in fs::read_dir(kernel.scratch("cache")).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                fs::write(path, "{").expect("it is written");
            }
        }
        assert_eq!(only(compile_fix(&kernel, &change)).before, first.before);
    }

    #[test]
    fn constants_of_the_boot_are_variables() {
        let kernel = Kernel::new(Layout::Apart);
        for (path, text) in [
            ("include/asm/runtime-const.h", "#define runtime_const_ptr(sym) 5\n"),
            ("include/asm-generic/runtime-const.h", "#define runtime_const_ptr(sym) (sym)\n"),
            (
                "fs/one.c",
                "#include <asm/runtime-const.h>\nextern int konst;\nint f(void) { return runtime_const_ptr(konst); }\n",
            ),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        kernel.make(&[], &["fs/one.o"]);
        let compiled = only(compile_fix(
            &kernel,
            &[("fs/one.c", "return runtime", "return 1 + runtime")],
        ));
        let refers = |object: &[u8]| {
            let file = object::File::parse(object).expect("an object");
            let refers = file.symbols().any(|symbol| symbol.name() == Ok("konst"));
            refers
        };
        assert!(refers(&compiled.before) && refers(&compiled.after));
        assert!(!refers(&compiled.as_built));
    }
}
