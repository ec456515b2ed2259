// SPDX-License-Identifier: GPL-2.0
#define WHICH 3
#include "klp_test_target_shared.h"
