#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A shell in a guest that runs a test kernel, with livepatch.ko, klp and patches to be tried:
# each PATCH is a .ko file, or a directory that has some, and FILES= are other files, separated by
# spaces. With no terminal, the commands of standard input are run in the guest; the status is
# that of the last one.
#
#   shell.sh [VARIANT] [PATCH]...

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANT=${1:-plain}
[ $# -eq 0 ] || shift

patches=()
for patch; do
	if [ -d "$patch" ]; then
		files=("$patch"/*.ko)
		[ -e "${files[0]}" ] || die "$patch has no .ko file: build the patch first ('make' in its directory)"
		patches+=("${files[@]}")
	else
		[ -f "$patch" ] || die "PATCH=$patch: there is no such file or directory"
		patches+=("$patch")
	fi
done

COMMANDS=
if [ ! -t 0 ] || [ ! -t 1 ]; then
	COMMANDS=$(cat)
	[ -n "$COMMANDS" ] || die "there is no terminal for a shell, and standard input has no commands"
fi

read -ra files <<<"${FILES:-}"
for file in "${files[@]}"; do
	[ -f "$file" ] || die "FILES='${FILES:-}': $file is no file (spaces separate the files)"
	patches+=("$file")
done

RELEASE=$(cat "$("$TOP/scripts/kernel.sh" "$VARIANT")/include/config/kernel.release")
KLP=$("$TOP/scripts/klp.sh" --guest)
STAGE=$(mktemp -d "$CACHE/tmp/shell.XXXXXX")
trap 'rm -rf "$STAGE"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$STAGE/usr/bin" "$STAGE/root"
cp "$KLP" "$STAGE/usr/bin/klp"
# On a kernel that has livepatch support of its own there is no use for it.
if [[ $VARIANT != *peer ]]; then
	mkdir -p "$STAGE/lib/modules/$RELEASE/updates"
	cp "$("$TOP/scripts/modules.sh" "$VARIANT")/livepatch.ko" "$STAGE/lib/modules/$RELEASE/updates/"
fi
# What depmod misses where no kernel is installed.
mkdir -p "$STAGE/lib/modules/$RELEASE"
touch "$STAGE/lib/modules/$RELEASE/modules."{order,builtin,builtin.modinfo}
for patch in "${patches[@]}"; do
	cp "$patch" "$STAGE/root/"
done

guest=("$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --overlay "$STAGE")
say "booting the $ARCH kernel in QEMU"
if [ -n "$COMMANDS" ]; then
	"${guest[@]}" -- "depmod; $COMMANDS"
	exit
fi
cat >"$STAGE/root/.bashrc" <<-'END'
	PS1='# '
	depmod
	echo "Linux $(uname -r) without a patch. 'klp load FILE.ko' loads one; 'exit' ends the guest, Ctrl-A x stops it."
	ls
END
# The status of the last command in the shell is not that of the guest.
"${guest[@]}" --interactive --timeout 0 -- "TERM=${TERM:-linux} bash -i; true"
