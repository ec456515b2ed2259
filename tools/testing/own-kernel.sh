#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make KDIR=`: what it says of kernels that livepatch.ko cannot be built for, and that it
# builds with a tree that holds no more than the headers packages of distributions do: the test
# kernel's, without its sources and without any object. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

# headers TREE: the tree of a headers package.
headers() {
	local tree=$1 dir
	mkdir -p "$tree/arch/$SRCARCH" "$tree/rust" "$tree/tools/objtool"
	cp "$SRC"/{Makefile,Kbuild,Kconfig} "$tree/"
	cp -r "$SRC/scripts" "$SRC/include" "$tree/"
	cp -r "$SRC/arch/$SRCARCH/include" "$SRC/arch/$SRCARCH"/Makefile* "$tree/arch/$SRCARCH/"
	(cd "$SRC" && find . -name 'Kconfig*' ! -path './scripts/*' ! -path ./Kconfig -print0 | cpio -0pdm --quiet "$tree")
	# What was made for this configuration lies beside it.
	for dir in scripts include "arch/$SRCARCH/include" arch/$SRCARCH/kernel/asm-offsets.s tools/objtool/objtool; do
		# s390 has no objtool.
		[ ! -e "$KOBJ/$dir" ] || (cd "$KOBJ" && find "$dir" -type f -print0 | cpio -0pdmu --quiet "$tree")
	done
	cp "$KOBJ"/{.config,Module.symvers,System.map} "$tree/"
	cp "$KOBJ"/rust/*.{rmeta,so} "$tree/rust/"
	find "$tree" -type f -name '*.o' -delete
}

builds() {
	make -C "$TOP" KDIR="$TREE"
	[ "$(modinfo -F vermagic "$TOP/livepatch.ko" | cut -d' ' -f1)" = "$(cat "$TREE/include/config/kernel.release")" ]
	[ -s "$TOP/Module.symvers" ]
}

# reads_again: a header has changed, as after an update of the kernel, and then its configuration.
reads_again() {
	local header=$TREE/include/linux/ftrace.h bindings=$TOP/rust/sys/bindings_generated.rs
	sed -i '/^struct ftrace_ops {/a unsigned long klp_test_1;\n#ifdef CONFIG_KLP_TEST\nunsigned long klp_test_2;\n#endif' \
		"$header"
	make -C "$TOP" KDIR="$TREE"
	grep -w klp_test_1 "$bindings"
	! grep -w klp_test_2 "$bindings" || return
	echo '#define CONFIG_KLP_TEST 1' >>"$TREE/include/generated/autoconf.h"
	echo CONFIG_KLP_TEST=y >>"$TREE/include/config/auto.conf"
	touch "$work/before"
	make -C "$TOP" KDIR="$TREE"
	grep -w klp_test_2 "$bindings"
	[ "$TOP/rust/exports.o" -nt "$work/before" ]
}

# says REGEX [VARIABLE=VALUE]...: why nothing is built for the tree, in one line, and nothing is.
says() {
	local regex=$1 output
	shift
	rm -f "$TOP/livepatch.ko"
	! output=$(make -s -C "$TOP" KDIR="$TREE" "$@" 2>&1) || { echo "it is built" && return 1; }
	grep -Ex "error: $regex" <<<"$output" || { echo "$output" && return 1; }
	[ "$(grep -c error: <<<"$output")" -eq 1 ] || { echo "$output" && return 1; }
	[ ! -e "$TOP/livepatch.ko" ]
}

# configured OPTION VALUE: the tree says so, or, with no value, does not have the option.
configured() {
	local config=$TREE/include/config/auto.conf
	cp "$WHOLE/include/config/auto.conf" "$config.new"
	sed -i "/^CONFIG_$1=/d" "$config.new"
	[ -z "$2" ] || echo "CONFIG_$1=$2" >>"$config.new"
	mv "$config.new" "$config"
}

check() {
	local work file text
	work=$(mktemp -d)
	SRCARCH=${ARCH/x86_64/x86}
	WHOLE=$work/whole TREE=$work/whole
	headers "$WHOLE"
	verdict "livepatch.ko is built with what a headers package holds" builds
	verdict "headers and a configuration that have changed are read again" reads_again

	# What is said is said before anything of the tree is used but its configuration.
	TREE=$work/tree
	mkdir -p "$TREE/include/config"
	cp "$WHOLE/Makefile" "$TREE/"
	cp -r "$WHOLE/rust" "$TREE/"
	configured LIVEPATCH y
	verdict "a kernel with livepatch support" says '.*CONFIG_LIVEPATCH=y.*'
	configured CC_IS_CLANG y
	verdict "a kernel that clang built" says '.*LLVM=1.*'
	configured RUST ""
	verdict "a kernel without Rust" says '.*CONFIG_RUST=n.*'
	echo CONFIG_EXPOLINE=y >>"$TREE/include/config/auto.conf"
	verdict "one that cannot have Rust" says '.*CONFIG_EXPOLINE=n.*'
	configured RUST y
	echo 6.18.3-1-custom >"$TREE/include/config/kernel.release"
	verdict "an old kernel" says 'that kernel is Linux 6\.18\.3-1-custom: livepatch.ko needs Linux 7\.0 or newer'
	rm "$TREE/include/config/kernel.release"
	configured KPROBES ""
	verdict "a kernel without kprobes" says '.*no CONFIG_KPROBES.*'
	configured TRIM_UNUSED_KSYMS y
	verdict "a kernel that exports little" says '.*CONFIG_TRIM_UNUSED_KSYMS=y.*'
	configured UNWINDER_ORC ""
	[ "$ARCH" != x86_64 ] || verdict "a kernel without reliable stack traces" says '.*CONFIG_UNWINDER_ORC.*'
	configured RUSTC_VERSION_TEXT '"rustc 1.60.0 (0123456789 2022-04-07)"'
	verdict "a kernel that was built with another rustc" \
		says "'rustc' is 'rustc .*', but that kernel was built with 'rustc 1\.60\.0 .*: name it by RUSTC="
	text=$(rustc --version)
	configured RUSTC_VERSION_TEXT "\"$text\""
	verdict "a rustc that is not there" says "there is no /usr/bin/rustc-0: install '.*', or name it by RUSTC=" RUSTC=/usr/bin/rustc-0
	verdict "a bindgen that is not there" says "there is no /usr/bin/bindgen-0: .*, or name it by BINDGEN=" BINDGEN=/usr/bin/bindgen-0
	for file in libkernel.rmeta libmacros.so; do
		mv "$TREE/rust/$file" "$work/"
		verdict "headers without rust/$file" says "there is no $TREE/rust/$file: .*; name its build directory by KDIR="
		mv "$work/$file" "$TREE/rust/"
	done
	rm "$TREE/include/config/auto.conf"
	verdict "a tree that is not prepared" says ".* is no prepared kernel tree, .*"
	rm -rf "$TREE"
	verdict "no tree at all" says "there is no $TREE: .*"
	rm -rf "$work"
	conclude
}

if [ "${1:-}" = --check ]; then
	check
	exit
fi

is_native || die "livepatch.ko is built with the tools of the machine's own architecture"
KOBJ=$("$TOP/scripts/kernel.sh" plain)
SRC=$("$TOP/scripts/source.sh")
SCRATCH=1 "$TOP/scripts/enter" env KOBJ="$KOBJ" SRC="$SRC" "$0" --check
