# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# klp build where a signal ends it, or the disk is full: to be read by build.sh, for its fixes.

# end_at STEP SIGNAL WAIT [ARGUMENT]...: klp build gets the signal so many seconds after it has begun
# a step. Sets STATUS, and MISSED if it had ended before.
end_at() {
	local step=$1 signal=$2 wait=$3 pid deadline=$((SECONDS + 300))
	shift 3
	STATUS=0 MISSED=
	rm -rf "$WORK/ended"
	mkdir -p "$WORK/ended/out"
	# What the last one has said is no sign of this one.
	rm -f "$WORK/said"
	# Nothing was made before. A shell has what runs beside it ignore SIGINT, nohup SIGHUP.
	env --default-signal=INT,HUP "$TOP/scripts/enter" "$KLP" build --cache "$WORK/ended/cache" --kdir "$KDIR" --symvers "$SYMVERS" \
		-o "$WORK/ended/out/" -j "$JOBS" --name ended "$@" >"$WORK/said" 2>&1 </dev/null &
	pid=$!
	# A step that it does not come to has the wrong status.
	until grep -qs "^$step" "$WORK/said" || [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$pid" 2>/dev/null; do
		sleep 0.05
	done
	sleep "$wait"
	kill -s "$signal" "$pid" 2>/dev/null || MISSED=1
	wait "$pid" || STATUS=$?
}

# leaves_nothing STEP SIGNAL [ARGUMENT]...: klp build that gets the signal in a step ends by it, and
# leaves nothing behind.
leaves_nothing() {
	local step=$1 signal=$2 wait left STATUS MISSED
	shift 2
	# What the step has begun is to run, and not to be over: on a busy machine that may be missed.
	for wait in 0.3 0.2 0.1 0 0; do
		end_at "$step" "$signal" "$wait" "$@"
		[ -n "$MISSED" ] || break
	done
	left=$(
		pgrep -f "$WORK/ended" || true
		find "$WORK/ended/cache" "$WORK/ended/out" -maxdepth 1 \( -name 'build-*' -o -name '*.ko' -o -name '.klp-*.ko' \) -print
	)
	if [ "$STATUS" -eq $((128 + $(kill -l "$signal"))) ] && [ -z "$left" ] && ! grep -q '^error' "$WORK/said"; then
		count 0 "SIG$signal at: $step"
	else
		count 1 "SIG$signal at: $step, with status $STATUS; left: $left"
	fi
	sed 's/^/# /' "$WORK/said"
}

# on_small_disk SIZE WORDS [ARGUMENT]...: klp build with the disk $WORK/small, of that size, fails
# with a message that has the words, and leaves nothing there.
on_small_disk() {
	local size=$1 words=$2 user=()
	shift 2
	mkdir -p "$WORK/small"
	[ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
	# shellcheck disable=SC2016 # for the shell in the name space
	BIND=$WORK/small unshare "${user[@]}" --mount bash -c '
		small=$1 size=$2
		shift 2
		mount -t tmpfs -o "size=$size" tmpfs "$small"
		status=0
		"$@" || status=$?
		echo "status $status, left: $(find "$small" -name "build-*" -o -name "*.ko")"' \
		small "$WORK/small" "$size" \
		"$TOP/scripts/enter" "${SMALL_ENV[@]}" "$KLP" build --quiet --kdir "$KDIR" --symvers "$SYMVERS" -j "$JOBS" \
		"$@" "$WORK/meminfo.patch" >"$WORK/said" 2>&1 || true
	if [ "$(grep -c '^error: ' "$WORK/said")" -eq 1 ] && grep -qF "$words" "$WORK/said" &&
		[ "$(tail -n 1 "$WORK/said")" = "status 1, left: " ]; then
		count 0 "a disk of $size: $words"
	else
		count 1 "a disk of $size has one error with: $words"
	fi
	sed 's/^/# /' "$WORK/said"
}

ended() {
	local SMALL_ENV=()
	on_small_disk 24k "$WORK/small/build-" --cache "$WORK/small" -o "$WORK/out/"
	on_small_disk 8k "cannot write $WORK/small/livepatch-meminfo.ko: No space left on device" \
		--cache "$CACHE/klp-build" -o "$WORK/small/"
	# On s390 the compiler runs with -pipe, and needs no temporary files.
	if [ "$ARCH" != s390 ]; then
		SMALL_ENV=(env TMPDIR="$WORK/small")
		on_small_disk 4k "$WORK/small (TMPDIR)" --cache "$WORK/ended/cache" -o "$WORK/out/"
	fi
	on_small_disk 0,ro "cannot write to $WORK/small: give another directory with --cache" \
		--cache "$WORK/small" -o "$WORK/out/"
	leaves_nothing "reading the kernel" TERM "$WORK/header.patch"
	leaves_nothing "looking for what" HUP "$WORK/header.patch"
	leaves_nothing "compiling" INT "$WORK/header.patch"
	leaves_nothing "comparing with the kernel" TERM "$WORK/meminfo.patch"
	leaves_nothing "linking the livepatch" INT "$WORK/meminfo.patch"
	leaves_nothing "building a copy" TERM --source "$OUTSIDE" --module "$WORK/installed/klp_outside.ko" \
		"$WORK/outside.patch"
	conclude
}
