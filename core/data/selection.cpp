#include "data/selection.h"

#include "bissl/error.h"
#include "bissl/random.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace bissl {
namespace {

Schema<SelectionOptions> make_schema() {
  Schema<SelectionOptions> schema;
  schema.add("classes", &SelectionOptions::classes,
             "classes to keep, by name or number, in the order of their new labels; empty keeps "
             "all");
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
      .at_least(0);
  schema.rule([](const SelectionOptions& options, std::vector<Finding>& findings) {
    if (options.subset_seed != 0 && !options.per_class && options.skip_per_class == 0 &&
        !options.limit) {
      findings.push_back({Finding::Severity::warning, "subset_seed",
                          "has no effect without per_class, skip_per_class or limit"});
    }
  });
  return schema;
}

/// The label that `text` names, as a class name or a number, or −1.
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
    : dataset_(std::move(dataset)), class_names_(dataset_->class_names()) {
  indices_.resize(static_cast<size_t>(dataset_->size()));
  std::iota(indices_.begin(), indices_.end(), 0);
  label_of_.resize(class_names_.size());
  std::iota(label_of_.begin(), label_of_.end(), 0);
  const bool by_class = selection.per_class.has_value() || selection.skip_per_class > 0;
  if (class_names_.empty() && (!selection.classes.empty() || by_class)) {
    fail_input("the data has no labels, so `classes` and `per_class` cannot choose among it");
  }
  std::vector<int64_t> in_dataset(class_names_.size());
  for (const int64_t index : indices_) {
    const int64_t label = labelled() ? dataset_->label(index) : 0;
    if (labelled() && (label < 0 || label >= static_cast<int64_t>(class_names_.size()))) {
      fail_input("sample {} has the label {}; expected 0 to {}", index, label,
                 class_names_.size() - 1);
    }
    if (labelled()) {
      ++in_dataset[label];
    }
  }
  if (!selection.classes.empty()) {
    choose_classes(selection.classes);
  }
  available_.resize(class_names_.size());
  for (size_t own = 0; own < label_of_.size(); ++own) {
    if (label_of_[own] >= 0) {
      available_[label_of_[own]] = in_dataset[own];
    }
  }
  if (by_class) {
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

void DataView::choose_classes(const std::vector<std::string>& classes) {
  std::vector<std::string> chosen_names;
  std::fill(label_of_.begin(), label_of_.end(), -1);
  for (const std::string& text : classes) {
    const int64_t label = find_class(class_names_, text);
    if (label < 0) {
      fail_input("classes: there is no class \"{}\"; the classes are \"{}\", or 0 to {}", text,
                 fmt::join(class_names_, "\", \""), class_names_.size() - 1);
    }
    if (label_of_[label] >= 0) {
      fail_input("classes: \"{}\" is named twice", class_names_[label]);
    }
    label_of_[label] = static_cast<int64_t>(chosen_names.size());
    chosen_names.push_back(class_names_[label]);
  }
  std::erase_if(indices_, [this](int64_t index) { return label_of_[dataset_->label(index)] < 0; });
  class_names_ = std::move(chosen_names);
}

void DataView::choose_per_class(const SelectionOptions& selection) {
  std::vector<std::vector<int64_t>> by_class(class_names_.size());
  for (const int64_t index : indices_) {
    by_class[label_of_[dataset_->label(index)]].push_back(index);
  }
  // Drawn by the dataset's own labels: what is kept of a class does not depend on the others.
  std::vector<uint64_t> own_label(by_class.size());
  for (size_t own = 0; own < label_of_.size(); ++own) {
    if (label_of_[own] >= 0) {
      own_label[label_of_[own]] = own;
    }
  }
  indices_.clear();
  for (size_t label = 0; label < by_class.size(); ++label) {
    const auto present = static_cast<int64_t>(by_class[label].size());
    const int64_t skip = selection.skip_per_class;
    const int64_t count = selection.per_class.value_or(std::max<int64_t>(0, present - skip));
    if (count > present - skip) {  // written so that no sum can overflow
      fail_input("per_class = {}{}, but class \"{}\" has only {} samples", count,
                 skip > 0 ? fmt::format(" and skip_per_class = {}", skip) : "", class_names_[label],
                 present);
    }
    const auto seed = static_cast<uint64_t>(selection.subset_seed);
    const std::vector<int64_t> drawn = draw(
        RandomStream(seed, "data/per_class", 0, own_label[label]), by_class[label], count, skip);
    indices_.insert(indices_.end(), drawn.begin(), drawn.end());
  }
  std::sort(indices_.begin(), indices_.end());
}

Sample DataView::get(int64_t index) const {
  Sample sample = dataset_->get(indices_[index]);
  sample.label = labelled() ? label_of_[sample.label] : -1;
  return sample;
}

int64_t DataView::label(int64_t index) const {
  return labelled() ? label_of_[dataset_->label(indices_[index])] : -1;
}

}  // namespace bissl
