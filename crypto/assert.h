/*
 * assert.h - checks of our own reasoning, on in every build.
 *
 * For our own mistakes only: never on bytes from a peer, a disk or a file.
 */
#ifndef ILEA_CRYPTO_ASSERT_H
#define ILEA_CRYPTO_ASSERT_H

_Noreturn void ilea_assert_failed(const char *expression, const char *file, int line);

#define ilea_assert(expression) \
    ((expression) ? (void)0 : ilea_assert_failed(#expression, __FILE__, __LINE__))

#endif
