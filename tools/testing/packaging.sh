#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the Debian packages, install them in a copy of the toolchain tree, and use
# what they bring: livepatch.ko is built by DKMS for the test kernel, and a sample
# by what a patch author has installed. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
passed=0
failed=0

# verdict DESCRIPTION COMMAND...: what the command prints is shown where it fails.
verdict() {
	local description=$1 output
	shift
	if output=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) $description"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) $description"
		tail -n 20 <<<"$output" | sed 's/^/# /'
	fi
}

install_packages() {
	echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00scratch
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$1"/livepatch-rs_"$VERSION"_*.deb \
		"$1"/livepatch-rs-dkms_"$VERSION"_all.deb
}

runs() {
	klp --version | grep -qF "$VERSION" && klp convert --help >/dev/null
}

documented() {
	[ -s /usr/share/man/man1/klp.1.gz ] && [ -s /usr/share/man/man1/klp-convert.1.gz ] &&
		bash -c '. /usr/share/bash-completion/completions/klp && complete -p klp'
}

unit() {
	grep -q '^ExecStart=/usr/bin/klp ' /usr/lib/systemd/system/klp.service
}

dkms_builds() {
	# DKMS puts the module where the kernel's others are.
	mkdir -p "/lib/modules/$RELEASE"
	dkms build -m livepatch-rs -v "$VERSION" -k "$RELEASE" -a "$(uname -m)" --kernelsourcedir "$KOBJ" ||
		{ tail -n 20 "/var/lib/dkms/livepatch-rs/$VERSION/build/make.log"; return 1; }
	dkms install -m livepatch-rs -v "$VERSION" -k "$RELEASE" -a "$(uname -m)" --kernelsourcedir "$KOBJ"
	local module
	module=$(find "/lib/modules/$RELEASE" -name 'livepatch.ko*')
	[ -n "$module" ] && [ "$(modinfo -F vermagic "$module" | cut -d' ' -f1)" = "$RELEASE" ]
}

sample_builds() {
	cp -r /usr/share/livepatch-rs/samples/cmdline /root/cmdline
	env -u LIVEPATCH_CACHE make -C /root/cmdline KDIR="$KOBJ" LIVEPATCH=/usr/share/livepatch-rs
	modinfo -F livepatch /root/cmdline/livepatch-cmdline.ko | grep -q Y
	readelf -SW /root/cmdline/livepatch-cmdline.ko | grep -q '\.klp\.rela\.vmlinux\.text'
}

removed() {
	apt-get purge -y -qq livepatch-rs livepatch-rs-dkms
	! command -v klp && [ ! -e /usr/share/livepatch-rs ] && [ ! -e "/usr/src/livepatch-rs-$VERSION" ] &&
		[ -z "$(find "/lib/modules/$RELEASE" -name 'livepatch.ko*')" ]
}

if [ "${1:-}" = --use ]; then
	KOBJ=$3
	RELEASE=$(cat "$KOBJ/include/config/kernel.release")
	verdict "the packages are installed by apt" install_packages "$2"
	verdict "klp runs" runs
	verdict "there are manual pages and completions" documented
	verdict "there is a systemd unit" unit
	verdict "DKMS builds and installs livepatch.ko for a kernel" dkms_builds
	verdict "a patch is built with what is installed" sample_builds
	verdict "the packages are removed without a trace" removed
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
fi

[ "$ARCH" = "$(uname -m)" ] || die "packages are built and tested on the machine's own architecture"
KOBJ=$("$TOP/scripts/kernel.sh" plain)
PACKAGES=$("$TOP/scripts/deb.sh")
say "using the packages in a copy of the toolchain tree"
SCRATCH=1 "$TOP/scripts/enter" "$0" --use "$PACKAGES" "$KOBJ"
