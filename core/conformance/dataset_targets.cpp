// Checks of what a dataset says of its targets, and of the targets themselves.

#include "conformance/dataset_samples.h"
#include "data/target_rules.h"

#include <algorithm>
#include <bit>
#include <map>

namespace bissl::host {
namespace {

std::string summary_of(const TargetSpec& spec) {
  return fmt::format("{} with {} names", counted_targets(spec), spec.names.size());
}

void check_target(const Dataset& dataset, const TargetSpec& spec, int64_t index) {
  const Target target = dataset.target(index);
  if (spec.kind == TargetKind::none) {
    require(target.category == -1 && target.values.empty() && target.mask.pixels == nullptr,
            "targets() says that there are none, but target({}) has one: category {}, {} values; "
            "expected -1 and no values",
            index, target.category, target.values.size());
    return;
  }
  const std::string fault = fault_of(spec, target);
  require(fault.empty(), "target({}) has {}", index, fault);
}

void check_with_image(const Dataset& dataset, const TargetSpec& spec, int64_t index) {
  check_target(dataset, spec, index);
  const Sample sample = dataset.get(index);
  if (spec.kind == TargetKind::mask) {
    const std::string fault = fault_of_mask(spec, sample);
    require(fault.empty(), "sample {} has {}", index, fault);
  }
  const TargetCopy alone = copy_of(dataset.target(index));
  const TargetCopy together = copy_of(sample.target);
  require(alone.category == together.category,
          "target({}).category is {}, get({}).target.category is {}", index, alone.category, index,
          together.category);
  require(alone == together, "target({}) differs from get({}).target", index, index);
}

}  // namespace

TargetCopy copy_of(const Target& target) {
  TargetCopy copy;
  copy.category = target.category;
  for (const float value : target.values) {
    copy.value_bits.push_back(std::bit_cast<uint32_t>(value));
  }
  if (target.mask.pixels != nullptr) {
    copy.mask = target.mask.shape;
    copy.mask_pixels = {target.mask.pixels, target.mask.pixels + target.mask.shape.elements()};
  }
  return copy;
}

void check_declared_targets(const Checker& checker, const Dataset& dataset) {
  const TargetSpec spec = dataset.targets();
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < spec.names.size(); ++i) {
    require(spec.names[i].find_first_not_of(" \t\r\n") != std::string::npos,
            "target {} has an empty name; give each a name that a user can write", i);
    const auto [found, fresh] = places.emplace(spec.names[i], i);
    require(fresh, "targets {} and {} are both called \"{}\"; a name must mean one of them",
            found->second, i, spec.names[i]);
  }
  const std::string fault = fault_of(spec);
  require(fault.empty(), "targets() has a fault: {}", fault);
  const auto require_same = [&](const Dataset& other, const char* when) {
    const TargetSpec now = other.targets();
    require(now == spec,
            "targets() gives another kind, number or order of names {}: {} at first, {} then", when,
            summary_of(spec), summary_of(now));
  };
  require_same(dataset, "at a second call");
  for (const int64_t index : some_indices(dataset.size(), 16)) {
    dataset.get(index);
    dataset.target(index);
    require_same(dataset, "after samples were read");
  }
  const auto second = checker.make<Dataset>();
  require_same(*second, "in a second instance");
  require_same(dataset, "after a second instance was made");
}

void check_targets(const Dataset& dataset) {
  const TargetSpec spec = dataset.targets();
  for (const int64_t index : some_indices(dataset.size(), 64)) {
    check_with_image(dataset, spec, index);
  }
  sweep(dataset.size(), [&](int64_t index) { check_with_image(dataset, spec, index); });
  sweep(dataset.size(), [&](int64_t index) { check_target(dataset, spec, index); });
}

}  // namespace bissl::host
