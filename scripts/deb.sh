#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the Debian packages and print the directory that they are in. debhelper is
# installed for that in a copy of the toolchain tree, which is thrown away.

. "$(dirname "$0")/lib.sh"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
OUT=$CACHE/packages/$(key "$TOP")
WORK=$CACHE/tmp/deb-$(key "$TOP")

if [ "${1:-}" = --build ]; then
	# What apt does as a user of its own cannot reach the cache.
	echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00scratch
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get update -qq
	retry apt-get install -y -qq --no-install-recommends build-essential debhelper dh-dkms
	cd "$WORK/livepatch-rs"
	KLP=$2 dpkg-buildpackage --build=binary --no-sign
	exit
fi

KLP=$("$TOP/scripts/klp.sh")
rm -rf "$WORK" "$OUT"
mkdir -p "$WORK/livepatch-rs" "$OUT"
(cd "$TOP" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$WORK/livepatch-rs")
cp -r "$TOP/packaging/debian" "$WORK/livepatch-rs/debian"
cat >"$WORK/livepatch-rs/debian/changelog" <<-END
	livepatch-rs ($VERSION) unstable; urgency=medium

	  * See the history of the repository.

	 -- The livepatch-rs authors <livepatch-rs@example.org>  $(cd "$TOP" && git log -1 --format=%aD)
END
SCRATCH=1 step "Debian packages" "1 min" "$TOP/scripts/enter" "$0" --build "$KLP"
mv "$WORK"/*.deb "$OUT/"
rm -rf "$WORK"
echo "$OUT"
