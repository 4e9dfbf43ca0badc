// The kernels as processors with AVX2 have them.
#if defined(__x86_64__)
#define BISSL_VECTOR_CLONES __attribute__((target("avx2")))
#else
#define BISSL_VECTOR_CLONES
#endif
#define KERNEL_RESULTS kernel_results_avx2
#define colour_kernels colour_kernels_avx2
#define pixel_kernels pixel_kernels_avx2
#include "kernel_results.h"
