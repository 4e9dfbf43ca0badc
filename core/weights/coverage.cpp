#include "weights/coverage.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"
#include "weights/name_pattern.h"
#include "weights/position_grid.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

constexpr std::string_view counter = "num_batches_tracked";

bool is_counter(const std::string& name) {
  return name == counter || name.ends_with("." + std::string(counter));
}

/// "a, b, c and 12 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t most = 6;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) {
    shown.push_back(shown_name(names[i]));
  }
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

std::string shape_text(const WrongShape& wrong) {
  return fmt::format("{} is [{}] in the file, [{}] here", shown_name(wrong.name),
                     fmt::join(wrong.found, ", "), fmt::join(wrong.wanted, ", "));
}

std::vector<std::string> shape_texts(const std::vector<WrongShape>& all) {
  std::vector<std::string> texts;
  for (const WrongShape& wrong : all) {
    texts.push_back(shape_text(wrong));
  }
  return texts;
}

std::vector<std::string> file_names(const std::vector<MappedTensor>& tensors) {
  std::vector<std::string> names;
  for (const MappedTensor& tensor : tensors) {
    names.push_back(tensor.tensor->name);
  }
  return names;
}

/// All names that are not as they should be.
std::vector<std::string> gaps(const Coverage& coverage) {
  std::vector<std::string> names = coverage.missing;
  names.insert(names.end(), coverage.unexpected.begin(), coverage.unexpected.end());
  for (const WrongShape& wrong : coverage.wrong_shape) {
    names.push_back(wrong.name);
  }
  return names;
}

/// How many tensors of the network are not counters that may be absent.
size_t all_wanted(const Coverage& coverage) {
  return coverage.matched.size() + coverage.missing.size() + coverage.wrong_shape.size() +
         coverage.interpolated.size();
}

/// The class token of the network whose position embeddings have this name.
std::string class_token_beside(const std::string& positions) {
  return positions.substr(0, positions.rfind('.') + 1) + "cls_token";
}

/// Whether file and network both have a class token of one shape beside these embeddings.
bool have_class_token(const std::string& positions, const MappedWeights& mapped,
                      const NamedShapes& wanted) {
  const std::string name = class_token_beside(positions);
  const auto here = std::find_if(wanted.begin(), wanted.end(),
                                 [&](const auto& tensor) { return tensor.first == name; });
  return here != wanted.end() &&
         std::any_of(mapped.tensors.begin(), mapped.tensors.end(), [&](const MappedTensor& tensor) {
           return tensor.name == name && tensor.tensor->shape == here->second;
         });
}

bool same_but_for_ones(std::vector<int64_t> left, std::vector<int64_t> right) {
  std::erase(left, 1);
  std::erase(right, 1);
  return left == right;
}

void note_allowed(Coverage& coverage, const std::vector<std::string>& allow) {
  const std::vector<std::string> names = gaps(coverage);
  for (const std::string& pattern : allow) {
    if (std::none_of(names.begin(), names.end(),
                     [&](const std::string& name) { return fits_pattern(pattern, name); })) {
      fail_input("allow: {} fits nothing that is missing, unexpected or of a wrong shape{}",
                 shown_name(pattern),
                 names.empty() ? "; everything matches" : ": " + some_of(names));
    }
  }
  std::copy_if(names.begin(), names.end(), std::back_inserter(coverage.allowed),
               [&](const std::string& name) { return fits_any(allow, name); });
}

}  // namespace

bool Coverage::complete() const { return allowed.size() == gaps(*this).size(); }

Coverage cover(const WeightsFile& file, const MappedWeights& mapped, const NamedShapes& wanted,
               const std::vector<std::string>& allow) {
  Coverage coverage{.format = file.format(),
                    .rule = mapped.rule,
                    .container = mapped.container,
                    .prefix = mapped.prefix,
                    .dropped = file_names(mapped.dropped),
                    .outside = file_names(mapped.outside),
                    .opaque = {file.opaque().begin(), file.opaque().end()}};
  std::map<std::string, const StoredTensor*> given;
  for (const MappedTensor& tensor : mapped.tensors) {
    given.emplace(tensor.name, tensor.tensor);
  }
  std::vector<StoredTensor> taken;
  for (const auto& [name, shape] : wanted) {
    const auto found = given.find(name);
    if (found == given.end()) {
      (is_counter(name) ? coverage.counters : coverage.missing).push_back(name);
    } else if (found->second->shape != shape && same_but_for_ones(found->second->shape, shape)) {
      coverage.matched.push_back(name);
      coverage.reshaped.push_back({name, found->second->shape, shape});
      taken.push_back(*found->second);
    } else if (found->second->shape != shape) {
      const bool grid =
          !fits_any(allow, name) &&
          position_grids(name, found->second->shape, shape, have_class_token(name, mapped, wanted));
      (grid ? coverage.interpolated : coverage.wrong_shape)
          .push_back({name, found->second->shape, shape});
    } else {
      coverage.matched.push_back(name);
      taken.push_back(*found->second);
    }
    if (found != given.end()) {
      given.erase(found);
    }
  }
  for (const MappedTensor& tensor : mapped.tensors) {
    if (given.count(tensor.name) != 0) {
      coverage.unexpected.push_back(tensor.name);
    }
  }
  coverage.types = types_text(taken);
  note_allowed(coverage, allow);
  return coverage;
}

void require_complete(const Coverage& coverage) {
  if (coverage.complete()) {
    return;
  }
  std::vector<std::string> parts;
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    std::vector<std::string> open;
    std::copy_if(names.begin(), names.end(), std::back_inserter(open),
                 [&](const std::string& name) {
                   return std::find(coverage.allowed.begin(), coverage.allowed.end(), name) ==
                          coverage.allowed.end();
                 });
    if (!open.empty()) {
      parts.push_back(fmt::format("{} {}: {}", open.size(), what, some_of(open)));
    }
  };
  add("are missing", coverage.missing);
  add("are not part of the backbone", coverage.unexpected);
  std::vector<WrongShape> wrong = coverage.wrong_shape;
  std::erase_if(wrong, [&](const WrongShape& one) {
    return std::find(coverage.allowed.begin(), coverage.allowed.end(), one.name) !=
           coverage.allowed.end();
  });
  if (!wrong.empty()) {
    parts.push_back(fmt::format("{} of another shape: {}{}", wrong.size(),
                                shape_text(wrong.front()), wrong.size() > 1 ? ", …" : ""));
  }
  fail_input(
      "the file's weights are not those of the backbone: {} of {} tensors match (rule {}); {}. "
      "What "
      "may stay at random or be left out is named by `allow = [\"NAME\", …]`",
      coverage.matched.size(), all_wanted(coverage), coverage.rule, fmt::join(parts, "; "));
}

std::vector<std::string> grid_texts(const Coverage& coverage) {
  std::vector<std::string> texts;
  for (const WrongShape& one : coverage.interpolated) {
    const PositionGrids grids = *position_grids(one.name, one.found, one.wanted, true);
    texts.push_back(
        fmt::format("{} from a grid of {}x{} places to {}x{}{}", shown_name(one.name), grids.found,
                    grids.found, grids.wanted, grids.wanted,
                    grids.joins_class_token ? ", the class token's own added to the token" : ""));
  }
  return texts;
}

std::string coverage_text(const Coverage& coverage) {
  std::string text = fmt::format(
      "{} file, rule {}: tensors at {}{}\n", coverage.format, coverage.rule,
      coverage.container.empty() ? "its top" : shown_name(coverage.container),
      coverage.prefix.empty() ? "" : fmt::format(", below {}", shown_name(coverage.prefix)));
  const size_t all = all_wanted(coverage);
  text += fmt::format("  matched      {} of {} tensors of the backbone ({})\n",
                      coverage.matched.size(), all, coverage.types);
  const auto line = [&](const char* title, const std::vector<std::string>& names,
                        const char* remark) {
    if (!names.empty()) {
      text += fmt::format("  {:<12} {}{}: {}\n", title, names.size(), remark, some_of(names));
    }
  };
  line("missing", coverage.missing, "");
  line("unexpected", coverage.unexpected, "");
  if (!coverage.wrong_shape.empty()) {
    const std::vector<std::string> shapes = shape_texts(coverage.wrong_shape);
    text += fmt::format("  wrong shape  {}: {}{}\n", shapes.size(), shapes.front(),
                        shapes.size() > 1 ? ", …" : "");
  }
  if (!coverage.reshaped.empty()) {
    const std::vector<std::string> shapes = shape_texts(coverage.reshaped);
    text += fmt::format("  reshaped     {} by dimensions of 1: {}{}\n", shapes.size(),
                        shapes.front(), shapes.size() > 1 ? ", …" : "");
  }
  if (!coverage.interpolated.empty()) {
    text += fmt::format("  interpolated {}: {}\n", coverage.interpolated.size(),
                        fmt::join(grid_texts(coverage), "; "));
  }
  line("allowed", coverage.allowed, " of these by name");
  line("counters", coverage.counters, " absent, as in files before PyTorch 0.4.1; they stay 0");
  line("left out", coverage.dropped, " by the rule");
  line("elsewhere", coverage.outside, " outside of the prefix");
  line("not read", coverage.opaque, " classes of objects");
  return text;
}

nlohmann::json coverage_json(const Coverage& coverage) {
  const auto shapes = [](const std::vector<WrongShape>& all) {
    nlohmann::json list = nlohmann::json::array();
    for (const WrongShape& one : all) {
      list.push_back({{"name", one.name}, {"found", one.found}, {"wanted", one.wanted}});
    }
    return list;
  };
  return {{"format", coverage.format},
          {"rule", coverage.rule},
          {"container", coverage.container},
          {"prefix", coverage.prefix},
          {"types", coverage.types},
          {"matched", coverage.matched.size()},
          {"missing", coverage.missing},
          {"unexpected", coverage.unexpected},
          {"wrong_shape", shapes(coverage.wrong_shape)},
          {"reshaped", shapes(coverage.reshaped)},
          {"interpolated", shapes(coverage.interpolated)},
          {"counters", coverage.counters},
          {"left_out", coverage.dropped},
          {"elsewhere", coverage.outside.size()},
          {"not_read", coverage.opaque},
          {"allowed", coverage.allowed},
          {"complete", coverage.complete()}};
}

NamedTensors read_matched(const WeightsFile& file, const MappedWeights& mapped,
                          const Coverage& coverage) {
  std::map<std::string, const StoredTensor*> given;
  for (const MappedTensor& tensor : mapped.tensors) {
    given.emplace(tensor.name, tensor.tensor);
  }
  std::map<std::string, std::vector<int64_t>> reshaped;
  for (const WrongShape& one : coverage.reshaped) {
    reshaped.emplace(one.name, one.wanted);
  }
  NamedTensors tensors;
  for (const std::string& name : coverage.matched) {
    const auto shape = reshaped.find(name);
    const at::Tensor tensor = file.read(*given.at(name));
    tensors.emplace_back(name, shape == reshaped.end() ? tensor : tensor.reshape(shape->second));
  }
  for (const WrongShape& one : coverage.interpolated) {
    const PositionGrids grids = *position_grids(one.name, one.found, one.wanted, true);
    const at::Tensor embeddings = file.read(*given.at(one.name));
    if (grids.joins_class_token) {
      const auto token = std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) {
        return tensor.name == class_token_beside(one.name);
      });
      const auto type = embeddings.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
      token->tensor = token->tensor.to(type).add(embeddings.narrow(1, 0, 1).to(type));
    }
    tensors.emplace_back(one.name, interpolated_positions(embeddings, grids));
  }
  return tensors;
}

}  // namespace bissl::host
