// SPDX-License-Identifier: GPL-2.0

//! `klp build`: from a fix, as a source diff, to a livepatch.
//!
//! | | |
//! | --- | --- |
//! | [`proof`] | whether an object is a part of the kernel, and where |
//! | [`world`] | what the comparison of objects has to know of the kernel |

pub mod proof;
pub mod world;
