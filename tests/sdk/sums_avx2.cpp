// The loops of batch normalisation's second derivatives as processors with AVX2 have them.
#if defined(__x86_64__)
#define BISSL_VECTOR_CLONES __attribute__((target("avx2")))
#else
#define BISSL_VECTOR_CLONES
#endif
#define SUM_RESULTS sum_results_avx2
#define batch_norm_kernels batch_norm_kernels_avx2
#include "sums_results.h"
