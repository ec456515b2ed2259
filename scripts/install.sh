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

set -euo pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
KLP=${KLP:-$("$TOP/scripts/klp.sh")}
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/tools/klp/Cargo.toml" | head -n 1)
SHARE=$DESTDIR$PREFIX/share
SOURCE=$DESTDIR/usr/src/livepatch-rs-$VERSION

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
install -d "$DESTDIR$PREFIX/lib/systemd/system"
sed "s|/usr/bin/klp|$PREFIX/bin/klp|" "$TOP/packaging/klp.service" \
	>"$DESTDIR$PREFIX/lib/systemd/system/klp.service"

copy "$SHARE/livepatch-rs" scripts/Makefile.livepatch scripts/Makefile.bindgen include rust/authors samples
copy "$SHARE/doc/livepatch-rs" README.md CONTRIBUTING.md Documentation

copy "$SOURCE" Kbuild Makefile scripts/Makefile.bindgen scripts/check-kernel rust include packaging/dkms-symvers
sed "s/#MODULE_VERSION#/$VERSION/" "$TOP/packaging/dkms.conf" >"$SOURCE/dkms.conf"
chmod 755 "$SOURCE/packaging/dkms-symvers" "$SOURCE/scripts/check-kernel"
