// SPDX-License-Identifier: GPL-2.0

//! Running something while nothing else runs.

use super::bindings;
use core::marker::PhantomData;
use core::ptr;
use kernel::error::to_result;
use kernel::prelude::*;

/// Proof that all processors are stopped: every task but the stoppers is asleep or preempted,
/// interrupts are off, and no task list changes.
pub(crate) struct Stopped<'a>(PhantomData<&'a ()>);

struct Call<F, R> {
    function: Option<F>,
    result: Option<R>,
}

/// Stops all processors, runs `function` on one of them and lets them go on. `function` must not
/// sleep or allocate.
///
/// # Errors
///
/// Those of the kernel's `stop_machine()`.
pub(crate) fn stop_machine<F, R>(function: F) -> Result<R>
where
    F: FnOnce(&Stopped<'_>) -> R + Send,
    R: Send,
{
    let mut call = Call {
        function: Some(function),
        result: None,
    };
    // SAFETY: `run` gets a pointer to `call`, which outlives this synchronous call; `F` and `R`
    // may be used on another processor, as they are `Send`.
    to_result(unsafe {
        bindings::stop_machine(
            Some(run::<F, R>),
            ptr::from_mut(&mut call).cast(),
            ptr::null(),
        )
    })?;
    call.result.ok_or(EIO)
}

/// # Safety
///
/// Only for `stop_machine()`, with `data` a pointer to a `Call<F, R>`.
unsafe extern "C" fn run<F, R>(data: *mut c_void) -> c_int
where
    F: FnOnce(&Stopped<'_>) -> R,
{
    // SAFETY: By contract; nobody else touches it during the call.
    let call = unsafe { &mut *data.cast::<Call<F, R>>() };
    if let Some(function) = call.function.take() {
        call.result = Some(function(&Stopped(PhantomData)));
    }
    0
}
