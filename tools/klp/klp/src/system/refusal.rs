// SPDX-License-Identifier: GPL-2.0

//! Why the kernel does not take a module.

use super::kmsg::Message;
use super::{patches, read_if_there, System};
use crate::file::module_file::ModuleFile;
use rustix::io::Errno;
use std::io;

/// How many lines of the log are shown.
const SHOWN: usize = 30;

/// The error for a module that was refused: a sentence, and what the kernel logged since, or why
/// that cannot be read.
pub fn error(
    system: &System,
    module: &ModuleFile,
    error: &io::Error,
    log: Result<Vec<Message>, &io::Error>,
) -> anyhow::Error {
    let (log, unreadable) = match log {
        Ok(log) => (log, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let (log, of_others) = of_module(log, &module.name());
    let mut text = format!(
        "{} was not loaded: {}",
        module.path.display(),
        reason(system, module, error, &log)
    );
    let skipped = log.len().saturating_sub(SHOWN);
    if let Some(unreadable) = unreadable {
        let why = plain(unreadable);
        text.push_str(&format!("\nThe kernel's log cannot be read: {why}."));
    } else if log.is_empty() {
        text.push_str("\nThe kernel logged nothing.");
    } else if of_others {
        text.push_str("\nThe kernel names no reason. Meanwhile it said:");
    } else {
        text.push_str("\nThe kernel says:");
    }
    if skipped > 0 {
        text.push_str(&format!("\n    ({skipped} lines before these)"));
    }
    for message in log.iter().skip(skipped) {
        text.push_str("\n    ");
        text.push_str(&message.text);
    }
    anyhow::Error::msg(text)
}

/// What the kernel says of a module and of livepatches, without what it says of others meanwhile;
/// all of it, and `true`, where that is nothing.
fn of_module(log: Vec<Message>, module: &str) -> (Vec<Message>, bool) {
    // What the module loader says where it does not know the name yet, or names no module.
    const OF_LOADER: [&str; 7] = [
        "livepatch: ",
        "module ",
        "module: ",
        "Module ",
        "Loading of ",
        "Lockdown: ",
        "Invalid ",
    ];
    let is_of_module = |message: &Message| {
        let text = &message.text;
        let is_named = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|word| word == module);
        is_named || OF_LOADER.iter().any(|start| text.starts_with(start))
    };
    let (ours, others): (Vec<_>, Vec<_>) = log.into_iter().partition(is_of_module);
    match ours.is_empty() && !others.is_empty() {
        true => (others, true),
        false => (ours, false),
    }
}

fn reason(system: &System, module: &ModuleFile, error: &io::Error, log: &[Message]) -> String {
    let said = |text: &str| log.iter().any(|message| message.text.contains(text));
    let Some(errno) = error.raw_os_error().map(Errno::from_raw_os_error) else {
        return error.to_string();
    };
    match errno {
        Errno::EXIST => format!("a module {} is loaded already", module.name()),
        Errno::NOEXEC if said("version magic") => format!(
            "it was built for another kernel ({}), this is {}",
            module.text(b"vermagic").as_deref().unwrap_or("its version magic differs").trim(),
            system.release().unwrap_or_default()
        ),
        Errno::NOEXEC if said("livepatch support is disabled") => {
            "this kernel has no livepatch support, and livepatch.ko is not there".to_owned()
        }
        Errno::NOEXEC if said("disagrees about version of symbol") => {
            "it was built for a kernel whose functions differ from this one's".to_owned()
        }
        Errno::NOEXEC => "the kernel cannot make sense of it (invalid module format)".to_owned(),
        Errno::SRCH => "it was built for a kernel whose functions differ from this one's".to_owned(),
        Errno::KEYREJECTED | Errno::NOKEY | Errno::KEYREVOKED | Errno::KEYEXPIRED => {
            "this kernel takes modules only that are signed with a key that it trusts".to_owned()
        }
        Errno::PERM if modules_disabled(system) => {
            "this kernel takes no modules any more (kernel.modules_disabled is 1)".to_owned()
        }
        Errno::PERM | Errno::ACCESS => {
            "this is not permitted; it may be a container, or the kernel is locked down and takes signed modules only".to_owned()
        }
        Errno::BUSY => match patches::in_transition(system, &module.name()) {
            Ok(Some(other)) => format!(
                "{other} is in transition, and there can be only one: 'klp status {other}' says what it waits for, and how to end it"
            ),
            _ => "what it wants is in use (device or resource busy)".to_owned(),
        },
        Errno::NOENT if said("Unknown symbol") => {
            "it needs symbols that this kernel does not have".to_owned()
        }
        Errno::OPNOTSUPP if said("livepatch.ko is not needed") => {
            "this kernel loads livepatches by itself".to_owned()
        }
        Errno::NOSYS => "this is not a running system".to_owned(),
        _ => plain(error),
    }
}

fn modules_disabled(system: &System) -> bool {
    let path = system.path("/proc/sys/kernel/modules_disabled");
    matches!(read_if_there(&path), Ok(Some(text)) if text == "1")
}

/// Without the number that the standard library adds.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}
