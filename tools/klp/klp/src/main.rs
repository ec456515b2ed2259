// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes, checks, loads and watches livepatches.

use clap::Parser as _;
use klp::cli::Cli;
use klp::commands::completions;
use std::process::ExitCode;

fn main() -> ExitCode {
    completions::answer();
    Cli::parse().run()
}
