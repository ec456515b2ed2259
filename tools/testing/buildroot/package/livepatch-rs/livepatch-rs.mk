################################################################################
#
# livepatch-rs (SPDX-License-Identifier: GPL-2.0)
#
################################################################################

LIVEPATCH_RS_VERSION = 0.1.0
LIVEPATCH_RS_SITE = $(BR2_EXTERNAL_LIVEPATCH_RS_PATH)/../../..
LIVEPATCH_RS_SITE_METHOD = local
LIVEPATCH_RS_LICENSE = GPL-2.0
# Some of the modules there are damaged.
LIVEPATCH_RS_BIN_ARCH_EXCLUDE = /usr/lib/livepatch-tests
LIVEPATCH_RS_DEPENDENCIES = klp host-klp host-rustc host-rust-bindgen \
	host-pahole host-python3 host-xz host-zstd

$(eval $(kernel-module))

# What the selftests load and run is built as everywhere else, beside a copy of the module.
LIVEPATCH_RS_TESTS = tools/testing/selftests/livepatch
LIVEPATCH_RS_MODULES = OUT=$(@D)/tests KOBJ=$(LINUX_DIR) SRC=$(LINUX_DIR) \
	KLP=$(HOST_DIR)/bin/klp GUEST_KLP=$(TARGET_DIR)/usr/bin/klp \
	ARCH=$(KERNEL_ARCH) LIVEPATCH_CROSS="$(TARGET_CROSS)" JOBS=$(PARALLEL_JOBS) \
	LIVEPATCH_CACHE=$(@D)/tests/cache $(@D)/tools/testing/modules.sh

define LIVEPATCH_RS_BUILD_TESTS
	mkdir -p $(@D)/tests
	cp $(@D)/livepatch.ko $(@D)/Module.symvers $(@D)/tests
	$(LINUX_MAKE_ENV) $(LIVEPATCH_RS_MODULES) --build
endef
LIVEPATCH_RS_POST_BUILD_HOOKS += LIVEPATCH_RS_BUILD_TESTS

define LIVEPATCH_RS_INSTALL_TARGET_CMDS
	mkdir -p $(TARGET_DIR)/usr/lib/livepatch-tests
	dirs=$$($(LIVEPATCH_RS_MODULES) --directories) || exit; \
	for dir in $$(echo "$$dirs" | tr : ' '); do \
		find $$dir -maxdepth 1 '(' -name '[!.]*.ko' -o -name '[!.]*.ko.[gxz]*' ')' -exec \
			$(INSTALL) -m 0644 -t $(TARGET_DIR)/usr/lib/livepatch-tests {} + || exit; \
	done
	$(INSTALL) -m 0755 -t $(TARGET_DIR)/usr/lib/livepatch-tests \
		$(@D)/$(LIVEPATCH_RS_TESTS)/*.sh
	$(INSTALL) -m 0755 -t $(TARGET_DIR)/usr/bin $(@D)/tests/overlay/usr/bin/klp_*
	grep -v '^#' $(@D)/tools/testing/kernel-bugs \
		>$(TARGET_DIR)/usr/lib/livepatch-tests/kernel-bugs
endef

$(eval $(generic-package))
