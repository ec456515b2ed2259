#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Configure and build a test kernel and print its build directory.
#
#   kernel.sh            no CONFIG_LIVEPATCH: what livepatch.ko is for
#   kernel.sh peer       CONFIG_LIVEPATCH=y: the C core, to compare with
#   kernel.sh lockdep    lockdep, atomic-sleep checks, kmemleak, fault injection, signatures,
#                        and on x86_64 indirect branch tracking, and what systemd needs
#   kernel.sh kasan      the same with KASAN, by clang (x86_64)
#   kernel.sh kasan-peer the C core with all that
#   kernel.sh preempt    CONFIG_PREEMPT
#   kernel.sh rt         CONFIG_PREEMPT_RT
#   kernel.sh modversions  symbol versions, KASLR
#   kernel.sh ibt        indirect branch tracking (x86_64)
#   kernel.sh cfi        that with kCFI, FineIBT and LTO, by clang (x86_64)

. "$(dirname "$0")/lib.sh"

VARIANT=${1:-plain}
CONFIGS=("$TOP/scripts/config/common.config" "$TOP/scripts/config/$ARCH.config")
case "$VARIANT" in
plain) ;;
peer | preempt | rt | modversions) CONFIGS+=("$TOP/scripts/config/$VARIANT.config") ;;
lockdep)
	CONFIGS+=("$TOP/scripts/config/lockdep.config")
	[ "$ARCH" != x86_64 ] || CONFIGS+=("$TOP/scripts/config/"{ibt,systemd}.config)
	;;
kasan | kasan-peer)
	[ "$ARCH" = x86_64 ] || die "the $VARIANT kernel is for x86_64 only"
	CONFIGS+=("$TOP/scripts/config/debug.config")
	[ "$VARIANT" = kasan ] || CONFIGS+=("$TOP/scripts/config/peer.config")
	;;
ibt | cfi)
	[ "$ARCH" = x86_64 ] || die "the $VARIANT kernel is for x86_64 only"
	CONFIGS+=("$TOP/scripts/config/$VARIANT.config")
	;;
*) die "no such kernel variant: $VARIANT" ;;
esac

LLVM=
[[ $(kmake_args "$VARIANT") != *LLVM=1* ]] || LLVM=LLVM=1

SRC=$("$TOP/scripts/source.sh")
PACKAGES=()
# gendwarfksyms reads debugging information.
[ "$VARIANT" != modversions ] || PACKAGES+=(libdw-dev)
TREE=$("$TOP/scripts/toolchain.sh" "${PACKAGES[@]}")
# Comments do not count.
OBJ=$CACHE/kernel/$ARCH-$VARIANT-$(key "$SRC" "$TREE" "$LLVM" "$(grep -hE '^(# )?CONFIG_' "${CONFIGS[@]}")")

configure() {
	local args line missing=0
	read -ra args <<<"$(kmake_args "$VARIANT")"
	make -C "$SRC" O="$OBJ" "${args[@]}" rustavailable
	make -C "$SRC" O="$OBJ" "${args[@]}" allnoconfig
	(cd "$OBJ" && "$SRC/scripts/kconfig/merge_config.sh" -m -O "$OBJ" .config "${CONFIGS[@]}")
	make -C "$SRC" O="$OBJ" "${args[@]}" olddefconfig
	# What a fragment asks for and the kernel does not know is a mistake here.
	while read -r line; do
		grep -qxF "$line" "$OBJ/.config" || {
			echo "not in the final configuration: $line"
			missing=1
		}
	done < <(cat "${CONFIGS[@]}" | grep '^CONFIG_')
	[ "$missing" -eq 0 ]
}

compile() {
	local args
	read -ra args <<<"$(kmake_args "$VARIANT")"
	[ -e "$OBJ/.configured" ] || configure
	touch "$OBJ/.configured"
	make -C "$SRC" O="$OBJ" "${args[@]}" -j"$JOBS" all
}

case "${2:-}" in
--compile) compile ;;
*)
	build() {
		[ -e "$OBJ/.done" ] && return
		mkdir -p "$OBJ"
		step "kernel $ARCH $VARIANT" "7 min" "$TOP/scripts/enter" "$0" "$VARIANT" --compile
		touch "$OBJ/.done"
	}
	[ -e "$OBJ/.done" ] || locked "kernel-$ARCH-$VARIANT" build
	echo "$OBJ"
	;;
esac
