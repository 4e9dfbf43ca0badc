#pragma once

// BISSL_VECTOR_CLONES before a function: one build serves all processors. The function is compiled
// for AVX2 too, and which of the two runs is chosen at load time, by what the processor can do.
// (arch=NAME in place of a feature asks for processors of that very name.)
//
// A sanitizer's runtime is not up yet when that choice is made. Tests define it themselves.
#if defined(BISSL_VECTOR_CLONES)
#elif defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BISSL_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define BISSL_VECTOR_CLONES
#endif
