// SPDX-License-Identifier: GPL-2.0

//! Why there is no livepatch.

use super::report::Status;
use anyhow::Error;

/// Why there is no livepatch.
pub struct Stop {
    /// What came of the build.
    pub status: Status,
    /// In words.
    pub error: Error,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop {
            status: Status::Error,
            error,
        }
    }
}

impl Stop {
    /// What makes a stop of an error.
    pub fn new(status: Status) -> impl Fn(Error) -> Stop {
        move |error| Stop { status, error }
    }
}
