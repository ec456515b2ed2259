################################################################################
#
# livepatch-rs (SPDX-License-Identifier: GPL-2.0)
#
################################################################################

LIVEPATCH_RS_VERSION = 0.1.0
LIVEPATCH_RS_SITE = $(BR2_EXTERNAL_LIVEPATCH_RS_PATH)/../../..
LIVEPATCH_RS_SITE_METHOD = local
LIVEPATCH_RS_LICENSE = GPL-2.0
LIVEPATCH_RS_DEPENDENCIES = host-klp host-rustc host-rust-bindgen

LIVEPATCH_RS_TESTS = tools/testing/selftests/livepatch
LIVEPATCH_RS_PATCHES = samples/cmdline samples/meminfo samples/module-target \
	$(LIVEPATCH_RS_TESTS)/test_modules

# Those that are patches are converted by klp, which kbuild does not do.
define LIVEPATCH_RS_BUILD_PATCHES
	$(foreach d,$(LIVEPATCH_RS_PATCHES), \
		$(LINUX_MAKE_ENV) $(MAKE) -C $(@D)/$(d) \
			$(LINUX_MAKE_FLAGS) KDIR=$(LINUX_DIR) \
			KLP=$(HOST_DIR)/bin/klp$(sep))
endef
LIVEPATCH_RS_POST_BUILD_HOOKS += LIVEPATCH_RS_BUILD_PATCHES

define LIVEPATCH_RS_INSTALL_TARGET_CMDS
	mkdir -p $(TARGET_DIR)/usr/lib/livepatch-tests
	find $(@D) -name '[!.]*.ko' -exec \
		$(INSTALL) -m 0644 -t $(TARGET_DIR)/usr/lib/livepatch-tests {} +
	$(INSTALL) -m 0755 -t $(TARGET_DIR)/usr/lib/livepatch-tests \
		$(@D)/$(LIVEPATCH_RS_TESTS)/*.sh
	grep -v '^#' $(@D)/tools/testing/kernel-bugs \
		>$(TARGET_DIR)/usr/lib/livepatch-tests/kernel-bugs
endef

$(eval $(kernel-module))
$(eval $(generic-package))
