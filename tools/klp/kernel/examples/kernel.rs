// SPDX-License-Identifier: GPL-2.0

//! What is read of a kernel, for tests.
//!
//! `kernel symbols FILE` prints its symbols as `System.map` has them; `kernel compare FILE OTHER`
//! says for how many functions of both all bytes are the same, and for how many they are not.

use livepatch_kernel::{Image, Kallsyms, Symbol};
use std::error::Error;
use std::io::{self, Write as _};

fn read(path: &str) -> Result<(Image, Vec<Symbol>), Box<dyn Error>> {
    let image = Image::read(std::fs::read(path)?).map_err(|error| format!("{path}: {error}"))?;
    let list = Kallsyms::find(&image.memory).map_err(|error| format!("{path}: {error}"))?;
    Ok((image, list.symbols))
}

fn symbols(path: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for symbol in read(path)?.1 {
        write!(out, "{:016x} {} ", symbol.address, char::from(symbol.kind))?;
        out.write_all(&symbol.name)?;
        writeln!(out)?;
    }
    Ok(())
}

fn compare(path: &str, other: &str) -> Result<(), Box<dyn Error>> {
    let (image, symbols) = read(path)?;
    let (other, _) = read(other)?;
    let (mut same, mut different) = (0, 0);
    for pair in symbols.windows(2) {
        let [symbol, next] = pair else { continue };
        let size = next.address - symbol.address;
        if !b"tT".contains(&symbol.kind) || size == 0 {
            continue;
        }
        let bytes = |image: &Image| Some(image.memory.bytes(symbol.address, size)?.to_vec());
        match (bytes(&image), bytes(&other)) {
            (Some(one), Some(two)) if one == two => same += 1,
            _ => different += 1,
        }
    }
    println!("{same} {different}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["symbols", path] => symbols(path),
        ["compare", path, other] => compare(path, other),
        _ => Err("kernel symbols FILE | kernel compare FILE OTHER".into()),
    }
}
