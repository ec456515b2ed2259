#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make docs: make the pictures of the documents (SVG) from their sources, text that
# Graphviz reads.
#
#   docs.sh                each picture beside its source
#   docs.sh DIRECTORY      into this directory instead

. "$(dirname "$0")/lib.sh"

PICTURES=$TOP/Documentation/livepatch/pictures
OUT=${1:-$PICTURES}
# The same for all. Texts are measured in the first of them, which is among the widest: where a
# reader has another one, they still fit into their boxes.
FONTS="DejaVu Sans,Verdana,Helvetica,Arial,sans-serif"
# In points: 800 pixels.
WIDEST=600

"$TOP/scripts/toolchain.sh" graphviz fonts-dejavu-core >/dev/null

# The picture itself is all that is taken: what names a version or another host is left out.
draw() {
	local source=$1 messages=$WORK/messages
	"$TOP/scripts/enter" dot -Tsvg -Gfontname="$FONTS" -Nfontname="$FONTS" -Efontname="$FONTS" \
		<"$source" >"$WORK/dot.svg" 2>"$messages" || die "$source: $(cat "$messages")"
	[ ! -s "$messages" ] || die "$source: $(cat "$messages")"
	echo '<?xml version="1.0" encoding="UTF-8"?>'
	echo '<!-- SPDX-License-Identifier: GPL-2.0 -->'
	made_from "$source"
	sed -n '/^<svg /,$p' "$WORK/dot.svg"
}

WORK=$(mktemp -d "$CACHE/tmp/docs.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

for source in "$PICTURES"/*.dot; do
	name=${source##*/}
	name=${name%.dot}
	draw "$source" >"$WORK/$name.svg"
	width=$(sed -n 's/^<svg width="\([0-9]*\)pt".*/\1/p' "$WORK/$name.svg")
	[ "${width:-$((WIDEST + 1))}" -le "$WIDEST" ] ||
		die "$source: the picture is ${width:-?} points wide, more than $WIDEST"
	mv "$WORK/$name.svg" "$OUT/"
done
