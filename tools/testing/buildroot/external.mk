# SPDX-License-Identifier: GPL-2.0
#
# A kernel with Rust needs a compiler, bindgen and the source of Rust's core library,
# which Buildroot's linux package does not ask for. Its rules have been read by now, and
# what is added to its variables changes none of them: that order is a rule of its own. The
# variables tell what to show as dependencies, and what goes into its directory.
ifeq ($(BR2_PACKAGE_LIVEPATCH_RS),y)
LIVEPATCH_RS_RUST = host-rustc host-rust-bindgen host-rust-src
LINUX_KCONFIG_DEPENDENCIES += $(LIVEPATCH_RS_RUST)
LINUX_DEPENDENCIES += $(LIVEPATCH_RS_RUST)
LINUX_MAKE_FLAGS += RUST_LIB_SRC=$(HOST_DIR)/lib/rustlib/src/rust/library
# Buildroot has the flags in HOSTCC, which rustc takes for the name of its linker: they are given
# as flags. What is wrong in headers of other packages is no concern of the kernel's warnings.
LINUX_MAKE_FLAGS += HOSTCC="$(HOSTCC_NOCCACHE)"
LINUX_MAKE_ENV += HOSTLDFLAGS="$(HOST_LDFLAGS)" \
	HOSTCFLAGS="$(subst -I/,-isystem /,$(subst -I /,-isystem /,$(HOST_CFLAGS)))"
$(LINUX_DIR)/$(LINUX_KCONFIG_STAMP_DOTCONFIG): | $(LIVEPATCH_RS_RUST)
endif

include $(sort $(wildcard $(BR2_EXTERNAL_LIVEPATCH_RS_PATH)/package/*/*.mk))
