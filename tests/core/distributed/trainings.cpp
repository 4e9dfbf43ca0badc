#include "trainings.h"

#include "../bilevel/small_models.h"
#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/modules.h"
#include "models/batch_statistics.h"
#include "models/divided.h"
#include "models/evaluation_guard.h"
#include "models/gradient_buckets.h"
#include "models/gradients.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "models/second_backbone.h"
#include "models/training_step.h"
#include "plugins/registry.h"
#include "support/paths.h"

#include <c10/core/GradMode.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/types.h>

#include <map>
#include <optional>
#include <utility>

namespace bissl::host::test {
namespace {

constexpr int64_t samples = 7;
constexpr int64_t steps = 50;
constexpr int64_t steps_of_most = 6;  ///< of the tasks that are tried for their losses alone
constexpr double rate = 0.05;

/// What the backbones of a training are made as.
struct BackboneForm {
  double noise = 0;      ///< features are scaled by random numbers of this size
  int parts = 1;         ///< one process normalises as this many processes would
  bool library = false;  ///< with LibTorch's own module for the normalisation
};

/// A convolution, a normalisation over the batch, a layer: 3 features.
class TinyBackbone : public Backbone {
 public:
  explicit TinyBackbone(const BackboneForm& form)
      : form_(form), module_(std::make_shared<torch::nn::Module>()) {
    convolution_ = module_->register_module("convolution",
                                            Conv2d(torch::nn::Conv2dOptions(1, 4, 3).stride(2)));
    if (form_.library) {
      libtorchs_ = module_->register_module("normalisation", torch::nn::BatchNorm2d(4));
    } else {
      normalisation_ =
          module_->register_module("normalisation", BatchNorm(torch::nn::BatchNormOptions(4)));
    }
    layer_ = module_->register_module("layer", Linear(4, 3));
    module_->to(torch::kDouble);
  }
  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor maps = torch::tanh(normalised(convolution_(images)));
    const at::Tensor features = layer_(maps.mean({2, 3}));
    return form_.noise == 0 ? features : features * (1 + form_.noise * torch::rand_like(features));
  }
  int64_t features() const override { return 3; }
  torch::nn::Module& module() override { return *module_; }

 private:
  at::Tensor normalised(const at::Tensor& maps) {
    if (form_.parts == 1 || !module_->is_training()) {
      return normalised_as_one(maps);
    }
    const TensorList buffers = form_.library ? libtorchs_->buffers() : normalisation_->buffers();
    TensorList before;
    TensorList mean;
    for (const at::Tensor& buffer : buffers) {
      before.push_back(buffer.clone());
      mean.push_back(torch::zeros_like(buffer));
    }
    TensorList outputs;
    for (int rank = 0; rank < form_.parts; ++rank) {
      const BatchPart part = part_of(maps.size(0), rank, form_.parts);
      set_buffers(buffers, before);
      outputs.push_back(normalised_as_one(part.of(maps)));
      const c10::NoGradGuard no_grad;
      for (size_t i = 0; i < buffers.size(); ++i) {
        if (buffers[i].is_floating_point()) {
          mean[i] +=
              buffers[i] * (static_cast<double>(part.count) / static_cast<double>(maps.size(0)));
        } else {
          mean[i] = buffers[i].clone();  // a counter
        }
      }
    }
    set_buffers(buffers, mean);
    return torch::cat(outputs);
  }

  at::Tensor normalised_as_one(const at::Tensor& maps) {
    return form_.library ? libtorchs_(maps) : normalisation_(maps);
  }

  static void set_buffers(const TensorList& buffers, const TensorList& values) {
    for (size_t i = 0; i < buffers.size(); ++i) {
      buffers[i].variable_data().copy_(values[i]);
    }
  }

  BackboneForm form_;
  std::shared_ptr<torch::nn::Module> module_;
  Conv2d convolution_{nullptr};
  BatchNorm normalisation_{nullptr};
  torch::nn::BatchNorm2d libtorchs_{nullptr};
  Linear layer_{nullptr};
};

/// That of the training under way.
BackboneForm form_of_backbones;

/// As the host holds it: behind a guard, which divides batches.
std::shared_ptr<Backbone> make_backbone() {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = ComponentKind::backbone;
  component->info.text.name = "tiny";
  component->info.create = [](const ParameterValues&, const void*) {
    return std::static_pointer_cast<void>(
        std::static_pointer_cast<Backbone>(std::make_shared<TinyBackbone>(form_of_backbones)));
  };
  seed_generator(5);
  return create_guarded({component, {}, "test"}, BackboneContext{ImageShape{1, 8, 8}});
}

std::shared_ptr<const RegisteredComponent> find(ComponentKind kind, const std::string& library,
                                                const std::string& name) {
  static auto* const registry = new Registry;
  if (registry->find(kind, name) == nullptr) {
    registry->load_library(std::string(plugin_folder) + "/" + library + ".so", true);
  }
  return registry->find(kind, name);
}

/// A task's library and what its parameters are set to.
struct TaskForm {
  std::string library;
  ParameterValues values;
  int64_t steps = steps_of_most;
};

const TaskForm& form_of(const std::string& task) {
  using Widths = std::vector<int64_t>;
  const Widths two{4, 4};
  const Widths one{4};
  const int64_t queue = 14;
  constexpr int64_t prototypes = 3;
  static const std::map<std::string, TaskForm> forms = {
      {"barlow-twins", {"redundancy-reduction", {{"projector", two}}, steps}},
      {"byol", {"byol", {{"projector", two}, {"predictor", one}}, steps}},
      {"dcl", {"contrastive", {{"projector", two}}}},
      {"dino",
       {"distillation", {{"hidden", one}, {"bottleneck", prototypes}, {"prototypes", prototypes}}}},
      {"lejepa", {"redundancy-reduction", {{"projector", two}, {"slices", int64_t{8}}}}},
      {"moco", {"contrastive", {{"projector", two}, {"queue", queue}}}},
      {"moco-v3", {"contrastive", {{"projector", two}, {"predictor", one}}}},
      {"nnclr", {"contrastive", {{"projector", two}, {"predictor", one}, {"queue", queue}}}},
      {"ressl", {"contrastive", {{"projector", two}, {"queue", queue}}}},
      {"rotation", {"surrogate-classes", {{"hidden", one}}}},
      {"simclr", {"simclr", {{"projector", two}}, steps}},
      {"simsiam", {"distillation", {{"projector", two}, {"predictor", one}}}},
      {"swav", {"swav", {{"projector", two}, {"prototypes", prototypes}, {"queue", queue}}, steps}},
      {"tico", {"redundancy-reduction", {{"projector", two}}}},
      {"vicreg", {"redundancy-reduction", {{"projector", two}}, steps}},
      {"w-mse",
       {"redundancy-reduction",
        {{"projector", Widths{4, 2}}, {"part", samples}, {"epsilon", 0.1}}}},
  };
  return forms.at(task);
}

std::shared_ptr<Pretext> make_pretext(const std::string& name, Backbone& backbone) {
  const TaskForm& form = form_of(name);
  const auto component = find(ComponentKind::pretext, form.library, name);
  ComponentChoice choice{component, defaults(component->info.parameters), "test"};
  for (const auto& [parameter, value] : form.values) {
    choice.values[parameter] = value;
  }
  const SecondBackbones second(backbone, [] { return make_backbone(); });
  seed_generator(6);
  auto pretext = create_guarded(choice, PretextContext{.features = 3,
                                                       .views = {ImageShape{1, 8, 8}},
                                                       .steps = form.steps,
                                                       .samples = 100,
                                                       .batch = samples,
                                                       .hessian_batch = samples,
                                                       .make_backbone = second.maker(),
                                                       .backbone = &backbone,
                                                       .backbone_name = "tiny"});
  convert_to_double(pretext->module());
  return pretext;
}

/// Two views that are the same in every process.
Views views(int64_t number) {
  const at::Tensor places = torch::arange(2 * samples * 64, torch::kDouble) + 1000 * number;
  return (torch::sin(places * 1.7) + torch::cos(places * places * 0.01))
      .view({2, samples, 1, 8, 8})
      .unbind();
}

at::Tensor state_of(const std::vector<torch::nn::Module*>& modules) {
  TensorList all;
  for (const torch::nn::Module* module : modules) {
    for (const auto& [name, tensor] : module_state(*module)) {
      all.push_back(tensor.to(torch::kDouble).flatten());
    }
  }
  return torch::cat(all).clone();
}

at::Tensor pretrained(const std::string& task) {
  const auto backbone = make_backbone();
  const auto pretext = make_pretext(task, *backbone);
  PlainDescent descent(lower_parameters(*backbone, *pretext), rate);
  LowerLevel level(*backbone, *pretext, descent, 10);
  const int64_t all = form_of(task).steps;
  for (int64_t step = 0; step < all; ++step) {
    level.step(views(step), 1.0, {step, all}, {});
  }
  return state_of({&backbone->module(), &pretext->module()});
}

at::Tensor after_rounds(const std::string& approximator) {
  const auto lower = make_backbone();
  const auto upper = make_backbone();
  const auto pretext = make_pretext("simclr", *lower);
  seed_generator(7);
  SmallDownstream downstream;
  const auto component = find(ComponentKind::hypergradient, approximator, approximator);
  ComponentChoice choice{component, defaults(component->info.parameters), "test"};
  if (choice.values.count("iterations") != 0) {
    choice.values["iterations"] = int64_t{2};
  }
  const auto hypergradient = create_guarded(choice, HypergradientContext{});
  PlainDescent lower_descent(lower_parameters(*lower, *pretext), rate);
  LowerLevel level(*lower, *pretext, lower_descent, 10);
  level.tie_to(*upper, 0.1);
  BisslCoupling coupling({*lower, *upper, downstream}, 0.1);
  PlainDescent upper_descent(coupling.parameters(), rate);
  UpperLevel upper_level(coupling, *hypergradient, upper_descent, 10);
  for (int64_t step = 0; step < steps / 2; ++step) {
    level.step(views(step), 1.0, {step, steps / 2}, {});
    PretextProblem problem(*lower, *pretext, {views(step + steps)},
                           {.lambda = 0.1, .noise_seed = 3});
    const auto next = [&]() -> OuterBatch {
      return {.images = views(step + 2 * steps)[0], .targets = small_targets(samples)};
    };
    upper_level.step(UpperLevel::Batches{.parts = 1, .next = next}, problem, 4, 1.0);
  }
  return state_of({&lower->module(), &upper->module(), &pretext->module(), &downstream.module()});
}

at::Tensor finetuned() {
  const auto backbone = make_backbone();
  seed_generator(7);
  SmallDownstream downstream;
  const NamedTensors parameters = upper_parameters(*backbone, downstream);
  PlainDescent descent(parameters, rate);
  TrainingStep training(parameters, descent, {.max_grad_norm = 10, .name = "test", .advice = ""});
  for (int64_t step = 0; step < steps; ++step) {
    training.take(
        downstream_gradient(*backbone, downstream, training.parameters(),
                            {.images = views(step)[0], .targets = small_targets(samples)}),
        1.0);
  }
  return state_of({&backbone->module(), &downstream.module()});
}

/// While it lives, backbones are made in a form.
class FormInUse {
 public:
  explicit FormInUse(const BackboneForm& form) : outer_(std::exchange(form_of_backbones, form)) {}
  ~FormInUse() { form_of_backbones = outer_; }
  FormInUse(const FormInUse&) = delete;
  FormInUse& operator=(const FormInUse&) = delete;

 private:
  BackboneForm outer_;
};

/// What follows `prefix` in `text`; nothing where it does not begin so.
std::optional<std::string> rest_after(const std::string& prefix, const std::string& text) {
  return text.starts_with(prefix) ? std::optional(text.substr(prefix.size())) : std::nullopt;
}

}  // namespace

at::Tensor weights_after(const std::string& training) {
  if (const auto of_parts = rest_after("local/", training)) {
    const BatchStatisticsScope local(BatchStatistics::local);
    return weights_after(*of_parts);
  }
  if (const auto of_library = rest_after("library/", training)) {
    BackboneForm form = form_of_backbones;
    form.library = true;
    const FormInUse in_use(form);
    return weights_after(*of_library);
  }
  if (training == "finetune") {
    return finetuned();
  }
  const auto approximator = rest_after("bissl/", training);
  return approximator ? after_rounds(*approximator) : pretrained(training);
}

at::Tensor weights_after_parts(const std::string& training, int parts) {
  BackboneForm form;
  form.parts = parts;
  const FormInUse in_use(form);
  return weights_after(training);
}

at::Tensor weights_before() { return state_of({&make_backbone()->module()}); }

at::Tensor noisy_features() {
  BackboneForm form;
  form.noise = 0.5;
  const FormInUse in_use(form);
  const auto backbone = make_backbone();
  seed_generator(8);
  // All samples are the same, so that equal features are those with equal random numbers.
  const at::Tensor images = views(0)[0].narrow(0, 0, 1).expand({samples, 1, 8, 8});
  const at::Tensor features = backbone->forward(images).detach();
  return torch::cat({features.flatten(), torch::rand({1}, torch::kDouble)});
}

at::Tensor gradients_both_ways() {
  const auto backbone = make_backbone();
  TensorList parameters = tensors_of(trainable_parameters(backbone->module()));
  parameters.insert(parameters.begin() + 1, torch::ones({5}, torch::kDouble).requires_grad_(true));
  const auto loss = [&] { return backbone->forward(views(0)[0]).pow(3).sum(); };
  const TensorList after = gradients_of(loss(), parameters);
  const TensorList during = mean_gradients(loss(), parameters, buckets_of(parameters, 100));
  return torch::stack({flatten(after), flatten(during)});
}

}  // namespace bissl::host::test
