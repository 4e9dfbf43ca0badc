#include "stages/analyse/probes.h"

#include "numerics/linear_probe.h"
#include "numerics/logistic_regression.h"
#include "stages/agreement.h"
#include "stages/analyse/source_features.h"

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
                   const ProbeRows& rows) {
  const int64_t classes = parts.bank->data().targets().width;
  if (const ProbeProtocol* protocol = probe_protocol(name)) {
    const LinearProbe probe =
        fit_linear_probe(rows.features, rows.labels, classes, *protocol, context.seed_for("probe"));
    return linear_classifier(name, probe.weight, probe.bias);
  }
  const int64_t samples = rows.labels.size(0);
  const LogisticFit fit =
      fit_logistic_regression(rows.features, rows.labels.repeat({rows.features.size(0) / samples}),
                              classes, {.seed = context.seed_for("logistic"), .samples = samples});
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
                                 const std::string& stage, const std::optional<ProbeRows>& rows,
                                 const std::vector<std::string>& names) {
  std::vector<Probe> probes;
  for (const std::string& name : names) {
    stop_if_any_interrupted();
    if (name == "head") {
      if (const auto head = parts.heads.find(stage); head != parts.heads.end()) {
        probes.push_back(probe_of_head(head->second, context.settings.device));
      }
    } else if (rows) {
      probes.push_back(fitted_probe(context, parts, name, *rows));
    }
  }
  return probes;
}

/// The features of all views of the bank's samples `rows`.
at::Tensor features_of_views(const AnalyseParts& parts, const at::Tensor& rows,
                             const std::function<void()>& after_batch) {
  const int64_t count = parts.probe_views->count;
  std::vector<std::vector<at::Tensor>> features(static_cast<size_t>(count));
  for (int64_t begin = 0; begin < rows.size(0); begin += parts.options.batch) {
    stop_if_any_interrupted();
    const int64_t end = std::min(rows.size(0), begin + parts.options.batch);
    std::vector<std::vector<at::Tensor>> images(features.size());
    for (int64_t i = begin; i < end; ++i) {
      const Batch one = parts.probe_source->make(rows.data_ptr<int64_t>()[i]);
      for (size_t view = 0; view < images.size(); ++view) {
        images[view].push_back(one.views[view]);
      }
    }
    for (size_t view = 0; view < images.size(); ++view) {
      features[view].push_back(analysed_features(at::cat(images[view]), *parts.backbone).cpu());
      after_batch();
    }
  }
  std::vector<at::Tensor> all;
  for (const std::vector<at::Tensor>& of_view : features) {
    all.push_back(at::cat(of_view));
  }
  return at::cat(all);
}

}  // namespace

std::optional<ProbeRows> probe_rows(const AnalyseParts& parts, const at::Tensor& bank,
                                    const std::function<void()>& after_batch) {
  if (!bank.defined() || !parts.fits_probes()) {
    return std::nullopt;
  }
  const at::Tensor rows = spread_evenly(bank.size(0), parts.options.samples);
  return ProbeRows{parts.probe_source ? features_of_views(parts, rows, after_batch)
                                      : bank.cpu().index_select(0, rows),
                   categories_of(*parts.bank).index_select(0, rows)};
}

std::vector<Probe> make_probes(const StageContext& context, const AnalyseParts& parts,
                               const std::string& stage, const std::optional<ProbeRows>& rows) {
  return probes_called(context, parts, stage, rows, parts.options.probe);
}

std::vector<Probe> make_explaining_probe(const StageContext& context, const AnalyseParts& parts,
                                         const std::string& stage,
                                         const std::optional<ProbeRows>& rows) {
  if (parts.heads.count(stage) != 0) {
    return probes_called(context, parts, stage, rows, {"head"});
  }
  for (const std::string& name : parts.options.probe) {
    if (name != "head") {
      return probes_called(context, parts, stage, rows, {name});
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
