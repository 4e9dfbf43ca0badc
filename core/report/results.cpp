#include "report/results.h"

#include "bissl/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {

std::string ReportData::label(const std::vector<size_t>& choices) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) {
    parts.push_back(axes[i].labels.at(choices.at(i)));
  }
  return parts.empty() ? title : fmt::format("{}", fmt::join(parts, ", "));
}

void set_baseline(ReportData& data, const std::vector<std::string>& choices) {
  for (const std::string& choice : choices) {
    // An axis' name may hold "=" itself, that of a key in quotation marks.
    const auto axis = std::find_if(data.axes.begin(), data.axes.end(), [&](const ReportAxis& one) {
      return choice.starts_with(one.name + "=");
    });
    if (axis == data.axes.end()) {
      std::vector<std::string> names;
      for (const ReportAxis& one : data.axes) {
        names.push_back(one.name);
      }
      fail_input("--baseline {}: expected AXIS=LABEL; the axes are {}", choice,
                 fmt::join(names, ", "));
    }
    if (axis->is_tasks) {
      fail_input(
          "--baseline {}: the labels of {} are tasks, and tasks are not compared with each other; "
          "choose the baseline of another axis",
          choice, axis->name);
    }
    const std::string label = choice.substr(axis->name.size() + 1);
    const auto found = std::find(axis->labels.begin(), axis->labels.end(), label);
    if (found == axis->labels.end()) {
      fail_input("--baseline {}: the labels of {} are {}", choice, axis->name,
                 fmt::join(axis->labels, " | "));
    }
    axis->baseline = static_cast<size_t>(found - axis->labels.begin());
  }
}

}  // namespace bissl::host
