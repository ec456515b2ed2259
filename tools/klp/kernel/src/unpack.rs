// SPDX-License-Identifier: GPL-2.0

//! How kernels are compressed.
//!
//! `scripts/Makefile.lib` of the kernel source says with which commands, and `lib/decompress_*.c`
//! what is read of their formats. After all but gzip's own, four bytes follow, which tell how
//! long the kernel is.

use crate::{Error, Result};
use std::fmt;
use std::io::{self, Read};

/// The window that `zstd -22 --ultra` makes.
const ZSTD_WINDOW: u64 = 1 << 27;

/// How much memory the decoder of LZMA may take; `xz` makes dictionaries of 128 MiB for kernels.
const LZMA_MEMORY: u64 = 1 << 29;

/// What begins each frame of the format that `lz4 -l` writes.
const LZ4_MAGIC: u32 = 0x184c_2102;

/// The most that a block of this format unpacks to.
const LZ4_BLOCK: usize = 8 << 20;

/// What begins a file of `lzop`.
const LZOP_MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];

/// The most that a block of `lzop` unpacks to (`MAX_BLOCK_SIZE` there).
const LZOP_BLOCK: usize = 64 << 20;

/// With what something is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `gzip`
    Gzip,
    /// `bzip2`
    Bzip2,
    /// `lzma`
    Lzma,
    /// `xz`
    Xz,
    /// `lzop`
    Lzo,
    /// `lz4 -l`
    Lz4,
    /// `zstd`
    Zstd,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 7] = [
        Method::Gzip,
        Method::Bzip2,
        Method::Lzma,
        Method::Xz,
        Method::Lzo,
        Method::Lz4,
        Method::Zstd,
    ];

    /// What something that is compressed so begins with.
    pub fn magic(self) -> &'static [u8] {
        match self {
            Method::Gzip => b"\x1f\x8b\x08",
            Method::Bzip2 => b"BZh",
            Method::Lzma => b"\x5d\0\0",
            Method::Xz => b"\xfd7zXZ\0",
            Method::Lzo => &LZOP_MAGIC,
            Method::Lz4 => b"\x02\x21\x4c\x18",
            Method::Zstd => b"\x28\xb5\x2f\xfd",
        }
    }

    /// By the first bytes.
    pub fn of(data: &[u8]) -> Option<Self> {
        Method::ALL
            .into_iter()
            .find(|method| data.starts_with(method.magic()))
    }

    /// Unpacks what `data` begins with; what follows it is not looked at.
    ///
    /// # Errors
    ///
    /// It is damaged, or longer than `limit` bytes when unpacked.
    pub fn unpack(self, data: &[u8], limit: u64) -> Result<Vec<u8>> {
        let result = match self {
            Method::Gzip => read(flate2::read::GzDecoder::new(data), limit),
            Method::Bzip2 => read(bzip2::read::BzDecoder::new(data), limit),
            Method::Lzma | Method::Xz => lzma(data, limit),
            Method::Lzo => lzop(data, limit),
            Method::Lz4 => lz4(data, limit),
            Method::Zstd => zstd(data, limit),
        };
        match result {
            Ok(Some(unpacked)) => Ok(unpacked),
            Ok(None) => Err(Error::TooLong(limit)),
            Err(error) => Err(Error::Unpack {
                method: self,
                why: error.to_string(),
            }),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Gzip => "gzip",
            Method::Bzip2 => "bzip2",
            Method::Lzma => "lzma",
            Method::Xz => "xz",
            Method::Lzo => "lzop",
            Method::Lz4 => "lz4",
            Method::Zstd => "zstd",
        })
    }
}

/// What was unpacked; `None` where it is longer than the limit.
type Unpacked = io::Result<Option<Vec<u8>>>;

fn read(decoder: impl Read, limit: u64) -> Unpacked {
    let mut unpacked = Vec::new();
    let read = decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut unpacked)?;
    Ok((read as u64 <= limit).then_some(unpacked))
}

fn lzma(data: &[u8], limit: u64) -> Unpacked {
    let stream = liblzma::stream::Stream::new_auto_decoder(LZMA_MEMORY, 0)?;
    read(liblzma::read::XzDecoder::new_stream(data, stream), limit)
}

fn zstd(data: &[u8], limit: u64) -> Unpacked {
    let decoder =
        ruzstd::decoding::StreamingDecoder::new_with_max_window_size(data, ZSTD_WINDOW + 1)
            .map_err(io::Error::other)?;
    read(decoder, limit)
}

fn ends_early() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// Numbers and bytes, one after the other.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn big(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

/// Adds a block; `false` where it is too much.
fn add(unpacked: &mut Vec<u8>, block: &[u8], limit: u64) -> bool {
    unpacked.extend_from_slice(block);
    unpacked.len() as u64 <= limit
}

/// Blocks, each with its packed length before it. That they end is not said, but the length of
/// all that they unpack to follows.
fn lz4(data: &[u8], limit: u64) -> Unpacked {
    let mut input = Cursor(data);
    let mut unpacked = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while input.0.len() > 4 {
        let length = input.array().map(u32::from_le_bytes)?;
        if length == LZ4_MAGIC {
            continue;
        }
        if length as usize == unpacked.len() {
            break;
        }
        let packed = input.bytes(length as usize)?;
        let count =
            lz4_flex::block::decompress_into(packed, &mut block).map_err(io::Error::other)?;
        if !add(&mut unpacked, block.get(..count).unwrap_or_default(), limit) {
            return Ok(None);
        }
    }
    Ok(Some(unpacked))
}

/// A header, and blocks with their lengths before them; a length of 0 ends them.
fn lzop(data: &[u8], limit: u64) -> Unpacked {
    /// `F_ADLER32_D`, `F_CRC32_D`: a checksum of what is unpacked.
    const CHECKED_AFTER: [u32; 2] = [0x1, 0x100];
    /// `F_ADLER32_C`, `F_CRC32_C`: one of what is packed.
    const CHECKED_BEFORE: [u32; 2] = [0x2, 0x200];
    /// `F_H_FILTER`
    const FILTER: u32 = 0x800;

    let mut input = Cursor(data);
    input.bytes(LZOP_MAGIC.len())?;
    let version = input.array().map(u16::from_be_bytes)?;
    let is_new = version >= 0x940;
    // The version of the library, the version that is needed, the method, the level.
    input.bytes(if is_new { 2 + 2 + 1 + 1 } else { 2 + 1 })?;
    let flags = input.big()?;
    if flags & FILTER != 0 {
        input.bytes(4)?;
    }
    // The file's mode, and its time.
    input.bytes(if is_new { 4 + 8 } else { 4 + 4 })?;
    let [name] = input.array()?;
    input.bytes(usize::from(name) + 4)?;

    let checksums = |kinds: [u32; 2]| kinds.iter().filter(|&kind| flags & kind != 0).count() * 4;
    let mut unpacked = Vec::new();
    loop {
        let length = input.big()? as usize;
        if length == 0 {
            return Ok(Some(unpacked));
        }
        if length > LZOP_BLOCK || length as u64 > limit {
            return Ok(None);
        }
        let packed = input.big()? as usize;
        input.bytes(checksums(CHECKED_AFTER))?;
        if packed < length {
            input.bytes(checksums(CHECKED_BEFORE))?;
        }
        let packed = input.bytes(packed)?;
        let fits = if packed.len() == length {
            add(&mut unpacked, packed, limit)
        } else {
            let mut block = vec![0; length];
            lzo1x::decompress(packed, &mut block)
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
            add(&mut unpacked, &block, limit)
        };
        if !fits {
            return Ok(None);
        }
    }
}
