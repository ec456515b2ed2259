// SPDX-License-Identifier: GPL-2.0

//! What the `klp` command consists of; `main.rs` only wires it.

pub mod authors;
pub mod boot;
pub mod build;
pub mod callsites;
pub mod clones;
pub mod completions;
pub mod convert;
pub mod debug_info;
pub mod description;
pub mod elf;
pub mod inspect;
pub mod kernel;
pub mod knowledge;
pub mod lint;
pub mod module;
pub mod new;
pub mod object_name;
pub mod ops;
pub mod reference;
pub mod resolve;
pub mod similar;
pub mod symbols;
pub mod symvers;
pub mod system;
pub mod terminal;
pub mod vermagic;
