# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests of packages, which read this.

# documented ROOT: each command of the klp that is installed there has a manual page of its
# own, and three shells have completions.
documented() {
	local share=$1/usr/share command
	[ -s "$share/man/man1/klp.1.gz" ]
	for command in $("$1/usr/bin/klp" help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' | grep -vx help); do
		[ -s "$share/man/man1/klp-$command.1.gz" ]
	done
	# shellcheck disable=SC2016 # for the shell that reads it
	bash -c '. "$1" && complete -p klp' bash "$share/bash-completion/completions/klp"
	[ -s "$share/zsh/site-functions/_klp" ] && [ -s "$share/fish/vendor_completions.d/klp.fish" ]
}
