#include "stages/analyse/options.h"

#include "analysis/figures.h"
#include "numerics/linear_probe.h"
#include "pipeline/stage_graph.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

std::vector<std::string> figure_names(bool per_layer) {
  std::vector<std::string> names;
  for (const FigureInfo& info : figures()) {
    if (!per_layer || info.input != FigureInput::views) {
      names.emplace_back(info.name);
    }
  }
  return names;
}

constexpr size_t most_queries = 64;

/// What classifies features by logits.
std::vector<std::string> probe_names() {
  std::vector<std::string> names = {"logistic"};
  for (const ProbeProtocol& protocol : probe_protocols()) {
    names.emplace_back(protocol.name);
  }
  names.emplace_back("head");
  return names;
}

bool names_one(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void refuse_doubles(const std::string& key, std::vector<std::string> names,
                    std::vector<Finding>& findings) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    findings.push_back(
        {Finding::Severity::error, key, fmt::format("\"{}\" is given twice", *twice)});
  }
}

void check_analyse(const AnalyseOptions& options, std::vector<Finding>& findings) {
  if (options.data.empty()) {
    findings.push_back({Finding::Severity::error, "data", "there is no data source to look at"});
  }
  refuse_doubles("data", options.data, findings);
  refuse_doubles("compare", options.compare, findings);
  if (options.k.empty() ||
      std::set<int64_t>(options.k.begin(), options.k.end()).size() != options.k.size()) {
    findings.push_back({Finding::Severity::error, "k",
                        options.k.empty() ? "there is no number of neighbours"
                                          : "a number of neighbours is given twice"});
  }
  refuse_doubles("probe", options.probe, findings);
  refuse_doubles("pictures", options.pictures, findings);
  if (std::set<int64_t>(options.queries.begin(), options.queries.end()).size() !=
      options.queries.size()) {
    findings.push_back({Finding::Severity::error, "queries", "a number is given twice"});
  }
  if (options.queries.size() > most_queries) {
    findings.push_back({Finding::Severity::error, "queries",
                        fmt::format("there are {} numbers; a picture has at most {}",
                                    options.queries.size(), most_queries)});
  }
  const auto refuse = [&](const char* key, const std::string& text) {
    findings.push_back({Finding::Severity::error, key, text});
  };
  if (options.bank.empty()) {
    for (const std::string& probe : options.probe) {
      if (probe_protocol(probe) != nullptr) {
        refuse("probe", fmt::format("\"{}\" is trained on a bank, and none is given", probe));
      }
    }
    if (names_one(options.pictures, "neighbours")) {
      refuse("pictures", "\"neighbours\" needs a bank, and none is given");
    }
  }
  const bool classifies =
      names_one(options.probe, "head") || (!options.bank.empty() && !options.probe.empty());
  for (const char* picture : {"confusion", "reliability", "saliency"}) {
    const bool neighbours_do = picture == std::string("confusion") && !options.bank.empty();
    if (names_one(options.pictures, picture) && !classifies && !neighbours_do) {
      refuse("pictures",
             fmt::format("\"{}\" needs what classifies images: a bank with a probe, or probe = "
                         "\"head\" of a stage that has one",
                         picture));
    }
  }
  if (!options.bank.empty() &&
      std::count(options.data.begin(), options.data.end(), options.bank) != 0) {
    findings.push_back({Finding::Severity::error, "data",
                        "the bank is scored on itself: each image would be its own neighbour"});
  }
}

const Schema<AnalyseOptions>& analyse_schema() {
  static const Schema<AnalyseOptions> schema = [] {
    Schema<AnalyseOptions> s;
    s.add("data", &AnalyseOptions::data,
          "data source to look at, or several; figures of classes are left out where it has no "
          "categories")
        .required()
        .or_one()
        .names_data();
    s.add(
         "bank", &AnalyseOptions::bank,
         "labelled data source by which the labelled ones of `data` are classified: by the nearest "
         "neighbours among its features, and by the probes that are fitted to them; empty: nothing "
         "is classified but by a head")
        .names_data();
    s.add(
         "probe", &AnalyseOptions::probe,
         "linear classifiers of features, each with results of its own: \"logistic\", a "
         "multinomial logistic regression on the bank (L-BFGS, its ridge chosen on a fifth that is "
         "held out); by the settings of a library or a paper, on the bank: \"solo-learn\", "
         "\"lightly\", \"moco\", \"dino\", \"mae\" (`bissl describe NAME` has them); \"head\": "
         "that of the stage itself")
        .choices(probe_names())
        .or_one();
    s.add("compare", &AnalyseOptions::compare,
          "stages, each with one network, whose backbones see the same images: what they have in "
          "common with this one, and pictures of all in one frame; \"scratch\" has random weights")
        .or_one();
    s.add(
         "figures", &AnalyseOptions::figures,
         "the figures to compute, all if none is named; `bissl describe NAME` has formula, source, "
         "range and direction of each. Those of classes need categories, those of views the table "
         "`pairs`, those of networks `compare`")
        .choices(figure_names(false));
    s.add("layers", &AnalyseOptions::layers,
          "the figures that are computed of each level of the backbone's feature maps, too, "
          "averaged "
          "over all places; nothing where it has no maps")
        .choices(figure_names(true));
    s.add("k", &AnalyseOptions::k, "how many neighbours of the bank vote; each gives a result")
        .or_one()
        .at_least(1)
        .unit("images");
    s.add("temperature", &AnalyseOptions::temperature,
          "τ: a neighbour with the cosine s votes with the weight exp(s/τ)")
        .more_than(0);
    s.add("samples", &AnalyseOptions::samples,
          "figures, pictures and the fits of probes are of at most as many samples, spread evenly "
          "over a source; all are classified")
        .at_least(4)
        .unit("samples");
    s.add("batch", &AnalyseOptions::batch, "most images that go through the backbone at once")
        .at_least(1)
        .unit("samples");
    s.add(
         "pictures", &AnalyseOptions::pictures,
         "pictures in the stage's folder, as SVG, PNG and CSV. Of the features in a plane: "
         "\"pca\", the first two principal components; \"tsne\", t-SNE, exact below 5,000 samples; "
         "\"umap\", UMAP. With a bank: "
         "\"neighbours\", some images with their nearest of the bank, as PNG and CSV. With a bank "
         "or a head: \"confusion\", what the neighbours and each probe take each class for, and "
         "the accuracy by class; \"reliability\", how far the confidences of each probe are shares "
         "of right answers; \"saliency\", where some images speak for their class (Grad-CAM), this "
         "network and those of `compare` side by side, as PNG and CSV")
        .choices({"pca", "tsne", "umap", "neighbours", "confusion", "reliability", "saliency"});
    s.add("queries", &AnalyseOptions::queries,
          "numbers of the images whose \"neighbours\" are drawn, from 0 in the order of each "
          "source; none: eight, spread evenly")
        .or_one()
        .at_least(0);
    s.add("perplexity", &AnalyseOptions::perplexity,
          "about how many neighbours count in t-SNE; at most a third of the samples")
        .at_least(1);
    s.add("umap_neighbours", &AnalyseOptions::umap_neighbours,
          "neighbours, the sample included, from which UMAP learns a sample's surroundings; more "
          "show the whole better, fewer the details")
        .at_least(2)
        .at_most(1000)
        .unit("samples");
    s.add("umap_distance", &AnalyseOptions::umap_distance,
          "how near UMAP lays points that belong together; the picture is about 20 wide")
        .at_least(0)
        .at_most(1);
    add_precision(s, &AnalyseOptions::precision);
    s.rule(check_analyse);
    return s;
  }();
  return schema;
}

const Schema<PairsOptions>& pairs_schema() {
  static const Schema<PairsOptions> schema = [] {
    Schema<PairsOptions> s;
    s.add("count", &PairsOptions::count, "views of each image")
        .at_least(2)
        .at_most(64)
        .unit("views");
    s.add("samples", &PairsOptions::samples,
          "about how many images, in whole batches spread evenly over a source")
        .at_least(2)
        .unit("samples");
    return s;
  }();
  return schema;
}

const Schema<ProbeViewsOptions>& probe_views_schema() {
  static const Schema<ProbeViewsOptions> schema = [] {
    Schema<ProbeViewsOptions> s;
    s.add("count", &ProbeViewsOptions::count,
          "views of each image; a protocol's epochs take them in turn, \"logistic\" takes all")
        .at_least(1)
        .at_most(1000)
        .unit("views");
    return s;
  }();
  return schema;
}

SubtableSpec views_table(const char* name, TableSpec table, const char* doc) {
  SubtableSpec views;
  views.name = name;
  views.table = std::move(table);
  views.table.augment = one_view();
  views.required = false;
  views.doc = doc;
  return views;
}

}  // namespace

AnalyseOptions parse_analyse(const Table& table) {
  AnalyseOptions options = analyse_schema().parse(table.values);
  if (options.figures.empty()) {
    options.figures = figure_names(false);
  }
  return options;
}

PairsOptions parse_pairs(const Table& table) { return pairs_schema().parse(table.values); }

ProbeViewsOptions parse_probe_views(const Table& table) {
  return probe_views_schema().parse(table.values);
}

StageKindSpec analyse_spec() {
  StageKindSpec kind;
  kind.name = "analyse";
  kind.summary =
      "measures and draws what the backbone of another stage has learnt, without training";
  kind.table = table_of(analyse_schema());
  mark_precision(kind.table);
  kind.table.augment = one_view();
  for (ParameterSpec& one : kind.table.parameters) {
    if (one.name == "compare") {
      one.traits[names_stages] = true;
    }
  }
  kind.table.tables.push_back(views_table(
      "pairs", table_of(pairs_schema()),
      "several views of each image, as a pretext task's augmentations make them, for the "
      "figures of views"));
  kind.table.tables.push_back(views_table(
      "probe_views", table_of(probe_views_schema()),
      "views of the bank's images that probes are fitted to, as the crops and flips of a "
      "protocol's own training; without the table the one view by which images are classified"));
  kind.needs_parent = true;
  kind.takes = {"backbone"};
  return kind;
}

}  // namespace bissl::host
