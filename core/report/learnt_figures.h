#pragma once

#include "report/results.h"
#include "report/statistics.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// A figure that stages of kind "analyse" have found in one cell: "test.rankme".
struct LearntFigure {
  std::string data;
  std::string metric;
  std::optional<bool> higher_is_better;
  std::map<std::string, std::map<std::string, double>> of_stages;  ///< by stage and repetition

  /// Over the repetitions; none where the stage has no value.
  std::optional<Estimate> of_stage(const std::string& stage) const;
};

/// By the choices of the cell's axes and the figure's name.
using LearntFigures = std::map<std::pair<std::vector<size_t>, std::string>, LearntFigure>;

/// What all runs of a report say of their backbones.
struct Learnt {
  size_t axes = 0;  ///< how many of the data's axes tell runs apart
  /// A cell has several runs, by seed: repetitions are runs, and the networks that one of them has
  /// side by side, which share what comes before them, are averaged. Otherwise repetitions are
  /// those networks.
  bool by_run = false;
  std::vector<std::string> stages;          ///< of kind "analyse", in the order of their names
  std::map<std::string, std::string> arms;  ///< by such a stage, the one that it looks at
  /// The stage that others are compared with: the one that looks at the arm of the report's
  /// reference; without such a one the first that looks at no bilevel training, else the first.
  std::string reference;
  LearntFigures figures;  ///< of the features themselves
  /// The same of single levels of the backbones' maps: "test.rankme_map1". They are not tested.
  LearntFigures levels;
  /// Folder and name of the first of each stage.
  std::map<std::string, std::filesystem::path> folders;
};

/// Reads the results of all runs of the report. What is not there is left out.
Learnt gather_learnt(const ReportData& data);

/// A figure with a direction, of two stages.
struct LearntDifference {
  std::vector<size_t> choices;
  std::string figure;
  bool higher_is_better = true;
  Estimate difference;  ///< of the stage minus the reference, over the pairs
  SignFlipTest test;
  /// p after Holm's adjustment for the tested figures of the comparison; none for the others.
  std::optional<double> adjusted;

  bool is_ahead() const { return (difference.mean > 0) == higher_is_better; }
};

/// A stage against the reference.
struct LearntComparison {
  std::string stage;
  std::vector<LearntDifference> differences;  ///< tested ones first
};

/// Of each stage but the reference that has a figure with a direction in common with it.
std::vector<LearntComparison> compare_learnt(const Learnt& learnt);

/// The figures that are tested, in words.
extern const char* const tested_words;

}  // namespace bissl::host
