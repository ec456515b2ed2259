// SPDX-License-Identifier: GPL-2.0

//! A small source tree, and a makefile that records commands as kbuild does.

use super::tree::{Of, Tree};
use livepatch_format::elf::Machine;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where the build directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Beside the source.
    Apart,
    /// In the source, one level down.
    Below,
    /// It is the source.
    Same,
}

/// All of them.
pub const LAYOUTS: [Layout; 3] = [Layout::Apart, Layout::Below, Layout::Same];

/// The tree.
pub struct Kernel {
    directory: TempDir,
    /// Where it is.
    pub tree: Tree,
}

/// `fs/one.c`; on its lines 9 and 13 are functions that have their line numbers in them.
pub const ONE: &str = "\
#include <linux/thing.h>
#include <generated/config.h>

const char *where(void)
{
\treturn __FILE__;
}

int first(void) { return __LINE__ + CONFIGURED; }

int second(int x)
{
\treturn thing(x) + __LINE__;
}
";

const FILES: &[(&str, &str)] = &[
    (
        "include/linux/thing.h",
        "static inline int thing(int x)\n{\n\treturn x + 1;\n}\n",
    ),
    ("include/linux/rare.h", "#include <linux/rarer.h>\n"),
    ("include/linux/rarer.h", "#define RARE 3\n"),
    ("fs/one.c", ONE),
    (
        "fs/two.c",
        "#include <linux/rare.h>\n#include \"part.c\"\nint two(void) { return RARE; }\n",
    ),
    ("fs/part.c", "int part(void) { return 5; }\n"),
    ("fs/near.h", "#define NEAR 7\n"),
    ("fs/deep/near.h", "#include \"../near.h\"\n"),
    (
        "fs/deep/three.c",
        "#include \"near.h\"\nint three(void) { return NEAR; }\n",
    ),
    ("mm/unused.c", "int unused(void) { return 1; }\n"),
    ("Documentation/one.rst", "One\n"),
    ("Makefile", "all:\n"),
    ("lib/entry.S", "nop\n"),
];

/// The objects that a complete build has.
pub const OBJECTS: &[&str] = &["fs/one.o", "fs/two.o", "fs/deep/three.o"];

const MAKEFILE: &str = r"
MAKEFLAGS += -rR
FLAGS = -I$(SRC)/include -Iinclude -O2 -ffile-prefix-map=$(SRC)/= $(MORE)
COMMAND = gcc -Wp,-MMD,$(@D)/.$(@F).d $(FLAGS) $(KIND) -o $@ $(SOURCE)
ROOT = $(if $(filter .,$(SRC)),,$(SRC)/)
NAME = $(basename $@)
SOURCE = $(ROOT)$(if $(filter %.lds,$@),$@.S,$(NAME)$(if $(wildcard $(ROOT)$(NAME).S),.S,.c))
KIND = $(if $(filter %.lds,$@),-E -P,$(if $(filter %.s,$@),-S,-c))
define recorded
	@mkdir -p $(@D)
	@echo '  CC      $@'
	@$(COMMAND)
	@{ echo 'savedcmd_$@ := $(COMMAND)   ; ./tools/objtool/objtool $@'; echo; \
	echo 'source_$@ := $(SOURCE)'; echo; echo 'deps_$@ := \'; \
	echo '    $$(wildcard include/config/ONE) \'; \
	tr -s ' \\' '\n' <$(@D)/.$(@F).d | sed -e 1,2d -e '/^$$/d' -e 's/.*/  & \\/'; echo; \
	echo '$@: $$(deps_$@)'; echo; echo '$$(deps_$@):'; } >$(@D)/.$(@F).cmd
endef
%.o: FORCE
	$(recorded)
%.s: FORCE
	$(recorded)
%.lds: FORCE
	$(recorded)
FORCE Makefile: ;
";

impl Kernel {
    /// A tree in which nothing was compiled.
    pub fn new(layout: Layout) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path().canonicalize().expect("it is there");
        let source = top.join("source");
        for (path, text) in FILES {
            write(&source.join(path), text);
        }
        let (build, root) = match layout {
            Layout::Apart => (top.join("build"), source.display().to_string()),
            Layout::Below => (source.join("build"), "..".to_owned()),
            Layout::Same => (source.clone(), ".".to_owned()),
        };
        write(
            &build.join("include/generated/config.h"),
            "#define CONFIGURED 100\n",
        );
        write(&build.join("include/config/auto.conf"), "");
        write(
            &build.join("Makefile"),
            &format!("SRC = {root}\n{MAKEFILE}"),
        );
        let version = Command::new("gcc").arg("--version").output();
        let version = version.expect("gcc, which this test needs, runs").stdout;
        let version = String::from_utf8(version).expect("it is text");
        let version = version.lines().next().unwrap_or_default();
        write(
            &build.join(".config"),
            &format!("CONFIG_CC_VERSION_TEXT=\"{version}\"\n"),
        );
        Kernel {
            directory,
            tree: Tree {
                source,
                kernel: build.clone(),
                build,
                of: Of::Kernel,
                machine: Machine::X86_64,
            },
        }
    }

    /// A tree in which everything was compiled.
    pub fn built(layout: Layout) -> Self {
        let kernel = Kernel::new(layout);
        kernel.make(&[], OBJECTS);
        kernel
    }

    /// Compiles objects, with variables for make.
    pub fn make(&self, variables: &[&str], objects: &[&str]) {
        let output = Command::new("make")
            .arg("-C")
            .arg(&self.tree.build)
            .args(variables)
            .args(objects)
            .env_remove("MAKEFLAGS")
            .output()
            .expect("make, which this test needs, runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A directory for a purpose.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Writes a fix that replaces text in files of the source: of each file its path, what is
    /// replaced, and by what. Where nothing is replaced, the file is new or is deleted.
    pub fn fix(&self, name: &str, changes: &[(&str, &str, &str)]) -> PathBuf {
        let work = tempfile::tempdir_in(self.directory.path()).expect("a directory");
        for side in ["a", "b"] {
            fs::create_dir(work.path().join(side)).expect("a directory");
        }
        for (path, from, to) in changes {
            let original = fs::read_to_string(self.tree.source.join(path)).ok();
            let patched = match &original {
                Some(_) if from.is_empty() => None,
                Some(text) => {
                    assert!(text.contains(from), "{path} has no {from}");
                    Some(text.replacen(from, to, 1))
                }
                None => Some((*to).to_owned()),
            };
            for (side, text) in [("a", original), ("b", patched)] {
                if let Some(text) = text {
                    write(&work.path().join(side).join(path), &text);
                }
            }
        }
        let output = Command::new("git")
            .args([
                "diff",
                "--no-index",
                "--no-prefix",
                "--find-renames",
                "a",
                "b",
            ])
            .current_dir(work.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git, which this test needs, runs");
        let diff = String::from_utf8(output.stdout).expect("it is text");
        assert!(diff.contains("diff --git"), "nothing differs");
        self.text_fix(name, &diff)
    }

    /// Writes a fix as it is given.
    pub fn text_fix(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("the fix is written");
        path
    }
}

/// Writes a file, with the directories on its way.
pub fn write(path: &Path, text: &str) {
    let parent = path.parent().expect("it has a parent");
    fs::create_dir_all(parent).expect("a directory");
    fs::write(path, text).expect("the file is written");
}
