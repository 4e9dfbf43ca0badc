#pragma once

#include "bissl/dataset.h"
#include "pipeline/pipeline.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// The host's choice among a dataset's samples, the same for every dataset.
struct SelectionOptions {
  std::vector<std::string> classes;
  std::optional<int64_t> per_class;
  int64_t skip_per_class = 0;
  std::optional<int64_t> limit;
  int64_t subset_seed = 0;
  std::optional<int64_t> cache;  ///< the longest shorter side of decoded images that are kept
};

const Schema<SelectionOptions>& selection_schema();

/// The host's own keys of a `[data.NAME]` table.
TableSpec selection_spec();

/// Chosen samples of a dataset. Their targets are those that `classes` leaves, in its order:
/// categories are renumbered, labels that are not chosen are left out. Reading is safe from several
/// threads.
class DataView {
 public:
  /// Throws Error(ErrorKind::input) for a class that does not exist, a class with too few samples,
  /// a target that is not as the dataset says, or a choice by class among data that has none.
  DataView(std::shared_ptr<const Dataset> dataset, const SelectionOptions& selection);

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  /// Sample `index` of the chosen ones, its target as targets() says. Throws
  /// Error(ErrorKind::input) for a target that is not as the dataset says.
  Sample get(int64_t index) const;
  /// Its target alone.
  Target target(int64_t index) const;
  /// Its number in the whole dataset.
  int64_t place(int64_t index) const { return indices_[static_cast<size_t>(index)]; }
  /// What the chosen samples' targets are.
  const TargetSpec& targets() const { return targets_; }
  bool labelled() const { return targets_.kind != TargetKind::none; }
  /// How many samples of the whole dataset have each category or label, before per_class,
  /// skip_per_class and limit; empty for other kinds of target.
  const std::vector<int64_t>& available() const { return available_; }
  /// The dataset, its library and its place in the pipeline, for errors.
  std::string origin() const;
  /// The fingerprint of the whole dataset.
  std::string fingerprint() const { return dataset_->fingerprint(); }

 private:
  void refuse_what_has_no_meaning(const SelectionOptions& selection) const;
  void look_at_targets();
  void choose_classes(const std::vector<std::string>& classes);
  void choose_per_class(const SelectionOptions& selection);
  void require_sound(const std::string& fault, int64_t index) const;
  Target chosen(Target target) const;

  std::shared_ptr<const Dataset> dataset_;
  TargetSpec all_targets_;          ///< the dataset's
  TargetSpec targets_;              ///< after the choice of classes
  std::vector<int64_t> indices_;    ///< in the dataset, ascending
  std::vector<int64_t> available_;  ///< by the place in targets_
  std::vector<int64_t> place_of_;  ///< in targets_, by the place in the dataset's; −1: not chosen
};

/// Adds a sample to the number of samples that have each category or label.
void add_to_counts(const TargetSpec& spec, const Target& target, std::vector<int64_t>& counts);

}  // namespace bissl::host
