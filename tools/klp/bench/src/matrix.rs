// SPDX-License-Identifier: GPL-2.0

//! What is measured: the points of each curve, and the names that they go by from the plan to
//! the report.

use clap::ValueEnum;

/// Whose livepatch core is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Core {
    /// livepatch.ko
    Ours,
    /// The kernel's own.
    Peer,
}

/// Relocations of a livepatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// Symbols of the target module; none where the relocations are for the kernel.
    pub symbols: Option<usize>,
    /// How many relocations there are.
    pub relocations: usize,
    /// How many symbols they use.
    pub used: usize,
}

impl Load {
    const fn vmlinux(relocations: usize, used: usize) -> Self {
        Load {
            symbols: None,
            relocations,
            used,
        }
    }

    const fn module(symbols: usize, relocations: usize, used: usize) -> Self {
        Load {
            symbols: Some(symbols),
            relocations,
            used,
        }
    }

    /// The livepatch without relocations that this one is compared with.
    pub fn empty(self) -> Self {
        Load {
            relocations: 0,
            used: 0,
            ..self
        }
    }

    /// The name of the measurement.
    pub fn label(self) -> String {
        let Load {
            symbols,
            relocations,
            used,
        } = self;
        match symbols {
            None => format!("load.vmlinux.{relocations}.{used}"),
            Some(symbols) => format!("load.module.{symbols}.{relocations}.{used}"),
        }
    }

    /// How often it is loaded for one figure. What takes few instructions is
    /// measured beside whatever else the kernel does meanwhile.
    pub fn repetitions(self) -> usize {
        if self.relocations <= 100 {
            5
        } else {
            1
        }
    }
}

/// All points of one run.
pub struct Matrix {
    /// Whether it is a part of all there is.
    pub quick: bool,
    /// Relocations.
    pub loads: Vec<Load>,
    /// How many patches are stacked on the function that is called.
    pub stacked: Vec<usize>,
    /// How many threads there are while patches are switched over.
    pub threads: Vec<usize>,
    /// How many tasks are in the way of a transition that is timed.
    pub blocked: Vec<usize>,
    /// How many tasks are in the way while a function is called.
    pub exceptions: Vec<usize>,
    /// How many threads there are, and how many of them are in the way, while processors are
    /// stopped.
    pub stops: Vec<(usize, usize)>,
    /// Relocations of the patches whose memory is looked at.
    pub memory: Vec<usize>,
    /// Sizes of ordinary modules in KiB.
    pub ordinary: Vec<usize>,
}

/// How many patches are enabled to see what memory they hold.
pub const MEMORY_PATCHES: usize = 60;

/// How often each ordinary module is loaded. What livepatch.ko adds is less than what one load
/// differs from the next by.
pub const ORDINARY_REPETITIONS: usize = 41;

impl Matrix {
    /// All of it, or what can be measured while one waits.
    pub fn new(quick: bool) -> Self {
        if quick {
            return Matrix {
                quick,
                loads: vec![
                    Load::vmlinux(10, 10),
                    Load::vmlinux(1_000, 1_000),
                    Load::vmlinux(10_000, 1_000),
                    Load::module(1_000, 1_000, 1_000),
                    Load::module(10_000, 1_000, 1_000),
                ],
                stacked: vec![0, 1, 3],
                threads: vec![10, 1_000],
                blocked: vec![1, 2_000],
                exceptions: vec![1, 2_000],
                stops: vec![(1_000, 400)],
                memory: vec![1_000],
                ordinary: vec![100],
            };
        }
        Matrix {
            quick,
            loads: vec![
                Load::vmlinux(10, 10),
                Load::vmlinux(100, 100),
                Load::vmlinux(1_000, 100),
                Load::vmlinux(1_000, 1_000),
                Load::vmlinux(10_000, 1_000),
                Load::vmlinux(10_000, 10_000),
                Load::vmlinux(100_000, 1_000),
                Load::module(100, 10, 10),
                Load::module(100, 100, 100),
                Load::module(100, 100_000, 100),
                Load::module(1_000, 10, 10),
                Load::module(1_000, 1_000, 1_000),
                Load::module(10_000, 10, 10),
                Load::module(10_000, 1_000, 1_000),
                Load::module(10_000, 10_000, 1_000),
                Load::module(50_000, 10, 10),
                Load::module(50_000, 1_000, 1_000),
            ],
            stacked: vec![0, 1, 3],
            threads: vec![10, 100, 1_000, 5_000],
            blocked: vec![1, 100, 2_000],
            exceptions: vec![1, 2_000],
            stops: vec![(5_000, 2_000)],
            memory: vec![0, 1_000, 10_000],
            ordinary: vec![10, 100, 1_000],
        }
    }

    /// How many symbols target modules have, each number once.
    pub fn target_symbols(&self) -> Vec<usize> {
        let mut all: Vec<_> = self.loads.iter().filter_map(|load| load.symbols).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// How many of the threads do not sleep.
pub fn busy(threads: usize) -> usize {
    (threads / 5).min(8)
}

/// Names of what is measured.
pub mod label {
    /// `insmod livepatch.ko`
    pub const INSERT: &str = "insert";

    /// Loading an ordinary module of that many KiB, without and with livepatch.ko.
    pub fn ordinary(with: bool, size: usize) -> String {
        format!("ordinary.{}.{size}", if with { "with" } else { "without" })
    }

    /// Calls of a function with that many patches.
    pub fn call(traced: bool, patches: usize) -> String {
        format!("call.{}.{patches}", if traced { "traced" } else { "plain" })
    }

    /// Nothing but that many threads.
    pub fn still(threads: usize) -> String {
        format!("switch.still.{threads}")
    }

    /// Enabling, or disabling, a patch while there are that many threads.
    pub fn switch(enable: bool, threads: usize) -> String {
        format!(
            "switch.{}.{threads}",
            if enable { "enable" } else { "disable" }
        )
    }

    /// Enabling, or disabling, a patch of many functions.
    pub fn functions(enable: bool) -> &'static str {
        match enable {
            true => "functions.enable",
            false => "functions.disable",
        }
    }

    /// Enabling, or disabling, a patch that so many tasks are in the way of.
    pub fn blocked(enable: bool, tasks: usize) -> String {
        format!(
            "blocked.{}.{tasks}",
            if enable { "enable" } else { "disable" }
        )
    }

    /// Enabling a patch that some of so many threads are in the way of.
    pub fn stop(threads: usize, blocked: usize) -> String {
        format!("blocked.stop.{threads}.{blocked}")
    }

    /// Calls while so many tasks are in the way.
    pub fn call_blocked(tasks: usize) -> String {
        format!("call.blocked.{tasks}")
    }

    /// Memory before, or after, patches with that many relocations are enabled.
    pub fn memory(after: bool, relocations: usize) -> String {
        format!(
            "memory.{}.{relocations}",
            if after { "after" } else { "before" }
        )
    }
}
