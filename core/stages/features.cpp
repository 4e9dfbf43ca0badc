#include "stages/features.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/head_outputs.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/precision.h"
#include "stages/scoring.h"
#include "stages/stage_kind.h"
#include "stages/step_memory.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// The head of the stage, with its weights.
std::shared_ptr<Downstream> make_head(const StageContext& context, const FeatureRequest& request,
                                      Backbone& backbone, const ImageShape& view) {
  const std::optional<HeadOrigin> head = stage_kind(request.stage.kind).head(request.stage);
  if (!head) {
    fail_input("stage.{}, of kind \"{}\", has no head whose outputs could be written",
               spelled_key(request.stage.name), request.stage.kind);
  }
  const auto training = context.data.open(head->data);
  auto downstream =
      make_downstream(context, *head->downstream, backbone,
                      {.name = head->data, .targets = training->targets(), .view = view}, 0);
  take_over(context, head_file, downstream->module(), request.network);
  return downstream;
}

/// A stage that continues the one whose features are wanted: what reads weights takes it for that.
Stage reader_of(const FeatureRequest& request) {
  Stage reader;
  reader.name = "features";
  reader.kind = request.stage.kind;
  reader.from = request.stage.name;
  reader.table.origin = request.stage.table.origin;
  reader.table.values[precision_key] = request.precision;
  return reader;
}

void require_network(const FeatureRequest& request) {
  const size_t networks = stage_kind(request.stage.kind).weight_folders(request.stage).size();
  if (request.network < 0 || static_cast<size_t>(request.network) >= networks) {
    fail_input("there is no network {} of stage.{}, which has {}, numbered from 0", request.network,
               spelled_key(request.stage.name), networks);
  }
}

/// The networks of a request, and the batches that they see.
struct FeaturePasses {
  const StageContext& context;
  const FeatureRequest& request;
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Downstream> head;  ///< null where no outputs are requested

  std::shared_ptr<BatchSource> batches_of(int64_t samples) const {
    return make_batches(context, request.data, request.views,
                        {samples, 1, Order::sequential, 0, "evaluate"});
  }
};

FeaturePasses build_passes(const StageContext& context, const FeatureRequest& request) {
  FeaturePasses passes{context, request, nullptr, nullptr, nullptr};
  passes.source = passes.batches_of(request.batch);
  passes.backbone = make_backbone(context, passes.source->view_shape(), 0);
  take_over(context, backbone_file, passes.backbone->module(), request.network);
  if (request.outputs) {
    passes.head = make_head(context, request, *passes.backbone, passes.source->view_shape());
  }
  return passes;
}

/// Bytes of what is kept of all samples until it is written; in evaluation mode.
double kept_feature_bytes(const FeaturePasses& passes) {
  const Batch one = passes.batches_of(1)->make(0);
  const auto bytes = [](const at::Tensor& tensor) {
    return static_cast<double>(tensor.numel()) * static_cast<double>(tensor.element_size());
  };
  double of_batches = one.targets.dense.defined() ? bytes(one.targets.dense) : 0;
  if (passes.head) {
    of_batches += bytes(head_outputs(*passes.backbone, *passes.head, one.views[0]));
  }
  // What batches give is in memory twice while it is put together.
  const double of_sample =
      static_cast<double>(passes.backbone->features()) * sizeof(float) + 2 * of_batches;
  return static_cast<double>(passes.source->samples()) * of_sample;
}

void require_feature_memory(const FeaturePasses& passes) {
  const FeatureRequest& request = passes.request;
  const int threads = request.settings.loader_threads;
  const double kept = kept_feature_bytes(passes);
  refuse_beyond_memory(fmt::format("--data {}", request.data),
                       fmt::format("what is kept of its {} samples", passes.source->samples()),
                       kept, "Write fewer samples at a time, by `limit` of the source");
  refuse_step_beyond_memory(
      {.key = "--batch",
       .batch = std::min(request.batch, passes.source->samples()),
       .held = batches_held(threads, passes.source->batches()),
       .beside = kept,
       .threads = threads,
       .make = [&passes](int64_t samples) { return passes.batches_of(samples)->make(0); },
       .work =
           [&passes](const Batch& batch) {
             passes.backbone->forward(batch.views[0]);
             if (passes.head) {
               head_outputs(*passes.backbone, *passes.head, batch.views[0]);
             }
           }});
}

}  // namespace

FeatureTable compute_features(const FeatureRequest& request) {
  require_network(request);
  const c10::NoGradGuard no_grad;
  DataCatalog data(request.pipeline, request.datasets);
  const Stage reader = reader_of(request);
  const StageContext context{.pipeline = request.pipeline,
                             .stage = reader,
                             .data = data,
                             .folder = {},
                             .parent = request.folder,
                             .handed_on = nullptr,
                             .generation = 0,
                             .settings = request.settings};
  const StagePrecision precision(context);
  if (request.settings.warn) {
    for (const std::string& doubt : precision_doubts(context)) {
      request.settings.warn(doubt);
    }
  }
  const FeaturePasses passes = build_passes(context, request);
  const std::shared_ptr<BatchSource>& source = passes.source;
  const std::shared_ptr<Backbone>& backbone = passes.backbone;
  const std::shared_ptr<Downstream>& head = passes.head;
  const EvaluationMode mode(backbone->module());
  const auto head_mode = head ? std::make_unique<EvaluationMode>(head->module()) : nullptr;
  require_feature_memory(passes);

  FeatureTable table;
  table.spec = source->data().targets();
  table.names = data.sample_names(request.data);
  table.features = at::empty({source->samples(), backbone->features()}, at::kFloat);
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> targets;
  ScoringProgress progress(context, source->batches(), request.batch);
  Prefetcher prefetched(source, 0, source->batches(), request.settings.loader_threads);
  for (int64_t i = 0, begin = 0; i < source->batches(); ++i) {
    const Batch batch = prefetched.next();
    const at::Tensor features = backbone->forward(batch.views[0]);
    table.features.narrow(0, begin, features.size(0)).copy_(features);
    begin += features.size(0);
    if (head) {
      outputs.push_back(head_outputs(*backbone, *head, batch.views[0]).cpu());
    }
    if (batch.targets.dense.defined()) {
      targets.push_back(batch.targets.dense.cpu());
    }
    progress.done();
  }
  table.outputs = outputs.empty() ? at::Tensor() : at::cat(outputs);
  table.targets = targets.empty() ? at::Tensor() : at::cat(targets);
  if (!at::isfinite(table.features).all().item<bool>()) {
    fail_run("the features of stage.{} are not finite: it diverged",
             spelled_key(request.stage.name));
  }
  return table;
}

const ViewsChoice* scoring_views(const Pipeline& pipeline, const Stage& stage) {
  const auto views_of = [](const Stage& one) { return stage_kind(one.kind).scoring_views(one); };
  if (const ViewsChoice* own = views_of(stage)) {
    return own;
  }
  for (const bool children : {true, false}) {
    for (const Stage& other : pipeline.stages) {
      const ViewsChoice* views = children && other.from != stage.name ? nullptr : views_of(other);
      if (views != nullptr) {
        return views;
      }
    }
  }
  return nullptr;
}

}  // namespace bissl::host
