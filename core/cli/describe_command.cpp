#include "cli/describe_command.h"

#include "analysis/figures.h"
#include "analysis/scores.h"
#include "base/spelling.h"
#include "cli/description.h"
#include "cli/exit_codes.h"
#include "cli/snippet.h"
#include "numerics/linear_probe.h"
#include "pipeline/pipeline_spec.h"
#include "plugins/load_report_json.h"
#include "sweep/ablation_spec.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace bissl::host {
namespace {

/// What classifies features by logits.
struct ProbeText {
  std::string name;
  std::string summary;
  std::string settings;
  std::string left_out;
  std::string source;
};

std::vector<ProbeText> all_probes() {
  const char* on_bank = "a linear classifier on the features of an analyse stage's bank";
  std::vector<ProbeText> probes = {
      {"logistic", on_bank,
       "a multinomial logistic regression: L-BFGS, the ridge of 10, 1, …, 10⁻⁶ with the least "
       "cross "
       "entropy on a fifth of the bank that is held out",
       "nothing: it is no imitation of a training",
       "Kornblith, Shlens and Le 2019, arXiv "
       "1805.08974, for the protocol"},
      {"head", "the head that an analyse stage's own parent was trained with", "those of its stage",
       "nothing", "–"}};
  for (const ProbeProtocol& protocol : probe_protocols()) {
    probes.push_back(
        {protocol.name, on_bank, protocol.settings, protocol.differs, protocol.source});
  }
  return probes;
}

/// Everything of the name that was given; all where none was.
struct Named {
  std::vector<std::shared_ptr<const RegisteredComponent>> components;
  std::vector<StageKindSpec> kinds;
  std::vector<DocumentSpec> documents;
  std::vector<FigureInfo> figures;
  std::vector<ScoreInfo> scores;
  std::vector<ProbeText> probes;

  bool empty() const {
    return components.empty() && kinds.empty() && documents.empty() && figures.empty() &&
           scores.empty() && probes.empty();
  }
};

/// The kinds of TOML file that are described.
std::vector<DocumentSpec> all_documents() {
  return {{"pipeline", "the file of `bissl run` and `bissl check`", pipeline_spec()},
          {"sweep", "the file of `bissl sweep`, an ablation over a pipeline", ablation_spec()}};
}

Named everything_called(const std::string& name, const Registry& registry,
                        const std::vector<StageKindSpec>& kinds) {
  Named named;
  const bool all = name.empty();
  named.components = all ? registry.components() : registry.called(name);
  for (const StageKindSpec& kind : kinds) {
    if (all || kind.name == name) {
      named.kinds.push_back(kind);
    }
  }
  for (const DocumentSpec& document : all_documents()) {
    if (all || document.name == name) {
      named.documents.push_back(document);
    }
  }
  for (const FigureInfo& figure : figures()) {
    if (all || figure.name == name) {
      named.figures.push_back(figure);
    }
  }
  for (const ScoreInfo& score : scores()) {
    if (all || score.is_called(name)) {
      named.scores.push_back(score);
    }
  }
  for (const ProbeText& probe : all_probes()) {
    if (all || probe.name == name) {
      named.probes.push_back(probe);
    }
  }
  return named;
}

bool is_qualified(const std::string& name) { return name.find('/') != std::string::npos; }

std::string unknown_text(const std::string& name, const Registry& registry,
                         const std::vector<StageKindSpec>& kinds) {
  const bool qualified = is_qualified(name);
  std::vector<std::string> candidates;
  for (const auto& component : registry.components()) {
    candidates.push_back(qualified ? component->qualified_name() : component->info.text.name);
  }
  for (const StageKindSpec& kind : kinds) {
    candidates.push_back(kind.name);
  }
  for (const DocumentSpec& document : all_documents()) {
    candidates.push_back(document.name);
  }
  for (const FigureInfo& figure : figures()) {
    candidates.emplace_back(figure.name);
  }
  for (const ScoreInfo& score : scores()) {
    candidates.emplace_back(score.name);
  }
  for (const ProbeText& probe : all_probes()) {
    candidates.push_back(probe.name);
  }
  std::string text = fmt::format(
      "there is no component, kind of stage, kind of file or figure called \"{}\"", name);
  const std::vector<std::string> near = nearest(name, candidates);
  text += near.empty() ? "; " : fmt::format("; did you mean \"{}\"? ", near.front());
  text += "\"bissl plugins\" lists what is loaded";
  if (!registry.report().problems.empty()) {
    text += " and what was left out";
  }
  return text;
}

const char* input_words(FigureInput input) {
  switch (input) {
    case FigureInput::features:
      return "features";
    case FigureInput::classes:
      return "features and their classes";
    case FigureInput::views:
      return "features of several views of each image";
    case FigureInput::networks:
      return "features of two networks on the same images";
  }
  return "";
}

std::string describe_figure(const FigureInfo& figure) {
  return fmt::format(
      "figure {}: {}\n"
      "  of         {}\n"
      "  formula    {}\n"
      "  range      {}\n"
      "  direction  {}\n"
      "  source     {}\n",
      figure.name, figure.says, input_words(figure.input), figure.formula, figure.range,
      figure.direction(), figure.source);
}

nlohmann::json figure_json(const FigureInfo& figure) {
  nlohmann::json json = {
      {"name", figure.name},       {"says", figure.says},   {"of", input_words(figure.input)},
      {"formula", figure.formula}, {"range", figure.range}, {"source", figure.source}};
  if (figure.higher_is_better) {
    json["higher_is_better"] = *figure.higher_is_better;
  }
  return json;
}

std::string describe_score(const ScoreInfo& score) {
  return fmt::format(
      "figure {}: {}\n"
      "  formula    {}\n"
      "  range      {}\n"
      "  direction  {}\n"
      "  source     {}\n",
      score.name, score.says, score.formula, score.range, score.direction(), score.source);
}

nlohmann::json score_json(const ScoreInfo& score) {
  return {{"name", score.name},       {"says", score.says},
          {"formula", score.formula}, {"range", score.range},
          {"source", score.source},   {"higher_is_better", score.higher_is_better}};
}

/// "PROBE_top1" with the probe's name in its place.
std::string score_of(const ProbeText& probe, const ScoreInfo& score) {
  const std::string name = score.name;
  return probe.name + name.substr(name.find('_'));
}

std::string describe_probe(const ProbeText& probe) {
  std::string text = fmt::format(
      "probe {}: {}\n"
      "  settings   {}\n"
      "  left out   {}\n"
      "  source     {}\n",
      probe.name, probe.summary, probe.settings, probe.left_out, probe.source);
  for (const ScoreInfo& score : scores()) {
    if (score.is_of_probes()) {
      text += fmt::format("  gives      {}: {}; {}; {}\n", score_of(probe, score), score.formula,
                          score.range, score.direction());
    }
  }
  return text;
}

nlohmann::json probe_json(const ProbeText& probe) {
  nlohmann::json gives = nlohmann::json::array();
  for (const ScoreInfo& score : scores()) {
    if (score.is_of_probes()) {
      gives.push_back(score_json(score));
      gives.back()["name"] = score_of(probe, score);
    }
  }
  return {{"name", probe.name},
          {"settings", probe.settings},
          {"left_out", probe.left_out},
          {"source", probe.source},
          {"gives", std::move(gives)}};
}

nlohmann::json as_json(const Named& named, const std::string& name, const Registry& registry) {
  nlohmann::json components = nlohmann::json::array();
  for (const auto& component : named.components) {
    components.push_back(component_json(*component));
    components.back()["toml"] = toml_snippet(*component, is_qualified(name));
  }
  nlohmann::json kinds = nlohmann::json::array();
  for (const StageKindSpec& kind : named.kinds) {
    kinds.push_back(stage_kind_json(kind));
    kinds.back()["toml"] = toml_snippet(kind, registry);
  }
  nlohmann::json documents = nlohmann::json::array();
  for (const DocumentSpec& document : named.documents) {
    documents.push_back(document_json(document));
  }
  nlohmann::json all_figures = nlohmann::json::array();
  for (const FigureInfo& figure : named.figures) {
    all_figures.push_back(figure_json(figure));
  }
  for (const ScoreInfo& score : named.scores) {
    all_figures.push_back(score_json(score));
  }
  nlohmann::json probes = nlohmann::json::array();
  for (const ProbeText& probe : named.probes) {
    probes.push_back(probe_json(probe));
  }
  return {{"components", std::move(components)},
          {"stage_kinds", std::move(kinds)},
          {"documents", std::move(documents)},
          {"figures", std::move(all_figures)},
          {"probes", std::move(probes)}};
}

std::string indented(const std::string& text) {
  std::string result;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && c != '\n') {
      result += "  ";
    }
    result += c;
    line_begins = c == '\n';
  }
  return result;
}

}  // namespace

int run_describe(const Registry& registry, const std::vector<StageKindSpec>& kinds,
                 const std::string& name, bool json, std::ostream& out, std::ostream& err) {
  const Named named = everything_called(name, registry, kinds);
  if (named.empty()) {
    err << unknown_text(name, registry, kinds) << '\n';
    return exit_wrong_input;
  }
  if (json) {
    out << dump(as_json(named, name, registry), 2) << '\n';
    return 0;
  }
  const char* between = "";
  const auto print = [&](const std::string& description, const std::string& snippet) {
    out << between << description << "\nTOML\n" << indented(snippet);
    between = "\n";
  };
  for (const auto& component : named.components) {
    print(describe_component(*component), toml_snippet(*component, is_qualified(name)));
  }
  for (const StageKindSpec& kind : named.kinds) {
    print(describe_stage_kind(kind), toml_snippet(kind, registry));
  }
  for (const DocumentSpec& document : named.documents) {
    out << between << describe_document(document);
    between = "\n";
  }
  for (const FigureInfo& figure : named.figures) {
    out << between << describe_figure(figure);
    between = "\n";
  }
  for (const ScoreInfo& score : named.scores) {
    out << between << describe_score(score);
    between = "\n";
  }
  for (const ProbeText& probe : named.probes) {
    out << between << describe_probe(probe);
    between = "\n";
  }
  return 0;
}

}  // namespace bissl::host
