#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What klp reads of the kernels that are built here, from their boot images and from
# vmlinux, is what their builds say: all symbols of System.map in its order, but for
# those that kallsyms does not have, and the same code. The boot image is also packed
# anew, with those of the tools for kernels that the toolchain tree has; the tests of
# tools/klp/kernel have the other formats.
#
#   images.sh [VARIANT...]
#
# Ends with one line `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

KERNEL=$("$TOP/scripts/cargo" --directory)/examples/kernel

# boot_image DIRECTORY: the one that $ARCH's build makes.
boot_image() {
	case "$ARCH" in
	x86_64) echo "$1/arch/x86/boot/bzImage" ;;
	s390) echo "$1/arch/s390/boot/bzImage" ;;
	esac
}

# check_symbols WHAT FILE
check_symbols() {
	local status=0
	"$KERNEL" symbols "$2" >"$WORK/found" || status=1
	if [ "$status" -eq 0 ]; then
		# In the order of addresses, where the linker's order does not matter.
		LC_ALL=C sort -s -c -k1,1 "$WORK/found" || status=1
		LC_ALL=C sort "$WORK/found" | diff - "$WORK/expected" | head -n 20 | sed 's/^/# /' | tee "$WORK/diff" ||
			status=1
		[ ! -s "$WORK/diff" ] && [ -s "$WORK/found" ] || status=1
	fi
	count "$status" "$1: the symbols of System.map"
}

# repack IMAGE OUT COMMAND...: replaces the compressed kernel.
repack() {
	python3 - "$ARCH" "$@" <<'EOF'
import struct, subprocess, sys, zlib
arch, image, out, *command = sys.argv[1:]
data = open(image, 'rb').read()
if arch == 'x86_64':
    offset, size = struct.unpack_from('<II', data, 0x248)
    start = (data[0x1f1] + 1) * 512 + offset
else:
    # The last that is there begins the kernel: what comes before is code.
    start, size = data.rindex(b'\x1f\x8b\x08\x00'), None
unpacker = zlib.decompressobj(31)
kernel = unpacker.decompress(data[start:])
rest = data[start + size:] if size else unpacker.unused_data
packed = subprocess.run(command, input=kernel, stdout=subprocess.PIPE, check=True).stdout
packed += struct.pack('<I', len(kernel))
head = bytearray(data[:start])
if arch == 'x86_64':
    struct.pack_into('<I', head, 0x24c, len(packed))
open(out, 'wb').write(head + packed + rest)
EOF
}

check() {
	local variant dir image name command same different
	for variant; do
		dir=${DIRS[$variant]}
		image=$(boot_image "$dir")
		# kallsyms leaves out absolute symbols (is_ignored_symbol() in scripts/kallsyms.c).
		awk '$2 !~ /^[aAnu]$/' "$dir/System.map" | LC_ALL=C sort >"$WORK/expected"
		check_symbols "$variant, boot image" "$image"
		check_symbols "$variant, vmlinux" "$dir/vmlinux"
		read -r same different < <("$KERNEL" compare "$image" "$dir/vmlinux" || echo 0 0)
		echo "# $same functions are the same in boot image and vmlinux, $different are not"
		status=0
		[ "$same" -gt 1000 ] && [ "$different" -eq 0 ] || status=1
		count "$status" "$variant, boot image: the code of vmlinux"
		while read -r name command; do
			# shellcheck disable=SC2086 # words
			repack "$image" "$WORK/$name" $command
			check_symbols "$variant, boot image packed with $name" "$WORK/$name"
		done <<-EOF
			lzma xz --format=lzma -6
			xz xz --check=crc32 --x86 --lzma2=preset=6,dict=32MiB
			zstd zstd -q -19 --ultra --long=27
		EOF
	done
	conclude
}

if [ "${1:-}" = --check ]; then
	"$TOP/scripts/cargo" build --quiet --workspace --example kernel
	WORK=$(mktemp -d)
	trap 'rm -rf "$WORK"' EXIT
	shift
	declare -A DIRS
	variants=()
	for word; do
		DIRS[${word%%=*}]=${word#*=}
		variants+=("${word%%=*}")
	done
	check "${variants[@]}"
	exit
fi

words=()
for variant in "${@:-plain}"; do
	words+=("$variant=$("$TOP/scripts/kernel.sh" "$variant")")
done
exec "$TOP/scripts/enter" "$0" --check "${words[@]}"
