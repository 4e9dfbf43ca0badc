#include "stages/analyse/bank_pictures.h"

#include "analysis/measured.h"
#include "analysis/neighbours.h"
#include "base/atomic_file.h"
#include "preview/sheet.h"
#include "stages/analyse/picture.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

constexpr std::array<uint8_t, 3> hit = {0, 158, 115};
constexpr std::array<uint8_t, 3> miss = {230, 120, 0};
constexpr std::array<uint8_t, 3> unknown = {150, 150, 150};

/// The class with the most votes of each row; of equal ones the first.
std::vector<int64_t> winners(const at::Tensor& votes) {
  std::vector<int64_t> found;
  const int64_t classes = votes.size(1);
  for (int64_t row = 0; row < votes.size(0); ++row) {
    const double* of_row = votes.data_ptr<double>() + row * classes;
    found.push_back(std::max_element(of_row, of_row + classes) - of_row);
  }
  return found;
}

std::vector<std::vector<int64_t>> confusion(const at::Tensor& votes, const at::Tensor& categories) {
  const auto classes = static_cast<size_t>(votes.size(1));
  std::vector<std::vector<int64_t>> counts(classes, std::vector<int64_t>(classes, 0));
  const std::vector<int64_t> found = winners(votes);
  for (size_t i = 0; i < found.size(); ++i) {
    const int64_t category = categories.data_ptr<int64_t>()[i];
    ++counts[static_cast<size_t>(category)][static_cast<size_t>(found[i])];
  }
  return counts;
}

std::string confusion_csv(const std::vector<std::vector<int64_t>>& counts,
                          const std::vector<std::string>& names) {
  std::string text = "class";
  for (const std::string& name : names) {
    text += "," + csv_cell(name);
  }
  text += "\n";
  for (size_t row = 0; row < counts.size(); ++row) {
    text += csv_cell(names[row]);
    for (const int64_t count : counts[row]) {
      text += fmt::format(",{}", count);
    }
    text += "\n";
  }
  return text;
}

/// Cells are the darker the larger their share of the row is.
std::string confusion_svg(const std::vector<std::vector<int64_t>>& counts,
                          const std::vector<std::string>& names, const std::string& title) {
  constexpr double letter = 7;
  constexpr size_t most_numbers = 20;  // of classes, where cells have numbers in them
  const size_t classes = names.size();
  const double side = classes <= most_numbers ? 38 : 12;
  size_t longest = 0;
  for (const std::string& name : names) {
    longest = std::max(longest, name.size());
  }
  const double left = 24 + letter * static_cast<double>(longest);
  const double top = 66;
  std::string body;
  for (size_t row = 0; row < classes; ++row) {
    int64_t sum = 0;
    for (const int64_t count : counts[row]) {
      sum += count;
    }
    const double y = top + side * static_cast<double>(row);
    body += fmt::format("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 6,
                        y + side / 2 + 4, svg_text(names[row]));
    for (size_t column = 0; column < classes; ++column) {
      const double share =
          sum > 0 ? static_cast<double>(counts[row][column]) / static_cast<double>(sum) : 0;
      const double x = left + side * static_cast<double>(column);
      body += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.0f}\" "
          "fill-opacity=\"{:.3f}\"><title>{} taken for {}: {} ({:.1f} %)</title></rect>\n",
          row == column ? "right" : "wrong", x, y, side - 1, side - 1, share, svg_text(names[row]),
          svg_text(names[column]), counts[row][column], 100 * share);
      if (classes <= most_numbers) {
        body += fmt::format(
            "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" pointer-events=\"none\">{}"
            "</text>\n",
            x + side / 2, y + side / 2 + 4, counts[row][column]);
      }
    }
  }
  const double width = std::max(left + side * static_cast<double>(classes) + 16, 540.0);
  const double height = top + side * static_cast<double>(classes) + 16;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\">\n<title>{2}</title>\n<style>\n"
      "svg {{ background: #fff; color: #222; font: 13px system-ui, sans-serif }}\n"
      "text {{ fill: currentColor }}\n.right {{ fill: #2a7f9e }}\n.wrong {{ fill: #d9822b }}\n"
      "@media (prefers-color-scheme: dark) {{ svg {{ background: #16181d; color: #ddd }} }}\n"
      "</style>\n<text x=\"16\" y=\"26\" font-weight=\"600\">{2}</text>\n"
      "<text x=\"16\" y=\"46\">Rows: the class. Columns, in the same order: what neighbours take "
      "it "
      "for.</text>\n{3}</svg>\n",
      width, height, svg_text(title), body);
}

/// The class of a sample in words; empty for none.
std::string class_of(const DataView& data, int64_t sample) {
  if (data.targets().kind != TargetKind::category) {
    return "";
  }
  return data.targets().names.at(static_cast<size_t>(data.target(sample).category));
}

}  // namespace

std::vector<std::string> draw_neighbours(const StageContext& context, const AnalyseParts& parts,
                                         size_t source, const at::Tensor& bank,
                                         const at::Tensor& features) {
  constexpr int64_t queries = 8;
  constexpr int64_t neighbours = 6;
  const std::string& name = parts.options.data[source];
  const DataView& data = parts.sources[source]->data();
  const DataView& of_bank = parts.bank->data();
  const std::vector<std::string> names = context.data.sample_names(name);
  const std::vector<std::string> bank_names = context.data.sample_names(parts.options.bank);
  const at::Tensor chosen = spread_evenly(data.size(), queries);
  const auto nearest =
      nearest_rows(bank, unit_rows(features.index_select(0, chosen)).to(bank.device()),
                   {neighbours, Nearness::product});
  std::vector<std::vector<FramedImage>> rows;
  std::string csv = "query,class,rank,neighbour,neighbour class,cosine\n";
  for (size_t i = 0; i < nearest.size(); ++i) {
    const int64_t query = chosen.data_ptr<int64_t>()[i];
    const std::string category = class_of(data, query);
    rows.push_back({{data.get(query).image, unknown}});
    for (size_t rank = 0; rank < nearest[i].size(); ++rank) {
      const auto& [cosine, place] = nearest[i][rank];
      const std::string other = class_of(of_bank, place);
      rows.back().push_back({of_bank.get(place).image, category.empty()    ? unknown
                                                       : category == other ? hit
                                                                           : miss});
      csv +=
          fmt::format("{},{},{},{},{},{:.4f}\n", csv_cell(names.at(static_cast<size_t>(query))),
                      csv_cell(category), rank + 1,
                      csv_cell(bank_names.at(static_cast<size_t>(place))), csv_cell(other), cosine);
    }
  }
  const std::string file = "neighbours-" + name;
  write_file_atomically(context.folder / (file + ".png"), image_sheet(rows).png());
  write_file_atomically(context.folder / (file + ".csv"), csv);
  return {file + ".png", file + ".csv"};
}

std::vector<std::string> draw_confusion(const StageContext& context, const AnalyseParts& parts,
                                        size_t source, const at::Tensor& votes,
                                        const at::Tensor& categories) {
  const std::string& data = parts.options.data[source];
  const std::vector<std::string>& names = parts.bank->data().targets().names;
  const std::vector<std::vector<int64_t>> counts = confusion(votes, categories);
  const std::string file = "confusion-" + data;
  write_file_atomically(context.folder / (file + ".csv"), confusion_csv(counts, names));
  write_file_atomically(
      context.folder / (file + ".svg"),
      confusion_svg(counts, names,
                    fmt::format("data.{}, kNN with k = {}", data, parts.options.k.front())));
  return {file + ".svg", file + ".csv"};
}

}  // namespace bissl::host
