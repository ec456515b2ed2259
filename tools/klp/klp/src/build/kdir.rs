// SPDX-License-Identifier: GPL-2.0

//! The directory that modules for a kernel are built against: its build directory, or what a
//! distribution's headers package has of it.

use super::kbuild;
use anyhow::{bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What tells of the release: a build directory has it once it is prepared.
const RELEASE: &str = "include/config/kernel.release";

/// The configuration as kbuild uses it.
const CONFIG: &str = "include/config/auto.conf";

/// What only source has.
const SOURCE_ONLY: &str = "init/main.c";

/// What a build leaves of the first file of [`SOURCE_ONLY`].
const RECORD: &str = "init/.main.o.cmd";

/// Where a version is written down: in the source, and among generated headers.
const VERSION_HEADER: &str = "include/generated/uapi/linux/version.h";

/// A kernel's configuration.
#[derive(Debug, Default)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads a `.config`, or an `auto.conf`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Config::parse(&text))
    }

    /// That of a build directory, as kbuild uses it, or as it was given.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(build: &Path) -> Result<Self> {
        Config::read(&build.join(CONFIG)).or_else(|_| Config::read(&build.join(".config")))
    }

    /// Parses the text of one.
    pub fn parse(text: &str) -> Self {
        let options = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            Some((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
        });
        Config(options.collect())
    }

    /// The value of an option, without `CONFIG_`; `None` where it is not set.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.0.get(option).map(String::as_str)
    }

    /// Whether an option is built in.
    pub fn is_set(&self, option: &str) -> bool {
        self.get(option) == Some("y")
    }

    /// The options that differ in another one, each with its values here and there.
    pub fn differences<'a>(
        &'a self,
        other: &'a Config,
    ) -> impl Iterator<Item = (&'a str, Option<&'a str>, Option<&'a str>)> {
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        let both = names
            .into_iter()
            .map(|name| (name.as_str(), self.get(name), other.get(name)));
        both.filter(|(_, here, there)| here != there)
    }
}

/// Whether a directory is a kernel's build directory, or has the headers of one.
pub fn is_prepared(directory: &Path) -> bool {
    directory.join(RELEASE).is_file()
}

/// The release of the kernel that a directory is for.
///
/// # Errors
///
/// Modules cannot be built against it.
pub fn release(directory: &Path) -> Result<String> {
    let text = fs::read_to_string(directory.join(RELEASE)).with_context(|| {
        format!(
            "{} is no prepared kernel tree: it has no {RELEASE}; run make modules_prepare there, or \
             give another one with --kdir",
            directory.display()
        )
    })?;
    Ok(text.trim_end().to_owned())
}

/// What modules are built against.
#[derive(Debug)]
pub struct Kdir {
    /// Where it is, as it was given.
    given: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// The kernel's release.
    pub release: String,
    /// Its configuration.
    pub config: Config,
    /// What it runs on.
    pub machine: Machine,
}

impl Kdir {
    /// Looks at a directory.
    ///
    /// # Errors
    ///
    /// It is none that modules can be built against, or for a kernel that is not supported.
    pub fn open(given: &Path) -> Result<Self> {
        let path = fs::canonicalize(given).with_context(|| {
            format!(
                "there is no {}: install the kernel's headers (on Debian, the package \
                 linux-headers-RELEASE), or give its build directory with --kdir",
                given.display()
            )
        })?;
        let release = release(given)?;
        let config = Config::read(&path.join(CONFIG))?;
        let machine = match (config.is_set("X86_64"), config.is_set("S390")) {
            (true, _) => Machine::X86_64,
            (_, true) => Machine::S390,
            _ => bail!(
                "{} is for a machine that there are no livepatches for: x86_64 and s390x have them",
                given.display()
            ),
        };
        Ok(Kdir {
            given: given.to_owned(),
            path,
            release: release.trim().to_owned(),
            config,
            machine,
        })
    }

    /// Whether the kernel was built here, so that it is recorded how.
    pub fn is_build(&self) -> bool {
        self.path.join(RECORD).is_file()
    }

    /// Where a system has what belongs to this kernel: the directory of its modules.
    pub fn modules(&self) -> PathBuf {
        // That of a system below another root is named by it: ROOT/lib/modules/RELEASE/build.
        let parent = self.given.parent().filter(|parent| {
            self.given.ends_with("build")
                && parent.ends_with(Path::new("modules").join(&self.release))
        });
        parent.map_or_else(
            || Path::new("/lib/modules").join(&self.release),
            Path::to_owned,
        )
    }

    /// The kernel itself, in the order in which its files tell more.
    pub fn kernels(&self) -> Vec<PathBuf> {
        let modules = self.modules();
        let root = modules.ancestors().nth(3).unwrap_or(Path::new("/"));
        let image = format!("vmlinuz-{}", self.release);
        let image = root.join("boot").join(image);
        let boot = Path::new("arch")
            .join(kbuild::source_arch(self.machine))
            .join("boot/bzImage");
        vec![
            self.path.join("vmlinux"),
            image,
            modules.join("vmlinuz"),
            self.path.join(boot),
        ]
    }

    /// Whether a directory has the source of a kernel.
    pub fn is_source(directory: &Path) -> bool {
        directory.join(SOURCE_ONLY).is_file()
    }

    /// The kernel's source.
    ///
    /// # Errors
    ///
    /// It is not there, or of another version.
    pub fn source(&self, given: Option<&Path>) -> Result<PathBuf> {
        let found = match given {
            Some(dir) => {
                ensure!(
                    Kdir::is_source(dir) || !is_prepared(dir),
                    "--source {}: that is what modules are built against, which --kdir is for; the \
                     source has {SOURCE_ONLY}",
                    dir.display()
                );
                ensure!(
                    Kdir::is_source(dir),
                    "--source {}: there is no kernel's source, which has {SOURCE_ONLY}, and no module's, \
                     which has a Kbuild or a Makefile",
                    dir.display()
                );
                dir.to_owned()
            }
            None => {
                let version = self.version().unwrap_or_default();
                let series = version.rsplit_once('.').map_or("X.Y", |(series, _)| series);
                let candidates = [
                    self.path.clone(),
                    self.path.join("source"),
                    self.modules().join("source"),
                    PathBuf::from(format!("/usr/src/linux-source-{series}")),
                    PathBuf::from(format!("/usr/src/linux-{version}")),
                ];
                candidates.into_iter().find(|dir| Kdir::is_source(dir)).with_context(|| {
                    format!(
                        "the source of the kernel {} is not here: on Debian, install the package \
                         linux-source-{series} of the kernel's version and unpack \
                         /usr/src/linux-source-{series}.tar.xz there; or say where it is, with --source",
                        self.release
                    )
                })?
            }
        };
        let found =
            fs::canonicalize(&found).with_context(|| format!("cannot find {}", found.display()))?;
        if let (Some(kernel), Some(source)) = (self.version(), makefile_version(&found)) {
            ensure!(
                kernel == source,
                "{} is the source of Linux {source}, and the kernel {} is {kernel}: get the source \
                 of that version",
                found.display(),
                self.release
            );
        }
        Ok(found)
    }

    /// The version that the kernel was made of, as `6.12.107`.
    fn version(&self) -> Option<String> {
        let text = fs::read_to_string(self.path.join(VERSION_HEADER)).ok()?;
        let part = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| {
                let rest = line.strip_prefix("#define LINUX_VERSION_")?;
                let (found, value) = rest.split_once(' ')?;
                (found == name).then(|| value.trim().to_owned())
            })
        };
        let (major, minor) = (part("MAJOR")?, part("PATCHLEVEL")?);
        Some(format!("{major}.{minor}.{}", part("SUBLEVEL")?))
    }
}

/// The version that a source's `Makefile` states.
fn makefile_version(source: &Path) -> Option<String> {
    let text = fs::read_to_string(source.join("Makefile")).ok()?;
    let part = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once('=')?;
            (found.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let (major, minor) = (part("VERSION")?, part("PATCHLEVEL")?);
    Some(format!("{major}.{minor}.{}", part("SUBLEVEL")?))
}

#[cfg(test)]
mod tests {
    use super::{Config, Kdir};
    use std::fs;

    #[test]
    fn reads_options() {
        let config = Config::parse("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"gcc-14 (x)\"\n");
        assert!(config.is_set("A") && !config.is_set("B") && !config.is_set("C"));
        assert_eq!(config.get("C"), Some("gcc-14 (x)"));
        let other = Config::parse("CONFIG_A=m\n");
        let differ: Vec<_> = config.differences(&other).map(|(name, ..)| name).collect();
        assert_eq!(differ, ["A", "C"]);
    }

    #[test]
    fn says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = Kdir::open(&dir.path().join("none")).unwrap_err();
        assert!(format!("{error:#}").contains("install the kernel's headers"));
        let error = Kdir::open(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("modules_prepare"));
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("include/config/kernel.release", "6.12.107-x\n");
        put("include/config/auto.conf", "CONFIG_ARM64=y\n");
        let error = Kdir::open(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("x86_64 and s390x"));
        put("include/config/auto.conf", "CONFIG_X86_64=y\n");
        put(
            "include/generated/uapi/linux/version.h",
            "#define LINUX_VERSION_MAJOR 6\n#define LINUX_VERSION_PATCHLEVEL 12\n\
             #define LINUX_VERSION_SUBLEVEL 107\n",
        );
        let kdir = Kdir::open(dir.path()).unwrap();
        let error = kdir.source(None).unwrap_err();
        assert!(format!("{error:#}").contains("linux-source-6.12"));
        put("source/init/main.c", "");
        put(
            "source/Makefile",
            "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n",
        );
        let error = kdir.source(None).unwrap_err();
        assert!(format!("{error:#}").contains("source of Linux 6.12.117"));
        put(
            "source/Makefile",
            "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 107\n",
        );
        kdir.source(None).unwrap();
    }
}
