// The loops of batch normalisation's second derivatives as the oldest processors have them.
#define BISSL_VECTOR_CLONES
#define SUM_RESULTS sum_results_baseline
#define batch_norm_kernels batch_norm_kernels_baseline
#include "sums_results.h"
