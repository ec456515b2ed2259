#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boot a test kernel in QEMU and run one command in it, as root.

. "$(dirname "$0")/../../../scripts/lib.sh"

usage() {
	cat <<-END
		Usage: run.sh [OPTION]... -- COMMAND...

		Runs COMMAND in a guest of \$ARCH and prints what it prints, nothing else. One
		argument is a line of bash; several are a program and its arguments, verbatim.

		  --variant NAME      kernel: plain (default), peer, lockdep, kasan
		  --guest FLAVOUR     the guest's root: plain (default), or systemd, which is then the
		                      first process
		  --kernel IMAGE      boot this image in place of a variant's
		  --overlay DIR       put DIR's content over the guest's root (repeatable)
		  --timeout SECONDS   stop the guest after that long (default 300)
		  --console-log FILE  where the kernel's console goes
		  --mem MB --smp N    default 1024 and 2
		  --append ARGS       more kernel arguments
		  --qemu-args ARGS    more QEMU arguments
		  --interactive       COMMAND has the terminal that run.sh has; there, Ctrl-A x stops
		                      the guest. --timeout 0 lets it run as long as it takes
		  --silence SECONDS   stop the guest when its console says nothing for that long
		  --save DIR          end when COMMAND calls /.vm/pause, and keep the guest in DIR
		  --restore DIR       go on with a guest that was kept, in place of booting one;
		                      COMMAND is its line of input, which /.vm/pause prints

		Relative paths are relative to the current directory. QEMU runs in the toolchain
		tree, so paths in --qemu-args must be absolute, and below the checkout, the cache
		or a directory in BIND=.

		A guest that is kept can be restored any number of times, with the options that
		it was booted with.

		A kernel that says nothing for BOOT_SILENCE= seconds (120) before its first process
		is started again, twice at most: emulated timers stop at times where the host has
		no time for them.

		ACCEL= in the environment is QEMU's -accel (default tcg,thread=multi).

		Exits with COMMAND's status; 124: the time was up, or the silence too long; 125:
		the guest crashed or could not be started.
	END
}

VARIANT=plain
FLAVOUR=plain
KERNEL=
OVERLAYS=()
TIMEOUT=300
CONSOLE_LOG=
MEM=1024
SMP=2
APPEND=
QEMU_ARGS=()
INTERACTIVE=
SILENCE=
SAVE=
RESTORE=
BOOT_SILENCE=${BOOT_SILENCE:-120}

# absolute PATH: also of what is not there.
absolute() { realpath -ms -- "$1"; }

while [ $# -gt 0 ]; do
	case "$1" in
	--help)
		usage
		exit
		;;
	--)
		shift
		break
		;;
	--interactive)
		INTERACTIVE=1
		shift
		continue
		;;
	--variant | --guest | --kernel | --overlay | --timeout | --console-log | --mem | --smp | --append | --qemu-args | \
		--silence | --save | --restore)
		[ $# -ge 2 ] || die "$1 needs a value"
		;;&
	--variant) VARIANT=$2 ;;
	--guest) FLAVOUR=$2 ;;
	--kernel) KERNEL=$(absolute "$2") ;;
	--overlay) OVERLAYS+=("$(absolute "$2")") ;;
	--timeout) TIMEOUT=$2 ;;
	--console-log) CONSOLE_LOG=$(absolute "$2") ;;
	--mem) MEM=$2 ;;
	--smp) SMP=$2 ;;
	--append) APPEND=$2 ;;
	--qemu-args) read -ra QEMU_ARGS <<<"$2" ;;
	--silence) SILENCE=$2 ;;
	--save) SAVE=$(absolute "$2") ;;
	--restore) RESTORE=$(absolute "$2") ;;
	*) die "unknown argument: $1 (see --help)" ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "no command to run (see --help)"
[ -z "$SAVE" ] || [ -z "$RESTORE" ] || die "a guest is either saved or restored"
[ -z "$INTERACTIVE" ] || [ -z "$SAVE$RESTORE" ] || die "an interactive guest is neither saved nor restored"
[ -z "$INTERACTIVE" ] || { [ -t 0 ] && [ -t 1 ]; } || die "--interactive needs a terminal"
[ -z "$RESTORE" ] || [ -e "$RESTORE/state" ] || die "no guest is kept in $RESTORE"
# The toolchain tree may not have the current directory.
[ -z "${CONFIG:-}" ] || CONFIG=$(absolute "$CONFIG")
cd "$TOP"
[ -n "$CONSOLE_LOG" ] || CONSOLE_LOG=$CACHE/log/console-$ARCH-$VARIANT.log

if [ -z "$KERNEL" ]; then
	KERNEL=$("$TOP/scripts/kernel.sh" "$VARIANT")
	case "$ARCH" in
	x86_64) KERNEL=$KERNEL/arch/x86/boot/bzImage ;;
	s390) KERNEL=$KERNEL/arch/s390/boot/bzImage ;;
	esac
fi
[ -f "$KERNEL" ] || die "no kernel image at $KERNEL"
GUEST=$("$TOP/scripts/guest.sh" "$FLAVOUR")

WORK=$(mktemp -d "$CACHE/tmp/vm.XXXXXX")
VM=
WATCHER=
TYPIST=
SETTINGS=
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup() {
	if [ -n "$VM" ]; then
		kill "$VM" ${WATCHER:+"$WATCHER"} ${TYPIST:+"$TYPIST"} 2>/dev/null || true
		wait "$VM" 2>/dev/null || true
	fi
	[ -z "$SETTINGS" ] || stty "$SETTINGS"
	[ ! -e "$WORK/console" ] || cp "$WORK/console" "$CONSOLE_LOG"
	rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# In the guest's root /lib and the like are links; an overlay's directory of that
# name goes through them, and must not take their place.
prepare_initrd() {
	local root=$WORK/root dir
	mkdir -p "$root/.vm" "$root"/usr/{bin,sbin,lib,lib64}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	for dir in "${OVERLAYS[@]}"; do
		[ -d "$dir" ] || die "no overlay directory $dir"
		tar -cf - -C "$dir" . | tar -xf - --no-same-owner --keep-directory-symlink -C "$root"
	done
	chmod 755 "$root"
	cp "$TOP/tools/testing/vm/init" "$root/init"
	cp "$TOP"/tools/testing/vm/{leaks,pause,serve} "$root/.vm/"
	if [ "$FLAVOUR" = systemd ]; then
		ln -sf usr/lib/systemd/systemd "$root/init"
		mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
		cp "$TOP/tools/testing/vm/vm.service" "$root/etc/systemd/system/"
		ln -s ../vm.service "$root/etc/systemd/system/multi-user.target.wants/"
		# One without would be asked for its settings.
		echo 6c766d6b6f2d74657374732d67756573 >"$root/etc/machine-id"
	fi
	echo "$PORT" >"$root/.vm/port"
	echo "$TOKEN" >"$root/.vm/token"
	[ -z "$INTERACTIVE" ] || stty size >"$root/.vm/interactive"
	grep -v '^#' "$TOP/tools/testing/kernel-bugs" >"$root/.vm/kernel-bugs"
	if [ $# -eq 1 ]; then
		printf '%s\n' "$1"
	else
		printf '%q ' "$@"
	fi >"$root/.vm/command"
	# shellcheck disable=SC2016 # for the shell inside the tree
	"$TOP/scripts/enter" bash -ec '
		cd "$1"
		find . -mindepth 1 | cpio --quiet -o -H newc -R 0:0 | cat "$2" - >"$3"
	' initrd "$root" "$GUEST" "$IMAGES/initrd"
	rm -rf "$root"
}

# While the kernel finds out again what the processor can do, it takes itself to have four
# levels of page tables. KASAN takes every address for a wild one then, if an interrupt
# comes: it is not to have five before and after that.
case $ARCH-$VARIANT in x86_64-kasan*) APPEND="no5lvl $APPEND" ;; esac

# An emulated processor that gets no time counts too few ticks to believe in its timer.
[ "$ARCH" != x86_64 ] || APPEND="no_timer_check $APPEND"

# Nobody logs in, and nothing was installed.
[ "$FLAVOUR" != systemd ] || APPEND="systemd.getty_auto=no systemd.condition_needs_update=no $APPEND"

ACCEL=${ACCEL:-tcg,thread=multi}
CPU=max
[[ $ACCEL != kvm* ]] || CPU=host

# The console is for the kernel alone: what the command writes has a port of its
# own, and neither disturbs the other.
# shellcheck disable=SC2054 # the commas are QEMU's
case "$ARCH" in
x86_64)
	QEMU=(qemu-system-x86_64 -M q35 -serial chardev:console -serial chardev:output)
	CONSOLE=ttyS0
	PORT=/dev/ttyS1
	;;
s390)
	QEMU=(
		qemu-system-s390x -M s390-ccw-virtio
		-device sclpconsole,chardev=console
		-device virtio-serial-ccw -device virtconsole,chardev=output
	)
	CONSOLE=ttysclp0
	PORT=/dev/hvc0
	;;
esac

# What a guest is booted from, and with --save what becomes of it.
IMAGES=$WORK
if [ -n "$RESTORE" ]; then
	# Wherever it is: the toolchain tree may not have it.
	exec 5<"$RESTORE"
	IMAGES=/proc/self/fd/5
fi

# shellcheck disable=SC2054 # the commas are QEMU's
QEMU+=(
	-accel "$ACCEL" -cpu "$CPU" -m "$MEM" -smp "$SMP"
	-nodefaults -display none -no-reboot
	-chardev "file,id=console,path=$WORK/console"
	-chardev "stdio,id=output,signal=off${INTERACTIVE:+,mux=on}"
	-kernel "$IMAGES/kernel" -initrd "$IMAGES/initrd"
	-append "console=$CONSOLE panic=-1 oops=panic printk.devkmsg=on log_buf_len=4M $APPEND"
	"${QEMU_ARGS[@]}"
)
mkfifo "$WORK/input"
exec 4<>"$WORK/input"
if [ -n "$RESTORE" ]; then
	QEMU+=(-incoming "file:$IMAGES/state")
	TOKEN=$(cat "$RESTORE/token")
	# A port takes what fits into it before its state is loaded, and then forgets it:
	# these lines are for that.
	printf '%16s' '' | tr ' ' '\n' >&4
	printf '%s\n' "$*" >&4
else
	TOKEN=vm-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
	prepare_initrd "$@"
	cp "$KERNEL" "$IMAGES/kernel"
fi
if [ -n "$SAVE" ]; then
	mkfifo "$WORK/monitor.in" "$WORK/monitor.out"
	# shellcheck disable=SC2054
	QEMU+=(-chardev "pipe,id=monitor,path=$WORK/monitor" -mon chardev=monitor,mode=readline)
fi

# said TEXT: by the guest's init, or with its token.
said() { tr -d '\r' <"$WORK/console" | sed -n "s/.*$TOKEN: $1\$/\1/p" | tail -n 1; }

# silence: how long the console has said nothing, in seconds.
silence() { echo $(($(date +%s) - $(stat -c %Y "$WORK/console"))); }

# watch: until the guest's end, whether it is to be saved, or to be stopped. A guest that has
# told its status and powers off is gone a moment later; QEMU's of s390 is at times stuck then.
watch() {
	local saving='' told='' booted='' pause=1
	[ -z "$SAVE" ] || pause=0.3
	while sleep "$pause"; do
		if [ -z "$told" ] && tail -c 500 "$WORK/console" | grep -aq "$TOKEN: status [0-9]"; then
			told=$SECONDS
		fi
		if [ -n "$told" ] && [ $((SECONDS - told)) -ge 30 ]; then
			touch "$WORK/stuck"
			kill "$1"
			return
		fi
		if [ -n "$SAVE" ] && [ -z "$saving" ] && [ -n "$(said '\(paused\)')" ]; then
			saving=1
			# Its pages go as fast as they can.
			printf '%s\n' 'migrate_set_parameter max-bandwidth 100G' \
				"migrate file:$WORK/state" quit >"$WORK/monitor.in"
		fi
		if [ -n "$SILENCE" ] && [ "$(silence)" -gt "$SILENCE" ]; then
			touch "$WORK/silent"
			kill "$1"
			return
		fi
		if [ -z "$RESTORE$booted" ]; then
			if grep -aqs 'Run /init as init process' "$WORK/console"; then
				booted=1
			elif [ "$(silence)" -gt "$BOOT_SILENCE" ]; then
				touch "$WORK/unborn"
				kill "$1"
				return
			fi
		fi
	done
}

# type_in: passes on what is typed, once somebody in the guest reads it.
type_in() {
	until [ -n "$(said '\(ready\)')" ]; do sleep 0.3; done
	stty raw -echo <&6
	exec cat <&6 >&4
}

# report MESSAGE: what went wrong, and the console's last words.
report() {
	{
		printf 'error: %s\n' "$1"
		if [ -s "$WORK/qemu" ]; then
			sed 's/^/  qemu: /' "$WORK/qemu"
		fi
		if [ -s "$WORK/console" ]; then
			echo "The end of the console log ($CONSOLE_LOG):"
			tail -n 40 "$WORK/console" | tr -d '\r' | sed 's/^/  | /'
		else
			echo "The console log is empty: the kernel did not start."
		fi
	} >&2
}

# QEMU makes its standard output non-blocking, which would be felt by everyone
# who shares ours: it gets a pipe to itself.
mkfifo "$WORK/output"
# boot: until the guest's end; sets $start and $ended.
boot() {
	rm -f "$WORK/unborn"
	: >"$WORK/console"
	start=$SECONDS
	cat "$WORK/output" &
	READER=$!
	timeout --kill-after=10 "$TIMEOUT" "$TOP/scripts/enter" "${QEMU[@]}" \
		<&4 4>&- >"$WORK/output" 2>"$WORK/qemu" &
	VM=$!
	watch "$VM" 4>&- &
	WATCHER=$!
	if [ -n "$INTERACTIVE" ]; then
		SETTINGS=$(stty -g)
		# What runs in the background has no standard input.
		exec 6<&0
		type_in &
		TYPIST=$!
	fi
	ended=0
	wait "$VM" || ended=$?
	VM=
	if [ -n "$INTERACTIVE" ]; then
		kill "$TYPIST" 2>/dev/null || true
		stty "$SETTINGS"
		SETTINGS=
	fi
	[ -z "$WATCHER" ] || kill "$WATCHER" 2>/dev/null || true
	wait "$READER" || true
}

boot
for again in once twice; do
	[ -e "$WORK/unborn" ] || break
	say "the kernel said nothing for $BOOT_SILENCE s before its first process; it is started again ($again)"
	boot
done
if [ -e "$WORK/stuck" ]; then
	say "the guest did not power off, QEMU was stopped"
	ended=0
fi

status=$(said 'status \([0-9]*\)')
panic=$(tr -d '\r' <"$WORK/console" | grep -a -m 1 'Kernel panic - not syncing' || true)
if [ "$ended" -eq 124 ] || [ "$ended" -eq 137 ]; then
	report "the guest was stopped after $TIMEOUT s${status:+ (the command had ended with status $status, but the guest did not power off)}"
	exit 124
elif [ -e "$WORK/unborn" ]; then
	report "the kernel said nothing for $BOOT_SILENCE s before its first process, three times"
	exit 124
elif [ -e "$WORK/silent" ]; then
	report "the guest was stopped after $((SECONDS - start)) s, as its console had been silent for $SILENCE s"
	exit 124
elif [ -n "$panic" ]; then
	report "the guest crashed after $((SECONDS - start)) s: $panic"
	exit 125
elif [ -n "$INTERACTIVE" ] && [ -z "$status" ] && [ "$ended" -eq 0 ]; then
	say "the guest was stopped"
	exit
elif [ -n "$SAVE" ] && [ "$status" = 0 ]; then
	report "the command has ended without calling /.vm/pause"
	exit 125
elif [ -n "$SAVE" ] && [ -z "$status" ] && [ "$ended" -eq 0 ] && [ -s "$WORK/state" ]; then
	rm -rf "$SAVE"
	mkdir -p "$SAVE"
	echo "$TOKEN" >"$SAVE/token"
	mv "$WORK"/{kernel,initrd,state} "$SAVE/"
	exit
elif [ -z "$status" ] || [ "$ended" -ne 0 ]; then
	report "the guest ended after $((SECONDS - start)) s without telling the command's status (QEMU's status: $ended)"
	exit 125
fi
exit "$status"
