# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests that are made of parts, each of which ends with `N passed, N failed`: to be read
# by a script that has read scripts/lib.sh, and that ends with `totals`. REPORT= names a file,
# into which all results are written as JUnit has them (XML).

REPORT_TO=${REPORT:-}
# A part may be made of parts itself.
unset REPORT
# That of an earlier run says nothing of this one, which may end before its own is written.
[ -z "$REPORT_TO" ] || rm -f "$REPORT_TO"
# What the parts print is kept there, apart from that of other checkouts.
LOGS=$CACHE/log/$(key "$TOP")
mkdir -p "$LOGS"
# A line for each part that is done: its name, how many passed and failed, its seconds, and those of
# the processors, as far as the processes that it started were waited for.
RESULTS=$(mktemp "$CACHE/tmp/test.XXXXXX")
trap 'rm -f "$RESULTS"' EXIT

# record NAME PASSED FAILED SECONDS [SECONDS-OF-PROCESSORS]
record() { echo "$*" >>"$RESULTS"; }

# part NAME COMMAND...: run a part, and add its counts to the totals. One that does not
# end as it should has failed.
part() {
	local name=$1 start=$SECONDS status=0 log line
	# A part may be a function that counts by verdict.sh: it begins with nothing.
	local passed=0 failed=0 TIMEFORMAT='%0U %0S' user system
	shift
	log=$LOGS/test-$name.txt
	say "== $name"
	# In a shell of its own, as what jobs of this one took counts here when they end.
	(time { "$@" 2>&1 | tee "$log"; }) 2>"$log.time" || status=$?
	# What the shell itself said of the part, then that.
	head -n -1 "$log.time" | tee -a "$log" >&2
	read -r user system < <(tail -n 1 "$log.time") || user=0 system=0
	rm -f "$log.time"
	line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
	if [ -z "$line" ]; then
		line="0 passed, 1 failed"
	elif [ "$status" -ne 0 ] && [[ $line == *" 0 failed" ]]; then
		line="${line%% *} passed, 1 failed"
	fi
	read -r passed _ failed _ <<<"$line"
	record "$name" "$passed" "$failed" $((SECONDS - start)) $((user + system))
}

# Lines that name what failed: results, as all that is run here prints them, and what tells of it
# without. A test of what fails indents what that printed, behind a `#` of its own.
FAILURES='^not ok |^# FAIL|^FAIL|^(# *)?[^# ].*panicked at|\.\.\. (FAILED|not ok)$|^# selftests: |^# KERNEL BUG|^error|^WRONG: |^mutant [0-9]+: '

# what_failed PART: from what it printed, with some lines around, but none of what was well.
what_failed() {
	local log=$LOGS/test-$1.txt
	[ -e "$log" ] || return 0
	(grep -av '^ok ' "$log" | grep -aE -B 10 -A 5 -- "$FAILURES" || tail -n 20 "$log") |
		sed -n "1,80s/^/$1: /p"
}

# names_of_failures PART: these lines alone.
names_of_failures() {
	local log=$LOGS/test-$1.txt
	if [ -e "$log" ]; then
		grep -aE -- "$FAILURES" "$log" || tail -n 3 "$log"
	else
		echo "it ended before it was run"
	fi | awk -v part="$1" 'NR <= 20 { print part ": " $0 }
		END { if (NR > 20) print part ": and " NR - 20 " lines more" }'
}

# each_failed COMMAND: for each part of which something has failed, with its name.
each_failed() {
	local name bad
	while read -r name _ bad _; do
		[ "$bad" -eq 0 ] || "$1" "$name"
	done <"$RESULTS"
}

# report: all results, into the file that REPORT= names.
report() {
	"$TOP/scripts/enter" python3 "$TOP/tools/testing/report.py" "$RESULTS" "$LOGS" >"$REPORT_TO" || return
	say "the report is $REPORT_TO"
}

# totals: a line for each part, what failed, and the line of totals; its status.
totals() {
	local passed=0 failed=0 name good bad seconds busy
	echo
	while read -r name good bad seconds busy; do
		passed=$((passed + good))
		failed=$((failed + bad))
		printf '%-28s %5s passed %3s failed   (%s, of processors %s)\n' \
			"$name" "$good" "$bad" "$(elapsed "$seconds")" "$(elapsed "${busy:-0}")"
	done <"$RESULTS"
	if [ "$failed" -ne 0 ]; then
		echo
		echo "What failed, with the last lines of parts that say nothing of it:"
		each_failed what_failed
		echo
		echo "In short:"
		each_failed names_of_failures
	fi
	[ -z "$REPORT_TO" ] || report || failed=$((failed + 1))
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
