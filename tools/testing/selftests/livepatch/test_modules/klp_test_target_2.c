// SPDX-License-Identifier: GPL-2.0
#define WHICH 2
#include "klp_test_target_shared.h"
