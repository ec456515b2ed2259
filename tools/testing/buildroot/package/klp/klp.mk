################################################################################
#
# klp (SPDX-License-Identifier: GPL-2.0)
#
################################################################################

KLP_VERSION = 0.1.0
KLP_SITE = $(BR2_EXTERNAL_LIVEPATCH_RS_PATH)/../../..
KLP_SITE_METHOD = local
KLP_SUBDIR = tools/klp/klp
KLP_LICENSE = GPL-2.0

# Sources that are local are not vendored when they are downloaded.
define KLP_VENDOR
	mkdir -p $(@D)/$(KLP_SUBDIR)/.cargo
	cd $(@D)/$(KLP_SUBDIR) && $(HOST_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo vendor --locked VENDOR >.cargo/config.toml
endef
KLP_PRE_CONFIGURE_HOOKS += KLP_VENDOR
HOST_KLP_PRE_CONFIGURE_HOOKS += KLP_VENDOR

define KLP_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/packaging/klp.service \
		$(TARGET_DIR)/usr/lib/systemd/system/klp.service
endef

$(eval $(cargo-package))
$(eval $(host-cargo-package))
