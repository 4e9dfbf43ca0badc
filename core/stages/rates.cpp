#include "stages/rates.h"

#include "base/spelling.h"
#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/optimizer_groups.h"
#include "stages/networks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <map>

namespace bissl::host {
namespace {

/// `groups = [ { … } ]`
struct GroupOptions {
  std::vector<std::string> match;
  std::optional<double> lr_factor;
  std::optional<double> weight_decay;
  bool frozen = false;
};

/// `weight_decay = { … }`
struct DecayOptions {
  std::string use = "cosine";
  double end_factor = 1;
  double power = 1;
};

/// `momentum = { … }`
struct MomentumOptions {
  std::string use = "cosine";
  double to = 0;
  double power = 1;
};

const Schema<RatesOptions>& rates_schema() {
  static const Schema<RatesOptions> schema = [] {
    Schema<RatesOptions> s;
    s.add("scaling", &RatesOptions::scaling,
          "\"linear\" multiplies the optimizer's lr by the samples of a step over `scaling_batch` "
          "(Goyal et al. 2017, arXiv 1706.02677), \"square-root\" by the root of that")
        .choices({"none", "linear", "square-root"});
    s.add("scaling_batch", &RatesOptions::scaling_batch,
          "samples of a step for which the optimizer's lr is meant")
        .at_least(1)
        .unit("samples")
        .only_with("scaling", {std::string("linear"), std::string("square-root")});
    s.add("layer_decay", &RatesOptions::layer_decay,
          "factor on the learning rate from each layer of the backbone to the one before it; the "
          "head has the whole rate (Bao et al. 2021, arXiv 2106.08254)")
        .more_than(0)
        .at_most(1);
    return s;
  }();
  return schema;
}

const Schema<GroupOptions>& group_schema() {
  static const Schema<GroupOptions> schema = [] {
    Schema<GroupOptions> s;
    s.add(
         "match", &GroupOptions::match,
         "the parameters of the group, by patterns of their names, \"backbone.layer1.*\": * stands "
         "for any characters, ? for one, [ab] for one of them")
        .required()
        .or_one();
    s.add("lr_factor", &GroupOptions::lr_factor, "factor on the learning rate").at_least(0);
    s.add("weight_decay", &GroupOptions::weight_decay, "in the place of the optimizer's")
        .at_least(0);
    s.add("frozen", &GroupOptions::frozen,
          "the parameters are not trained; in pretrain and finetune");
    s.rule([](const GroupOptions& options, std::vector<Finding>& findings) {
      if (options.match.empty()) {
        findings.push_back({Finding::Severity::error, "match", "needs a pattern"});
      }
      if (options.frozen && (options.lr_factor || options.weight_decay)) {
        findings.push_back({Finding::Severity::warning, "frozen",
                            "what is not trained needs neither lr_factor nor weight_decay"});
      }
    });
    return s;
  }();
  return schema;
}

const Schema<DecayOptions>& decay_schema() {
  static const Schema<DecayOptions> schema = [] {
    Schema<DecayOptions> s;
    s.add("use", &DecayOptions::use, "how weight decay gets from the optimizer's to the end's")
        .choices({"cosine", "polynomial"});
    s.add("end_factor", &DecayOptions::end_factor,
          "weight decay at the end, as a factor on the optimizer's; 10 for 0.04 to 0.4 (Caron et "
          "al. 2021, arXiv 2104.14294)")
        .required()
        .at_least(0);
    s.add("power", &DecayOptions::power, "of \"polynomial\"; 1 is a straight line")
        .more_than(0)
        .only_with("use", std::string("polynomial"));
    return s;
  }();
  return schema;
}

const Schema<MomentumOptions>& momentum_schema() {
  static const Schema<MomentumOptions> schema = [] {
    Schema<MomentumOptions> s;
    s.add("use", &MomentumOptions::use,
          "how momentum gets from the optimizer's to `to`; \"one-cycle\" is there where the "
          "schedule \"one-cycle\" has its peak, and goes back to the optimizer's (Smith and Topin "
          "2017, arXiv 1708.07120)")
        .choices({"cosine", "polynomial", "one-cycle"});
    s.add("to", &MomentumOptions::to, "momentum at the end, of \"one-cycle\" at the peak: 0.85")
        .required()
        .at_least(0)
        .less_than(1);
    s.add("power", &MomentumOptions::power, "of \"polynomial\"; 1 is a straight line")
        .more_than(0)
        .only_with("use", std::string("polynomial"));
    return s;
  }();
  return schema;
}

const Table* rates_of(const Table& table) {
  return table.has_table("rates") ? &table.table("rates") : nullptr;
}

RatesOptions parse_rates(const Table& table) {
  const Table* rates = rates_of(table);
  return rates == nullptr ? RatesOptions{} : rates_schema().parse(rates->values);
}

/// The groups of a table, each with its place in the file.
std::vector<std::pair<GroupOptions, std::string>> groups_of(const Table& table) {
  std::vector<std::pair<GroupOptions, std::string>> groups;
  const Table* rates = rates_of(table);
  if (rates != nullptr && rates->lists.count("groups") != 0) {
    for (const Table& group : rates->lists.at("groups")) {
      groups.emplace_back(group_schema().parse(group.values), group.origin);
    }
  }
  return groups;
}

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

SubtableSpec rates_table() {
  TableSpec rates = table_of(rates_schema());
  rates.tables = {
      {"weight_decay", table_of(decay_schema()), false,
       "weight decay over time; constant if absent"},
      {"momentum", table_of(momentum_schema()), false,
       "momentum over time, β₁ of Adam and its kin; constant if absent"},
      {.name = "groups",
       .table = table_of(group_schema()),
       .required = false,
       .doc = "parameters with a rate or a weight decay of their own; of groups that match a "
              "parameter the last one that gives a key counts",
       .list = true}};
  return {"rates", std::move(rates), false, "how fast which parameters move"};
}

double rate_scaling(const Table& table, int64_t step_samples) {
  const RatesOptions options = parse_rates(table);
  const double ratio =
      static_cast<double>(step_samples) / static_cast<double>(options.scaling_batch);
  return options.scaling == "linear" ? ratio : options.scaling == "none" ? 1.0 : std::sqrt(ratio);
}

void freeze(const Table& table, const NamedTensors& parameters) {
  size_t left = parameters.size();
  const std::vector<std::string> names = names_of(parameters);
  for (const auto& [group, origin] : groups_of(table)) {
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
  for (const auto& [group, origin] : groups_of(table)) {
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
  const auto groups = groups_of(table);
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

std::optional<Pace::Decay> Pace::decay_of(const Table& table, Optimizer& optimizer, int64_t steps) {
  const Table* rates = rates_of(table);
  if (rates == nullptr || !rates->has_table("weight_decay")) {
    return std::nullopt;
  }
  const DecayOptions options = decay_schema().parse(rates->table("weight_decay").values);
  const std::string name = table.component("optimizer").describe();
  auto* ability = capability<OptimizerWeightDecay>(optimizer);
  if (ability == nullptr) {
    fail_input("rates.weight_decay: {} has no weight decay that could be set", name);
  }
  if (ability->weight_decay() == 0) {
    fail_input(
        "rates.weight_decay: the weight decay of {} is 0, and factors leave it there: give "
        "the one at the beginning as its weight_decay",
        name);
  }
  const ScheduleOptions factor{
      .use = options.use, .end_factor = options.end_factor, .power = options.power};
  return Decay{{factor, steps, 1.0}, ability->weight_decay(), ability};
}

std::optional<Pace::Momentum> Pace::momentum_of(const Table& table, Optimizer& optimizer,
                                                int64_t steps) {
  const Table* rates = rates_of(table);
  if (rates == nullptr || !rates->has_table("momentum")) {
    return std::nullopt;
  }
  const MomentumOptions options = momentum_schema().parse(rates->table("momentum").values);
  auto* ability = capability<OptimizerMomentumSetting>(optimizer);
  if (ability == nullptr) {
    fail_input("rates.momentum: {} has no momentum that could be set",
               table.component("optimizer").describe());
  }
  ScheduleOptions share{.use = options.use, .end_factor = 0, .power = options.power};
  if (options.use != "one-cycle") {
    return Momentum{{share, steps, 1.0}, ability->momentum(), options.to, ability};
  }
  const ScheduleOptions rate = parse_schedule(table);
  if (rate.use != "one-cycle") {
    fail_input(
        "rates.momentum: \"one-cycle\" falls while the learning rate rises and rises while that "
        "falls, and schedule.use is \"{}\": choose \"one-cycle\" there, too, or another one here",
        rate.use);
  }
  // That schedule's share runs from 0 to 1, where the learning rate has its peak, and to 0 again.
  share.start_factor = 0;
  share.rise = rate.rise;
  return Momentum{{share, steps, 1.0}, options.to, ability->momentum(), ability};
}

Pace::Pace(const Table& table, Optimizer& optimizer, int64_t steps, int64_t samples,
           int64_t step_samples)
    : rate_(make_schedule(table, steps, samples, step_samples)),
      decay_(decay_of(table, optimizer, steps)),
      momentum_(momentum_of(table, optimizer, steps)) {}

double Pace::begin(int64_t step) const {
  if (decay_) {
    decay_->ability->set_weight_decay(decay_->start * decay_->factor.lr_scale(step));
  }
  if (momentum_) {
    const double share = momentum_->share.lr_scale(step);
    momentum_->ability->set_momentum(momentum_->to + (momentum_->from - momentum_->to) * share);
  }
  return rate_.lr_scale(step);
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
