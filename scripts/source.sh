#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get the kernel source and print its path: KSRC= where that is given, else the
# newest linux-source-7.* package, downloaded once and kept.

. "$(dirname "$0")/lib.sh"

if [ -n "${KSRC:-}" ]; then
	[ -f "$KSRC/Kbuild" ] || die "KSRC=$KSRC holds no kernel source"
	readlink -f "$KSRC"
	exit
fi

# The tree's own apt directories may belong to another user id: use the cache.
download() {
	local dir=$1 package apt=$CACHE/tmp/apt
	local options=(-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root)
	mkdir -p "$dir" "$apt/lists/partial" "$apt/archives/partial"
	cd "$dir"
	retry apt-get "${options[@]}" update
	package=$(apt-cache "${options[@]}" search --names-only '^linux-source-7\.[0-9]+$' | cut -d' ' -f1 | sort -V | tail -n 1)
	[ -n "$package" ] || die "the mirror offers no linux-source-7.*: set KSRC= to a kernel tree of your own"
	retry apt-get "${options[@]}" download "$package"
	rm -rf "$apt"
}

unpack() {
	local deb=$1 to=$2
	rm -rf "$to.part"
	mkdir -p "$to.part"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ --strip-components=1 --checkpoint=10000 --checkpoint-action=echo='%u records' -C "$to.part"
	mv "$to.part" "$to"
}

case "${1:-}" in
--download) download "$2" ;;
--unpack) unpack "$2" "$3" ;;
*)
	get() {
		local debs=$CACHE/debs deb
		ls "$debs"/linux-source-7.*.deb >/dev/null 2>&1 ||
			step "kernel source download" "1 min" "$TOP/scripts/enter" "$0" --download "$debs"
		deb=$(printf '%s\n' "$debs"/linux-source-7.*.deb | sort -V | tail -n 1)
		SRC=$CACHE/src/$(basename "$deb" _all.deb)
		[ -d "$SRC" ] || step "kernel source unpacking" "1 min" "$TOP/scripts/enter" "$0" --unpack "$deb" "$SRC"
		echo "$SRC"
	}
	mkdir -p "$CACHE/src"
	locked source get
	;;
esac
