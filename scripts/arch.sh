#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the packages for Arch Linux with makepkg, and print the directory that they are in.
# makepkg is installed for that in a copy of the toolchain tree, which is thrown away.

. "$(dirname "$0")/lib.sh"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
OUT=$CACHE/packages/arch-$(key "$TOP")
WORK=$CACHE/tmp/arch-$(key "$TOP")

if [ "${1:-}" = --build ]; then
	# What apt does as a user of its own cannot reach the cache.
	echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00scratch
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get update -qq
	retry apt-get install -y -qq --no-install-recommends makepkg pacman-package-manager fakeroot libarchive-tools
	# makepkg refuses root, and what it makes is to be nobody's in particular.
	mkdir -p /build
	cp "$WORK"/* /build/
	install -m 755 "$2" /usr/local/bin/klp
	chown -R nobody /build
	cd /build
	env HOME=/build KLP=/usr/local/bin/klp PKGDEST=/build PKGEXT=.pkg.tar.zst \
		setpriv --reuid=nobody --regid=nogroup --clear-groups makepkg --nodeps
	cp ./*.pkg.tar.zst "$WORK/"
	exit
fi

[ "$(id -u)" -eq 0 ] || die "makepkg needs a user that is not root, beside root: run this as root"
KLP=$("$TOP/scripts/klp.sh")
rm -rf "$WORK" "$OUT"
mkdir -p "$WORK" "$OUT"
sed "s/#VERSION#/$VERSION/" "$TOP/packaging/arch/PKGBUILD" >"$WORK/PKGBUILD"
(cd "$TOP" && git ls-files -z --cached --others --exclude-standard |
	tar -czf "$WORK/livepatch-rs-$VERSION.tar.gz" --null -T - --transform "s,^,livepatch-rs-$VERSION/,")
SCRATCH=1 step "packages for Arch Linux" "1 min" "$TOP/scripts/enter" "$0" --build "$KLP"
mv "$WORK"/*.pkg.tar.zst "$OUT/"
rm -rf "$WORK"
echo "$OUT"
