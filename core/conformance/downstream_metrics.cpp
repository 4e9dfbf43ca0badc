#include "conformance/downstream_trial.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

namespace bissl {
namespace {

using Values = std::map<std::string, double>;
using Batches = std::vector<std::pair<at::Tensor, at::Tensor>>;

Values values_of(const Metrics& metrics) {
  require(!metrics.empty(), "result() gave no metric; there must be at least one");
  Values values;
  for (const auto& [name, value] : metrics) {
    require(!name.empty(), "a metric has an empty name");
    require(std::isfinite(value), "metric {} is {}", name, value);
    require(values.emplace(name, value).second, "there are two metrics {}", name);
  }
  return values;
}

void add(MetricAccumulator& metrics, const at::Tensor& outputs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  metrics.add(outputs.clone(), {targets.clone()});
}

std::unique_ptr<MetricAccumulator> fresh(const HeadTrial& trial) {
  auto metrics = trial.task->metrics();
  require(metrics != nullptr, "metrics() gave nothing");
  return metrics;
}

Values metrics_of(const HeadTrial& trial, const Batches& batches) {
  const EvaluationOf mode(*trial.task);
  const auto metrics = fresh(trial);
  for (const auto& [outputs, targets] : batches) {
    add(*metrics, outputs, targets);
  }
  return values_of(metrics->result());
}

/// Outputs and targets cut into batches of these sizes.
Batches cut(const at::Tensor& outputs, const at::Tensor& targets,
            const std::vector<int64_t>& sizes) {
  Batches batches;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    batches.emplace_back(outputs.narrow(0, begin, size), targets.narrow(0, begin, size));
    begin += size;
  }
  return batches;
}

void require_near(const Values& found, const Values& expected, const std::string& when) {
  require(found.size() == expected.size(), "there are {} metrics {}, {} otherwise", found.size(),
          when, expected.size());
  for (const auto& [name, value] : expected) {
    const auto one = found.find(name);
    require(one != found.end(), "metric {} is missing {}", name, when);
    require(std::abs(one->second - value) <= 1e-5 * (1 + std::abs(value)),
            "{} is {}, and {} {}; gather sums and counts over all batches, and divide in result()",
            name, value, one->second, when);
  }
}

void check_batches(const HeadTrial& trial) {
  const at::Tensor outputs = trial.outputs.to(at::kFloat);
  const Values whole = metrics_of(trial, {{outputs, trial.targets}});
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{5, 7}, std::vector<int64_t>{7, 5}, std::vector<int64_t>{4, 4, 4},
        std::vector<int64_t>{5, 6, 1}, std::vector<int64_t>{1, 11}}) {
    require_near(metrics_of(trial, cut(outputs, trial.targets, sizes)), whole,
                 fmt::format("in {} batches, the first of {} samples", sizes.size(), sizes[0]));
  }
}

/// Two sets of outputs whose metrics differ, if any do.
std::pair<at::Tensor, at::Tensor> two_outputs(const HeadTrial& trial) {
  const at::Tensor one = trial.outputs.to(at::kFloat);
  if (!trial.scores) {
    return {one, one * -3 + 1};
  }
  return {decided_scores(trial.targets, trial.classes, trial.classes, 0, 10).to(at::kFloat),
          decided_scores(trial.targets, trial.classes, trial.classes, 1, 10).to(at::kFloat)};
}

void check_passes(const HeadTrial& trial) {
  const EvaluationOf mode(*trial.task);
  const auto [right, second] = two_outputs(trial);
  // Right and wrong by turns: batches of different shares show a mean of the wrong things.
  const at::Tensor first = right.clone();
  for (int64_t i = 1; i < HeadTrial::samples; i += 2) {
    first[i].copy_(second[i]);
  }
  const Batches batches = cut(first, trial.targets, {5, 7});
  const Values expected = metrics_of(trial, batches);
  const Values other = metrics_of(trial, {{second, trial.targets}});
  require(metrics_of(trial, batches) == expected,
          "a second pass over the same data gives other metrics; a fresh accumulator must know "
          "nothing of earlier ones");
  const auto a = fresh(trial);
  const auto b = fresh(trial);
  add(*a, batches[0].first, batches[0].second);
  add(*b, second, trial.targets);
  a->result();
  add(*a, batches[1].first, batches[1].second);
  require(
      values_of(a->result()) == expected,
      "result() in the midst of a pass, or an accumulator beside it, changes what a pass gives");
  require(values_of(a->result()) == expected, "result() gives other metrics at a second call");
  require(values_of(b->result()) == other,
          "two accumulators share their state; each pass must have its own");
  add(*a, second, trial.targets);
  require(metrics_of(trial, batches) == expected,
          "a pass gives other metrics while another accumulator is in use");
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::erase_if(text, [](char c) { return c == '-' || c == '_' || c == ' '; });
  return text;
}

/// What a metric is by its name.
enum class Meaning { accuracy, top_k, error, loss, other };

Meaning meaning_of(const std::string& name) {
  const std::string word = lower_case(name);
  const auto has = [&](const char* part) { return word.find(part) != std::string::npos; };
  if (has("loss")) {
    return Meaning::loss;
  }
  if (has("error") && !has("square")) {
    return Meaning::error;
  }
  if (word == "top1" || has("acc")) {
    return has("top") && word.find("top1") == std::string::npos ? Meaning::top_k
                                                                : Meaning::accuracy;
  }
  return word.rfind("top", 0) == 0 ? Meaning::top_k : Meaning::other;
}

void check_right_and_wrong(const HeadTrial& trial) {
  const auto [right_outputs, wrong_outputs] = two_outputs(trial);
  const Values right = metrics_of(trial, {{right_outputs, trial.targets}});
  const Values wrong = metrics_of(trial, {{wrong_outputs, trial.targets}});
  bool differ = false;
  for (const auto& [name, value] : right) {
    require(wrong.count(name) > 0, "metric {} is missing for wrong outputs", name);
    const double other = wrong.at(name);
    differ = differ || other != value;
    const Meaning meaning = meaning_of(name);
    if (meaning == Meaning::accuracy || meaning == Meaning::top_k) {
      require(value == 1.0, "{} of right outputs is {}; expected 1, metrics are fractions", name,
              value);
    }
    if (meaning == Meaning::accuracy) {
      require(other == 0.0, "{} of wrong outputs is {}; expected 0", name, other);
    }
    if (meaning == Meaning::error) {
      require(value == 0.0 && other <= 1.0,
              "{} of right outputs is {}, of wrong ones {}; expected 0 and at most 1", name, value,
              other);
    }
    if (meaning == Meaning::loss) {
      require(value < other, "{} of right outputs is {}, of wrong ones {}; expected less", name,
              value, other);
    }
  }
  require(differ, "no metric tells right outputs from wrong ones");
  // Seven of twelve right, in two batches.
  constexpr int64_t correct = 7;
  at::Tensor mixed = wrong_outputs.clone();
  mixed.narrow(0, 0, correct).copy_(right_outputs.narrow(0, 0, correct));
  const Values part = metrics_of(trial, cut(mixed, trial.targets, {8, 4}));
  const double share = double(correct) / double(HeadTrial::samples);
  for (const auto& [name, value] : part) {
    const std::string word = lower_case(name);
    require((word != "top1" && word != "accuracy" && word != "top1accuracy") ||
                std::abs(value - share) < 1e-5,
            "{} is {} when {} of {} outputs are right; expected {}", name, value, correct,
            HeadTrial::samples, share);
  }
}

}  // namespace

void check_metrics(Checker& checker, const HeadTrial& trial) {
  checker.check("metrics do not depend on how the data is cut into batches",
                [&] { check_batches(trial); });
  checker.check("metrics of two passes are the same, and passes do not mix",
                [&] { check_passes(trial); });
  checker.check("metrics of right and wrong outputs", [&] {
    if (!trial.scores) {
      throw NotApplicable("outputs are not (N, classes)");
    }
    check_right_and_wrong(trial);
  });
}

}  // namespace bissl
