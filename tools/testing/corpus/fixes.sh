#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get the C files of two versions of a stable kernel, between which it was fixed: of the newest
# series linux-source-7.* of which the archive has two, the oldest and the newest. Prints two
# lines, `SERIES VERSION DIRECTORY`. They are chosen once: remove src/fixes from the cache to
# choose anew.

. "$(dirname "$0")/../../../scripts/lib.sh"

FIXES=$CACHE/src/fixes
WORK=$CACHE/tmp/fixes

# choose: sets SERIES and VERSIONS.
choose() {
	local series
	read_archive "$WORK"
	mapfile -t series < <(kernel_series | sort -rV)
	for SERIES in "${series[@]}"; do
		mapfile -t VERSIONS < <(apt-cache "${OPTIONS[@]}" madison "$SERIES" | tr -d ' ' | cut -d'|' -f2 | sort -uV)
		[ ${#VERSIONS[@]} -lt 2 ] || return 0
	done
	die "the archive has no two versions of any of these, and so nothing to compare: ${series[*]:-linux-source-7.*}"
}

get() {
	local version
	rm -rf "$WORK" "$FIXES"
	choose
	mkdir -p "$FIXES"
	for version in "${VERSIONS[0]}" "${VERSIONS[-1]}"; do
		rm -f "$WORK"/*.deb
		(cd "$WORK" && retry apt-get "${OPTIONS[@]}" download "$SERIES=$version")
		echo "unpacking $version"
		mkdir "$FIXES/$version"
		packed_source "$WORK"/*.deb |
			tar -xJ --strip-components=1 -C "$FIXES/$version" --wildcards '*.c'
		echo "$SERIES $version $FIXES/$version" >>"$FIXES/list.new"
	done
	rm -rf "$WORK"
	mv "$FIXES/list.new" "$FIXES/list"
}

if [ "${1:-}" = --get ]; then
	get
	exit
fi
fixes() {
	[ -e "$FIXES/list" ] || step "two versions of a stable kernel" "2 min" "$TOP/scripts/enter" "$0" --get
	cat "$FIXES/list"
}
mkdir -p "$CACHE/src"
locked fixes fixes
