#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Configure and build a test kernel and print its build directory.
#
#   kernel.sh            no CONFIG_LIVEPATCH: what livepatch.ko is for
#   kernel.sh peer       CONFIG_LIVEPATCH=y: the C core, to compare with
#   kernel.sh previous   the release before the newest that the archive has
#   kernel.sh debian     Debian's own configuration (cloud), without CONFIG_LIVEPATCH
#   kernel.sh debian-peer  the same with CONFIG_LIVEPATCH=y, as Debian has it
#   kernel.sh debian-btf the same with type information (BTF), by Debian 13's own rustc
#   kernel.sh oldest-rust  by that rustc: the oldest that the kernel takes (x86_64;
#                        s390 needs a newer one)
#   kernel.sh given      the configuration CONFIG= (a file), without CONFIG_LIVEPATCH
#   kernel.sh lockdep    lockdep, atomic-sleep checks, kmemleak, fault injection, signatures,
#                        and on x86_64 indirect branch tracking, and what systemd needs
#   kernel.sh kasan      the same with KASAN, by clang (x86_64)
#   kernel.sh kasan-peer the C core with all that
#   kernel.sh preempt    CONFIG_PREEMPT
#   kernel.sh rt         CONFIG_PREEMPT_RT (x86_64; s390 does not have it)
#   kernel.sh modversions  symbol versions, KASLR
#   kernel.sh ibt        indirect branch tracking (x86_64)
#   kernel.sh cfi        that with kCFI, FineIBT and LTO, by clang (x86_64)

. "$(dirname "$0")/lib.sh"

VARIANT=${1:-plain}
FRAGMENTS=$TOP/scripts/config
CONFIGS=("$FRAGMENTS/common.config" "$FRAGMENTS/$ARCH.config")
# A whole configuration to begin with, instead of one where everything is off.
BASE=
RELEASE=newest
PACKAGES=()
has_variant "$VARIANT" || die "the $VARIANT kernel is for x86_64 only"
case "$VARIANT" in
plain | oldest-rust) ;;
peer | preempt | rt) CONFIGS+=("$FRAGMENTS/$VARIANT.config") ;;
previous) RELEASE=previous ;;
modversions)
	CONFIGS+=("$FRAGMENTS/$VARIANT.config")
	# gendwarfksyms reads debugging information.
	PACKAGES+=(libdw-dev)
	;;
lockdep)
	CONFIGS+=("$FRAGMENTS/lockdep.config")
	[ "$ARCH" != x86_64 ] || CONFIGS+=("$FRAGMENTS/"{ibt,systemd}.config)
	;;
kasan | kasan-peer)
	CONFIGS+=("$FRAGMENTS/debug.config")
	[ "$VARIANT" = kasan ] || CONFIGS+=("$FRAGMENTS/peer.config")
	;;
ibt | cfi)
	CONFIGS+=("$FRAGMENTS/$VARIANT.config")
	;;
debian | debian-peer | debian-btf)
	CONFIGS=("$FRAGMENTS/"{whole,no-debug-info}.config)
	case "$VARIANT" in
	debian-peer) CONFIGS+=("$FRAGMENTS/peer.config") ;;
	debian-btf) CONFIGS=("$FRAGMENTS/"{whole,btf}.config) ;;
	esac
	;;
given)
	[ -f "${CONFIG:-}" ] || die "CONFIG= names the file of a kernel configuration"
	BASE=$(readlink -f "$CONFIG")
	[ -n "${LLVM:-}" ] || [ "$(unpacked "$BASE" | grep -c '^CONFIG_CC_IS_CLANG=y')" = 0 ] ||
		die "$CONFIG is for a kernel that clang builds: LLVM=1 does that"
	CONFIGS=("$FRAGMENTS/"{whole,no-debug-info}.config)
	case $ARCH in
	x86_64) CONFIGS+=("$FRAGMENTS/serial.config") ;;
	s390) CONFIGS+=("$FRAGMENTS/s390.config") ;;
	esac
	;;
*) die "no such kernel variant: $VARIANT" ;;
esac

# Which of the compilers, where it is another one. Not a path that only the tree has: its key
# would be another one there.
COMPILER=
case $(kmake_args "$VARIANT") in
*LLVM=1*) COMPILER=LLVM=1 ;;
*RUSTC=*)
	COMPILER=suite-rust
	PACKAGES+=(--suite-rust)
	;;
esac

SRC=$("$TOP/scripts/source.sh" "$RELEASE")
case "$VARIANT" in debian*)
	# linux-config-7.3 belongs to linux-source-7.3.
	SERIES=$(sed -n 's/^\(VERSION\|PATCHLEVEL\) = //p' "$SRC/Makefile" | paste -sd.)
	PACKAGES+=("linux-config-$SERIES")
	;;
esac
TREE=$("$TOP/scripts/toolchain.sh" "${PACKAGES[@]}")
[[ "$VARIANT" != debian* ]] || BASE=$TREE/usr/src/linux-config-$SERIES/config.amd64_none_cloud-amd64.xz
[ -z "$BASE" ] || [ -f "$BASE" ] || die "linux-config-$SERIES has no $BASE"
# The source of a package never changes. One of the user's own may, and may become another release,
# whose files may be older than what was built.
OWN=
[[ $SRC == "$CACHE"/src/* ]] || OWN=$SRC/Makefile
# Comments do not count.
OBJ=$CACHE/kernel/$ARCH-$VARIANT-$(key "$SRC" ${OWN:+"$OWN"} "$TREE" "$COMPILER" ${BASE:+"$BASE"} "$(grep -hE '^(# )?CONFIG_' "${CONFIGS[@]}")")

configure() {
	local args line missing=0
	read -ra args <<<"$(kmake_args "$VARIANT")"
	make -C "$SRC" O="$OBJ" "${args[@]}" rustavailable
	if [ -n "$BASE" ]; then
		unpacked "$OBJ/.base" >"$OBJ/.config"
	else
		make -C "$SRC" O="$OBJ" "${args[@]}" allnoconfig
	fi
	(cd "$OBJ" && "$SRC/scripts/kconfig/merge_config.sh" -m -O "$OBJ" .config "${CONFIGS[@]}")
	make -C "$SRC" O="$OBJ" "${args[@]}" olddefconfig
	# What a fragment asks for and the kernel does not know is a mistake here. Nothing is asked for
	# with an empty string.
	while read -r line; do
		grep -qxF "$line" "$OBJ/.config" || {
			echo "not in the final configuration: $line"
			missing=1
		}
	done < <(cat "${CONFIGS[@]}" | grep '^CONFIG_' | grep -v '=""$')
	[ "$missing" -eq 0 ]
}

compile() {
	local args
	read -ra args <<<"$(kmake_args "$VARIANT")"
	[ -e "$OBJ/.configured" ] || configure
	touch "$OBJ/.configured"
	make -C "$SRC" O="$OBJ" "${args[@]}" -j"$JOBS" all
}

# is_built: and the source has not changed since.
is_built() {
	[ -e "$OBJ/.done" ] || return
	[ -z "$OWN" ] || ! changed_since "$OBJ/.done" "$SRC"
}

case "${2:-}" in
--compile) compile ;;
*)
	build() {
		! is_built || return 0
		mkdir -p "$OBJ"
		# A source that has changed may have other options.
		[ ! -e "$OBJ/.done" ] || rm -f "$OBJ/.configured"
		touch "$OBJ/.begun"
		# It may lie where the tree does not see it.
		[ -z "$BASE" ] || cp "$BASE" "$OBJ/.base"
		step "kernel $ARCH $VARIANT" "7 min" "$TOP/scripts/enter" \
			env KSRC="$SRC" CONFIG="$OBJ/.base" "$0" "$VARIANT" --compile
		mv "$OBJ/.begun" "$OBJ/.done"
	}
	is_built || locked "kernel-$ARCH-$VARIANT" build
	echo "$OBJ"
	;;
esac
