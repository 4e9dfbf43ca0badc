#include "stages/rates_options.h"

#include "stages/option_schemas.h"

namespace bissl::host {
namespace {

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
    s.add("match", &GroupOptions::match,
          "the parameters of the group, by patterns of their names, \"backbone.layer1.*\": * "
          "matches "
          "any characters, ? one, [ab] one of them")
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
    s.add("power", &DecayOptions::power, "power of \"polynomial\"; 1 is a straight line")
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
    s.add("power", &MomentumOptions::power, "power of \"polynomial\"; 1 is a straight line")
        .more_than(0)
        .only_with("use", std::string("polynomial"));
    return s;
  }();
  return schema;
}

}  // namespace

const Table* rates_of(const Table& table) {
  return table.has_table("rates") ? &table.table("rates") : nullptr;
}

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

RatesOptions parse_rates(const Table& table) {
  const Table* rates = rates_of(table);
  return rates == nullptr ? RatesOptions{} : rates_schema().parse(rates->values);
}

std::vector<std::pair<GroupOptions, std::string>> parse_groups(const Table& table) {
  std::vector<std::pair<GroupOptions, std::string>> groups;
  const Table* rates = rates_of(table);
  if (rates != nullptr && rates->lists.count("groups") != 0) {
    for (const Table& group : rates->lists.at("groups")) {
      groups.emplace_back(group_schema().parse(group.values), group.origin);
    }
  }
  return groups;
}

std::optional<DecayOptions> parse_decay(const Table& table) {
  const Table* rates = rates_of(table);
  if (rates == nullptr || !rates->has_table("weight_decay")) {
    return std::nullopt;
  }
  return decay_schema().parse(rates->table("weight_decay").values);
}

std::optional<MomentumOptions> parse_momentum(const Table& table) {
  const Table* rates = rates_of(table);
  if (rates == nullptr || !rates->has_table("momentum")) {
    return std::nullopt;
  }
  return momentum_schema().parse(rates->table("momentum").values);
}

}  // namespace bissl::host
