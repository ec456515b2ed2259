// SPDX-License-Identifier: GPL-2.0

//! Reading modules and kernels.
//!
//! | | |
//! | --- | --- |
//! | [`module_file`] | the file of a module, however it is compressed |
//! | [`module`] | a module as it is, whatever is wrong with it |
//! | [`elf`] | a module that is to be written again |
//! | [`kernel`] | a kernel, or a list of its symbols |

pub mod elf;
pub mod kernel;
pub mod module;
pub mod module_file;
