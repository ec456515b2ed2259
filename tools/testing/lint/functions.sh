# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Takes the place of the selftests' functions.sh where nothing is to be loaded: a
# test script that reads this one prints, for each load that it expects to be
# refused,
#
#	@refused SCRIPT LINE CASE MODULE ERRNO REGEX [ARGUMENT]...
#
# quoted for the shell. Its cases run, but in a restricted shell without any
# command: they can neither write a file nor run a program. GUEST is the machine
# that they are for.

SCRIPT=${0##*/}
CASE=

# Whatever else the harness has, does nothing.
eval "$(sed -n 's/^\([a-z_]*\)() .*/\1() { :; }/p' "$REAL_FUNCTIONS")"

# The commands that decide which loads are tried.
uname() { echo "$GUEST"; }
seq() {
	local number
	for ((number = 1; number <= $1; number++)); do
		echo "$number"
	done
}

# What cases wait for has not happened: they do not go round for ever.
in_transition() { return 1; }

load_refused() {
	printf '@refused'
	printf ' %q' "$SCRIPT" "${BASH_LINENO[0]}" "$CASE" "$@"
	echo
}

test_case() {
	CASE=$1
	("$2")
}

# shellcheck disable=SC2123 # no command is to be found any more
PATH=/nonexistent
set -r
