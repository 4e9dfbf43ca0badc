#include "stages/import/parts.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "data/target_rules.h"
#include "models/module_state.h"
#include "stages/import/fit.h"
#include "stages/networks.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace bissl::host {
namespace {

ChosenRule chosen_rule(const Table& table, const ImportOptions& options) {
  ChosenRule rule = own_rule(table);
  if (rule && options.source != detected_source) {
    fail_input("source = \"{}\" and a rule of the stage's own exclude each other: take one away",
               options.source);
  }
  if (!rule && options.source != detected_source) {
    return *find_key_rule(options.source);
  }
  return rule;
}

/// Throws what require_complete does, and what would fit.
void require_fit(const StageContext& context, const WeightsFile& file, const ChosenRule& rule,
                 const Coverage& coverage, const ImageShape& input) {
  try {
    require_complete(coverage);
  } catch (const Error& error) {
    const ComponentChoice& now = context.pipeline.backbone;
    const auto fit = find_fit(file, rule, {now}, input);
    throw Error(
        error.kind(),
        fit ? fmt::format("{}. All of it fits with {}", error.what(), fit_text(*fit, now, input))
            : std::string(error.what()) +
                  ". `bissl import FILE --into PIPELINE` tries the other backbones");
  }
}

/// Puts tensors into a module that has them all; the rest of it stays as it is.
void fill_in(torch::nn::Module& module, const NamedTensors& tensors, const std::string& file) {
  const std::map<std::string, at::Tensor> given = by_name(tensors);
  NamedTensors state = module_state(module);
  for (auto& [name, tensor] : state) {
    const auto found = given.find(name);
    tensor = found == given.end() ? tensor.clone() : found->second;
  }
  const std::set<std::string> exempt = buffers_not_finite(module);
  load_module_state(module, state, file);
  if (const std::string found = first_not_finite(module, exempt); !found.empty()) {
    fail_input("{}: its weights are not finite: {}. The training that wrote them diverged", file,
               found);
  }
}

/// The layer that a tensor is of, and the tensor's own name with the dot: "fc" and ".weight".
std::pair<std::string, std::string> layer_and_part(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? std::pair(std::string(), name)
                                  : std::pair(name.substr(0, dot), name.substr(dot));
}

/// The file's tensor for a name of the head: the same name or, in the last layer, the one that
/// another program has for a classifier, which is a layer by itself.
const MappedTensor* head_tensor(const MappedWeights& mapped, const std::string& name,
                                const std::string& last_layer) {
  std::vector<std::string> names = {name};
  if (const auto [layer, part] = layer_and_part(name); layer == last_layer) {
    for (const char* classifier : {"fc", "head", "classifier", "heads.head", "head.fc",
                                   "classifier.1", "classifier.2", "linear"}) {
      names.push_back(classifier + part);
    }
  }
  for (const std::string& wanted : names) {
    for (const auto* list : {&mapped.tensors, &mapped.dropped, &mapped.outside}) {
      for (const MappedTensor& tensor : *list) {
        if (tensor.name == wanted) {
          return &tensor;
        }
      }
    }
  }
  return nullptr;
}

void build_head(const StageContext& context, const std::string& data, const WeightsFile& file,
                const MappedWeights& mapped, ImportParts& parts) {
  const ComponentChoice& choice = context.stage.table.table("head").component("downstream");
  const auto view = context.data.open(data);
  if (!view->labelled()) {
    fail_input("head.data: data.{} has no labels, and a head tells some", spelled_key(data));
  }
  const ImageShape view_shape{parts.options.channels, parts.options.size, parts.options.size};
  parts.downstream = make_downstream(context, choice, *parts.backbone,
                                     {.name = data, .targets = view->targets(), .view = view_shape},
                                     context.seed_for("init/head"));
  const NamedTensors trained = trainable_parameters(parts.downstream->module());
  const std::string last_layer = trained.empty() ? "" : layer_and_part(trained.back().name).first;
  NamedTensors tensors;
  for (const auto& [name, tensor] : module_state(parts.downstream->module())) {
    const MappedTensor* taken = head_tensor(mapped, name, last_layer);
    if (taken == nullptr) {
      fail_input("head: the file has no \"{}\", which {} needs", name, choice.describe());
    }
    const StoredTensor* found = taken->tensor;
    if (found->shape != tensor.sizes().vec()) {
      fail_input("head: \"{}\" has shape [{}] in the file, and {} for data.{} ({}) has [{}]",
                 found->name, fmt::join(found->shape, ", "), choice.component->info.text.name,
                 spelled_key(data), describe(view->targets()), fmt::join(tensor.sizes(), ", "));
    }
    tensors.emplace_back(name, file.read(*found));
    // What is left out has the file's names, what is too many has those that the rule gives.
    std::erase(parts.coverage.dropped, found->name);
    std::erase(parts.coverage.outside, found->name);
    std::erase(parts.coverage.unexpected, taken->name);
    std::erase(parts.coverage.allowed, taken->name);
  }
  fill_in(parts.downstream->module(), tensors, parts.options.file);
}

}  // namespace

ImportParts build_import(const StageContext& context) {
  const Table& table = context.stage.table;
  ImportParts parts;
  parts.options = parse_import(table);
  const ImportOptions& options = parts.options;
  const ChosenRule rule = chosen_rule(table, options);
  const ImageShape input{options.channels, options.size, options.size};
  parts.backbone = make_backbone(context, input, context.seed_for("init/backbone"));
  const WeightsFile file(options.file);
  const NamedShapes wanted = shapes_of(module_state(parts.backbone->module()));
  MappedWeights mapped;
  try {
    mapped = map_weights(file, rule, wanted);
    parts.coverage = cover(file, mapped, wanted, options.allow);
  } catch (const Error& error) {
    throw error.at(options.file);
  }
  if (const auto data = head_data(table)) {
    build_head(context, *data, file, mapped, parts);
  }
  require_fit(context, file, rule, parts.coverage, input);
  fill_in(parts.backbone->module(), read_matched(file, mapped, parts.coverage), options.file);
  return parts;
}

}  // namespace bissl::host
