#include "stages/analyse/bank_pictures.h"

#include "analysis/measured.h"
#include "analysis/neighbours.h"
#include "base/atomic_file.h"
#include "preview/sheet.h"
#include "stages/analyse/picture.h"
#include "stages/analyse/source_features.h"

#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

/// The numbers of the samples whose neighbours are drawn.
at::Tensor queries_of(const AnalyseOptions& options, int64_t samples) {
  constexpr int64_t usual = 8;
  return options.queries.empty() ? spread_evenly(samples, usual)
                                 : at::tensor(options.queries, at::kLong);
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
  constexpr int64_t neighbours = 6;
  const std::string& name = parts.options.data[source];
  const DataView& data = parts.sources[source]->data();
  const DataView& of_bank = parts.bank->data();
  const std::vector<std::string> names = context.data.sample_names(name);
  const std::vector<std::string> bank_names = context.data.sample_names(parts.options.bank);
  const at::Tensor chosen = queries_of(parts.options, data.size());
  const auto nearest =
      nearest_rows(bank, unit_rows(features.index_select(0, chosen)).to(bank.device()),
                   {neighbours, Nearness::product});
  std::vector<std::vector<FramedImage>> rows;
  std::string csv = "query,class,rank,neighbour,neighbour class,cosine,query number\n";
  for (size_t i = 0; i < nearest.size(); ++i) {
    const int64_t query = chosen.data_ptr<int64_t>()[i];
    const std::string category = class_of(data, query);
    rows.push_back({{data.get(query).image, unknown_frame, fmt::format("{} {}", query, category)}});
    for (size_t rank = 0; rank < nearest[i].size(); ++rank) {
      const auto& [cosine, place] = nearest[i][rank];
      const std::string other = class_of(of_bank, place);
      rows.back().push_back({of_bank.get(place).image,
                             category.empty()    ? unknown_frame
                             : category == other ? hit_frame
                                                 : miss_frame,
                             fmt::format("{:.2f} {}", cosine, other)});
      csv += fmt::format("{},{},{},{},{},{:.4f},{}\n",
                         csv_cell(names.at(static_cast<size_t>(query))), csv_cell(category),
                         rank + 1, csv_cell(bank_names.at(static_cast<size_t>(place))),
                         csv_cell(other), cosine, query);
    }
  }
  const std::string file = "neighbours-" + name;
  write_file_atomically(context.folder / (file + ".png"), image_sheet(rows).png());
  write_file_atomically(context.folder / (file + ".csv"), csv);
  return {file + ".png", file + ".csv"};
}

std::vector<std::string> draw_thumbnails(const StageContext& context, const AnalyseParts& parts,
                                         size_t source, const at::Tensor& rows) {
  constexpr size_t most_bytes = size_t{1} << 20;
  constexpr int64_t least_side = 8;
  const int64_t* first = rows.data_ptr<int64_t>();
  const std::vector<int64_t> samples(first, first + rows.size(0));
  for (int64_t side = 32; side >= least_side;) {
    const std::string png = thumbnail_grid(parts.sources[source]->data(), samples, side).png();
    if (png.size() <= most_bytes) {
      const std::string file = fmt::format("thumbnails-{}.png", parts.options.data[source]);
      write_file_atomically(context.folder / file, png);
      return {file};
    }
    // Bytes grow with the square of the side; images that are reduced have more detail in each
    // pixel, so it may take another turn.
    const double share = static_cast<double>(most_bytes) / static_cast<double>(png.size());
    side = std::min(side - 1, static_cast<int64_t>(static_cast<double>(side) * std::sqrt(share)));
  }
  return {};
}

}  // namespace bissl::host
