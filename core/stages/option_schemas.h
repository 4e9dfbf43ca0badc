#pragma once

#include "pipeline/table.h"
#include "stages/options.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

// What the kinds of stage declare their tables with. Included by the files that define a table.

/// Keys of which a table gives one.
using Group = std::vector<std::string>;
inline const Group length_keys = {"epochs", "steps"};
inline const Group views_keys = {"augment", "views"};

template <class Options>
TableSpec table_of(const Schema<Options>& schema, std::vector<Group> exclusive = {}) {
  TableSpec spec;
  spec.exclusive = std::move(exclusive);
  spec.parameters = schema.specs();
  spec.check = [&schema](const ParameterValues& values) { return schema.check(values); };
  return spec;
}

/// Marks a parameter of a table that inherits from another with own_meaning.
inline void mark_own_meaning(TableSpec& spec, const std::string& parameter) {
  for (ParameterSpec& one : spec.parameters) {
    if (one.name == parameter) {
      one.traits[own_meaning] = true;
    }
  }
}

/// `epochs` or `steps`, to be embedded.
const Schema<LengthOptions>& length_schema();

template <class Options>
ParameterBuilder add_data(Schema<Options>& schema, std::string Options::*member,
                          const std::string& doc) {
  return schema.add("data", member, doc).required().names_data();
}

template <class Options>
void add_batch(Schema<Options>& schema, int64_t Options::*member) {
  schema.add("batch", member, "samples in a batch").at_least(1).unit("samples");
}

template <class Options>
void add_accumulation(Schema<Options>& schema, int64_t Options::*member) {
  schema
      .add("accumulate", member,
           "batches whose gradients are averaged for one step: the effect of that many times "
           "`batch` samples in the memory of one batch. Batch normalisation sees one batch at a "
           "time")
      .at_least(1)
      .at_most(65536)
      .unit("batches");
}

template <class Options>
void add_clipping(Schema<Options>& schema, double Options::*member, double Options::*guard) {
  schema
      .add("max_grad_norm", member,
           "gradients with a larger norm are scaled down to it; 0 leaves them alone")
      .at_least(0);
  schema
      .add("grad_norm_guard", guard,
           "added to the norm by which that divides; PyTorch's clip_grad_norm_ has 1e-6")
      .at_least(0)
      .only_above("max_grad_norm", 0);
}

/// `schedule = { … }`
SubtableSpec schedule_table();

/// `augment`, for stages that see one view of a sample, or as many as the pretext task takes.
AugmentSlot one_view();
AugmentSlot several_views();

/// The components that most tables have.
ComponentSlot pretext_slot();
ComponentSlot downstream_slot();
ComponentSlot optimizer_slot();

}  // namespace bissl::host
