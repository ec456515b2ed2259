#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the Debian packages, install them in a copy of the toolchain tree, and use
# what they bring: livepatch.ko is built by DKMS for the test kernel, and patches by
# what an author has installed. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
. "$TOP/tools/testing/verdict.sh"
. "$TOP/tools/testing/documented.sh"

# traces: what is ours by its name, wherever it lies.
traces() {
	find /etc /usr /var -xdev \( -iname '*livepatch*' -o -name 'klp*' -o -name _klp \) \
		! -path '/var/cache/*' | sort
}

install_packages() {
	echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00scratch
	# Our own manual pages are a part of what is tested.
	rm -f /etc/dpkg/dpkg.cfg.d/*
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get update -qq
	traces >/root/traces
	retry apt-get install -y -qq --no-install-recommends systemd man-db "$1"/livepatch-rs_"$VERSION"_*.deb \
		"$1"/livepatch-rs-dkms_"$VERSION"_all.deb
}

runs() {
	klp --version | grep -qF "$VERSION"
	klp convert --help >/dev/null
}

unit() {
	local command complaints
	[ "$(systemctl --root=/ is-enabled klp.service)" = enabled ]
	command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/klp.service)
	$command --help >/dev/null
	complaints=$(systemd-analyze verify /usr/lib/systemd/system/klp.service 2>&1 | grep -F klp.service || :)
	[ -z "$complaints" ] || { echo "$complaints" && false; }
}

dkms_builds() {
	local module
	# DKMS puts the module where the kernel's others are.
	mkdir -p "/lib/modules/$RELEASE"
	dkms build -m livepatch-rs -v "$VERSION" -k "$RELEASE" -a "$(uname -m)" --kernelsourcedir "$KOBJ" ||
		{ tail -n 20 "/var/lib/dkms/livepatch-rs/$VERSION/build/make.log"; return 1; }
	dkms install -m livepatch-rs -v "$VERSION" -k "$RELEASE" -a "$(uname -m)" --kernelsourcedir "$KOBJ"
	module=$(find "/lib/modules/$RELEASE" -name 'livepatch.ko*')
	[ "$(modinfo -F vermagic "$module" | cut -d' ' -f1)" = "$RELEASE" ]
	[ -s "/var/lib/livepatch-rs/$RELEASE/Module.symvers" ]
}

# dkms_leaves_out: a kernel that was built by another rustc is no reason to fail its installation.
dkms_leaves_out() {
	local tree=/root/other release=7.99.0-other status=0
	mkdir -p "$tree/include/config" "/lib/modules/$release"
	cp "$KOBJ/.config" "$KOBJ/Makefile" "$tree/"
	sed 's/^\(CONFIG_RUSTC_VERSION_TEXT=\).*/\1"rustc 1.60.0 (0123456789 2022-04-07)"/' \
		"$KOBJ/include/config/auto.conf" >"$tree/include/config/auto.conf"
	echo "$release" >"$tree/include/config/kernel.release"
	dkms install -m livepatch-rs -v "$VERSION" -k "$release" -a "$(uname -m)" --kernelsourcedir "$tree" || status=$?
	[ "$status" -eq 77 ]
	grep -F "that kernel was built with 'rustc 1.60.0" "/var/lib/dkms/livepatch-rs/$VERSION/build/make.log"
	rm -rf "/lib/modules/$release"
}

# is_patch FILE: converted, and for the kernel.
is_patch() {
	[ "$(modinfo -F livepatch "$1")" = Y ]
	[ "$(modinfo -F vermagic "$1" | cut -d' ' -f1)" = "$RELEASE" ]
	readelf -SW "$1" >/root/sections
	grep -q '\.klp\.rela\.vmlinux\.text' /root/sections
}

samples_build() {
	local sample
	cp -r /usr/share/livepatch-rs/samples /root/samples
	for sample in cmdline rust/cmdline; do
		make -C "/root/samples/$sample" KDIR="$KOBJ" LIVEPATCH=/usr/share/livepatch-rs
	done
	is_patch /root/samples/cmdline/livepatch-cmdline.ko
	is_patch /root/samples/rust/cmdline/livepatch-cmdline-rust.ko
}

# new_builds: without being told where anything is but the kernel.
new_builds() {
	cd /root
	klp new in-c
	klp new in-rust --rust
	grep -qx 'LIVEPATCH ?= /usr/share/livepatch-rs' in-c/Makefile
	make -C in-c KDIR="$KOBJ"
	make -C in-rust KDIR="$KOBJ"
	is_patch in-c/in-c.ko
	is_patch in-rust/in-rust.ko
}

kept_for_boot() {
	klp install /root/in-c/in-c.ko /root/in-rust/in-rust.ko
	# Another kernel runs.
	[ "$(klp installed --all | cut -d' ' -f1,2)" = "$RELEASE in_c"$'\n'"$RELEASE in_rust" ]
	klp uninstall --kernel "$RELEASE" in-c
	[ "$(klp installed --all | cut -d' ' -f1,2)" = "$RELEASE in_rust" ]
	find "/var/lib/livepatch-rs/$RELEASE/patches" -name '*.ko' | grep -q in_rust
}

# by_hand: beside the packages, so with a root of its own.
by_hand() {
	export DESTDIR=/root/by-hand KLP=/usr/bin/klp
	"$TOP/scripts/install.sh"
	"$DESTDIR/usr/local/bin/klp" --version
	[ -s "$DESTDIR/usr/src/livepatch-rs-$VERSION/dkms.conf" ]
	[ -s "$DESTDIR/usr/local/share/livepatch-rs/scripts/Makefile.livepatch" ]
	mkdir -p "$DESTDIR/etc/systemd/system/sysinit.target.wants" "$DESTDIR/var/lib/dkms/livepatch-rs/$VERSION"
	ln -s /usr/local/lib/systemd/system/klp.service "$DESTDIR/etc/systemd/system/sysinit.target.wants/"
	! "$TOP/scripts/install.sh" --remove 2>/root/refusal || return 1
	grep -q "'dkms remove livepatch-rs/$VERSION --all' first" /root/refusal
	[ -s "$DESTDIR/usr/src/livepatch-rs-$VERSION/dkms.conf" ]
	rmdir "$DESTDIR/var/lib/dkms/livepatch-rs/$VERSION"
	"$TOP/scripts/install.sh" --remove
	find "$DESTDIR" ! -type d >/root/left
	[ ! -s /root/left ] || { cat /root/left && false; }
}

removed() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get purge -y -qq livepatch-rs livepatch-rs-dkms
	[ -z "$(command -v klp)" ]
	traces >/root/traces.now
	diff /root/traces /root/traces.now
}

if [ "${1:-}" = --use ]; then
	KOBJ=$3
	RELEASE=$(cat "$KOBJ/include/config/kernel.release")
	export HOME=/root
	mkdir -p /root
	verdict "the packages are installed by apt" install_packages "$2"
	verdict "klp runs" runs
	verdict "each command has a manual page, and three shells have completions" documented ""
	verdict "the unit for the boot is enabled, and systemd has nothing to say of it" unit
	verdict "DKMS builds and installs livepatch.ko for a kernel" dkms_builds
	verdict "DKMS leaves out a kernel that livepatch.ko cannot be built for" dkms_leaves_out
	verdict "the samples are built with what is installed" samples_build
	verdict "new patches in C and in Rust are built with what is installed" new_builds
	verdict "patches are kept for the boot" kept_for_boot
	verdict "make install, and make uninstall without a trace" by_hand
	verdict "the packages are purged without a trace" removed
	conclude
	exit
fi

is_native || die "packages are built and tested on the machine's own architecture"
KOBJ=$("$TOP/scripts/kernel.sh" plain)
PACKAGES=$("$TOP/scripts/deb.sh")
say "using the packages in a copy of the toolchain tree"
SCRATCH=1 "$TOP/scripts/enter" "$0" --use "$PACKAGES" "$KOBJ"
