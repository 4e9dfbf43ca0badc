#include "stages/analyse/probes.h"

#include "numerics/linear_probe.h"
#include "numerics/logistic_regression.h"
#include "telemetry/interrupt.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>

#include <algorithm>

namespace bissl::host {
namespace {

Probe linear_classifier(const std::string& name, const at::Tensor& weight, const at::Tensor& bias) {
  return {name,
          [weight, bias](const at::Tensor& features) {
            return at::addmm(bias, features.to(at::kCPU, at::kDouble), weight.t());
          },
          weight};
}

Probe fitted_probe(const StageContext& context, const AnalyseParts& parts, const std::string& name,
                   const at::Tensor& features, const at::Tensor& labels) {
  const int64_t classes = parts.bank->data().targets().width;
  if (const ProbeProtocol* protocol = probe_protocol(name)) {
    const LinearProbe probe =
        fit_linear_probe(features, labels, classes, *protocol, context.seed_for("probe"));
    return linear_classifier(name, probe.weight, probe.bias);
  }
  const LogisticFit fit =
      fit_logistic_regression(features, labels, classes, {.seed = context.seed_for("logistic")});
  return linear_classifier(name, fit.weight, fit.bias);
}

Probe probe_of_head(const std::shared_ptr<Downstream>& head, const c10::Device& device) {
  return {"head",
          [head, device](const at::Tensor& features) {
            return head->forward(features.to(device)).to(at::kCPU, at::kDouble);
          },
          {}};
}

std::vector<Probe> probes_called(const StageContext& context, const AnalyseParts& parts,
                                 const std::string& stage, const at::Tensor& bank,
                                 const std::vector<std::string>& names) {
  std::vector<Probe> probes;
  at::Tensor features;
  at::Tensor labels;
  if (bank.defined()) {
    const at::Tensor rows = spread_evenly(bank.size(0), parts.options.samples);
    features = bank.cpu().index_select(0, rows);
    labels = categories_of(*parts.bank).index_select(0, rows);
  }
  for (const std::string& name : names) {
    if (interrupted()) {
      throw Interrupted();
    }
    if (name == "head") {
      if (const auto head = parts.heads.find(stage); head != parts.heads.end()) {
        probes.push_back(probe_of_head(head->second, context.settings.device));
      }
    } else if (bank.defined()) {
      probes.push_back(fitted_probe(context, parts, name, features, labels));
    }
  }
  return probes;
}

}  // namespace

std::vector<Probe> make_probes(const StageContext& context, const AnalyseParts& parts,
                               const std::string& stage, const at::Tensor& bank) {
  return probes_called(context, parts, stage, bank, parts.options.probe);
}

std::vector<Probe> make_explaining_probe(const StageContext& context, const AnalyseParts& parts,
                                         const std::string& stage, const at::Tensor& bank) {
  if (parts.heads.count(stage) != 0) {
    return probes_called(context, parts, stage, bank, {"head"});
  }
  for (const std::string& name : parts.options.probe) {
    if (name != "head") {
      return probes_called(context, parts, stage, bank, {name});
    }
  }
  return {};
}

const Probe& explaining(const std::vector<Probe>& probes) {
  const auto head = std::find_if(probes.begin(), probes.end(),
                                 [](const Probe& probe) { return probe.name == "head"; });
  return head != probes.end() ? *head : probes.front();
}

ProbeAnswers ask(const Probe& probe, const at::Tensor& features) {
  constexpr int64_t block = 4096;
  std::vector<at::Tensor> logits;
  for (int64_t begin = 0; begin < features.size(0); begin += block) {
    logits.push_back(
        probe.logits(features.narrow(0, begin, std::min(block, features.size(0) - begin))));
  }
  const at::Tensor all = at::cat(logits);
  return {all.argmax(1), all};
}

}  // namespace bissl::host
