// SPDX-License-Identifier: GPL-2.0

//! The commands that are used where the kernel is patched, with a directory in place of a system
//! and a kernel that does what it is told.

use assert_cmd::Command;
use klp::cli::{Context, Outcome};
use klp::commands::{
    boot, disable, enable, force, list, load, prune, signal, status, unload, wait, OutArgs,
};
use klp::console::Console;
use klp::system::kernel::Kernel;
use klp::system::System;
use klp::transition::{TransitionArgs, WaitArgs};
use livepatch_fixtures::boot_image::Packing;
use livepatch_fixtures::{Arch, Module};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What happens in the system when a module is inserted or removed, or when klp begins to wait.
type Action = Box<dyn Fn(&Tree) -> io::Result<()>>;

/// What a kernel was told, and what it will do.
#[derive(Default)]
struct Script {
    told: Vec<String>,
    inserts: VecDeque<Action>,
    removes: VecDeque<Action>,
    waits: VecDeque<Action>,
}

/// A system's files.
#[derive(Clone)]
struct Tree(PathBuf);

struct Fake {
    tree: Tree,
    root: bool,
    script: Rc<RefCell<Script>>,
}

impl Fake {
    fn act(&self, told: String, which: fn(&mut Script) -> &mut VecDeque<Action>) -> io::Result<()> {
        self.script.borrow_mut().told.push(told);
        let action = which(&mut self.script.borrow_mut()).pop_front();
        action.map_or(Ok(()), |action| action(&self.tree))
    }
}

impl Kernel for Fake {
    fn is_root(&self) -> bool {
        self.root
    }

    fn insert(&self, module: &File, parameters: &CStr, compressed: bool) -> io::Result<()> {
        let parameters = parameters.to_str().unwrap();
        assert_ne!(module.metadata().unwrap().len(), 0);
        self.act(
            format!(
                "insert [{parameters}]{}",
                if compressed { " compressed" } else { "" }
            ),
            |script| &mut script.inserts,
        )
    }

    fn insert_bytes(&self, module: &[u8], parameters: &CStr) -> io::Result<()> {
        assert!(module.starts_with(b"\x7fELF"));
        let parameters = parameters.to_str().unwrap();
        self.act(format!("insert [{parameters}] unpacked"), |script| {
            &mut script.inserts
        })
    }

    fn remove(&self, name: &CStr) -> io::Result<()> {
        self.act(format!("remove {}", name.to_str().unwrap()), |script| {
            &mut script.removes
        })
    }

    fn interrupt(&self, task: i32) -> io::Result<()> {
        self.script
            .borrow_mut()
            .told
            .push(format!("interrupt {task}"));
        Ok(())
    }

    fn now(&self) -> Option<Duration> {
        // klp asks how old a transition is when it begins to wait for its end.
        let action = self.script.borrow_mut().waits.pop_front();
        if let Some(action) = action {
            action(&self.tree).unwrap();
        }
        Some(Duration::from_secs(100))
    }
}

impl Tree {
    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // At once, as the kernel does: who reads it meanwhile sees no part of it.
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }

    fn append(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn patch(&self, name: &str, enabled: u8, transition: u8, functions: &[&str]) {
        let top = format!("sys/kernel/livepatch/{name}");
        self.write(&format!("{top}/enabled"), &format!("{enabled}\n"));
        self.write(&format!("{top}/transition"), &format!("{transition}\n"));
        self.write(&format!("{top}/force"), "");
        self.write(&format!("{top}/replace"), "0\n");
        self.write(&format!("{top}/stack_order"), "1\n");
        for function in functions {
            let object = function.split('/').next().unwrap();
            self.write(&format!("{top}/{object}/patched"), "1\n");
            fs::create_dir_all(self.0.join(&top).join(function)).unwrap();
        }
    }

    fn set(&self, name: &str, file: &str, value: &str) {
        self.write(&format!("sys/kernel/livepatch/{name}/{file}"), value);
    }

    fn get(&self, name: &str, file: &str) -> String {
        let text = self.read(&format!("sys/kernel/livepatch/{name}/{file}"));
        text.trim_end().to_owned()
    }

    fn remove_patch(&self, name: &str) {
        // At once, as sysfs does: who sees a part of it gone may make it anew.
        let gone = tempfile::tempdir_in(&self.0).unwrap();
        let patch = self.0.join("sys/kernel/livepatch").join(name);
        fs::rename(patch, gone.path().join(name)).unwrap();
    }

    fn blockers(&self, name: &str, text: &str) {
        self.write(&format!("sys/kernel/debug/livepatch/{name}/blockers"), text);
    }

    fn phase(&self, name: &str, phase: &str) {
        self.write(
            &format!("sys/kernel/debug/livepatch/{name}/phase"),
            &format!("{phase}\n"),
        );
    }

    /// A task of mainline's core, with its state and stack.
    fn task(&self, pid: i32, state: &str, name: &str, stack: &str) {
        let directory = format!("proc/{pid}/task/{pid}");
        self.write(&format!("{directory}/patch_state"), &format!("{state}\n"));
        self.write(&format!("{directory}/comm"), &format!("{name}\n"));
        self.write(&format!("{directory}/stack"), stack);
        self.stat(pid, name, 'S', 0x400000);
    }

    fn stat(&self, pid: i32, name: &str, state: char, flags: u64) {
        let text = format!("{pid} ({name}) {state} 1 1 1 0 -1 {flags} 0 0\n");
        self.write(&format!("proc/{pid}/stat"), &text);
    }

    fn modules(&self, lines: &[&str]) {
        self.write("proc/modules", &format!("{}\n", lines.join("\n")));
    }

    /// As mainline's core starts.
    fn mainline(&self) {
        fs::create_dir_all(self.0.join("sys/kernel/livepatch")).unwrap();
    }

    /// Does something once a patch's file has that value.
    fn once<T: Send + 'static>(
        &self,
        (name, file, value): (&'static str, &'static str, &'static str),
        action: impl FnOnce(&Tree) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let tree = self.clone();
        thread::spawn(move || {
            // The patch may not be there yet.
            let path = tree.0.join(format!("sys/kernel/livepatch/{name}/{file}"));
            for _ in 0..3000 {
                if fs::read_to_string(&path).is_ok_and(|text| text.trim_end() == value) {
                    return action(&tree);
                }
                thread::sleep(Duration::from_millis(10));
            }
            panic!("{name}/{file} is not {value} after 30 s");
        })
    }
}

/// Text that is written, kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// A system for one test.
struct Case {
    _dir: TempDir,
    tree: Tree,
    root: bool,
    script: Rc<RefCell<Script>>,
    out: Kept,
    err: Kept,
    width: Option<usize>,
}

impl Case {
    fn new() -> Self {
        Case::of(true)
    }

    fn of(root: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree(dir.path().to_owned());
        tree.write("proc/sys/kernel/osrelease", "7.3.4-test\n");
        tree.write("proc/sys/kernel/tainted", "0\n");
        tree.write("proc/uptime", "100.00 50.00\n");
        tree.write("proc/modules", "");
        tree.write("dev/kmsg", "6,1,1000000,-;livepatch: of old\n");
        let script = Rc::new(RefCell::new(Script::default()));
        Case {
            root,
            _dir: dir,
            tree,
            script,
            out: Kept::default(),
            err: Kept::default(),
            width: None,
        }
    }

    fn console(&self) -> Console {
        Console::new(
            Box::new(self.out.clone()),
            Box::new(self.err.clone()),
            self.width,
        )
    }

    fn context(&self) -> Context {
        self.with(self.console())
    }

    fn with(&self, console: Console) -> Context {
        let kernel = Fake {
            tree: self.tree.clone(),
            root: self.root,
            script: self.script.clone(),
        };
        Context {
            system: System::new(&self.tree.0, Box::new(kernel)),
            console,
        }
    }

    fn on_insert(&self, action: impl Fn(&Tree) -> io::Result<()> + 'static) {
        self.script.borrow_mut().inserts.push_back(Box::new(action));
    }

    fn on_remove(&self, action: impl Fn(&Tree) -> io::Result<()> + 'static) {
        self.script.borrow_mut().removes.push_back(Box::new(action));
    }

    /// What happens when klp has reversed a transition: it then waits for the second time.
    fn on_reversal(&self, action: impl Fn(&Tree) -> io::Result<()> + 'static) {
        let waits = &mut self.script.borrow_mut().waits;
        waits.push_back(Box::new(|_| Ok(())));
        waits.push_back(Box::new(action));
    }

    fn told(&self) -> Vec<String> {
        self.script.borrow().told.clone()
    }

    /// A module's file, which may say that it is a livepatch.
    fn module(&self, name: &str, livepatch: bool) -> PathBuf {
        self.module_with(name, livepatch, "")
    }

    /// The same, with more that it says of itself.
    fn module_with(&self, name: &str, livepatch: bool, more: &str) -> PathBuf {
        self.module_for("9.9.9", name, livepatch, more)
    }

    /// The same, for a kernel of this release.
    fn module_for(&self, release: &str, name: &str, livepatch: bool, more: &str) -> PathBuf {
        let info = if livepatch {
            "MODULE_INFO(livepatch, \"Y\");"
        } else {
            ""
        };
        let text = format!(
            "MODULE_INFO(vermagic, \"{release} SMP \");
             MODULE_INFO(parmtype, \"a:int\");
             MODULE_INFO(parm, \"b_c:what it is for\");
             {info}{more}"
        );
        let bytes = Module::new(Arch::X86_64, name).source("a.c", &text).build();
        let path = self.tree.0.join(format!("{}.ko", name.replace('_', "-")));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Installs a livepatch for the kernel that runs.
    fn install(&self, name: &str, more: &str) -> PathBuf {
        self.install_made_for("7.3.4-test", name, more)
    }

    /// The same, whichever kernel it is made for. One that is there already keeps its place.
    fn install_made_for(&self, release: &str, name: &str, more: &str) -> PathBuf {
        let file = self.module_for(release, name, true, more);
        let store = self.tree.0.join("var/lib/livepatch-rs/7.3.4-test/patches");
        fs::create_dir_all(&store).unwrap();
        let entries = fs::read_dir(&store).unwrap();
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let end = format!("-{name}.ko");
        let path = paths
            .iter()
            .find(|path| path.to_str().unwrap().ends_with(&end))
            .cloned()
            .unwrap_or_else(|| store.join(format!("{:04}{end}", paths.len() + 1)));
        fs::rename(file, &path).unwrap();
        path
    }

    fn load(&self, args: load::Args) -> anyhow::Result<Outcome> {
        load::run(&args, &mut self.context())
    }

    fn refuse(&self, args: load::Args) -> String {
        format!("{:#}", self.load(args).unwrap_err())
    }

    fn core(&self, place: &str) {
        let path = self.tree.0.join("lib/modules/7.3.4-test").join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(self.module("livepatch", false), path).unwrap();
    }
}

/// Long enough for everything, but no test waits for ever.
fn patiently() -> WaitArgs {
    for_seconds(60.0)
}

fn load_args(file: &Path) -> load::Args {
    load::Args {
        file: Some(file.to_owned()),
        all: false,
        parameters: Vec::new(),
        core: None,
        replace_loaded: false,
        prune: false,
        transition: patient_transition(),
    }
}

fn patient_transition() -> TransitionArgs {
    TransitionArgs {
        wait: patiently(),
        ..Default::default()
    }
}

fn for_seconds(seconds: f64) -> WaitArgs {
    WaitArgs {
        timeout: Some(Duration::from_secs_f64(seconds)),
        signal: false,
    }
}

fn with_signals() -> WaitArgs {
    WaitArgs {
        signal: true,
        ..patiently()
    }
}

fn out_args(names: &[&str]) -> OutArgs {
    OutArgs {
        patches: names.iter().map(|&name| name.to_owned()).collect(),
        all: false,
        transition: patient_transition(),
    }
}

fn disable_args(name: &str) -> disable::Args {
    disable::Args {
        out: out_args(&[name]),
    }
}

fn enable_args(name: &str) -> enable::Args {
    enable::Args {
        patch: name.to_owned(),
        transition: patient_transition(),
    }
}

fn unload_args(name: &str) -> unload::Args {
    unload::Args {
        out: out_args(&[name]),
    }
}

fn wait_args(name: Option<&str>, wait: WaitArgs) -> wait::Args {
    wait::Args {
        patch: name.map(str::to_owned),
        json: false,
        wait,
    }
}

fn signal_args(name: Option<&str>) -> signal::Args {
    signal::Args {
        patch: name.map(str::to_owned),
    }
}

fn enables(name: &'static str) -> impl Fn(&Tree) -> io::Result<()> {
    move |tree| {
        tree.patch(name, 1, 0, &["vmlinux/f,1"]);
        Ok(())
    }
}

fn fails(errno: Errno, log: &'static str) -> impl Fn(&Tree) -> io::Result<()> {
    move |tree| {
        tree.append("dev/kmsg", log);
        Err(errno.into())
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

//
// list and status
//

/// Three patches: one that is done, one in transition, and one that is disabled.
fn patched() -> Case {
    let case = Case::new();
    let tree = &case.tree;
    tree.modules(&[
        "gone_patch 16384 0 - Live 0x0 (OK)",
        "second 16384 1 - Live 0x0 (OK)",
        "first 16384 1 - Live 0x0 (OK)",
        "ordinary 16384 0 - Live 0x0 (O)",
        "livepatch 16384 3 gone_patch,second,first, Live 0x0 (O)",
    ]);
    tree.write("sys/module/livepatch/version", "0.1.0\n");
    tree.patch(
        "second",
        0,
        1,
        &["ext4/a,1", "ext4/b.isra.0,2", "vmlinux/c,1"],
    );
    tree.set("second", "stack_order", "2\n");
    tree.set("second", "replace", "1\n");
    tree.set("second", "ext4/patched", "0\n");
    tree.patch("first", 1, 0, &["vmlinux/d,1"]);
    tree.append(
        "dev/kmsg",
        "5,7,30000000,-;livepatch: 'second': starting patching transition\n\
         5,8,35000000,-;livepatch: 'second': starting unpatching transition\n\
         5,8,35000001,-;livepatch: 'first': starting patching transition\n",
    );
    tree.blockers(
        "second",
        "12 cat c\n7 a b (unreliable stack)\n8 dog [second]\nand 3 more\n",
    );
    tree.phase("second", "switched");
    tree.stat(12, "cat", 'D', 0x40_0000);
    tree.write("proc/12/wchan", "io_schedule");
    tree.stat(8, "dog", 'S', 0x40_0000);
    tree.write("proc/8/wchan", "0");
    case.install(
        "first",
        "MODULE_INFO(description, \"Fixes d\"); MODULE_INFO(version, \"1.2\");
         MODULE_INFO(srcversion, \"ABCD\");
         static const char authors[] __attribute__((section(\".modinfo\"), used)) =
             \"author=A\\0author=B\";",
    );
    tree.write("sys/module/first/version", "1.2\n");
    tree.write("sys/module/first/srcversion", "ABCD\n");
    tree.write("sys/module/second/srcversion", "1234\n");
    case.install("spare", "MODULE_INFO(description, \"For later\");");
    case
}

#[test]
fn list_is_a_table() {
    let case = patched();
    let args = list::Args { json: false };
    list::run(&args, &mut case.context()).unwrap();
    let text = case.out.text();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "PATCH       STATE                     ORDER  REPLACE  OBJECTS       FUNCTIONS",
            "first       enabled                   1      no       vmlinux       1",
            "second      disabling for 1 min 05 s  2      yes      ext4,vmlinux  3",
            "gone_patch  disabled                  -      -        -             -",
            "spare       installed, not loaded     -      -        -             -",
        ]
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn list_and_status_in_json_are_as_documented() {
    let case = patched();
    let args = list::Args { json: true };
    list::run(&args, &mut case.context()).unwrap();
    assert_eq!(case.out.text(), include_str!("golden/list.json"));

    let case = patched();
    let args = status::Args {
        patch: None,
        json: true,
    };
    status::run(&args, &mut case.context()).unwrap();
    let golden = include_str!("golden/status.json");
    assert_eq!(case.out.text(), golden);
    let document = include_str!("../../../../Documentation/livepatch/klp-json.md");
    assert!(document.contains(&format!("```json\n{golden}```")));
}

fn status_text(case: &Case, name: Option<&str>) -> String {
    let args = status::Args {
        patch: name.map(str::to_owned),
        json: false,
    };
    status::run(&args, &mut case.context()).unwrap();
    case.out.text()
}

#[test]
fn status_tells_all() {
    let text = status_text(&patched(), Some("second"));
    assert_eq!(
        text,
        "core: livepatch.ko, version 0.1.0\n\
         \n\
         second: disabling for 1 min 05 s, order 2, replace yes\n\
         \x20 srcversion: 1234\n\
         \x20 ext4: not patched\n\
         \x20   a,1: not in effect\n\
         \x20   b.isra.0,2: not in effect\n\
         \x20 vmlinux: patched\n\
         \x20   c,1: out of effect, but for 6 tasks\n\
         \x20 out of effect, but for 6 tasks:\n\
         \x20   12 cat in c() (sleeping uninterruptibly in io_schedule())\n\
         \x20   7 a b with a stack that is not reliable\n\
         \x20   8 dog in the code of second (sleeping)\n\
         \x20   and 3 more\n\
         \x20 'klp signal second' interrupts 8.\n\
         \x20 No signal interrupts 12: what it sleeps for has to come (/proc/12/stack shows where), and 'kill -9' ends some of these sleeps.\n\
         \x20 'klp enable second' reverses the transition, and the patch is in effect again.\n\
         \x20 'klp force second' is the last resort: tasks in the way would go on in the patch's functions while all others call the original ones; the patch could be neither unloaded nor loaded again until the next boot.\n\
         \x20 More of each kind: \"When a transition does not end\" in Documentation/livepatch/operating.md of livepatch-rs, also in share/doc/livepatch-rs.\n"
    );
}

#[test]
fn status_tells_the_phase_and_counts_the_tasks() {
    let case = Case::new();
    case.tree.patch("p", 1, 1, &["vmlinux/f,1"]);
    let status = |enabled, phase, blockers| {
        case.tree.set("p", "enabled", enabled);
        case.tree.phase("p", phase);
        case.tree.blockers("p", blockers);
        case.out.0.borrow_mut().clear();
        let text = status_text(&case, Some("p"));
        let (_, text) = text.split_once("    f,1: ").unwrap();
        let (effect, text) = text.split_once('\n').unwrap();
        let (text, reversal) = text.trim_end().rsplit_once('\n').unwrap();
        has(reversal, &["p' reverses the transition"]);
        (effect.to_owned(), format!("{text}\n"))
    };
    let one = "204 cat foo_read\n";
    let many = "204 cat foo_read\n205 cat foo_read\nand 1998 more\n";
    let task = "    204 cat in foo_read()\n";
    let tasks = format!("{task}    205 cat in foo_read()\n    and 1998 more\n");
    let unknown = "it is not known whether it is in effect";
    case.tree.modules(&["livepatch 1 0 - Live 0x0 (O)"]);
    for (enabled, phase, effect, singular, plural) in [
        (
            "1",
            "switched",
            "in effect, but for 1 task",
            "in effect, but for 1 task:",
            "in effect, but for 2000 tasks:",
        ),
        (
            "0",
            "switched",
            "out of effect, but for 1 task",
            "out of effect, but for 1 task:",
            "out of effect, but for 2000 tasks:",
        ),
        (
            "1",
            "waiting",
            "not in effect yet",
            "not in effect yet, 1 task is in the way:",
            "not in effect yet, 2000 tasks are in the way:",
        ),
        (
            "0",
            "waiting",
            "still in effect",
            "still in effect, 1 task is in the way:",
            "still in effect, 2000 tasks are in the way:",
        ),
        // The transition begins or ends just now, or it is a word of the future.
        ("1", "none", unknown, "in the way:", "in the way:"),
        ("0", "else", unknown, "in the way:", "in the way:"),
    ] {
        let (of_function, text) = status(enabled, phase, one);
        assert_eq!(text, format!("  {singular}\n{task}"));
        assert_eq!(of_function, effect);
        let (_, text) = status(enabled, phase, many);
        assert_eq!(text, format!("  {plural}\n{tasks}"));
    }
    let (_, text) = status("1", "switched", "");
    assert_eq!(text, "  in effect, no task is seen in the way\n");
    let (_, text) = status("1", "none", "");
    assert_eq!(text, "  no task is seen in the way\n");
}

/// What status says of `f` in the lower one of two patches, while the upper one is like that.
fn lower(state: (u8, u8), phase: Option<&str>, replace: bool) -> (String, serde_json::Value) {
    let case = Case::new();
    if phase.is_some() {
        case.tree.modules(&["livepatch 1 0 - Live 0x0 (O)"]);
    }
    case.tree.patch("lower", 1, 0, &["vmlinux/f,1"]);
    let function = if replace {
        "vmlinux/g,1"
    } else {
        "vmlinux/f,1"
    };
    case.tree.patch("upper", state.0, state.1, &[function]);
    case.tree.set("upper", "stack_order", "2\n");
    case.tree
        .set("upper", "replace", if replace { "1\n" } else { "0\n" });
    case.tree.blockers("upper", "204 cat f\n205 cat f\n");
    if let Some(phase) = phase {
        case.tree.phase("upper", phase);
    }
    let text = status_text(&case, Some("lower"));
    let (_, text) = text.split_once("    f,1: ").unwrap();
    case.out.0.borrow_mut().clear();
    let args = status::Args {
        patch: Some("lower".to_owned()),
        json: true,
    };
    status::run(&args, &mut case.context()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
    let function = json["patches"][0]["objects"][0]["functions"][0].clone();
    (text.trim_end().to_owned(), function)
}

#[test]
fn status_tells_which_of_two_patches_is_in_effect() {
    for (state, phase, text, in_effect) in [
        (
            (1, 0),
            Some("none"),
            "not in effect, overridden by upper",
            "none",
        ),
        ((1, 1), Some("waiting"), "in effect", "all"),
        (
            (1, 1),
            Some("switched"),
            "in effect for 2 tasks, overridden by upper for the others",
            "some",
        ),
        (
            (0, 1),
            Some("waiting"),
            "not in effect, overridden by upper",
            "none",
        ),
        (
            (0, 1),
            Some("switched"),
            "in effect, but for 2 tasks, overridden by upper for these",
            "some",
        ),
        // Mainline's core has no phases: it moves one task after the other.
        (
            (1, 1),
            None,
            "in effect for some tasks, overridden by upper for the others",
            "some",
        ),
    ] {
        for replace in [false, true] {
            let (said, function) = lower(state, phase, replace);
            assert_eq!(said, text);
            assert_eq!(function["in_effect"], in_effect, "{text}");
            let by = if in_effect == "all" {
                None
            } else {
                Some("upper")
            };
            assert_eq!(function["overridden_by"].as_str(), by, "{text}");
        }
    }
}

#[test]
fn what_is_being_inserted_is_not_disabled() {
    let case = Case::new();
    case.tree
        .modules(&["coming 1 1 - Loading 0x0 (OK)", "gone 1 0 - Live 0x0 (OK)"]);
    let text = status_text(&case, None);
    assert!(!text.contains("coming"), "{text}");
    has(&text, &["gone: disabled"]);
    let error = disable::run(&disable_args("coming"), &mut case.context()).unwrap_err();
    has(
        &error.to_string(),
        &["coming is being inserted, or removed"],
    );
    let file = case.module("coming", true);
    for replace_loaded in [false, true] {
        let mut args = load_args(&file);
        args.replace_loaded = replace_loaded;
        has(
            &case.refuse(args),
            &["coming is being inserted, or removed"],
        );
    }
}

#[test]
fn where_the_kernel_does_not_say_the_order_the_modules_do() {
    let case = Case::new();
    case.tree
        .modules(&["a 1 1 - Live 0x0 (K)", "b 1 1 - Live 0x0 (K)"]);
    for name in ["a", "b"] {
        case.tree.patch(name, 1, 0, &["vmlinux/f,1"]);
        let order = format!("sys/kernel/livepatch/{name}/stack_order");
        fs::remove_file(case.tree.0.join(order)).unwrap();
    }
    let text = status_text(&case, None);
    let (b, a) = text.split_once("\na: ").unwrap();
    has(b, &["b: enabled", "f,1: not in effect, overridden by a"]);
    has(a, &["f,1: in effect\n"]);
}

#[test]
fn status_tells_what_the_file_of_the_same_build_says() {
    let case = patched();
    let text = status_text(&case, Some("first"));
    has(
        &text,
        &["\nfirst: enabled, order 1, replace no, installed\n\
           \x20 description: Fixes d\n\
           \x20 version: 1.2\n\
           \x20 srcversion: ABCD\n\
           \x20 author: A\n\
           \x20 author: B\n\
           \x20 vmlinux: patched\n"],
    );
    // Another build may say something else.
    case.tree.write("sys/module/first/srcversion", "ABCE\n");
    case.out.0.borrow_mut().clear();
    let text = status_text(&case, Some("first"));
    has(&text, &["  version: 1.2\n  srcversion: ABCE\n  vmlinux"]);

    // modprobe may know a file of it, under its name.
    let more = "MODULE_INFO(srcversion, \"1234\"); MODULE_INFO(description, \"Found\");";
    let file = case.module_with("second", true, more);
    let packed = Packing::Zstd.pack(&fs::read(file).unwrap());
    let extra = case.tree.0.join("lib/modules/7.3.4-test/extra");
    fs::create_dir_all(&extra).unwrap();
    fs::write(extra.join("second.ko.zst"), packed).unwrap();
    has(
        &status_text(&case, Some("second")),
        &["\n  description: Found\n  srcversion: 1234\n"],
    );
}

#[test]
fn status_tells_that_another_build_is_installed() {
    let case = patched();
    case.tree.write("sys/module/first/srcversion", "ABCE\n");
    has(
        &status_text(&case, Some("first")),
        &["\nfirst: enabled, order 1, replace no, another build is installed\n\
           \x20 the next boot loads the installed build; 'klp load --replace-loaded first' loads it now\n"],
    );
    case.out.0.borrow_mut().clear();
    let args = status::Args {
        patch: Some("first".to_owned()),
        json: true,
    };
    status::run(&args, &mut case.context()).unwrap();
    has(&case.out.text(), &["\"is_installed_build\": false"]);
}

#[test]
fn status_tells_that_the_kernel_keeps_a_module() {
    let case = patched();
    let said = |lines: &[&str]| {
        case.tree.modules(lines);
        case.out.0.borrow_mut().clear();
        status_text(&case, Some("gone_patch"))
    };
    let kept = "gone_patch: disabled\n  the kernel keeps its module: ";
    has(&said(&["gone_patch 16384 1 - Live 0x0 (OK)"]), &[kept]);
    for (line, outlook) in [
        ("0 -", "'klp unload gone_patch' removes its module"),
        (
            "1 user,",
            "its module cannot be removed: it is used by user",
        ),
        (
            "- -",
            "its module cannot be removed: this kernel removes no modules",
        ),
    ] {
        let text = said(&[&format!("gone_patch 16384 {line} Live 0x0 (OK)")]);
        assert!(!text.contains("keeps"), "{text}");
        has(&text, &[&format!("gone_patch: disabled\n  {outlook}")]);
    }
}

/// A system with a patch that is enabled, and the modules of two that are not: one that tasks were
/// forced out of, and another one.
fn forced() -> Case {
    let case = Case::new();
    case.tree.patch("first", 1, 0, &["vmlinux/f,1"]);
    case.tree.modules(&[
        "livepatch 1 3 first,kept,left, Live 0x0 (O)",
        "kept 1 1 - Live 0x0 (OK)",
        "left 1 0 - Live 0x0 (OK)",
        "first 1 1 - Live 0x0 (OK)",
    ]);
    case.tree
        .write("sys/kernel/debug/livepatch/kept-modules", "kept\n");
    case
}

/// What is said of a module that tasks were forced out of.
const UNTIL_BOOT: &str = "tasks were forced out of it and may still run its code, so that the kernel keeps its module until the next boot";
const WAY_OUT: &str =
    "; a livepatch of another name can be loaded ('klp build --name NAME' makes one)";

#[test]
fn what_tasks_were_forced_out_of_is_kept_until_the_next_boot() {
    let case = forced();
    let text = status_text(&case, Some("kept"));
    let kept = format!("kept: disabled, kept until boot\n  {UNTIL_BOOT}{WAY_OUT}\n");
    has(&text, &[&kept]);
    case.out.0.borrow_mut().clear();
    let text = status_text(&case, Some("left"));
    has(&text, &["left: disabled\n  'klp unload left' removes"]);
    case.out.0.borrow_mut().clear();
    list::run(&list::Args { json: false }, &mut case.context()).unwrap();
    has(&case.out.text(), &["kept   disabled, kept until boot"]);

    // It is told at once: it would be removed when klp tries again.
    case.on_remove(|_| Err(Errno::AGAIN.into()));
    let error = unload::run(&unload_args("kept"), &mut case.context()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("kept is disabled, but its module cannot be removed: {UNTIL_BOOT}{WAY_OUT}")
    );
    let error = enable::run(&enable_args("kept"), &mut case.context()).unwrap_err();
    has(&error.to_string(), &[UNTIL_BOOT, WAY_OUT]);
    assert_eq!(case.told(), ["remove kept"]);
}

#[test]
fn nothing_is_loaded_in_place_of_a_module_that_is_kept_until_the_next_boot() {
    for replace_loaded in [false, true] {
        let case = forced();
        let mut args = load_args(&case.module("kept", true));
        args.replace_loaded = replace_loaded;
        let error = case.load(args).unwrap_err().to_string();
        has(&error, &["kept is loaded already", UNTIL_BOOT, WAY_OUT]);
        assert_eq!(case.told(), [""; 0]);
    }
}

#[test]
fn what_takes_all_leaves_out_what_is_kept_until_the_next_boot() {
    let said = format!("kept stays: {UNTIL_BOOT}\n");
    let case = forced();
    let outcome = prune::run(&prune::Args { json: false }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove left"]);
    assert_eq!(case.err.text(), said);

    let case = forced();
    let outcome = prune::run(&prune::Args { json: true }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
    assert_eq!(json["removed"], serde_json::json!(["left"]));
    assert_eq!(json["kept"][0]["name"], "kept");
    assert_eq!(json["kept"][0]["until_boot"], true);

    let case = forced();
    let mut out = out_args(&[]);
    out.all = true;
    let end = case.tree.once(("first", "enabled", "0"), |tree| {
        tree.remove_patch("first");
    });
    let outcome = unload::run(&unload::Args { out }, &mut case.context());
    end.join().unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove left", "remove first"]);
    assert_eq!(case.err.text(), said);

    let case = forced();
    fs::remove_dir_all(case.tree.0.join("sys/kernel/livepatch/first")).unwrap();
    case.tree.modules(&["kept 1 1 - Live 0x0 (OK)"]);
    let outcome = prune::run(&prune::Args { json: false }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.out.text(), "there is nothing else to remove\n");
}

#[test]
fn what_may_be_held_for_longer_comes_last() {
    let held = || {
        let case = Case::new();
        case.tree.modules(&[
            "user 1 0 - Live 0x0 (OK)",
            "used 1 1 user, Live 0x0 (OK)",
            "busy 1 1 - Live 0x0 (OK)",
            "left 1 0 - Live 0x0 (OK)",
        ]);
        case
    };
    let case = held();
    let mut out = out_args(&[]);
    out.all = true;
    let outcome = unload::run(&unload::Args { out }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    let order = ["remove left", "remove user", "remove busy", "remove used"];
    assert_eq!(case.told(), order);
    let case = held();
    let outcome = prune::run(&prune::Args { json: false }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    let order = ["remove user", "remove left", "remove used", "remove busy"];
    assert_eq!(case.told(), order);
}

#[test]
fn what_tasks_were_forced_out_of_is_kept_whoever_uses_it() {
    let case = forced();
    case.tree
        .modules(&["first 1 1 - Live 0x0 (OK)", "kept 1 2 first, Live 0x0 (OK)"]);
    has(
        &status_text(&case, Some("kept")),
        &["kept: disabled, kept until boot\n"],
    );
    let args = status::Args {
        patch: Some("kept".to_owned()),
        json: true,
    };
    status::run(&args, &mut case.context()).unwrap();
    has(
        &case.out.text(),
        &["\"is_kept\": true,", "\"is_kept_until_boot\": true,"],
    );
    case.tree.modules(&["kept 1 0 - Live 0x0 (OK)"]);
    case.out.0.borrow_mut().clear();
    has(
        &status_text(&case, Some("kept")),
        &["'klp unload kept' removes"],
    );
}

#[test]
fn prune_tells_in_json_what_is_not_known() {
    let case = Case::new();
    case.tree.modules(&["a 1 1 - Live 0x0 (OK)"]);
    case.on_remove(|_| Err(Errno::PERM.into()));
    let outcome = prune::run(&prune::Args { json: true }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Failed);
    let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
    assert_eq!(json["kept"][0]["until_boot"], serde_json::Value::Null);
}

#[test]
fn status_tells_what_was_enabled_by_force() {
    let case = Case::new();
    case.tree.patch("p", 1, 0, &["vmlinux/f,1"]);
    for (phase, is_told) in [("none", false), ("switched", false), ("forced", true)] {
        case.tree.phase("p", phase);
        case.out.0.borrow_mut().clear();
        let text = status_text(&case, Some("p"));
        assert_eq!(text.contains("\n  it was enabled by force: "), is_told);
    }
}

#[test]
fn status_names_the_child_of_a_vfork() {
    let case = Case::new();
    case.tree.patch("p", 1, 1, &["vmlinux/f,1"]);
    case.tree.blockers("p", "30 make f\n");
    case.tree.stat(30, "make", 'D', 0x40_0000);
    case.tree
        .write("proc/30/status", "Name:\tmake\nTgid:\t29\n");
    let child = |pid: i32, name: &str, state: char, parent: i32, flags: u64| {
        let text = format!("{pid} ({name}) {state} {parent} 1 1 0 -1 {flags} 0 0\n");
        case.tree.write(&format!("proc/{pid}/stat"), &text);
    };
    child(31, "other", 'S', 29, 0x40_0000);
    child(32, "sle) ep", 'S', 29, 0x40_0040);
    child(33, "grandchild", 'S', 32, 0x40_0040);
    child(34, "ended", 'Z', 29, 0x40_0040);
    for waits_in in ["io_schedule", "kernel_clone", "_do_fork.isra.0"] {
        case.tree.write("proc/30/wchan", waits_in);
        case.out.0.borrow_mut().clear();
        let text = status_text(&case, None);
        let is_vfork = waits_in != "io_schedule";
        let child = format!(
            "30 make in f() (sleeping uninterruptibly in {waits_in}(), as after vfork, for its child 32 sle) ep)\n"
        );
        assert_eq!(text.contains(&child), is_vfork, "{text}");
        let advice = "After vfork, 30 waits until the child executes a program or ends";
        assert_eq!(text.contains(advice), is_vfork, "{text}");
    }
    // Of two it is not known which one it waits for.
    child(35, "second", 'S', 29, 0x40_0040);
    case.out.0.borrow_mut().clear();
    let text = status_text(&case, None);
    assert!(!text.contains("vfork"), "{text}");
    has(&text, &["No signal interrupts 30: "]);
}

#[test]
fn status_tells_what_is_installed_only() {
    let case = Case::new();
    case.install("spare", "MODULE_INFO(description, \"For later\");");
    for name in [None, Some("spare")] {
        case.out.0.borrow_mut().clear();
        has(
            &status_text(&case, name),
            &["no livepatch is loaded\n\nspare: installed, not loaded\n  description: For later\n"],
        );
    }
    let error = enable::run(&enable_args("spare"), &mut case.context()).unwrap_err();
    has(
        &error.to_string(),
        &["spare is installed, but not loaded", "klp load spare"],
    );
}

#[test]
fn a_store_that_cannot_be_read_hides_no_patch() {
    let case = Case::new();
    case.tree.patch("p", 1, 0, &["vmlinux/f,1"]);
    case.tree
        .write("var/lib/livepatch-rs/7.3.4-test/patches", "");
    let args = list::Args { json: true };
    list::run(&args, &mut case.context()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
    assert_eq!(json["patches"][0]["name"], "p");
    assert_eq!(
        json["patches"][0].get("installed"),
        Some(&serde_json::Value::Null)
    );
    has(
        &case.err.text(),
        &["which patches are installed is not known"],
    );
}

#[test]
fn without_phases_nothing_is_said_of_them() {
    let case = patched();
    let phase = "sys/kernel/debug/livepatch/second/phase";
    fs::remove_file(case.tree.0.join(phase)).unwrap();
    let text = status_text(&case, Some("second"));
    has(
        &text,
        &[
            "\n    c,1: it is not known whether it is in effect\n  in the way:\n    12 cat in c() (sleeping ",
            "and 3 more",
        ],
    );

    let list = list::Args { json: true };
    let status = status::Args {
        patch: None,
        json: true,
    };
    for closely in [false, true] {
        case.out.0.borrow_mut().clear();
        if closely {
            status::run(&status, &mut case.context()).unwrap();
        } else {
            list::run(&list, &mut case.context()).unwrap();
        }
        let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
        let transition = &json["patches"][1]["transition"];
        assert_eq!(transition["seconds"], 65);
        assert_eq!(transition.get("phase"), Some(&serde_json::Value::Null));
    }
}

#[test]
fn nothing_loaded_is_no_error() {
    let case = Case::new();
    has(
        &status_text(&case, None),
        &["core: none", "no livepatch is loaded"],
    );
    case.tree.mainline();
    let args = list::Args { json: false };
    list::run(&args, &mut case.context()).unwrap();
    has(&case.out.text(), &["mainline's, of Linux 7.3.4-test"]);
}

#[test]
fn blockers_that_cannot_be_read_are_said_to_be_unknown() {
    let case = patched();
    let directory = case.tree.0.join("sys/kernel/debug/livepatch/second");
    fs::remove_file(directory.join("blockers")).unwrap();
    let text = status_text(&case, Some("second"));
    has(
        &text,
        &[
            "  out of effect, what is in the way is not known: ",
            "is debugfs mounted?",
        ],
    );
    fs::remove_file(directory.join("phase")).unwrap();
    let text = status_text(&case, Some("second"));
    has(
        &text,
        &["  what is in the way is not known: ", "is debugfs mounted?"],
    );

    fs::create_dir(directory.join("blockers")).unwrap();
    let text = status_text(&case, Some("second"));
    has(&text, &["in the way is not known", "directory"]);
}

#[test]
fn tasks_of_mainline_are_asked_for_their_state_and_stack() {
    let case = Case::new();
    let tree = &case.tree;
    tree.patch("my_patch", 1, 1, &["target/sleeper,1", "vmlinux/f,1"]);
    let stack = "[<0>] msleep+0x1/0x2\n[<0>] sleeper+0x10/0x20 [target]\n";
    tree.task(20, "0", "cat", stack);
    tree.task(21, "1", "done", stack);
    tree.task(22, "-1", "new", stack);
    tree.task(3, "0", "running one", "");
    tree.stat(3, "running one", 'R', 0x40_0000);
    tree.write("proc/20/wchan", "msleep");
    let text = status_text(&case, Some("my_patch"));
    has(
        &text,
        &["in the way:\n    3 running one not switched yet (running)\n    20 cat in sleeper() (sleeping in msleep())\n"],
    );
    assert!(!text.contains("done") && !text.contains("new"), "{text}");
}

#[test]
fn names_and_descriptions_do_not_move_the_cursor() {
    let case = Case::new();
    case.tree.patch("my_patch", 1, 1, &["vmlinux/f,1"]);
    case.tree.task(20, "0", "\x1b[2J\n0 \\ it", "");
    // As the kernel writes this one.
    case.tree.stat(20, "\x1b[2J\\n0 \\\\ it", 'S', 0x40_0000);
    case.install("spare", "MODULE_INFO(description, \"a\\x1b[2J\\nb\");");
    let text = status_text(&case, None);
    let name = "\\x1b[2J\\n0 \\\\ it";
    has(
        &text,
        &[
            &format!("    20 {name} not switched yet (sleeping)\n"),
            "  description: a\\u{1b}[2J\\nb\n",
        ],
    );
    signal::run(&signal_args(None), &mut case.context()).unwrap();
    assert_eq!(case.told(), ["interrupt 20"]);
    has(&case.out.text(), &[&format!("interrupted: 20 {name} ")]);
}

#[test]
fn what_vanishes_while_it_is_read_is_left_out() {
    let case = Case::new();
    case.tree.patch("stays", 1, 0, &["vmlinux/f,1"]);
    // What is being made, or removed: a directory without all of its files.
    fs::create_dir_all(case.tree.0.join("sys/kernel/livepatch/empty")).unwrap();
    case.tree.write("sys/kernel/livepatch/half/enabled", "1\n");

    let stop = Arc::new(AtomicBool::new(false));
    let (tree, stopped) = (case.tree.clone(), stop.clone());
    let churn = thread::spawn(move || {
        let mut rounds = 0;
        while !stopped.load(Ordering::Relaxed) || rounds < 50 {
            tree.patch("comes", 1, 1, &["vmlinux/f,1", "vmlinux/g,1"]);
            tree.task(5, "0", "x", "");
            tree.remove_patch("comes");
            fs::remove_dir_all(tree.0.join("proc/5")).unwrap();
            rounds += 1;
        }
    });
    for _ in 0..200 {
        let args = status::Args {
            patch: None,
            json: true,
        };
        case.out.0.borrow_mut().clear();
        status::run(&args, &mut case.context()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
        let patches = json["patches"].as_array().unwrap();
        let names: Vec<&str> = patches
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert!(names.contains(&"stays"), "{names:?}");
        assert!(!names.contains(&"empty") && !names.contains(&"half"));
    }
    stop.store(true, Ordering::Relaxed);
    churn.join().unwrap();
}

//
// wait
//

#[test]
fn wait_returns_at_once_without_a_transition() {
    let case = Case::new();
    case.tree.patch("first", 1, 0, &["vmlinux/f,1"]);
    for name in [None, Some("first")] {
        let args = wait_args(name, WaitArgs::default());
        let outcome = wait::run(&args, &mut case.context());
        assert_eq!(outcome.unwrap(), Outcome::Done);
    }
    assert_eq!(case.err.text(), "");
    let said = "no livepatch is in transition\nfirst is enabled\n";
    assert_eq!(case.out.text(), said);
    let args = wait_args(Some("other"), WaitArgs::default());
    let error = wait::run(&args, &mut case.context()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no patch other; loaded are: first"
    );
}

/// What a transition comes to each time that something is told of it.
struct Steps {
    tree: Tree,
    kept: Kept,
    steps: VecDeque<fn(&Tree)>,
}

impl Write for Steps {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.contains(&b'\n') {
            if let Some(step) = self.steps.pop_front() {
                step(&self.tree);
            }
        }
        self.kept.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Case {
    /// The context of a command, with these steps.
    fn stepwise<const COUNT: usize>(&self, steps: [fn(&Tree); COUNT]) -> Context {
        let err = Steps {
            tree: self.tree.clone(),
            kept: self.err.clone(),
            steps: steps.into(),
        };
        self.with(Console::new(
            Box::new(self.out.clone()),
            Box::new(err),
            self.width,
        ))
    }

    /// Waits until it is over, with these steps.
    fn waits<const COUNT: usize>(&self, args: &wait::Args, steps: [fn(&Tree); COUNT]) {
        let outcome = wait::run(args, &mut self.stepwise(steps));
        assert_eq!(outcome.unwrap(), Outcome::Done);
    }
}

/// A step that changes nothing.
fn nothing(_: &Tree) {}

/// The last step of the transition of `first`.
fn over(tree: &Tree) {
    tree.set("first", "transition", "0\n");
}

/// What follows a number of seconds: no more than have passed, which are many on a busy machine.
#[track_caller]
fn after_seconds(text: &str, start: Instant) -> &str {
    let (seconds, rest) = text.split_once(" s").unwrap();
    let passed = start.elapsed().as_secs();
    assert!(seconds.parse::<u64>().unwrap() <= passed, "{text}");
    rest
}

#[test]
fn wait_ends_with_the_transition() {
    for name in [None, Some("first")] {
        let case = Case::new();
        case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
        case.tree.blockers("first", "12 cat f\n");
        let start = Instant::now();
        case.waits(&wait_args(name, patiently()), [over]);
        let text = case.err.text();
        let rest = text.strip_prefix("first: enabling for ").unwrap();
        let rest = after_seconds(rest, start);
        assert_eq!(rest, ", 1 task is in the way: 12 cat in f()\n");
    }
}

#[test]
fn wait_tells_the_phase_and_its_change() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.blockers("first", "204 cat foo_read\n");
    case.tree.phase("first", "waiting");
    let args = wait_args(Some("first"), patiently());
    case.waits(&args, [|tree| tree.phase("first", "switched"), over]);
    let text = case.err.text();
    let told: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(" s, ").unwrap().1)
        .collect();
    assert_eq!(
        told,
        [
            "not in effect yet, 1 task is in the way: 204 cat in foo_read()",
            "in effect, but for 1 task: 204 cat in foo_read()",
        ]
    );
}

#[test]
fn wait_tells_in_json_what_status_does() {
    let case = patched();
    let mut args = wait_args(None, for_seconds(0.0));
    args.json = true;
    let outcome = wait::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.out.text(), include_str!("golden/status.json"));

    case.out.0.borrow_mut().clear();
    args.patch = Some("first".to_owned());
    let outcome = wait::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
    let patches = json["patches"].as_array().unwrap();
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0]["name"], "first");
}

/// Has klp wait, and sends SIGINT when it has said something; returns how it ended, and all that it
/// has said.
fn interrupted(case: &Case, disposition: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut child = std::process::Command::new("env")
        .arg(disposition)
        .arg(assert_cmd::cargo::cargo_bin("klp"))
        .args(words)
        .arg("--root")
        .arg(&case.tree.0)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    err.read_line(&mut text).unwrap();
    let pid = Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    err.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn ctrl_c_ends_the_waiting_and_says_what_goes_on() {
    for (words, doing, reverse) in [
        (&["wait"][..], "enabling", "disable"),
        (&["wait", "first"], "enabling", "disable"),
        (&["enable", "first"], "enabling", "disable"),
        (&["disable", "first"], "disabling", "enable"),
        (&["unload", "first", "second"], "disabling", "enable"),
        (&["unload", "--all"], "disabling", "enable"),
    ] {
        let case = Case::new();
        case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
        case.tree.blockers("first", "12 cat f\n");
        let (status, text) = interrupted(&case, "--default-signal=INT", words);
        assert_eq!(status, Some(130), "{text}");
        has(
            &text,
            &[
                &format!("interrupted, and the transition goes on: first: {doing} for "),
                "12 cat in f()",
                "'klp status first'",
                &format!("'klp {reverse} first' reverses the transition"),
            ],
        );
        assert!(!text.contains("error"), "{text}");
        let stays = "The module stays loaded after that: 'klp unload first' waits again";
        assert_eq!(text.contains(stays), words[0] == "unload", "{text}");
        // It is the kernel's.
        assert_eq!(case.tree.get("first", "transition"), "1");
    }
}

#[test]
fn ctrl_c_ends_in_json_as_well() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    let out = case.tree.0.join("out");
    let words = ["-c", "exec \"$0\" wait --json \"$@\" > \"$OUT\""];
    let mut child = std::process::Command::new("env")
        .arg("--default-signal=INT")
        .arg(format!("OUT={}", out.display()))
        .arg("sh")
        .args(words)
        .arg(assert_cmd::cargo::cargo_bin("klp"))
        .arg("--root")
        .arg(&case.tree.0)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut String::new()).unwrap();
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert_eq!(json["patches"][0]["state"], "enabling");
}

#[test]
fn ctrl_c_is_not_for_what_was_started_without_it() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    let words = ["wait", "--timeout", "2"];
    let (status, text) = interrupted(&case, "--ignore-signal=INT", &words);
    assert_eq!(status, Some(3), "{text}");
    has(&text, &["the time is up"]);
}

#[test]
fn wait_ends_with_the_patch() {
    let case = Case::new();
    case.tree.patch("first", 0, 1, &["vmlinux/f,1"]);
    let args = wait_args(Some("first"), patiently());
    case.waits(&args, [|tree| tree.remove_patch("first")]);
    assert_eq!(case.out.text(), "first is disabled\n");

    // It has ended already, and the kernel keeps the module.
    let case = forced();
    let args = wait_args(Some("kept"), WaitArgs::default());
    let outcome = wait::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.out.text(), "kept is disabled\n");
    has(&case.err.text(), &["kept: ", UNTIL_BOOT]);
}

#[test]
fn wait_without_a_limit_says_what_can_be_done() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.blockers("first", "12 cat f\n");
    case.tree.stat(12, "cat", 'S', 0x40_0000);
    case.tree.phase("first", "switched");
    // However that is said.
    let wait = WaitArgs {
        timeout: Some(Duration::MAX),
        signal: false,
    };
    // Not a line each time that it looks: the second one would be the end.
    case.waits(&wait_args(None, wait), [nothing, over]);
    let text = case.err.text();
    let advice =
        "\n'klp signal first' interrupts 12.\n'klp disable first' reverses the transition, ";
    assert_eq!(text.matches(advice).count(), 1, "{text}");
    assert_eq!(case.out.text(), "first is enabled\n");
}

#[test]
fn wait_says_what_is_in_the_way_when_the_time_is_up() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.blockers("first", "12 cat f\n13 dog f\n");
    let start = Instant::now();
    let args = wait_args(None, for_seconds(0.2));
    let outcome = wait::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);
    assert!(start.elapsed() < Duration::from_secs(30));
    has(
        &case.err.text(),
        &[
            "the time is up",
            "2 tasks are in the way: 12 cat in f(); 13 dog in f()",
        ],
    );
}

#[test]
fn elsewhere_progress_is_told_now_and_then_and_news_at_once() {
    let case = Case::new();
    let mut console = case.console();
    console.progress("first", false);
    console.progress("too soon", false);
    console.progress("news", true);
    console.progress("too soon", false);
    assert_eq!(case.err.text(), "first\nnews\n");
}

#[test]
fn on_a_terminal_progress_is_lines_that_fit() {
    let mut case = Case::new();
    case.width = Some(40);
    case.tree.patch("first", 0, 1, &["vmlinux/f,1"]);
    case.tree.blockers(
        "first",
        "12 cat function_with_a_long_name\n13 cat function_with_a_long_name\n",
    );
    case.tree.modules(&["first 1 1 - Live 0x0 (OK)"]);
    case.tree
        .write("sys/kernel/debug/livepatch/kept-modules", "first\n");
    let start = Instant::now();
    case.waits(&wait_args(None, patiently()), [nothing, nothing, over]);
    let text = case.err.text();
    let note = text.find(&format!("first: {UNTIL_BOOT}")).unwrap();
    let (progress, note) = text.split_at(note);
    // Each time, the lines of the last time are taken away, from the last to the first.
    let parts: Vec<&str> = progress.split("\r\x1b[K").collect();
    assert_eq!(parts.len(), 5, "{parts:?}");
    assert_eq!(parts[0], "");
    let above = "\x1b[A\x1b[K\x1b[A\x1b[K";
    assert!(
        parts[2..].iter().all(|part| part.starts_with(above)),
        "{parts:?}"
    );
    assert_eq!(parts.last(), Some(&above), "{parts:?}");
    let lines: Vec<&str> = parts[1].split("\r\n").collect();
    let first = lines[0].strip_prefix("first: disabling for ").unwrap();
    assert_eq!(after_seconds(first, start), ", 2 tasks are");
    assert_eq!(
        lines[1..],
        [
            "in the way: 12 cat in",
            "function_with_a_long_name(); 13 cat ...",
        ]
    );
    // What stays is not cut.
    assert_eq!(note, format!("first: {UNTIL_BOOT}{WAY_OUT}\n"));
}

#[test]
fn only_processes_that_can_be_are_interrupted() {
    let mut case = Case::new();
    // On a terminal it tells something each time that it looks.
    case.width = Some(40);
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    let names = [
        "cat",
        "kthread",
        "stopped",
        "init",
        "other now",
        "a) b",
        "disk",
    ];
    for (pid, name) in [20, 21, 22, 1, 23, 24, 26].into_iter().zip(names) {
        case.tree.stat(pid, name, 'S', 0x40_0000);
    }
    case.tree.stat(26, "disk", 'D', 0x40_0000);
    case.tree.stat(21, "kthread", 'S', 0x20_8040);
    case.tree.stat(22, "stopped", 'T', 0x40_0000);
    case.tree.blockers(
        "first",
        "20 cat f\n21 kthread f\n22 stopped f\n1 init f\n23 before f\n24 a) b f\n25 gone f\n26 disk f\n",
    );
    let start = Instant::now();
    case.waits(&wait_args(None, with_signals()), [nothing, nothing, over]);
    // And not each second, but every 5.
    let most = 2 * (1 + start.elapsed().as_secs() as usize / 5);
    let told = case.told();
    assert!((2..=most).contains(&told.len()), "{told:?}");
    for both in told.chunks(2) {
        assert_eq!(both, ["interrupt 20", "interrupt 24"]);
    }
}

//
// signal
//

#[test]
fn signal_interrupts_once_and_says_whom() {
    for name in [None, Some("first")] {
        let case = Case::new();
        case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
        case.tree.stat(20, "cat", 'S', 0x40_0000);
        case.tree.stat(21, "kthread", 'S', 0x20_8040);
        case.tree.stat(22, "dd", 'D', 0x40_0000);
        case.tree
            .blockers("first", "20 cat f\n21 kthread f\n22 dd f\n23 gone f\n");
        let outcome = signal::run(&signal_args(name), &mut case.context());
        assert_eq!(outcome.unwrap(), Outcome::Done);
        assert_eq!(case.told(), ["interrupt 20"]);
        assert_eq!(case.out.text(), "interrupted: 20 cat in f() (sleeping)\n");
        has(
            &case.err.text(),
            &[
                "not interrupted: 21 kthread in f() (kernel thread, sleeping); 22 dd in f() (sleeping uninterruptibly); 23 gone in f()\n",
                "No signal interrupts 22: ",
                "No signal of a user reaches 21: ",
                "'klp force first' is the last resort",
            ],
        );
        assert!(
            !case.err.text().contains("klp signal"),
            "{}",
            case.err.text()
        );
    }
}

#[test]
fn signal_waits_for_the_switch() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.stat(20, "cat", 'S', 0x40_0000);
    case.tree.blockers("first", "20 cat f\n");
    case.tree.stat(21, "dog", 'S', 0x40_0000);
    case.tree.phase("first", "waiting");
    let tree = case.tree.clone();
    let switch = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        tree.blockers("first", "21 dog f\n");
        tree.phase("first", "switched");
    });
    let start = Instant::now();
    let outcome = signal::run(&signal_args(None), &mut case.context());
    let elapsed = start.elapsed();
    switch.join().unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Done);
    // A busy machine may be late: klp waits for 2 seconds at most.
    if elapsed < Duration::from_secs(2) || case.told() != ["interrupt 20"] {
        assert_eq!(case.told(), ["interrupt 21"]);
    }
}

#[test]
fn waiting_interrupts_only_after_the_switch() {
    let mut case = Case::new();
    // On a terminal it tells something each time that it looks.
    case.width = Some(40);
    case.tree.stat(20, "cat", 'S', 0x40_0000);
    case.tree.blockers("first", "20 cat f\n");
    for (phase, mut context, told) in [
        ("waiting", case.stepwise([nothing, nothing, over]), &[][..]),
        ("switched", case.stepwise([over]), &["interrupt 20"]),
    ] {
        case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
        case.tree.phase("first", phase);
        let outcome = wait::run(&wait_args(None, with_signals()), &mut context);
        assert_eq!(outcome.unwrap(), Outcome::Done);
        assert_eq!(case.told(), told, "{phase}");
    }
}

#[test]
fn signal_fails_where_it_can_interrupt_none() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.patch("second", 1, 0, &["vmlinux/f,1"]);
    case.tree.stat(21, "kthread", 'S', 0x20_8040);
    case.tree.blockers("first", "21 kthread f\n");
    let run = |name| signal::run(&signal_args(name), &mut case.context());
    let error = |name| run(name).unwrap_err().to_string();
    has(
        &error(None),
        &["no task in the way of first was interrupted"],
    );
    has(&error(Some("second")), &["second is not in transition"]);
    has(&error(Some("none")), &["there is no patch none"]);
    assert_eq!(case.told(), [""; 0]);

    case.tree.blockers("first", "");
    assert_eq!(run(None).unwrap(), Outcome::Done);
    case.tree.set("first", "transition", "0\n");
    assert_eq!(run(None).unwrap(), Outcome::Done);
    assert_eq!(
        case.out.text(),
        "no task is seen in the way of first\nno livepatch is in transition\n"
    );
}

#[test]
fn a_kernel_that_interrupts_when_told_is_told() {
    let case = Case::new();
    case.tree.patch("first", 1, 1, &["vmlinux/f,1"]);
    case.tree.set("first", "signal", "");
    case.tree.task(20, "0", "cat", "");
    let outcome = signal::run(&signal_args(None), &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.tree.get("first", "signal"), "1");
    assert_eq!(case.told(), [""; 0]);
    has(&case.out.text(), &["the kernel has interrupted"]);
}

//
// enable and disable
//

#[test]
fn disable_writes_and_waits() {
    let case = Case::new();
    case.tree.patch("my_patch", 1, 0, &["vmlinux/f,1"]);
    case.tree.set("my_patch", "transition", "1\n");
    let end = case.tree.once(("my_patch", "enabled", "0"), |tree| {
        tree.remove_patch("my_patch");
    });
    let outcome = disable::run(&disable_args("my-patch.ko"), &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    end.join().unwrap();
    assert_eq!(case.out.text(), "my_patch is disabled\n");
}

#[test]
fn disable_waits_until_the_module_is_let_go() {
    let case = Case::new();
    case.tree.patch("my_patch", 1, 1, &["vmlinux/f,1"]);
    case.tree.modules(&["my_patch 1 1 - Live 0x0 (K)"]);
    let end = case.tree.once(("my_patch", "enabled", "0"), |tree| {
        tree.remove_patch("my_patch");
        thread::sleep(Duration::from_millis(300));
        tree.modules(&["my_patch 1 0 - Live 0x0 (K)"]);
        Instant::now()
    });
    let start = Instant::now();
    disable::run(&disable_args("my_patch"), &mut case.context()).unwrap();
    let modules = case.tree.read("proc/modules");
    let end = end.join().unwrap();
    if case.err.text().contains("the kernel keeps its module") {
        // A busy machine may be late: klp waits for 2 seconds at most.
        assert!(end.duration_since(start) > Duration::from_secs(1));
    } else {
        assert_eq!(modules, "my_patch 1 0 - Live 0x0 (K)\n");
    }
}

#[test]
fn disable_says_what_is_disabled_already() {
    let case = Case::new();
    case.tree.modules(&["my_patch 1 0 - Live 0x0 (K)"]);
    let args = disable_args("my_patch");
    disable::run(&args, &mut case.context()).unwrap();
    assert_eq!(case.out.text(), "my_patch was disabled already\n");
}

#[test]
fn a_transition_that_takes_too_long_is_reversed_if_asked() {
    let case = Case::new();
    case.tree.patch("my_patch", 0, 1, &["vmlinux/f,1"]);
    case.on_reversal(|tree| {
        assert_eq!(tree.get("my_patch", "enabled"), "1");
        tree.set("my_patch", "transition", "0\n");
        Ok(())
    });
    let mut args = disable_args("my_patch");
    args.out.transition.wait = for_seconds(0.3);
    args.out.transition.reverse = true;
    let outcome = disable::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);
    has(
        &case.err.text(),
        &["the time is up", "reverse", "enabled as before"],
    );
}

#[test]
fn enable_reverses_what_is_being_disabled() {
    let case = Case::new();
    case.tree.patch("my_patch", 0, 1, &["vmlinux/f,1"]);
    let end = case.tree.once(("my_patch", "enabled", "1"), |tree| {
        tree.set("my_patch", "transition", "0\n");
    });
    let args = enable_args("my_patch");
    let outcome = enable::run(&args, &mut case.context());
    end.join().unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.out.text(), "my_patch is enabled\n");
}

#[test]
fn enable_says_how_a_disabled_patch_comes_back() {
    let case = Case::new();
    case.tree
        .modules(&["my_patch 1 0 - Live 0x0 (K)", "plain 1 0 - Live 0x0"]);
    let enable = |name| {
        let args = enable_args(name);
        let error = enable::run(&args, &mut case.context()).unwrap_err();
        error.to_string()
    };
    has(&enable("my_patch"), &["klp unload my_patch", "klp load"]);
    has(&enable("plain"), &["plain is a module, but no livepatch"]);
    has(&enable("none"), &["there is no patch none"]);
}

#[test]
fn changes_need_root() {
    let case = Case::of(false);
    case.tree.patch("p", 1, 1, &["vmlinux/f,1"]);
    let context = &mut case.context();
    let file = case.module("x", true);
    let force_args = force::Args {
        patch: Some("p".to_owned()),
        yes: true,
    };
    let mut signal = wait_args(None, WaitArgs::default());
    signal.wait.signal = true;
    for (command, result) in [
        ("load", load::run(&load_args(&file), context)),
        ("unload", unload::run(&unload_args("p"), context)),
        ("enable", enable::run(&enable_args("p"), context)),
        ("disable", disable::run(&disable_args("p"), context)),
        ("force", force::run(&force_args, context)),
        ("prune", prune::run(&prune::Args { json: false }, context)),
        ("signal", signal::run(&signal_args(None), context)),
        ("wait --signal", wait::run(&signal, context)),
    ] {
        let error = result.unwrap_err().to_string();
        has(&error, &[&format!("klp {command} needs root")]);
    }
    assert_eq!(case.told(), [""; 0]);
    assert_eq!(case.tree.get("p", "enabled"), "1");
    assert_eq!(case.tree.get("p", "force"), "");
}

//
// load
//

#[test]
fn load_inserts_and_waits() {
    let case = Case::new();
    case.tree.mainline();
    let file = case.module("my_patch", true);
    case.on_insert(|tree| {
        tree.patch("my_patch", 1, 1, &["vmlinux/f,1"]);
        tree.write("proc/sys/kernel/tainted", "32768\n");
        Ok(())
    });
    let mut args = load_args(&file);
    args.parameters = vec!["a=1".to_owned(), "b-c=x y".to_owned(), "dyndbg".to_owned()];
    // It tells of the taint first.
    let context = &mut case.stepwise([nothing, |tree| tree.set("my_patch", "transition", "0\n")]);
    assert_eq!(load::run(&args, context).unwrap(), Outcome::Done);
    assert_eq!(case.tree.get("my_patch", "transition"), "0");
    assert_eq!(case.told(), ["insert [a=1 b-c=\"x y\" dyndbg]"]);
    assert_eq!(case.out.text(), "my_patch is enabled\n");
    has(&case.err.text(), &["tainted now: K (a livepatch)\n"]);
}

#[test]
fn load_finds_livepatch_ko_where_modprobe_does() {
    for place in [
        "updates/dkms/livepatch.ko",
        "extra/livepatch.ko",
        "somewhere/else/livepatch.ko",
    ] {
        let case = Case::new();
        case.core(place);
        let dep = format!("kernel/livepatch-x.ko:\n{place}: kernel/x.ko\n");
        let depmod = place.starts_with("somewhere");
        if depmod {
            case.tree.write("lib/modules/7.3.4-test/modules.dep", &dep);
        }
        let file = case.module("my_patch", true);
        case.on_insert(|_| Ok(()));
        case.on_insert(enables("my_patch"));
        assert_eq!(
            case.load(load_args(&file)).unwrap(),
            Outcome::Done,
            "{place}"
        );
        assert_eq!(case.told(), ["insert []", "insert []"]);
        has(&case.err.text(), &[place]);
    }
}

#[test]
fn load_says_where_it_looked_for_livepatch_ko() {
    let case = Case::new();
    let file = case.module("my_patch", true);
    let error = case.refuse(load_args(&file));
    has(
        &error,
        &["lib/modules/7.3.4-test", "updates/dkms", "--core"],
    );
    assert_eq!(case.told(), [""; 0]);

    let mut args = load_args(&file);
    args.core = Some(file.clone());
    has(&case.refuse(args), &["is no livepatch.ko: it is my_patch"]);
}

#[test]
fn a_refusal_comes_with_what_the_kernel_said_since() {
    let case = Case::new();
    let mut args = load_args(&case.module("my_patch", true));
    args.core = Some(case.module("livepatch", false));
    case.on_insert(|tree| {
        tree.append("dev/kmsg", "6,2,2000000,-;livepatch: of the core\n");
        Ok(())
    });
    case.on_insert(fails(
        Errno::INVAL,
        "3,3,3000000,-;livepatch: symbol 'x' not found in symbol table\n SUBSYSTEM=x\n\
         12,4,3000001,-;of a program\n6,5,3000002,-;eth0: of my_patching\n\
         4,6,3000003,-;my_patch: of the patch\n",
    ));
    let error = case.refuse(args);
    has(
        &error,
        &[
            "my-patch.ko was not loaded: invalid argument",
            "\n    livepatch: symbol 'x' not found in symbol table\n    my_patch: of the patch",
        ],
    );
    for part in ["of old", "of the core", "SUBSYSTEM", "of a program", "eth0"] {
        assert!(!error.contains(part), "{error}");
    }
    // What came for it goes with it.
    assert_eq!(case.told(), ["insert []", "insert []", "remove livepatch"]);
    has(
        &case.err.text(),
        &["livepatch.ko was removed again, as the patch was refused\n"],
    );
}

#[test]
fn where_nothing_in_the_log_is_of_the_module_all_is_shown() {
    let case = Case::new();
    case.tree.mainline();
    let file = case.module("my_patch", true);
    case.on_insert(fails(Errno::INVAL, "6,5,3000002,-;eth0: link is up\n"));
    has(
        &case.refuse(load_args(&file)),
        &["\nThe kernel names no reason. Meanwhile it said:\n    eth0: link is up"],
    );
}

#[test]
fn where_the_log_cannot_be_read_a_refusal_says_so() {
    let case = Case::new();
    case.tree.mainline();
    let file = case.module("my_patch", true);
    case.on_insert(|_| Err(Errno::INVAL.into()));
    fs::remove_file(case.tree.0.join("dev/kmsg")).unwrap();
    let error = case.refuse(load_args(&file));
    has(
        &error,
        &[
            "my-patch.ko was not loaded: invalid argument",
            "\nThe kernel's log cannot be read: no such file or directory.",
        ],
    );
}

#[test]
fn refusals_are_sentences() {
    for (errno, log, parts) in [
        (
            Errno::NOEXEC,
            "3,3,3,-;my_patch: version magic '9.9.9 SMP ' should be '7.3.4-test SMP '\n",
            &[
                "built for another kernel (9.9.9 SMP), this is 7.3.4-test",
                "version magic",
            ][..],
        ),
        (
            Errno::KEYREJECTED,
            "",
            &["signed with a key that it trusts", "logged nothing"],
        ),
        (
            Errno::NOENT,
            "3,3,3,-;my_patch: Unknown symbol foo (err -2)\n",
            &["needs symbols that this kernel does not have", "symbol foo"],
        ),
        (Errno::PERM, "", &["not permitted"]),
        (Errno::NOMEM, "", &["annot allocate memory"]),
    ] {
        let case = Case::new();
        case.tree.mainline();
        let file = case.module("my_patch", true);
        case.on_insert(fails(errno, log));
        let error = case.refuse(load_args(&file));
        assert!(!error.contains("os error"), "{error}");
        let lower = error.to_lowercase();
        let parts: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        has(
            &lower,
            &parts.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn a_kernel_that_takes_no_modules_says_so() {
    let case = Case::new();
    case.tree.mainline();
    case.tree.write("proc/sys/kernel/modules_disabled", "1\n");
    case.on_insert(fails(Errno::PERM, ""));
    let file = case.module("my_patch", true);
    has(&case.refuse(load_args(&file)), &["kernel.modules_disabled"]);
}

#[test]
fn busy_names_the_patch_in_transition() {
    let case = Case::new();
    case.tree.patch("other", 1, 1, &["vmlinux/f,1"]);
    case.on_insert(fails(Errno::BUSY, ""));
    let file = case.module("my_patch", true);
    has(
        &case.refuse(load_args(&file)),
        &["other is in transition", "klp status other"],
    );
}

#[test]
fn what_cannot_be_loaded_is_not_tried() {
    let case = Case::new();
    case.tree.patch("my_patch", 1, 0, &["vmlinux/f,1"]);
    case.tree.modules(&[
        "my_patch 1 1 - Live 0x0 (K)",
        "old 1 0 - Live 0x0 (K)",
        "other 1 0 - Live 0x0 (O)",
    ]);
    let error = |name, livepatch| case.refuse(load_args(&case.module(name, livepatch)));
    has(
        &error("my_patch", true),
        &["my_patch is loaded already, and whether"],
    );
    has(&error("old", true), &["loaded already", "klp unload old"]);
    has(
        &error("other", true),
        &["other is loaded that is no livepatch", "rmmod other"],
    );
    has(
        &error("plain", false),
        &["does not say that it is a livepatch", "klp convert"],
    );
    let text = case.tree.0.join("text.ko");
    fs::write(&text, "text").unwrap();
    has(&case.refuse(load_args(&text)), &["no kernel module"]);
    let missing = case.tree.0.join("missing.ko");
    has(
        &case.refuse(load_args(&missing)),
        &["cannot read", "No such file"],
    );
    let mut args = load_args(&case.module("x", true));
    args.parameters = vec!["a b=1".to_owned()];
    has(&case.refuse(args), &["'a b=1' is no parameter"]);
    let mut args = load_args(&case.module("x", true));
    args.parameters = vec!["a=1".to_owned(), "aa=1".to_owned()];
    has(
        &case.refuse(args),
        &["x.ko has no parameter 'aa'; it has: a, b_c"],
    );
    assert_eq!(case.told(), [""; 0]);
}

/// A patch that is loaded, and enabled; returns a file of the same build.
fn loaded(case: &Case) -> PathBuf {
    case.tree.patch("my_patch", 1, 0, &["vmlinux/f,1"]);
    case.tree.modules(&["my_patch 1 1 - Live 0x0 (OK)"]);
    case.tree.write("sys/module/my_patch/version", "1\n");
    case.tree.write("sys/module/my_patch/srcversion", "ABCD\n");
    build(case, "1", "ABCD")
}

fn build(case: &Case, version: &str, srcversion: &str) -> PathBuf {
    let more =
        format!("MODULE_INFO(version, \"{version}\"); MODULE_INFO(srcversion, \"{srcversion}\");");
    case.module_with("my_patch", true, &more)
}

#[test]
fn what_is_loaded_is_not_loaded_again() {
    let case = Case::new();
    let file = loaded(&case);
    assert_eq!(case.load(load_args(&file)).unwrap(), Outcome::Done);
    let text = "my_patch is loaded already, and enabled\n";
    assert_eq!(case.out.text(), text);
    // Nor is it replaced.
    let mut args = load_args(&file);
    args.replace_loaded = true;
    assert_eq!(case.load(args).unwrap(), Outcome::Done);
    assert_eq!(case.told(), [""; 0]);

    // On the way it is waited for.
    case.tree.set("my_patch", "transition", "1\n");
    case.out.0.borrow_mut().clear();
    let context = &mut case.stepwise([|tree| tree.set("my_patch", "transition", "0\n")]);
    let outcome = load::run(&load_args(&file), context);
    assert_eq!(outcome.unwrap(), Outcome::Done);
    let text = "my_patch is loaded already, and enabling\nmy_patch is enabled\n";
    assert_eq!(case.out.text(), text);
    assert_eq!(case.told(), [""; 0]);
}

#[test]
fn another_build_of_what_is_loaded_is_refused_with_what_to_do() {
    let case = Case::new();
    loaded(&case);
    for (version, srcversion) in [("2", "ABCD"), ("1", "ABCE")] {
        let file = build(&case, version, srcversion);
        has(
            &case.refuse(load_args(&file)),
            &[
                "another my_patch is loaded (version 1, srcversion ABCD; ",
                &format!("my-patch.ko is version {version}, srcversion {srcversion}"),
                "--replace-loaded",
                ".replace",
            ],
        );
    }
    // What tells nothing of itself may be another one.
    for file in ["version", "srcversion"] {
        let path = case.tree.0.join("sys/module/my_patch").join(file);
        fs::remove_file(path).unwrap();
    }
    has(
        &case.refuse(load_args(&case.module("my_patch", true))),
        &["cannot be told", "--replace-loaded"],
    );
    assert_eq!(case.told(), [""; 0]);
}

#[test]
fn another_build_is_replaced_if_asked() {
    let case = Case::new();
    loaded(&case);
    let mut args = load_args(&build(&case, "2", "ABCE"));
    args.replace_loaded = true;
    case.tree.set("my_patch", "transition", "1\n");
    let end = case.tree.once(("my_patch", "enabled", "0"), |tree| {
        tree.remove_patch("my_patch");
    });
    case.on_insert(enables("my_patch"));
    assert_eq!(case.load(args).unwrap(), Outcome::Done);
    end.join().unwrap();
    assert_eq!(case.told(), ["remove my_patch", "insert []"]);
    assert_eq!(case.out.text(), "my_patch is enabled\n");
    has(&case.err.text(), &["is unloaded, to be replaced"]);
}

#[test]
fn what_stays_in_effect_is_not_replaced() {
    let case = Case::new();
    loaded(&case);
    let mut args = load_args(&build(&case, "2", "ABCE"));
    args.replace_loaded = true;
    args.transition.wait = for_seconds(0.0);
    case.tree.set("my_patch", "transition", "1\n");
    assert_eq!(case.load(args).unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.told(), [""; 0]);
}

#[test]
fn load_all_loads_what_is_installed_and_not_loaded() {
    let case = with_installed(&["a", "b", "c"]);
    case.tree.patch("a", 1, 0, &["vmlinux/f,1"]);
    case.on_insert(hangs("b"));
    let mut args = load_args(Path::new(""));
    args.file = None;
    args.all = true;
    args.transition.wait = for_seconds(0.0);
    assert_eq!(case.load(args).unwrap(), Outcome::Failed);
    assert_eq!(case.told(), ["insert []"]);
    has(
        &case.out.text(),
        &[
            "  a: enabled already\n",
            "  b: enabling: the transition goes on\n",
            "  c: not loaded, as b was in transition\n",
        ],
    );

    let case = with_installed(&["a", "b"]);
    case.tree.patch("a", 1, 0, &["vmlinux/f,1"]);
    case.on_insert(enables("b"));
    let mut args = load_args(Path::new(""));
    args.file = None;
    args.all = true;
    assert_eq!(case.load(args).unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["insert []"]);
    has(&case.out.text(), &["b is enabled\n"]);
}

#[test]
fn load_all_takes_the_limits_that_load_does() {
    let case = with_installed(&["a"]);
    case.on_insert(hangs("a"));
    case.on_reversal(taken_back("a"));
    let mut args = load_args(Path::new(""));
    args.file = None;
    args.all = true;
    args.transition.wait = for_seconds(0.5);
    args.transition.reverse = true;
    assert_eq!(case.load(args).unwrap(), Outcome::Failed);
    has(
        &case.out.text(),
        &["had not ended after 0.5 s, and was reversed"],
    );
    for limit in ["0.5", "infinity"] {
        klp(&case, &format!("boot --timeout {limit}")).code(1);
    }
}

#[test]
fn load_takes_the_name_of_what_is_installed() {
    let case = Case::new();
    case.tree.mainline();
    case.install("my_patch", "");
    case.on_insert(enables("my_patch"));
    let outcome = case.load(load_args(Path::new("my-patch"))).unwrap();
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(case.out.text(), "my_patch is enabled\n");
    has(
        &case.refuse(load_args(Path::new("other"))),
        &["there is no file other, and no patch of that name is installed"],
    );
}

/// A patch that replaces another one, whose module stays.
fn replaces(tree: &Tree) -> io::Result<()> {
    tree.patch("newer", 1, 0, &["vmlinux/f,1"]);
    tree.set("newer", "replace", "1\n");
    tree.modules(&[
        "older 1 0 - Live 0x0 (OK)",
        "coming 1 1 - Loading 0x0 (OK)",
        "plain 1 0 - Live 0x0 (O)",
        "newer 1 1 - Live 0x0 (OK)",
    ]);
    Ok(())
}

#[test]
fn what_a_patch_replaces_is_removed_if_asked() {
    for prune in [false, true] {
        let case = Case::new();
        case.tree.mainline();
        let mut args = load_args(&case.module("newer", true));
        args.prune = prune;
        case.on_insert(replaces);
        assert_eq!(case.load(args).unwrap(), Outcome::Done);
        let text = "not in effect any more: older; 'klp prune' removes their modules";
        assert_eq!(case.err.text().contains(text), !prune);
        match prune {
            true => {
                assert_eq!(case.told(), ["insert []", "remove older"]);
                assert_eq!(case.out.text(), "newer is enabled\nolder is removed\n");
            }
            false => assert_eq!(case.told(), ["insert []"]),
        }
    }
}

#[test]
fn prune_removes_what_is_not_in_effect() {
    let case = Case::new();
    replaces(&case.tree).unwrap();
    let prune = || prune::run(&prune::Args { json: false }, &mut case.context());
    assert_eq!(prune().unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove older"]);
    assert_eq!(case.out.text(), "older is removed\n");

    case.tree.modules(&["newer 1 1 - Live 0x0 (OK)"]);
    assert_eq!(prune().unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove older"]);
    has(&case.out.text(), &["there is nothing to remove"]);
}

#[test]
fn what_cannot_be_removed_keeps_no_other_module() {
    let case = Case::new();
    case.tree
        .modules(&["a 1 0 - Live 0x0 (OK)", "b 1 0 - Live 0x0 (OK)"]);
    case.on_remove(|_| Err(Errno::PERM.into()));
    let outcome = prune::run(&prune::Args { json: false }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Failed);
    assert_eq!(case.told(), ["remove a", "remove b"]);
    assert_eq!(case.out.text(), "b is removed\n");
    has(&case.err.text(), &["error: the module a cannot be removed"]);
}

#[test]
fn prune_tells_in_json_what_is_removed() {
    let case = Case::new();
    case.tree
        .modules(&["a 1 0 - Live 0x0 (OK)", "b 1 0 - Live 0x0 (OK)"]);
    case.on_remove(|_| Err(Errno::PERM.into()));
    let prune = || {
        case.out.0.borrow_mut().clear();
        let outcome = prune::run(&prune::Args { json: true }, &mut case.context());
        let json: serde_json::Value = serde_json::from_str(&case.out.text()).unwrap();
        (outcome.unwrap(), json)
    };
    let (outcome, json) = prune();
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(json["schema"], 1);
    assert_eq!(json["removed"], serde_json::json!(["b"]));
    assert_eq!(json["kept"][0]["name"], "a");
    let error = json["kept"][0]["error"].as_str().unwrap();
    has(error, &["the module a cannot be removed"]);

    case.tree.modules(&[]);
    let nothing = serde_json::json!({ "schema": 1, "removed": [], "kept": [] });
    assert_eq!(prune(), (Outcome::Done, nothing));
}

#[test]
fn compressed_modules_are_left_to_a_kernel_that_can() {
    for (known, how) in [
        (None, " unpacked"),
        (Some("xz\n"), " unpacked"),
        (Some("gzip\n"), " compressed"),
    ] {
        let case = Case::new();
        case.tree.mainline();
        if let Some(known) = known {
            case.tree.write("sys/module/compression", known);
        }
        let module = fs::read(case.module("name_of_module", true)).unwrap();
        let file = case.tree.0.join("file-name.ko.gz");
        fs::write(&file, Packing::Gzip.pack(&module)).unwrap();
        case.on_insert(enables("name_of_module"));
        assert_eq!(case.load(load_args(&file)).unwrap(), Outcome::Done);
        assert_eq!(case.told(), [format!("insert []{how}")]);
        assert_eq!(case.out.text(), "name_of_module is enabled\n");
    }
}

#[test]
fn a_module_that_enables_nothing_is_an_error() {
    let case = Case::new();
    case.tree.mainline();
    let file = case.module("my_patch", true);
    has(
        &case.refuse(load_args(&file)),
        &["was loaded, but enables no patch"],
    );
}

/// Each command that waits says whether the patch is in effect.
#[test]
fn those_that_wait_tell_the_phase() {
    let no_time = || TransitionArgs {
        wait: for_seconds(0.0),
        ..Default::default()
    };
    let case = Case::new();
    case.tree.mainline();
    case.tree.blockers("my_patch", "204 cat foo_read\n");
    case.tree.phase("my_patch", "switched");
    case.tree.stat(204, "cat", 'S', 0x40_0000);
    case.tree.write("proc/204/wchan", "pipe_read");
    let mut args = load_args(&case.module("my_patch", true));
    args.transition = no_time();
    case.on_insert(hangs("my_patch"));
    let start = Instant::now();
    assert_eq!(case.load(args).unwrap(), Outcome::TimeIsUp);

    let mut enable = enable_args("my_patch");
    enable.transition = no_time();
    let outcome = enable::run(&enable, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);

    let mut out = out_args(&["my_patch"]);
    out.transition = no_time();
    let disable = disable::Args { out };
    let outcome = disable::run(&disable, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);

    let mut out = out_args(&["my_patch"]);
    out.transition = no_time();
    let unload = unload::Args { out };
    let outcome = unload::run(&unload, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);

    for reverse in ["disable", "enable"] {
        let advice = format!(
            "\nIt ends by itself when no task is in the way any more. 'klp status my_patch' names these tasks, and 'klp wait my_patch' waits for the end.\n'klp signal my_patch' interrupts 204.\n'klp {reverse} my_patch' reverses the transition, "
        );
        assert_eq!(case.err.text().matches(&advice).count(), 2);
    }
    let stays = "The module stays loaded after that: 'klp unload my_patch'";
    assert_eq!(case.err.text().matches(stays).count(), 1);
    assert!(!case.err.text().contains("the time is up"));
    let tail = "effect, but for 1 task: 204 cat in foo_read() (sleeping in pipe_read())";
    let text = case.err.text();
    let told: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| Some(line.split_once("goes on: my_patch: ")?.1))
        .filter_map(|told| told.split_once(" for "))
        .map(|(doing, rest)| (doing, after_seconds(rest, start)))
        .collect();
    let enabling = ("enabling", &*format!(", in {tail}"));
    let disabling = ("disabling", &*format!(", out of {tail}"));
    let all = [enabling, enabling, disabling, disabling];
    assert_eq!(told, all, "{text}");
}

#[test]
fn the_transition_goes_on_when_the_time_is_up() {
    let case = Case::new();
    case.tree.mainline();
    let mut args = load_args(&case.module("my_patch", true));
    args.transition.wait = for_seconds(0.0);
    case.on_insert(|tree| {
        tree.patch("my_patch", 1, 1, &["vmlinux/f,1"]);
        tree.blockers("my_patch", "12 cat f\n");
        Ok(())
    });
    assert_eq!(case.load(args).unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.tree.get("my_patch", "enabled"), "1");
    has(
        &case.err.text(),
        &["the transition goes on", "12 cat in f()"],
    );
    assert_eq!(case.out.text(), "");
}

#[test]
fn a_load_that_takes_too_long_is_taken_back_if_asked() {
    let case = Case::new();
    case.tree.mainline();
    let mut args = load_args(&case.module("my_patch", true));
    args.transition.wait = for_seconds(0.3);
    args.transition.reverse = true;
    case.on_insert(hangs("my_patch"));
    case.on_reversal(taken_back("my_patch"));
    assert_eq!(case.load(args).unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.told(), ["insert []", "remove my_patch"]);
    has(&case.err.text(), &["my_patch was unloaded again"]);
}

#[test]
fn a_patch_that_somebody_else_disables_is_not_loaded() {
    let case = Case::new();
    case.tree.mainline();
    let file = case.module("my_patch", true);
    case.on_insert(hangs("my_patch"));
    let context = &mut case.stepwise([|tree| tree.remove_patch("my_patch")]);
    let error = load::run(&load_args(&file), context).unwrap_err();
    has(&error.to_string(), &["by somebody else"]);
}

//
// boot
//

/// A system with these patches installed for its kernel.
fn with_installed(names: &[&str]) -> Case {
    let case = Case::new();
    case.tree.mainline();
    case.tree.write("proc/cmdline", "quiet\n");
    for name in names {
        case.install(name, "");
    }
    case
}

fn boot(case: &Case, timeout: u64, no_reverse: bool) -> Outcome {
    let args = boot::Args {
        timeout: Duration::from_secs(timeout),
        no_reverse,
        limit: Duration::MAX,
    };
    boot::run(&args, &mut case.context()).unwrap()
}

/// Begins a transition that does not end.
fn hangs(name: &'static str) -> impl Fn(&Tree) -> io::Result<()> {
    move |tree| {
        tree.patch(name, 1, 1, &["vmlinux/f,1"]);
        Ok(())
    }
}

/// Ends it after its reversal.
fn taken_back(name: &'static str) -> impl Fn(&Tree) -> io::Result<()> {
    move |tree| {
        assert_eq!(tree.get(name, "enabled"), "0");
        tree.remove_patch(name);
        Ok(())
    }
}

#[test]
fn boot_loads_patches_in_their_order_whatever_becomes_of_those_before() {
    let case = with_installed(&["c", "damaged", "a", "foreign", "b"]);
    case.install_made_for("7.3.5-test", "foreign", "");
    let damaged = case.install("damaged", "");
    fs::write(damaged, "damaged").unwrap();
    case.on_insert(enables("c"));
    case.on_insert(fails(Errno::INVAL, ""));
    case.on_insert(enables("b"));
    assert_eq!(boot(&case, 60, false), Outcome::Failed);
    assert_eq!(case.told(), ["insert []"; 3]);
    assert_eq!(
        case.out.text(),
        "c is enabled\n\
         b is enabled\n\
         patches installed for kernel 7.3.4-test: 5\n  \
           c: enabled\n  \
           damaged: not loaded\n  \
           a: not loaded\n  \
           foreign: not loaded\n  \
           b: enabled\n"
    );
    has(
        &case.err.text(),
        &[
            "error: damaged: ",
            "error: a: ",
            "0004-foreign.ko is the patch foreign for kernel 7.3.5-test: install it again",
            "error: of 5 patches installed for kernel 7.3.4-test, 3 are not enabled",
        ],
    );
}

#[test]
fn boot_reverses_what_does_not_end_and_goes_on() {
    let case = with_installed(&["a", "b"]);
    case.on_insert(hangs("a"));
    case.on_reversal(taken_back("a"));
    case.on_insert(enables("b"));
    assert_eq!(boot(&case, 2, false), Outcome::Failed);
    assert_eq!(case.told(), ["insert []", "remove a", "insert []"]);
    assert_eq!(
        case.out.text(),
        "b is enabled\n\
         patches installed for kernel 7.3.4-test: 2\n  \
           a: not loaded: the transition had not ended after 2 s, and was reversed\n  \
           b: enabled\n"
    );
    has(
        &case.err.text(),
        &["error: of 2 patches installed for kernel 7.3.4-test, 1 is not enabled"],
    );
}

#[test]
fn boot_says_what_a_transition_that_goes_on_keeps_from_being_loaded() {
    for (no_reverse, line) in [
        (true, "  a: enabling: the transition goes on\n"),
        (
            false,
            "  a: disabling: the transition was reversed, and goes on\n",
        ),
    ] {
        let case = with_installed(&["first", "a", "b", "c"]);
        case.tree.patch("first", 1, 0, &["vmlinux/f,1"]);
        case.on_insert(hangs("a"));
        assert_eq!(boot(&case, 0, no_reverse), Outcome::Failed);
        assert_eq!(case.told(), ["insert []"]);
        let lines = [
            "  first: enabled already\n",
            line,
            "  b: not loaded, as a was in transition\n",
            "  c: not loaded, as a was in transition\n",
        ];
        has(&case.out.text(), &lines);
        has(
            &case.err.text(),
            &["'klp wait a' waits for its end, and 'klp boot' then loads the others"],
        );
    }
}

#[test]
fn boot_loads_the_rest_once_the_transition_has_ended() {
    let case = with_installed(&["a", "b"]);
    case.on_insert(hangs("a"));
    assert_eq!(boot(&case, 0, true), Outcome::Failed);
    case.tree.set("a", "transition", "0\n");
    case.on_insert(enables("b"));
    assert_eq!(boot(&case, 0, true), Outcome::Done);
    let lines = ["  a: enabled already\n", "  b: enabled\n"];
    has(&case.out.text(), &lines);
}

#[test]
fn boot_leaves_alone_what_a_later_patch_replaces() {
    let case = with_installed(&["older", "newer", "last"]);
    case.on_insert(enables("older"));
    case.on_insert(|tree| {
        tree.remove_patch("older");
        replaces(tree)
    });
    case.on_insert(enables("last"));
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    let line = "  older: disabled, as newer replaces it\n  newer: enabled\n  last: enabled\n";
    has(&case.out.text(), &[line]);
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    let line = "  older: disabled, as newer replaces it\n  newer: enabled already\n";
    has(&case.out.text(), &[line]);
    // As klp prune leaves it.
    case.tree.modules(&["newer 1 1 - Live 0x0 (OK)"]);
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    has(
        &case.out.text(),
        &["  older: not loaded, as newer replaces it\n"],
    );
    assert_eq!(case.told(), ["insert []"; 3]);
}

/// A patch that replaces all earlier ones, by its file.
const REPLACING: &str = "
struct klp_patch { void *mod, *objs, *states; _Bool replace; };
int klp_enable_patch(struct klp_patch *);
static char objects[128];
static struct klp_patch patch = { objects, objects, 0, 1 };
int __attribute__((section(\".init.text\"))) init_module(void) { return klp_enable_patch(&patch); }
";

#[test]
fn where_the_kernel_does_not_say_what_replaces_the_file_does() {
    let replaces = |tree: &Tree| {
        replaces(tree)?;
        tree.remove_patch("older");
        fs::remove_file(tree.0.join("sys/kernel/livepatch/newer/replace"))
    };
    let case = with_installed(&["older"]);
    case.install("newer", REPLACING);
    case.on_insert(enables("older"));
    case.on_insert(replaces);
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    let line = "  older: disabled, as newer replaces it\n  newer: enabled\n";
    has(&case.out.text(), &[line]);
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    let line = "  older: disabled, as newer replaces it\n  newer: enabled already\n";
    has(&case.out.text(), &[line]);
    assert_eq!(case.told(), ["insert []"; 2]);

    // As for klp load.
    let case = Case::new();
    case.tree.mainline();
    case.tree.patch("older", 1, 0, &["vmlinux/f,1"]);
    case.on_insert(replaces);
    let mut args = load_args(&case.module_with("newer", true, REPLACING));
    args.prune = true;
    assert_eq!(case.load(args).unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["insert []", "remove older"]);
}

#[test]
fn boot_begins_with_no_other_patch_when_its_time_is_up() {
    let case = with_installed(&["a", "b", "c"]);
    case.tree.patch("c", 1, 0, &["vmlinux/f,1"]);
    let args = boot::Args {
        timeout: Duration::from_secs(60),
        no_reverse: false,
        limit: Duration::ZERO,
    };
    let outcome = boot::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Failed);
    assert_eq!(case.told(), [""; 0]);
    let late = "not loaded, as those before it took 0 s: 'klp boot' loads it";
    has(
        &case.out.text(),
        &[&format!("  a: {late}\n  b: {late}\n  c: enabled already\n")],
    );
    has(&case.err.text(), &["2 are not enabled"]);
}

#[test]
fn boot_tells_what_was_enabled_before_and_is_replaced_now() {
    let case = with_installed(&["older", "newer"]);
    case.tree.patch("older", 1, 0, &["vmlinux/f,1"]);
    case.on_insert(|tree| {
        tree.remove_patch("older");
        replaces(tree)
    });
    assert_eq!(boot(&case, 60, false), Outcome::Done);
    let line = "  older: disabled, as newer replaces it\n  newer: enabled\n";
    has(&case.out.text(), &[line]);
}

#[test]
fn boot_tells_that_another_build_is_enabled() {
    let case = Case::new();
    case.tree.mainline();
    case.tree.write("proc/cmdline", "quiet\n");
    loaded(&case);
    case.install(
        "my_patch",
        "MODULE_INFO(version, \"2\"); MODULE_INFO(srcversion, \"ABCE\");",
    );
    assert_eq!(boot(&case, 60, false), Outcome::Failed);
    let line = "  my_patch: enabled already, but another build than the one that is installed: \
                'klp load --replace-loaded my_patch' loads that\n";
    has(&case.out.text(), &[line]);
    assert_eq!(case.told(), [""; 0]);
}

//
// Nobody reads
//

/// A standard output whose reader is gone.
struct NoReader;

impl Write for NoReader {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Case {
    fn unread(&self) -> Context {
        let console = Console::new(Box::new(NoReader), Box::new(self.err.clone()), None);
        self.with(console)
    }
}

#[test]
fn what_changes_the_system_goes_on_where_nobody_reads() {
    let case = Case::new();
    for name in ["first", "second"] {
        case.tree.patch(name, 0, 0, &["vmlinux/f,1"]);
    }
    let out = out_args(&["first", "second"]);
    let outcome = unload::run(&unload::Args { out }, &mut case.unread());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove first", "remove second"]);

    let case = Case::new();
    let file = loaded(&case);
    case.tree.set("my_patch", "transition", "1\n");
    let mut args = load_args(&file);
    args.transition.wait = for_seconds(0.0);
    let outcome = load::run(&args, &mut case.unread());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);

    let case = with_installed(&["a", "b"]);
    case.on_insert(fails(Errno::INVAL, ""));
    case.on_insert(enables("b"));
    let args = boot::Args {
        timeout: Duration::from_secs(60),
        no_reverse: false,
        limit: Duration::MAX,
    };
    let outcome = boot::run(&args, &mut case.unread());
    assert_eq!(outcome.unwrap(), Outcome::Failed);
    has(&case.err.text(), &["1 is not enabled"]);
}

//
// unload and force
//

#[test]
fn unload_waits_until_the_kernel_lets_go() {
    let case = Case::new();
    case.tree.patch("my_patch", 1, 0, &["vmlinux/f,1"]);
    case.tree.set("my_patch", "transition", "1\n");
    let end = case.tree.once(("my_patch", "enabled", "0"), |tree| {
        tree.remove_patch("my_patch");
    });
    case.on_remove(|_| Err(Errno::AGAIN.into()));
    case.on_remove(|_| Err(Errno::BUSY.into()));
    let args = unload_args("my_patch");
    let outcome = unload::run(&args, &mut case.context());
    end.join().unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.told(), ["remove my_patch"; 3]);
    assert_eq!(case.out.text(), "my_patch is unloaded\n");
}

/// What `klp unload` takes out of a system with two patches and the module of a third, of which the
/// second holds on to its tasks if told so.
fn unloaded(names: &[&str], all: bool, held: bool) -> (anyhow::Result<Outcome>, Case) {
    let case = Case::new();
    case.tree.modules(&[
        "gone 1 0 - Live 0x0 (OK)",
        "second 1 1 - Live 0x0 (OK)",
        "first 1 1 - Live 0x0 (OK)",
    ]);
    for (order, name) in ["1\n", "2\n"].iter().zip(["first", "second"]) {
        // It is out of effect as soon as it is disabled.
        let held = held && name == "second";
        case.tree
            .patch(name, u8::from(held), u8::from(held), &["vmlinux/f,1"]);
        case.tree.set(name, "stack_order", order);
    }
    let mut out = out_args(names);
    out.all = all;
    out.transition.wait = for_seconds(0.0);
    let outcome = unload::run(&unload::Args { out }, &mut case.context());
    (outcome, case)
}

#[test]
fn several_patches_are_unloaded_in_turn() {
    let (outcome, case) = unloaded(&["first", "none", "gone.ko"], false, false);
    assert_eq!(outcome.unwrap(), Outcome::Failed);
    assert_eq!(case.told(), ["remove first", "remove gone"]);
    assert_eq!(case.out.text(), "first is unloaded\ngone is unloaded\n");
    has(
        &case.err.text(),
        &["error: there is no patch none; loaded are: "],
    );
}

#[test]
fn all_patches_are_unloaded_the_last_one_first() {
    let (outcome, case) = unloaded(&[], true, false);
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(
        case.told(),
        ["remove gone", "remove second", "remove first"]
    );

    // Another one has to wait for the end of a transition.
    let (outcome, case) = unloaded(&[], true, true);
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.told(), ["remove gone"]);

    let case = Case::new();
    let mut out = out_args(&[]);
    out.all = true;
    let outcome = unload::run(&unload::Args { out }, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(case.out.text(), "no livepatch is loaded\n");
}

#[test]
fn unload_leaves_other_modules_alone() {
    let case = Case::new();
    case.tree
        .modules(&["plain 1 0 - Live 0x0", "livepatch 1 0 - Live 0x0 (O)"]);
    for (name, part) in [
        ("plain", "plain is a module, but no livepatch"),
        ("livepatch", "rmmod"),
        ("none", "there is no patch none: none is loaded"),
    ] {
        let args = unload_args(name);
        let error = unload::run(&args, &mut case.context()).unwrap_err();
        has(&error.to_string(), &[part]);
    }
    assert_eq!(case.told(), [""; 0]);
}

#[test]
fn a_patch_that_is_held_is_not_unloaded() {
    let case = Case::new();
    case.tree.patch("my_patch", 0, 1, &["vmlinux/f,1"]);
    let mut args = unload_args("my_patch");
    args.out.transition.wait = for_seconds(0.1);
    let outcome = unload::run(&args, &mut case.context());
    assert_eq!(outcome.unwrap(), Outcome::TimeIsUp);
    assert_eq!(case.told(), [""; 0]);
}

#[test]
fn force_asks_first() {
    let case = Case::new();
    case.tree.patch("my_patch", 0, 1, &["vmlinux/f,1"]);
    let mut args = force::Args {
        patch: Some("my_patch".to_owned()),
        yes: false,
    };
    let run = |args: &force::Args, answer: Option<&'static str>| {
        let console = match answer {
            Some(answer) => case.console().with_answers(Box::new(answer.as_bytes())),
            None => case.console(),
        };
        force::run(args, &mut case.with(console))
    };
    has(&run(&args, None).unwrap_err().to_string(), &["--yes"]);
    has(
        &run(&args, Some("no\n")).unwrap_err().to_string(),
        &["nothing was done"],
    );
    assert_eq!(case.tree.get("my_patch", "force"), "");
    has(
        &case.err.text(),
        &[
            "neither unloaded nor loaded again until the next boot",
            "The kernel would keep these modules, and take no other build under their names: my_patch\n",
            "'klp enable my_patch' keeps the patch in effect instead.\n",
        ],
    );
    let kept = "\nkept until the next boot: my_patch\n";
    assert!(!case.err.text().contains(kept));

    for answer in [Some("yes\n"), None] {
        case.tree.set("my_patch", "force", "");
        case.tree.set("my_patch", "transition", "1\n");
        args.yes = answer.is_none();
        let end = case.tree.once(("my_patch", "force", "1"), |tree| {
            tree.set("my_patch", "transition", "0\n");
        });
        assert_eq!(run(&args, answer).unwrap(), Outcome::Done);
        end.join().unwrap();
    }
    assert_eq!(case.err.text().matches(kept).count(), 2);
    assert!(!case.err.text().contains("livepatch.ko"));

    // The one that is in transition, which livepatch.ko has.
    case.tree.modules(&["livepatch 1 0 - Live 0x0 (O)"]);
    case.tree.set("my_patch", "force", "");
    case.tree.set("my_patch", "transition", "1\n");
    let end = case.tree.once(("my_patch", "force", "1"), |tree| {
        tree.set("my_patch", "transition", "0\n");
    });
    let any = force::Args {
        patch: None,
        yes: true,
    };
    assert_eq!(run(&any, None).unwrap(), Outcome::Done);
    end.join().unwrap();
    has(
        &case.err.text(),
        &["these modules, and livepatch.ko with them, and take"],
    );
    has(
        &run(&any, None).unwrap_err().to_string(),
        &["no livepatch is in transition"],
    );

    case.tree.set("my_patch", "force", "");
    has(
        &run(&args, None).unwrap_err().to_string(),
        &["nothing to force"],
    );
    assert_eq!(case.tree.get("my_patch", "force"), "");
}

#[test]
fn force_names_what_stays() {
    let case = Case::new();
    case.tree.patch("first", 1, 0, &["vmlinux/f,1"]);
    case.tree.patch("second", 1, 1, &["vmlinux/f,1"]);
    case.tree.patch("third", 1, 0, &["vmlinux/f,1"]);
    for (name, order) in [("first", "1\n"), ("second", "2\n"), ("third", "3\n")] {
        case.tree.set(name, "stack_order", order);
    }
    let force = |name: &'static str| {
        let args = force::Args {
            patch: Some(name.to_owned()),
            yes: true,
        };
        case.tree.set(name, "force", "");
        case.tree.set(name, "transition", "1\n");
        let end = case.tree.once((name, "force", "1"), move |tree| {
            tree.set(name, "transition", "0\n");
        });
        force::run(&args, &mut case.context()).unwrap();
        end.join().unwrap();
        case.err.text()
    };
    let said = force("second");
    assert!(!said.contains("until the next boot"), "{said}");
    case.tree.set("second", "replace", "1\n");
    has(
        &force("second"),
        &[
            "take no other build under their names: first\n",
            "kept until the next boot: first\n",
        ],
    );
}

//
// The command
//

fn klp(case: &Case, arguments: &str) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("klp").unwrap();
    command.args(arguments.split(' '));
    command.arg("--root").arg(&case.tree.0).assert()
}

#[test]
fn the_status_tells_how_it_ended() {
    let case = patched();
    klp(&case, "list").code(0);
    klp(&case, "status first").code(0);
    klp(&case, "wait first").code(0);
    klp(&case, "status none").code(1);
    klp(&case, "wait --timeout 0").code(3);
    klp(&case, "wait second --timeout 0.1").code(3);
    klp(&case, "wait --timeout x").code(2);
    klp(&case, "wait --timeout -1").code(2);
    klp(&case, "wait --timeout infinity first").code(0);
    klp(&case, "disable second --timeout 0 --reverse").code(3);
    klp(&case, "load").code(2);
    klp(&case, "load --all x.ko").code(2);
    klp(&case, "load --all --signal").code(2);
    klp(&case, "signal first").code(1);
    klp(&case, "force second").code(1);
    klp(&case, "unload").code(2);
    klp(&case, "unload first --all").code(2);
    klp(&case, "load /nonexistent.ko").code(1);
}

#[test]
fn livepatch_ko_has_the_version_of_klp() {
    let source = include_str!("../../../../rust/exports.c");
    let version = format!("MODULE_VERSION(\"{}\");", env!("CARGO_PKG_VERSION"));
    has(source, &[&version]);
}

#[test]
fn help_lists_the_statuses() {
    for command in ["load", "unload", "enable", "disable", "wait"] {
        let mut klp = Command::cargo_bin("klp").unwrap();
        let output = klp.args([command, "--help"]).assert().code(0);
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        has(&text, &["Exit status: 0", "3 if the time was up", "130 if"]);
        assert!(!text.contains("--root"), "{text}");
    }
    let mut klp = Command::cargo_bin("klp").unwrap();
    let output = klp.args(["boot", "--help"]).assert().code(0);
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    has(&text, &["1 if one of them is not enabled", "130 if"]);
}
