#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/pretext.h"

#include <string>
#include <utility>

namespace bissl::host {

/// Kind, name, library and TOML position of a component that create_guarded made; its kind alone
/// for any other.
std::string describe(const Backbone& backbone);
std::string describe(const Pretext& pretext);
std::string describe(const Downstream& downstream);

/// Turns the exception in flight into an Error(run) that names the task and the backbone that its
/// loss was taken of, and says what to do; an Error, which names its place already, passes.
[[noreturn]] void rethrow_as_gradient_error(const std::string& task, const std::string& backbone);

/// Calls `work`, which takes a task's loss and differentiates it. LibTorch's exceptions, which know
/// no component, come out as rethrow_as_gradient_error makes them.
template <class Task, class Work>
decltype(auto) in_gradient(const Task& task, const Backbone& backbone, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (...) {
    rethrow_as_gradient_error(describe(task), describe(backbone));
  }
}

}  // namespace bissl::host
