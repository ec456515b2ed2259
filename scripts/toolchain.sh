#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make the toolchain tree: a Debian 13 root that holds compilers, Rust, bindgen
# and QEMU, whatever the host is. Prints the tree's path.
#
#   toolchain.sh [PACKAGE...]     with these packages too, which few have a use for
#   toolchain.sh --suite-rust     with Debian 13's own Rust compiler too, beside the newer one,
#                                 for x86_64 alone

. "$(dirname "$0")/lib.sh"

SUITE=trixie

# From the suite itself.
BASE_PACKAGES=(
	make bc flex bison gcc libc6-dev libelf-dev libssl-dev pahole cpio kmod
	python3 xz-utils zstd gzip perl rsync file ca-certificates
	gcc-s390x-linux-gnu libc6-dev-s390x-cross
	bindgen clang lld llvm libclang-dev
	qemu-system-x86 qemu-system-s390x
	mmdebstrap debian-archive-keyring
	shellcheck git gawk
)
# From its backports: s390 needs rustc 1.96 or newer.
BACKPORT_PACKAGES=(rustc cargo rust-src rustfmt rust-clippy)

# In the tree, where one user id may be all that there is.
APT=(apt-get -q -o APT::Sandbox::User=root)

TREE=$CACHE/toolchain/$(key "$SUITE ${BASE_PACKAGES[*]} ${BACKPORT_PACKAGES[*]}")

# mmdebstrap is one Perl script: where root cannot install it, unpack it.
find_mmdebstrap() {
	if command -v mmdebstrap >/dev/null; then
		command -v mmdebstrap
		return
	fi
	if [ "$(id -u)" -eq 0 ]; then
		{ retry apt-get update -qq && retry apt-get install -y -qq --no-install-recommends mmdebstrap; } >&2 ||
			die "apt-get could not install mmdebstrap"
		command -v mmdebstrap
		return
	fi
	local dir=$CACHE/tmp/mmdebstrap
	mkdir -p "$dir"
	(cd "$dir" && retry apt-get download mmdebstrap >&2 && dpkg-deb -x mmdebstrap_*.deb .) ||
		die "mmdebstrap is missing: ask an administrator for 'apt-get install mmdebstrap uidmap'"
	echo "$dir/usr/bin/mmdebstrap"
}

check_host() {
	command -v apt-get >/dev/null || die "no apt-get here: the toolchain comes as Debian packages (any Debian or derivative will do)"
	[ "$(id -u)" -eq 0 ] && return
	unshare --user --map-root-user --mount true 2>/dev/null ||
		die "not root, and this system allows no user namespaces: run as root, or ask for kernel.unprivileged_userns_clone=1"
	{ command -v newuidmap && grep "^$(id -un):" /etc/subuid; } >/dev/null 2>&1 ||
		die "not root, and newuidmap or a line for $(id -un) in /etc/subuid is missing: ask for 'apt-get install uidmap'"
}

build() {
	local mirror tool mode backports
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || die "apt names no Debian mirror (run apt-get update, or set MIRROR=)"
	tool=$(find_mmdebstrap)
	mode=$([ "$(id -u)" -eq 0 ] && echo root || echo unshare)
	backports="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $SUITE-backports main"
	mkdir -p "$CACHE/toolchain"
	[ "$mode" = root ] || chmod a+x "$CACHE" "$CACHE/toolchain" "$CACHE/tmp"
	# shellcheck disable=SC2016 # $1 is for the shell that runs the hook
	retry "$tool" --mode="$mode" --variant=apt --format=directory \
		--aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$(IFS=,; echo "${BASE_PACKAGES[*]}")" \
		--customize-hook="echo '$backports' > \"\$1/etc/apt/sources.list.d/backports.list\"" \
		--customize-hook='chroot "$1" apt-get update' \
		--customize-hook="chroot \"\$1\" apt-get install -y -t $SUITE-backports ${BACKPORT_PACKAGES[*]}" \
		"$SUITE" "$TREE.part" "$mirror"
}

make_tree() {
	[ -e "$TREE.done" ] && return
	check_host
	rm -rf "$TREE.part" 2>/dev/null || die "cannot remove what an interrupted run left in $TREE.part"
	step "toolchain tree" "2 min" build
	mv "$TREE.part" "$TREE"
	touch "$TREE.done"
}

install_packages() {
	local apt=("$TOP/scripts/enter" "${APT[@]}")
	retry "${apt[@]}" update && retry "${apt[@]}" install --yes --no-install-recommends "$@"
}

# is_installed PACKAGE: in the tree, and not only half.
is_installed() {
	# shellcheck disable=SC2016 # dpkg-query fills it in
	[ "$(dpkg-query --admindir="$TREE/var/lib/dpkg" -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

add_packages() {
	local package missing=()
	for package; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] || step "toolchain tree: ${missing[*]}" "20 s" install_packages "${missing[@]}"
}

# The compiler finds its libraries from where it lies itself.
unpack_suite_rust() {
	# shellcheck disable=SC2016 # the shell in the tree fills it in
	retry "$TOP/scripts/enter" bash -euc '
		suite=$1 to=$2
		apt=("${@:3}")
		dir=$(mktemp -d)
		trap "rm -rf $dir" EXIT
		cd "$dir"
		"${apt[@]}" update
		version=$(apt-cache show "rustc/$suite" | sed -n "s/^Version: //p")
		series=$(cut -d. -f1,2 <<<"$version")
		"${apt[@]}" download \
			"rustc=$version" "libstd-rust-$series=$version" "libstd-rust-dev=$version" "rust-src=$version"
		rm -rf "$to"
		mkdir -p "$to"
		for package in ./*.deb; do dpkg-deb -x "$package" "$to"; done
		{
			echo "#!/bin/sh"
			echo "exec env LD_LIBRARY_PATH=$to/usr/lib/x86_64-linux-gnu $to/usr/bin/rustc \"\$@\""
		} >"$to/rustc"
		chmod +x "$to/rustc"
		"$to/rustc" --version
	' - "$SUITE" "$(dirname "$SUITE_RUSTC")" "${APT[@]}"
}

add_suite_rust() {
	[ -x "$TREE$SUITE_RUSTC" ] || step "toolchain tree: Debian 13's own Rust" "1 min" unpack_suite_rust
}

[ -e "$TREE.done" ] || locked toolchain make_tree
if [ "${1:-}" = --suite-rust ]; then
	shift
	locked toolchain add_suite_rust
fi
[ $# -eq 0 ] || locked toolchain add_packages "$@"
echo "$TREE"
