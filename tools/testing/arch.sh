#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the packages for Arch Linux, install them with pacman into an empty root, look at
# what is there, and remove them. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
. "$TOP/tools/testing/verdict.sh"
. "$TOP/tools/testing/documented.sh"
ROOT=/arch

# pacman_there ARGUMENT...: pacman, for the empty root and what it knows of itself.
pacman_there() { pacman --root "$ROOT" --dbpath "$ROOT/var/lib/pacman" --noconfirm "$@"; }

files_of() { (cd "$ROOT" && find . ! -type d ! -path './var/lib/pacman/*' ! -path './var/log/*' | sort); }

installs() {
	mkdir -p "$ROOT/var/lib/pacman"
	# What they depend on is Arch's.
	pacman_there -U --nodeps --nodeps "$1"/klp-"$VERSION"-1-x86_64.pkg.tar.zst \
		"$1"/livepatch-rs-dkms-"$VERSION"-1-any.pkg.tar.zst
	pacman_there -Qkk klp livepatch-rs-dkms
	[ "$(pacman_there -Qi klp | sed -n 's/^Version *: //p')" = "$VERSION-1" ]
	pacman_there -Qi livepatch-rs-dkms | grep -q '^Depends On *: dkms$'
}

runs() { "$ROOT/usr/bin/klp" --version | grep -qF "$VERSION"; }

unit() {
	local command
	command=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$ROOT/usr/lib/systemd/system/klp.service")
	[ -x "$ROOT$command" ]
}

# dkms_tree KOBJ: what DKMS needs, by its own words; make does what DKMS has it do.
dkms_tree() {
	local tree=$ROOT/usr/src/livepatch-rs-$VERSION file
	grep -qx "PACKAGE_VERSION=\"$VERSION\"" "$tree/dkms.conf"
	for file in Kbuild Makefile rust/livepatch.rs rust/format/mod.rs rust/sys/bindings_helper.h include/linux/livepatch.h; do
		[ -s "$tree/$file" ]
	done
	[ -x "$tree/packaging/dkms-symvers" ] && [ -x "$tree/scripts/check-kernel" ]
	cp -r "$tree" /root/tree
	make -C /root/tree KDIR="$1"
	[ "$(modinfo -F vermagic /root/tree/livepatch.ko | cut -d' ' -f1)" = "$(cat "$1/include/config/kernel.release")" ]
}

for_authors() {
	local share=$ROOT/usr/share/livepatch-rs
	[ -s "$share/scripts/Makefile.livepatch" ] && [ -s "$share/rust/authors/lib.rs" ] &&
		[ -s "$share/samples/cmdline/Makefile" ]
}

# nothing_else: no file outside of /usr, and none that both have.
nothing_else() {
	files_of >/root/files
	[ "$(grep -c '^\./usr/' /root/files)" -eq "$(wc -l </root/files)" ]
	[ -z "$( (pacman_there -Qlq klp && pacman_there -Qlq livepatch-rs-dkms) | grep -v '/$' | sort | uniq -d)" ]
}

removed() {
	pacman_there -R klp livepatch-rs-dkms
	[ -z "$(files_of)" ]
}

if [ "${1:-}" = --use ]; then
	echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00scratch
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get update -qq
	retry apt-get install -y -qq --no-install-recommends pacman-package-manager
	printf '[options]\nArchitecture = x86_64\nSigLevel = Never\n' >/etc/pacman.conf
	verdict "pacman installs both packages" installs "$2"
	verdict "klp runs" runs
	verdict "each command has a manual page, and three shells have completions" documented "$ROOT"
	verdict "the unit for the boot names the command" unit
	verdict "what DKMS gets is complete: livepatch.ko is built from it" dkms_tree "$3"
	verdict "what patches are built with is there" for_authors
	verdict "all is in /usr, each file in one package" nothing_else
	verdict "pacman removes all of it" removed
	conclude
	exit
fi

[ "$(uname -m)" = x86_64 ] || die "Arch Linux is for x86_64"
KOBJ=$("$TOP/scripts/kernel.sh" plain)
PACKAGES=$("$TOP/scripts/arch.sh")
say "installing the packages in a copy of the toolchain tree"
SCRATCH=1 "$TOP/scripts/enter" "$0" --use "$PACKAGES" "$KOBJ"
