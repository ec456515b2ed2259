#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test the selftests' own harness: what is wrong must be found to be wrong, by
# functions.sh in the guest or by selftests.sh around it.

. "$(dirname "$0")/../../../scripts/lib.sh"

HERE=$TOP/tools/testing/harness
KOBJ=$("$TOP/scripts/kernel.sh" plain)
MODULES_DIR=$CACHE/modules/harness-$(basename "$KOBJ")
export MODULES_DIR

build() {
	local args
	read -ra args <<<"$(kmake_args plain)"
	mkdir -p "$MODULES_DIR"
	make -C "$KOBJ" M="$HERE/modules" MO="$MODULES_DIR" "${args[@]}" modules
}

case "${1:-}" in
--build)
	build
	exit
	;;
--where)
	pwd
	exit
	;;
esac

. "$TOP/tools/testing/verdict.sh"
# verdict DESCRIPTION COMMAND...
verdict() {
	local description=$1 status=0
	shift
	"$@" || status=1
	count "$status" "$description"
}

OUTPUT=$(mktemp "$CACHE/tmp/harness.XXXXXX")
KEPT=$OUTPUT.guest
# Neither in the checkout nor in the cache.
AWAY=$(mktemp -d)
# With what the toolchain tree has for it, whose /tmp is the cache's.
trap 'rm -rf "$OUTPUT" "$KEPT" "$KEPT.printed" "$AWAY" "$CACHE/tmp/${AWAY##*/}"' EXIT

# selftests ARGUMENT...: into $OUTPUT. What goes wrong is meant to, and of no
# interest unless it is not what was meant.
selftests() {
	SHOWN=
	"$TOP/tools/testing/selftests.sh" --tests "$HERE/cases" "$@" >"$OUTPUT" 2>&1
}

# guest STATUS ARGUMENT...: that run.sh ends with it; what it says goes into $OUTPUT.
guest() {
	local wanted=$1 status=0
	shift
	SHOWN=
	"$TOP/tools/testing/vm/run.sh" --timeout 240 "$@" >"$OUTPUT" 2>&1 || status=$?
	[ "$status" -eq "$wanted" ] && return
	echo "# run.sh ended with status $status; it said:"
	sed 's/^/#   /' "$OUTPUT"
	return 1
}

# from_away STATUS ARGUMENT...: the same, called in $AWAY.
from_away() {
	local status=0
	cd "$AWAY"
	guest "$@" || status=1
	cd "$OLDPWD"
	return "$status"
}

# shows REGEX: a line of the last run's output.
shows() {
	grep -Eq -- "$1" "$OUTPUT" && return
	echo "# there is no line with '$1' in the output${SHOWN:- that follows}"
	[ -n "$SHOWN" ] || sed 's/^/#   /' "$OUTPUT"
	SHOWN=" above"
	return 1
}

# lacks REGEX: the last run's output has no such line.
lacks() { ! grep -Eq -- "$1" "$OUTPUT"; }

step "harness modules" "20 s" "$TOP/scripts/enter" "$0" --build

echo "TAP version 13"
say "cases with a known verdict"
verdict "a suite with failures fails" eval '! selftests --timeout 300 test-judgement.sh test-patches.sh'
# What is expected comes from the script, so that a case that did not run is
# missed.
while read -r wanted description; do
	case "$wanted" in
	PASS) verdict "passes: $description" shows "^ok [0-9]+ PASS $description\$" ;;
	FAIL) verdict "fails: $description" shows "^not ok [0-9]+ FAIL $description\$" ;;
	esac
done < <(sed -n 's/^test_case "\([A-Z]* [^"]*\)".*/\1/p' "$HERE/cases"/test-{judgement,patches}.sh)
verdict "the offending line is shown" shows '^# KERNEL BUG: WARNING: CPU: 0 PID: 1 at this/is/a/test.c'
verdict "the module that stays is named" shows '^# LEFTOVER: module harness_stuck cannot be unloaded'
verdict "the patch that stays is named" shows '^# LEFTOVER: patch second_patch cannot be disabled: enabled 0, transition 1'
# line TEXT: where that is in the script.
line() { grep -nF -- "$1" "$HERE/cases/test-judgement.sh" | cut -d: -f1; }
verdict "the failing command is shown, and where it is" \
	shows "^# test-judgement.sh:$(($(line 'plain_failure() {') + 1)): \"false\" failed with status 1"
verdict "a failure says where it is" \
	shows "^# FAIL: for a reason \\(test-judgement.sh:$(line 'fail "for a reason"')\\)\$"

say "cases by their names"
verdict "one case of all scripts" selftests --case 'PASS an expected (file content|value)$'
verdict "it alone is run" lacks '^ok .*(an empty case|log line)'
verdict "the others are not counted" shows '^2 passed, 0 failed$'
verdict "a name is looked for as the expression says" selftests --case '^PASS an expected [^ ]+$'
verdict "one case has it" shows '^1 passed, 0 failed$'
verdict "a name that no case has is an error" eval '! selftests --case "no such case"'
verdict "that is told" shows "error: .* none has a case like no such case"

say "results that are missing, or not to be believed"
verdict "a suite that crashes fails" eval '! selftests --timeout 300 \
	test-condition.sh test-kills-the-guest.sh test-no-plan.sh test-skips.sh test-status.sh test-too-many.sh'
verdict "run_tests in a condition is refused" shows '^# selftests: test-condition.sh: it printed no plan$'
verdict "results lost in a crash are missed" shows '^# selftests: test-kills-the-guest.sh: 2 of 3 results are missing, the guest crashed'
verdict "the crash is shown" shows 'error: the guest crashed .*sysrq triggered crash'
verdict "a script without a plan is found" shows '^# selftests: test-no-plan.sh: it printed no plan$'
verdict "a skipped test does not pass" shows '^# selftests: test-skips.sh: .* # SKIP'
verdict "a test to be done does not pass" shows '^# selftests: test-skips.sh: .* # TODO'
verdict "a script's status counts" shows '^# selftests: test-status.sh: it ended with status 3'
verdict "results beyond the plan are found" shows '^# selftests: test-too-many.sh: 2 results where 1 '
verdict "all of it is counted" shows '^5 passed, 8 failed$'

say "a guest that hangs"
verdict "a suite that hangs fails" eval '! selftests --timeout 90 test-hangs.sh'
verdict "results lost in a hang are missed" shows '^# selftests: test-hangs.sh: 1 of 2 results are missing'
verdict "the end of the time is told" shows 'error: the guest was stopped after 90 s'
verdict "the hang is counted" shows '^1 passed, 1 failed$'

say "parts, and their report"
# in_short REGEX: a line of the last run's output, where it names what failed.
in_short() { sed '1,/^In short:$/d' "$OUTPUT" | grep -E -- "$1" >/dev/null; }
fails_in_parts() { ! REPORT=$OUTPUT.xml "$HERE/parts.sh" >"$OUTPUT" 2>&1; }
verdict "a part that fails, fails the whole" fails_in_parts
verdict "a function that is a part counts for itself" \
	shows '^harness-function-again +1 passed +0 failed '
verdict "one that counts nothing has failed" shows '^155 passed, 7 failed$'
verdict "it is told how long processors were busy with a part" \
	shows '^harness-busy .*, of processors 0 min 0[1-9] s\)$'
verdict "and not with what ran beside it" shows '^harness-idle .*, of processors 0 min 00 s\)$'
verdict "what failed is named at the end" in_short '^harness-results: not ok 2 one that is not: 1 < 2$'
for failure in '# KERNEL BUG: BUG: of a test' "# thread 'main' panicked at a.rs:1:2:" '# selftests: a.sh: it printed no plan' \
	'test a::b ... FAILED' 'TEST: a ... not ok' 'WRONG: a result' 'mutant 7: it was loaded'; do
	verdict "so is: $failure" in_short "^harness-fails: $failure\$"
done
verdict "so is an error" in_short '^harness-broken: error: nothing is there$'
verdict "the last lines are, of what says nothing like it" in_short '^harness-silent: third of three lines$'
verdict "what was never run is" in_short '^harness-unfinished: it ended before it was run$'
verdict "there may be more than can be shown" in_short '^harness-many: and 5 lines more$'
verdict "what a failure was shown with is not" eval '! in_short "in a guest"'
verdict "that a part was killed is told" shows '^harness-killed: .*Segmentation fault'
mv "$OUTPUT.xml" "$OUTPUT"
verdict "the report has each part" shows '<testsuite name="harness-counted" time="[0-9]+" tests="1" failures="0">'
verdict "and each result" shows '<testcase classname="harness-results" name="a result that is good" />'
verdict "a failure has its reason" shows '<failure message="FAIL: for a reason \(test-some.sh:7\)">'
verdict "a name is written as XML wants it" shows 'name="one that is not: 1 &lt; 2"'
verdict "what is counted only is a result" shows 'name="150 results that are counted only"'
verdict "what ends without results shows its last lines" shows 'error: nothing is there'

# A processor that is not started says nothing.
stops_early() { BOOT_SILENCE=2 guest 124 --qemu-args -S -- true; }

say "guests that are kept"
# shellcheck disable=SC2016 # for the guest's shell
verdict "a guest that pauses is kept" guest 0 --save "$KEPT" -- \
	'touch /tmp/before; line=$(/.vm/pause); ls /tmp; echo "restored: $line"; exit "${#line}"'
verdict "what comes after the pause has not run" lacks '^restored'
verdict "it goes on with its input" guest 3 --restore "$KEPT" -- one
verdict "the input is what was given" shows '^restored: one$'
verdict "it goes on from the same state again" guest 8 --restore "$KEPT" -- one more
verdict "the input is what was given then" shows '^restored: one more$'
verdict "what was there is there" shows '^before$'
verdict "a command that does not pause is an error" guest 125 --save "$KEPT.2" -- true
verdict "that is told" shows 'error: the command has ended without calling /.vm/pause'
verdict "what fails before its pause is not kept" guest 7 --save "$KEPT.2" -- 'exit 7'
verdict "nothing is kept of these" test ! -e "$KEPT.2"
verdict "a kernel that hangs before its first process" stops_early
verdict "is started again" shows 'said nothing for 2 s before its first process; it is started again \(twice\)'
verdict "and given up in the end" shows 'error: the kernel said nothing for 2 s .* three times'
verdict "a guest that says nothing is stopped" guest 124 --silence 5 -- sleep 50
verdict "the silence is told" shows 'error: the guest was stopped .* silent for 5 s'

say "guests from another directory"
mkdir -p "$AWAY/overlay"
echo "there" >"$AWAY/overlay/word"
# shellcheck disable=SC2016 # for the guest's shell
verdict "a guest is run, and kept, from any directory" \
	from_away 0 --overlay overlay --console-log console.log --save kept -- 'line=$(/.vm/pause); echo "$line, and $(cat /word)"'
verdict "the console's log is where it was wanted" grep -q 'Linux version' "$AWAY/console.log"
verdict "the guest is restored from there" from_away 0 --restore kept -- here
verdict "it has what the overlay has" shows '^here, and there$'
verdict "a path that leads nowhere is an error" from_away 1 --kernel no/image -- true
verdict "it is told in full" shows "^error: no kernel image at $AWAY/no/image\$"

say "a guest with a terminal"
# on_terminal INPUT COMMAND...: with a terminal of its own, on which that is typed; what is to be
# seen there goes into $OUTPUT.
on_terminal() {
	local input=$1 status=0
	shift
	SHOWN=
	mkfifo "$AWAY/typed"
	# It stays open: the end is for the command to tell.
	exec 7<>"$AWAY/typed"
	# shellcheck disable=SC2059 # it has what cannot be typed here
	printf "$input" >&7
	script -qec "$(printf '%q ' "$@")" /dev/null <&7 2>&1 | tr -d '\r' >"$OUTPUT" || status=$?
	exec 7>&-
	rm "$AWAY/typed"
	return "$status"
}
# A shell in a guest, between two looks at the terminal.
cat >"$AWAY/interactive" <<END
stty rows 33 columns 111
printf '\nsettings %s\n' "\$(stty -g)"
"$TOP/tools/testing/vm/run.sh" --interactive --timeout 120 -- exec bash
status=\$?
printf '\nsettings %s\n' "\$(stty -g)"
exit \$status
END
same_settings() {
	local settings
	settings=$(grep '^settings .*:' "$OUTPUT")
	[ "$(wc -l <<<"$settings")" -eq 2 ] && [ "$(sort -u <<<"$settings" | wc -l)" -eq 1 ]
}
# typed INPUT STATUS: that it ends so where that is typed.
typed() {
	local status=0
	on_terminal "$1" bash "$AWAY/interactive" || status=$?
	[ "$status" -eq "$2" ] && return
	echo "# it ended with status $status; on the terminal was:"
	sed 's/^/#   /' "$OUTPUT"
	return 1
}
# shellcheck disable=SC2016 # for the guest's shell
verdict "its status is that of the shell" typed 'echo "it is $((6 * 7))"; stty size; : </dev/tty && echo "jobs work"; exit 5\n' 5
verdict "what is typed is run" shows '^it is 42$'
verdict "the guest's terminal is as large" shows '^33 111$'
verdict "it is the terminal of the shell" shows '^jobs work$'
verdict "the terminal is as before" same_settings
verdict "Ctrl-A x stops the guest" typed 'sleep 1000\n\001x' 0
verdict "that is told" shows '>> the guest was stopped$'
verdict "the terminal is as before then" same_settings
verdict "there is none without a terminal" guest 1 --interactive -- true
verdict "that is told" shows '^error: --interactive needs a terminal$'

say "what building.md says of a guest of one's own"
tutorial() { "$TOP/scripts/enter" python3 "$TOP/tools/testing/tutorial.py" "$@"; }
BUILDING=$TOP/Documentation/livepatch/building.md
as_documented() {
	tutorial script '$' "$BUILDING" >"$AWAY/commands"
	# As from a shell, also where make runs this: a make below another one prints its directory.
	# What is documented is for the kernel that make has without ARCH.
	(cd "$TOP" && env -u ARCH -u MAKEFLAGS -u MFLAGS -u MAKELEVEL HOME="$AWAY" LIVEPATCH_CACHE="$CACHE" \
		bash "$AWAY/commands" >"$KEPT.printed")
	tutorial check "$BUILDING" "$KEPT.printed" | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" -eq 0 ]
}
verdict "it is so, word for word" as_documented
# shell STATUS COMMANDS [ARGUMENT]...: make shell without a terminal.
shell() {
	local wanted=$1 status=0
	SHOWN=
	echo "$2" | make --no-print-directory -C "$TOP" shell "${@:3}" >"$OUTPUT" 2>&1 || status=$?
	[ "$status" -eq "$wanted" ]
}
verdict "a patch that is not there is an error" shell 2 true PATCH="$AWAY/none.ko"
verdict "that is told" shows "^error: PATCH=$AWAY/none.ko: there is no such file or directory\$"
verdict "so is a directory without one" shell 2 true PATCH="$AWAY/overlay"
verdict "that is told" shows "^error: $AWAY/overlay has no .ko file: build the patch first"
verdict "no commands are an error" shell 2 ''
verdict "that is told" shows '^error: there is no terminal for a shell, and standard input has no commands$'

say "the toolchain tree from another directory"
enter() {
	SHOWN=
	(cd "$AWAY/overlay" && "$@") >"$OUTPUT" 2>&1
}
verdict "a script of the checkout runs from any directory" enter "$TOP/scripts/enter" "$TOP/tools/testing/harness/run.sh" --where
verdict "in the checkout" shows "^$TOP\$"
enter_fails() { ! enter "$@"; }
verdict "another command does not" enter_fails "$TOP/scripts/enter" pwd
verdict "what to do is told" shows "^error: the toolchain tree does not have the current directory $AWAY/overlay: with BIND=$AWAY/overlay it has"
verdict "it does where that is bound" enter env BIND="$AWAY/overlay" "$TOP/scripts/enter" ls
verdict "with what is there" shows '^word$'

say "steps"
logs_apart() {
	step "harness: a step" "1 s" echo "$CACHE/somewhere/with/a/name/that/is/so/long/that/it/does/not/fit/into/a/line/of/a/terminal/last.ko" 2>/dev/null
	[[ $STEP_LOG == *"$(key "$TOP")"* ]]
}
verdict "each checkout has logs of its own" logs_apart
now_doing "$STEP_LOG" >"$OUTPUT"
verdict "a long line keeps its beginning and its end" shows '^somewhere/with/.{15} \.\.\. .{48}last\.ko$'

say "what has changed since it was built"
mkdir -p "$AWAY/sources/deep" "$AWAY/sources/.git" "$AWAY/more"
touch "$AWAY/sources/deep/"{one,two}
ln -s sources "$AWAY/link"
# Times of files advance with the ticks of the clock.
tick() { sleep 0.1; }
stale() { changed_since "$AWAY/stamp" "$AWAY/link" "$AWAY/more"; }
# built [COMMAND...]: that is done meanwhile.
built() {
	tick
	touch "$AWAY/stamp.begun"
	tick
	"$@"
	mv "$AWAY/stamp.begun" "$AWAY/stamp"
	tick
}
fresh() { ! stale; }
verdict "what was never built is to be built" stale
built
verdict "what was built then stays" fresh
# As an editor or git may do.
touch -d '2 years ago' "$AWAY/sources/deep/one"
verdict "a source that has changed is seen, whatever its date, and through a link" stale
built rm "$AWAY/sources/deep/two"
verdict "one that was removed during the build is" stale
built
touch "$AWAY/more/three"
verdict "one that is new in another directory is" stale
built touch "$AWAY/sources/.git/index"
verdict "what git notes is not" fresh
rm -r "$AWAY/more"
verdict "sources that are not there are no reason to keep it" stale

conclude
