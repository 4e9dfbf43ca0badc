#include "data/selection.h"

#include "bissl/error.h"
#include "bissl/random.h"
#include "data/target_rules.h"
#include "plugins/guard.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace bissl::host {
namespace {

Schema<SelectionOptions> make_schema() {
  Schema<SelectionOptions> schema;
  schema.add("classes", &SelectionOptions::classes,
             "classes to keep, by name or number, in their new order; empty keeps all. Of "
             "multi-label targets the labels to keep, for all samples");
  schema
      .add("per_class", &SelectionOptions::per_class,
           "samples to keep of each class, chosen at random; unset keeps all")
      .at_least(1)
      .unit("samples");
  schema
      .add("skip_per_class", &SelectionOptions::skip_per_class,
           "samples of each class to leave out first, in the order in which per_class takes them: "
           "with the same subset_seed, what one source keeps and another skips are disjoint")
      .at_least(0)
      .unit("samples");
  schema
      .add("limit", &SelectionOptions::limit,
           "samples to keep in all, chosen at random; unset keeps all")
      .at_least(1)
      .unit("samples");
  schema
      .add("subset_seed", &SelectionOptions::subset_seed,
           "seed of the random choice, apart from the pipeline's")
      .at_least(0)
      .only_with_any({"per_class", "skip_per_class", "limit"});
  constexpr int64_t largest_side = 16384;
  schema
      .add("cache_pixels", &SelectionOptions::cache,
           "keep the decoded images in a file, each reduced until its shorter side has at most so "
           "many pixels; unset decodes them at each use")
      .at_least(1)
      .at_most(largest_side)
      .unit("pixels");
  return schema;
}

/// The place that `text` names, as a class name or a number, or −1.
int64_t find_class(const std::vector<std::string>& names, const std::string& text) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) {
    return found - names.begin();
  }
  int64_t number = -1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const bool valid = error == std::errc() && rest == end && number >= 0 &&
                     number < static_cast<int64_t>(names.size());
  return valid ? number : -1;
}

/// `count` of the `candidates`, in ascending order; not the first `skip` that would be drawn.
std::vector<int64_t> draw(RandomStream stream, const std::vector<int64_t>& candidates,
                          int64_t count, int64_t skip = 0) {
  std::vector<int64_t> drawn;
  const std::vector<int64_t> order = permutation(stream, static_cast<int64_t>(candidates.size()));
  for (int64_t i = skip; i < skip + count; ++i) {
    drawn.push_back(candidates[order[i]]);
  }
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

}  // namespace

const Schema<SelectionOptions>& selection_schema() {
  static const Schema<SelectionOptions> schema = make_schema();
  return schema;
}

TableSpec selection_spec() {
  TableSpec spec;
  spec.parameters = selection_schema().specs();
  spec.check = [](const ParameterValues& values) { return selection_schema().check(values); };
  return spec;
}

DataView::DataView(std::shared_ptr<const Dataset> dataset, const SelectionOptions& selection)
    : dataset_(std::move(dataset)), all_targets_(dataset_->targets()), targets_(all_targets_) {
  if (const std::string fault = fault_of(all_targets_); !fault.empty()) {
    fail_input("the dataset declares its targets with a fault: {}", fault);
  }
  refuse_what_has_no_meaning(selection);
  indices_.resize(static_cast<size_t>(dataset_->size()));
  std::iota(indices_.begin(), indices_.end(), 0);
  place_of_.resize(static_cast<size_t>(all_targets_.width));
  std::iota(place_of_.begin(), place_of_.end(), 0);
  look_at_targets();
  if (!selection.classes.empty()) {
    choose_classes(selection.classes);
  }
  if (selection.per_class.has_value() || selection.skip_per_class > 0) {
    choose_per_class(selection);
  }
  if (selection.limit) {
    if (*selection.limit > size()) {
      fail_input("limit = {}, but there are only {} samples", *selection.limit, size());
    }
    indices_ = draw(RandomStream(static_cast<uint64_t>(selection.subset_seed), "data/limit"),
                    indices_, *selection.limit);
  }
  if (indices_.empty()) {
    fail_input("no samples are left");
  }
}

void DataView::refuse_what_has_no_meaning(const SelectionOptions& selection) const {
  const bool by_class = selection.per_class.has_value() || selection.skip_per_class > 0;
  const TargetKind kind = all_targets_.kind;
  if (kind == TargetKind::none && (!selection.classes.empty() || by_class)) {
    fail_input("the data has no labels, so `classes` and `per_class` cannot choose among it");
  }
  if (by_class && kind != TargetKind::category) {
    fail_input(
        "`per_class` and `skip_per_class` count the samples of a category, and the data has {}: a "
        "sample is not of one category alone; choose with `limit`",
        describe(all_targets_));
  }
  if (!selection.classes.empty() && kind != TargetKind::category &&
      kind != TargetKind::multi_label) {
    fail_input("`classes` chooses categories or labels, and the data has {}; choose with `limit`",
               describe(all_targets_));
  }
}

/// Finds targets that are not as the dataset says before anything is trained on them, and counts.
/// Masks are large: they are looked at when they are read.
void DataView::look_at_targets() {
  const TargetKind kind = all_targets_.kind;
  if (kind == TargetKind::none || kind == TargetKind::mask) {
    return;
  }
  if (kind != TargetKind::values) {
    available_.resize(static_cast<size_t>(all_targets_.width));
  }
  for (const int64_t index : indices_) {
    const Target target = dataset_->target(index);
    if (const std::string fault = fault_of(all_targets_, target); !fault.empty()) {
      fail_input("sample {} has {}", index, fault);
    }
    add_to_counts(all_targets_, target, available_);
  }
}

void DataView::choose_classes(const std::vector<std::string>& classes) {
  const std::vector<std::string>& names = all_targets_.names;
  std::vector<std::string> chosen_names;
  std::vector<int64_t> available;
  std::fill(place_of_.begin(), place_of_.end(), -1);
  for (const std::string& text : classes) {
    const int64_t place = find_class(names, text);
    if (place < 0) {
      fail_input("classes: there is no class \"{}\"; the classes are \"{}\", or 0 to {}", text,
                 fmt::join(names, "\", \""), names.size() - 1);
    }
    if (place_of_[place] >= 0) {
      fail_input("classes: \"{}\" is named twice", names[place]);
    }
    place_of_[place] = static_cast<int64_t>(chosen_names.size());
    chosen_names.push_back(names[place]);
    available.push_back(available_[place]);
  }
  if (all_targets_.kind == TargetKind::category) {
    std::erase_if(indices_, [this](int64_t index) {
      return place_of_[dataset_->target(index).category] < 0;
    });
  }
  targets_ = TargetSpec::named(all_targets_.kind, std::move(chosen_names));
  available_ = std::move(available);
}

void DataView::choose_per_class(const SelectionOptions& selection) {
  std::vector<std::vector<int64_t>> by_class(targets_.names.size());
  for (const int64_t index : indices_) {
    by_class[place_of_[dataset_->target(index).category]].push_back(index);
  }
  // Drawn by the dataset's own categories: what is kept of one does not depend on the others.
  std::vector<uint64_t> own_category(by_class.size());
  for (size_t own = 0; own < place_of_.size(); ++own) {
    if (place_of_[own] >= 0) {
      own_category[place_of_[own]] = own;
    }
  }
  indices_.clear();
  for (size_t place = 0; place < by_class.size(); ++place) {
    const auto present = static_cast<int64_t>(by_class[place].size());
    const int64_t skip = selection.skip_per_class;
    if (!selection.per_class && skip > present) {
      fail_input("skip_per_class = {}, but class \"{}\" has only {} samples", skip,
                 targets_.names[place], present);
    }
    const int64_t count = selection.per_class.value_or(present - skip);
    if (count > present - skip) {  // written so that no sum can overflow
      fail_input("per_class = {}{}, but class \"{}\" has only {} samples", count,
                 skip > 0 ? fmt::format(" and skip_per_class = {}", skip) : "",
                 targets_.names[place], present);
    }
    const auto seed = static_cast<uint64_t>(selection.subset_seed);
    const std::vector<int64_t> drawn = draw(
        RandomStream(seed, "data/per_class", 0, own_category[place]), by_class[place], count, skip);
    indices_.insert(indices_.end(), drawn.begin(), drawn.end());
  }
  std::sort(indices_.begin(), indices_.end());
}

/// A dataset may answer otherwise than when it was looked at.
void DataView::require_sound(const std::string& fault, int64_t index) const {
  if (!fault.empty()) {
    fail_input("sample {} has {}", indices_[index], fault);
  }
}

/// A sound target of the dataset as targets_ has it.
Target DataView::chosen(Target target) const {
  if (all_targets_.kind == TargetKind::none) {
    return {};
  }
  if (all_targets_.kind == TargetKind::category) {
    target.category = place_of_[target.category];
  } else if (all_targets_.kind == TargetKind::multi_label) {
    std::vector<float> values(targets_.names.size());
    for (size_t own = 0; own < place_of_.size(); ++own) {
      if (place_of_[own] >= 0) {
        values[place_of_[own]] = target.values[own];
      }
    }
    target.values = std::move(values);
  }
  return target;
}

std::string DataView::origin() const {
  const auto* guard = dynamic_cast<const Guard*>(dataset_.get());
  return guard == nullptr ? "the dataset" : guard->choice().describe();
}

Sample DataView::get(int64_t index) const {
  Sample sample = dataset_->get(indices_[index]);
  require_sound(all_targets_.kind == TargetKind::mask ? fault_of_mask(all_targets_, sample)
                                                      : fault_of(all_targets_, sample.target),
                index);
  sample.target = chosen(std::move(sample.target));
  return sample;
}

Target DataView::target(int64_t index) const {
  if (!labelled()) {
    return {};
  }
  Target target = dataset_->target(indices_[index]);
  require_sound(fault_of(all_targets_, target), index);
  return chosen(std::move(target));
}

void add_to_counts(const TargetSpec& spec, const Target& target, std::vector<int64_t>& counts) {
  if (spec.kind == TargetKind::category) {
    ++counts[target.category];
  }
  for (size_t i = 0; spec.kind == TargetKind::multi_label && i < target.values.size(); ++i) {
    counts[i] += target.values[i] == 1.0F ? 1 : 0;
  }
}

}  // namespace bissl::host
