// SPDX-License-Identifier: GPL-2.0
#define WHICH 1
#include "klp_test_target_shared.h"
