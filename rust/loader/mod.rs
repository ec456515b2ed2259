// SPDX-License-Identifier: GPL-2.0

//! What livepatch adds to the loading of a module: keeping its ELF information ([`retain`]),
//! finding the symbols that it names ([`resolve`]) and applying its livepatch relocations
//! ([`relocate`]).
//!
//! It knows neither how the loader was hooked nor what a patch is.

pub(crate) mod relocate;
pub(crate) mod resolve;
pub(crate) mod retain;
