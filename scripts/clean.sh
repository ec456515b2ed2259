#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Remove what was built of this checkout. Kernels, the toolchain tree and what was
# downloaded stay: they serve every checkout.

. "$(dirname "$0")/lib.sh"

rm -rf "$CACHE"/modules/*-"$(key "$TOP")"{,-clippy,-delays} \
	"$CACHE/klp/$(key "$TOP")" "$CACHE"/packages/{,arch-}"$(key "$TOP")" \
	"$(cargo_target)" "$CACHE"/bench/*-"$(key "$TOP")"
say "removed the modules, the command and the packages of this checkout; to remove everything, remove $CACHE"
