// SPDX-License-Identifier: GPL-2.0

//! Ctrl-C while the kernel inserts a module. It is for the whole process, so this test has one of
//! its own.

use klp::cli::Context;
use klp::commands::load;
use klp::console::Console;
use klp::system::kernel::Kernel;
use klp::system::System;
use klp::transition::interrupt::Interrupted;
use klp::transition::TransitionArgs;
use livepatch_fixtures::{Arch, Module};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook::low_level::raise;
use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A kernel that is told to insert something just before somebody presses Ctrl-C.
#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Vec<String>>>);

impl Fake {
    fn told(&self, what: &str) {
        self.0.borrow_mut().push(what.to_owned());
    }
}

impl Kernel for Fake {
    fn is_root(&self) -> bool {
        true
    }

    fn insert(&self, _module: &File, _parameters: &CStr, _compressed: bool) -> io::Result<()> {
        self.told("insert");
        // The thread that raises it has taken it when this returns.
        raise(SIGINT)
    }

    fn insert_bytes(&self, _module: &[u8], _parameters: &CStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, name: &CStr) -> io::Result<()> {
        self.told(&format!("remove {}", name.to_string_lossy()));
        Ok(())
    }

    fn interrupt(&self, _task: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> Option<Duration> {
        None
    }
}

#[test]
fn ctrl_c_while_livepatch_ko_is_inserted_keeps_the_patch_out() {
    // Whoever runs the tests may ignore it, and klp does then, too.
    flag::register(SIGINT, Arc::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, info) in [("livepatch", ""), ("a", "MODULE_INFO(livepatch, \"Y\");")] {
        let bytes = Module::new(Arch::X86_64, name).source("a.c", info).build();
        fs::write(dir.path().join(format!("{name}.ko")), bytes).unwrap();
    }
    let fake = Fake::default();
    let mut context = Context {
        system: System::new(dir.path(), Box::new(fake.clone())),
        console: Console::new(Box::new(io::sink()), Box::new(io::sink()), None),
    };
    let args = load::Args {
        file: Some(dir.path().join("a.ko")),
        all: false,
        parameters: Vec::new(),
        core: Some(dir.path().join("livepatch.ko")),
        replace_loaded: false,
        prune: false,
        transition: TransitionArgs::default(),
    };
    let error = load::run(&args, &mut context).unwrap_err();
    assert!(error.is::<Interrupted>(), "{error:#}");
    assert_eq!(*fake.0.borrow(), ["insert", "remove livepatch"]);
}
