// SPDX-License-Identifier: GPL-2.0

//! Patches: what is enabled, what replaces what, and how the system gets from one state to the
//! next.
//!
//! | file | subject |
//! | --- | --- |
//! | [`registry`] | all patches, under one lock |
//! | [`model`] | one patch, its objects and functions |
//! | [`debugfs`] | `/sys/kernel/debug/livepatch` |
//! | [`enable`] | `klp_enable_patch()` |
//! | [`object`] | patching and unpatching one object |
//! | [`parts`] | what the compiler has split off from functions |
//! | [`redirects`] | which function runs in place of which |
//! | [`ways`] | how calls get there: trampolines and handlers |
//! | [`transition`] | switching over, at once and only when it is safe |
//! | [`consistency`] | who is in the way of that, and the switch itself |
//! | [`replace`] | patches that replace all earlier ones |
//! | [`kept`] | modules that tasks were forced out of |
//! | [`settle`] | after a transition: nothing is decided at calls any more |
//! | [`retire`] | freeing patches that are done with |
//! | [`state`] | system states and who may change them |
//! | [`survey`] | looking at tasks before processors are stopped |
//! | [`sysfs`] | `/sys/kernel/livepatch` |
//! | [`modules`] | targets that come and go |

pub(crate) mod consistency;
pub(crate) mod debugfs;
pub(crate) mod enable;
pub(crate) mod kept;
pub(crate) mod model;
pub(crate) mod modules;
pub(crate) mod object;
pub(crate) mod parts;
pub(crate) mod redirects;
pub(crate) mod registry;
pub(crate) mod replace;
pub(crate) mod retire;
pub(crate) mod settle;
pub(crate) mod state;
pub(crate) mod survey;
pub(crate) mod sysfs;
pub(crate) mod transition;
pub(crate) mod ways;
