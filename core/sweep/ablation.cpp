#include "sweep/ablation.h"

#include "base/spelling.h"
#include "pipeline/config_loader.h"
#include "pipeline/metric_name.h"
#include "pipeline/path_fault.h"
#include "pipeline/plain_names.h"
#include "pipeline/table_reader.h"
#include "pipeline/toml_parser.h"
#include "pipeline/unset_keys.h"
#include "sweep/ablation_fields.h"
#include "sweep/ablation_spec.h"
#include "sweep/labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// The pipeline's own seed.
bool is_pipeline_seed(const std::string& key) {
  return parse_toml_key(key) == std::vector<std::string>{"seed"};
}

/// Whether a key holds a seed, by its name: `seed`, `data.labelled.subset_seed`, `data.a.seed`.
bool is_seed_key(const std::string& key) {
  const std::vector<std::string> parts = parse_toml_key(key);
  return !parts.empty() && (parts.back() == "seed" || parts.back().ends_with("_seed"));
}

class AblationReader : private AblationFields {
 public:
  AblationReader(const fs::path& file, DiagnosticCollector& diagnostics)
      : AblationFields(diagnostics) {
    ablation_.file = file;
  }

  std::optional<Ablation> read() {
    const std::optional<ConfigNode> root = load_config(ablation_.file, {}, {}, diagnostics());
    if (!root) {
      return std::nullopt;
    }
    report_unset(root->unset, *root, "", diagnostics());
    const Table read = TableReader(diagnostics()).read_table(*root, ablation_spec(), "");
    const AblationOptions options = parse_ablation(read);
    take_name(options, *root);
    take_pipeline(options, *root);
    take_metrics(options, *root);
    ablation_.stages = options.stages;
    tasks_ = options.tasks;
    read_set(*root);
    read_axes(*root);
    read_zips(*root);
    name_axes();
    mark_tasks(*root);
    read_exclusions(*root);
    if (read.has_table("search")) {
      ablation_.search =
          read_search(root->find("search")->value, parse_search(read.table("search")), *this);
    }
    read_baseline(*root);
    if (ablation_.axes.empty() && !ablation_.search) {
      diagnostics().missing(root->at, "axes", "there is nothing to vary",
                            "a table [axes], [[zip]] or [search]");
    }
    if (diagnostics().errors() > 0) {
      return std::nullopt;
    }
    return std::move(ablation_);
  }

 private:
  /// The table at a key; null if there is none. That it is one has been checked.
  static const ConfigNode* table(const ConfigNode& root, const std::string& key) {
    const ConfigEntry* entry = root.find(key);
    return entry != nullptr && entry->value.is_table() ? &entry->value : nullptr;
  }

  /// The tables of an array at a key; what is none has been reported.
  static std::vector<const ConfigNode*> tables(const ConfigNode& root, const std::string& key) {
    std::vector<const ConfigNode*> found;
    if (const ConfigEntry* entry = root.find(key)) {
      for (const ConfigNode& item : entry->value.items) {
        if (item.is_table()) {
          found.push_back(&item);
        }
      }
    }
    return found;
  }

  void take_name(const AblationOptions& options, const ConfigNode& root) {
    ablation_.name = options.name.value_or(ablation_.file.stem().string());
    if (!is_plain_name(ablation_.name)) {
      const ConfigEntry* entry = root.find("name");
      diagnostics().error(
          entry != nullptr ? entry->value.at : root.at, "name",
          fmt::format("{} cannot name a sweep", to_toml(Value(shortened(ablation_.name)))),
          plain_name_rule());
    }
  }

  void take_pipeline(const AblationOptions& options, const ConfigNode& root) {
    if (options.pipeline.empty()) {
      return;
    }
    const Location& at = root.find("pipeline")->value.at;
    if (const std::string fault = path_fault(options.pipeline); !fault.empty()) {
      diagnostics().error(at, "pipeline", fault);
      return;
    }
    ablation_.pipeline = (fs::path(at.file).parent_path() / options.pipeline).lexically_normal();
  }

  void take_metrics(const AblationOptions& options, const ConfigNode& root) {
    ablation_.metrics = options.metric;
    const ConfigEntry* entry = root.find("metric");
    for (size_t i = 0; i < ablation_.metrics.size(); ++i) {
      const bool in_list = i < entry->value.items.size();
      ask(ablation_.metrics[i], in_list ? entry->value.items[i].at : entry->value.at, "metric");
    }
    if (options.reference) {
      ablation_.reference = *options.reference;
      ask(ablation_.reference, root.find("reference")->value.at, "reference");
    }
    if (!ablation_.metrics.empty()) {
      ablation_.maximise = wants_more(options.goal);
    }
  }

  void ask(std::string& text, const Location& at, const std::string& key) {
    text = metric(text, at, key);
    ablation_.asked.push_back({key, at, text});
  }

  void read_set(const ConfigNode& root) {
    if (const ConfigNode* set = table(root, "set")) {
      walk(
          *set,
          [](const std::string& key, const ConfigNode& value) {
            return !value.is_table() || key.find('.') != std::string::npos;
          },
          [&](KeyValue setting) { ablation_.set.push_back(std::move(setting)); });
    }
  }

  static bool is_list(const std::string& /*key*/, const ConfigNode& value) {
    return value.type == ConfigNode::Type::array;
  }

  /// The values of one key; an empty list or one with repetitions is reported.
  std::vector<ConfigNode> values(const KeyValue& setting, const std::string& path) {
    const std::string accepted = "an array of values";
    if (setting.value.type != ConfigNode::Type::array) {
      diagnostics().error(setting.value.at, path, describe_given(setting.value), accepted);
      return {};
    }
    if (setting.value.items.empty() ||
        static_cast<int64_t>(setting.value.items.size()) > most_choices) {
      diagnostics().error(setting.value.at, path,
                          fmt::format("the list has {} values", setting.value.items.size()),
                          fmt::format("1 to {}", most_choices));
      return {};
    }
    claim_key(setting, path);
    return setting.value.items;
  }

  void read_axes(const ConfigNode& root) {
    const ConfigNode* axes = table(root, "axes");
    if (axes == nullptr) {
      return;
    }
    walk(*axes, is_list, [&](const KeyValue& setting) {
      const std::string path = "axes." + spelled_key(setting.key);
      const std::vector<ConfigNode> items = values(setting, path);
      const std::vector<std::string> labels = labels_of(items);
      Axis axis;
      axis.keys = {setting.key};
      axis.is_seed = is_pipeline_seed(setting.key);
      for (size_t i = 0; i < items.size(); ++i) {
        axis.choices.push_back({labels[i], {{setting.key, setting.at, items[i]}}});
      }
      add_axis(std::move(axis), setting.at, path);
    });
  }

  void add_axis(Axis axis, const Location& at, const std::string& path) {
    const auto same = [](const KeyValue& left, const KeyValue& right) {
      return same_value(left.value, right.value);
    };
    std::map<std::string, const Axis::Choice*> seen;
    for (const Axis::Choice& choice : axis.choices) {
      const auto [before, added] = seen.try_emplace(choice.label, &choice);
      // Labels of different values differ.
      if (!added && std::equal(choice.settings.begin(), choice.settings.end(),
                               before->second->settings.begin(), same)) {
        diagnostics().error(at, path, fmt::format("the value {} is given twice", choice.label));
      }
    }
    if (!axis.choices.empty()) {
      ablation_.axes.push_back(std::move(axis));
    }
  }

  void read_zips(const ConfigNode& root) {
    for (const ConfigNode* zip : tables(root, "zip")) {
      read_zip(*zip);
    }
  }

  void read_zip(ConfigNode zip) {
    Axis axis;
    const std::optional<std::vector<std::string>> given = take_names(zip, axis);
    std::vector<std::vector<ConfigNode>> columns;
    Location seed_at;
    walk(zip, is_list, [&](const KeyValue& setting) {
      const std::string path = "zip." + spelled_key(setting.key);
      std::vector<ConfigNode> items = values(setting, path);
      if (!axis.keys.empty() && items.size() != axis.choices.size()) {
        diagnostics().error(setting.value.at, path,
                            fmt::format("the list has {} values", items.size()),
                            fmt::format("{}, as for {}", axis.choices.size(), axis.keys.front()));
        return;
      }
      axis.keys.push_back(setting.key);
      axis.choices.resize(items.size());
      for (size_t i = 0; i < items.size(); ++i) {
        axis.choices[i].settings.push_back({setting.key, setting.at, items[i]});
      }
      seed_at = is_pipeline_seed(setting.key) ? setting.at : seed_at;
      columns.push_back(std::move(items));
    });
    const std::vector<std::string> labels = joint_labels(columns);
    for (size_t i = 0; i < axis.choices.size(); ++i) {
      axis.choices[i].label = labels[i];
    }
    take_labels(zip, given, axis);
    find_repetitions(axis, seed_at);
    add_axis(std::move(axis), zip.at, "zip");
  }

  /// Takes the axis' own name out of the table, and returns the names of its choices.
  std::optional<std::vector<std::string>> take_names(ConfigNode& zip, Axis& axis) {
    if (const ConfigEntry* entry = zip.find("name")) {
      const std::string* name = entry->value.as_text();
      if (name == nullptr || !is_plain_name(*name)) {
        diagnostics().error(entry->value.at, "zip.name", describe_given(entry->value),
                            plain_name_rule());
      } else {
        axis.name = *name;
      }
    }
    std::optional<std::vector<std::string>> labels;
    if (const ConfigEntry* entry = zip.find("labels")) {
      labels.emplace();
      for (const ConfigNode& item : entry->value.items) {
        const std::string* label = item.as_text();
        if (label == nullptr || label->empty()) {
          diagnostics().error(item.at, "zip.labels", describe_given(item), "a text");
        } else {
          labels->push_back(*label);
        }
      }
    }
    zip.erase("name");
    zip.erase("labels");
    return labels;
  }

  void take_labels(const ConfigNode& zip, const std::optional<std::vector<std::string>>& labels,
                   Axis& axis) {
    if (!labels) {
      return;
    }
    const std::set<std::string> different(labels->begin(), labels->end());
    if (labels->size() != axis.choices.size() || different.size() != labels->size()) {
      diagnostics().error(
          zip.at, "zip.labels",
          fmt::format("there are {} labels, {} of them different", labels->size(),
                      different.size()),
          fmt::format("{} different ones, one for each choice", axis.choices.size()));
      return;
    }
    for (size_t i = 0; i < labels->size(); ++i) {
      axis.choices[i].label = (*labels)[i];
    }
  }

  /// Finds the axis that `tasks` names.
  void mark_tasks(const ConfigNode& root) {
    if (!tasks_) {
      return;
    }
    std::vector<std::string> names;
    for (Axis& axis : ablation_.axes) {
      const bool is_meant = axis.name == *tasks_ || std::find(axis.keys.begin(), axis.keys.end(),
                                                              *tasks_) != axis.keys.end();
      if (is_meant && !axis.is_seed) {
        axis.is_tasks = true;
        return;
      }
      if (!axis.is_seed) {
        names.push_back(axis.name);
      }
    }
    diagnostics().error(root.find("tasks")->value.at, "tasks",
                        fmt::format("there is no axis {}", to_toml(Value(shortened(*tasks_)))),
                        quoted_list(names), nearest(*tasks_, names));
  }

  /// Seeds that go together are repetitions; a seed that goes with anything else is confounded.
  void find_repetitions(Axis& axis, const Location& seed_at) {
    if (std::none_of(axis.keys.begin(), axis.keys.end(), is_pipeline_seed)) {
      return;
    }
    std::vector<std::string> others;
    for (size_t i = 0; i < axis.keys.size(); ++i) {
      const bool varies =
          std::any_of(axis.choices.begin(), axis.choices.end(), [&](const Axis::Choice& choice) {
            return !same_value(choice.settings[i].value, axis.choices.front().settings[i].value);
          });
      if (varies && !is_seed_key(axis.keys[i])) {
        others.push_back(axis.keys[i]);
      }
    }
    axis.is_seed = others.empty();
    axis.confounds_seed = !others.empty();
    if (axis.confounds_seed) {
      diagnostics().warning(
          seed_at, "zip.seed",
          fmt::format("the seed changes together with {}, so their effects cannot be told apart, "
                      "and no cell has repetitions. For repetitions give seed a list of its own in "
                      "[axes], or a [[zip]] with other seeds only",
                      fmt::join(others, " and ")));
    }
  }

  void name_axes() {
    std::vector<std::vector<std::string>> keys;
    for (const Axis& axis : ablation_.axes) {
      for (const std::string& key : axis.keys) {
        keys.push_back(parse_toml_key(key));
      }
    }
    const std::vector<std::string> names = short_names(keys);
    size_t next = 0;
    std::set<std::string> taken;
    for (Axis& axis : ablation_.axes) {
      const bool is_named = !axis.name.empty();
      for (size_t i = 0; i < axis.keys.size(); ++i, ++next) {
        axis.name += is_named ? "" : (i == 0 ? "" : "+") + names[next];
      }
      if (!taken.insert(axis.name).second) {
        diagnostics().error({ablation_.file.string(), 0, 0}, "zip.name",
                            fmt::format("two axes are called {}", axis.name));
      }
    }
  }

  void read_exclusions(const ConfigNode& root) {
    for (const ConfigNode* item : tables(root, "exclude")) {
      if (item->entries.empty()) {
        diagnostics().error(item->at, "exclude", "this leaves out nothing",
                            "keys of the pipeline with values");
        continue;
      }
      std::vector<KeyValue> rule;
      walk(*item, is_no_table, [&](KeyValue setting) { rule.push_back(std::move(setting)); });
      ablation_.exclude.push_back(std::move(rule));
    }
  }

  void read_baseline(const ConfigNode& root) {
    for (const Axis& axis : ablation_.axes) {
      ablation_.baseline.push_back(axis.is_seed ? std::nullopt : std::optional<size_t>(0));
    }
    const ConfigNode* baseline = table(root, "baseline");
    if (baseline == nullptr) {
      return;
    }
    const auto is_varied = [&](const std::string& key, const ConfigNode& value) {
      return !value.is_table() || AblationFields::is_varied(key);
    };
    walk(*baseline, is_varied, [&](const KeyValue& setting) { choose_baseline(setting); });
  }

  void choose_baseline(const KeyValue& setting) {
    for (size_t i = 0; i < ablation_.axes.size(); ++i) {
      const Axis& axis = ablation_.axes[i];
      for (size_t k = 0; k < axis.keys.size(); ++k) {
        if (parse_toml_key(axis.keys[k]) != parse_toml_key(setting.key)) {
          continue;
        }
        auto& wanted = baseline_values_[i];
        wanted.emplace_back(k, setting.value);
        const auto fits = [&](const Axis::Choice& choice) {
          return std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
            return matches(choice.settings[one.first].value, one.second);
          });
        };
        const auto found = std::find_if(axis.choices.begin(), axis.choices.end(), fits);
        if (found == axis.choices.end()) {
          const std::string given = shortened(inline_toml(setting.value));
          diagnostics().error(
              setting.value.at, "baseline." + spelled_key(setting.key),
              wanted.size() == 1
                  ? fmt::format("{} is not among the axis' values", given)
                  : fmt::format("no choice of the axis has {} and what is given for its other keys",
                                given));
        } else if (!axis.is_seed) {
          ablation_.baseline[i] = static_cast<size_t>(found - axis.choices.begin());
        }
        return;
      }
    }
    diagnostics().error(setting.at, "baseline." + spelled_key(setting.key),
                        "no axis varies this key");
  }

  Ablation ablation_;
  std::optional<std::string> tasks_;  ///< the axis of tasks, as the file names it
  /// By axis: numbers of its keys, with what [baseline] gives for them.
  std::map<size_t, std::vector<std::pair<size_t, ConfigNode>>> baseline_values_;
};

}  // namespace

std::optional<Ablation> read_ablation(const fs::path& file, DiagnosticCollector& diagnostics) {
  return AblationReader(file, diagnostics).read();
}

}  // namespace bissl::host
