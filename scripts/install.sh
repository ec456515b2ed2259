#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install the klp command with its manual pages and completions, what is needed to
# build patches, the sources of livepatch.ko for DKMS, and the systemd unit.
#
#   DESTDIR=     where the system's root is, for packages
#   PREFIX=      /usr/local, if not given
#   KLP=         the klp command; built, if not given
#
# livepatch.ko itself is not installed: it is built for each kernel, by DKMS or with
# `make KDIR=...`.
#
# With --remove, what was installed in this way is removed.

set -euo pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
SHARE=$DESTDIR$PREFIX/share
SOURCE=$DESTDIR/usr/src/livepatch-rs-$VERSION

UNIT=$PREFIX/lib/systemd/system/klp.service
if [ "${1:-}" = --remove ]; then
	# Without the sources, DKMS would not remove what it built of them.
	if [ -e "$DESTDIR/var/lib/dkms/livepatch-rs/$VERSION" ]; then
		echo "error: DKMS has livepatch.ko: 'dkms remove livepatch-rs/$VERSION --all' first" >&2
		exit 1
	fi
	for link in "$DESTDIR"/etc/systemd/system/*.wants/klp.service; do
		[ "$(readlink "$link")" != "$UNIT" ] || rm -f "$link"
	done
	rm -f "$DESTDIR$PREFIX/bin/klp" "$SHARE"/man/man1/klp{,-*}.1 \
		"$SHARE/bash-completion/completions/klp" "$SHARE/zsh/site-functions/_klp" \
		"$SHARE/fish/vendor_completions.d/klp.fish" \
		"$DESTDIR$UNIT"
	rm -rf "$SHARE/livepatch-rs" "$SHARE/doc/livepatch-rs" "$SOURCE"
	echo "Removed klp, its documents, unit and sources from $DESTDIR$PREFIX and $DESTDIR/usr/src. What 'klp install' has installed stays in $DESTDIR/var/lib/livepatch-rs."
	exit
fi
KLP=${KLP:-$("$TOP/scripts/klp.sh")}

# copy TO PATH...: files and directories of the checkout, without what is built, and without
# what makes rust/format a crate for the host.
copy() {
	local to=$1
	shift
	(cd "$TOP" && find "$@" -type f ! -name '*.o' ! -name '*.ko' ! -name '.*' \
		! -name '*.mod' ! -name '*.mod.c' ! -name '*_generated.rs' \
		! -path 'rust/format/Cargo.toml' ! -path 'rust/format/tests/*' -print0) |
		while IFS= read -r -d '' file; do
			install -D -m 644 "$TOP/$file" "$to/$file"
		done
}

install -D -m 755 "$KLP" "$DESTDIR$PREFIX/bin/klp"
install -d "$SHARE/man/man1"
"$KLP" man "$SHARE/man/man1"
install -d "$SHARE/bash-completion/completions" "$SHARE/zsh/site-functions" \
	"$SHARE/fish/vendor_completions.d"
"$KLP" completions bash >"$SHARE/bash-completion/completions/klp"
"$KLP" completions zsh >"$SHARE/zsh/site-functions/_klp"
"$KLP" completions fish >"$SHARE/fish/vendor_completions.d/klp.fish"
install -d "$DESTDIR${UNIT%/*}"
sed "s|/usr/bin/klp|$PREFIX/bin/klp|" "$TOP/packaging/klp.service" \
	>"$DESTDIR$UNIT"

copy "$SHARE/livepatch-rs" scripts/Makefile.livepatch scripts/Makefile.bindgen include rust/authors samples
copy "$SHARE/doc/livepatch-rs" README.md CONTRIBUTING.md Documentation

copy "$SOURCE" Kbuild Makefile scripts/Makefile.bindgen scripts/check-kernel rust include packaging/dkms-symvers
sed "s/#MODULE_VERSION#/$VERSION/" "$TOP/packaging/dkms.conf" >"$SOURCE/dkms.conf"
chmod 755 "$SOURCE/packaging/dkms-symvers" "$SOURCE/scripts/check-kernel"

if [ -n "$DESTDIR" ]; then
	echo "Installed in $DESTDIR, for a package or an image: neither DKMS nor systemd was told."
	exit
fi
cat <<-END
	Installed. For the running kernel, unless it has CONFIG_LIVEPATCH:

	    dkms install livepatch-rs/$VERSION

	and to load at boot what 'klp install' installs:

	    systemctl enable klp.service

	'make uninstall' removes all of this again, after 'dkms remove livepatch-rs/$VERSION --all'.
END
