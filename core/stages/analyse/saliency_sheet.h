#pragma once

#include "stages/analyse/parts.h"
#include "stages/analyse/probes.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Where some images of a source speak for a class, as several networks see them.
struct SaliencySheet {
  /// What one network makes of the images.
  struct Arm {
    std::string network;
    std::string probe;
    at::Tensor heat;           ///< (n, H, W), float, 0 … 1 (grad_cam)
    at::Tensor classes;        ///< (n), int64: those that it takes the images for
    at::Tensor probabilities;  ///< (n), double: of the classes that are explained
  };

  at::Tensor rows;        ///< (n), int64: the samples
  bool labelled = false;  ///< the samples have categories
  at::Tensor labels;      ///< (n), int64, where they have
  at::Tensor views;       ///< (n, C, H, W) on the CPU, as the networks see them
  std::vector<Arm> arms;
};

/// The sheet of eight images, spread evenly over a source, without arms.
SaliencySheet begin_saliency(const AnalyseParts& parts, size_t source);

/// Adds the network in parts.backbone, by explaining(probes): where the images speak for their
/// classes; unlabelled ones for those that the network takes them for. Why it cannot be added: its
/// features are not the mean of its last map.
std::optional<std::string> add_saliency(const StageContext& context, const AnalyseParts& parts,
                                        const std::string& network,
                                        const std::vector<Probe>& probes, SaliencySheet& sheet);

/// saliency-DATA.png: a row for each image, first as it is, then with each arm's heat over it; the
/// frame says whether the arm takes it for its class. saliency-DATA.csv says the same in words.
/// Returns the files' names.
std::vector<std::string> draw_saliency(const StageContext& context, const AnalyseParts& parts,
                                       size_t source, const SaliencySheet& sheet);

}  // namespace bissl::host
