// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`tree`] | where a kernel's source is |
//! | [`overlay`], [`path`], [`lines`] | the source tree as the fix leaves it |
//! | [`command`] | the commands that kbuild recorded |

pub mod command;
pub mod lines;
pub mod overlay;
pub mod path;
pub mod tree;
