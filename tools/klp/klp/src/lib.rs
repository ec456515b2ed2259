// SPDX-License-Identifier: GPL-2.0

//! What the `klp` command consists of; `main.rs` only starts it.
//!
//! | | |
//! | --- | --- |
//! | [`cli`], [`commands`] | the command line, and a module for each command |
//! | [`console`], [`terminal`] | what commands say |
//! | [`system`], [`transition`] | the machine whose kernel is patched, and waiting for it |
//! | [`file`](mod@file) | reading modules and kernels |
//! | [`knowledge`], [`symbols`], [`resolve`] | what is known of a kernel and its modules |
//! | [`prototype`] | the types of its functions |
//! | [`build`], [`convert`], [`lint`] | making and checking livepatches |

pub mod authors;
pub mod build;
pub mod callsites;
pub mod cli;
pub mod clones;
pub mod commands;
pub mod console;
pub mod convert;
pub mod debug_info;
pub mod description;
pub mod file;
pub mod knowledge;
pub mod lint;
pub mod object_name;
pub mod prototype;
pub mod reference;
pub mod resolve;
mod signals;
pub mod similar;
pub mod symbols;
pub mod symvers;
pub mod system;
pub mod terminal;
pub mod transition;
pub mod vermagic;
