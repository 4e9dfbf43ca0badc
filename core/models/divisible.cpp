#include "bissl/error.h"
#include "models/batch_statistics.h"
#include "models/divided.h"

#include <torch/nn/modules/batchnorm.h>

namespace bissl::host {

std::optional<OtherNormalisation> other_normalisation(const torch::nn::Module& backbone) {
  for (const auto& entry : backbone.named_modules("", /*include_self=*/false)) {
    const torch::nn::Module* const module = entry.value().get();
    if (dynamic_cast<const torch::nn::BatchNorm1dImpl*>(module) != nullptr ||
        dynamic_cast<const torch::nn::BatchNorm2dImpl*>(module) != nullptr ||
        dynamic_cast<const torch::nn::BatchNorm3dImpl*>(module) != nullptr) {
      return OtherNormalisation{entry.key(), module->name()};
    }
  }
  return std::nullopt;
}

void require_divisible(torch::nn::Module& backbone, const std::string& name) {
  if (!batches_are_divided() || batch_statistics() == BatchStatistics::local) {
    return;
  }
  if (const auto other = other_normalisation(backbone)) {
    fail_input(
        "{}: its module {} is a {}, whose statistics would be those of each process's part of a "
        "batch. Build it with bissl::BatchNorm (bissl/modules.h), run on one process, or set "
        "batch_norm = \"local\" in the stage",
        name, other->module, other->type);
  }
}

}  // namespace bissl::host
