#include "stages/import/fit.h"

#include "bissl/backbone.h"
#include "bissl/error.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "weights/coverage.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

constexpr size_t most_trials = 24;

/// What a backbone counts its width in, whatever the parameter is called.
constexpr const char* channels_unit = "channels";

/// What the file's first convolution says of the network: [width, channels, …].
struct FirstLayer {
  int64_t width = 0;
  int64_t channels = 0;
};

std::optional<FirstLayer> first_layer(const MappedWeights& mapped) {
  for (const MappedTensor& tensor : mapped.tensors) {
    if (tensor.tensor->shape.size() == 4) {
      return FirstLayer{tensor.tensor->shape[0], tensor.tensor->shape[1]};
    }
  }
  return std::nullopt;
}

/// Whether everything fits. What a rule or a component refuses does not.
bool fits(const WeightsFile& file, const ChosenRule& rule, const Fit& fit) {
  try {
    const NamedShapes wanted = backbone_shapes(fit.backbone, fit.input);
    return cover(file, map_weights(file, rule, wanted), wanted, {}).complete();
  } catch (const Error&) {
    return false;
  }
}

/// The choice with other values instead of one.
std::vector<ComponentChoice> variations(const std::vector<ComponentChoice>& choices,
                                        const std::string& name, const std::vector<Value>& values) {
  std::vector<ComponentChoice> varied = choices;
  for (const ComponentChoice& choice : choices) {
    for (const Value& value : values) {
      if (value != choice.values.at(name)) {
        varied.push_back(choice);
        varied.back().values[name] = value;
      }
    }
  }
  return varied;
}

std::vector<ComponentChoice> variations(const ComponentChoice& choice, const FirstLayer& layer) {
  std::vector<ComponentChoice> all = {choice};
  for (const ParameterSpec& spec : choice.component->info.parameters) {
    std::vector<Value> values;
    if (spec.type == ValueType::string && !spec.choices.empty()) {
      values.assign(spec.choices.begin(), spec.choices.end());
    } else if (spec.type == ValueType::integer && spec.unit == channels_unit &&
               spec.refusal(Value(layer.width)).empty()) {
      values = {Value(layer.width)};
    }
    if (!values.empty() && all.size() * (values.size() + 1) <= most_trials) {
      all = variations(all, spec.name, values);
    }
  }
  return all;
}

}  // namespace

NamedShapes backbone_shapes(const ComponentChoice& backbone, const ImageShape& input) {
  return shapes_of(module_state(create_guarded(backbone, BackboneContext{input})->module()));
}

MappedWeights map_weights(const WeightsFile& file, const ChosenRule& rule,
                          const NamedShapes& wanted) {
  return rule ? apply_rule(*rule, file) : detect_rule(file, wanted);
}

std::optional<Fit> find_fit(const WeightsFile& file, const ChosenRule& rule,
                            const std::vector<ComponentChoice>& backbones,
                            const ImageShape& input) {
  std::set<std::string> refused;
  for (const ComponentChoice& backbone : backbones) {
    FirstLayer layer{0, input.channels};
    try {
      const MappedWeights mapped = map_weights(file, rule, backbone_shapes(backbone, input));
      layer = first_layer(mapped).value_or(layer);
    } catch (const Error&) {
      continue;  // the rule finds nothing of this network's names
    }
    ImageShape other = input;
    other.channels = layer.channels;
    for (const ComponentChoice& varied : variations(backbone, layer)) {
      for (const ImageShape& shape : {input, other}) {
        Fit fit{varied, shape};
        if (fits(file, rule, fit)) {
          return fit;
        }
        if (other == input) {
          break;
        }
      }
    }
  }
  return std::nullopt;
}

std::string fit_text(const Fit& fit, const ComponentChoice& now, const ImageShape& input) {
  std::vector<std::string> changes;
  const bool same = fit.backbone.component == now.component;
  if (!same) {
    changes.push_back(
        fmt::format("use = {}", to_toml(Value(fit.backbone.component->info.text.name))));
  }
  const ParameterValues standard = defaults(fit.backbone.component->info.parameters);
  for (const auto& [name, value] : fit.backbone.values) {
    if (value != (same ? now.values.at(name) : standard.at(name))) {
      changes.push_back(fmt::format("{} = {}", name, to_toml(value)));
    }
  }
  std::vector<std::string> parts;
  if (!changes.empty()) {
    parts.push_back(fmt::format("{} in [model.backbone]", fmt::join(changes, ", ")));
  }
  if (fit.input.channels != input.channels) {
    parts.push_back(fmt::format("channels = {} in the import stage, and images of as many channels",
                                fit.input.channels));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace bissl::host
