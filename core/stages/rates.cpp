#include "stages/rates.h"

#include "base/spelling.h"
#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/optimizer_groups.h"
#include "stages/networks.h"
#include "stages/rates_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <map>

namespace bissl::host {
namespace {

bool matches(const GroupOptions& group, const std::string& name) {
  return std::any_of(group.match.begin(), group.match.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

void require_matches(const GroupOptions& group, const std::string& origin,
                     const std::vector<std::string>& names) {
  for (const std::string& pattern : group.match) {
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
        })) {
      continue;
    }
    std::vector<std::string> near = nearest(pattern, names);
    if (near.empty()) {
      near.assign(names.begin(),
                  names.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(3, names.size())));
    }
    fail_input(
        "rates.groups ({}): match = \"{}\" is the name of none of the {} parameters, which "
        "are called \"{}\", …",
        origin, pattern, names.size(), fmt::join(near, "\", \""));
  }
}

std::vector<std::string> names_of(const NamedTensors& parameters) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : parameters) {
    names.push_back(name);
  }
  return names;
}

/// What sets a parameter apart from others.
struct Setting {
  double lr_factor = 1;
  std::optional<double> weight_decay;
  friend auto operator<=>(const Setting&, const Setting&) = default;
};

/// By layer decay: the backbone's parameters have layer_decay^(depths − depth), all others 1.
class LayerFactors {
 public:
  LayerFactors(Backbone& backbone, double decay) : decay_(decay) {
    if (decay != 1) {
      layers_ = &require_ability<LayerDepths>(backbone, describe(backbone));
    }
  }

  double of(const std::string& name) const {
    constexpr std::string_view prefix = "backbone.";
    if (layers_ == nullptr || !name.starts_with(prefix)) {
      return 1;
    }
    const int64_t above =
        layers_->depths() - layers_->depth_of(std::string_view(name).substr(prefix.size()));
    return std::pow(decay_, static_cast<double>(above));
  }

 private:
  double decay_;
  LayerDepths* layers_ = nullptr;
};

/// Of groups that match a parameter the last one that says something of a key counts.
Setting setting_of(const std::string& name,
                   const std::vector<std::pair<GroupOptions, std::string>>& groups,
                   const LayerFactors& layers) {
  Setting setting;
  for (const auto& [group, origin] : groups) {
    if (matches(group, name)) {
      setting.lr_factor = group.lr_factor.value_or(setting.lr_factor);
      setting.weight_decay = group.weight_decay ? group.weight_decay : setting.weight_decay;
    }
  }
  setting.lr_factor *= layers.of(name);
  return setting;
}

void set_weight_decay(Optimizer& optimizer, double value, const ComponentChoice& choice) {
  auto* decay = capability<OptimizerWeightDecay>(optimizer);
  if (decay == nullptr) {
    fail_input("rates.groups: {} has no weight decay that could be set", choice.describe());
  }
  decay->set_weight_decay(value);
}

double number_of(const Table& table, const std::string& key, double otherwise) {
  const auto found = table.values.find(key);
  if (found == table.values.end()) {
    return otherwise;
  }
  const auto* integer = std::get_if<int64_t>(&found->second);
  return integer == nullptr ? otherwise : static_cast<double>(*integer);
}

/// Appends the scaled rates of a table and those in it. `samples`: of a step, where a table does
/// not say.
void gather(const Table& table, const std::string& path, double samples,
            std::vector<std::pair<std::string, double>>& found) {
  const double own = number_of(table, "batch", samples) * number_of(table, "accumulate", 1);
  const auto optimizer = table.components.find("optimizer");
  if (optimizer != table.components.end() && parse_rates(table).scaling != "none") {
    const auto lr = optimizer->second.values.find("lr");
    if (lr != optimizer->second.values.end() && std::holds_alternative<double>(lr->second)) {
      found.emplace_back(path + "optimizer.lr",
                         std::get<double>(lr->second) * rate_scaling(table, std::llround(own)));
    }
  }
  for (const auto& [name, below] : table.tables) {
    gather(below, path + name + ".", own, found);
  }
}

}  // namespace

double rate_scaling(const Table& table, int64_t step_samples) {
  const RatesOptions options = parse_rates(table);
  const double ratio =
      static_cast<double>(step_samples) / static_cast<double>(options.scaling_batch);
  return options.scaling == "linear" ? ratio : options.scaling == "none" ? 1.0 : std::sqrt(ratio);
}

void freeze(const Table& table, const NamedTensors& parameters) {
  size_t left = parameters.size();
  const std::vector<std::string> names = names_of(parameters);
  for (const auto& [group, origin] : parse_groups(table)) {
    if (!group.frozen) {
      continue;
    }
    require_matches(group, origin, names);
    for (const auto& [name, tensor] : parameters) {
      if (tensor.requires_grad() && matches(group, name)) {
        tensor.requires_grad_(false);
        --left;
      }
    }
    if (left == 0) {
      fail_input("rates.groups ({}): all {} parameters are frozen, and there is nothing to train",
                 origin, parameters.size());
    }
  }
}

void refuse_frozen(const Table& table, const std::string& path) {
  for (const auto& [group, origin] : parse_groups(table)) {
    if (group.frozen) {
      fail_input(
          "{}rates.groups ({}): a bissl stage trains the same parameters of the backbone on both "
          "levels, so nothing can be frozen there: use lr_factor, or unset = [\"{}rates\"]",
          path, origin, path);
    }
  }
}

std::shared_ptr<Optimizer> make_optimizer(const Table& table, const NamedTensors& parameters,
                                          Backbone& backbone, int64_t step_samples) {
  const ComponentChoice& choice = table.component("optimizer");
  if (rates_of(table) == nullptr) {
    return make_optimizer(choice, parameters);
  }
  const auto groups = parse_groups(table);
  const std::vector<std::string> names = names_of(parameters);
  for (const auto& [group, origin] : groups) {
    if (!group.frozen) {  // freeze() has looked at those that are
      require_matches(group, origin, names);
    }
  }
  const LayerFactors layers(backbone, parse_rates(table).layer_decay);
  std::map<Setting, std::vector<size_t>> members;
  for (size_t i = 0; i < parameters.size(); ++i) {
    members[setting_of(parameters[i].name, groups, layers)].push_back(i);
  }
  std::vector<OptimizerGroup> made;
  for (auto& [setting, places] : members) {
    NamedTensors own;
    for (const size_t place : places) {
      own.push_back(parameters[place]);
    }
    auto optimizer = make_optimizer(choice, std::move(own));
    if (setting.weight_decay) {
      set_weight_decay(*optimizer, *setting.weight_decay, choice);
    }
    made.push_back({std::move(optimizer), std::move(places), setting.lr_factor});
  }
  return std::make_shared<OptimizerGroups>(std::move(made), parameters.size(),
                                           rate_scaling(table, step_samples));
}

std::vector<std::pair<std::string, double>> scaled_rates(const Stage& stage) {
  std::vector<std::pair<std::string, double>> found;
  double upper = 0;
  if (stage.table.has_table("upper")) {  // the head's warm-up takes the upper level's batches
    upper = number_of(stage.table.table("upper"), "batch", 0);
  }
  gather(stage.table, "", upper, found);
  return found;
}

}  // namespace bissl::host
