// SPDX-License-Identifier: GPL-2.0

//! What a kernel wants its modules to be built for.

use crate::file::kernel::Kernel;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vermagic {
    /// All of it.
    Whole(Vec<u8>),
    /// The release only, which it begins with.
    Release(Vec<u8>),
}

impl Vermagic {
    /// That of a kernel; `None` where it does not show.
    pub fn of_kernel(kernel: &Kernel) -> Option<Self> {
        // static const char vermagic[] in kernel/module/main.c
        let text = kernel.string(kernel.address(b"vermagic")?)?;
        Some(Vermagic::Whole(text.to_vec()))
    }

    /// Whether a module's is the kernel's. Where symbols have versions, the kernel does not
    /// compare the release (`same_magic()` in `kernel/module/version.c`).
    pub fn is_same(&self, module: &[u8], has_versions: bool) -> bool {
        match self {
            Vermagic::Whole(kernel) if has_versions => {
                after_release(kernel) == after_release(module)
            }
            Vermagic::Whole(kernel) => kernel == module,
            Vermagic::Release(_) if has_versions => true,
            Vermagic::Release(release) => {
                let end = module.iter().position(|&byte| byte == b' ');
                release[..] == module[..end.unwrap_or(module.len())]
            }
        }
    }

    /// What is known of it.
    pub fn text(&self) -> &[u8] {
        match self {
            Vermagic::Whole(text) | Vermagic::Release(text) => text,
        }
    }
}

fn after_release(vermagic: &[u8]) -> &[u8] {
    let end = vermagic.iter().position(|&byte| byte == b' ');
    &vermagic[end.unwrap_or(vermagic.len())..]
}

#[cfg(test)]
mod tests {
    use super::Vermagic;

    #[test]
    fn the_release_does_not_count_where_symbols_have_versions() {
        let kernel = Vermagic::Whole(b"7.3.4 SMP mod_unload ".to_vec());
        assert!(kernel.is_same(b"7.3.4 SMP mod_unload ", false));
        assert!(!kernel.is_same(b"7.3.5 SMP mod_unload ", false));
        assert!(kernel.is_same(b"7.3.5 SMP mod_unload ", true));
        assert!(!kernel.is_same(b"7.3.4 SMP ", true));
    }

    #[test]
    fn of_a_release_alone_the_rest_is_not_compared() {
        let kernel = Vermagic::Release(b"7.3.4".to_vec());
        assert!(kernel.is_same(b"7.3.4 SMP ", false));
        assert!(!kernel.is_same(b"7.3.40 SMP ", false));
        assert!(!kernel.is_same(b"", false));
    }
}
