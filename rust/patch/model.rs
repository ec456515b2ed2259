// SPDX-License-Identifier: GPL-2.0

//! One patch, its objects and functions.

use super::parts::Parts;
use super::retire::Retire;
use super::sysfs::{FuncDir, ObjectDir, PatchDir};
use crate::format::name::{ObjectName, SymPos, Text};
use crate::format::patch::{self, Fault};
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::debugfs::DebugDir;
use crate::sys::kobject::Dir;
use crate::sys::module::{ModuleId, ModuleRef};
use crate::sys::spec::{FuncSpec, ObjectSpec, PatchSpec};
use crate::sys::{Address, Target};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::str::CString;

/// Tells patches apart, also after they are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PatchId(pub(crate) u64);

/// A patch. Its fields are dropped in this order: what is shown in sysfs goes before the module.
pub(crate) struct Patch {
    pub(crate) id: PatchId,
    pub(crate) spec: PatchSpec,
    pub(crate) name: CString,
    /// Whether it replaces all earlier patches.
    pub(crate) replace: bool,
    /// Whether it is, or is going to be, in effect.
    pub(crate) enabled: bool,
    /// Whether tasks were forced out of it: its code must stay.
    pub(crate) forced: bool,
    /// Whether it was enabled by force: tasks may still be in what it replaces.
    pub(crate) enabled_by_force: bool,
    pub(crate) objects: KVec<Object>,
    pub(crate) dir: Option<Dir<PatchDir>>,
    pub(crate) debug: Option<DebugDir>,
    /// What frees the patch later; allocated early, so that freeing cannot fail.
    pub(crate) retire: Option<Pin<KBox<Retire>>>,
    pub(crate) module: Option<ModuleRef>,
}

/// What a patch replaces in one object.
pub(crate) struct Object {
    /// The module's name; `None` for the kernel itself.
    pub(crate) name: Option<CString>,
    /// What the author wrote; `None` for an object that only has no-ops.
    pub(crate) spec: Option<ObjectSpec>,
    pub(crate) functions: KVec<Function>,
    /// The target module, while it is loaded.
    pub(crate) target: Option<ModuleId>,
    /// Whether the functions are among the redirects.
    pub(crate) patched: bool,
    pub(crate) dir: Option<Dir<ObjectDir>>,
}

/// A function to be replaced.
pub(crate) struct Function {
    pub(crate) name: CString,
    pub(crate) position: SymPos,
    /// What runs instead; `None` for a no-op, which brings the original back. How large it is, is
    /// known while the object is loaded.
    pub(crate) new: Option<New>,
    /// The original, while its object is loaded.
    pub(crate) old: Option<Body>,
    /// Whether it is among the redirects.
    pub(crate) patched: bool,
    pub(crate) dir: Option<Dir<FuncDir>>,
}

/// What runs in place of a function.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) target: Target,
    pub(crate) body: Body,
}

/// The code of a function.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) address: Address,
    /// In bytes.
    pub(crate) size: usize,
    pub(crate) parts: Parts,
}

impl Patch {
    /// The records for what an author describes. Nothing is looked up yet.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a description that lacks something, which is logged; `ENOMEM`; `ENODEV`
    /// where the patch module is going away.
    pub(crate) fn new(id: PatchId, spec: PatchSpec) -> Result<KBox<Patch>> {
        let module = spec.module().ok_or_else(|| refuse(&Refusal::NoModule))?;
        let name = CString::try_from(module.name())?;
        let incomplete = |fault: Fault<'_>| {
            refuse(&Refusal::Incomplete {
                patch: name.to_bytes(),
                fault,
            })
        };
        let mut objects: KVec<Object> = KVec::new();
        let specs = spec.objects();
        let has_list = specs.is_some();
        for spec in specs.into_iter().flatten() {
            let object = Object::new(spec, &incomplete)?;
            if objects.iter().any(|other| other.is_named(object.name())) {
                return Err(incomplete(Fault::ObjectTwice {
                    object: object.display_name(),
                }));
            }
            objects.push(object, GFP_KERNEL)?;
        }
        let count = has_list.then_some(objects.len());
        patch::objects(count, spec.replace()).map_err(incomplete)?;
        let module = module.get()?;
        Ok(KBox::new(
            Patch {
                id,
                spec,
                replace: spec.replace(),
                enabled: false,
                forced: false,
                enabled_by_force: false,
                objects,
                dir: None,
                debug: None,
                retire: Some(Retire::new()?),
                module: Some(module),
                name,
            },
            GFP_KERNEL,
        )?)
    }

    /// The patch module's name, to be logged.
    pub(crate) fn display_name(&self) -> Text<'_> {
        Text(self.name.to_bytes())
    }

    /// The identity of the patch module.
    pub(crate) fn module_id(&self) -> Option<ModuleId> {
        self.module.as_ref().map(|module| module.module().id())
    }

    /// Says whether the patch is enabled, here and in sysfs.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        if let Some(dir) = &self.dir {
            dir.enabled.store(enabled, Ordering::Relaxed);
        }
    }

    /// Says in sysfs whether the patch is in transition.
    pub(crate) fn show_transition(&self, transition: bool) {
        if let Some(dir) = &self.dir {
            dir.transition.store(transition, Ordering::Relaxed);
        }
    }
}

impl Object {
    fn new(spec: ObjectSpec, incomplete: &dyn Fn(Fault<'_>) -> Error) -> Result<Object> {
        let name = spec.name();
        let shown = patch::object(name.map(CStr::to_bytes)).map_err(incomplete)?;
        let name = name.map(CString::try_from).transpose()?;
        let mut functions: KVec<Function> = KVec::new();
        let specs = spec
            .functions()
            .ok_or_else(|| incomplete(Fault::NoFunctions { object: shown }))?;
        for spec in specs {
            let function = Function::new(&spec, shown, incomplete)?;
            let again = |other: &Function| other.is_same(&function.name, function.position);
            if functions.iter().any(again) {
                return Err(incomplete(Fault::FunctionTwice {
                    object: shown,
                    function: function.name.to_bytes(),
                }));
            }
            functions.push(function, GFP_KERNEL)?;
        }
        Ok(Object {
            name,
            spec: Some(spec),
            functions,
            target: None,
            patched: false,
            dir: None,
        })
    }

    /// The module's name; `None` for the kernel itself.
    pub(crate) fn name(&self) -> Option<&CStr> {
        self.name.as_deref()
    }

    /// The object's name, to be logged.
    pub(crate) fn display_name(&self) -> &[u8] {
        self.name().map_or(b"vmlinux", |name| name.to_bytes())
    }

    /// The object's name, as symbols are looked up by it.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a name that no module can have.
    pub(crate) fn object_name(&self) -> Result<ObjectName<'_>> {
        ObjectName::new(self.display_name()).map_err(|_| EINVAL)
    }

    /// Whether this is its name.
    pub(crate) fn is_named(&self, name: Option<&CStr>) -> bool {
        self.name() == name
    }

    /// Whether its functions can be patched now.
    pub(crate) fn is_loaded(&self) -> bool {
        self.name.is_none() || self.target.is_some()
    }

    /// Says whether the object is patched, here and in sysfs.
    pub(crate) fn set_patched(&mut self, patched: bool) {
        self.patched = patched;
        if let Some(dir) = &self.dir {
            dir.patched.store(patched, Ordering::Relaxed);
        }
    }
}

impl Function {
    fn new(
        spec: &FuncSpec,
        object: &[u8],
        incomplete: &dyn Fn(Fault<'_>) -> Error,
    ) -> Result<Function> {
        let (name, new) =
            patch::function(object, spec.old_name(), spec.new_func()).map_err(incomplete)?;
        Function::with(name, SymPos(spec.position()), Some(new))
    }

    /// A function that is replaced by `new`, or brought back for `None`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn with(name: &CStr, position: SymPos, new: Option<Target>) -> Result<Function> {
        Ok(Function {
            name: CString::try_from(name)?,
            position,
            new: new.map(|target| New {
                target,
                body: Body {
                    address: target.address(),
                    size: 0,
                    parts: None,
                },
            }),
            old: None,
            patched: false,
            dir: None,
        })
    }

    /// Whether it stands for that function. Position 0 says that there is one of that name, which
    /// makes it the first.
    pub(crate) fn is_same(&self, name: &CStr, position: SymPos) -> bool {
        *self.name == *name && patch::is_same_position(self.position, position)
    }

    /// The code that runs in its place; `None` for a no-op.
    pub(crate) fn body(&self) -> Option<&Body> {
        self.new.as_ref().map(|new| &new.body)
    }

    /// Whether it is a no-op.
    pub(crate) fn is_nop(&self) -> bool {
        self.new.is_none()
    }
}
