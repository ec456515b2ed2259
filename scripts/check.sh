#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make check: everything that can be said about the sources without running them.
#
#   check.sh               all checks
#   check.sh NAME...       only these, by the names of the functions below
#   check.sh format        no check: has rustfmt rewrite what it would complain about

# shellcheck disable=SC2317,SC2329 # checks are called by their names

. "$(dirname "$0")/lib.sh"

cd "$TOP"

# What git knows, and what it would know after an add.
mapfile -d '' -t FILES < <(git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
	LC_ALL=C sort -zu | while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || printf '%s\0' "$file"
done)
[ "${#FILES[@]}" -gt 0 ] || die "git lists no files in $TOP"

# interpreter FILE: as its first line names it, without a path.
interpreter() {
	local line=
	IFS= read -r line <"$1" 2>/dev/null || true
	[[ $line =~ ^#!\ *([^ ]*/)?(env\ +)?([^ /]+) ]] && echo "${BASH_REMATCH[3]##*/}"
	return 0
}

RUST=()
SHELL_SCRIPTS=()
# Which kinds of files say under which license they are.
LICENSED=()
for file in "${FILES[@]}"; do
	# A fixture may hold anything.
	program=$(interpreter "$file" 2>/dev/null | tr -d '\0')
	case "$file" in
	*.rs) RUST+=("$file") ;;
	*.sh) SHELL_SCRIPTS+=("$file") ;;
	*)
		case "$program" in
		sh | bash | dash) SHELL_SCRIPTS+=("$file") ;;
		esac
		;;
	esac
	case "${file##*/}" in
	*.rs | *.c | *.h | *.S | *.lds | *.sh | *.py | *.awk | *.config | *.toml | *.md | *.rst | *.yml | *.yaml | \
		*.dot | *.svg | *.mk | Makefile* | Kbuild* | Kconfig* | *_parameters | .gitignore | .shellcheckrc)
		LICENSED+=("$file")
		;;
	*) [ -z "$program" ] || LICENSED+=("$file") ;;
	esac
done

in_tree() { "$TOP/scripts/enter" "$@"; }

# each_rust COMMANDS: run them with $config and, one after the other, each $file.
each_rust() {
	local src
	src=$("$TOP/scripts/source.sh")
	# shellcheck disable=SC2016 # for the shell inside the tree
	in_tree bash -c 'config=$1 status=0; shift; for file; do '"$1"'; done; exit $status' \
		rustfmt "$src/.rustfmt.toml" "${RUST[@]}"
}

# From standard input: a file that is named is followed to its modules, also to
# those of another architecture.
rustfmt() {
	# shellcheck disable=SC2016 # for the shell inside the tree
	# Of standard input rustfmt says what differs, with status 0.
	each_rust 'difference=$(rustfmt --check --color never --config-path "$config" <"$file" 2>&1) || status=1
		[ -z "$difference" ] || { echo "${difference//<stdin>/$file}"; status=1; }'
}

format() {
	# shellcheck disable=SC2016 # for the shell inside the tree
	each_rust 'rustfmt --config-path "$config" <"$file" >/tmp/formatted.$$ || status=1
		cmp -s /tmp/formatted.$$ "$file" || [ ! -s /tmp/formatted.$$ ] || cat /tmp/formatted.$$ >"$file"
		rm /tmp/formatted.$$'
}

shellcheck() { in_tree shellcheck "${SHELL_SCRIPTS[@]}"; }

spdx() {
	local file status=0
	for file in "${LICENSED[@]}"; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2\.0' || {
			echo "$file: no SPDX-License-Identifier: GPL-2.0 in its first three lines"
			status=1
		}
	done
	return "$status"
}

# pictures: whether each was made from its source as that is now. That is told without Graphviz.
pictures() {
	local file other status=0
	for file in "${FILES[@]}"; do
		case "$file" in
		*.dot) other=${file%.dot}.svg ;;
		*.svg) other=${file%.svg}.dot ;;
		*) continue ;;
		esac
		if [ ! -f "$other" ]; then
			echo "$file: there is no $other; make docs makes pictures from .dot files"
			status=1
		elif [[ $file == *.dot ]] && ! grep -qxF -- "$(made_from "$file")" "$other"; then
			echo "$other: not made from $file as it is now; run make docs"
			status=1
		fi
	done
	return "$status"
}

unsafe() { in_tree python3 scripts/check-unsafe.py "${RUST[@]}"; }

# The checks that are ours are checked themselves.
unsafe_tests() { in_tree python3 scripts/tests/check-unsafe.py; }
spdx_tests() { "$TOP/scripts/tests/check-files.sh"; }
# As is what sorts the results of make corpus.
corpus_tests() { in_tree python3 -B tools/testing/corpus/test.py; }

clippy_klp() {
	[ -d tools/klp ] || return 0
	cd tools/klp
	in_tree cargo clippy --workspace --all-targets -- -D warnings
	# A workspace of its own.
	cd fuzz
	in_tree env CXX=clang++ cargo clippy --locked -- -D warnings
}

clippy_kernel() { "$TOP/scripts/modules.sh" --clippy; }

CHECKS=("$@")
[ $# -gt 0 ] || CHECKS=(spdx spdx_tests pictures unsafe unsafe_tests corpus_tests shellcheck rustfmt clippy_klp clippy_kernel)

# Only the tests of this script ask for what it would look at.
if [ "${CHECKS[0]}" = --list ]; then
	printf '%s\n' "${RUST[@]/#/rust }" "${SHELL_SCRIPTS[@]/#/shell }" "${LICENSED[@]/#/licensed }"
	exit
fi

# What is slow to come and is no check has its own messages: before the checks.
"$TOP/scripts/toolchain.sh" >/dev/null

OUTPUT=$(mktemp "$CACHE/tmp/check.XXXXXX")
trap 'rm -f "$OUTPUT"' EXIT
failed=0
for check in "${CHECKS[@]}"; do
	[ "$(type -t "$check")" = function ] || die "there is no check $check"
	set +e
	(
		set -e
		"$check"
	) >"$OUTPUT" 2>&1 </dev/null
	status=$?
	set -e
	if [ "$status" -eq 0 ]; then
		printf '%-16s ok\n' "$check"
	else
		printf '%-16s failed\n' "$check"
		sed 's/^/    /' "$OUTPUT"
		failed=1
	fi
done
exit "$failed"
