// SPDX-License-Identifier: GPL-2.0

//! Text for people: colours on a terminal, and nowhere else.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{presets, Table};
use std::env;
use std::io::IsTerminal;

/// What is an error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What is a warning.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What is good.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What begins something.
pub const HEADING: Style = Style::new().bold();
/// What is said besides.
pub const NOTE: Style = Style::new().dimmed();

/// Whether what is written there can be taken away again.
pub fn can_move(stream: &impl IsTerminal) -> bool {
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_dumb
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether text that goes there has colours.
    pub fn is_for(self, stream: &impl RawStream) -> bool {
        match self {
            Color::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// A table without lines around it.
pub fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The same, with a header.
pub fn table(header: &[&str]) -> Table {
    let mut table = plain();
    table.set_header(header.to_vec());
    table
}

/// The lines of a table, set off from the left.
pub fn indented(table: &Table) -> String {
    let lines = table.lines();
    lines
        .map(|line| format!("   {}\n", line.trim_end()))
        .collect()
}
