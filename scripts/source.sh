#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get the kernel source and print its path: KSRC= where that is given, else the
# newest linux-source-7.* package, downloaded once and kept.
#
#   source.sh            the newest release
#   source.sh previous   the release before that

. "$(dirname "$0")/lib.sh"

if [ -n "${KSRC:-}" ]; then
	[ -f "$KSRC/Kbuild" ] || die "KSRC=$KSRC holds no kernel source"
	echo "$KSRC"
	exit
fi

# download DIRECTORY [NEWER]: the newest package, or the newest of a release before that of
# the package file NEWER.
download() {
	local dir=$1 newer=${2:-} package apt=$CACHE/tmp/apt
	mkdir -p "$dir"
	cd "$dir"
	read_archive "$apt"
	package=$(kernel_series | before "${newer%%_*}" | tail -n 1)
	[ -n "$package" ] ||
		die "the archive has no linux-source-7.*${newer:+ before ${newer%%_*}}: set KSRC= to a kernel tree of your own"
	retry apt-get "${OPTIONS[@]}" download "$package"
	rm -rf "$apt"
}

# before NAME: the names that come in order, up to NAME, and without it; all, if it is empty.
before() {
	if [ -z "$1" ]; then
		sort -V
	else
		(cat && echo "$1") | sort -V -u | sed "/^$1\$/,\$d"
	fi
}

unpack() {
	local deb=$1 to=$2
	rm -rf "$to.part"
	mkdir -p "$to.part"
	packed_source "$deb" |
		tar -xJ --strip-components=1 --checkpoint=10000 --checkpoint-action=echo='%u records' -C "$to.part"
	mv "$to.part" "$to"
}

case "${1:-}" in
--download) download "$2" "${3:-}" ;;
--unpack) unpack "$2" "$3" ;;
*)
	# get DIRECTORY [NEWER]: one directory holds packages of one kind.
	get() {
		local debs=$1 deb
		compgen -G "$debs/linux-source-7.*.deb" >/dev/null ||
			step "kernel source download" "1 min" "$TOP/scripts/enter" "$0" --download "$@"
		deb=$(printf '%s\n' "$debs"/linux-source-7.*.deb | sort -V | tail -n 1)
		SRC=$CACHE/src/$(basename "$deb" _all.deb)
		[ -d "$SRC" ] || step "kernel source unpacking" "1 min" "$TOP/scripts/enter" "$0" --unpack "$deb" "$SRC"
		echo "$SRC"
	}
	find_source() {
		local newest
		newest=$(get "$CACHE/debs")
		case "$1" in
		newest) echo "$newest" ;;
		previous) get "$CACHE/debs/before-$(basename "$newest")" "$(basename "$newest")" ;;
		*) die "no such kernel source: $1" ;;
		esac
	}
	mkdir -p "$CACHE/src"
	locked source find_source "${1:-newest}"
	;;
esac
