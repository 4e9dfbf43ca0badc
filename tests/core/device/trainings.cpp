#include "trainings.h"

#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/targets.h"
#include "data/batches.h"
#include "models/evaluation_guard.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "models/second_backbone.h"
#include "models/training_step.h"
#include "plugins/registry.h"
#include "support/paths.h"

#include <torch/nn/module.h>
#include <torch/types.h>

#include <map>
#include <utility>

namespace bissl::host::test {
namespace {

constexpr int64_t samples = 6;
constexpr int64_t classes = 3;
constexpr int64_t data_size = 60;
constexpr int64_t side = 16;
constexpr double lambda = 0.1;
constexpr double limit = 10;  ///< of gradient norms

const ImageShape view_shape{3, side, side};

/// A library and values that fit the small network.
struct Form {
  std::string library;
  ParameterValues values;
};

const Form& form_of(const std::string& task) {
  using Widths = std::vector<int64_t>;
  const Widths two{16, 8};
  const Widths one{16};
  const int64_t queue = 12;
  const int64_t prototypes = 4;
  static const std::map<std::string, Form> forms = {
      {"barlow-twins", {"redundancy-reduction", {{"projector", two}}}},
      {"byol", {"byol", {{"projector", two}, {"predictor", one}}}},
      {"dino",
       {"distillation", {{"hidden", one}, {"bottleneck", prototypes}, {"prototypes", prototypes}}}},
      {"jigsaw",
       {"surrogate-classes",
        {{"grid", int64_t{2}}, {"permutations", prototypes}, {"hidden", one}}}},
      {"moco", {"contrastive", {{"projector", two}, {"queue", queue}}}},
      {"rotation", {"surrogate-classes", {}}},
      {"simclr", {"simclr", {{"projector", two}}}},
      {"supcon", {"contrastive", {{"projector", two}}}},
      {"swav", {"swav", {{"projector", two}, {"prototypes", prototypes}, {"queue", queue}}}},
      {"vicreg", {"redundancy-reduction", {{"projector", two}}}},
  };
  return forms.at(task);
}

std::shared_ptr<Backbone> make_backbone(c10::Device device) {
  seed_generator(5);
  auto backbone = create_guarded(choose(ComponentKind::backbone, "resnet", "resnet18",
                                        {{"stem", std::string("small")}, {"width", int64_t{4}}}),
                                 BackboneContext{view_shape});
  move_to(backbone->module(), device);
  return backbone;
}

std::shared_ptr<Pretext> make_pretext(const std::string& task, Backbone& backbone,
                                      c10::Device device) {
  const Form& form = form_of(task);
  const SecondBackbones second(backbone, [device] { return make_backbone(device); });
  seed_generator(6);
  auto pretext = create_guarded(choose(ComponentKind::pretext, form.library, task, form.values),
                                PretextContext{.features = backbone.features(),
                                               .views = {view_shape, view_shape},
                                               .steps = 10,
                                               .samples = data_size,
                                               .batch = samples,
                                               .hessian_batch = samples,
                                               .make_backbone = second.maker(),
                                               .backbone = &backbone,
                                               .backbone_name = "resnet18"});
  move_to(pretext->module(), device);
  return pretext;
}

std::shared_ptr<Downstream> make_head(Backbone& backbone, c10::Device device) {
  seed_generator(7);
  auto head =
      create_guarded(choose(ComponentKind::downstream, "classification", "classification", {}),
                     DownstreamContext{.features = backbone.features(),
                                       .targets = {.kind = TargetKind::category, .width = classes},
                                       .input = view_shape,
                                       .backbone = &backbone,
                                       .backbone_name = "resnet18"});
  move_to(head->module(), device);
  return head;
}

std::shared_ptr<Optimizer> make_optimizer(const std::string& name, const NamedTensors& parameters) {
  return create_guarded(choose(ComponentKind::optimizer, "optimizers", name, {{"lr", 0.05}}),
                        OptimizerContext{parameters});
}

Trained result_of(std::vector<double> losses, c10::Device device,
                  const std::vector<torch::nn::Module*>& modules) {
  Trained result{.losses = std::move(losses), .weights = {}, .strayed = {}};
  TensorList all;
  for (const torch::nn::Module* module : modules) {
    for (const auto& [name, tensor] : module_state(*module)) {
      all.push_back(tensor.to(torch::kCPU).to(torch::kDouble).flatten());
      if (tensor.device() != device) {
        result.strayed.push_back(name);
      }
    }
  }
  result.weights = torch::cat(all);
  return result;
}

OuterBatch labelled(c10::Device device, int64_t number) {
  const Batch batch = batch_on(device, number);
  return {.images = batch.views[0], .targets = batch.targets};
}

}  // namespace

ComponentChoice choose(ComponentKind kind, const std::string& library, const std::string& name,
                       const ParameterValues& values) {
  static auto* const registry = new Registry;
  if (registry->find(kind, name) == nullptr) {
    registry->load_library(std::string(plugin_folder) + "/" + library + ".so", true);
  }
  const auto component = registry->find(kind, name);
  ComponentChoice choice{component, defaults(component->info.parameters), "test"};
  for (const auto& [parameter, value] : values) {
    choice.values[parameter] = value;
  }
  return choice;
}

Batch batch_on(c10::Device device, int64_t number) {
  const at::Tensor places =
      torch::arange(2 * samples * view_shape.elements(), torch::kDouble) + 1000 * number;
  Batch batch;
  // With these numbers no activation lies within rounding errors of a ReLU's edge, where gradients
  // jump.
  batch.views = (torch::sin(places * 1.3) + torch::cos(places * places * 0.01))
                    .to(torch::kFloat)
                    .view({2, samples, view_shape.channels, side, side})
                    .unbind();
  batch.targets = {torch::arange(samples, torch::kLong).remainder(classes)};
  batch.indices = (torch::arange(samples, torch::kLong) + number * samples).remainder(data_size);
  return converted_batch(batch, device);
}

Trained pretrained(const std::string& task, const std::string& optimizer, c10::Device device,
                   int64_t steps) {
  const auto backbone = make_backbone(device);
  const auto pretext = make_pretext(task, *backbone, device);
  const auto moving = make_optimizer(optimizer, lower_parameters(*backbone, *pretext));
  LowerLevel level(*backbone, *pretext, *moving, limit);
  std::vector<double> losses;
  for (int64_t step = 0; step < steps; ++step) {
    losses.push_back(level.step(batch_on(device, step), 1.0, {step, steps}).loss);
  }
  return result_of(std::move(losses), device, {&backbone->module(), &pretext->module()});
}

Trained after_rounds(const std::string& approximator, c10::Device device, int64_t rounds) {
  const auto lower = make_backbone(device);
  const auto upper = make_backbone(device);
  const auto pretext = make_pretext("simclr", *lower, device);
  const auto head = make_head(*upper, device);
  const std::string library = approximator == "ekfac" ? "kfac" : approximator;
  const auto solver = create_guarded(
      choose(ComponentKind::hypergradient, library, approximator, {}), HypergradientContext{});
  const auto lower_optimizer = make_optimizer("lars", lower_parameters(*lower, *pretext));
  LowerLevel level(*lower, *pretext, *lower_optimizer, limit);
  level.tie_to(*upper, lambda);
  BisslCoupling coupling({*lower, *upper, *head}, 0.1);
  const auto upper_optimizer = make_optimizer("sgd", coupling.parameters());
  UpperLevel upper_level(coupling, *solver, *upper_optimizer, limit);
  std::vector<double> losses;
  for (int64_t round = 0; round < rounds; ++round) {
    losses.push_back(level.step(batch_on(device, 3 * round), 1.0, {round, rounds}).loss);
    PretextProblem problem(*lower, *pretext, {batch_on(device, 3 * round + 1)},
                           {.lambda = lambda, .noise_seed = 3});
    losses.push_back(
        upper_level.step(labelled(device, 3 * round + 2), problem, /*noise_seed=*/4, 1.0).loss);
  }
  return result_of(std::move(losses), device,
                   {&lower->module(), &upper->module(), &pretext->module(), &head->module()});
}

Trained finetuned(c10::Device device, int64_t steps) {
  const auto backbone = make_backbone(device);
  const auto head = make_head(*backbone, device);
  const NamedTensors parameters = upper_parameters(*backbone, *head);
  const auto optimizer = make_optimizer("sgd", parameters);
  TrainingStep training(parameters, *optimizer,
                        {.max_grad_norm = limit, .name = "fine-tuning", .advice = ""});
  std::vector<double> losses;
  for (int64_t step = 0; step < steps; ++step) {
    LossGradient gradient =
        downstream_gradient(*backbone, *head, training.parameters(), labelled(device, step));
    losses.push_back(gradient.loss);
    training.take(std::move(gradient), 1.0);
  }
  return result_of(std::move(losses), device, {&backbone->module(), &head->module()});
}

}  // namespace bissl::host::test
