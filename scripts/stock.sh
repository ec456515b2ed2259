#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get a stock kernel of Debian 13 for $ARCH, and print the directory in which its files
# lie as they do on a machine that has it.
#
#   stock.sh image [old|new]      boot/vmlinuz-R, lib/modules/R
#   stock.sh headers [old|new]    usr/src/linux-headers-R, and what these refer to
#   stock.sh source [old|new]     usr/src/linux-source-6.12, unpacked
#   stock.sh versions             `old R V` and `new R V`: R is what uname -r prints, V the
#                                 packages' version
#
# `old`, the default, and `new` are the oldest and the newest of the archive that have
# image, headers and source. They are chosen once: remove stock/versions-* from the cache
# to choose anew. Packages of several architectures and of one version share a directory.
#
# Headers name each other by absolute paths: LAYER=DIRECTORY scripts/enter COMMAND runs
# a command where these are right.

. "$(dirname "$0")/lib.sh"

STOCK=$CACHE/stock
VERSIONS=$STOCK/versions-$ARCH
SERIES=6.12
case "$ARCH" in
x86_64) FLAVOUR=cloud-amd64 ;;
s390) FLAVOUR=s390x ;;
esac

# in_tree FUNCTION ARGUMENT...: a function of this script, in the toolchain tree.
in_tree() { "$TOP/scripts/enter" "$0" --in-tree "$@"; }

# set_apt_options: OPTIONS, for an apt that knows $ARCH, and the tree's own architecture
# for programs. The tree's lists have neither $ARCH nor all suites.
set_apt_options() {
	local apt=$CACHE/tmp/apt-stock-$ARCH mirror archs suite
	archs=$(debian_arch)
	[ "$archs" = "$(dpkg --print-architecture)" ] || archs+=,$(dpkg --print-architecture)
	OPTIONS=(
		-o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
		-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "APT::Architecture=$(debian_arch)" -o "APT::Architectures=$archs"
		-o APT::Sandbox::User=root -o Acquire::Languages=none
	)
	[ ! -e "$apt/sources.list" ] || return 0
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' /etc/apt/sources.list)
	[ -n "$mirror" ] || die "the toolchain tree's sources.list names no mirror"
	for suite in "$mirror trixie" "$mirror trixie-updates" "${mirror%/debian*}/debian-security trixie-security"; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $suite main"
	done >"$apt/sources.list.new"
	# A mirror may lack a suite, or be out of step for an architecture.
	retry apt-get "${OPTIONS[@]}" -o "Dir::Etc::SourceList=$apt/sources.list.new" update ||
		echo "not all indexes can be had: these versions will be missing"
	mv "$apt/sources.list.new" "$apt/sources.list"
}

# offered PREFIX SUFFIX: `R V` for each version of each package PREFIX-R that is offered.
offered() {
	local packages
	mapfile -t packages < <(apt-cache "${OPTIONS[@]}" search --names-only "^$1-${SERIES//./\\.}\.[^-]*-$2\$" | cut -d' ' -f1)
	[ ${#packages[@]} -eq 0 ] ||
		apt-cache "${OPTIONS[@]}" madison "${packages[@]}" | tr -d ' ' |
		awk -F'|' -v skip="${#1}" '{ print substr($1, skip + 2), $2 }' | sort -u
}

# choose: writes VERSIONS.
choose() {
	local found
	# What the archive has now.
	rm -rf "$CACHE/tmp/apt-stock-$ARCH"
	set_apt_options
	apt-cache "${OPTIONS[@]}" madison "linux-source-$SERIES" | tr -d ' ' | cut -d'|' -f2 >"$VERSIONS.sources"
	found=$(comm -12 <(offered linux-image "$FLAVOUR") <(offered linux-headers "$FLAVOUR") |
		awk 'NR == FNR { source[$1]; next } $2 in source' "$VERSIONS.sources" - | sort -V -k2)
	rm "$VERSIONS.sources"
	[ -n "$found" ] || die "the mirror has no kernel $SERIES for $FLAVOUR with image, headers and source (is it being synchronised?): try again later"
	echo "$found"
	sed -n -e '1s/^/old /p' -e '$s/^/new /p' <<<"$found" >"$VERSIONS.new"
	mv "$VERSIONS.new" "$VERSIONS"
}

# unpack ROOT PACKAGE VERSION [TAR-OPTION]...
unpack() {
	local root=$1 debs=$CACHE/debs/stock deb
	mkdir -p "$debs"
	cd "$debs"
	# apt writes the version's colon in its own way, and does nothing where the file is there.
	retry apt-get "${OPTIONS[@]}" download "$2=$3" ||
		die "the mirror has no $2 $3 any more: remove $VERSIONS to choose anew"
	deb=$(printf '%s\n' "${2%:*}_$3"_*.deb)
	[ -f "$deb" ] || die "apt downloaded no $deb"
	echo "unpacking $deb"
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x --no-same-owner --keep-directory-symlink --exclude ./usr/share "${@:4}" -C "$root"
}

# prepare_root ROOT: modules are in /lib for those who look there.
prepare_root() {
	mkdir -p "$1/usr/lib"
	[ -L "$1/lib" ] || ln -s usr/lib "$1/lib"
}

unpack_image() {
	unpack "$1" "linux-image-$2" "$3"
	# What the package's scripts do.
	depmod -b "$1" "$2"
	[ -f "$1/boot/vmlinuz-$2" ] || die "linux-image-$2 has no boot/vmlinuz-$2"
}

unpack_headers() {
	local abi=${2%-"$FLAVOUR"}
	unpack "$1" "linux-headers-$2" "$3"
	unpack "$1" "linux-headers-$abi-common" "$3"
	# Programs that run here.
	unpack "$1" "linux-kbuild-$abi:$(dpkg --print-architecture)" "$3"
	[ -f "$1/usr/src/linux-headers-$2/Makefile" ] || die "linux-headers-$2 has no usr/src/linux-headers-$2/Makefile"
}

unpack_source() {
	local to=$1/usr/src/linux-source-$SERIES
	unpack "$1" "linux-source-$SERIES" "$3"
	rm -rf "$to" "$to.part"
	mkdir "$to.part"
	tar -xJf "$to.tar.xz" --strip-components=1 --checkpoint=10000 --checkpoint-action=echo='%u records' -C "$to.part"
	mv "$to.part" "$to"
	rm "$to".*
}

case "${1:-}" in
--in-tree)
	[ "$2" = choose ] || { set_apt_options && prepare_root "$3"; }
	"${@:2}"
	exit
	;;
image | headers | source | versions) ;;
*) die "what of the stock kernel? stock.sh image|headers|source [old|new], or stock.sh versions" ;;
esac

choose_versions() {
	[ -e "$VERSIONS" ] || step "stock kernels for $ARCH: what the archive has" "20 s" in_tree choose
}

# get PART WHICH
get() {
	local release version root
	read -r _ release version < <(grep "^$2 " "$VERSIONS") || die "$VERSIONS names no '$2' kernel: say old or new"
	root=$STOCK/$version
	local done=$root/.$1-$release
	[ "$1" != source ] || done=$root/.source
	if [ ! -e "$done" ]; then
		step "stock kernel $release: $1" "1 min" in_tree "unpack_$1" "$root" "$release" "$version"
		touch "$done"
	fi
	echo "$root"
}

mkdir -p "$STOCK"
[ -e "$VERSIONS" ] || locked stock choose_versions
if [ "$1" = versions ]; then
	cat "$VERSIONS"
else
	locked stock get "$1" "${2:-old}"
fi
