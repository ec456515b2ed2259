// SPDX-License-Identifier: GPL-2.0

//! Where optimized kprobes have their detours.
//!
//! An optimized kprobe in the middle of a function has replaced instructions by a jump to a detour
//! of its own, which runs them and jumps back. A task that was preempted in a detour has no address
//! in the function on its stack, but will go on in it. No unwinder knows detours; an address in one
//! tells that the task may be in any function.

pub(super) use implementation::Detours;

#[cfg(CONFIG_OPTPROBES)]
mod implementation {
    use super::super::sort::{sort, Compare};
    use super::super::{bindings, symbols, Address};
    use core::cmp::Ordering;
    use core::ops::{ControlFlow, Range};
    use kernel::prelude::*;

    /// The starts of the pages that hold detours, and other copies of instructions that kprobes run.
    ///
    /// # Invariants
    ///
    /// They are sorted.
    pub(crate) struct Detours(KVVec<Address>);

    /// The size of such a page.
    const PAGE: usize = bindings::LP_PAGE_SIZE;

    /// Room for the name of a symbol, as the kernel's functions for kallsyms want it.
    struct Name([u8; bindings::LP_KSYM_NAME_LEN as usize]);

    impl Compare for Address {
        fn compare(&self, other: &Self) -> Ordering {
            self.cmp(other)
        }
    }

    /// Calls `each` with the start of each page, until it breaks.
    fn each_page(name: &mut Name, mut each: impl FnMut(Address) -> ControlFlow<()>) {
        for number in 0.. {
            let (mut start, mut kind) = (0, 0);
            // SAFETY: All results have a place; that of the name is as long as the kernel's names.
            let ret = unsafe {
                symbols::kprobe_get_kallsym(
                    number,
                    &raw mut start,
                    &raw mut kind,
                    name.0.as_mut_ptr(),
                )
            };
            if ret != 0 || each(Address(start)).is_break() {
                return;
            }
        }
    }

    impl Detours {
        /// None.
        pub(crate) const fn none() -> Self {
            Detours(KVVec::new())
        }

        /// Those that there are now.
        ///
        /// # Errors
        ///
        /// `ENOMEM`
        pub(crate) fn find() -> Result<Self> {
            let mut name = KBox::new(Name([0; _]), GFP_KERNEL)?;
            let mut pages = KVVec::new();
            let mut result: Result = Ok(());
            each_page(&mut name, |start| match pages.push(start, GFP_KERNEL) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    result = Err(error.into());
                    ControlFlow::Break(())
                }
            });
            result?;
            sort(&mut pages);
            // INVARIANT: They were just sorted.
            Ok(Detours(pages))
        }

        /// Whether others have come since. It does not sleep.
        pub(crate) fn have_changed(&self) -> bool {
            let mut name = Name([0; _]);
            let mut changed = false;
            each_page(&mut name, |start| {
                changed = self.0.binary_search(&start).is_err();
                match changed {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            changed
        }

        /// Whether `address` is in one of them.
        pub(crate) fn contain(&self, address: Address) -> bool {
            let page = Address(address.0 & !(PAGE - 1));
            self.0.binary_search(&page).is_ok()
        }

        /// All of them.
        pub(crate) fn iter(&self) -> impl Iterator<Item = Range<Address>> + '_ {
            self.0.iter().map(|start| *start..start.offset(PAGE))
        }
    }
}

#[cfg(not(CONFIG_OPTPROBES))]
mod implementation {
    use super::super::Address;
    use core::ops::Range;
    use kernel::prelude::*;

    /// There are none on this kernel.
    pub(crate) struct Detours;

    impl Detours {
        /// None.
        pub(crate) const fn none() -> Self {
            Detours
        }

        /// None.
        ///
        /// # Errors
        ///
        /// None.
        pub(crate) fn find() -> Result<Self> {
            Ok(Detours)
        }

        /// They have not.
        pub(crate) fn have_changed(&self) -> bool {
            false
        }

        /// It is not.
        pub(crate) fn contain(&self, _address: Address) -> bool {
            false
        }

        /// There are none.
        pub(crate) fn iter(&self) -> impl Iterator<Item = Range<Address>> + '_ {
            core::iter::empty()
        }
    }
}
