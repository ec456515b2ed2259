#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test that the pictures of the documents are what make docs makes, and that documents show
# them.
#
# Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

DOCUMENTS=$TOP/Documentation/livepatch
MADE=$(mktemp -d "$CACHE/tmp/pictures.XXXXXX")
trap 'rm -rf "$MADE"' EXIT

# shown NAME: with a text for those who do not see it.
shown() { cat "$DOCUMENTS"/*.md | tr '\n' ' ' | grep -q "!\[[^]]\+\](pictures/$1)"; }

verdict "make docs makes pictures" "$TOP/scripts/docs.sh" "$MADE"
for picture in "$DOCUMENTS"/pictures/*.svg; do
	name=${picture##*/}
	verdict "$name is what make docs makes" diff "$picture" "$MADE/$name"
	verdict "a document shows $name, and says what is in it" shown "$name"
done
conclude
