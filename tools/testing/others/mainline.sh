# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# How mainline makes livepatches (scripts/livepatch/klp-build of the kernel source), with
# its own tools, but for a kernel that is built already and needs no CONFIG_KLP_BUILD. To be
# read by build.sh, in the toolchain tree. klp-build builds the kernel twice and compares
# vmlinux.o. Here the files that are patched are compiled twice, and linked to what stands in
# for vmlinux.o.
#
# Which of several symbols of one name of the kernel's is meant, objtool knows only where the
# kernel has CONFIG_KLP_BUILD: what is patched here refers to none of these.

# Each function gets a section of its own, by which objtool copies it.
SECTIONS=(-ffunction-sections -fdata-sections)

# In kbuild's variable, so that objtool looks at a module once, when its objects are linked.
DELAYED=CONFIG_KLP_BUILD=y

# compile FILE SOURCE OBJECT: a file of the kernel's (fs/exec), from another source, as it was
# compiled for this kernel, without what objtool did to it.
compile() {
	local file=$1 source=$2 object=$3 command
	command=$(sed -n "s|^savedcmd_$file\.o := ||p" "$KOBJ/${file%/*}/.${file##*/}.o.cmd")
	command=$(sed -E "s|; \./tools/objtool/.*||; s|-Wp,-MMD,[^ ]*||; s| -c -o $file\.o .*||" <<<"$command")
	[ -n "$command" ] || die "$KOBJ does not say how $file.o was compiled"
	# Our headers come first.
	command="${command%% *} ${INCLUDES[*]} -I$OTHERS/kernel ${command#* } ${SECTIONS[*]}"
	(cd "$KOBJ" && eval "$command -c -o $object $source")
}

# objtool_flags FILE: how the kernel's build called objtool: for vmlinux.o where the kernel has
# CONFIG_KLP_BUILD, which comes with CONFIG_LIVEPATCH, else for each file.
objtool_flags() {
	local flags
	flags=$(sed -n "s#.*; \./tools/objtool/objtool \(.*\) [^ ]*\.o\$#\1#p" \
		"$KOBJ/.vmlinux.o.cmd" "$KOBJ/${1%/*}/.${1##*/}.o.cmd")
	[ -n "$flags" ] || die "$KOBJ does not say how it called objtool"
	echo "${flags% --link} --link"
}

# kernel_objects DIRECTORY FILE...: what stands in for vmlinux.o, as it is and with the files
# patched: each one has a script of its name in kernel/.
kernel_objects() {
	local dir=$1 side file name objects
	shift
	for side in orig patched; do
		mkdir -p "$dir/$side"
		objects=()
		for file; do
			name=${file##*/}
			if [ "$side" = orig ]; then
				cp "$SRC/$file.c" "$dir/$side/$name.c"
			else
				sed -f "$OTHERS/kernel/$name.sed" "$SRC/$file.c" >"$dir/$side/$name.c"
				! cmp -s "$dir/orig/$name.c" "$dir/$side/$name.c" ||
					die "kernel/$name.sed changes nothing in $file.c"
			fi
			compile "$file" "$dir/$side/$name.c" "$dir/$side/$name.o"
			objects+=("$dir/$side/$name.o")
		done
		# The name is the object's, and must not end in vmlinux.o: objtool would look for vmlinux.
		ld -r -o "$dir/$side/vmlinux.all.o" "${objects[@]}"
		# shellcheck disable=SC2046 # words
		"$OBJTOOL" $(objtool_flags "$1") "$dir/$side/vmlinux.all.o"
		printf '\0name=vmlinux\0' >"$dir/modinfo"
		objcopy --add-section .modinfo="$dir/modinfo" --set-section-flags .modinfo=alloc,readonly \
			"$dir/$side/vmlinux.all.o"
	done
	diff_objects "$dir" vmlinux.all
}

# module_objects DIRECTORY SOURCES MODULE: the same for a module, whose sources have what is
# new behind #ifdef PATCHED.
module_objects() {
	local dir=$1 sources=$2 module=$3 side
	for side in orig patched; do
		mkdir -p "$dir/$side"
		kbuild "$sources" "$dir/$side" "$DELAYED" KCFLAGS="${SECTIONS[*]}" \
			PATCHED="$([ "$side" = orig ] || echo y)" "$module.o"
	done
	diff_objects "$dir" "$module"
}

# diff_objects DIRECTORY NAME: what is new, to be linked to a livepatch.
diff_objects() {
	local dir=$1 name=$2 side
	for side in orig patched; do
		mkdir -p "$dir/checksum/$side"
		cp "$dir/$side/$name.o" "$dir/checksum/$side/"
		"$OBJTOOL" klp checksum "$dir/checksum/$side/$name.o"
	done
	# What the kernel exports, objtool reads in its working directory.
	cp "$KOBJ/Module.symvers" "$dir/checksum/"
	mkdir -p "$dir/new"
	(cd "$dir/checksum" && "$OBJTOOL" klp diff "orig/$name.o" "patched/$name.o" "$dir/new/$name.o")
	[ -s "$dir/new/$name.o" ] || die "objtool klp diff has made nothing of $name.o"
}

# mainline_livepatch DIRECTORY NAME [FLAG]...: the livepatch NAME.ko of what was found to be
# new, and of the kernel source's init.c, which is compiled with the flags.
mainline_livepatch() {
	local dir=$1/module name=$2 object objects=()
	shift 2
	mkdir -p "$dir"
	cp "$SRC/scripts/livepatch/init.c" "$dir/"
	for object in "$dir"/../new/*.o; do
		cp "$object" "$dir/"
		cp "$object" "$dir/${object##*/}_shipped"
		: >"$dir/.${object##*/}.cmd"
		objects+=("${object##*/}")
	done
	printf '%s\n' "obj-m := $name.o" "$name-y := init.o ${objects[*]}" >"$dir/Kbuild"
	kbuild "$dir" "" "$DELAYED" KCFLAGS="${SECTIONS[*]} $*" modules
	"$OBJTOOL" klp post-link "$dir/$name.ko"
	cp "$dir/$name.ko" "$OUT/"
}
