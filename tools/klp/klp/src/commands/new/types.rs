// SPDX-License-Identifier: GPL-2.0

//! Where the types of functions are looked up: in the files that the command line names, or in
//! what the running kernel tells of itself.

use super::names::Object;
use super::patch::Patch;
use crate::build::kdir;
use crate::debug_info::DebugInfo;
use crate::file::module::Module;
use crate::file::module_file::ModuleFile;
use crate::prototype::btf::Btf;
use crate::prototype::{Known, Prototype};
use crate::system::System;
use anyhow::{anyhow, bail, ensure, Context as _, Result};
use object::{Object as _, ObjectSection as _};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the running kernel has its BTF and that of its modules.
pub(super) const RUNNING: &str = "/sys/kernel/btf";

/// Where the type of a function was found, or why it was not.
pub(super) type Found = Result<(Prototype, PathBuf)>;

/// What the command line names.
pub(super) struct Types<'a> {
    system: &'a System,
    kernel: Option<&'a Path>,
    /// What modules are built against, and the release of that kernel, if it is another one than the
    /// running one.
    other: Option<(&'a Path, String)>,
    modules: Vec<ModuleFile>,
}

/// A file with types.
struct Source {
    path: PathBuf,
    btf: Option<Btf>,
    dwarf: Option<Dwarf>,
}

/// A file with DWARF.
enum Dwarf {
    Kernel(Vec<u8>),
    /// It is not linked yet, so that its debug information has relocations.
    Module(Vec<u8>),
}

impl<'a> Types<'a> {
    /// Reads the modules that are named. `kdir` is what the patch is going to be built against.
    pub(super) fn new(
        system: &'a System,
        kernel: Option<&'a Path>,
        kdir: Option<&'a Path>,
        modules: &[PathBuf],
    ) -> Result<Self> {
        let kdir = kdir.map(|kdir| Ok::<_, anyhow::Error>((kdir, kdir::release(kdir)?)));
        let other = kdir
            .transpose()?
            .filter(|(_, release)| system.release().as_ref() != Some(release));
        let modules = modules.iter().map(|path| {
            let module = ModuleFile::read(path)?;
            module.need_module()?;
            Ok(module)
        });
        Ok(Types {
            system,
            kernel,
            other,
            modules: modules.collect::<Result<_>>()?,
        })
    }

    /// The file that was given for a module.
    pub(super) fn module(&self, object: &Object) -> Option<&ModuleFile> {
        let mut modules = self.modules.iter();
        modules.find(|module| module.name() == object.as_str())
    }

    /// Ends a command that names a module for nothing.
    pub(super) fn check_used(&self, patch: &Patch) -> Result<()> {
        for module in &self.modules {
            let name = module.name();
            ensure!(
                patch.objects.iter().any(|one| one.object.as_str() == name),
                "--module {}: the patch replaces no function of {name}",
                module.path.display()
            );
        }
        Ok(())
    }

    /// The types of functions of an object, in their order.
    ///
    /// # Errors
    ///
    /// The kernel that the command line names cannot be read, or has no types.
    pub(super) fn find(&self, object: &Object, functions: &[&str]) -> Result<Vec<Found>> {
        let source = match self.source(object) {
            Ok(source) => source?,
            Err(why) => {
                let why = format!("{why:#}");
                return Ok(functions.iter().map(|_| Err(anyhow!("{why}"))).collect());
            }
        };
        let mut found = source.btf_of(functions);
        let missing: Vec<&str> = functions
            .iter()
            .filter(|&&name| !matches!(found.get(name), Some(Ok(Known::One(_)))))
            .copied()
            .collect();
        if !missing.is_empty() {
            match source.dwarf_of(&missing) {
                Ok(known) => found.extend(known),
                Err(error) => {
                    let error = format!("{error:#}");
                    for name in missing {
                        found.insert(name.to_owned(), Err(anyhow!("{error}")));
                    }
                }
            }
        }
        let shown = source.path.display();
        let each = |name: &&str| match found.get(*name) {
            Some(Ok(Known::One(prototype))) => Ok((prototype.clone(), source.path.clone())),
            Some(Ok(Known::Several)) => {
                bail!("{shown} has several functions of this name, with different types")
            }
            Some(Ok(Known::None)) | None => bail!("not in {shown}"),
            Some(Err(error)) => bail!("{shown}: {error:#}"),
        };
        Ok(functions.iter().map(each).collect())
    }

    /// The file that has the types of an object. The inner error is that of a kernel that is named
    /// for its types; the outer tells why there are none.
    fn source(&self, object: &Object) -> Result<Result<Source>> {
        if object.is_vmlinux() {
            return match self.kernel {
                Some(path) => Ok(Source::kernel(path)),
                None => self.unnamed_kernel().map(Ok),
            };
        }
        match (self.module(object), self.kernel) {
            (Some(module), Some(kernel)) => match Source::kernel(kernel) {
                Ok(kernel) => Source::module(module, || Ok(kernel)).map(Ok),
                Err(error) => Ok(Err(error)),
            },
            (Some(module), None) => Source::module(module, || self.kernel_of(module)).map(Ok),
            (None, None) if self.other.is_none() => self.running(object).map(Ok),
            (None, _) => bail!("give the file of the module, with --module"),
        }
    }

    /// The kernel that the patch is built against, or the running one.
    fn unnamed_kernel(&self) -> Result<Source> {
        let Some((kdir, release)) = &self.other else {
            return self.running(&Object::vmlinux());
        };
        Source::kernel(&kdir.join("vmlinux")).with_context(|| {
            format!(
                "{} is for the kernel {release}, and has no types of it: give a vmlinux of that \
                 kernel with BTF or debug information, with --kernel, or declare the function as \
                 the kernel's source has it",
                kdir.display()
            )
        })
    }

    /// What is told of a module's kernel.
    fn kernel_of(&self, module: &ModuleFile) -> Result<Source> {
        if self.other.is_some() {
            return self.unnamed_kernel();
        }
        let vermagic = module.text(b"vermagic").unwrap_or_default();
        let release = vermagic.split_whitespace().next().unwrap_or_default();
        ensure!(
            self.system.release().as_deref() == Some(release),
            "{} is for the kernel {release}: give the vmlinux of that kernel, with --kernel",
            module.path.display()
        );
        self.running(&Object::vmlinux())
    }

    /// What the running kernel tells.
    fn running(&self, object: &Object) -> Result<Source> {
        let read = |object: &Object| {
            let path = Path::new(RUNNING).join(object.as_str());
            let data = fs::read(self.system.path(&path)).map_err(|_| {
                let option = match object.is_vmlinux() {
                    true => "give a vmlinux with BTF or debug information, with --kernel",
                    false => "give the file of the module, with --module",
                };
                anyhow!("there is no {}: {option}", path.display())
            })?;
            Ok::<_, anyhow::Error>((path, data))
        };
        let (path, data) = read(&Object::vmlinux())?;
        let kernel = Btf::of_kernel(&data).with_context(|| path.display().to_string())?;
        if object.is_vmlinux() {
            return Ok(Source {
                path,
                btf: Some(kernel),
                dwarf: None,
            });
        }
        let (path, data) = read(object)?;
        let module = Btf::of_module(&data, &kernel).with_context(|| path.display().to_string())?;
        Ok(Source {
            path,
            btf: Some(module),
            dwarf: None,
        })
    }
}

impl Source {
    /// A vmlinux, or the BTF of one.
    fn kernel(path: &Path) -> Result<Self> {
        let shown = path.display();
        let data = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
        if Btf::is_btf(&data) {
            return Ok(Source {
                path: path.to_owned(),
                btf: Some(Btf::of_kernel(&data).with_context(|| shown.to_string())?),
                dwarf: None,
            });
        }
        let btf = section(&data, ".BTF")
            .with_context(|| format!("{shown} is neither a vmlinux nor BTF"))?
            .map(Btf::of_kernel)
            .transpose()
            .with_context(|| shown.to_string())?;
        let has_dwarf = section(&data, ".debug_info")?.is_some();
        ensure!(
            btf.is_some() || has_dwarf,
            "{shown} has no types: it was built with neither CONFIG_DEBUG_INFO_BTF nor \
             CONFIG_DEBUG_INFO. Give another file, or give the directory that modules of this kernel \
             are built against with --kdir in place of --kernel, and declare the functions by hand"
        );
        Ok(Source {
            path: path.to_owned(),
            btf,
            dwarf: has_dwarf.then_some(Dwarf::Kernel(data)),
        })
    }

    /// A module. Its BTF refers to that of its kernel, its debug information to nothing.
    fn module(module: &ModuleFile, kernel: impl FnOnce() -> Result<Source>) -> Result<Self> {
        let shown = module.path.display();
        let data = &module.bytes;
        let in_file = |name| section(data, name).with_context(|| format!("{shown} is damaged"));
        let (btf, dwarf) = match (in_file(".debug_info")?, in_file(".BTF")?) {
            (Some(_), _) => (None, Some(Dwarf::Module(data.clone()))),
            (None, Some(btf)) => {
                // What was built outside of the kernel's tree brings along what it refers to.
                let base = match in_file(".BTF.base")? {
                    Some(base) => Some(Btf::of_kernel(base).with_context(|| shown.to_string())?),
                    None => kernel()?.btf,
                };
                let base = base.with_context(|| {
                    format!("{shown} has BTF that cannot be read without that of its kernel")
                })?;
                let btf = Btf::of_module(btf, &base).with_context(|| shown.to_string())?;
                (Some(btf), None)
            }
            (None, None) => {
                bail!("{shown} has no types: it has neither BTF nor debug information")
            }
        };
        Ok(Source {
            path: module.path.clone(),
            btf,
            dwarf,
        })
    }

    fn btf_of(&self, functions: &[&str]) -> BTreeMap<String, Result<Known>> {
        let Some(btf) = &self.btf else {
            return BTreeMap::new();
        };
        let each = |name: &&str| (name.to_string(), btf.function(name));
        functions.iter().map(each).collect()
    }

    fn dwarf_of(&self, functions: &[&str]) -> Result<BTreeMap<String, Result<Known>>> {
        let info = match &self.dwarf {
            Some(Dwarf::Kernel(data)) => DebugInfo::of_vmlinux(data)?,
            Some(Dwarf::Module(data)) => {
                let module = Module::parse(data).map_err(|error| anyhow!("{error}"))?;
                DebugInfo::of_module(&module)
            }
            None => None,
        };
        info.map_or(Ok(BTreeMap::new()), |info| info.functions(functions))
    }
}

/// What a section of an ELF file holds, if there is one of that name with anything in it.
fn section<'a>(data: &'a [u8], name: &str) -> Result<Option<&'a [u8]>> {
    let file = object::File::parse(data)?;
    let Some(section) = file.section_by_name(name) else {
        return Ok(None);
    };
    Ok(Some(section.data()?).filter(|data| !data.is_empty()))
}
