#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Do what Documentation/livepatch/tutorial.md says, word for word, and compare what the
# commands print with what it shows. Those for the build machine run first, in the
# toolchain tree, where the test kernel's build directory lies as the running kernel's
# would; then those for root in one guest. Ends with `N passed, N failed`, one for each
# command.

. "$(dirname "$0")/../../scripts/lib.sh"

DOCUMENT=$TOP/Documentation/livepatch/tutorial.md
WORK=$CACHE/tmp/tutorial-$ARCH-$(key "$TOP")
. "$TOP/tools/testing/tutorial-guest.sh"

# Of what this changes in the tree and in the checkout, only what was built is kept.
if [ "${1:-}" = --build ]; then
	mkdir -p "/lib/modules/$(uname -r)"
	ln -sfn "$2" "/lib/modules/$(uname -r)/build"
	cd "$TOP"
	rm -rf my-*
	read -ra args <<<"$(kmake_args plain)"
	env "${args[@]}" bash "$WORK/build"
	cp --parents livepatch.ko my-*/*.ko "$WORK/guest/root/tutorial" ||
		echo "something was not built"
	exit
fi

KOBJ=$("$TOP/scripts/kernel.sh" plain)

rm -rf "$WORK"
mkdir -p "$WORK/guest/usr/bin" "$WORK/guest/root/tutorial"
# shellcheck disable=SC2016 # it is a prompt
tutorial script '$' "$DOCUMENT" >"$WORK/build"
PROGRESS=60 step "the tutorial for $ARCH: the build machine" "2 min" \
	env SCRATCH=1 "$TOP/scripts/enter" "$0" --build "$KOBJ"
cp "$STEP_LOG" "$WORK/build.out"

# The other machine, to which what was built has been copied.
patched_machine "the tutorial for $ARCH" tutorial
