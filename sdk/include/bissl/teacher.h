#pragma once

#include "bissl/backbone.h"
#include "bissl/export.h"

#include <memory>
#include <string>

namespace bissl {

// A second network beside the one that is trained: a teacher, a momentum encoder.

/// Makes all of `backbone` the submodule `name` of `module`: its parameters and buffers, with
/// `name.` in front of their names, are then part of the task's state, and move to devices and
/// precisions with it. `module` keeps the backbone alive. Call it in the factory.
BISSL_API void register_backbone(torch::nn::Module& module, const std::string& name,
                                 const std::shared_ptr<Backbone>& backbone);

/// A step of an exponential moving average: each parameter θ' of `teacher` becomes
/// momentum·θ' + (1 − momentum)·θ, in place and without gradients. `student` has the same
/// parameters in the same order; throws Error(ErrorKind::run) where they are not. Buffers, such as
/// running statistics, are left to the teacher's own forward passes.
BISSL_API void move_average(torch::nn::Module& teacher, const torch::nn::Module& student,
                            double momentum);

}  // namespace bissl
