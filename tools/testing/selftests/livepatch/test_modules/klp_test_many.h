/* SPDX-License-Identifier: GPL-2.0 */
/* More functions than livepatch.ko has trampolines. */
#ifndef KLP_TEST_MANY_H
#define KLP_TEST_MANY_H

/* What a patched function returns more than before. */
#define MORE 10000

#define TEN(what, n)                                                     \
	what(n##0) what(n##1) what(n##2) what(n##3) what(n##4) what(n##5) \
	what(n##6) what(n##7) what(n##8) what(n##9)
#define HUNDRED(what, n)                                                       \
	TEN(what, n##0) TEN(what, n##1) TEN(what, n##2) TEN(what, n##3)         \
	TEN(what, n##4) TEN(what, n##5) TEN(what, n##6) TEN(what, n##7)         \
	TEN(what, n##8) TEN(what, n##9)

/* what(1000) to what(2099) */
#define MANY(what)                                                             \
	HUNDRED(what, 10) HUNDRED(what, 11) HUNDRED(what, 12) HUNDRED(what, 13) \
	HUNDRED(what, 14) HUNDRED(what, 15) HUNDRED(what, 16) HUNDRED(what, 17) \
	HUNDRED(what, 18) HUNDRED(what, 19) HUNDRED(what, 20)

#endif
