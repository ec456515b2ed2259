#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test which files scripts/check.sh looks at, and that it finds a missing license
# line and an old picture: on a checkout that is made for it.

. "$(dirname "$0")/../lib.sh"

WORK=$(mktemp -d "$CACHE/tmp/check-files.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

mkdir -p "$WORK/scripts" "$WORK/rust" "$WORK/data"
cp "$TOP/scripts/check.sh" "$TOP/scripts/lib.sh" "$WORK/scripts/"
cd "$WORK"
git init -q .

license="SPDX-License-Identifier: GPL-2.0"
printf '// %s\n' "$license" | tee rust/a.rs rust/b.c >/dev/null
printf '#!/bin/sh\n# %s\n' "$license" >plain
printf '#!/usr/bin/env bash\n# %s\n' "$license" >"env"
printf '#!/usr/bin/python3\n# %s\n' "$license" >python
printf '# %s\n' "$license" >sourced.sh
printf '// %s\n' "$license" >picture.dot
{
	printf '<!-- %s -->\n' "$license"
	made_from picture.dot
} >picture.svg
printf '\177ELF\0\1\2' >data/binary
printf 'no script\n' >data/text
: >data/empty
printf 'ignored.rs\n' >.git/info/exclude
: >ignored.rs
: >deleted.rs
git add deleted.rs
rm deleted.rs

status=0
complain() {
	echo "$*"
	status=1
}

wanted="licensed env
licensed picture.dot
licensed picture.svg
licensed plain
licensed python
licensed rust/a.rs
licensed rust/b.c
licensed scripts/check.sh
licensed scripts/lib.sh
licensed sourced.sh
rust rust/a.rs
shell env
shell plain
shell scripts/check.sh
shell scripts/lib.sh
shell sourced.sh"
got=$(scripts/check.sh --list | LC_ALL=C sort)
[ "$got" = "$wanted" ] || complain "the files to check are not as expected:
$(diff <(echo "$wanted") <(echo "$got"))"

# spdx: the check by itself; it needs no toolchain.
ln -s "$TOP/scripts/toolchain.sh" scripts/toolchain.sh
echo scripts/toolchain.sh >>.git/info/exclude
scripts/check.sh spdx >/dev/null || complain "licensed files are said to lack a license"
for file in env picture.dot picture.svg plain python rust/a.rs rust/b.c sourced.sh; do
	cp "$file" "$WORK/kept"
	sed -i '/SPDX/d' "$file"
	output=$(scripts/check.sh spdx) && complain "spdx does not see that $file has no license"
	grep -q "$file: no SPDX" <<<"$output" || complain "spdx does not name $file"
	mv "$WORK/kept" "$file"
done

# pictures: they are compared with their sources; that needs no toolchain either.
scripts/check.sh pictures >/dev/null || complain "a picture is said to be old"
echo '// changed' >>picture.dot
output=$(scripts/check.sh pictures) && complain "pictures does not see that a source has changed"
grep -q "picture.svg: not made from picture.dot" <<<"$output" || complain "pictures does not name the old picture"
for file in picture.dot picture.svg; do
	mv "$file" "$WORK/kept"
	output=$(scripts/check.sh pictures) && complain "pictures does not see that $file is missing"
	grep -q "there is no $file" <<<"$output" || complain "pictures does not name $file"
	mv "$WORK/kept" "$file"
done
exit "$status"
