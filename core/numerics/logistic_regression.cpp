#include "numerics/logistic_regression.h"

#include "bissl/error.h"
#include "bissl/random.h"
#include "numerics/lbfgs.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// Rows of features with their labels, numbered over the classes that have any.
struct Rows {
  at::Tensor features;  ///< (N, D), double
  at::Tensor labels;    ///< (N), int64
  int64_t classes = 0;

  Rows chosen(const std::vector<int64_t>& numbers) const {
    const at::Tensor index = at::tensor(numbers, at::kLong);
    return {features.index_select(0, index), labels.index_select(0, index), classes};
  }
};

/// Means and standard deviations of features, by which they are brought to one scale.
struct Scale {
  at::Tensor mean;
  at::Tensor deviation;  ///< 1 for a constant feature
  at::Tensor varies;     ///< 0 for a constant feature, else 1

  explicit Scale(const at::Tensor& features) : mean(features.mean(0)) {
    deviation = features.sub(mean).square().mean(0).sqrt();
    // What sums of equal numbers leave over is no variation.
    constexpr double rounding = 1e-7;
    const at::Tensor constant = deviation.le(features.abs().amax(0).mul(rounding));
    varies = constant.logical_not().to(at::kDouble);
    deviation = deviation.masked_fill(constant, 1.0);
  }

  at::Tensor apply(const at::Tensor& features) const {
    return features.sub(mean).div_(deviation).mul_(varies);
  }
};

/// The parameters (V, c) as one vector: K·D weights, then K biases.
struct Model {
  at::Tensor weight;
  at::Tensor bias;

  Model(const at::Tensor& vector, int64_t classes, int64_t features)
      : weight(vector.narrow(0, 0, classes * features).view({classes, features})),
        bias(vector.narrow(0, classes * features, classes)) {}

  at::Tensor logits(const at::Tensor& features) const {
    return at::addmm(bias, features, weight.t());
  }
};

double mean_cross_entropy(const at::Tensor& log_probabilities, const at::Tensor& labels) {
  return -log_probabilities.gather(1, labels.unsqueeze(1)).mean().item<double>();
}

/// The least of mean cross entropy + (ridge/2)·‖V‖² over rows that are in one scale.
LbfgsResult fit_scaled(const Rows& rows, double ridge, const at::Tensor& start,
                       const LogisticSetting& setting) {
  const int64_t width = rows.features.size(1);
  const auto count = static_cast<double>(rows.labels.size(0));
  const SmoothFunction objective = [&](const at::Tensor& x, at::Tensor& gradient) {
    const Model model(x, rows.classes, width);
    Model slope(gradient, rows.classes, width);
    const at::Tensor log_probabilities = at::log_softmax(model.logits(rows.features), 1);
    const double loss = mean_cross_entropy(log_probabilities, rows.labels);
    at::Tensor excess = log_probabilities.exp();
    const at::Tensor truth = rows.labels.unsqueeze(1);
    excess.scatter_add_(1, truth, at::full({excess.size(0), 1}, -1.0, excess.options()));
    excess.div_(count);
    slope.weight.copy_(at::mm(excess.t(), rows.features)).add_(model.weight, ridge);
    slope.bias.copy_(excess.sum(0));
    return loss + 0.5 * ridge * model.weight.square().sum().item<double>();
  };
  return lbfgs(objective, start,
               {.iterations = setting.iterations, .tolerance = setting.tolerance});
}

/// Which rows are fitted on and which are held out, in ascending order.
struct Split {
  std::vector<int64_t> fitted;
  std::vector<int64_t> held_out;
};

/// Holds out that share of each class's samples, at least one and not all of them; of a class with
/// one sample none.
Split hold_out(const at::Tensor& labels, const LogisticSetting& setting) {
  const int64_t rows = labels.size(0);
  const int64_t samples = setting.samples > 0 ? setting.samples : rows;
  const int64_t* label = labels.data_ptr<int64_t>();
  std::map<int64_t, std::vector<int64_t>> of_class;
  for (int64_t i = 0; i < samples; ++i) {
    of_class[label[i]].push_back(i);
  }
  std::vector<bool> held(static_cast<size_t>(samples), false);
  for (const auto& [number, members] : of_class) {
    RandomStream stream(setting.seed, "logistic-regression", 0, static_cast<uint64_t>(number));
    const std::vector<int64_t> order = permutation(stream, static_cast<int64_t>(members.size()));
    const auto size = static_cast<int64_t>(members.size());
    const auto wanted = std::llround(setting.held_out * static_cast<double>(size));
    const int64_t taken = std::min<int64_t>(std::max<int64_t>(wanted, 1), size - 1);
    for (int64_t i = 0; i < taken; ++i) {
      const auto place = static_cast<size_t>(order[static_cast<size_t>(i)]);
      held[static_cast<size_t>(members[place])] = true;
    }
  }
  Split result;
  for (int64_t i = 0; i < rows; ++i) {
    (held[static_cast<size_t>(i % samples)] ? result.held_out : result.fitted).push_back(i);
  }
  return result;
}

/// What came of the search for a ridge.
struct Choice {
  double ridge = 1;
  std::optional<LogitScore> held_out{};
  at::Tensor start{};  ///< the parameters of the fit at the ridge
};

Choice choose_ridge(const Rows& rows, const at::Tensor& start, const LogisticSetting& setting) {
  constexpr std::array<double, 8> path = {10, 1, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6};
  constexpr int64_t patience = 2;
  Choice best{.start = start};
  const Split parts = hold_out(rows.labels, setting);
  if (parts.held_out.empty()) {
    return best;
  }
  const Rows fitted = rows.chosen(parts.fitted);
  const Rows held = rows.chosen(parts.held_out);
  at::Tensor from = start;
  int64_t worse = 0;
  for (const double ridge : path) {
    from = fit_scaled(fitted, ridge, from, setting).x;
    const Model model(from, rows.classes, rows.features.size(1));
    const LogitScore score = score_logits(model.logits(held.features), held.labels);
    if (!best.held_out || score.loss < best.held_out->loss) {
      best.held_out = score;
      best.ridge = ridge;
      best.start = from;
      worse = 0;
    } else if (++worse == patience) {
      break;
    }
  }
  return best;
}

void require_problem(const at::Tensor& features, const at::Tensor& labels, int64_t classes,
                     const LogisticSetting& setting) {
  if (features.dim() != 2 || labels.dim() != 1 || features.size(0) != labels.size(0) ||
      features.size(0) == 0) {
    fail_input(
        "a logistic regression takes features (N, D) and labels (N) with N ≥ 1; these have {} "
        "dimensions with {} rows, and {} labels",
        features.dim(), features.dim() > 0 ? features.size(0) : 0, labels.numel());
  }
  if (setting.samples < 0 || (setting.samples > 0 && features.size(0) % setting.samples != 0)) {
    fail_input("{} rows of features are no whole number of views of {} samples", features.size(0),
               setting.samples);
  }
  if (setting.ridge && !(*setting.ridge > 0 && std::isfinite(*setting.ridge))) {
    fail_input("the ridge of a logistic regression is a number above 0, not {}", *setting.ridge);
  }
  if (!at::isfinite(features).all().item<bool>()) {
    fail_input(
        "the features of a logistic regression are not all finite ({} of {} numbers are not): the "
        "backbone that made them has diverged",
        at::isfinite(features).logical_not().sum().item<int64_t>(), features.numel());
  }
  const auto lowest = labels.min().item<int64_t>();
  const auto highest = labels.max().item<int64_t>();
  if (lowest < 0 || highest >= classes) {
    fail_input("labels of a logistic regression of {} classes are 0 … {}; these have {}", classes,
               classes - 1, lowest < 0 ? lowest : highest);
  }
}

/// Puts what was fitted over the classes that have rows into all of them, in the features' scale.
void write_model(const Model& fitted, const Scale& scale, const std::vector<int64_t>& present,
                 int64_t rows, LogisticFit& result) {
  const at::Tensor index = at::tensor(present, at::kLong);
  const at::Tensor weight = fitted.weight.mul(scale.varies).div(scale.deviation);
  at::Tensor bias = fitted.bias.sub(weight.matmul(scale.mean));
  // The constant that a softmax does not see.
  bias = bias.sub(bias.mean());
  result.bias.fill_(bias.min().item<double>() - std::log(static_cast<double>(rows) + 1.0));
  result.weight.index_copy_(0, index, weight);
  result.bias.index_copy_(0, index, bias);
}

}  // namespace

LogitScore score_logits(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor values = logits.to(at::kDouble);
  const at::Tensor largest = values.argmax(1);
  return {.loss = mean_cross_entropy(at::log_softmax(values, 1), labels),
          .accuracy = largest.eq(labels).to(at::kDouble).mean().item<double>()};
}

LogisticFit fit_logistic_regression(const at::Tensor& features, const at::Tensor& labels,
                                    int64_t classes, const LogisticSetting& setting) {
  const c10::NoGradGuard no_grad;
  require_problem(features, labels, classes, setting);
  const at::Tensor values = features.detach().to(at::kCPU, at::kDouble);
  const at::Tensor of_rows = labels.to(at::kCPU, at::kLong).contiguous();
  const int64_t width = values.size(1);

  std::vector<int64_t> present;
  at::Tensor numbers = at::zeros({classes}, at::kLong);  // of all classes among those present
  for (int64_t i = 0; i < classes; ++i) {
    if (of_rows.eq(i).any().item<bool>()) {
      numbers[i] = static_cast<int64_t>(present.size());
      present.push_back(i);
    }
  }
  const Scale scale(values);
  const Rows rows{scale.apply(values), numbers.index_select(0, of_rows),
                  static_cast<int64_t>(present.size())};
  const at::Tensor zero = at::zeros({rows.classes * (width + 1)}, at::kDouble);

  const Choice choice = setting.ridge ? Choice{.ridge = *setting.ridge, .start = zero}
                                      : choose_ridge(rows, zero, setting);
  const LbfgsResult fitted = fit_scaled(rows, choice.ridge, choice.start, setting);

  LogisticFit result;
  result.weight = at::zeros({classes, width}, at::kDouble);
  result.bias = at::zeros({classes}, at::kDouble);
  write_model(Model(fitted.x, rows.classes, width), scale, present, rows.labels.size(0), result);
  result.ridge = choice.ridge;
  if (choice.held_out) {
    result.held_out_loss = choice.held_out->loss;
    result.held_out_accuracy = choice.held_out->accuracy;
  }
  result.converged = fitted.converged;
  const LogitScore score = score_logits(at::addmm(result.bias, values, result.weight.t()), of_rows);
  result.loss = score.loss;
  result.accuracy = score.accuracy;
  return result;
}

}  // namespace bissl::host
