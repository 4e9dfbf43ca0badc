// The kernels as the oldest processors have them.
#define BISSL_VECTOR_CLONES
#define KERNEL_RESULTS kernel_results_baseline
#define colour_kernels colour_kernels_baseline
#define pixel_kernels pixel_kernels_baseline
#include "kernel_results.h"
