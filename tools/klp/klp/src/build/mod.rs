// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`kdir`], [`prepare`], [`make`] | what modules are built against, and a build directory |
//! | [`modules`] | the files of target modules |
//! | [`link`], [`finish`], [`sign`] | from the new functions to the livepatch |
//! | [`report`], [`progress`] | what is said of it |

pub mod finish;
pub mod kdir;
pub mod link;
pub mod make;
pub mod modules;
pub mod prepare;
pub mod progress;
pub mod report;
pub mod sign;
