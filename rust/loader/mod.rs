// SPDX-License-Identifier: GPL-2.0

//! What livepatch adds to the loading of a module: keeping its ELF information ([`retain`]),
//! reading which livepatch sections it has ([`sections`]), checking them ([`check`]), finding the
//! symbols that they name ([`resolve`]) and applying their relocations ([`relocate`]).
//!
//! It knows neither how the loader was hooked nor what a patch is.

mod check;
pub(crate) mod relocate;
pub(crate) mod resolve;
pub(crate) mod retain;
mod sections;
