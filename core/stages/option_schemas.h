#pragma once

#include "pipeline/table.h"
#include "stages/options.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

// What the kinds of stage declare their tables with. Included by the files that define a table.

/// Keys of which a table gives one.
using Group = std::vector<std::string>;
inline const Group length_keys = {"epochs", "steps"};

template <class Options>
TableSpec table_of(const Schema<Options>& schema, std::vector<Group> exclusive = {}) {
  TableSpec spec;
  spec.exclusive = std::move(exclusive);
  spec.parameters = schema.specs();
  spec.check = [&schema](const ParameterValues& values) { return schema.check(values); };
  return spec;
}

/// Schema members must belong to the aggregate itself, so lengths are bound through this base.
template <class Options>
struct WithLength : Options {
  std::optional<double> epochs;
  std::optional<int64_t> steps;
};

template <class Options>
Options with_length(const WithLength<Options>& flat) {
  Options options = flat;
  options.length = {flat.epochs, flat.steps};
  return options;
}

template <class Options>
void add_length(Schema<WithLength<Options>>& schema) {
  using Flat = WithLength<Options>;
  schema.add("epochs", &Flat::epochs, "passes over the data (or give steps)")
      .more_than(0)
      .unit("epochs");
  schema.add("steps", &Flat::steps, "optimizer steps (or give epochs)").at_least(1).unit("steps");
  schema.rule([](const Flat& options, std::vector<Finding>& findings) {
    if (options.epochs.has_value() == options.steps.has_value()) {
      findings.push_back({Finding::Severity::error, "epochs",
                          options.epochs ? "epochs and steps are both given; give one of them"
                                         : "give either epochs or steps"});
    }
  });
}

template <class Options>
ParameterBuilder add_data(Schema<Options>& schema, std::string Options::*member,
                          const std::string& doc) {
  return schema.add("data", member, doc).required();
}

/// For aggregates that are bound through WithLength.
template <class Flat, class Options, class T>
T Flat::*flat(T Options::*member) {
  return member;
}

template <class Options>
void add_batch(Schema<Options>& schema, int64_t Options::*member) {
  schema.add("batch", member, "samples in a step").at_least(1).unit("samples");
}

template <class Options>
void add_clipping(Schema<Options>& schema, double Options::*member) {
  schema
      .add("max_grad_norm", member,
           "gradients with a larger norm are scaled down to it; 0 leaves them alone")
      .at_least(0);
}

/// `schedule = { … }`
SubtableSpec schedule_table();

/// The components that most tables have.
ComponentSlot augment_slot();
ComponentSlot pretext_slot();
ComponentSlot downstream_slot();
ComponentSlot optimizer_slot();

}  // namespace bissl
