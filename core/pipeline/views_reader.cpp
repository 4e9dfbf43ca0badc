// What tables say of views: `augment` and `views`.

#include "pipeline/table_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

constexpr int64_t most_views = 1000;

const char* const augment_example =
    "an augmentation, { use = \"NAME\", … }, or a chain of transforms, [ { use = \"NAME\", … }, … "
    "]";
const char* const views_example =
    "an array of groups of views, [ { count = 2, augment = … }, { count = 6, augment = … } ]";

const ParameterSpec& count_spec() {
  static const ParameterSpec spec = [] {
    ParameterSpec made;
    made.name = "count";
    made.type = ValueType::integer;
    made.default_value = int64_t{1};
    made.doc = "views of the group";
    made.minimum = 1;
    made.maximum = static_cast<double>(most_views);
    return made;
  }();
  return spec;
}

}  // namespace

ViewsChoice TableReader::read_views(const ConfigNode& node, const AugmentSlot& slot,
                                    const std::string& path) {
  ViewsChoice choice;
  const ConfigEntry* augment = node.find("augment");
  const ConfigEntry* views = slot.several_views ? node.find("views") : nullptr;
  if (views == nullptr) {
    if (augment == nullptr) {
      missing(node, path, "augment",
              slot.several_views ? fmt::format("{}; or views = {}", augment_example, views_example)
                                 : augment_example);
      return choice;
    }
    choice.origin = augment->value.at.text();
    choice.groups.push_back({1, read_augment(augment->value, joined_key(path, "augment"))});
    return choice;
  }
  const std::string key = joined_key(path, "views");
  choice.declares_number = true;
  choice.origin = views->value.at.text();
  if (augment != nullptr) {
    diagnostics_.error(views->value.at, key,
                       fmt::format("views and augment (at {}) are both given; give one of them",
                                   augment->value.at.text()));
  }
  if (views->value.type != ConfigNode::Type::array || views->value.items.empty()) {
    diagnostics_.error(views->value.at, key, describe_given(views->value), views_example);
    return choice;
  }
  for (size_t i = 0; i < views->value.items.size(); ++i) {
    const ConfigNode& item = views->value.items[i];
    if (const auto group = read_view_group(item, joined_key(key, std::to_string(i)))) {
      choice.groups.push_back(*group);
    }
  }
  if (choice.count().value_or(0) > most_views) {
    diagnostics_.error(views->value.at, key, fmt::format("{} views are declared", *choice.count()),
                       fmt::format("at most {}", most_views));
  }
  return choice;
}

std::optional<ViewGroup> TableReader::read_view_group(const ConfigNode& node,
                                                      const std::string& path) {
  if (!node.is_table()) {
    diagnostics_.error(node.at, path, describe_given(node), "{ count = 2, augment = … }");
    return std::nullopt;
  }
  refuse_unknown(node, path, {"count", "augment"});
  ViewGroup group;
  if (const ConfigEntry* count = node.find("count")) {
    group.count =
        std::get<int64_t>(read_value(count->value, count_spec(), joined_key(path, "count")));
  }
  const ConfigEntry* augment = node.find("augment");
  if (augment == nullptr) {
    missing(node, path, "augment", augment_example);
    return std::nullopt;
  }
  group.augment = read_augment(augment->value, joined_key(path, "augment"));
  return group;
}

AugmentChoice TableReader::read_augment(const ConfigNode& node, const std::string& path) {
  AugmentChoice choice;
  if (node.is_table()) {
    choice.steps.push_back(read_component(node, ComponentKind::augmentation, path));
    return choice;
  }
  choice.is_chain = true;
  const auto is_table = [](const ConfigNode& item) { return item.is_table(); };
  if (node.type != ConfigNode::Type::array || node.items.empty() ||
      !std::all_of(node.items.begin(), node.items.end(), is_table)) {
    diagnostics_.error(node.at, path, describe_given(node), augment_example);
    return choice;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    choice.steps.push_back(read_component(node.items[i], ComponentKind::transform,
                                          joined_key(path, std::to_string(i))));
  }
  return choice;
}

}  // namespace bissl::host
