// SPDX-License-Identifier: GPL-2.0

//! From the emitted objects to a module: kbuild links them with what describes the patch.

use super::kdir::Kdir;
use super::make;
use anyhow::{Context, Result};
use klp_diff::model::Patch;
use klp_diff::{describe, Options};
use std::fs;
use std::path::{Path, PathBuf};

/// A module that is to be linked.
#[derive(Debug)]
pub struct Module<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its parts: what is patched, and the object with the new functions.
    pub units: &'a [(Patch, Vec<u8>)],
    /// How it is to behave.
    pub options: Options,
}

impl Module<'_> {
    /// Has kbuild link it in `directory`, which is made. `livepatch` has the headers for patches;
    /// what it uses of other modules is in `symvers`.
    ///
    /// On x86_64 the kernel's objtool runs over each part, or over all of them where the kernel's
    /// configuration has it run late.
    ///
    /// # Errors
    ///
    /// Two units have a callback of one kind; kbuild fails.
    pub fn link(
        &self,
        directory: &Path,
        kdir: &Kdir,
        livepatch: &Path,
        symvers: &[PathBuf],
    ) -> Result<PathBuf> {
        let patches = self.units.iter().map(|(patch, _)| patch);
        let description = describe(patches, &self.options)?;
        let put = || -> std::io::Result<()> {
            fs::create_dir_all(directory)?;
            fs::write(directory.join("Kbuild"), self.kbuild())?;
            fs::write(directory.join("patch.c"), &description)?;
            for (index, (_, object)) in self.units.iter().enumerate() {
                fs::write(directory.join(format!("unit{index}.object")), object)?;
            }
            Ok(())
        };
        put().with_context(|| format!("cannot write to {}", directory.display()))?;
        // make splits words: what it cannot name, modpost does not get.
        let symvers: Vec<_> = symvers
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok()?.to_str().map(str::to_owned))
            .filter(|path| !path.contains(char::is_whitespace))
            .collect();
        let mut command = make::make(&kdir.path, kdir.machine, &kdir.config, None);
        command
            .arg(format!("M={}", directory.display()))
            .arg(format!("LIVEPATCH={}", livepatch.display()))
            .arg(format!("LIVEPATCH_SYMVERS={}", symvers.join(" ")))
            .arg("modules");
        make::run(&mut command, "link the livepatch")?;
        Ok(directory.join(self.name).with_extension("ko"))
    }

    fn kbuild(&self) -> String {
        let name = self.name;
        let units: String = (0..self.units.len())
            .map(|index| format!(" unit{index}.o"))
            .collect();
        // No recipe of kbuild's own runs objtool over an object that is there already. Branches that
        // are never taken in a patch leave code behind that nothing reaches.
        format!(
            "obj-m := {name}.o\n{name}-y := patch.o{units}\ntargets +={units}\n\
             objtool-args-y += --no-unreachable\n\
             quiet_cmd_klp_unit = KLP     $@\n      cmd_klp_unit = cp $< $@ $(cmd_objtool)\n\
             $(addprefix $(obj)/,{units}): $(obj)/%.o: $(src)/%.object FORCE\n\
             \t$(call if_changed,klp_unit)\n\
             include $(LIVEPATCH)/scripts/Makefile.livepatch\n"
        )
    }
}
