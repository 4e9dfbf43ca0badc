#pragma once

// BISSL_VECTOR_CLONES before a function: it is compiled for AVX2 too, and which of the two runs is
// chosen at load time, by what the processor can do. A sanitizer's runtime is not up yet then.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BISSL_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define BISSL_VECTOR_CLONES
#endif
