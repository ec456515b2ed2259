#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run in-guest test scripts in QEMU, print what they print, count the results.

. "$(dirname "$0")/../../scripts/lib.sh"

usage() {
	cat <<-END
		Usage: MODULES_DIR=DIR selftests.sh [OPTION]... [SCRIPT]...

		Runs the named scripts, or every test-*.sh, in one guest. A script that has the
		line "# selftests: own-vm" gets a guest for itself; after a crash, the scripts
		that had not begun get a new one. On s390 the guest has one CPU for scripts that
		have no line "# selftests: smp": QEMU makes a new process there three times as fast.

		MODULES_DIR names the directories (separated by colons) that are searched for
		*.ko, compressed ones too; the guest has them in /lib/livepatch-tests.

		  --case REGEX      only cases whose names match, and scripts that have such ones
		  --only smp        scripts with that line; --only one-cpu: those without
		  --tests DIR       where the scripts are (default: selftests/livepatch)
		  --variant NAME    the kernel, as for vm/run.sh
		  --overlay DIR     more files for the guest, as for vm/run.sh (repeatable)
		  --append ARGS     more kernel arguments
		  --timeout SECONDS for one guest (default 3600)

		Ends with "N passed, N failed", and with status 0 if none failed and some passed.
		A result that is missing, skipped or not planned counts as failed.
	END
}

TESTS=$TOP/tools/testing/selftests/livepatch
VARIANT=plain
CASE=
ONLY=
APPEND=
TIMEOUT=3600
OVERLAYS=()
SCRIPTS=()
while [ $# -gt 0 ]; do
	case "$1" in
	--help)
		usage
		exit
		;;
	--case | --only | --tests | --variant | --overlay | --append | --timeout)
		[ $# -ge 2 ] || die "$1 needs a value"
		;;&
	--only)
		[[ $2 == smp || $2 == one-cpu ]] || die "--only is smp or one-cpu"
		ONLY=$2
		;;
	--case) CASE=$2 ;;
	--tests) TESTS=$2 ;;
	--variant) VARIANT=$2 ;;
	--overlay) OVERLAYS+=(--overlay "$2") ;;
	--append) APPEND=$2 ;;
	--timeout) TIMEOUT=$2 ;;
	-*) die "unknown argument: $1 (see --help)" ;;
	*)
		SCRIPTS+=("$(basename "$1")")
		shift
		continue
		;;
	esac
	shift 2
done
# Programs that the tests need are built beside the first modules.
MODULES_DIR=${MODULES_DIR:-}
[ ! -d "${MODULES_DIR%%:*}/overlay" ] || OVERLAYS+=(--overlay "${MODULES_DIR%%:*}/overlay")
if [ "${#SCRIPTS[@]}" -eq 0 ]; then
	mapfile -t SCRIPTS < <(cd "$TESTS" && printf '%s\n' test-*.sh | LC_ALL=C sort)
fi
for script in "${SCRIPTS[@]}"; do
	[ -f "$TESTS/$script" ] || die "there is no test script $script in $TESTS"
done

# has_line WHAT SCRIPT: whether the script says that of itself.
has_line() { grep -qx "# selftests: $1" "$TESTS/$2"; }

# has_case SCRIPT: whether --case may mean one of its cases: a text in it is like that, or it makes
# a name of a variable. In the guest the script says which of its cases it is.
has_case() {
	grep -Eq 'test_case "[^"]*\$[A-Za-z{]' "$TESTS/$1" ||
		grep -Eq -- "$CASE" < <(grep -o '"[^"]*"' "$TESTS/$1" | sed 's/^"//; s/"$//')
}

# is_chosen SCRIPT: by --case and --only.
is_chosen() {
	[ -z "$CASE" ] || has_case "$1" || return
	case $ONLY in
	smp) has_line smp "$1" ;;
	one-cpu) ! has_line smp "$1" ;;
	esac
}
chosen=()
for script in "${SCRIPTS[@]}"; do
	! is_chosen "$script" || chosen+=("$script")
done
SCRIPTS=("${chosen[@]}")
[ "${#SCRIPTS[@]}" -gt 0 ] || die "no script is left to run${CASE:+, none has a case like $CASE}"

WORK=$(mktemp -d "$CACHE/tmp/selftests.XXXXXX")
VM=
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup() {
	if [ -n "$VM" ]; then
		kill "$VM" 2>/dev/null || true
		wait "$VM" 2>/dev/null || true
	fi
	rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# What the guest gets: modules by their names alone, and the scripts.
prepare_overlay() {
	local to=$WORK/overlay/lib/livepatch-tests dirs file
	mkdir -p "$to"
	IFS=: read -ra dirs <<<"${MODULES_DIR:-}"
	for dir in "${dirs[@]}"; do
		[ -d "$dir" ] || die "MODULES_DIR: there is no directory $dir"
		while IFS= read -r file; do
			[ ! -e "$to/${file##*/}" ] || die "MODULES_DIR: two modules are called ${file##*/}"
			cp "$file" "$to/"
		done < <(find -L "$dir" -maxdepth 1 -name '[!.]*.ko' -o -name '[!.]*.ko.[gxz]*')
	done
	cp "$TOP/tools/testing/selftests/livepatch/functions.sh" "$to/"
	cp "${SCRIPTS[@]/#/$TESTS/}" "$to/"
}

PASSED=0
FAILED=0

# The script that is being read, and what it has shown so far.
CURRENT='' PLANNED='' SEEN=0 BAD=0
begin() {
	# The last script's output may have hidden the line that ends it.
	[ -z "$CURRENT" ] || end ""
	CURRENT=$1 PLANNED='' SEEN=0 BAD=0
	BEGUN[$1]=1
}

# blame COUNT MESSAGE: results that are not there to be counted.
blame() {
	FAILED=$((FAILED + $1))
	BAD=$((BAD + $1))
	echo "# selftests: $CURRENT: $2"
}

# end STATUS: of the script; none if it did not come to its end.
end() {
	local why=
	[ -n "$1" ] || why=", the guest crashed or was stopped"
	if [ -z "$PLANNED" ]; then
		blame 1 "it printed no plan$why"
	elif [ "$SEEN" -lt "$PLANNED" ]; then
		blame $((PLANNED - SEEN)) "$((PLANNED - SEEN)) of $PLANNED results are missing$why"
	elif [ "$SEEN" -gt "$PLANNED" ]; then
		blame 1 "$SEEN results where $PLANNED were planned"
	elif [ "$PLANNED" -eq 0 ] && [ -z "$CASE" ]; then
		blame 1 "it holds no test"
	elif [ -z "$1" ]; then
		blame 1 "it did not end$why"
	elif [ "$1" -ne 0 ] && [ "$BAD" -eq 0 ]; then
		blame 1 "it ended with status $1 although nothing failed"
	fi
	CURRENT=
}

# read_results: copy the guest's output and count. The lines that frame a script
# come from run_in_guest.
read_results() {
	local line plan='^1\.\.([0-9]+)' exempt='#[[:space:]]*([Ss][Kk][Ii][Pp]|[Tt][Oo][Dd][Oo])'
	while IFS= read -r line || [ -n "$line" ]; do
		printf '%s\n' "$line"
		case "$line" in
		"# begin "*) begin "${line#\# begin }" ;;
		"# end $CURRENT "*) end "${line##* }" ;;
		"ok "*)
			SEEN=$((SEEN + 1))
			if [[ $line =~ $exempt ]]; then
				blame 1 "a test was not run, or its result not trusted: $line"
			else
				PASSED=$((PASSED + 1))
			fi
			;;
		"not ok "*)
			SEEN=$((SEEN + 1))
			FAILED=$((FAILED + 1))
			BAD=$((BAD + 1))
			;;
		*) [[ ! $line =~ $plan ]] || PLANNED=${BASH_REMATCH[1]} ;;
		esac
	done
	[ -z "$CURRENT" ] || end ""
}

# run_in_guest CPUS SCRIPT...
run_in_guest() {
	local cpus=$1
	shift
	# shellcheck disable=SC2016 # for the guest's shell
	exec "$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --timeout "$TIMEOUT" --smp "$cpus" \
		--append "$APPEND" --overlay "$WORK/overlay" "${OVERLAYS[@]}" -- bash -c '
			cd /lib/livepatch-tests
			export CASE=$1
			shift
			for script; do
				echo "# begin $script"
				bash "./$script" 2>&1
				echo "# end $script $?"
			done' selftests "$CASE" "$@"
}

prepare_overlay
declare -A BEGUN=()
remaining=("${SCRIPTS[@]}")
while [ "${#remaining[@]}" -gt 0 ]; do
	own=() shared=() alone=()
	for script in "${remaining[@]}"; do
		if has_line own-vm "$script"; then
			own+=("$script")
		elif [ "$ARCH" = s390 ] && ! has_line smp "$script"; then
			alone+=("$script")
		else
			shared+=("$script")
		fi
	done
	cpus=2
	if [ "${#shared[@]}" -gt 0 ]; then
		group=("${shared[@]}")
	elif [ "${#alone[@]}" -gt 0 ]; then
		group=("${alone[@]}") cpus=1
	else
		group=("${own[0]}")
	fi
	mkfifo "$WORK/results"
	run_in_guest "$cpus" "${group[@]}" >"$WORK/results" &
	VM=$!
	read_results <"$WORK/results"
	status=0
	wait "$VM" || status=$?
	VM=
	rm "$WORK/results"

	left=()
	for script in "${remaining[@]}"; do
		[ -n "${BEGUN[$script]:-}" ] || left+=("$script")
	done
	# A guest that runs nothing will not do so next time either.
	if [ "${#left[@]}" -eq "${#remaining[@]}" ]; then
		for CURRENT in "${left[@]}"; do
			blame 1 "it was not run: the guest did not start (status $status)"
		done
		break
	fi
	# Found nowhere else: a guest that breaks after its last script.
	if [ "$status" -ne 0 ] && [ "$FAILED" -eq 0 ]; then
		CURRENT=${group[-1]}
		blame 1 "the guest failed after it (status $status)"
	fi
	remaining=("${left[@]}")
done

echo "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
