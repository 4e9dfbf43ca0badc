// LibTorch's headers for modules and autograd, which cost 12 s a file when they are not
// precompiled. For targets that include them in most files; others compile faster without.
#pragma once

#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>
