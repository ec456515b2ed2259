// SPDX-License-Identifier: GPL-2.0

//! Directories and files in sysfs.

use super::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::container_of;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::time::{delay::fsleep, Delta};
use kernel::types::Opaque;

/// What a directory shows. Implemented with [`directory!`].
pub(crate) trait Directory: Send + Sync + 'static {
    /// The C side of the type.
    fn ktype() -> &'static KobjType;
}

/// A `struct kobj_type` that never changes.
#[repr(transparent)]
pub(crate) struct KobjType(bindings::kobj_type);

// SAFETY: It is constant.
unsafe impl Sync for KobjType {}

impl KobjType {
    /// A type whose directories hold the files in `groups`.
    pub(crate) const fn new<T: Directory>(
        ops: &'static Operations,
        groups: &'static Groups,
    ) -> Self {
        KobjType(bindings::kobj_type {
            release: Some(release::<T>),
            sysfs_ops: &raw const ops.0,
            default_groups: (&raw const groups.0).cast_mut().cast(),
            child_ns_type: None,
            namespace: None,
            get_ownership: None,
        })
    }
}

/// A `struct sysfs_ops`.
#[repr(transparent)]
pub(crate) struct Operations(bindings::sysfs_ops);

// SAFETY: It is constant.
unsafe impl Sync for Operations {}

impl Operations {
    /// Reads and writes the files of `T`.
    pub(crate) const fn new<T: Files>() -> Self {
        Operations(bindings::sysfs_ops {
            show: Some(show::<T>),
            store: Some(store::<T>),
        })
    }
}

/// A `struct attribute`.
#[repr(transparent)]
pub(crate) struct Attribute(bindings::attribute);

// SAFETY: It is constant.
unsafe impl Sync for Attribute {}

impl Attribute {
    /// A file's name and mode.
    pub(crate) const fn new(name: &'static CStr, mode: u16) -> Self {
        // SAFETY: All zeroes is an attribute without a name.
        let mut attribute: bindings::attribute = unsafe { core::mem::zeroed() };
        attribute.name = name.to_bytes_with_nul().as_ptr();
        attribute.mode = mode;
        Attribute(attribute)
    }
}

/// The list of a directory's attributes, ended by a null.
#[repr(transparent)]
pub(crate) struct List<const N: usize>(pub(super) [Option<&'static Attribute>; N]);

/// A `struct attribute_group`.
#[repr(transparent)]
pub(crate) struct Group(bindings::attribute_group);

// SAFETY: It is constant.
unsafe impl Sync for Group {}

impl Group {
    /// The files of a directory itself.
    pub(crate) const fn new<const N: usize>(list: &'static List<N>) -> Self {
        // SAFETY: All zeroes is a group without files.
        let mut group: bindings::attribute_group = unsafe { core::mem::zeroed() };
        group.__bindgen_anon_2.attrs = (&raw const list.0).cast_mut().cast();
        Group(group)
    }
}

/// A list of one group, ended by a null.
#[repr(transparent)]
pub(crate) struct Groups(pub(super) [Option<&'static Group>; 2]);

/// What a file does: its index among the directory's files decides. Implemented with
/// [`directory!`].
pub(crate) trait Files: Directory + Sized {
    /// Which file an attribute stands for, and what reading and writing it does.
    fn file(attribute: *const bindings::attribute) -> Option<&'static File<Self>>;
}

/// What reading and writing a file does. All files hold one number.
pub(crate) struct File<T: 'static> {
    /// The number to show.
    pub(super) show: Option<fn(&T) -> c_int>,
    /// What a written truth value does.
    pub(super) store: Option<fn(&T, bool) -> Result>,
}

/// Says which files the directories of a type hold:
///
/// `directory!(Type { name: 0o644, show: Type::get, store: Type::set; … });`
macro_rules! directory {
    ($type:ty { $( $file:ident: $mode:literal $(, show: $show:expr)? $(, store: $store:expr)?; )* }) => {
        const _: () = {
            use $crate::sys::kobject::{
                Directory, File, Files, Group, Groups, KobjType, List, Operations,
            };

            #[allow(non_upper_case_globals)]
            mod attributes {
                $(
                    pub(super) static $file: $crate::sys::kobject::Attribute = $crate::sys::kobject::Attribute::new(
                        match core::ffi::CStr::from_bytes_with_nul(
                            concat!(stringify!($file), "\0").as_bytes(),
                        ) {
                            Ok(name) => name,
                            Err(_) => c"",
                        },
                        $mode,
                    );
                )*
            }
            const COUNT: usize = 1 $( + { let _ = $mode; 1 } )*;
            static LIST: List<COUNT> = List::new([$( Some(&attributes::$file), )* None]);
            static GROUP: Group = Group::new(&LIST);
            static GROUPS: Groups = Groups::new(&GROUP);
            static OPERATIONS: Operations = Operations::new::<$type>();
            static KTYPE: KobjType = KobjType::new::<$type>(&OPERATIONS, &GROUPS);

            impl Directory for $type {
                fn ktype() -> &'static KobjType {
                    &KTYPE
                }
            }

            impl Files for $type {
                fn file(
                    attribute: *const $crate::sys::bindings::attribute,
                ) -> Option<&'static File<Self>> {
                    $(
                        if core::ptr::addr_eq(attribute, &attributes::$file) {
                            #[allow(unused_mut, unused_assignments)]
                            const FILE: File<$type> = {
                                let mut show: Option<fn(&$type) -> kernel::ffi::c_int> = None;
                                let mut store: Option<fn(&$type, bool) -> kernel::error::Result> = None;
                                $( show = Some($show); )?
                                $( store = Some($store); )?
                                File::new(show, store)
                            };
                            return Some(&FILE);
                        }
                    )*
                    let _ = attribute;
                    None
                }
            }
        };
    };
}
pub(crate) use directory;

impl<const N: usize> List<N> {
    /// The attributes, the last of which is `None`.
    pub(crate) const fn new(list: [Option<&'static Attribute>; N]) -> Self {
        List(list)
    }
}

impl Groups {
    /// One group.
    pub(crate) const fn new(group: &'static Group) -> Self {
        Groups([Some(group), None])
    }
}

impl<T> File<T> {
    /// What reading and writing does.
    pub(crate) const fn new(
        show: Option<fn(&T) -> c_int>,
        store: Option<fn(&T, bool) -> Result>,
    ) -> Self {
        File { show, store }
    }
}

/// A directory and what belongs to it, in one allocation that lives as long as the directory is
/// referred to from anywhere.
#[pin_data]
struct Node<T> {
    #[pin]
    kobj: Opaque<bindings::kobject>,
    data: T,
}

/// How many nodes there are. The module must stay while there is one, as its code frees them.
static NODES: AtomicUsize = AtomicUsize::new(0);

/// A directory in sysfs. Dropping it removes it with its files, and waits until nobody reads or
/// writes one of them.
pub(crate) struct Dir<T: Directory>(NonNull<Node<T>>);

// SAFETY: A kobject is counted atomically, and `T` is `Send` and `Sync`.
unsafe impl<T: Directory> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T: Directory> Sync for Dir<T> {}

/// A directory to make others in.
#[derive(Clone, Copy)]
pub(crate) struct Parent<'a>(*mut bindings::kobject, PhantomData<&'a ()>);

impl<T: Directory> Dir<T> {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` where there is something of that name.
    pub(crate) fn new(name: &CStr, parent: Parent<'_>, data: T) -> Result<Self> {
        let node = KBox::pin_init(
            pin_init!(Node {
                kobj <- Opaque::ffi_init(|slot: *mut bindings::kobject| {
                    // SAFETY: `slot` is valid for writes. An initialised kobject is zeroed first.
                    unsafe {
                        slot.write_bytes(0, 1);
                        bindings::kobject_init(slot, &raw const T::ktype().0);
                    }
                }),
                data,
            }),
            GFP_KERNEL,
        )?;
        NODES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: The node is not moved: it stays in its allocation until `release` frees it.
        let node = KBox::into_raw(unsafe { Pin::into_inner_unchecked(node) });
        // SAFETY: It comes from a box.
        let dir = Dir(unsafe { NonNull::new_unchecked(node) });
        // SAFETY: The kobject is initialised, the parent exists, and the name is printed as it is.
        let ret = unsafe {
            bindings::kobject_add(
                dir.kobj(),
                parent.0,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        if ret != 0 {
            // What was not added must not be removed, only freed.
            let dir = core::mem::ManuallyDrop::new(dir);
            // SAFETY: The only reference.
            unsafe { bindings::kobject_put(dir.kobj()) };
            return Err(Error::from_errno(ret));
        }
        Ok(dir)
    }

    fn kobj(&self) -> *mut bindings::kobject {
        // SAFETY: The node lives at least as long as the reference that `self` is.
        unsafe { self.0.as_ref() }.kobj.get()
    }

    /// As the place for other directories.
    pub(crate) fn as_parent(&self) -> Parent<'_> {
        Parent(self.kobj(), PhantomData)
    }
}

impl<T: Directory> core::ops::Deref for Dir<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The node lives at least as long as the reference that `self` is.
        &unsafe { self.0.as_ref() }.data
    }
}

impl<T: Directory> Drop for Dir<T> {
    fn drop(&mut self) {
        let kobj = self.kobj();
        // SAFETY: The reference that `self` is.
        unsafe {
            bindings::kobject_del(kobj);
            bindings::kobject_put(kobj);
        }
    }
}

/// # Safety
///
/// Only for the kobject of a `Node<T>` whose last reference is gone.
unsafe extern "C" fn release<T: Directory>(kobj: *mut bindings::kobject) {
    // SAFETY: By contract; the node was made by `Dir::new`.
    drop(unsafe {
        let node = container_of!(Opaque::cast_from(kobj.cast_const()), Node<T>, kobj);
        KBox::from_raw(node.cast_mut())
    });
    NODES.fetch_sub(1, Ordering::Release);
}

/// # Safety
///
/// `kobj` must be that of a `Node<T>` which lives for `'a`.
unsafe fn data<'a, T: Directory>(kobj: *mut bindings::kobject) -> &'a T {
    // SAFETY: By contract.
    unsafe { &(*container_of!(Opaque::cast_from(kobj.cast_const()), Node<T>, kobj)).data }
}

/// # Safety
///
/// Only for sysfs, with the kobject of a `Node<T>`.
unsafe extern "C" fn show<T: Files>(
    kobj: *mut bindings::kobject,
    attribute: *mut bindings::attribute,
    buffer: *mut c_char,
) -> isize {
    let Some(show) = T::file(attribute).and_then(|file| file.show) else {
        return EIO.to_errno() as isize;
    };
    // SAFETY: sysfs keeps the directory while one of its files is read, and gives a page to write
    // to; the format takes one `int`.
    unsafe { bindings::sysfs_emit(buffer, c"%d\n".as_char_ptr(), show(data::<T>(kobj))) as isize }
}

/// # Safety
///
/// Only for sysfs, with the kobject of a `Node<T>`.
unsafe extern "C" fn store<T: Files>(
    kobj: *mut bindings::kobject,
    attribute: *mut bindings::attribute,
    buffer: *const c_char,
    count: usize,
) -> isize {
    let Some(store) = T::file(attribute).and_then(|file| file.store) else {
        return EIO.to_errno() as isize;
    };
    let mut value = false;
    // SAFETY: sysfs NUL-terminates what was written, and keeps the directory meanwhile.
    let result = unsafe {
        to_result(bindings::kstrtobool(buffer, &raw mut value))
            .and_then(|()| store(data::<T>(kobj), value))
    };
    match result {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// A directory directly below `/sys/kernel`. Dropping it also waits until every [`Dir`] is freed.
pub(crate) struct Root(NonNull<bindings::kobject>);

// SAFETY: A kobject is counted atomically.
unsafe impl Send for Root {}
// SAFETY: As above.
unsafe impl Sync for Root {}

impl Root {
    /// Makes `/sys/kernel/<name>`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also where there is something of that name.
    pub(crate) fn new(name: &CStr) -> Result<Root> {
        // SAFETY: The kernel's own directory exists from boot on.
        let kobj =
            unsafe { bindings::kobject_create_and_add(name.as_char_ptr(), bindings::kernel_kobj) };
        NonNull::new(kobj).map(Root).ok_or(ENOMEM)
    }

    /// As the place for other directories.
    pub(crate) fn as_parent(&self) -> Parent<'_> {
        Parent(self.0.as_ptr(), PhantomData)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        while NODES.load(Ordering::Acquire) != 0 {
            fsleep(Delta::from_millis(10));
        }
        super::loader::wait_for_returns();
        // SAFETY: The reference that `self` is.
        unsafe { bindings::kobject_put(self.0.as_ptr()) };
    }
}
