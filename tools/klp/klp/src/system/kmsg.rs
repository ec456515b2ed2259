// SPDX-License-Identifier: GPL-2.0

//! The kernel's log, as `/dev/kmsg` has it; see `Documentation/ABI/testing/dev-kmsg` of the kernel
//! source.

use super::System;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Longer than any record, which the kernel wants read in one go.
const RECORD: usize = 16 * 1024;

/// A message of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When, by the kernel's clock.
    pub time: Duration,
    /// What, without its lines' ends.
    pub text: String,
}

impl Message {
    /// `<priority>,<number>,<microseconds>,<flags>;<text>`. `None` for what a program wrote there.
    fn parse(line: &str) -> Option<Self> {
        let (head, text) = line.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u64 = fields.next()?.parse().ok()?;
        let _number = fields.next()?;
        let time = Duration::from_micros(fields.next()?.parse().ok()?);
        (priority >> 3 == 0).then(|| Message {
            time,
            text: text.to_owned(),
        })
    }
}

/// The log from some moment on.
pub struct Log(io::Result<File>);

impl Log {
    /// What is logged from now on.
    pub fn from_now(system: &System) -> Self {
        Log::open(system, SeekFrom::End(0))
    }

    /// All that is still there.
    pub fn whole(system: &System) -> Self {
        Log::open(system, SeekFrom::Start(0))
    }

    fn open(system: &System, from: SeekFrom) -> Self {
        let open = || {
            let mut file = OpenOptions::new()
                .read(true)
                .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
                .open(system.path("/dev/kmsg"))?;
            file.seek(from)?;
            io::Result::Ok(file)
        };
        Log(open())
    }

    /// The messages that were not read yet.
    ///
    /// # Errors
    ///
    /// Why the log cannot be opened: often `EPERM`, where `kernel.dmesg_restrict` is 1 and
    /// `CAP_SYSLOG` is missing.
    pub fn read(&mut self) -> Result<Vec<Message>, &io::Error> {
        let file = self.0.as_mut().map_err(|error| &*error)?;
        let mut text = String::new();
        let mut buffer = vec![0; RECORD];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    text.push_str(&String::from_utf8_lossy(bytes));
                }
                // Overwritten before it was read: the next one is there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // The lines of a record's dictionary begin with a space.
        Ok(text.lines().filter_map(Message::parse).collect())
    }
}

/// When the transition of the patch began that is running now; `None` where the log does not tell.
pub fn transition_began(system: &System, patch: &str) -> Option<Duration> {
    let start = format!("livepatch: '{patch}': starting ");
    Log::whole(system)
        .read()
        .ok()?
        .iter()
        .rev()
        .find(|message| message.text.starts_with(&start))
        .map(|message| message.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records_of_the_kernel_only() {
        assert_eq!(
            Message::parse("6,339,5140900,-;livepatch: a; b, c"),
            Some(Message {
                time: Duration::from_micros(5_140_900),
                text: "livepatch: a; b, c".to_owned(),
            })
        );
        assert_eq!(
            Message::parse("6,339,5140900,-,caller=T1;x").unwrap().text,
            "x"
        );
        assert_eq!(Message::parse("12,340,5140901,-;from a program"), None);
        assert_eq!(Message::parse(" SUBSYSTEM=pci;x"), None);
        assert_eq!(Message::parse(""), None);
    }
}
