/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen translates for rust/authors/bindings.rs: the livepatch API. */
#include <linux/livepatch.h>
