#pragma once

#include "bissl/targets.h"
#include "data/catalog.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// What a finished stage's network makes of a data source.
struct FeatureTable {
  at::Tensor features;  ///< (N, D), float32, in evaluation mode
  at::Tensor outputs;   ///< (N, …), of the head; undefined where none is requested
  at::Tensor targets;   ///< (N) or (N, K) as in TargetBatch; undefined for unlabelled data
  TargetSpec spec;      ///< of the targets
  std::vector<std::string> names;  ///< of the samples (DataCatalog::sample_names)
};

struct FeatureRequest {
  const Pipeline& pipeline;
  const Stage& stage;            ///< hands on a backbone
  std::filesystem::path folder;  ///< of the finished stage
  std::string data;              ///< a source of the pipeline
  const ViewsChoice& views;      ///< of which the first is taken
  int64_t batch = 250;
  int64_t network = 0;   ///< one of several that the stage has trained
  bool outputs = false;  ///< of the head, too
  /// What the backbone's passes compute in: "fp32", "bf16" or "fp16".
  std::string precision = "fp32";
  std::shared_ptr<DatasetCache> datasets;
  const RunSettings& settings;
};

/// Sends each sample through the network once, in the order of the data. Throws Error(input) where
/// the stage has no head and one is requested, where the device does not compute in the precision,
/// and where memory cannot hold what is computed of all samples, or the pass of a batch beside it;
/// Interrupted when the user asks to stop. Warns by the settings of a precision that is slow here.
FeatureTable compute_features(const FeatureRequest& request);

/// The views by which a stage's network is scored: its own, else of a stage that
/// continues it, else of any. Null if no stage of the pipeline has such.
const ViewsChoice* scoring_views(const Pipeline& pipeline, const Stage& stage);

}  // namespace bissl::host
