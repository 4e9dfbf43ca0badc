#pragma once

#include "bissl/image.h"
#include "plugins/component.h"
#include "weights/key_rules.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// A backbone into which weights fit without a gap.
struct Fit {
  ComponentChoice backbone;
  ImageShape input;
};

/// Names and shapes of a backbone's weights.
NamedShapes backbone_shapes(const ComponentChoice& backbone, const ImageShape& input);

/// How a file's names become a backbone's: a rule, or none for detection.
using ChosenRule = std::optional<KeyRule>;

/// The first of `backbones` into which the file's weights fit, each tried with the values that it
/// is given and, where these do not fit, with others of its parameters: every one of its choices,
/// and what the file's first convolution says of its channels and of the image's: the former goes
/// into parameters with the unit "channels". At most some tens of networks are made.
std::optional<Fit> find_fit(const WeightsFile& file, const ChosenRule& rule,
                            const std::vector<ComponentChoice>& backbones, const ImageShape& input);

/// What to write where `fit` is another backbone than `now`: "[model.backbone] use = \"resnet18\",
/// stem = \"imagenet\"; channels = 1 in the stage".
std::string fit_text(const Fit& fit, const ComponentChoice& now, const ImageShape& input);

/// The mapping of a file's names by a rule or, without one, by detection.
MappedWeights map_weights(const WeightsFile& file, const ChosenRule& rule,
                          const NamedShapes& wanted);

}  // namespace bissl::host
