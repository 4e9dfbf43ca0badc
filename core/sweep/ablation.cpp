#include "sweep/ablation.h"

#include "pipeline/config_loader.h"
#include "pipeline/stage_graph.h"
#include "pipeline/toml_parser.h"
#include "plugins/spelling.h"
#include "sweep/labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_choices = 10000;

/// A key from the root of the file down to a value, written as one dotted key.
std::string dotted(const std::string& prefix, const std::string& key) {
  // A key in quotation marks that holds dots is a path of its own: "stage.bissl.lambda" = …
  return prefix.empty() ? key : prefix + "." + key;
}

class AblationReader {
 public:
  AblationReader(const fs::path& file, DiagnosticCollector& diagnostics)
      : diagnostics_(diagnostics) {
    ablation_.file = file;
  }

  std::optional<Ablation> read() {
    const std::optional<ConfigNode> root = load_config(ablation_.file, {}, {}, diagnostics_);
    if (!root) {
      return std::nullopt;
    }
    refuse_unknown(*root, "",
                   {"name", "pipeline", "metric", "reference", "goal", "stages", "set", "axes", "zip",
                    "exclude", "baseline", "search"});
    read_name(*root);
    read_pipeline(*root);
    read_metrics(*root);
    ablation_.stages = texts(*root, "stages");
    read_set(*root);
    read_axes(*root);
    read_zips(*root);
    name_axes();
    read_exclusions(*root);
    read_search(*root);
    read_baseline(*root);
    if (ablation_.axes.empty() && !ablation_.search) {
      diagnostics_.missing(root->at, "axes", "there is nothing to vary",
                           "a table [axes], [[zip]] or [search]");
    }
    if (diagnostics_.errors() > 0) {
      return std::nullopt;
    }
    return std::move(ablation_);
  }

 private:
  void refuse_unknown(const ConfigNode& table, const std::string& path,
                      const std::vector<std::string>& known) {
    for (const ConfigEntry& entry : table.entries) {
      if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
        diagnostics_.error(entry.key_at, joined_key(path, entry.key), "there is no such key",
                           quoted_list(known), nearest(entry.key, known));
      }
    }
  }

  const std::string* text(const ConfigNode& table, const std::string& path, const std::string& key,
                          const std::string& accepted) {
    const ConfigEntry* entry = table.find(key);
    if (entry == nullptr) {
      return nullptr;
    }
    const auto* found = std::get_if<std::string>(&entry->value.scalar);
    if (found == nullptr) {
      diagnostics_.error(entry->value.at, joined_key(path, key), describe_given(entry->value),
                         accepted);
    }
    return found;
  }

  /// A text or a list of them.
  std::vector<std::string> texts(const ConfigNode& root, const std::string& key) {
    std::vector<std::string> found;
    const ConfigEntry* entry = root.find(key);
    if (entry == nullptr) {
      return found;
    }
    const auto take = [&](const ConfigNode& node) {
      if (const auto* item = std::get_if<std::string>(&node.scalar)) {
        found.push_back(*item);
      } else {
        diagnostics_.error(node.at, key, describe_given(node), "a text, or a list of texts");
      }
    };
    if (entry->value.type == ConfigNode::Type::array) {
      for (const ConfigNode& item : entry->value.items) {
        take(item);
      }
    } else {
      take(entry->value);
    }
    return found;
  }

  void read_name(const ConfigNode& root) {
    const std::string* name = text(root, "", "name", plain_name_rule());
    ablation_.name = name != nullptr ? *name : ablation_.file.stem().string();
    if (!is_plain_name(ablation_.name)) {
      const ConfigEntry* entry = root.find("name");
      diagnostics_.error(entry != nullptr ? entry->value.at : root.at, "name",
                         fmt::format("{} cannot name a sweep",
                                     to_toml(Value(shortened(ablation_.name)))),
                         plain_name_rule());
    }
  }

  void read_pipeline(const ConfigNode& root) {
    const std::string accepted = "the path of a pipeline's TOML file, relative to this one";
    const std::string* pipeline = text(root, "", "pipeline", accepted);
    if (pipeline != nullptr) {
      const fs::path base = fs::path(root.find("pipeline")->value.at.file).parent_path();
      ablation_.pipeline = (base / *pipeline).lexically_normal();
    } else if (root.find("pipeline") == nullptr) {
      diagnostics_.missing(root.at, "pipeline", "this required key is missing", accepted);
    }
  }

  /// Less of a loss is better; more of everything else.
  bool read_goal(const ConfigNode& table, const std::string& path, const std::string& metric) {
    const std::string* goal = text(table, path, "goal", R"("max" or "min")");
    if (goal == nullptr) {
      return !metric.ends_with("loss");
    }
    if (*goal != "max" && *goal != "min") {
      diagnostics_.error(table.find("goal")->value.at, joined_key(path, "goal"),
                         fmt::format("{} is no goal", to_toml(Value(shortened(*goal)))),
                         R"("max" or "min")");
    }
    return *goal == "max";
  }

  void check_metric(const std::string& metric, const Location& at, const std::string& key) {
    if (std::count(metric.begin(), metric.end(), '.') < 2) {
      diagnostics_.error(at, key, fmt::format("{} is no metric", to_toml(Value(shortened(metric)))),
                         R"("STAGE.DATA.METRIC", such as "finetune.test.top1")");
    }
  }

  void read_metrics(const ConfigNode& root) {
    ablation_.metrics = texts(root, "metric");
    const ConfigEntry* entry = root.find("metric");
    if (entry == nullptr) {
      diagnostics_.missing(root.at, "metric", "this required key is missing",
                           R"("STAGE.DATA.METRIC", such as "finetune.test.top1", or several)");
      return;
    }
    for (const std::string& metric : ablation_.metrics) {
      check_metric(metric, entry->value.at, "metric");
    }
    if (const std::string* reference = text(root, "", "reference", "a metric")) {
      ablation_.reference = *reference;
      check_metric(*reference, root.find("reference")->value.at, "reference");
    }
    if (!ablation_.metrics.empty()) {
      ablation_.maximise = read_goal(root, "", ablation_.metrics.front());
    }
  }

  const ConfigNode* table(const ConfigNode& root, const std::string& key) {
    const ConfigEntry* entry = root.find(key);
    if (entry == nullptr) {
      return nullptr;
    }
    if (!entry->value.is_table()) {
      diagnostics_.error(entry->value.at, key, describe_given(entry->value), "a table");
      return nullptr;
    }
    return &entry->value;
  }

  /// Calls `take` for what `is_value` accepts, and goes into tables for the rest; keys with dots
  /// and tables in tables say the same.
  template <class IsValue, class Take>
  void walk(const ConfigNode& node, const std::string& prefix, const IsValue& is_value,
            const Take& take) {
    for (const ConfigEntry& entry : node.entries) {
      const std::string key = dotted(prefix, entry.key);
      if (is_value(key, entry.value) || !entry.value.is_table()) {
        if (parse_toml_key(key).empty()) {
          diagnostics_.error(entry.key_at, key, "this is not a key of a pipeline",
                             "a dotted key, such as \"stage.bissl.lambda\"");
        } else {
          take(KeyValue{key, entry.key_at, entry.value});
        }
      } else {
        walk(entry.value, key, is_value, take);
      }
    }
  }

  void read_set(const ConfigNode& root) {
    if (const ConfigNode* set = table(root, "set")) {
      walk(*set, "",
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
    const std::string accepted = "a list of values";
    if (setting.value.type != ConfigNode::Type::array) {
      diagnostics_.error(setting.value.at, path, describe_given(setting.value), accepted);
      return {};
    }
    if (setting.value.items.empty() || setting.value.items.size() > most_choices) {
      diagnostics_.error(setting.value.at, path,
                         fmt::format("the list has {} values", setting.value.items.size()),
                         fmt::format("1 to {}", most_choices));
      return {};
    }
    claim_key(setting, path);
    return setting.value.items;
  }

  void claim_key(const KeyValue& setting, const std::string& path) {
    if (!varied_.insert(parse_toml_key(setting.key)).second) {
      diagnostics_.error(setting.at, path, "this key is varied twice");
    }
    if (setting.key == "name" || setting.key == "include") {
      diagnostics_.error(setting.at, path, "this key cannot be varied");
    }
  }

  void read_axes(const ConfigNode& root) {
    const ConfigNode* axes = table(root, "axes");
    if (axes == nullptr) {
      return;
    }
    walk(*axes, "", is_list, [&](const KeyValue& setting) {
      const std::string path = "axes." + spelled_key(setting.key);
      const std::vector<ConfigNode> items = values(setting, path);
      const std::vector<std::string> labels = labels_of(items);
      Axis axis;
      axis.keys = {setting.key};
      axis.is_seed = setting.key == "seed";
      for (size_t i = 0; i < items.size(); ++i) {
        axis.choices.push_back({labels[i], {{setting.key, setting.at, items[i]}}});
      }
      add_axis(std::move(axis), setting.at, path);
    });
  }

  void add_axis(Axis axis, const Location& at, const std::string& path) {
    std::set<std::string> seen;
    for (const Axis::Choice& choice : axis.choices) {
      if (!seen.insert(choice.label).second) {
        diagnostics_.error(at, path, fmt::format("the value {} stands there twice", choice.label));
      }
    }
    if (!axis.choices.empty()) {
      ablation_.axes.push_back(std::move(axis));
    }
  }

  void read_zips(const ConfigNode& root) {
    const ConfigEntry* entry = root.find("zip");
    if (entry == nullptr) {
      return;
    }
    const std::string accepted = "[[zip]]: tables of keys with lists of one length";
    if (entry->value.type != ConfigNode::Type::array) {
      diagnostics_.error(entry->value.at, "zip", describe_given(entry->value), accepted);
      return;
    }
    for (const ConfigNode& item : entry->value.items) {
      if (item.is_table()) {
        read_zip(item);
      } else {
        diagnostics_.error(item.at, "zip", describe_given(item), accepted);
      }
    }
  }

  void read_zip(const ConfigNode& zip) {
    Axis axis;
    std::vector<std::vector<std::string>> labels;
    walk(zip, "", is_list, [&](const KeyValue& setting) {
      const std::string path = "zip." + spelled_key(setting.key);
      const std::vector<ConfigNode> items = values(setting, path);
      if (!axis.keys.empty() && items.size() != axis.choices.size()) {
        diagnostics_.error(setting.value.at, path,
                           fmt::format("the list has {} values", items.size()),
                           fmt::format("{}, as for {}", axis.choices.size(), axis.keys.front()));
        return;
      }
      axis.keys.push_back(setting.key);
      axis.choices.resize(items.size());
      const std::vector<std::string> own = labels_of(items);
      for (size_t i = 0; i < items.size(); ++i) {
        std::string& label = axis.choices[i].label;
        label += (label.empty() ? "" : "+") + own[i];
        axis.choices[i].settings.push_back({setting.key, setting.at, items[i]});
      }
    });
    add_axis(std::move(axis), zip.at, "zip");
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
    for (Axis& axis : ablation_.axes) {
      for (size_t i = 0; i < axis.keys.size(); ++i) {
        axis.name += (i == 0 ? "" : "+") + names[next++];
      }
    }
  }

  void read_exclusions(const ConfigNode& root) {
    const ConfigEntry* entry = root.find("exclude");
    if (entry == nullptr) {
      return;
    }
    const std::string accepted = "[[exclude]]: tables of keys with values";
    const bool is_array = entry->value.type == ConfigNode::Type::array;
    if (!is_array) {
      diagnostics_.error(entry->value.at, "exclude", describe_given(entry->value), accepted);
    }
    for (const ConfigNode& item : entry->value.items) {
      if (!item.is_table() || item.entries.empty()) {
        diagnostics_.error(item.at, "exclude", describe_given(item), accepted);
        continue;
      }
      std::vector<KeyValue> rule;
      walk(item, "", [](const std::string&, const ConfigNode& value) { return !value.is_table(); },
           [&](KeyValue setting) { rule.push_back(std::move(setting)); });
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
      return !value.is_table() || varied_.count(parse_toml_key(key)) != 0;
    };
    walk(*baseline, "", is_varied, [&](const KeyValue& setting) { choose_baseline(setting); });
  }

  void choose_baseline(const KeyValue& setting) {
    for (size_t i = 0; i < ablation_.axes.size(); ++i) {
      const Axis& axis = ablation_.axes[i];
      for (size_t k = 0; k < axis.keys.size(); ++k) {
        if (parse_toml_key(axis.keys[k]) != parse_toml_key(setting.key)) {
          continue;
        }
        const auto fits = [&](const Axis::Choice& choice) {
          return matches(choice.settings[k].value, setting.value);
        };
        const auto found = std::find_if(axis.choices.begin(), axis.choices.end(), fits);
        if (found == axis.choices.end()) {
          diagnostics_.error(setting.value.at, "baseline." + spelled_key(setting.key),
                             fmt::format("{} is not among the axis' values",
                                         shortened(inline_toml(setting.value))));
        } else if (!axis.is_seed) {
          ablation_.baseline[i] = static_cast<size_t>(found - axis.choices.begin());
        }
        return;
      }
    }
    diagnostics_.error(setting.at, "baseline." + spelled_key(setting.key),
                       "no axis varies this key");
  }

  void read_search(const ConfigNode& root) {
    const ConfigNode* search = table(root, "search");
    if (search == nullptr) {
      return;
    }
    SearchSpec spec;
    const auto number = [&](const char* key, int64_t least) -> std::optional<int64_t> {
      const ConfigEntry* entry = search->find(key);
      const auto* value = entry == nullptr ? nullptr : std::get_if<int64_t>(&entry->value.scalar);
      if (entry != nullptr && (value == nullptr || *value < least)) {
        diagnostics_.error(entry->value.at, std::string("search.") + key,
                           describe_given(entry->value),
                           fmt::format("an integer of at least {}", least));
      }
      return value == nullptr ? std::nullopt : std::optional(*value);
    };
    if (search->find("draws") == nullptr) {
      diagnostics_.missing(search->at, "search.draws", "this required key is missing",
                           "the number of draws in each cell");
    }
    spec.draws = number("draws", 1).value_or(0);
    if (spec.draws > static_cast<int64_t>(most_choices)) {
      diagnostics_.error(search->find("draws")->value.at, "search.draws",
                         fmt::format("{} are too many", spec.draws),
                         fmt::format("at most {}", most_choices));
    }
    spec.seed = static_cast<uint64_t>(number("seed", 0).value_or(0));
    read_selection(*search, spec);
    if (const ConfigNode* final = table(*search, "final")) {
      walk(*final, "",
           [](const std::string&, const ConfigNode& value) { return !value.is_table(); },
           [&](KeyValue setting) { spec.final.push_back(std::move(setting)); });
    }
    read_distributions(*search, spec);
    ablation_.search = std::move(spec);
  }

  void read_selection(const ConfigNode& search, SearchSpec& spec) {
    const std::string accepted =
        "the metric on a validation split by which a draw is chosen: \"STAGE.DATA.METRIC\"";
    if (const std::string* select = text(search, "search", "select", accepted)) {
      spec.select = *select;
      check_metric(*select, search.find("select")->value.at, "search.select");
      spec.maximise = read_goal(search, "search", *select);
    } else if (search.find("select") == nullptr) {
      diagnostics_.missing(search.at, "search.select", "this required key is missing", accepted);
    }
    if (const ConfigEntry* entry = search.find("per_seed")) {
      const auto* per_seed = std::get_if<bool>(&entry->value.scalar);
      if (per_seed == nullptr) {
        diagnostics_.error(entry->value.at, "search.per_seed", describe_given(entry->value),
                           "true or false");
      } else {
        spec.per_seed = *per_seed;
      }
    }
  }

  void read_distributions(const ConfigNode& search, SearchSpec& spec) {
    static const std::set<std::string> own = {"draws", "seed", "select", "goal", "per_seed",
                                              "final"};
    ConfigNode keys = search;
    std::erase_if(keys.entries, [](const ConfigEntry& entry) { return own.count(entry.key) != 0; });
    const auto is_distribution = [](const std::string&, const ConfigNode& value) {
      return value.find("uniform") != nullptr || value.find("log_uniform") != nullptr ||
             value.find("choice") != nullptr;
    };
    walk(keys, "", is_distribution, [&](const KeyValue& setting) {
      claim_key(setting, "search." + spelled_key(setting.key));
      read_distribution(setting, spec);
    });
    if (spec.keys.empty()) {
      diagnostics_.missing(search.at, "search", "there is nothing to draw",
                           "a key with { uniform = [a, b] }, { log_uniform = [a, b] } or "
                           "{ choice = […] }");
    }
  }

  void read_distribution(const KeyValue& setting, SearchSpec& spec) {
    const std::string path = "search." + spelled_key(setting.key);
    const std::string accepted =
        "{ uniform = [a, b] }, { log_uniform = [a, b] } with 0 < a < b, or { choice = […] }";
    const bool one = setting.value.is_table() && setting.value.entries.size() == 1;
    const ConfigEntry* entry = one ? &setting.value.entries.front() : nullptr;
    if (entry == nullptr || entry->value.type != ConfigNode::Type::array ||
        entry->value.items.empty()) {
      diagnostics_.error(setting.value.at, path,
                         one ? describe_given(entry->value) : describe_given(setting.value),
                         accepted);
      return;
    }
    DrawnKey drawn{setting.key, setting.at, {}};
    Distribution& distribution = drawn.distribution;
    if (entry->key == "choice") {
      distribution.kind = Distribution::Kind::choice;
      distribution.choices = entry->value.items;
    } else {
      const std::optional<Value> bounds = to_value(entry->value);
      std::vector<double> ends;
      if (bounds && type_of(*bounds) == ValueType::reals) {
        ends = std::get<std::vector<double>>(*bounds);
      } else if (bounds && type_of(*bounds) == ValueType::integers) {
        const auto& integers = std::get<std::vector<int64_t>>(*bounds);
        ends.assign(integers.begin(), integers.end());
      }
      const bool logarithmic = entry->key == "log_uniform";
      if ((!logarithmic && entry->key != "uniform") || ends.size() != 2 || !(ends[0] < ends[1]) ||
          (logarithmic && ends[0] <= 0)) {
        diagnostics_.error(entry->value.at, path, describe_given(entry->value), accepted);
        return;
      }
      distribution.kind =
          logarithmic ? Distribution::Kind::log_uniform : Distribution::Kind::uniform;
      distribution.low = ends[0];
      distribution.high = ends[1];
    }
    spec.keys.push_back(std::move(drawn));
  }

  DiagnosticCollector& diagnostics_;
  Ablation ablation_;
  std::set<std::vector<std::string>> varied_;
};

bool same_scalar(const Value& left, const Value& right) {
  const auto number = [](const Value& value) -> std::optional<double> {
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      return static_cast<double>(*integer);
    }
    const auto* real = std::get_if<double>(&value);
    return real == nullptr ? std::nullopt : std::optional(*real);
  };
  const std::optional<double> a = number(left);
  const std::optional<double> b = number(right);
  return a && b ? *a == *b : left == right;
}

}  // namespace

std::optional<Ablation> read_ablation(const fs::path& file, DiagnosticCollector& diagnostics) {
  return AblationReader(file, diagnostics).read();
}

bool matches(const ConfigNode& value, const ConfigNode& pattern) {
  if (pattern.is_table()) {
    return value.is_table() &&
           std::all_of(pattern.entries.begin(), pattern.entries.end(), [&](const auto& entry) {
             const ConfigEntry* found = value.find(entry.key);
             return found != nullptr && matches(found->value, entry.value);
           });
  }
  if (value.is_table()) {
    // A component is also meant by its name alone.
    const ConfigEntry* use = value.find("use");
    return use != nullptr && matches(use->value, pattern);
  }
  if (pattern.type == ConfigNode::Type::array || value.type == ConfigNode::Type::array) {
    return pattern.type == value.type && pattern.items.size() == value.items.size() &&
           std::equal(value.items.begin(), value.items.end(), pattern.items.begin(), matches);
  }
  return same_scalar(value.scalar, pattern.scalar);
}

ConfigNode tree_of(const KeyValue& setting) {
  const std::vector<std::string> keys = parse_toml_key(setting.key);
  ConfigNode node = setting.value;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    ConfigNode parent;
    parent.at = setting.at;
    parent.set({*key, setting.at, std::move(node)});
    node = std::move(parent);
  }
  return node;
}

const ConfigNode* value_at(const ConfigNode& root, const std::string& dotted) {
  const ConfigNode* node = &root;
  for (const std::string& key : parse_toml_key(dotted)) {
    const ConfigEntry* entry = node->find(key);
    if (entry == nullptr) {
      return nullptr;
    }
    node = &entry->value;
  }
  return node;
}

}  // namespace bissl
