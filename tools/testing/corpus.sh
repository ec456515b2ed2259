#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp build on N= fixes that SEED= draws: one diff for each file in which the archive's two
# versions of a stable kernel differ. What is built is loaded beside a workload and unloaded.
# Prints a table, for Documentation/livepatch/build.md. Goes on where it was interrupted.
#
#   corpus.sh              into Debian 13's kernel as shipped (x86_64): what was fixed in it
#   corpus.sh VARIANT      into that test kernel, with livepatch.ko unless it is peer: what was
#                          fixed in a stable kernel of another series, see corpus/fixes.sh
#
# KLP_BUILD is the command, a line of bash; see tools/testing/corpus/corpus.py.

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANT=${1:-}
N=${N:-20}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
# How many are loaded in one guest.
BATCH=${BATCH:-25}

# The kernel, and where the fixes come from:
#	RELEASE IMAGE		what uname -r prints, what is booted
#	MODULES LIVEPATCH	its modules, livepatch.ko, or nothing
#	SOURCE HEADERS		its own source, where it is configured
#	OLD NEW	FIXES		two sources, and what they are
#	BUILD LAYER		options of klp build, and where they are right: see scripts/enter

stock() { "$TOP/scripts/stock.sh" "$@"; }

stock_kernel() {
	local old new series=linux-source-6.12
	RELEASE=$(stock versions | sed -n 's/^old \(.*\) .*/\1/p')
	read -r old new < <(stock versions | cut -d' ' -f3 | xargs)
	[ "$old" != "$new" ] ||
		die "the archive has one version of the stock kernel only, $old: there is nothing to compare it with"
	LAYER=$(stock image)
	grep -qx CONFIG_LIVEPATCH=y "$LAYER/boot/config-$RELEASE" ||
		die "the stock kernel for $ARCH loads no livepatches, and has no Rust for livepatch.ko: use VARIANT=plain, or ARCH=x86_64"
	IMAGE=$LAYER/boot/vmlinuz-$RELEASE
	MODULES=$LAYER/usr/lib/modules/$RELEASE
	LIVEPATCH=
	HEADERS=$(stock headers)/usr/src/linux-headers-$RELEASE
	OLD=$(stock source old)/usr/src/$series
	NEW=$(stock source new)/usr/src/$series
	SOURCE=$OLD
	FIXES="$series, $old to $new"
	BUILD="--source /usr/src/$series --kdir /lib/modules/$RELEASE/build --kernel /boot/vmlinuz-$RELEASE"
}

# own_kernel VARIANT
own_kernel() {
	local fixes old new series modules
	SOURCE=$("$TOP/scripts/source.sh")
	HEADERS=$("$TOP/scripts/kernel.sh" "$1")
	RELEASE=$(cat "$HEADERS/include/config/kernel.release")
	case "$ARCH" in
	x86_64) IMAGE=$HEADERS/arch/x86/boot/bzImage ;;
	s390) IMAGE=$HEADERS/arch/s390/boot/bzImage ;;
	esac
	MODULES=
	LIVEPATCH=
	LAYER=
	BUILD="--kdir '$HEADERS'"
	if [ "$1" != peer ]; then
		modules=$("$TOP/scripts/modules.sh" "$1")
		LIVEPATCH=$modules/livepatch.ko
		BUILD+=" --symvers '$modules/Module.symvers'"
	fi
	fixes=$("$TOP/tools/testing/corpus/fixes.sh")
	{ read -r series old OLD && read -r _ new NEW; } <<<"$fixes"
	FIXES="$series, $old to $new"
}

if [ -z "$VARIANT" ]; then stock_kernel; else own_kernel "$VARIANT"; fi
KLP=$("$TOP/scripts/klp.sh")
KLP_BUILD=${KLP_BUILD:-"nice -n 5 '$KLP' build --json $BUILD -o \"\$OUT\" \"\$PATCH\""}
WORK=$CACHE/corpus/$ARCH-${VARIANT:-stock}-$N-$SEED-$(key "$KLP" "$KLP_BUILD" "$FIXES" "$RELEASE")
case "$ARCH" in
x86_64) SRCARCH=x86 ;;
s390) SRCARCH=s390 ;;
esac

corpus() { LAYER=$LAYER "$TOP/scripts/enter" python3 "$TOP/tools/testing/corpus/corpus.py" "$@"; }

# load: one guest with some of them. What it did before it ended counts.
load() {
	local guest=$WORK/guest klp=$KLP name line names=()
	[ -z "$(cross)" ] || klp=$("$TOP/scripts/klp.sh" --guest)
	rm -rf "$guest"
	mkdir -p "$guest/usr/bin" "$guest/corpus" "$guest/usr/lib/modules"
	cp "$klp" "$guest/usr/bin/klp"
	[ -z "$MODULES" ] || cp -r "$MODULES" "$guest/usr/lib/modules/"
	[ -z "$LIVEPATCH" ] || cp "$LIVEPATCH" "$guest/corpus/"
	cp "$TOP/tools/testing/corpus/guest" "$guest/corpus/run"
	printf '%s\n' "$@" >"$guest/corpus/list"
	for line; do
		name=${line%% *}
		names+=("$name")
		cp "$WORK/$name.ko" "$guest/corpus/"
	done
	say "loading ${#names[@]}, from ${names[0]} on"
	"$TOP/tools/testing/vm/run.sh" --kernel "$IMAGE" --overlay "$guest" --mem 2048 \
		--timeout 1800 --silence 300 --append printk.devkmsg=on --console-log "$WORK/console-${names[0]}.log" \
		-- bash /corpus/run >"$WORK/guest-${names[0]}.log" 2>&1 || true
	corpus loaded "$WORK" "${names[@]}" <"$WORK/guest-${names[0]}.log"
}

say "SEED=$SEED N=$N, $ARCH, $RELEASE, fixes of $FIXES"
if [ ! -e "$WORK/list" ]; then
	rm -rf "$WORK"
	step "corpus $ARCH ${VARIANT:-stock}: $N diffs" "1 min" corpus pick "$WORK" "$OLD" "$NEW" "$SOURCE" "$HEADERS" "$SRCARCH" "$N" "$SEED"
fi
PROGRESS=60 step "corpus $ARCH ${VARIANT:-stock}: building" "$((N / 6 + 3)) min" corpus build "$WORK" "$KLP_BUILD" &
builder=$!
# What is built is loaded while the others are.
while true; do
	is_built=1
	! kill -0 "$builder" 2>/dev/null || is_built=
	mapfile -t batch < <(corpus next "$WORK" "$BATCH")
	if [ ${#batch[@]} -eq "$BATCH" ] || [ "$is_built" ] && [ ${#batch[@]} -gt 0 ]; then
		load "${batch[@]}"
	elif [ "$is_built" ]; then
		break
	else
		sleep 5
	fi
done
wait "$builder"
echo "\`make corpus ${VARIANT:+VARIANT=$VARIANT }ARCH=$ARCH N=$N SEED=$SEED\`, $(date +%F), $RELEASE, fixes of $FIXES:"
cat "$WORK/of"
echo
corpus table "$WORK"
