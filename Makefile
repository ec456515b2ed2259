# SPDX-License-Identifier: GPL-2.0
#
# The front door. `make help` says what there is.

# kbuild reads the file Kbuild instead of this one.

# Both architectures are tested unless one is chosen.
ifeq ($(origin ARCH),undefined)
TEST_ARCHS ?= x86_64 s390
else
TEST_ARCHS ?= $(ARCH)
endif
# A kernel of the user's own is for this machine, unless the user says otherwise.
ifeq ($(KDIR),)
ARCH ?= x86_64
export ARCH
endif

.PHONY: help setup kernel modules demo shell test kselftest kselftest-upstream stress fail-nth \
	fuzz hostile others oracle signatures kernels int3 bench klp-bench check docs docs-test install uninstall deb arch arch-test own-kernel-test packaging-test reboot-test service-test stock-test corpus tutorial tutorial-build build-test clean
.DEFAULT_GOAL := help

help:
	@echo 'livepatch.ko: livepatch support for kernels built without it.'
	@echo
	@echo '  make demo                 boot a kernel in QEMU and patch it while it runs'
	@echo '  make shell                a shell in a guest of that kernel, with livepatch.ko, klp and'
	@echo '                            the patches in PATCH= (.ko files, or directories of such),'
	@echo '                            and other files (FILES=, separated by spaces);'
	@echo '                            with no terminal, commands of standard input (VARIANT=...)'
	@echo '  make test                 everything that is tested, on both architectures; ends'
	@echo '                            with one line of totals (ARCH=... for one of them)'
	@echo
	@echo '  make KDIR=/lib/modules/$$(uname -r)/build'
	@echo '                            livepatch.ko for a kernel of yours, here in this directory'
	@echo '                            (and modules_install, for that kernel)'
	@echo '  make install              klp, what patches are built with, the unit for the boot,'
	@echo '                            sources for DKMS (PREFIX=/usr/local, DESTDIR=, KLP=)'
	@echo '  make uninstall            removes that again'
	@echo '  make deb                  all of that as Debian packages'
	@echo '  make arch                 all of that as packages for Arch Linux'
	@echo
	@echo '  make setup                the toolchain tree, the klp command and the guest'
	@echo '  make kernel               the test kernel       (VARIANT=plain|peer|lockdep|kasan|'
	@echo '                            rt|preempt|modversions|ibt|cfi|oldest-rust|previous|debian|'
	@echo '                            debian-btf|debian-peer)'
	@echo '  make modules              livepatch.ko, samples and test modules for it'
	@echo '  make kselftest            the selftests in QEMU (SCRIPTS="test-...sh ..." for some,'
	@echo '                            CASE=REGEX for the cases whose names match;'
	@echo '                            VARIANT=peer SCRIPTS=test-klp.sh: klp on the C core)'
	@echo '  make kselftest-upstream   the livepatch selftests of the kernel source'
	@echo '                            (PEER=1: on the C core of a kernel that has one)'
	@echo '  make others               livepatches that are made in other ways: by mainline'"'"'s tools, like'
	@echo '                            kpatch-build'"'"'s, by kbuild alone; on livepatch.ko and on the C core'
	@echo '                            (VARIANT=plain|peer for one of them)'
	@echo '  make oracle               what klp build finds in edits of the kernel, beside what objtool does'
	@echo '                            (N=n SEED=s: n of them)'
	@echo '  make stress MINUTES=n     all of that at random (SEED=s; VARIANT=...; DELAYS=1:'
	@echo '                            livepatch.ko sleeps at random where it takes locks;'
	@echo '                            FAULTS=1: some of its allocations fail)'
	@echo '  make fail-nth             each allocation in the life of three patches is made to fail'
	@echo '                            (EVERY=n: each nth)'
	@echo '  make signatures           on a kernel that insists on signed modules'
	@echo '  make fuzz MINUTES=n       fuzz what reads module files, on the host'
	@echo '  make hostile N=n SEED=s   insert n damaged livepatches into the kernel with KASAN'
	@echo '                            (VARIANT=...; PEER=1: the C core; CONTROL=1: neither)'
	@echo '  make kernels              the selftests and mainline'"'"'s on kernels configured in other ways, and'
	@echo '                            on the release before (VARIANT=... for one; CONFIG=file, KSRC=source,'
	@echo '                            LLVM=1: on one of yours)'
	@echo '  make int3 MINUTES=n       whose a breakpoint trap is that nobody claims, in functions that are'
	@echo '                            called while they are patched (ACCEL=tcg,thread=single; DIRECT=N)'
	@echo '  make bench                measure it beside the C core, in instructions (QUICK=1: less;'
	@echo '                            RECORD=1: compare with this from now on; PROFILE=... for'
	@echo '                            one measurement by function, CORE=peer on the C core)'
	@echo '  make klp-bench            time and memory of klp on a large kernel, beside the kernel'"'"'s objtool'
	@echo '  make own-kernel-test      what make KDIR= says and builds, with a headers package'
	@echo '  make packaging-test       the Debian packages: installed, used, removed'
	@echo '  make arch-test            the packages for Arch Linux: installed by pacman, removed'
	@echo '  make reboot-test          installed patches, over reboots of a guest'
	@echo '  make service-test         klp.service, run by systemd'
	@echo '  make stock-test           the stock kernel of Debian 13, as shipped'
	@echo '  make corpus N=n SEED=s    klp build on n fixes that stable kernels have had; what is built is'
	@echo '                            loaded into Debian'"'"'s kernel (VARIANT=...: into that test kernel,'
	@echo '                            with livepatch.ko, which is there for s390 as well)'
	@echo '  make tutorial             what the tutorial says, word for word'
	@echo '  make tutorial-build       the same for that of klp build, on the stock kernel of Debian 13'
	@echo '  make build-test           klp build, on diffs of the test kernel (VARIANT=...)'
	@echo '  make check                formatting, lints, licences, unsafe code, old pictures'
	@echo '  make docs                 the pictures of the documents, from their sources (.dot)'
	@echo '  make docs-test            that the pictures are what make docs makes'
	@echo '  make clean                what was built of this checkout; kernels stay'
	@echo
	@echo 'ARCH=$(ARCH) (x86_64 or s390). Everything is kept in LIVEPATCH_CACHE,'
	@echo 'by default ~/.cache/livepatch-rs; removing it is safe.'

VARIANT ?= plain

ifneq ($(KDIR),)

# A kernel of the user's own, with the user's own tools.
.DEFAULT_GOAL := own
.PHONY: own modules_install
# kbuild hears of these on make's command line only.
own-env := $(foreach tool,RUSTC BINDGEN CC,$(if $(filter command,$(firstword $(origin $(tool)))),,-u $(tool)))
# It does not see that a module's objects are of another configuration, or another kernel's.
own modules:
	@env $(own-env) scripts/check-kernel $(KDIR)
	@[ livepatch.ko -nt $(KDIR)/include/config/auto.conf ] || $(MAKE) --no-print-directory clean
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
modules_install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean

else

modules:
	@tools/testing/modules.sh $(VARIANT) | tr : '\n'

clean:
	@scripts/clean.sh

endif

setup:
	@scripts/toolchain.sh >/dev/null
	@scripts/klp.sh >/dev/null
	@scripts/guest.sh >/dev/null

kernel:
	@scripts/kernel.sh $(VARIANT)

demo:
	@tools/testing/demo.sh

shell:
	@FILES="$(FILES)" tools/testing/shell.sh $(VARIANT) $(PATCH)

test:
	@tools/testing/test.sh $(TEST_ARCHS)

kselftest:
	@modules=$$(tools/testing/modules.sh $(VARIANT)) && MODULES_DIR=$$modules \
		tools/testing/selftests.sh --variant $(VARIANT) $(if $(CASE),--case "$$CASE") $(SCRIPTS)

kselftest-upstream:
	@tools/testing/upstream.sh $(SCRIPTS)

stress:
	@tools/testing/stress.sh

fail-nth:
	@tools/testing/fail-nth.sh

others:
	@tools/testing/others.sh $(if $(filter file,$(origin VARIANT)),,$(VARIANT))

oracle:
	@tools/testing/oracle.sh

signatures:
	@tools/testing/signatures.sh

fuzz:
	@tools/testing/fuzz.sh

# VARIANT is another one by default than elsewhere.
hostile:
	@$(if $(filter file,$(origin VARIANT)),,VARIANT=$(VARIANT)) tools/testing/hostile.sh

kernels:
	@tools/testing/kernels.sh $(if $(filter file,$(origin VARIANT)),,$(VARIANT))

int3:
	@tools/testing/int3.sh

bench:
	@tools/testing/bench.sh

klp-bench:
	@tools/testing/klp-bench.sh

check:
	@scripts/check.sh

docs:
	@scripts/docs.sh

docs-test:
	@tools/testing/docs.sh

install:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" KLP="$(KLP)" scripts/install.sh

uninstall:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install.sh --remove

deb:
	@scripts/deb.sh

arch:
	@scripts/arch.sh

own-kernel-test:
	@tools/testing/own-kernel.sh

arch-test:
	@tools/testing/arch.sh

packaging-test:
	@tools/testing/packaging.sh

reboot-test:
	@tools/testing/reboot.sh

service-test:
	@tools/testing/service.sh

stock-test:
	@tools/testing/stock.sh

corpus:
	@tools/testing/corpus.sh $(if $(filter file,$(origin VARIANT)),,$(VARIANT))

tutorial-build:
	@tools/testing/tutorial-build.sh

build-test:
	@tools/testing/build.sh $(if $(filter file,$(origin VARIANT)),,$(VARIANT))

tutorial:
	@tools/testing/tutorial.sh
