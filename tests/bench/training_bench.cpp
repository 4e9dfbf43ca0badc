// Times training steps of a ResNet-18, and its evaluation, as the stages make them, on batches of
// noise. training_step.py runs it in turns with PyTorch.
//
//     training_bench pretrain|finetune|evaluate imagenet|small SIZE BATCH THREADS STEPS [fp32|bf16]
//
// prints for each step but the first the seconds of the processor (user and system, all threads)
// and those of the clock.

#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/precision.h"
#include "models/training_step.h"
#include "sdk/plugin_library.h"

#include <ATen/Parallel.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

struct Work {
  std::string kind;
  std::string stem;
  int64_t size = 64;
  int64_t batch = 128;
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

NamedTensors joined(NamedTensors first, const NamedTensors& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// A backbone whose passes are in the precision of now, as those of a stage are.
class PreciseBackbone final : public Backbone {
 public:
  explicit PreciseBackbone(std::shared_ptr<Backbone> inner) : inner_(std::move(inner)) {}
  at::Tensor forward(const at::Tensor& images) override {
    return in_precision(images, [&]() -> TensorList { return {inner_->forward(images)}; })[0];
  }
  int64_t features() const override { return inner_->features(); }
  torch::nn::Module& module() override { return inner_->module(); }

 private:
  std::shared_ptr<Backbone> inner_;
};

/// The networks of a stage, with what a step of it does.
class Trained {
 public:
  explicit Trained(const Work& work) : work_(work) {
    const ImageShape image{3, work.size, work.size};
    seed_generator(0);
    backbone_ = std::make_shared<PreciseBackbone>(
        libraries_[0].make<Backbone>("resnet18", {{"stem", work.stem}}, {image}));
    pretext_ = libraries_[1].make<Pretext>("simclr", {}, {backbone_->features()});
    downstream_ = libraries_[2].make<Downstream>(
        "classification", {}, {backbone_->features(), {TargetKind::category, 10, {}}});
    const torch::nn::Module& head =
        work.kind == "pretrain" ? pretext_->module() : downstream_->module();
    const NamedTensors parameters =
        joined(trainable_parameters(backbone_->module()), trainable_parameters(head));
    optimizer_ =
        libraries_[3].make<Optimizer>("sgd", {{"lr", 1e-3}, {"weight_decay", 1e-4}}, {parameters});
    step_ = std::make_unique<TrainingStep>(parameters, *optimizer_, TrainingStep::Setting{});
    views_ = at::randn({2, work.batch, 3, work.size, work.size}).unbind();
    if (work.kind == "evaluate") {
      backbone_->module().eval();
      downstream_->module().eval();
    }
    targets_ = {at::randint(10, {work.batch}, at::kLong)};
  }

  void step() {
    if (work_.kind == "pretrain") {
      step_->take(loss_gradient(*pretext_, *backbone_, step_->parameters(),
                                [&] { return pretext_->loss(*backbone_, {views_}); }),
                  1.0);
    } else if (work_.kind == "finetune") {
      step_->take(downstream_gradient(*backbone_, *downstream_, step_->parameters(),
                                      {.images = views_[0], .targets = targets_}),
                  1.0);
    } else {
      const c10::NoGradGuard no_grad;
      head_outputs(*backbone_, *downstream_, views_[0]);
    }
  }

 private:
  // Libraries outlive what they made.
  const std::array<test::PluginLibrary, 4> libraries_{
      test::PluginLibrary("resnet"), test::PluginLibrary("simclr"),
      test::PluginLibrary("classification"), test::PluginLibrary("optimizers")};
  Work work_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Pretext> pretext_;
  std::shared_ptr<Downstream> downstream_;
  std::shared_ptr<Optimizer> optimizer_;
  std::unique_ptr<TrainingStep> step_;
  Views views_;
  TargetBatch targets_;
};

}  // namespace
}  // namespace bissl::host

int main(int argc, char** argv) {
  using namespace bissl::host;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() != 6 && arguments.size() != 7) {
    fmt::print(stderr,
               "kind, stem, size, batch, threads, steps and maybe a precision are wanted\n");
    return 2;
  }
  const PrecisionScope precision(arguments.size() == 7 ? precision_named(arguments[6])
                                                       : Precision::fp32);
  at::set_num_threads(std::stoi(arguments[4]));
  Trained trained({arguments[0], arguments[1], std::stoll(arguments[2]), std::stoll(arguments[3])});
  trained.step();
  for (int i = 0; i < std::stoi(arguments[5]); ++i) {
    const double processor = processor_seconds();
    const double clock = clock_seconds();
    trained.step();
    fmt::print("{:.6f} {:.6f}\n", processor_seconds() - processor, clock_seconds() - clock);
  }
}
