// SPDX-License-Identifier: GPL-2.0

//! Many mutants in few bytes: each as what differs from the file that it was made of. The program
//! in the guest (`tools/testing/hostile/run.c`) puts them together again.
//!
//! All numbers are little-endian. A record is the mutant's number (8 bytes), the number of its
//! base (2), 1 if it has to be refused (1), its length (4), how many pieces differ (4), and these
//! pieces: offset (4), length (4), bytes. What is past the end of the base counts as zeroes.

/// Appends the record of a mutant.
pub fn record(out: &mut Vec<u8>, number: u64, base: usize, refused: bool, from: &[u8], to: &[u8]) {
    let pieces = pieces(from, to);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(base as u16).to_le_bytes());
    out.push(refused.into());
    out.extend_from_slice(&(to.len() as u32).to_le_bytes());
    out.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
    for (offset, bytes) in pieces {
        out.extend_from_slice(&(offset as u32).to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }
}

/// Where `to` differs from `from`; a few equal bytes in between count as different.
fn pieces<'a>(from: &[u8], to: &'a [u8]) -> Vec<(usize, &'a [u8])> {
    const GAP: usize = 8;
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (at, byte) in to.iter().enumerate() {
        if *byte == from.get(at).copied().unwrap_or(0) {
            continue;
        }
        match ranges.last_mut() {
            Some((_, end)) if at - *end < GAP => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
        .into_iter()
        .filter_map(|(start, end)| Some((start, to.get(start..end)?)))
        .collect()
}
