#include "conformance/module_record.h"

#include "conformance/checker.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cstring>

namespace bissl::host {
namespace {

constexpr const char* fixed_when_made =
    "Names, shapes and types of parameters and buffers are fixed when the factory returns, since "
    "checkpoints and later stages copy them by name: register everything there, in its final shape";

std::string mode(bool training) { return training ? "training" : "evaluation"; }

}  // namespace

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) {
    return false;
  }
  const at::Tensor left = a.detach().cpu().contiguous();
  const at::Tensor right = b.detach().cpu().contiguous();
  return left.numel() == 0 || std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0;
}

std::vector<ModuleRecord::Entry> ModuleRecord::entries_of(const torch::nn::Module& module) {
  std::vector<Entry> entries;
  const auto add = [&](const std::string& name, const at::Tensor& tensor, bool is_parameter) {
    if (!tensor.defined()) {
      return;
    }
    const at::Tensor gradient = tensor.is_leaf() ? tensor.grad() : at::Tensor();
    entries.push_back({.name = name,
                       .tensor = tensor,
                       .value = tensor.detach().clone(),
                       .gradient = gradient.defined() ? gradient.detach().clone() : at::Tensor(),
                       .is_parameter = is_parameter,
                       .trains = tensor.requires_grad(),
                       .shape = tensor.sizes().vec(),
                       .type = tensor.scalar_type()});
  };
  for (const auto& entry : module.named_parameters()) {
    add(entry.key(), entry.value(), true);
  }
  for (const auto& entry : module.named_buffers()) {
    add(entry.key(), entry.value(), false);
  }
  return entries;
}

std::vector<std::pair<std::string, bool>> ModuleRecord::modes_of(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, bool>> modes = {{"", module.is_training()}};
  // Without the module itself, which need not be held by a shared pointer.
  for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
    modes.emplace_back(entry.key(), entry.value()->is_training());
  }
  return modes;
}

ModuleRecord::ModuleRecord(const torch::nn::Module& module, std::string whose)
    : module_(module),
      whose_(std::move(whose)),
      entries_(entries_of(module)),
      modes_(modes_of(module)) {}

void ModuleRecord::require_same_structure(const torch::nn::Module& other,
                                          const std::string& where) const {
  const std::vector<Entry> now = entries_of(other);
  const auto find = [](const std::vector<Entry>& entries, const Entry& wanted) {
    return std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
      return entry.name == wanted.name && entry.is_parameter == wanted.is_parameter;
    });
  };
  const auto kind = [](const Entry& entry) { return entry.is_parameter ? "parameter" : "buffer"; };
  for (const Entry& entry : now) {
    require(find(entries_, entry) != entries_.end(),
            "{} has a new {} \"{}\" {}, which it had not when the factory returned. {}", whose_,
            kind(entry), entry.name, where, fixed_when_made);
  }
  for (const Entry& entry : entries_) {
    const auto found = find(now, entry);
    require(found != now.end(),
            "{} has no {} \"{}\" {}, which it had when the factory returned. {}", whose_,
            kind(entry), entry.name, where, fixed_when_made);
    require(found->shape == entry.shape,
            "\"{}\" of {} has shape [{}] {}, and [{}] when the factory returned. {}", entry.name,
            whose_, fmt::join(found->shape, ", "), where, fmt::join(entry.shape, ", "),
            fixed_when_made);
    require(found->type == entry.type,
            "\"{}\" of {} is of type {} {}, and {} when the factory returned. {}", entry.name,
            whose_, c10::toString(found->type), where, c10::toString(entry.type), fixed_when_made);
  }
  for (size_t i = 0; i < now.size(); ++i) {
    require(now[i].name == entries_[i].name,
            "\"{}\" of {} is at place {} {}, where \"{}\" was when the factory returned. {}",
            now[i].name, whose_, i, where, entries_[i].name, fixed_when_made);
  }
}

void ModuleRecord::require_same_tensors(const std::string& call) const {
  const std::vector<Entry> now = entries_of(module_);
  for (const Entry& entry : entries_) {
    const auto found = std::find_if(now.begin(), now.end(),
                                    [&](const Entry& other) { return other.name == entry.name; });
    if (found == now.end()) {
      continue;
    }
    require(found->tensor.is_same(entry.tensor),
            "{} puts another tensor into the place of \"{}\" of {}. Optimizer and host hold the "
            "first one: change that in place, without gradients (copy_, mul_, add_)",
            call, entry.name, whose_);
    require(found->trains == entry.trains,
            "{} switches requires_grad of \"{}\" of {} {}: leave that as the factory made it", call,
            entry.name, whose_, found->trains ? "on" : "off");
  }
}

void ModuleRecord::require_same_values(Part part, const std::string& call) const {
  for (const Entry& entry : entries_) {
    const bool concerned = part == Part::all || (part == Part::parameters && entry.is_parameter) ||
                           (part == Part::trainable && entry.trains);
    require(!concerned || same_bits(entry.tensor, entry.value),
            "{} changes the {} \"{}\" of {}, which is not {} to change", call,
            entry.is_parameter ? "parameter" : "buffer", entry.name, whose_,
            call == "after_step" ? "after_step's" : "its");
  }
}

void ModuleRecord::require_same_modes(const std::string& call) const {
  const auto now = modes_of(module_);
  for (const auto& [name, training] : modes_) {
    const auto found = std::find_if(
        now.begin(), now.end(), [&, &key = name](const auto& entry) { return entry.first == key; });
    require(found == now.end() || found->second == training,
            "{} leaves {}{} in {} mode; it was in {} mode before. Put it back: train(…) with what "
            "is_training() said",
            call, whose_, name.empty() ? "" : " (" + name + ")",
            found == now.end() ? "" : mode(found->second), mode(training));
  }
}

void ModuleRecord::require_same_gradients(const std::string& call) const {
  for (const Entry& entry : entries_) {
    const at::Tensor gradient = entry.tensor.is_leaf() ? entry.tensor.grad() : at::Tensor();
    const bool same = gradient.defined() == entry.gradient.defined() &&
                      (!gradient.defined() || same_bits(gradient, entry.gradient));
    require(
        same || !gradient.defined(),
        "{} adds to the gradient of \"{}\" of {}, as backward() does. Return the loss, the host "
        "differentiates it; gradients of your own come from torch::autograd::grad",
        call, entry.name, whose_);
  }
}

void require_no_nan(const torch::nn::Module& module, const std::string& whose,
                    const std::string& when) {
  const c10::NoGradGuard no_grad;
  for (const auto& entry : module.named_parameters()) {
    const bool real = entry.value().is_floating_point();
    require(!real || all_finite({entry.value()}), "the parameter \"{}\" of {} is not finite {}",
            entry.key(), whose, when);
  }
  for (const auto& entry : module.named_buffers()) {
    const bool real = entry.value().is_floating_point();
    require(!real || !at::isnan(entry.value()).any().item<bool>(),
            "the buffer \"{}\" of {} holds NaN {}", entry.key(), whose, when);
  }
}

}  // namespace bissl::host
