#include "stages/analyse/parts.h"

#include "base/spelling.h"
#include "bissl/backbone_abilities.h"
#include "bissl/downstream_abilities.h"
#include "bissl/error.h"
#include "data/target_rules.h"
#include "models/module_state.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/stage_kind.h"
#include "store/network_folder.h"
#include "store/safetensors.h"

#include <algorithm>
#include <map>

namespace bissl::host {
namespace {

constexpr const char* random_weights = "scratch";

/// The categories by which a bank classifies must be those of the source.
void require_categories(const AnalyseParts& parts, const BatchSource& source,
                        const std::string& name) {
  const TargetSpec& wanted = parts.bank->data().targets();
  if (source.data().labelled() && source.data().targets() != wanted) {
    fail_input(
        "data: data.{} has {}, and the bank, data.{}, {}; kind, number, names and their order must "
        "be the same",
        spelled_key(name), describe(source.data().targets()), spelled_key(parts.options.bank),
        describe(wanted));
  }
}

void build_bank(const StageContext& context, const BatchOptions& batch, AnalyseParts& parts) {
  const AnalyseOptions& options = parts.options;
  parts.bank =
      make_labelled_batches(context, "bank", options.bank, context.stage.table.augment(), batch);
  if (parts.bank->data().targets().kind != TargetKind::category) {
    fail_input("bank: data.{} has {}, and neighbours vote for one class of an image",
               spelled_key(options.bank), describe(parts.bank->data().targets()));
  }
  const int64_t most = *std::max_element(options.k.begin(), options.k.end());
  if (most > parts.bank->samples()) {
    fail_input("k = {}: data.{} has {} images, and no more can be neighbours", most,
               spelled_key(options.bank), parts.bank->samples());
  }
}

void require_queries(const AnalyseOptions& options, const BatchSource& source,
                     const std::string& name) {
  for (const int64_t query : options.queries) {
    if (query >= source.samples()) {
      fail_input("queries: data.{} has {} images, counted from 0, so none has the number {}",
                 spelled_key(name), source.samples(), query);
    }
  }
}

void build_views(const StageContext& context, const std::string& name, AnalyseParts& parts) {
  const Table& table = context.stage.table.table("pairs");
  const int64_t count = parts.pairs->count;
  parts.views.push_back(make_batches(context, name, table.augment(),
                                     {.batch = std::min(parts.options.batch, parts.pairs->samples),
                                      .views = count,
                                      .order = Order::sequential,
                                      .seed = context.seed_for("pairs"),
                                      .purpose = "analyse",
                                      .targets = false}));
  if (parts.views.back()->view_shape() != parts.sources.front()->view_shape()) {
    fail_input("pairs: its views of data.{} have another shape than those of the stage itself",
               spelled_key(name));
  }
}

void build_probe_views(const StageContext& context, AnalyseParts& parts) {
  const Table& table = context.stage.table.table("probe_views");
  const AnalyseOptions& options = parts.options;
  if (!parts.fits_probes()) {
    fail_input("probe_views: no probe is fitted to a bank{}",
               options.bank.empty() ? "; give one by bank = \"…\"" : "");
  }
  parts.probe_views = parse_probe_views(table);
  parts.probe_source = make_batches(context, options.bank, table.augment(),
                                    {.views = parts.probe_views->count,
                                     .order = Order::sequential,
                                     .seed = context.seed_for("probe-views"),
                                     .purpose = "analyse",
                                     .targets = false});
  if (parts.probe_source->view_shape() != parts.bank->view_shape()) {
    fail_input(
        "probe_views: its views of data.{} have another shape than those of the stage itself",
        spelled_key(options.bank));
  }
}

/// All shapes are equal, so that one backbone sees all.
void require_one_view(const AnalyseParts& parts) {
  for (size_t i = 0; i < parts.sources.size(); ++i) {
    const auto& first = parts.bank ? parts.bank : parts.sources.front();
    if (parts.sources[i]->view_shape() != first->view_shape()) {
      fail_input("data: the views of data.{} have another shape than those of data.{}",
                 spelled_key(parts.options.data[i]),
                 spelled_key(parts.bank ? parts.options.bank : parts.options.data.front()));
    }
  }
}

/// Networks of a compared stage: one, or it is refused.
std::string compared_folder(const StageContext& context, const std::string& name) {
  const Stage& stage = context.pipeline.stage(name);
  const std::vector<std::string> folders = stage_kind(stage.kind).weight_folders(stage);
  if (folders.size() != 1) {
    fail_input(
        "compare: stage.{} has trained {} networks, and one is compared. Set repeats = 1 there, or "
        "analyse it by a stage of its own",
        spelled_key(name), folders.size());
  }
  return folders.front();
}

/// The head of a stage for these classes, without its weights; null where it has none.
std::shared_ptr<Downstream> head_of(const StageContext& context, const AnalyseParts& parts,
                                    const Stage& stage) {
  const std::optional<HeadOrigin> origin = stage_kind(stage.kind).head(stage);
  if (!origin) {
    return nullptr;
  }
  const std::shared_ptr<const DataView> training = context.data.open(origin->data);
  if (training->targets().kind != TargetKind::category) {
    fail_input("probe: the head of stage.{} predicts {}, and a probe tells categories apart",
               spelled_key(stage.name), describe(training->targets()));
  }
  for (size_t i = 0; i < parts.sources.size(); ++i) {
    const DataView& data = parts.sources[i]->data();
    if (data.labelled() && data.targets() != training->targets()) {
      fail_input(
          "probe: the head of stage.{} was trained on {} of data.{}, and data.{} has {}; kind, "
          "number, names and their order must be the same",
          spelled_key(stage.name), describe(training->targets()), spelled_key(origin->data),
          spelled_key(parts.options.data[i]), describe(data.targets()));
    }
  }
  auto head = make_downstream(context, *origin->downstream, *parts.backbone,
                              {.name = origin->data,
                               .targets = training->targets(),
                               .view = parts.sources.front()->view_shape()},
                              context.seed_for("init/head"));
  if (capability<MapHead>(*head) != nullptr || capability<TokenHead>(*head) != nullptr) {
    fail_input(
        "probe: the head of stage.{} reads {}, and \"head\" is one that reads features. Score it "
        "by a "
        "stage of kind \"evaluate\"",
        spelled_key(stage.name),
        capability<MapHead>(*head) != nullptr ? FeatureMaps::words : Tokens::words);
  }
  return head;
}

void build_heads(const StageContext& context, AnalyseParts& parts) {
  const std::vector<std::string>& probes = parts.options.probe;
  if (std::find(probes.begin(), probes.end(), "head") == probes.end()) {
    return;
  }
  const std::string& from = context.stage.from;
  parts.heads[""] = from.empty() ? nullptr : head_of(context, parts, context.pipeline.stage(from));
  if (!parts.heads[""]) {
    fail_input("probe: {} hands on no head; the other probes are fitted to the bank",
               from.empty() ? "\"scratch\"" : "stage." + spelled_key(from));
  }
  for (const std::string& name : parts.options.compare) {
    if (name != random_weights && parts.draws("saliency")) {
      if (auto head = head_of(context, parts, context.pipeline.stage(name))) {
        parts.heads[name] = std::move(head);
      }
    }
  }
}

/// Grad-CAM weights the map that the features are the mean of.
void require_maps(AnalyseParts& parts) {
  auto* maps = capability<FeatureMaps>(*parts.backbone);
  if (maps == nullptr) {
    fail_input("pictures: \"saliency\" weights feature maps, and the backbone has none");
  }
  const int64_t channels = maps->map_levels().back().channels;
  if (channels != parts.backbone->features()) {
    fail_input(
        "pictures: \"saliency\" needs features that are the mean of the last feature map; that has "
        "{} channels, and there are {} features",
        channels, parts.backbone->features());
  }
}

}  // namespace

bool AnalyseParts::draws(const char* picture) const {
  return std::find(options.pictures.begin(), options.pictures.end(), picture) !=
         options.pictures.end();
}

bool AnalyseParts::fits_probes() const {
  return !options.bank.empty() && std::any_of(options.probe.begin(), options.probe.end(),
                                              [](const auto& name) { return name != "head"; });
}

std::vector<std::string> AnalyseParts::class_names(size_t source) const {
  const TargetSpec& targets = sources[source]->data().targets();
  return targets.kind == TargetKind::category ? targets.names : std::vector<std::string>();
}

int64_t AnalyseParts::batches(int64_t networks) const {
  const int64_t of_bank = bank ? bank->batches() : 0;
  const int64_t of_probes =
      probe_source
          ? probe_views->count *
                ((std::min(bank->samples(), options.samples) + options.batch - 1) / options.batch)
          : 0;
  int64_t of_sources = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    of_sources += sources[i]->batches();
    of_sources += views.empty() ? 0 : static_cast<int64_t>(chosen_views(i).size());
  }
  int64_t all = networks * (of_bank + of_probes + of_sources);
  for (const std::string& name : options.compare) {
    const bool explains = draws("saliency");
    const bool fits = explains && heads.count(name) == 0;
    all += of_sources + (explains ? of_bank : 0) + (fits ? of_probes : 0);
  }
  return all;
}

std::vector<int64_t> AnalyseParts::chosen_views(size_t source) const {
  const BatchSource& of = *views[source];
  const int64_t each = std::min(options.batch, pairs->samples);
  const int64_t wanted = std::min(of.batches(), (pairs->samples + each - 1) / each);
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < wanted; ++i) {
    numbers.push_back(i * of.batches() / wanted);
  }
  return numbers;
}

AnalyseParts build_analyse(const StageContext& context) {
  const Table& table = context.stage.table;
  AnalyseParts parts;
  parts.options = parse_analyse(table);
  const AnalyseOptions& options = parts.options;
  if (table.has_table("pairs")) {
    parts.pairs = parse_pairs(table.table("pairs"));
  }
  const BatchOptions batch{
      .batch = options.batch, .order = Order::sequential, .purpose = "evaluate"};
  if (!options.bank.empty()) {
    build_bank(context, batch, parts);
  }
  if (table.has_table("probe_views")) {
    build_probe_views(context, parts);
  }
  for (const std::string& name : options.data) {
    parts.sources.push_back(make_batches(context, name, table.augment(), batch));
    if (parts.bank) {
      require_categories(parts, *parts.sources.back(), name);
    }
    require_queries(options, *parts.sources.back(), name);
    if (parts.pairs) {
      build_views(context, name, parts);
    }
  }
  require_one_view(parts);
  for (const std::string& name : options.compare) {
    if (name != random_weights) {
      compared_folder(context, name);
    }
  }
  parts.backbone = make_backbone(context, parts.sources.front()->view_shape(),
                                 context.seed_for("init/backbone"));
  build_heads(context, parts);
  if (parts.draws("saliency")) {
    require_maps(parts);
  }
  auto* maps = options.layers.empty() ? nullptr : capability<FeatureMaps>(*parts.backbone);
  parts.levels = maps == nullptr ? 0 : maps->map_levels().size();
  int64_t largest = parts.bank ? parts.bank->samples() : 0;
  for (const auto& source : parts.sources) {
    largest = std::max(largest, source->samples());
  }
  if (parts.probe_source) {
    refuse_beyond_memory({.key = "probe_views.count",
                          .batch = std::min(parts.bank->samples(), options.samples),
                          .views = {{1, 1, parts.backbone->features()}},
                          .held = 3 * parts.probe_views->count,
                          .value = parts.probe_views->count});
  }
  // The features of a source and of the bank are all in memory.
  refuse_beyond_memory(
      {.key = "data", .batch = largest, .views = {{1, 1, parts.backbone->features()}}, .held = 2});
  return parts;
}

void load_compared(const StageContext& context, const AnalyseParts& parts,
                   const std::string& stage) {
  torch::nn::Module& module = parts.backbone->module();
  if (stage == random_weights) {
    const auto fresh = make_backbone(context, parts.sources.front()->view_shape(),
                                     context.seed_for("init/backbone"));
    load_module_state(module, module_state(fresh->module()), random_weights);
    return;
  }
  const std::filesystem::path folder =
      network_folder(context.compared.at(stage), compared_folder(context, stage));
  const auto load = [&](const char* file, torch::nn::Module& into) {
    const std::filesystem::path path = folder / file;
    load_module_state(into, read_safetensors(path).tensors, path.string());
  };
  load(backbone_file, module);
  if (const auto head = parts.heads.find(stage); head != parts.heads.end()) {
    load(head_file, head->second->module());
  }
}

void load_network(const StageContext& context, const AnalyseParts& parts, int64_t network) {
  if (context.stage.from.empty()) {
    load_compared(context, parts, random_weights);
  } else {
    take_over(context, backbone_file, parts.backbone->module(), network);
    if (const auto head = parts.heads.find(""); head != parts.heads.end()) {
      take_over(context, head_file, head->second->module(), network);
    }
  }
}

}  // namespace bissl::host
