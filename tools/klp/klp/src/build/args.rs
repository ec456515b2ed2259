// SPDX-License-Identifier: GPL-2.0

//! What is asked of `klp build`, and what follows from what is not said.

use super::kdir::Kdir;
use anyhow::{ensure, Context, Result};
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{self, Path, PathBuf};
use std::thread;

/// What the modules of livepatches are called, before their own names.
const PREFIX: &str = "livepatch-";

/// Make a livepatch of a source diff
///
/// The fix is applied to a copy of what it changes; the files that it affects are compiled without
/// and with it, and what differs becomes a livepatch. Before that, the unchanged functions of these
/// files are compared with the kernel's: a livepatch of another source, compiler or configuration
/// would crash it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if there is a livepatch, or with --list if there would be one; 1 \
if not; 2 for wrong arguments."
)]
pub struct Args {
    /// The kernel's source, or the directory of modules that are not in it; the default is the
    /// source that the headers or the build directory point to
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,

    /// The kernel's headers or build directory; the default is the running kernel's
    #[arg(long, value_name = "DIR")]
    pub kdir: Option<PathBuf>,

    /// The kernel: its vmlinux or its boot image (/boot/vmlinuz-RELEASE), which is found by itself
    /// where it is installed
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,

    /// A target module that is not installed for that kernel
    #[arg(long, value_name = "TARGET.ko")]
    pub module: Vec<PathBuf>,

    /// One more Module.symvers, beside the kernel's: that of livepatch.ko, or of other modules
    #[arg(long, value_name = "FILE")]
    pub symvers: Vec<PathBuf>,

    /// What the livepatch is called: livepatch-NAME.ko; the default is the name of the first diff
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// The livepatch, or the directory for it
    #[arg(short, long, value_name = "OUT", default_value = ".")]
    pub output: PathBuf,

    /// It replaces all livepatches that are loaded
    #[arg(long, overrides_with = "no_replace")]
    pub replace: bool,

    /// It leaves other livepatches as they are; this is the default
    #[arg(long)]
    pub no_replace: bool,

    /// Only show what would be patched, and why, or what is refused
    #[arg(long)]
    pub list: bool,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    pub json: bool,

    /// Do not compare the source with the kernel. If it is not the kernel's, the livepatch crashes
    /// it
    #[arg(long)]
    pub no_proof: bool,

    /// Sign it
    #[arg(long, num_args = 2, value_names = ["KEY", "CERT"])]
    pub sign: Option<Vec<PathBuf>>,

    /// Keep everything that is made on the way in this directory, which is to be new
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// Where what takes long is kept; the default is klp in the user's cache directory
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// How many compilers run at a time; the default is one for each processor
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,

    /// Where nothing was built: how many files may be compiled to find out which of them include a
    /// changed header
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_files: usize,

    /// Where scripts/Makefile.livepatch is: what is installed, or a checkout; the default is what
    /// this klp belongs to
    #[arg(long, value_name = "DIR")]
    pub livepatch: Option<PathBuf>,

    /// Say nothing but errors and warnings
    #[arg(short, long)]
    pub quiet: bool,

    /// The diffs, as git and diff -u make them, with names below the source's directory after one
    /// component (-p1)
    #[arg(value_name = "FIX.patch", required = true)]
    pub fixes: Vec<PathBuf>,
}

impl Args {
    /// What modules for the kernel are built against.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn kdir(&self) -> Result<Kdir> {
        match &self.kdir {
            Some(dir) => Kdir::open(dir),
            None => {
                let release = fs::read_to_string("/proc/sys/kernel/osrelease")
                    .context("cannot tell which kernel runs: give --kdir")?;
                Kdir::open(&Path::new("/lib/modules").join(release.trim()).join("build"))
            }
        }
    }

    /// The module's name.
    ///
    /// # Errors
    ///
    /// A module cannot be called that.
    pub fn name(&self) -> Result<String> {
        let given = self.name.clone().unwrap_or_else(|| {
            let stem = self.fixes.first().and_then(|fix| fix.file_stem());
            let stem = stem.unwrap_or_default().to_string_lossy().into_owned();
            let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let name: String = stem.chars().map(fits).collect();
            let name = name.trim_matches('-');
            name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
        });
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = format!("{PREFIX}{given}");
        ensure!(
            !given.is_empty() && given.chars().all(is_name),
            "a livepatch cannot be called '{given}': letters, digits, - and _ can be in its name; give \
             another one with --name"
        );
        ensure!(
            name.len() <= livepatch_format::name::OBJECT_NAME_MAX,
            "'{name}' is too long for a module's name: give a shorter one with --name"
        );
        Ok(name)
    }

    /// Checks that what is given is there, and that the livepatch can be written, before anything
    /// takes long.
    ///
    /// # Errors
    ///
    /// It is not, or it cannot.
    pub fn check_files(&self, name: &str) -> Result<()> {
        let signing = self.sign.iter().flatten();
        for file in self.fixes.iter().chain(signing).chain(&self.module) {
            ensure!(file.is_file(), "there is no file {}", file.display());
        }
        let named = [&self.kdir, &self.cache, &self.keep, &self.livepatch];
        for directory in named.into_iter().flatten().chain(&self.symvers) {
            ensure!(
                !directory.to_string_lossy().contains(char::is_whitespace),
                "make takes no path with spaces: {}",
                directory.display()
            );
        }
        let output = self.output(name);
        let directory = output.parent().unwrap_or(Path::new("."));
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        ensure!(
            directory.is_dir(),
            "there is no directory {} to write the livepatch to",
            directory.display()
        );
        Ok(())
    }

    /// Checks that nothing is to be made on the way in a source of which all files are read.
    ///
    /// # Errors
    ///
    /// It is.
    pub fn check_outside(&self, source: &Path) -> Result<()> {
        for (option, directory) in [("--cache", &self.cache), ("--keep", &self.keep)] {
            let Some(directory) = directory else {
                continue;
            };
            let whole = path::absolute(directory)
                .with_context(|| format!("cannot find {}", directory.display()))?;
            // It may be new.
            let mut there = whole
                .ancestors()
                .filter_map(|path| path.canonicalize().ok());
            ensure!(
                !there.next().is_some_and(|there| there.starts_with(source)),
                "{option} {}: it is in the source, {}: give a directory elsewhere",
                directory.display(),
                source.display()
            );
        }
        Ok(())
    }

    /// Where the livepatch is to be.
    pub fn output(&self, name: &str) -> PathBuf {
        match self.output.is_dir() || self.output.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => self.output.join(format!("{name}.ko")),
            false => self.output.clone(),
        }
    }

    /// Where what takes long is kept; it is made.
    ///
    /// # Errors
    ///
    /// It cannot be made, or nobody says where.
    pub fn cache(&self) -> Result<PathBuf> {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        let user = || {
            let set = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
            Some(set.map(PathBuf::from).or_else(home)?.join("klp"))
        };
        let dir = self
            .cache
            .clone()
            .or_else(user)
            .context("there is no HOME to keep a cache in: give --cache")?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::canonicalize(&dir).with_context(|| format!("cannot find {}", dir.display()))
    }

    /// How many compilers run at a time.
    pub fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs.map_or_else(processors, NonZeroUsize::get)
    }
}
