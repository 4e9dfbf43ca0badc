#include "stages/analyse/saliency_sheet.h"

#include "analysis/saliency.h"
#include "base/atomic_file.h"
#include "bissl/backbone_abilities.h"
#include "models/gradients.h"
#include "preview/sheet.h"
#include "stages/analyse/bank_pictures.h"
#include "stages/analyse/picture.h"
#include "stages/analyse/source_features.h"

#include <ATen/ops/softmax.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

namespace bissl::host {
namespace {

using HeatColour = std::array<double, 3>;

/// From yellow (some) to red (most).
HeatColour heat_colour(double heat) { return {255, 230 * (1 - heat), 40 * (1 - heat)}; }

/// A view as a picture, from its lowest value (black) to its highest (white), under the heat if
/// there is one. Of more than three channels the first three are drawn, of two the first.
Image drawn_view(const at::Tensor& view, const at::Tensor& heat) {
  const at::Tensor values = view.to(at::kDouble).contiguous();
  const int64_t channels = values.size(0);
  const int64_t area = values.size(1) * values.size(2);
  const double low = values.min().item<double>();
  const double range = std::max(values.max().item<double>() - low, 1e-12);
  const auto bytes = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(3 * area));
  for (int64_t i = 0; i < area; ++i) {
    const double share = heat.defined() ? heat.data_ptr<float>()[i] : 0;
    const HeatColour colour = heat_colour(share);
    for (int64_t c = 0; c < 3; ++c) {
      const int64_t channel = channels >= 3 ? c : 0;
      const double value = 255 * (values.data_ptr<double>()[channel * area + i] - low) / range;
      const double covered = 0.65 * share;
      const double mixed = (1 - covered) * value + covered * colour[static_cast<size_t>(c)];
      (*bytes)[static_cast<size_t>(3 * i + c)] = static_cast<uint8_t>(std::lround(mixed));
    }
  }
  return {.shape = {3, values.size(1), values.size(2)}, .pixels = bytes->data(), .owner = bytes};
}

}  // namespace

SaliencySheet begin_saliency(const AnalyseParts& parts, size_t source) {
  constexpr int64_t images = 8;
  SaliencySheet sheet;
  sheet.rows = spread_evenly(parts.sources[source]->samples(), images);
  const at::Tensor categories = categories_of(*parts.sources[source]);
  sheet.labelled = categories.defined();
  if (sheet.labelled) {
    sheet.labels = categories.index_select(0, sheet.rows);
  }
  sheet.views = views_of(parts, source, sheet.rows).cpu();
  return sheet;
}

std::optional<std::string> add_saliency(const StageContext& context, const AnalyseParts& parts,
                                        const std::string& network,
                                        const std::vector<Probe>& probes, SaliencySheet& sheet) {
  const Probe& probe = explaining(probes);
  auto& backbone = *parts.backbone;
  const at::Tensor images = sheet.views.to(context.settings.device);
  const at::Tensor map = capability<FeatureMaps>(backbone)->maps(images).back();
  const at::Tensor features = backbone.forward(images);
  if (!map.mean(at::IntArrayRef{2, 3}).allclose(features, 1e-3, 1e-4)) {
    return "the features of the backbone are not the mean of its last feature map";
  }
  const ProbeAnswers answers = ask(probe, features);
  const at::Tensor explained = (sheet.labelled ? sheet.labels : answers.classes).unsqueeze(1);
  at::Tensor gradient;
  {
    const c10::AutoGradMode records(true);
    const at::Tensor input = map.detach().clone().requires_grad_(true);
    const at::Tensor logits = probe.logits(input.mean(at::IntArrayRef{2, 3}));
    gradient = gradients_of(logits.gather(1, explained).sum(), {input}).front();
  }
  sheet.arms.push_back({network, probe.name,
                        grad_cam(map, gradient, images.size(2), images.size(3)), answers.classes,
                        at::softmax(answers.logits, 1).gather(1, explained).squeeze(1)});
  return std::nullopt;
}

std::vector<std::string> draw_saliency(const StageContext& context, const AnalyseParts& parts,
                                       size_t source, const SaliencySheet& sheet) {
  const std::string& data = parts.options.data[source];
  const std::vector<std::string> samples = context.data.sample_names(data);
  const std::vector<std::string> classes = sheet.labelled ? parts.class_names(source)
                                           : parts.bank   ? parts.bank->data().targets().names
                                                          : std::vector<std::string>();
  const auto class_name = [&](const at::Tensor& of, int64_t i) {
    const auto number = static_cast<size_t>(of.data_ptr<int64_t>()[i]);
    return number < classes.size() ? classes[number] : std::to_string(number);
  };
  std::vector<std::vector<FramedImage>> rows;
  std::string csv =
      "sample,explained class,network,probe,taken for,probability,hottest row,"
      "hottest column\n";
  for (int64_t i = 0; i < sheet.rows.size(0); ++i) {
    rows.push_back({{drawn_view(sheet.views[i], {}), unknown_frame}});
    for (const SaliencySheet::Arm& arm : sheet.arms) {
      const bool right = sheet.labelled &&
                         arm.classes.data_ptr<int64_t>()[i] == sheet.labels.data_ptr<int64_t>()[i];
      rows.back().push_back(
          {drawn_view(sheet.views[i], arm.heat[i].contiguous()), !sheet.labelled ? unknown_frame
                                                                 : right         ? hit_frame
                                                                                 : miss_frame});
      const auto hottest = arm.heat[i].contiguous().view({-1}).argmax().item<int64_t>();
      csv +=
          fmt::format("{},{},{},{},{},{:.4f},{},{}\n",
                      csv_cell(samples.at(static_cast<size_t>(sheet.rows.data_ptr<int64_t>()[i]))),
                      csv_cell(class_name(sheet.labelled ? sheet.labels : arm.classes, i)),
                      csv_cell(arm.network), csv_cell(arm.probe),
                      csv_cell(class_name(arm.classes, i)), arm.probabilities[i].item<double>(),
                      hottest / arm.heat.size(2), hottest % arm.heat.size(2));
    }
  }
  const std::string file = "saliency-" + data;
  write_file_atomically(context.folder / (file + ".png"), image_sheet(rows).png());
  write_file_atomically(context.folder / (file + ".csv"), csv);
  return {file + ".png", file + ".csv"};
}

}  // namespace bissl::host
