// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`tree`] | where a kernel's source is |
//! | [`command`] | the commands that kbuild recorded |

pub mod command;
pub mod path;
pub mod tree;
