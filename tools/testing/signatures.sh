#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# On a kernel that insists on signed modules: which livepatches are loaded, and which
# not. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

# sign OUT KOBJ FILE...: in the tree. Signed copies, and copies with each thing wrong.
sign() {
	local file name out=$1 kobj=$2
	shift 2
	rm -rf "$out"
	mkdir -p "$out"
	openssl req -new -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -subj /CN=foreign \
		-keyout "$out/foreign.pem" -out "$out/foreign.x509" -outform DER
	for file; do
		name=$(basename "$file" .ko)
		cp "$file" "$out/$name-unsigned.ko"
		"$kobj/scripts/sign-file" sha256 "$kobj/certs/signing_key.pem" \
			"$kobj/certs/signing_key.x509" "$file" "$out/$name.ko"
		"$kobj/scripts/sign-file" sha256 "$out/foreign.pem" "$out/foreign.x509" \
			"$file" "$out/$name-foreign.ko"
		# One byte of the module itself.
		python3 - "$out/$name.ko" "$out/$name-changed.ko" <<-'END'
			import sys
			data = bytearray(open(sys.argv[1], "rb").read())
			data[data.index(b"license=GPL") + 9] ^= 0x20
			open(sys.argv[2], "wb").write(data)
		END
	done
	rm "$out/foreign.pem" "$out/foreign.x509"
}

if [ "${1:-}" = --sign ]; then
	sign "${@:2}"
	exit
fi

VARIANT=lockdep
MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
OUT=${MODULES_DIR%%:*}
KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
step "signed modules" "1 s" "$TOP/scripts/enter" "$0" --sign "$OUT/signed" "$KOBJ" \
	"$OUT/livepatch.ko" "$OUT/samples/cmdline/livepatch-cmdline.ko"
MODULES_DIR=$OUT/signed "$TOP/tools/testing/selftests.sh" --variant "$VARIANT" \
	--append module.sig_enforce=1 --tests "$TOP/tools/testing/selftests/signatures" "$@"
