#include "stages/features.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/head_outputs.h"
#include "pipeline/diagnostics.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/scoring.h"
#include "stages/stage_kind.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

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
  return reader;
}

void require_network(const FeatureRequest& request) {
  const size_t networks = stage_kind(request.stage.kind).weight_folders(request.stage).size();
  if (request.network < 0 || static_cast<size_t>(request.network) >= networks) {
    fail_input("there is no network {} of stage.{}, which has {}, numbered from 0", request.network,
               spelled_key(request.stage.name), networks);
  }
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
  const auto source = make_batches(context, request.data, request.views,
                                   {request.batch, 1, Order::sequential, 0, "evaluate"});
  const auto backbone = make_backbone(context, source->view_shape(), 0);
  take_over(context, backbone_file, backbone->module(), request.network);
  const auto head =
      request.outputs ? make_head(context, request, *backbone, source->view_shape()) : nullptr;
  refuse_beyond_memory(
      {.key = "--data", .batch = source->samples(), .views = {{1, 1, backbone->features()}}});
  const EvaluationMode mode(backbone->module());
  const auto head_mode = head ? std::make_unique<EvaluationMode>(head->module()) : nullptr;

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
