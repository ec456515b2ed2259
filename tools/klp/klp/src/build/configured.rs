// SPDX-License-Identifier: GPL-2.0

//! Which objects the configuration leaves out.
//!
//! kbuild compiles a single object also where the configuration does not have it, with other flags
//! than those that it would have. The kernel's makefiles name such an object, or a directory on the
//! way to it, in lists that end in an option which is not set: `obj-$(CONFIG_X) += x.o` puts it into
//! `obj-` (`Documentation/kbuild/makefiles.rst`). Only what is in such a list is taken to be left
//! out: of what was decided in another way, nothing is known.

use super::kbuild;
use super::make;
use super::path::normal;
use super::process;
use super::tree::Tree;
use anyhow::Result;
use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// The lists of the makefiles that were read.
#[derive(Debug)]
pub struct Configured<'a> {
    tree: &'a Tree,
    /// By directory, from the source.
    lists: HashMap<PathBuf, Lists>,
}

/// What a makefile names, from the source.
#[derive(Debug, Default)]
struct Lists {
    on: BTreeSet<PathBuf>,
    off: BTreeSet<PathBuf>,
    /// How it names what is not below its directory: `arch/x86/kvm/../../../virt/kvm/eventfd.o`.
    ways: HashMap<PathBuf, PathBuf>,
}

/// Whether a directory's makefile has an object of another directory.
#[derive(Debug)]
pub enum Way {
    /// In a list that is built, under this name: kbuild knows by that alone how to compile it.
    On(PathBuf),
    /// Only in lists that are not.
    Off,
    /// It says nothing of it.
    Unknown,
}

/// Evaluates a makefile of the kernel as kbuild does, but for the rules, and prints its lists. Without
/// the configuration it prints none: all would look as if it were left out.
const QUERY: &str = r"
-include include/config/auto.conf
$(if $(filter %/auto.conf,$(MAKEFILE_LIST)),,$(error the configuration cannot be read))
include $(MAKEFILE)
parts = $(foreach object,$(filter %.o,$1),$(foreach list,$2,$($(object:.o=-$(list)))))
on := $(obj-y) $(obj-m) $(lib-y) $(lib-m)
off := $(obj-) $(lib-)
$(foreach name,$(on) $(call parts,$(on),objs y m),$(info klp-on $(name)))
$(foreach name,$(off) $(call parts,$(off),objs y m),$(info klp-off $(name)))
$(foreach object,$(filter %.o,$(on) $(off)),$(foreach name,$($(object:.o=-)),$(info klp-off $(name))))
klp-done: ;
";

impl<'a> Configured<'a> {
    /// Nothing is read yet.
    pub fn new(tree: &'a Tree) -> Self {
        Configured {
            tree,
            lists: HashMap::new(),
        }
    }

    /// Whether the configuration leaves out the object, which is named from the source.
    ///
    /// # Errors
    ///
    /// If make cannot be run. A makefile that cannot be evaluated alone says nothing.
    pub fn leaves_out(&mut self, object: &Path) -> Result<bool> {
        for directory in directories(object) {
            let lists = self.lists(directory)?;
            let mut on_the_way = object.ancestors().take_while(|path| *path != directory);
            if on_the_way.any(|path| lists.off.contains(path) && !lists.on.contains(path)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the makefile of its directory, or of one above it, names the object in a list that is
    /// built: xfs has `libxfs/xfs_defer.o`, and no makefile there. A C file that only others include
    /// has none.
    ///
    /// # Errors
    ///
    /// If make cannot be run.
    pub fn names(&mut self, object: &Path) -> Result<bool> {
        for directory in directories(object) {
            if self.lists(directory)?.on.contains(object) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether kbuild makes the object in two ways when it is asked for it alone: in its own directory,
    /// and as one of a directory above, which it goes down into as well. `drivers/Makefile` names both
    /// `char` and `char/ipmi`; `arch/x86/pci` is one of those that only the architecture's makefile
    /// names (`drivers-y`, `libs-y`), beside `arch/x86`.
    ///
    /// # Errors
    ///
    /// If make cannot be run.
    pub fn is_made_twice(&mut self, object: &Path) -> Result<bool> {
        let arch = Path::new("arch").join(kbuild::source_arch(self.tree.machine));
        let all: Vec<_> = directories(object).collect();
        for (index, above) in all.iter().enumerate() {
            // From the object's own directory on.
            let below = all.get(..index).unwrap_or_default();
            if below.is_empty() || is_by_way(above) {
                continue;
            }
            let on = &self.lists(above)?.on;
            let ways = below.iter().filter(|path| on.contains(**path)).count();
            if ways > 1 || (ways == 0 && **above == *arch) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the makefile of another directory says of the object.
    ///
    /// # Errors
    ///
    /// If make cannot be run.
    pub fn way(&mut self, directory: &Path, object: &Path) -> Result<Way> {
        let beside = directory.join(object.file_name().unwrap_or_default());
        let is_off = self.leaves_out(&beside)?;
        let lists = self.lists(directory)?;
        Ok(match lists.ways.get(object) {
            Some(way) if !is_off => Way::On(way.clone()),
            None if !lists.off.contains(object) => Way::Unknown,
            _ => Way::Off,
        })
    }

    fn lists(&mut self, directory: &Path) -> Result<&Lists> {
        let lists = match self.lists.remove(directory) {
            Some(lists) => lists,
            None => self.read(directory)?,
        };
        Ok(self.lists.entry(directory.to_owned()).or_insert(lists))
    }

    fn read(&self, directory: &Path) -> Result<Lists> {
        let source = self.tree.source.join(directory);
        let Some(makefile) = makefile(&source) else {
            return Ok(Lists::default());
        };
        let arch = kbuild::source_arch(self.tree.machine);
        let mut make = make::bare(&self.tree.build);
        make.args(["-rR", "-s", "-f", "-", "klp-done"])
            .args(["BITS=64", "objtree=."])
            .arg(format!("SRCARCH={arch}"))
            .arg(format!("ARCH={}", kbuild::arch(self.tree.machine)))
            .arg(format!("srctree={}", self.tree.source.display()))
            .arg(format!("obj={}", directory.display()))
            .arg(format!("src={}", source.display()))
            .arg(format!("MAKEFILE={}", makefile.display()));
        let text = run(make)?;
        let mut lists = Lists::default();
        for line in text.lines() {
            let (list, name) = match line.split_once(' ') {
                Some(("klp-on", name)) => (&mut lists.on, name),
                Some(("klp-off", name)) => (&mut lists.off, name),
                _ => continue,
            };
            let way = directory.join(name);
            let object = normal(&way);
            list.insert(object.clone());
            if !object.starts_with(directory) && lists.on.contains(&object) {
                lists.ways.insert(object, way);
            }
        }
        Ok(lists)
    }
}

/// Whether it is the name of an object that another directory's makefile names, or a part of one.
pub fn is_by_way(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// The directories that an object is in, from its own one on.
fn directories(object: &Path) -> impl Iterator<Item = &Path> {
    let all = object.ancestors().skip(1);
    all.take_while(|directory| !directory.as_os_str().is_empty())
}

/// The makefile that kbuild takes in a directory of the source.
fn makefile(directory: &Path) -> Option<PathBuf> {
    let mut files = ["Kbuild", "Makefile"]
        .iter()
        .map(|name| directory.join(name));
    files.find(|path| path.is_file())
}

/// What make prints of the query.
fn run(mut make: Command) -> Result<String> {
    let output = process::output_of(&mut make, QUERY.as_bytes(), || "cannot run make".to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};

    #[test]
    fn without_a_configuration_nothing_is_left_out() {
        let kernel = Kernel::new(Layout::Apart);
        write(
            &kernel.tree.source.join("drivers/Makefile"),
            "obj-$(CONFIG_YES) += yes.o\n",
        );
        let config = kernel.tree.build.join("include/config/auto.conf");
        for (text, is_left_out) in [(Some("CONFIG_NO=y\n"), true), (None, false)] {
            match text {
                Some(text) => write(&config, text),
                None => std::fs::remove_file(&config).expect("it is there"),
            }
            let object = Path::new("drivers/yes.o");
            let mut configured = Configured::new(&kernel.tree);
            assert_eq!(configured.leaves_out(object).expect("make"), is_left_out);
        }
    }

    #[test]
    fn what_two_directories_lead_to_is_made_twice() {
        let kernel = Kernel::new(Layout::Apart);
        for (path, text) in [
            (
                "arch/x86/Kbuild",
                "obj-y += kernel/\nobj-$(CONFIG_NO) += off/\n",
            ),
            ("arch/x86/Makefile", "drivers-y += arch/x86/pci/\n"),
            ("arch/x86/kernel/Makefile", "obj-y += a.o deep/b.o cpu/\n"),
            ("arch/x86/kernel/cpu/Makefile", "obj-y += c.o\n"),
            ("arch/x86/pci/Makefile", "obj-y += d.o\n"),
            (
                "drivers/Makefile",
                "obj-y += char/ gpu/\nobj-y += char/ipmi/\n",
            ),
            ("drivers/char/Makefile", "obj-y += e.o\n"),
            ("drivers/char/ipmi/Makefile", "obj-y += f.o\n"),
            (
                "drivers/gpu/Makefile",
                "include $(src)/core/Kbuild\nobj-y += $(more)\n",
            ),
            (
                "drivers/gpu/core/Kbuild",
                "more := core/g.o ../display/h.o\n",
            ),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        let mut configured = Configured::new(&kernel.tree);
        for (object, is_made_twice) in [
            ("arch/x86/e.o", false),
            ("arch/x86/kernel/a.o", false),
            ("arch/x86/kernel/deep/b.o", false),
            ("arch/x86/kernel/cpu/c.o", false),
            ("arch/x86/pci/d.o", true),
            ("drivers/char/e.o", false),
            ("drivers/char/ipmi/f.o", true),
            ("drivers/gpu/core/g.o", false),
            ("drivers/gpu/../display/h.o", false),
        ] {
            let found = configured.is_made_twice(Path::new(object));
            assert_eq!(found.expect("make"), is_made_twice, "{object}");
        }
    }

    #[test]
    fn only_what_an_option_leaves_out_is_left_out() {
        let kernel = Kernel::new(Layout::Apart);
        let source = &kernel.tree.source;
        write(
            &kernel.tree.build.join("include/config/auto.conf"),
            "CONFIG_YES=y\nCONFIG_MODULE=m\n",
        );
        for (path, text) in [
            (
                "drivers/Makefile",
                "obj-$(CONFIG_NO) += off/ twice.o\nobj-$(CONFIG_YES) += on/ twice.o\n",
            ),
            (
                "drivers/on/Makefile",
                "obj-$(CONFIG_MODULE) += module.o\nobj-$(CONFIG_YES) += yes.o\nobj-$(CONFIG_NO) += no.o\n\
                 module-y := part.o sub/part.o\nmodule-$(CONFIG_NO) += nopart.o\nno-objs := of_no.o\n\
                 ifdef CONFIG_NO\nobj-y += unknown.o\nendif\nmodule.o: $(src)/x\n\tfalse\n",
            ),
            ("drivers/off/Makefile", "obj-y += x.o\n"),
            ("drivers/wrong/Makefile", "$(error it is wrong)\n"),
        ] {
            write(&source.join(path), text);
        }
        let mut configured = Configured::new(&kernel.tree);
        for (object, is_left_out) in [
            ("drivers/twice.o", false),
            ("drivers/off/x.o", true),
            ("drivers/off/deep/x.o", true),
            ("drivers/on/module.o", false),
            ("drivers/on/yes.o", false),
            ("drivers/on/part.o", false),
            ("drivers/on/sub/part.o", false),
            ("drivers/on/no.o", true),
            ("drivers/on/nopart.o", true),
            ("drivers/on/of_no.o", true),
            ("drivers/on/unknown.o", false),
            ("drivers/wrong/x.o", false),
            ("fs/one.o", false),
        ] {
            let found = configured.leaves_out(Path::new(object)).expect("make runs");
            assert_eq!(found, is_left_out, "{object}");
        }
        for (object, is_named) in [
            ("drivers/on/yes.o", true),
            ("drivers/on/part.o", true),
            ("drivers/on/sub/part.o", true),
            ("drivers/on/no.o", false),
            ("drivers/on/sub/other.o", false),
        ] {
            let found = configured.names(Path::new(object)).expect("make runs");
            assert_eq!(found, is_named, "{object}");
        }
    }
}
