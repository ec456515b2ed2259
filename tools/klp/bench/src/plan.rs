// SPDX-License-Identifier: GPL-2.0

//! What the measuring program in the guest is told to do, and the modules that it needs.
//!
//! The commands are those of `tools/testing/bench/runner.c`.

use crate::matrix::{busy, label, Core, Load, Matrix, MEMORY_PATCHES, ORDINARY_REPETITIONS};
use crate::modules::{self, patch_name, Candidates, BLOCKED, HUNDRED, TARGET, UNBLOCK};
use anyhow::{Context, Result};
use clap::Args;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the modules and the plan for one kernel.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// Whose livepatch core that kernel has
    #[arg(long)]
    core: Core,
    /// Fewer points
    #[arg(long)]
    quick: bool,
    /// Where kbuild has put the modules of tools/testing/bench/modules for that kernel
    #[arg(long)]
    modules: PathBuf,
    /// System.map of that kernel, and of those that are to be compared with it
    #[arg(long, required = true)]
    system_map: Vec<PathBuf>,
    /// Only this measurement, for a profile
    #[arg(long)]
    only: Option<String>,
    /// An empty directory, which is /bench in the guest; livepatch.ko is there as well
    out: PathBuf,
}

/// Where everything is in the guest.
const GUEST: &str = "/bench";

/// What the tracer writes to.
const TRACING: &str = "/sys/kernel/tracing";

/// Makes the modules and the plan.
pub fn prepare(args: &PrepareArgs) -> Result<()> {
    let maps = args
        .system_map
        .iter()
        .map(|path| fs::read_to_string(path).with_context(|| path.display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    let mut plan = Plan {
        text: String::new(),
        patch: read(&args.modules, "klp_bench_patch000.ko")?,
        target: read(&args.modules, "klp_bench_target.ko")?,
        kernel: Candidates::of_kernels(&maps)?,
        written: BTreeSet::new(),
        only: args.only.clone(),
        out: &args.out,
    };
    let matrix = Matrix::new(args.quick);
    if args.core == Core::Ours {
        plan.ordinary(&matrix, &args.modules)?;
    }
    plan.warm_up()?;
    plan.calls(&matrix)?;
    plan.loads(&matrix)?;
    plan.memory(&matrix)?;
    plan.switches(&matrix)?;
    plan.functions(&args.modules)?;
    plan.blocked(&matrix, args)?;
    fs::write(args.out.join("plan"), plan.text).context("cannot write the plan")
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let path = dir.join(name);
    fs::read(&path).with_context(|| path.display().to_string())
}

struct Plan<'a> {
    text: String,
    patch: Vec<u8>,
    target: Vec<u8>,
    kernel: Candidates,
    /// Modules that are there.
    written: BTreeSet<String>,
    only: Option<String>,
    out: &'a Path,
}

impl Plan<'_> {
    fn add(&mut self, line: impl AsRef<str>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{}", line.as_ref());
    }

    fn wants(&self, label: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == label)
    }

    /// Puts a module there, if it is not, and returns where it is in the guest.
    fn module(
        &mut self,
        name: &str,
        make: impl FnOnce(&Self) -> Result<Vec<u8>>,
    ) -> Result<String> {
        let name = format!("{name}.ko");
        if !self.written.contains(&name) {
            let bytes = make(self).with_context(|| name.clone())?;
            fs::write(self.out.join(&name), bytes).with_context(|| name.clone())?;
        }
        let path = format!("{GUEST}/{name}");
        self.written.insert(name);
        Ok(path)
    }

    /// A patch with that number.
    fn patch(&mut self, number: usize, load: Load) -> Result<String> {
        let name = format!("{}-{}", load.label(), patch_name(number));
        self.module(&name, |plan| {
            let of_module;
            let (object, candidates) = match load.symbols {
                None => ("vmlinux", &plan.kernel),
                Some(symbols) => {
                    of_module = Candidates::of_module(symbols);
                    (TARGET, &of_module)
                }
            };
            modules::patch(
                &plan.patch,
                number,
                object,
                candidates,
                load.relocations,
                load.used,
            )
        })
    }

    fn target(&mut self, symbols: usize) -> Result<String> {
        self.module(&format!("{TARGET}-{symbols}"), |plan| {
            modules::with_symbols(&plan.target, symbols)
        })
    }

    /// Ordinary modules without and with livepatch.ko, and livepatch.ko itself.
    ///
    /// Another module is there all the time: the first one has the kernel prepare 2 MiB for the
    /// code of modules, and the last one that goes has it give them back.
    fn ordinary(&mut self, matrix: &Matrix, built: &Path) -> Result<()> {
        let target = self.target(0)?;
        self.add(format!("insert {target}"));
        for with in [false, true] {
            for &size in &matrix.ordinary {
                let label = label::ordinary(with, size);
                if !self.wants(&label) {
                    continue;
                }
                let name = format!("klp_bench_ordinary{size}");
                let path = self.module(&name, |_| {
                    modules::with_size(&read(built, &format!("{name}.ko"))?, size)
                })?;
                // The first time is for the caches of the kernel.
                self.add(format!("insert {path}\nremove {name}"));
                for _ in 0..ORDINARY_REPETITIONS {
                    self.add(format!("load {label} {path}\nremove {name}"));
                }
            }
            if !with {
                self.add(format!("load {} {GUEST}/livepatch.ko", label::INSERT));
            }
        }
        self.add(format!("remove {TARGET}"));
        Ok(())
    }

    /// What happens for the first time happens before it is measured.
    fn warm_up(&mut self) -> Result<()> {
        let target = self.target(0)?;
        let path = self.patch(0, EMPTY)?;
        let name = patch_name(0);
        self.add(format!("insert {target}"));
        for _ in 0..2 {
            self.add(format!("patch {name} {path}\nunpatch {name}"));
        }
        self.add(format!("remove {TARGET}"));
        if self.only.is_some() {
            self.add("symbols");
        }
        Ok(())
    }

    /// Calls of a function with more and more patches.
    fn calls(&mut self, matrix: &Matrix) -> Result<()> {
        let target = self.target(0)?;
        let run = format!("/sys/module/{TARGET}/parameters/run 1");
        self.add(format!("insert {target}"));
        let mut enabled = 0;
        for &patches in &matrix.stacked {
            while enabled < patches {
                enabled += 1;
                let path = self.patch(enabled, EMPTY)?;
                self.add(format!("patch {} {path}", patch_name(enabled)));
            }
            for traced in [false, true] {
                let label = label::call(traced, patches);
                if !self.wants(&label) {
                    continue;
                }
                if traced {
                    self.add(format!(
                        "set {TRACING}/set_ftrace_filter klp_bench_[eu]*\n\
                         set {TRACING}/current_tracer function"
                    ));
                }
                self.add(format!("write {label} {run}\nwrite {label} {run}"));
                if traced {
                    self.add(format!(
                        "set {TRACING}/current_tracer nop\nset {TRACING}/set_ftrace_filter"
                    ));
                }
            }
        }
        for number in (1..=enabled).rev() {
            self.add(format!("unpatch {}", patch_name(number)));
        }
        self.add(format!("remove {TARGET}"));
        Ok(())
    }

    /// Relocations, for the kernel and for target modules.
    fn loads(&mut self, matrix: &Matrix) -> Result<()> {
        let name = patch_name(0);
        let targets = std::iter::once(None).chain(matrix.target_symbols().into_iter().map(Some));
        for symbols in targets {
            let target = self.target(symbols.unwrap_or(0))?;
            self.add(format!("insert {target}"));
            let mut loads: Vec<Load> = matrix
                .loads
                .iter()
                .filter(|load| load.symbols == symbols)
                .copied()
                .collect();
            loads.sort_unstable();
            if let Some(first) = loads.first() {
                loads.insert(0, first.empty());
            }
            for load in loads {
                let label = load.label();
                if !self.wants(&label) {
                    continue;
                }
                let path = self.patch(0, load)?;
                for _ in 0..load.repetitions() {
                    self.add(format!("load-patch {label} {path}\nunpatch {name}"));
                }
            }
            self.add(format!("remove {TARGET}"));
        }
        Ok(())
    }

    /// Memory of many patches, each of a function of its own.
    fn memory(&mut self, matrix: &Matrix) -> Result<()> {
        if self.only.is_some() {
            return Ok(());
        }
        let target = self.target(0)?;
        self.add(format!("insert {target}"));
        for &relocations in &matrix.memory {
            let load = Load {
                symbols: None,
                relocations,
                used: relocations.min(1_000),
            };
            self.add(format!("memory {}", label::memory(false, relocations)));
            for number in 1..=MEMORY_PATCHES {
                let path = self.patch(number, load)?;
                self.add(format!(
                    "patch {} {path} function=klp_bench_function{number:02}",
                    patch_name(number)
                ));
            }
            self.add(format!("memory {}", label::memory(true, relocations)));
            for number in (1..=MEMORY_PATCHES).rev() {
                self.add(format!("unpatch {}", patch_name(number)));
            }
        }
        self.add(format!("remove {TARGET}"));
        Ok(())
    }

    /// Switching over, with more and more threads.
    fn switches(&mut self, matrix: &Matrix) -> Result<()> {
        let target = self.target(0)?;
        let path = self.patch(0, EMPTY)?;
        let name = patch_name(0);
        self.add(format!("insert {target}"));
        for &threads in &matrix.threads {
            let (enable, disable) = (label::switch(true, threads), label::switch(false, threads));
            if !self.wants(&enable) && !self.wants(&disable) {
                continue;
            }
            self.add(format!("threads {threads} {}", busy(threads)));
            self.add(format!("wait {} 500", label::still(threads)));
            self.add(format!("enable {enable} {name} {path}"));
            self.add(format!("disable {disable} {name}"));
            self.add("end-threads");
        }
        self.add(format!("remove {TARGET}"));
        Ok(())
    }

    /// Many functions at once, with no threads but those of the system.
    fn functions(&mut self, built: &Path) -> Result<()> {
        let (enable, disable) = (label::functions(true), label::functions(false));
        if !self.wants(enable) && !self.wants(disable) {
            return Ok(());
        }
        let target = self.target(0)?;
        let path = self.module(HUNDRED, |_| read(built, &format!("{HUNDRED}.ko")))?;
        self.add(format!("insert {target}"));
        // The first time is for the caches of the kernel.
        self.add(format!("patch {HUNDRED} {path}\nunpatch {HUNDRED}"));
        self.add(format!("enable {enable} {HUNDRED} {path}"));
        self.add(format!("disable {disable} {HUNDRED}"));
        self.add(format!("remove {TARGET}"));
        Ok(())
    }

    /// Transitions that tasks are in the way of.
    fn blocked(&mut self, matrix: &Matrix, args: &PrepareArgs) -> Result<()> {
        let target = self.module(BLOCKED, |_| read(&args.modules, &format!("{BLOCKED}.ko")))?;
        let path = self.module(UNBLOCK, |_| read(&args.modules, &format!("{UNBLOCK}.ko")))?;
        self.add(format!("insert {target}"));
        for &tasks in &matrix.blocked {
            let (enable, disable) = (label::blocked(true, tasks), label::blocked(false, tasks));
            if !self.wants(&enable) && !self.wants(&disable) {
                continue;
            }
            self.add(format!("threads {tasks} 0 {tasks}"));
            self.add(format!("enable-blocked {enable} {UNBLOCK} {path} {tasks}"));
            self.add(format!("disable-blocked {disable} {UNBLOCK}"));
            self.add("end-threads");
        }
        for &tasks in &matrix.exceptions {
            let label = label::call_blocked(tasks);
            if !self.wants(&label) {
                continue;
            }
            let parameters = format!("/sys/module/{BLOCKED}/parameters");
            // A single one that nothing wakes, or as many as there are to be.
            let (before, after) = match tasks {
                1 => (
                    format!("set {parameters}/sleeper 1"),
                    format!("set {parameters}/sleeper 0"),
                ),
                _ => (
                    format!("threads {tasks} 0 {tasks}"),
                    "end-threads".to_owned(),
                ),
            };
            self.add(before);
            self.add(format!("begin {UNBLOCK} {path}"));
            for _ in 0..2 {
                self.add(format!("write {label} {parameters}/run 1"));
            }
            self.add(format!("in-transition {UNBLOCK}"));
            self.add(after);
            self.add(format!("unpatch {UNBLOCK}"));
        }
        if args.core == Core::Ours {
            for &(threads, blocked) in &matrix.stops {
                let label = label::stop(threads, blocked);
                if !self.wants(&label) {
                    continue;
                }
                self.add(format!("threads {threads} {} {blocked}", busy(threads)));
                self.add(format!("enable-blocked {label} {UNBLOCK} {path} {blocked}"));
                self.add(format!("end-threads\nunpatch {UNBLOCK}"));
            }
        }
        self.add(format!("remove {BLOCKED}"));
        Ok(())
    }
}

/// A patch of one function, and nothing else.
const EMPTY: Load = Load {
    symbols: None,
    relocations: 0,
    used: 0,
};
