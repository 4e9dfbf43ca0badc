#include "stages/probe.h"

#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/networks.h"

#include <chrono>

namespace bissl {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

StageProbe::Networks StageProbe::build(const Table& table, const std::string& data) const {
  const auto source = make_batches(context_, data, table.component("augment"), {});
  Networks networks;
  networks.samples = source->samples();
  networks.backbone = make_backbone(context_, source->view_shape(), 0);
  networks.pretext = make_pretext(context_, table.component("pretext"), *networks.backbone, 0);
  const ImageShape& shape = source->view_shape();
  networks.describe = fmt::format(
      "{} images, views of {}x{}x{}, {} features, {} backbone parameters, {} in the pretext head",
      networks.samples, shape.channels, shape.height, shape.width, networks.backbone->features(),
      count(tensors_of(trainable_parameters(networks.backbone->module()))),
      count(tensors_of(trainable_parameters(networks.pretext->module()))));
  make_optimizer(table.component("optimizer"),
                 lower_parameters(*networks.backbone, *networks.pretext));
  return networks;
}

at::Tensor StageProbe::views(const Networks& networks, const Table& table, const std::string& data,
                             int64_t batch) const {
  const auto source = make_batches(context_, data, table.component("augment"),
                                   {batch, networks.pretext->views(), Order::shuffled, 0, "check"});
  return source->make(0).views.to(context_.settings.device);
}

double StageProbe::pretext_gradient(const Networks& networks, const Table& table,
                                    const std::string& data, int64_t batch) const {
  PretextProblem problem(*networks.backbone, *networks.pretext,
                         {views(networks, table, data, batch)}, {.lambda = 1.0});
  return seconds_of([&] { problem.gradient({}); });
}

double StageProbe::downstream_gradient(Backbone& backbone, const Table& table,
                                       const std::string& data, int64_t batch, bool freeze) const {
  const auto source = make_batches(context_, data, table.component("augment"),
                                   {batch, 1, Order::shuffled, 0, "check"});
  if (!source->data().labelled()) {
    fail_input("data.{} has no labels", data);
  }
  const auto classes = static_cast<int64_t>(source->data().class_names().size());
  const auto downstream =
      make_downstream(context_, table.component("downstream"), backbone, classes, 0);
  NamedTensors parameters = trainable_parameters(downstream->module());
  if (!freeze) {
    parameters = upper_parameters(backbone, *downstream);
  }
  make_optimizer(table.component("optimizer"), parameters);
  const Batch samples = source->make(0);
  return seconds_of([&] {
    const at::Tensor images = samples.views[0].to(context_.settings.device);
    const at::Tensor targets = samples.targets.to(context_.settings.device);
    const at::Tensor loss =
        downstream->loss(downstream->forward(backbone.forward(images)), targets);
    gradients_of(loss, tensors_of(parameters));
  });
}

}  // namespace bissl
