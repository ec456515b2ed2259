# SPDX-License-Identifier: GPL-2.0
#
# A kernel with Rust needs a compiler, bindgen and the source of Rust's core library,
# which Buildroot's linux package does not ask for.
ifeq ($(BR2_PACKAGE_LIVEPATCH_RS),y)
LINUX_DEPENDENCIES += host-rustc host-rust-bindgen host-rust-src
LINUX_MAKE_FLAGS += RUST_LIB_SRC=$(HOST_DIR)/lib/rustlib/src/rust/library
endif

include $(sort $(wildcard $(BR2_EXTERNAL_LIVEPATCH_RS_PATH)/package/*/*.mk))
