#include "conformance/advice.h"

#include "base/exception_text.h"

#include <initializer_list>
#include <vector>

namespace bissl::host {
namespace {

struct Advice {
  std::vector<const char*> signs;  ///< any of them in the message
  const char* text;
};

const std::vector<Advice>& advices() {
  static const std::vector<Advice> all = {
      {{"same dtype", "scalar type", "dtypes match", "desired output type", "Input type (",
        "must be the same dtype"},
       "In double precision, as audits need it, the host converts what is in module(). So a weight "
       "or buffer is not in module() (register it with register_parameter, register_buffer or "
       "register_module), or a tensor is made in single precision (give it the type of the input: "
       "tensor.options())"},
      {{"modified by an inplace operation"},
       "A tensor that the graph needs was changed in place after its use. Where loss or forward "
       "changes a buffer that the graph reads (a queue, a centre), let the graph have a copy: "
       "clone "
       "it, buffer.clone()"},
      {{"backward through the graph a second time"},
       "The graph is used up: either backward() or grad() is called inside loss or forward (return "
       "the result, the host differentiates it), or a tensor with a graph is kept from an earlier "
       "call (detach() what is kept)"},
      {{"does not require grad"},
       "Gradients are switched off on the way: by requires_grad_(false) on a parameter, by a guard "
       "such as NoGradGuard, or by detach()"},
  };
  return all;
}

}  // namespace

std::string with_advice(const std::string& message) {
  std::string text = without_library_dumps(message);
  for (const Advice& advice : advices()) {
    for (const char* sign : advice.signs) {
      if (text.find(sign) != std::string::npos) {
        return text + ". " + advice.text;
      }
    }
  }
  return text;
}

std::string advice_to_name_a_backbone(const std::string& refusal) {
  return refusal +
         ". Give --backbone NAME (in CMake: bissl_add_conformance_test(NAME --backbone NAME)), the "
         "name of a backbone that has it";
}

}  // namespace bissl::host
