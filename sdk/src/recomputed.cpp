#include "bissl/recomputed.h"

#include "bissl/autocast.h"
#include "bissl/layers.h"
#include "bissl/tensor_list.h"
#include "divided_sum.h"
#include "layer_recorder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>
#include <torch/nn/module.h>

#include <mutex>
#include <optional>
#include <utility>

// A pass is a function of tensors that is computed without a graph, from its inputs alone. Its
// gradient is a pass as well, of the same inputs and the cotangents: it computes the first one with
// a graph, differentiates it and forgets the graph. So passes of all orders are nodes of one kind,
// and none keeps more than its inputs.

namespace bissl {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor state_of(at::Generator generator) {
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_state(at::Generator generator, const at::Tensor& state) {
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

/// LibTorch's generators from which a layer on `device` draws.
std::vector<at::Generator> generators_of(const at::Device& device) {
  std::vector<at::Generator> generators{at::detail::getDefaultCPUGenerator()};
  if (!device.is_cpu()) {
    generators.push_back(at::globalContext().defaultGenerator(device));
  }
  return generators;
}

/// What a repetition of forward() needs to be one, and how it leaves no trace.
class Circumstances {
 public:
  Circumstances(std::shared_ptr<torch::nn::Module> layer, at::Device device)
      : layer_(std::move(layer)),
        device_(device),
        autocast_(autocast_state(device.type())),
        sum_(sum_of_scope()) {
    for (const auto& module : layer_->modules()) {
      modes_.emplace_back(module, module->is_training());
    }
    for (const at::Generator& generator : generators_of(device_)) {
      drawn_from_.push_back(state_of(generator));
    }
  }

  /// After the first call: states that it has not moved are not kept.
  void forget_unused_states() {
    const auto generators = generators_of(device_);
    for (size_t i = 0; i < generators.size(); ++i) {
      if (at::equal(state_of(generators[i]), drawn_from_[i])) {
        drawn_from_[i].reset();
      }
    }
  }

  /// As it was at the first call, while it lives.
  class Again {
   public:
    explicit Again(const Circumstances& then)
        : then_(then), autocast_(then.device_.type(), then.autocast_), divided_(then.sum_) {
      const c10::NoGradGuard no_grad;
      for (const at::Tensor& buffer : then_.layer_->buffers()) {
        buffers_.push_back(buffer);
        values_.push_back(buffer.detach().clone());
      }
      const auto generators = generators_of(then_.device_);
      for (size_t i = 0; i < generators.size(); ++i) {
        states_.push_back(then_.drawn_from_[i].defined() ? state_of(generators[i]) : at::Tensor());
        if (states_[i].defined()) {
          set_state(generators[i], then_.drawn_from_[i]);
        }
      }
      for (const auto& [module, mode] : then_.modes_) {
        modes_.push_back(module->is_training());
      }
      set_modes([&](size_t i) { return then_.modes_[i].second; });
    }

    ~Again() {
      const c10::NoGradGuard no_grad;
      set_modes([&](size_t i) { return modes_[i]; });
      for (size_t i = 0; i < buffers_.size(); ++i) {
        if (buffers_[i].sizes() == values_[i].sizes() &&
            buffers_[i].scalar_type() == values_[i].scalar_type()) {
          buffers_[i].variable_data().copy_(values_[i]);  // graphs check the version counters
        } else {  // forward() has changed its shape, and nothing may throw here
          buffers_[i].set_data(values_[i]);
        }
      }
      const auto generators = generators_of(then_.device_);
      for (size_t i = 0; i < generators.size(); ++i) {
        if (states_[i].defined()) {
          set_state(generators[i], states_[i]);
        }
      }
    }
    Again(const Again&) = delete;
    Again& operator=(const Again&) = delete;

   private:
    /// Modules stand before those that they hold, to which train() passes the mode on.
    template <class Mode>
    void set_modes(const Mode& mode) {
      for (size_t i = 0; i < modes_.size(); ++i) {
        if (then_.modes_[i].first->is_training() != mode(i)) {
          then_.modes_[i].first->train(mode(i));
        }
      }
    }

    const Circumstances& then_;
    const AutocastScope autocast_;
    const DividedBatch divided_;
    const LayerRecorder unnoted_;
    TensorList buffers_;
    TensorList values_;
    TensorList states_;
    std::vector<bool> modes_;
  };

 private:
  std::shared_ptr<torch::nn::Module> layer_;
  at::Device device_;
  AutocastState autocast_;  ///< of the thread that made the first call
  SharedSum sum_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
  TensorList drawn_from_;  ///< undefined where nothing was drawn
};

class Pass : public torch::CustomClassHolder {
 public:
  /// The results, each defined, with a graph where the gradient mode is on.
  virtual variable_list run(const variable_list& inputs) = 0;
  /// Whether input `i` is a parameter, which forward() reads from its layer.
  virtual bool is_parameter(size_t i) const = 0;

  /// run() without a graph, but with its own inside.
  variable_list run_alone(const variable_list& inputs) {
    variable_list leaves;
    for (size_t i = 0; i < inputs.size(); ++i) {
      leaves.push_back(is_parameter(i)
                           ? inputs[i]
                           : inputs[i].detach().requires_grad_(inputs[i].requires_grad()));
    }
    return run(leaves);
  }
};

using SharedPass = c10::intrusive_ptr<Pass>;

/// (x, θ…) → (forward(x)).
class FirstPass final : public Pass {
 public:
  FirstPass(std::shared_ptr<torch::nn::Module> layer, at::Device device,
            std::function<at::Tensor(const at::Tensor&)> forward)
      : circumstances_(std::move(layer), device), forward_(std::move(forward)) {}

  variable_list run(const variable_list& inputs) override {
    if (!std::exchange(was_run_, true)) {
      const at::Tensor result = forward_(inputs[0]);
      circumstances_.forget_unused_states();
      return {result};
    }
    const Circumstances::Again again(circumstances_);
    return {forward_(inputs[0])};
  }

  bool is_parameter(size_t i) const override { return i > 0; }

 private:
  Circumstances circumstances_;
  std::function<at::Tensor(const at::Tensor&)> forward_;
  bool was_run_ = false;
};

/// (inputs of `of`…, a cotangent for each of its results…) → the derivatives in those of the inputs
/// that `wanted` says.
class GradientPass final : public Pass {
 public:
  GradientPass(SharedPass of, std::vector<bool> wanted)
      : of_(std::move(of)), wanted_(std::move(wanted)) {}

  variable_list run(const variable_list& all) override {
    const auto place = all.begin() + static_cast<int64_t>(wanted_.size());
    const variable_list inputs(all.begin(), place);
    const bool differentiable = at::GradMode::is_enabled();
    const at::AutoGradMode with_graph(true);
    variable_list leaves;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (wanted_[i]) {
        leaves.push_back(inputs[i]);
      }
    }
    variable_list results;
    variable_list cotangents;
    const variable_list found = of_->run(inputs);
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i].requires_grad()) {
        results.push_back(found[i]);
        cotangents.push_back(*(place + static_cast<int64_t>(i)));
      }
    }
    variable_list gradients(leaves.size());
    if (!results.empty()) {
      gradients = torch::autograd::grad(results, leaves, cotangents, differentiable, differentiable,
                                        /*allow_unused=*/true);
    }
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) {
        gradients[i] = at::zeros_like(leaves[i]);
      }
    }
    return gradients;
  }

  bool is_parameter(size_t i) const override { return i < wanted_.size() && of_->is_parameter(i); }

 private:
  SharedPass of_;
  std::vector<bool> wanted_;
};

struct Recomputed : public Function<Recomputed> {
  static variable_list forward(AutogradContext* context, at::TensorList inputs,
                               const SharedPass& pass) {
    context->save_for_backward(inputs.vec());
    context->saved_data["pass"] = c10::IValue::make_capsule(pass);
    return pass->run_alone(inputs.vec());
  }

  static variable_list backward(AutogradContext* context, const variable_list& cotangents) {
    variable_list all = context->get_saved_variables();
    std::vector<bool> wanted;
    for (const at::Tensor& input : all) {
      wanted.push_back(input.requires_grad());
    }
    const auto pass =
        c10::static_intrusive_pointer_cast<Pass>(context->saved_data["pass"].toCapsule());
    all.insert(all.end(), cotangents.begin(), cotangents.end());
    const variable_list found = Recomputed::apply(
        at::TensorList(all), SharedPass(c10::make_intrusive<GradientPass>(pass, wanted)));
    variable_list gradients;
    auto next = found.begin();
    for (const bool is_wanted : wanted) {
      gradients.push_back(is_wanted ? *next++ : at::Tensor());
    }
    gradients.emplace_back();  // of the pass
    return gradients;
  }
};

}  // namespace

at::Tensor recomputed(const std::shared_ptr<torch::nn::Module>& layer, const at::Tensor& input,
                      std::function<at::Tensor(const at::Tensor&)> forward) {
  TensorList inputs{input};
  bool differentiable = input.requires_grad();
  for (const at::Tensor& parameter : layer->parameters()) {
    if (parameter.requires_grad()) {
      inputs.push_back(parameter);
      differentiable = true;
    }
  }
  if (!differentiable || !at::GradMode::is_enabled() || layers_are_recorded()) {
    return forward(input);
  }
  const SharedPass pass = c10::make_intrusive<FirstPass>(layer, input.device(), std::move(forward));
  return Recomputed::apply(at::TensorList(inputs), pass)[0];
}

}  // namespace bissl
