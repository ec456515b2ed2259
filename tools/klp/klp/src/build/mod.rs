// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`tree`] | where a kernel's source is |
//! | [`overlay`], [`path`], [`lines`] | the source tree as the fix leaves it |
//! | [`command`] | the commands that kbuild recorded |
//! | [`affected`], [`includes`], [`configured`], [`kbuild`] | which objects the fix affects |
//! | [`compile`], [`compiler`], [`cache`] | these objects, as built, before and after the fix |

pub mod affected;
pub mod cache;
pub mod command;
pub mod compile;
pub mod compiler;
pub mod configured;
pub mod includes;
pub mod kbuild;
pub mod lines;
pub mod overlay;
pub mod path;
pub mod tree;

#[cfg(test)]
mod testing;
