#pragma once

#include "bissl/dataset.h"
#include "pipeline/pipeline.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// The host's choice among a dataset's samples, the same for every dataset.
struct SelectionOptions {
  std::vector<std::string> classes;
  std::optional<int64_t> per_class;
  int64_t skip_per_class = 0;
  std::optional<int64_t> limit;
  int64_t subset_seed = 0;
};

const Schema<SelectionOptions>& selection_schema();

/// The host's own keys of a `[data.NAME]` table.
TableSpec selection_spec();

/// Chosen samples of a dataset. Labels run from 0 in the order of the chosen classes. Reading is
/// safe from several threads.
class DataView {
 public:
  /// Throws Error(ErrorKind::input) for a class that does not exist, a class with too few samples,
  /// a label out of range, or a choice by class among unlabelled data.
  DataView(std::shared_ptr<const Dataset> dataset, const SelectionOptions& selection);

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  /// Sample `index` of the chosen ones, its label remapped.
  Sample get(int64_t index) const;
  int64_t label(int64_t index) const;
  bool labelled() const { return !class_names_.empty(); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// Samples of each class in the whole dataset, before per_class, skip_per_class and limit.
  const std::vector<int64_t>& available() const { return available_; }
  /// The fingerprint of the whole dataset.
  std::string fingerprint() const { return dataset_->fingerprint(); }

 private:
  void choose_classes(const std::vector<std::string>& classes);
  void choose_per_class(const SelectionOptions& selection);

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::string> class_names_;
  std::vector<int64_t> indices_;    ///< in the dataset, ascending
  std::vector<int64_t> available_;  ///< by the label after the choice of classes
  std::vector<int64_t> label_of_;   ///< by the dataset's label; −1 for classes not chosen
};

}  // namespace bissl
