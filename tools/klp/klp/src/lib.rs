// SPDX-License-Identifier: GPL-2.0

//! What the `klp` command consists of; `main.rs` only wires it.

pub mod callsites;
pub mod convert;
pub mod description;
pub mod elf;
pub mod inlined;
pub mod inspect;
pub mod lint;
pub mod module;
pub mod object_name;
pub mod reference;
pub mod resolve;
pub mod similar;
pub mod symbols;
pub mod symvers;
pub mod terminal;
pub mod vermagic;
