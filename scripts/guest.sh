#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make the root that the test kernels of $ARCH boot into, as an uncompressed
# cpio archive, and print its path.
#
#   guest.sh             what the tests call, and no more
#   guest.sh systemd     the same with systemd
#
# The packages are unpacked, not installed: nothing of the guest's architecture
# runs here, and a user namespace with a single user id is enough.

. "$(dirname "$0")/lib.sh"

# The index of an architecture is at times out of step on a mirror: the release
# before serves as well.
SUITES=(trixie bookworm)
PACKAGES=(
	bash dash coreutils gawk sed grep diffutils findutils
	util-linux mount procps kmod libc-bin gzip xz-utils
)
# What the tests call; the root is not accepted without any of it.
COMMANDS=(
	sh bash awk gawk sed grep diff find xargs getconf
	cat cp dd head ls mkdir mktemp mv od readlink rm seq sleep sort sync tail
	tee timeout tr uname wc
	dmesg mount umount setsid taskset stty ps pgrep pkill sysctl
	insmod rmmod modprobe lsmod modinfo depmod gzip xz
)
# Dependencies of package scripts, of logins and of services: not in a root
# where none of these is run.
LEFT_OUT='^(perl-base|debconf|init-system-helpers|readline-common|base-files|libpam.*|libdb5\.3.*|libaudit.*|liblastlog2.*|libsqlite3.*|openssl-provider-legacy|gcc-.*-base|libxxhash0)_'
# Each boot unpacks every byte, on an emulated CPU.
EXCLUDE=(
	'./usr/share/*' './usr/lib/locale/*' './usr/lib/*/gconv' './usr/lib/*/engines-3'
	'./usr/lib/*/ossl-modules' './usr/lib/systemd' './usr/lib/udev' './usr/lib/tmpfiles.d'
	'./usr/lib/*/security' './usr/lib/*/gawk' './usr/lib/*/audit' './usr/lib/terminfo' './etc/*' './var/*'
	'./usr/include' './usr/sbin/ldconfig' './usr/bin/localedef' './usr/lib/*/libmvec.so*' './usr/lib/*/libnsl.so*'
)

FLAVOUR=${1:-plain}
case $FLAVOUR in
plain) ;;
systemd)
	PACKAGES+=(systemd)
	COMMANDS+=(systemctl journalctl)
	LEFT_OUT='^(perl-base|debconf|init-system-helpers|readline-common|base-files|gcc-.*-base|libxxhash0)_'
	EXCLUDE=("${EXCLUDE[@]/#.\/usr\/lib\/systemd/./usr/lib/systemd/catalog}")
	;;
*) die "there is no guest with '$FLAVOUR'" ;;
esac
OUT=$CACHE/guest/$ARCH-$FLAVOUR-$(key "$0" "$("$TOP/scripts/toolchain.sh")").cpio

# fetch_suite DIRECTORY MIRROR SUITE: the packages and what they depend on. The
# tree's own apt knows another architecture, and its directories may not be ours
# to write.
fetch_suite() {
	local apt=$1 mirror=$2 suite=$3 arch
	arch=$(debian_arch)
	local options=(
		-o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
		-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any
	)
	rm -rf "$apt/lists" "$apt/archives"
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"
	retry apt-get "${options[@]}" update &&
		retry apt-get "${options[@]}" install --yes --download-only "${PACKAGES[@]}"
}

# fetch DIRECTORY MIRROR
fetch() {
	local suite
	for suite in "${SUITES[@]}"; do
		fetch_suite "$1" "$2" "$suite" && return
		echo "the packages of $suite for $(debian_arch) cannot be had"
	done
	die "the mirror offers no packages for $(debian_arch) (is it being synchronised?): try again later, or set MIRROR="
}

# prune ROOT: remove the programs and libraries that miss a library, until none
# does.
prune() {
	local root=$1 file needed missing again=1
	while [ "$again" -eq 1 ]; do
		again=0
		find "$root/usr/lib" -name '*.so*' -printf '%f\n' | sort -u >"$root.libraries"
		while read -r file; do
			# A script is no ELF file: it needs nothing.
			needed=$({ readelf -dW "$file" 2>/dev/null || true; } | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
			missing=$(comm -23 <(echo "$needed") "$root.libraries" | xargs)
			[ -n "$missing" ] || continue
			echo "left out: ${file#"$root"} (needs $missing)"
			rm "$file"
			again=1
		done < <(find "$root/usr" -type f \( -path '*/bin/*' -o -path '*/sbin/*' -o -name '*.so*' \))
	done
	rm "$root.libraries"
	find "$root/usr" -xtype l -delete
}

pack() {
	local mirror=$1 work=$CACHE/tmp/guest-$ARCH-$FLAVOUR command deb link exclude=() pattern
	local root=$work/root
	rm -rf "$root"
	mkdir -p "$root"/{dev,proc,sys,run,tmp,root,etc,usr/{bin,sbin,lib,lib64},var/tmp}
	# Debian's merged /usr: these links come from base-files.
	for link in bin sbin lib lib64; do
		ln -s "usr/$link" "$root/$link"
	done
	fetch "$work" "$mirror"
	for pattern in "${EXCLUDE[@]}"; do
		exclude+=("--exclude=$pattern")
	done
	for deb in "$work"/archives/*.deb; do
		[[ ! ${deb##*/} =~ $LEFT_OUT ]] || continue
		# Some files belong to groups that a user namespace lacks.
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x --no-same-owner --keep-directory-symlink "${exclude[@]}" -C "$root"
	done
	# Both links are the work of maintainer scripts, which do not run.
	ln -sf gawk "$root/usr/bin/awk"
	ln -sf dash "$root/usr/bin/sh"
	echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	prune "$root"
	for command in "${COMMANDS[@]}"; do
		[ -e "$root/usr/bin/$command" ] || [ -e "$root/usr/sbin/$command" ] ||
			die "the guest's root lacks $command"
	done
	mkdir -p "$CACHE/guest"
	(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) >"$OUT.part"
	mv "$OUT.part" "$OUT"
	rm -rf "$work"
}

make_guest() {
	local mirror
	[ -e "$OUT" ] && return
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || die "apt names no Debian mirror (run apt-get update, or set MIRROR=)"
	step "guest root for $ARCH, $FLAVOUR" "30 s" "$TOP/scripts/enter" "$0" "$FLAVOUR" --pack "$mirror"
}

case "${2:-}" in
--pack) pack "$3" ;;
*)
	[ -e "$OUT" ] || locked "guest-$ARCH-$FLAVOUR" make_guest
	echo "$OUT"
	;;
esac
