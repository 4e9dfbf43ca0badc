#include "models/attribution.h"

#include "base/exception_text.h"
#include "bissl/error.h"

#include <array>

namespace bissl::host {
namespace {

struct Advice {
  const char* message;  ///< a part of LibTorch's
  const char* advice;
};

constexpr std::array advices = {
    Advice{"does not require grad",
           "The loss must depend on every parameter that is trained through operations that record "
           "gradients: look for requires_grad_(false), detach() or NoGradGuard in the components' "
           "code, and for parameters that are switched off after they were made"},
    Advice{
        "modified by an inplace operation",
        "A tensor that the gradient needs was changed in place: work on a clone() of it, buffers "
        "included"},
    Advice{"backward through the graph a second time",
           "The loss must build its graph anew on each call: keep no tensor with a graph from one "
           "call to the next"},
    Advice{"not enough memory", "Choose a smaller batch"}};

std::string advice_for(const std::string& text) {
  for (const Advice& one : advices) {
    if (text.find(one.message) != std::string::npos) {
      return one.advice;
    }
  }
  return "`bissl conform` with the component's library tests it by itself";
}

}  // namespace

void rethrow_as_gradient_error(const std::string& task, const std::string& backbone) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (...) {
    const std::string text = current_exception_text();
    fail_run("{} with {}, in the gradient of the loss: {}. {}", task, backbone, text,
             advice_for(text));
  }
}

}  // namespace bissl::host
