#include "conformance/downstream_trial.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

namespace bissl::host {
namespace {

using Values = std::map<std::string, double>;
using Batches = std::vector<std::pair<at::Tensor, TargetBatch>>;

Values values_of(const Metrics& metrics) {
  require(!metrics.empty(), "result() gave no metric; there must be at least one");
  Values values;
  for (const auto& [name, value] : metrics) {
    require(std::isfinite(value), "metric {} is {}", name, value);
    require(values.emplace(name, value).second, "there are two metrics {}", name);
  }
  return values;
}

void add(MetricAccumulator& metrics, const at::Tensor& outputs, const TargetBatch& targets) {
  const c10::NoGradGuard no_grad;
  metrics.add(outputs.clone(), {targets.dense.clone()});
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
Batches cut(const at::Tensor& outputs, const TargetBatch& targets,
            const std::vector<int64_t>& sizes) {
  Batches batches;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    batches.emplace_back(outputs.narrow(0, begin, size), part_of(targets, begin, size));
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
  const TargetBatch targets = in_single(trial.targets);
  const Values whole = metrics_of(trial, {{outputs, targets}});
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{5, 7}, std::vector<int64_t>{7, 5}, std::vector<int64_t>{4, 4, 4},
        std::vector<int64_t>{5, 6, 1}, std::vector<int64_t>{1, 11}}) {
    require_near(metrics_of(trial, cut(outputs, targets, sizes)), whole,
                 fmt::format("in {} batches, the first of {} samples", sizes.size(), sizes[0]));
  }
}

/// Right outputs and wrong ones where the task is direct, otherwise two that differ.
std::pair<at::Tensor, at::Tensor> two_outputs(const HeadTrial& trial) {
  if (!trial.direct) {
    const at::Tensor one = trial.outputs.to(at::kFloat);
    return {one, one * -3 + 1};
  }
  return {decided_outputs(trial.spec, trial.targets, 0, 10).to(at::kFloat),
          decided_outputs(trial.spec, trial.targets, 1, 10).to(at::kFloat)};
}

void check_passes(const HeadTrial& trial) {
  const EvaluationOf mode(*trial.task);
  const auto [right, second] = two_outputs(trial);
  const TargetBatch targets = in_single(trial.targets);
  // Right and wrong by turns: batches of different shares show a mean of the wrong things.
  const at::Tensor first = right.clone();
  for (int64_t i = 1; i < HeadTrial::samples; i += 2) {
    first[i].copy_(second[i]);
  }
  const Batches batches = cut(first, targets, {5, 7});
  const Values expected = metrics_of(trial, batches);
  const Values other = metrics_of(trial, {{second, targets}});
  require(metrics_of(trial, batches) == expected,
          "a second pass over the same data gives other metrics; a fresh accumulator must know "
          "nothing of earlier ones");
  const auto a = fresh(trial);
  const auto b = fresh(trial);
  add(*a, batches[0].first, batches[0].second);
  add(*b, second, targets);
  a->result();
  add(*a, batches[1].first, batches[1].second);
  require(
      values_of(a->result()) == expected,
      "result() in the midst of a pass, or an accumulator beside it, changes what a pass gives");
  require(values_of(a->result()) == expected, "result() gives other metrics at a second call");
  require(values_of(b->result()) == other,
          "two accumulators share their state; each pass must have its own");
  add(*a, second, targets);
  require(metrics_of(trial, batches) == expected,
          "a pass gives other metrics while another accumulator is in use");
}

bool is_metric_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

void check_declared(const HeadTrial& trial) {
  const std::vector<MetricInfo> declared = trial.task->metric_info();
  std::set<std::string> names;
  require(!declared.empty(), "metric_info() declares no metric; there must be at least one");
  for (const MetricInfo& info : declared) {
    require(is_metric_name(info.name),
            "a metric is called \"{}\"; names are of letters, digits, \"_\" and \"-\"", info.name);
    require(names.insert(info.name).second, "metric_info() declares {} twice", info.name);
    require(!info.doc.empty() && info.doc.find('\n') == std::string::npos,
            "metric {} has no text of one line; say what it is", info.name);
    require(!info.lowest || !info.highest || *info.lowest < *info.highest,
            "metric {} lies between {} and {}; the lowest must be below the highest", info.name,
            info.lowest.value_or(0), info.highest.value_or(0));
  }
  const auto names_of = [](const auto& list, const auto& name) {
    std::vector<std::string> found;
    std::transform(list.begin(), list.end(), std::back_inserter(found), name);
    return fmt::format("{}", fmt::join(found, ", "));
  };
  const auto declared_name = [](const MetricInfo& info) { return info.name; };
  const std::string expected = names_of(declared, declared_name);
  require(names_of(trial.task->metric_info(), declared_name) == expected,
          "metric_info() differs at a second call");
  const EvaluationOf mode(*trial.task);
  const auto metrics = fresh(trial);
  add(*metrics, trial.outputs.to(at::kFloat), in_single(trial.targets));
  const std::string given =
      names_of(metrics->result(), [](const auto& metric) { return metric.name; });
  require(given == expected,
          "result() gives the metrics {}, metric_info() declares {}; they must be the same, in the "
          "same order",
          given, expected);
}

/// Accuracies are a share of the samples, so more is known of them.
bool is_accuracy(const std::string& name) { return name == "top1" || name == "accuracy"; }

/// Each value lies within what is declared.
void check_bounds(const MetricInfo& info, double value) {
  constexpr double rounding = 1e-6;
  require(!info.lowest || value >= *info.lowest - rounding,
          "{} is {}, but metric_info() says that none is below {}", info.name, value,
          info.lowest.value_or(0));
  require(!info.highest || value <= *info.highest + rounding,
          "{} is {}, but metric_info() says that none is above {}", info.name, value,
          info.highest.value_or(0));
}

void check_right_and_wrong(const HeadTrial& trial) {
  const auto [right_outputs, wrong_outputs] = two_outputs(trial);
  const TargetBatch targets = in_single(trial.targets);
  const Values right = metrics_of(trial, {{right_outputs, targets}});
  const Values wrong = metrics_of(trial, {{wrong_outputs, targets}});
  // Seven of twelve right, in two batches.
  constexpr int64_t correct = 7;
  at::Tensor mixed = wrong_outputs.clone();
  mixed.narrow(0, 0, correct).copy_(right_outputs.narrow(0, 0, correct));
  const Values part = metrics_of(trial, cut(mixed, targets, {8, 4}));
  bool differ = false;
  for (const MetricInfo& info : trial.task->metric_info()) {
    const double best = right.at(info.name);
    const double worst = wrong.at(info.name);
    differ = differ || best != worst;
    for (const double value : {best, worst, part.at(info.name)}) {
      check_bounds(info, value);
    }
    require(
        best == worst || (best > worst) == info.higher_is_better,
        "{} of right outputs is {}, of wrong ones {}, but metric_info() says that {} is better; "
        "is its direction or its formula the wrong way round?",
        info.name, best, worst, info.higher_is_better ? "more" : "less");
    if (is_accuracy(info.name) && trial.spec.kind == TargetKind::category) {
      const double share = static_cast<double>(correct) / static_cast<double>(HeadTrial::samples);
      require(std::abs(best - 1) + std::abs(worst) + std::abs(part.at(info.name) - share) < 1e-5,
              "{} is {} of right outputs, {} of wrong ones and {} when {} of {} are right; "
              "expected 1, 0 and {}, metrics are fractions",
              info.name, best, worst, part.at(info.name), correct, HeadTrial::samples, share);
    }
  }
  require(differ, "no metric tells right outputs from wrong ones");
}

}  // namespace

void check_metrics(Checker& checker, const HeadTrials& trials) {
  const auto check = [&](const char* name, const std::function<void(const HeadTrial&)>& body) {
    return checker.check(name, [&] { for_each_kind(trials, body); });
  };
  if (!check("metrics are declared with name and text, and given as declared", check_declared)) {
    return;
  }
  check("metrics do not depend on how the data is cut into batches", check_batches);
  check("metrics of two passes are the same, and passes do not mix", check_passes);
  checker.check("metrics of right and wrong outputs",
                [&] { for_each_direct(trials, check_right_and_wrong); });
}

}  // namespace bissl::host
