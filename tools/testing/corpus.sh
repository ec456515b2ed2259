#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp build on N= fixes that SEED= draws: one diff for each file in which the archive's two
# versions of Debian 13's kernel differ. What is built is loaded into the stock kernel as
# shipped, beside a workload, and unloaded. Prints a table, for
# Documentation/livepatch/build.md. Goes on where it was interrupted.
#
# KLP_BUILD is the command, a line of bash; see tools/testing/corpus/corpus.py.

. "$(dirname "$0")/../../scripts/lib.sh"

N=${N:-20}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
# How many are loaded in one guest.
BATCH=${BATCH:-25}

stock() { "$TOP/scripts/stock.sh" "$@"; }
corpus() { LAYER=$OLD "$TOP/scripts/enter" python3 "$TOP/tools/testing/corpus/corpus.py" "$@"; }

RELEASE=$(stock versions | sed -n 's/^old \(.*\) .*/\1/p')
read -r OLD_VERSION NEW_VERSION < <(stock versions | cut -d' ' -f3 | xargs)
[ "$OLD_VERSION" != "$NEW_VERSION" ] ||
	die "the archive has one version of the stock kernel only, $OLD_VERSION: there is nothing to compare it with"
OLD=$(stock image)
grep -qx CONFIG_LIVEPATCH=y "$OLD/boot/config-$RELEASE" ||
	die "the stock kernel for $ARCH loads no livepatches, and has no Rust for livepatch.ko: use ARCH=x86_64"
stock headers >/dev/null
OLD=$(stock source old)
NEW=$(stock source new)
KLP=$("$TOP/scripts/klp.sh")

KLP_BUILD=${KLP_BUILD:-"nice -n 5 '$KLP' build --json --source /usr/src/linux-source-6.12 \
	--kdir /lib/modules/$RELEASE/build --kernel /boot/vmlinuz-$RELEASE -o \"\$OUT\" \"\$PATCH\""}
WORK=$CACHE/corpus/$ARCH-$OLD_VERSION-$NEW_VERSION-$N-$SEED-$(key "$KLP" "$KLP_BUILD")
case "$ARCH" in
x86_64) SRCARCH=x86 ;;
s390) SRCARCH=s390 ;;
esac

# load: one guest with some of them. What it did before it ended counts.
load() {
	local guest=$WORK/guest name line
	rm -rf "$guest"
	mkdir -p "$guest/usr/bin" "$guest/corpus" "$guest/usr/lib/modules"
	cp "$("$TOP/scripts/klp.sh" --guest)" "$guest/usr/bin/klp"
	cp -r "$OLD/usr/lib/modules/$RELEASE" "$guest/usr/lib/modules/"
	cp "$TOP/tools/testing/corpus/guest" "$guest/corpus/run"
	printf '%s\n' "$@" >"$guest/corpus/list"
	local names=()
	for line; do
		name=${line%% *}
		names+=("$name")
		cp "$WORK/$name.ko" "$guest/corpus/"
	done
	say "loading ${#names[@]}, from ${names[0]} on"
	"$TOP/tools/testing/vm/run.sh" --kernel "$OLD/boot/vmlinuz-$RELEASE" --overlay "$guest" --mem 2048 \
		--timeout 1800 --silence 300 --append printk.devkmsg=on --console-log "$WORK/console-${names[0]}.log" \
		-- bash /corpus/run >"$WORK/guest-${names[0]}.log" 2>&1 || true
	corpus loaded "$WORK" "${names[@]}" <"$WORK/guest-${names[0]}.log"
}

say "SEED=$SEED N=$N, $ARCH, $OLD_VERSION to $NEW_VERSION"
if [ ! -e "$WORK/list" ]; then
	rm -rf "$WORK"
	step "corpus: $N diffs" "1 min" corpus pick "$WORK" "$OLD/usr/src/linux-source-6.12" \
		"$NEW/usr/src/linux-source-6.12" "$OLD/usr/src/linux-headers-$RELEASE" "$SRCARCH" "$N" "$SEED"
fi
step "corpus: building" "$((N / 6 + 3)) min" corpus build "$WORK" "$KLP_BUILD"
while true; do
	mapfile -t batch < <(corpus next "$WORK" "$BATCH")
	[ ${#batch[@]} -gt 0 ] || break
	load "${batch[@]}"
done
read -r differ candidates <"$WORK/of"
echo "\`make corpus ARCH=$ARCH N=$N SEED=$SEED\`, $(date +%F), $RELEASE, fixes of $OLD_VERSION to $NEW_VERSION:"
echo "$differ C files differ, the kernel contains $candidates of them, $N were drawn."
echo
corpus table "$WORK"
