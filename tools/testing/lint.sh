#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp lint finds, before loading, every refusal that the selftests provoke by
# loading. Which these are, and in which words, is what the selftests themselves
# say: their scripts are run with a functions.sh that loads nothing. A result is a
# module that is to be refused, and one is to be found so; or a good module, in
# which nothing is to be found. Where only the patch in it is at fault, klp convert
# must refuse to make it, in the same words. Then come the mistakes of authors that
# are in lint/mistakes, with what is said of each.
#
#   lint.sh [VARIANT]
#
# Ends with one line `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

TESTS=$TOP/tools/testing/selftests/livepatch

# out_of_scope: why the refusal that is in $script, $module, $errno, $regex, $arguments is not for
# lint; fails for all others.
out_of_scope() {
	case "$errno" in
	EAGAIN | EBUSY) echo "depends on what else goes on in the kernel" && return ;;
	ENOMEM) echo "depends on the kernel's memory" && return ;;
	EPERM) echo "no module at all may be loaded" && return ;;
	esac
	case "$module $arguments" in
	*' fault=null') echo "code passes a null pointer: no patch is in the file" ;;
	*-record-relocated\ *) echo "depends on the kernel's own structure" ;;
	*fault=early* | *fault=late*) echo "the module's own init function fails" ;;
	*fault=again*) echo "code enables its patch a second time" ;;
	*pre_patch_ret=* | *refuse=*) echo "the patch's own callback refuses" ;;
	'klp_test_kill_ftrace '*) echo "ftrace has failed" ;;
	'klp_test_target '*) echo "a target is refused, for the patches that wait for it" ;;
	'livepatch-cmdline ') echo "the kernel refuses it without livepatch.ko" ;;
	*)
		case "$regex" in
		*'is not compatible') echo "depends on the states of the patches that are enabled" ;;
		*'has enabled a patch already') echo "code enables its patch a second time" ;;
		*) return 1 ;;
		esac
		;;
	esac
}

# parameters [ARGUMENT]...: what klp_test_patch makes its patch of, as variables.
parameters() {
	object=klp_test_target function=shared_value sympos=0 fault=
	local argument
	for argument; do
		case "$argument" in
		object=* | function=* | sympos=* | fault=*) printf -v "${argument%%=*}" %s "${argument#*=}" ;;
		*) return 1 ;;
		esac
	done
}

# write_patch NAME [ARGUMENT]...: the source of a module that has in its file the patch that
# klp_test_patch makes of these arguments.
write_patch() {
	local name=$1 object function sympos fault
	shift
	parameters "$@" || die "klp_test_patch $*: tools/testing/lint does not know how to write this patch"
	[ -z "$fault" ] || grep -q "FAULT_${fault//-/_}\\>" "$TOP/tools/testing/lint/klp_lint_patch.h" ||
		die "klp_test_patch fault=$fault: klp_lint_patch.h does not have this fault"
	{
		[ -n "$object" ] && echo "#define OBJECT \"$object\"" || echo "#define OBJECT NULL"
		echo "#define FUNCTION \"$function\""
		echo "#define SYMPOS $sympos"
		[ -z "$fault" ] || echo "#define FAULT_${fault//-/_}"
		echo '#include "klp_lint_patch.h"'
	} >"$WORK/src/$name.c"
	PATCHES+=("$name")
}

# refusals: the records of lint/functions.sh, each once.
refusals() {
	local script
	mkdir -p "$WORK/scripts"
	cp "$TOP/tools/testing/lint/functions.sh" "$WORK/scripts"
	for script in "$TESTS"/test-*.sh; do
		cp "$script" "$WORK/scripts"
		GUEST=$GUEST REAL_FUNCTIONS=$TESTS/functions.sh timeout 60 \
			bash "$WORK/scripts/${script##*/}" 2>/dev/null </dev/null | grep '^@refused ' || true
	done | awk '!seen[$0]++'
}

# find_module NAME: its file.
find_module() {
	local dir
	local IFS=:
	for dir in $MODULES_DIR; do
		[ ! -f "$dir/$1.ko" ] || { echo "$dir/$1.ko" && return; }
	done
	return 1
}

result() {
	local word=$1 what=$2
	shift 2
	count "$([ "$word" = ok ] && echo 0 || echo 1)" "$what"
	[ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

# klp WORD [ARGUMENT]... FILE: output and status of that command, in $output and $status.
klp() {
	status=0
	output=$("$KLP" "$1" --kernel "$KOBJ/vmlinux" --symvers "$KOBJ/Module.symvers" \
		--symvers "$OUT/Module.symvers" --symvers "$OUT/selftests/Module.symvers" \
		"${TARGETS[@]}" "${@:2}" 2>&1) || status=$?
}

# errors: the messages of errors in $output.
errors() { sed -n 's/^[^ ]*: error\[[a-z-]*\]: //p' <<<"$output"; }

check_refused() {
	local what=$1 file=$2 errno=$3 regex=$4 lines made
	klp lint "$file"
	lines=$(errors)
	made=${file%/*}/.${file##*/}
	made=${made%.ko}.kbuild.ko
	if [ "$status" -ne 1 ]; then
		result "not ok" "$what" "status $status instead of 1; $output"
	elif ! grep -Eq -- "$regex" <<<"${lines:-}" || [ -z "$lines" ]; then
		result "not ok" "$what" "no error with '$regex':" "$output"
	elif ! grep -q "^    refused with $errno\$" <<<"$output"; then
		result "not ok" "$what" "no error with $errno:" "$output"
	elif [[ $file == "$WORK"/* ]] && klp convert --output "$WORK/converted.ko" "$made" &&
		{ [ "$status" -ne 1 ] || [ "$(errors)" != "$lines" ]; }; then
		result "not ok" "$what" "klp convert: status $status; it was to refuse it with: $lines" "$output"
	else
		result ok "$what"
	fi
}

check_good() {
	local file=$1
	klp lint "$file"
	if [ "$status" -eq 0 ]; then
		result ok "${file##*/} is good"
	else
		result "not ok" "${file##*/} is good" "status $status: $output"
	fi
}

# make_patches SOURCES OUT [ARGUMENT]...: what an author does; the log is in OUT.log.
make_patches() {
	local args sources=$1 out=$2
	shift 2
	read -ra args <<<"$(kmake_args "$VARIANT")"
	make -C "$sources" "${args[@]}" LIVEPATCH="$TOP" KDIR="$KOBJ" MO="$out" KLP="$KLP" \
		LIVEPATCH_SYMVERS="$OUT/Module.symvers" -j"$JOBS" "$@" >"$out.log" 2>&1
}

# check_mistake NAME SOURCE: klp convert says of the module what is said at the beginning of its source.
check_mistake() {
	local name=$1 wanted line refused=0 said=() missing=()
	mapfile -t wanted < <(sed -n '/^ \*\//q; s/^ \* //p' "$2")
	if [ "${wanted[0]:-}" = refused ]; then
		refused=1
		wanted=("${wanted[@]:1}")
	fi
	klp convert --quiet --output "$WORK/converted.ko" "$WORK/mistakes.out/$name.ko"
	for line in "${wanted[@]}"; do
		grep -Eq -- "$line" <<<"$output" || missing+=("$line")
	done
	mapfile -t said < <(grep -E '(warning|error)\[' <<<"$output")
	if [ "$status" -ne "$refused" ] || [ "${#missing[@]}" -ne 0 ]; then
		result "not ok" "mistake: $name" "status $status; missing: ${missing[*]}" "$output"
	elif [ "${#said[@]}" -ne "$(printf '%s\n' "${wanted[@]}" | grep -Ec '^(warning|error)')" ]; then
		result "not ok" "mistake: $name" "more is said than was to be: $output"
	else
		result ok "mistake: $name"
	fi
}

check_mistakes() {
	local source sources=$TOP/tools/testing/lint/mistakes names=() name clone
	mkdir -p "$WORK/mistakes" "$WORK/mistakes.out"
	cp "$sources"/*.[ch] "$WORK/mistakes"
	for source in "$sources"/*.c; do
		name=${source##*/}
		names+=("${name%.c}")
	done
	clone=$(awk '$2 == "t" && $3 ~ /^[a-z_]+\.isra\.0$/ { print $3; exit }' "$KOBJ/System.map")
	[ -n "$clone" ] || die "the compiler made no clone of any function of this kernel"
	{
		echo "obj-m := $(printf '%s.o ' "${names[@]}")"
		echo "CFLAGS_clone.o := -DCLONE='\"$clone\"'"
		echo "KLP_TARGETS := $OUT/selftests/klp_test_target.ko"
		# shellcheck disable=SC2016 # for make
		echo 'include $(LIVEPATCH)/scripts/Makefile.livepatch'
	} >"$WORK/mistakes/Makefile"
	make_patches "$WORK/mistakes" "$WORK/mistakes.out" modules ||
		{ tail -n 30 "$WORK/mistakes.out.log" && die "the mistakes of tools/testing/lint cannot be built"; }
	for name in "${names[@]}"; do
		check_mistake "$name" "$sources/$name.c"
	done
	if make_patches "$WORK/mistakes" "$WORK/mistakes.out"; then
		result "not ok" "make fails where klp lint finds an error" "$(tail -n 30 "$WORK/mistakes.out.log")"
	elif ! grep -q 'not converted, as it would be refused' "$WORK/mistakes.out.log"; then
		result "not ok" "make fails where klp lint finds an error" "for another reason:" \
			"$(tail -n 30 "$WORK/mistakes.out.log")"
	else
		result ok "make fails where klp lint finds an error"
	fi
	if make_patches "$WORK/mistakes" "$WORK/mistakes.out" KLP_LINT=no; then
		result ok "unless that is not wanted"
	else
		result "not ok" "unless that is not wanted" "$(tail -n 30 "$WORK/mistakes.out.log")"
	fi
}

check() {
	local line record script number case module errno regex arguments reason file dir
	local index=0 status output
	WORK=$OUT/lint
	rm -rf "$WORK"
	mkdir -p "$WORK/src" "$WORK/out"
	PATCHES=()
	TARGETS=()
	for module in klp_test_target klp_target livepatch-callbacks-mod livepatch-callbacks-busymod \
		livepatch-shadow-mod; do
		file=$(find_module "$module") || die "there is no module $module"
		TARGETS+=(--module "$file")
	done

	refusals >"$WORK/refusals"
	[ -s "$WORK/refusals" ] || die "the selftests expect no refusal: that cannot be"
	# Every line of the scripts that expects one was come to.
	while IFS=: read -r script number _; do
		script=${script##*/}
		grep -q "^@refused $script $number " "$WORK/refusals" ||
			result "not ok" "$script, line $number" "was not reached without loading anything"
	done < <(grep -nE '^[^#]*\<load_refused\>' "$TESTS"/test-*.sh)

	local cases=() refused=() loaded=()
	while read -r line; do
		eval "record=(${line#@refused })"
		script=${record[0]} case=${record[2]} module=${record[3]} errno=${record[4]} regex=${record[5]}
		arguments=${record[*]:6}
		loaded+=("$module")
		if reason=$(out_of_scope); then
			echo "# not for lint: $script, $case: $module $arguments $errno: $reason"
			continue
		fi
		if [ "$module" = klp_test_patch ]; then
			# What is in this file depends on the arguments.
			index=$((index + 1))
			write_patch "klp_lint_$index" "${record[@]:6}"
			file=$WORK/out/klp_lint_$index.ko
			regex=${regex//klp_test_patch/klp_lint_$index}
		else
			file=$(find_module "$module") || die "there is no module $module"
			refused+=("$file")
		fi
		printf -v line '%q ' "$script, $case: $module $arguments" "$file" "$errno" "$regex"
		cases+=("$line")
	done <"$WORK/refusals"

	{
		echo "obj-m := $(printf '%s.o ' "${PATCHES[@]}")"
		echo "ccflags-y := -I$TOP/tools/testing/lint"
		# shellcheck disable=SC2016 # for make
		echo 'include $(LIVEPATCH)/scripts/Makefile.livepatch'
	} >"$WORK/src/Makefile"
	make_patches "$WORK/src" "$WORK/out" KLP_LINT=no ||
		{ tail -n 30 "$WORK/out.log" && die "the patches of tools/testing/lint cannot be built"; }

	for line in "${cases[@]}"; do
		eval "check_refused $line"
	done
	local IFS=:
	for dir in $MODULES_DIR; do
		[ "${dir##*/}" != damaged ] || continue
		for file in "$dir"/*.ko; do
			[[ " ${refused[*]} " == *"$file"* ]] || check_good "$file"
		done
	done
	unset IFS
	# A damaged module that no selftest loads would be one that nobody demands.
	for file in "$OUT"/damaged/*.ko; do
		file=${file##*/}
		[[ " ${loaded[*]} " == *" ${file%.ko} "* ]] ||
			result "not ok" "${file##*/}" "is damaged, but no selftest loads it"
	done
	check_mistakes
	conclude
}

if [ "${1:-}" = --check ]; then
	check
	exit
fi

VARIANT=${1:-plain}
MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
KLP=$("$TOP/scripts/klp.sh")
KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
case "$ARCH" in
s390) GUEST=s390x ;;
*) GUEST=$ARCH ;;
esac
# The first directory is that of livepatch.ko itself.
exec "$TOP/scripts/enter" env VARIANT="$VARIANT" MODULES_DIR="$MODULES_DIR" OUT="${MODULES_DIR%%:*}" \
	KLP="$KLP" KOBJ="$KOBJ" GUEST="$GUEST" "$0" --check
