#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Results that other harnesses would let pass.

echo "TAP version 13"
echo "1..3"
echo "ok 1 a case that was run"
echo "ok 2 a case that was not # SKIP for lack of something"
echo "ok 3 a case that passes by chance # TODO"
