// SPDX-License-Identifier: GPL-2.0

//! The patch itself: `livepatch!` and what it is made of.

use crate::{
    bindings,
    object::State, //
};
use core::{
    cell::UnsafeCell,
    ptr, //
};
use kernel::{
    bindings::module,
    error::to_result,
    prelude::*, //
};

/// A static that the livepatch core reads, and writes in part.
///
/// # Invariants
///
/// Before the patch is enabled nobody has access to it. Afterwards patches only read it, but for the
/// data of a state, which is atomic, and the core writes, with its lock, what no patch reads but in a
/// callback.
#[repr(transparent)]
pub struct Table<T>(UnsafeCell<T>);

// SAFETY: By the type's invariant what is written is atomic, or written with the core's lock, which
// is held in callbacks, too.
unsafe impl<T> Sync for Table<T> {}

impl<T> Table<T> {
    /// A table with these contents.
    #[inline]
    pub const fn new(contents: T) -> Self {
        Table(UnsafeCell::new(contents))
    }
}

impl<T, const N: usize> Table<[T; N]> {
    /// The first of its entries.
    #[inline]
    pub const fn first(&'static self) -> *mut T {
        self.0.get().cast()
    }
}

/// An entry for a function. All names end with a NUL; the last entry has an empty one.
#[inline]
pub const fn function(
    old_name: &'static str,
    new_func: *const (),
    old_sympos: usize,
) -> bindings::klp_func {
    bindings::klp_func {
        old_name: if old_name.is_empty() {
            ptr::null()
        } else {
            old_name.as_ptr().cast()
        },
        new_func: new_func.cast_mut().cast(),
        old_sympos,
    }
}

/// An entry for an object; an empty name is that of the kernel, and of the last entry.
#[inline]
pub const fn object(
    name: &'static str,
    funcs: *mut bindings::klp_func,
    callbacks: bindings::klp_callbacks,
) -> bindings::klp_object {
    bindings::klp_object {
        name: if name.is_empty() {
            ptr::null()
        } else {
            name.as_ptr().cast()
        },
        funcs,
        callbacks,
        mod_: ptr::null_mut(),
    }
}

/// An entry for a state; the last one has id 0.
#[inline]
pub const fn state(id: usize, version: u32) -> bindings::klp_state {
    bindings::klp_state {
        id,
        version,
        data: ptr::null_mut(),
    }
}

/// A livepatch; [`livepatch!`](crate::livepatch) makes it, and calls it `LIVEPATCH`.
///
/// # Invariants
///
/// It is a description as the livepatch core wants it, of a patch in the module that it names, and
/// so is all that it points to. All new functions can be called as those that they replace.
pub struct Patch(Table<bindings::klp_patch>);

impl Patch {
    /// # Safety
    ///
    /// `module` must be the module that the static is in. `objects` and `states` must be statics
    /// as the livepatch core wants them; only `states` may be null. All new functions must have
    /// the types of those that they replace.
    ///
    /// Where a parameter of a new function is a reference, it must be good for each call.
    #[inline]
    pub const unsafe fn new(
        module: *mut module,
        objects: *mut bindings::klp_object,
        states: *mut bindings::klp_state,
        replace: bool,
    ) -> Self {
        // INVARIANT: The caller says so of each of these.
        Patch(Table::new(bindings::klp_patch {
            mod_: module,
            objs: objects,
            states,
            replace,
        }))
    }

    /// Enables the patch.
    ///
    /// # Errors
    ///
    /// Those of `klp_enable_patch()`.
    ///
    /// # Safety
    ///
    /// To be called once, by the module's init function.
    #[inline]
    pub unsafe fn enable(&'static self) -> Result {
        // SAFETY: By the type's invariant it describes a patch, which is a static of its module. The
        // caller says that this is its init function, and that it does so once.
        to_result(unsafe { bindings::klp_enable_patch(self.0 .0.get()) })
    }

    /// The patch's state `id`.
    #[inline]
    pub fn state(&'static self, id: usize) -> Option<&'static State> {
        // SAFETY: By the type's invariant it describes a patch, whose states are statics of the
        // module: they are there for as long as anything of it.
        unsafe { State::from_raw(bindings::klp_get_state(self.0 .0.get(), id)) }
    }
}

/// Declares a livepatch and makes a kernel module of it.
///
/// ```ignore
/// livepatch! {
///     name: "livepatch-foo",
///     authors: ["Jane Doe"],                          // may be left out
///     description: "Makes foo say bar",               // may be left out
///     license: "GPL",
///     params: {                                       // may be left out; as `module!` has it
///         level: u8 { default: 0, description: "..." },
///     },
///     replace: true,                                  // may be left out
///     states: [{ id: 7, version: 1 }],                // may be left out
///     objects: [
///         vmlinux {
///             functions: [
///                 cmdline_proc_show(file, unused) => show,
///                 init_once[2](_) => my_init_once,
///                 "shrink.isra.0" as shrink() => my_shrink,
///                 // SAFETY: seq_read_iter() passes the file that is being read.
///                 unsafe meminfo_proc_show(_, _) => show_more,
///             ],
///             pre_patch: prepare,                     // callbacks may be left out
///             post_patch: done,
///             pre_unpatch: begin,
///             post_unpatch: clean_up,
///         },
///         some_module { functions: [target_report(_) => report] },
///     ],
/// }
/// ```
///
/// An object is `vmlinux`, the kernel, or a module as `lsmod` calls it. It need not be loaded.
///
/// A function is called as kallsyms has it, with a position where its object has several of that
/// name: `[n]` is the n-th in the order of `/proc/kallsyms`. Its parameters are listed by any
/// name, or as `_`. A name that is no identifier is given in quotes, and with `as` what its
/// declaration is called.
///
/// The replacement is an `extern "C" fn`. Its type has to be that of the C declaration of the old
/// function, which the patch's module `bindings` must have; see [`Parameter`](crate::Parameter)
/// for what stands for what. Before the name stands `unsafe` where a parameter is a reference that
/// C knows nothing of, and above it why it holds.
///
/// # Safety
///
/// With `unsafe`, the patch promises of the function that all pointers which are references in the
/// replacement point to something that is there and of that type until the function returns,
/// whoever calls it, and that they are not null, but for those in an [`Option`].
///
/// # Callbacks
///
/// The callbacks are those of `struct klp_callbacks`: `fn(&Object) -> Result` for `pre_patch`,
/// whose error ends the patching, and `fn(&Object)` for the others. They run in task context.
///
/// The static `LIVEPATCH`, a [`Patch`], is for its method [`state()`](Patch::state).
#[macro_export]
#[allow(clippy::crate_in_macro_def)] // `bindings` is the patch's.
macro_rules! livepatch {
    (
        name: $name:tt,
        $(authors: $authors:tt,)?
        $(description: $description:tt,)?
        license: $license:tt,
        $(params: $params:tt,)?
        $(replace: $replace:literal,)?
        $(states: [$({ id: $id:expr, version: $version:expr $(,)? }),* $(,)?],)?
        objects: [$($object:ident { $($contents:tt)* }),* $(,)?] $(,)?
    ) => {
        /// The patch.
        static LIVEPATCH: $crate::Patch = {
            use $crate::private::{object, state, Table};

            const OBJECTS: usize = <[&str]>::len(&[$(stringify!($object)),*]) + 1;
            static TABLE: Table<[$crate::bindings::klp_object; OBJECTS]> = Table::new([
                $($crate::livepatch!(@object $object $($contents)*),)*
                object(
                    "",
                    ::core::ptr::null_mut(),
                    $crate::livepatch!(@callbacks),
                ),
            ]);

            const STATES: usize = <[usize]>::len(&[$($($id),*)?]) + 1;
            static STATE_TABLE: Table<[$crate::bindings::klp_state; STATES]> = Table::new([
                $($(state($id, $version),)*)?
                state(0, 0),
            ]);

            // SAFETY: This is a static of the module. The tables are statics that end as they
            // should; the types of all functions are checked where their entries are made.
            unsafe {
                $crate::Patch::new(
                    &raw mut $crate::private::kernel::bindings::__this_module,
                    TABLE.first(),
                    STATE_TABLE.first(),
                    false $(|| $replace)?,
                )
            }
        };

        /// Tells the kernel's module loader and the livepatch core what this is.
        #[link_section = ".modinfo"]
        #[used(compiler)]
        static LIVEPATCH_MARK: [u8; 12] = *b"livepatch=Y\0";

        /// The module, which is there for the patch only.
        struct LivepatchModule;

        impl $crate::private::kernel::Module for LivepatchModule {
            fn init(
                _module: &'static $crate::private::kernel::ThisModule,
            ) -> $crate::private::kernel::error::Result<Self> {
                // SAFETY: This is the module's init function, which is called once.
                unsafe { LIVEPATCH.enable() }?;
                Ok(LivepatchModule)
            }
        }

        $crate::private::kernel::prelude::module! {
            type: LivepatchModule,
            name: $name,
            $(authors: $authors,)?
            $(description: $description,)?
            license: $license,
            $(params: $params,)?
        }
    };

    (@object $object:ident
        functions: [$($functions:tt)*]
        $(, $callback:ident: $called:expr)* $(,)?
    ) => {
        $crate::private::object(
            $crate::livepatch!(@name $object),
            $crate::livepatch!(@functions [] $($functions)*),
            $crate::livepatch!(@callbacks $($callback: $called),*),
        )
    };
    (@name vmlinux) => { "" };
    (@name $object:ident) => { concat!(stringify!($object), "\0") };

    // Bring all forms of a function into one: what is known of its parameters, name, position,
    // declaration, parameters, replacement.
    (@functions [$($done:tt)*]
        // SAFETY: Nothing happens here. The patch gives its reason where it writes this.
        unsafe $old:ident $([$position:literal])? ($($parameter:tt),* $(,)?) => $new:path
        $(, $($rest:tt)*)?
    ) => {
        $crate::livepatch!(
            @functions
            [$($done)* {
                Promised, stringify!($old), 0 $(+ $position)?, $old, ($($parameter)*), $new
            }]
            $($($rest)*)?
        )
    };
    (@functions [$($done:tt)*]
        // SAFETY: Nothing happens here. The patch gives its reason where it writes this.
        unsafe $old:literal $([$position:literal])? as $declared:ident
            ($($parameter:tt),* $(,)?) => $new:path
        $(, $($rest:tt)*)?
    ) => {
        $crate::livepatch!(
            @functions
            [$($done)* { Promised, $old, 0 $(+ $position)?, $declared, ($($parameter)*), $new }]
            $($($rest)*)?
        )
    };
    (@functions [$($done:tt)*]
        $old:ident $([$position:literal])? ($($parameter:tt),* $(,)?) => $new:path
        $(, $($rest:tt)*)?
    ) => {
        $crate::livepatch!(
            @functions
            [$($done)* {
                Nothing, stringify!($old), 0 $(+ $position)?, $old, ($($parameter)*), $new
            }]
            $($($rest)*)?
        )
    };
    (@functions [$($done:tt)*]
        $old:literal $([$position:literal])? as $declared:ident ($($parameter:tt),* $(,)?)
            => $new:path
        $(, $($rest:tt)*)?
    ) => {
        $crate::livepatch!(
            @functions
            [$($done)* { Nothing, $old, 0 $(+ $position)?, $declared, ($($parameter)*), $new }]
            $($($rest)*)?
        )
    };
    (@functions
        [$({ $known:ident, $old:expr, $position:expr, $declared:ident, ($($parameter:tt)*), $new:path })*]
    ) => {{
        use $crate::private::{check, function, Table};

        // `'call` is any time: what holds for it holds for each call.
        #[allow(dead_code, clippy::extra_unused_lifetimes)]
        fn check_all<'call>() {
            $(check::<
                'call,
                $crate::private::$known,
                extern "C" fn($($crate::livepatch!(@any $parameter)),*) -> _,
            >($new, crate::bindings::$declared);)*
        }

        const FUNCTIONS: usize = <[usize]>::len(&[$($position),*]) + 1;
        static TABLE: Table<[$crate::bindings::klp_func; FUNCTIONS]> = Table::new([
            $(function(concat!($old, "\0"), $new as *const (), $position),)*
            function("", ::core::ptr::null(), 0),
        ]);
        TABLE.first()
    }};
    (@any $parameter:tt) => { _ };

    (@callbacks $($callback:ident: $called:expr),*) => {{
        #[allow(unused_mut)]
        let mut callbacks = $crate::bindings::klp_callbacks {
            pre_patch: None,
            post_patch: None,
            pre_unpatch: None,
            post_unpatch: None,
            post_unpatch_enabled: false,
        };
        $(callbacks.$callback = $crate::livepatch!(@callback $callback $called);)*
        callbacks
    }};
    (@callback pre_patch $called:expr) => {{
        /// # Safety
        ///
        /// To be called by the livepatch core.
        unsafe extern "C" fn callback(
            object: *mut $crate::bindings::klp_object,
        ) -> $crate::private::kernel::ffi::c_int {
            let called: fn(&$crate::Object) -> $crate::private::kernel::error::Result = $called;
            // SAFETY: The livepatch core, the only caller, passes an object of the patch.
            unsafe { $crate::private::pre_patch(object, called) }
        }
        Some(callback)
    }};
    (@callback $callback:ident $called:expr) => {{
        /// # Safety
        ///
        /// To be called by the livepatch core.
        unsafe extern "C" fn callback(object: *mut $crate::bindings::klp_object) {
            let called: fn(&$crate::Object) = $called;
            // SAFETY: The livepatch core, the only caller, passes an object of the patch.
            unsafe { $crate::private::post_patch(object, called) }
        }
        Some(callback)
    }};
}
