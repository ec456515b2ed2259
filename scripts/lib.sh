# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script of the front door shares: where the cache is, how a step
# tells what it does, how a step is resumed.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${LIVEPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/livepatch-rs}
ARCH=${ARCH:-x86_64}
JOBS=${JOBS:-$(nproc)}
export TOP CACHE ARCH JOBS
# It is also seen from other directories, and where a link's target is not.
[ -z "${KSRC:-}" ] || KSRC=$(readlink -m "$KSRC")

mkdir -p "$CACHE/log" "$CACHE/tmp"

say() { printf '>> %s\n' "$*" >&2; }

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

case "$ARCH" in
x86_64 | s390) ;;
s390x) ARCH=s390 ;;
*) die "ARCH=$ARCH is not supported: use x86_64 or s390" ;;
esac

# is_native: whether $ARCH is this machine's own.
is_native() { [ "$ARCH" = "$(uname -m | sed s/s390x/s390/)" ]; }

# debian_arch: Debian's name for $ARCH, used for the guest's packages.
debian_arch() {
	case "$ARCH" in
	x86_64) echo amd64 ;;
	s390) echo s390x ;;
	esac
}

# debian_mirror: the mirror that the host's apt uses for Debian; MIRROR= where
# that is another distribution's apt, or none.
debian_mirror() {
	if [ -n "${MIRROR:-}" ]; then
		echo "$MIRROR"
	else
		# shellcheck disable=SC2016 # apt-get fills these in
		apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null |
			awk -F'|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
	fi
}

# cross: the prefix of the compiler for $ARCH: Debian's, or LIVEPATCH_CROSS=.
cross() {
	[ -z "${LIVEPATCH_CROSS:-}" ] || { echo "$LIVEPATCH_CROSS" && return; }
	! is_native || return 0
	case "$ARCH" in
	x86_64) echo x86_64-linux-gnu- ;;
	s390) echo s390x-linux-gnu- ;;
	esac
}

# has_variant VARIANT: whether $ARCH has that kernel of scripts/kernel.sh.
has_variant() {
	case $1 in
	kasan | kasan-peer | rt | ibt | cfi | oldest-rust | debian | debian-peer | debian-btf)
		[ "$ARCH" = x86_64 ]
		;;
	esac
}

# Debian 13's own Rust compiler, where scripts/toolchain.sh puts it in the tree.
SUITE_RUSTC=/usr/local/lib/suite-rust/rustc

# kmake_args VARIANT: what a build of or for that kernel needs on its command line,
# in one line. Rust and KASAN together need clang, and so does CFI.
kmake_args() {
	local prefix llvm='' rustc=''
	prefix=$(cross)
	case $1 in
	kasan | kasan-peer | cfi) llvm=1 ;;
	oldest-rust | debian-btf) rustc=$SUITE_RUSTC ;;
	given) llvm=${LLVM:+1} ;;
	esac
	# Without a value it hides one in the environment.
	echo "${prefix:+CROSS_COMPILE=$prefix }LLVM=$llvm ${rustc:+RUSTC=$rustc }ARCH=$ARCH"
}

# rust_target MACHINE: what rustc calls it.
rust_target() { echo "$1-unknown-linux-gnu"; }

# cargo_target: the directory of what cargo builds. One for each checkout: cargo does not tell two of
# them apart, and takes what the other has built for its own where that is newer than the sources.
cargo_target() { echo "$CACHE/cargo-target/$(key "$TOP")"; }

# key FILE-OR-TEXT...: a short digest of what a product is made from. An
# argument that names a file stands for its contents.
key() {
	local arg
	for arg in "$@"; do
		if [ -f "$arg" ]; then cat "$arg"; else printf '%s\n' "$arg"; fi
	done | sha256sum | cut -c1-12
}

# changed_since STAMP PATH...: whether something in these was changed or removed after the time of
# the file STAMP, or one of them all is not there. What cannot be read does not count.
changed_since() {
	local path
	for path; do
		[ -e "$path" ] || return 0
	done
	# The way to a checkout may be a link.
	[ -n "$(find -H "${@:2}" -name .git -prune -o -newercm "$1" -print -quit)" ]
}

# made_from SOURCE: the line by which a picture says what it was made from.
made_from() {
	printf '<!-- Made by "make docs" from %s; SHA-256 %s -->\n' "${1##*/}" "$(sha256sum <"$1" | cut -d' ' -f1)"
}

# unpacked FILE: its contents, as a configuration may be packed.
unpacked() { { xz -dc "$1" || gzip -dc "$1" || cat "$1"; } 2>/dev/null; }

elapsed() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# now_doing LOG: what a step does, by the last line of its log. Where a line is too long, the
# middle is left out: what is done is said at the beginning, and to what at the end.
now_doing() {
	local line
	line=$(tail -n 1 "$1" | tr -d '\r' | tr -s '[:blank:]' ' ')
	line=${line//"$CACHE"\//}
	line=${line//"$TOP"\//}
	[ "${#line}" -le 90 ] || line="${line:0:30} ... ${line: -55}"
	echo "$line"
}

# step LABEL ESTIMATE COMMAND...: run a long step with its output in a log; say
# every PROGRESS seconds (default 20) how long it has run and what it does now. Checkouts
# that share the cache have logs of their own.
step() {
	local label=$1 estimate=$2 log start pid status=0 waited=0
	shift 2
	# For those who want to read it afterwards.
	STEP_LOG=$CACHE/log/$(tr -c 'A-Za-z0-9_.\n-' '-' <<<"$label")-$(key "$TOP").log
	log=$STEP_LOG
	start=$SECONDS
	say "$label (about $estimate; log: $log)"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	# An interrupted make must not leave the step running behind it.
	# shellcheck disable=SC2064
	trap "kill $pid 2>/dev/null; wait $pid 2>/dev/null; exit 130" INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		waited=$((waited + 1))
		if [ $((waited % ${PROGRESS:-20})) -eq 0 ]; then
			say "   $(elapsed $((SECONDS - start))), $(wc -l <"$log") lines: $(now_doing "$log")"
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM
	if [ "$status" -ne 0 ]; then
		tail -n 30 "$log" >&2
		die "$label failed with status $status; the whole log is $log"
	fi
	say "   done in $(elapsed $((SECONDS - start)))"
}

# locked NAME COMMAND...: one build of a product at a time, also between clones
# that share the cache.
locked() {
	local name=$1
	shift
	(
		flock -n 9 || { say "waiting for another build of $name"; flock 9; }
		"$@"
	) 9>"$CACHE/.lock-$name"
}

# retry COMMAND...: mirrors have hiccups; three tries, then the error stands.
retry() {
	local try
	for try in 1 2 3; do
		"$@" && return 0
		echo "try $try of 3 failed: $1" >&2
		sleep $((try * 5))
	done
	return 1
}

# read_archive DIRECTORY: sets OPTIONS, for an apt in the toolchain tree that keeps all it has
# below DIRECTORY, and reads the indexes. The tree's own directories may belong to another
# user id.
read_archive() {
	mkdir -p "$1"/{lists,archives}/partial
	OPTIONS=(-o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1" -o APT::Sandbox::User=root)
	retry apt-get "${OPTIONS[@]}" update
}

# kernel_series: the names of all linux-source-7.* packages, after that.
kernel_series() {
	apt-cache "${OPTIONS[@]}" search --names-only '^linux-source-7\.[0-9]+$' | cut -d' ' -f1
}

# packed_source DEB: the kernel source in such a package, an archive for tar -J.
packed_source() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz'
}
