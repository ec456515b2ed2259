// SPDX-License-Identifier: GPL-2.0

//! Prints a kernel's symbols as System.map has them: `kallsyms FILE`.

use livepatch_kernel::{Image, Kallsyms};
use std::io::{self, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which kernel?")?;
    let image = Image::read(std::fs::read(path)?)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for symbol in Kallsyms::find(&image.memory)?.symbols {
        write!(out, "{:016x} {} ", symbol.address, char::from(symbol.kind))?;
        out.write_all(&symbol.name)?;
        writeln!(out)?;
    }
    Ok(())
}
