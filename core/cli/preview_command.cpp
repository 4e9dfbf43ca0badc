#include "cli/preview_command.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/spelling.h"
#include "base/table.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "cli/findings.h"
#include "cli/run_settings.h"
#include "data/selection.h"
#include "preview/recipes.h"
#include "preview/sheet.h"
#include "preview/statistics.h"
#include "preview/throughput.h"
#include "stages/check.h"
#include "track/tensorboard_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <ostream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The recipes of the named stage, of all stages without one.
std::vector<ViewRecipe> chosen_recipes(const Pipeline& pipeline, const std::string& chosen) {
  std::vector<ViewRecipe> recipes;
  std::vector<std::string> names;
  for (const Stage& stage : pipeline.stages) {
    names.push_back(stage.name);
    if (!chosen.empty() && stage.name != chosen) {
      continue;
    }
    for (ViewRecipe& recipe : view_recipes(stage)) {
      recipes.push_back(std::move(recipe));
    }
  }
  if (!chosen.empty() && std::find(names.begin(), names.end(), chosen) == names.end()) {
    fail_input("--stage {}: {} has no such stage; its stages: {}", chosen, pipeline.name,
               fmt::join(names, ", "));
  }
  if (recipes.empty()) {
    fail_input("{}: nothing makes views there",
               chosen.empty() ? pipeline.name : "stage." + spelled_key(chosen));
  }
  return recipes;
}

std::string range_text(int64_t least, int64_t most) {
  return least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
}

/// "0.286 0.301 0.251"
std::string numbers_text(const std::vector<double>& numbers) {
  std::vector<std::string> words;
  words.reserve(numbers.size());
  for (const double number : numbers) {
    words.push_back(fmt::format("{:.4f}", number));
  }
  return words.empty() ? "channels differ" : fmt::format("{}", fmt::join(words, " "));
}

std::string class_name(const DataStatistics& statistics, size_t place) {
  return place < statistics.classes.size() ? statistics.classes[place] : fmt::format("{}", place);
}

std::string counts_text(const DataStatistics& statistics) {
  std::vector<std::string> words;
  for (size_t i = 0; i < statistics.class_counts.size(); ++i) {
    words.push_back(fmt::format("{}: {}", class_name(statistics, i), statistics.class_counts[i]));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

json to_json(const DataStatistics& statistics) {
  json counts = json::object();
  for (size_t i = 0; i < statistics.class_counts.size(); ++i) {
    counts[class_name(statistics, i)] = statistics.class_counts[i];
  }
  return {{"samples", statistics.samples},
          {"looked_at", statistics.looked_at},
          {"height", {statistics.least_height, statistics.most_height}},
          {"width", {statistics.least_width, statistics.most_width}},
          {"channels", statistics.channels},
          {"mean", statistics.mean},
          {"std", statistics.std},
          {"samples_by_class", counts}};
}

void print_statistics(const std::map<std::string, DataStatistics>& all, std::ostream& out) {
  using Align = TextTable::Align;
  TextTable table({{"data"},
                   {"samples", Align::right},
                   {"looked at", Align::right},
                   {"height"},
                   {"width"},
                   {"channels"},
                   {"mean"},
                   {"std"}});
  for (const auto& [name, one] : all) {
    table.add_row({name, fmt::format("{}", one.samples), fmt::format("{}", one.looked_at),
                   range_text(one.least_height, one.most_height),
                   range_text(one.least_width, one.most_width),
                   fmt::format("{}", fmt::join(one.channels, ", ")), numbers_text(one.mean),
                   numbers_text(one.std)});
  }
  out << '\n' << table.text();
  for (const auto& [name, one] : all) {
    if (!one.class_counts.empty()) {
      out << '\n' << name << ", samples by class: " << counts_text(one) << '\n';
    }
  }
}

/// A sheet that was written.
struct WrittenSheet {
  ViewRecipe recipe;
  fs::path file;
};

std::vector<WrittenSheet> write_sheets(const std::vector<ViewRecipe>& recipes, DataCatalog& data,
                                       const PreviewArguments& arguments, uint64_t seed) {
  std::vector<WrittenSheet> sheets;
  std::vector<TaggedImage> images;
  for (const ViewRecipe& recipe : recipes) {
    const Canvas canvas = preview_sheet(recipe, data, arguments.samples, seed);
    const std::string png = canvas.png();
    fs::create_directories(arguments.to);
    const fs::path file = arguments.to / (recipe.place + ".png");
    write_file_atomically(file, png);
    sheets.push_back({recipe, file});
    images.push_back({"views/" + recipe.place, canvas.height(), canvas.width(), png});
  }
  if (arguments.tensorboard) {
    // The same sheets make the same file: they have no time.
    write_file_atomically(arguments.to / "events.out.tfevents.0000000000.bissl-views",
                          tf_record(version_event(0)) + tf_record(images_event(0, 0, images)));
  }
  return sheets;
}

/// Images a second that a stage's steps take at most, by the stage's name: as if all of its steps
/// took their batches from one place.
std::map<std::string, double> gradients_per_second(const std::vector<StagePlan>& plans) {
  std::map<std::string, double> found;
  for (const StagePlan& plan : plans) {
    if (plan.seconds > 0 && plan.gradients > 0) {
      found[plan.name] = double(plan.gradients) / plan.seconds;
    }
  }
  return found;
}

/// What a place's views cost, and how many images its stage takes.
struct PlaceCost {
  ViewRecipe recipe;
  DataCost cost;
  double appetite = 0;  ///< images a second; 0: not known

  double made() const { return 1 / cost.seconds_of_sample; }
};

/// The dataset of a source whose images are decoded from its files at each call; null where decoded
/// copies of them are kept.
std::shared_ptr<const Dataset> read_at_each_call(const Pipeline& pipeline, const std::string& name,
                                                 DatasetCache& datasets) {
  const DataSource& source = pipeline.data_source(name);
  const bool decoded = selection_schema().parse(source.selection.values).cache.has_value();
  return decoded ? nullptr : datasets.open(source.dataset);
}

json to_json(const std::vector<PlaceCost>& places) {
  json list = json::array();
  for (const PlaceCost& place : places) {
    json parts = json::array();
    for (const PartCost& part : place.cost.parts) {
      parts.push_back({{"part", part.part}, {"of", part.of}, {"seconds", part.seconds}});
    }
    list.push_back({{"place", place.recipe.place},
                    {"data", place.recipe.data},
                    {"views", place.recipe.views},
                    {"parts", parts},
                    {"images_per_second", place.made()},
                    {"images_that_the_stage_takes",
                     place.appetite > 0 ? json(place.appetite) : json(nullptr)}});
  }
  return {{"places", list}};
}

void print_costs(const std::vector<PlaceCost>& places, std::ostream& out) {
  using Align = TextTable::Align;
  for (const PlaceCost& place : places) {
    out << place.recipe.place << ": data." << spelled_key(place.recipe.data) << ", "
        << place.recipe.views << (place.recipe.views == 1 ? " view" : " views")
        << " of an image\n\n";
    TextTable table({{"part"}, {"of a"}, {"µs", Align::right}, {"each second", Align::right}});
    for (const PartCost& part : place.cost.parts) {
      table.add_row({part.part, part.of, fmt::format("{:.1f}", part.seconds * 1e6),
                     part.seconds > 0 ? fmt::format("{:.0f}", 1 / part.seconds) : "–"});
    }
    table.add_row({fmt::format("batches of {}", place.cost.samples_of_batch), "image",
                   fmt::format("{:.1f}", place.cost.seconds_of_sample * 1e6),
                   fmt::format("{:.0f}", place.made())});
    out << table.text();
    if (place.appetite > 0) {
      out << fmt::format(
          "the stage takes {:.0f} images a second at most: {:.2f} of a thread that makes views\n",
          place.appetite, place.appetite / place.made());
    }
    out << '\n';
  }
}

}  // namespace

int run_preview(const PipelineArguments& pipeline_arguments, const PreviewArguments& arguments,
                PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  constexpr int64_t most_looked_at = 5000;
  const auto pipeline = read_or_report(pipeline_arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  const std::vector<ViewRecipe> recipes = chosen_recipes(*pipeline, arguments.stage);
  DataCatalog data(*pipeline, pipeline_arguments.make_datasets());
  const std::vector<WrittenSheet> sheets = write_sheets(recipes, data, arguments, pipeline->seed);
  std::map<std::string, DataStatistics> statistics;
  for (const ViewRecipe& recipe : recipes) {
    if (statistics.count(recipe.data) == 0) {
      statistics[recipe.data] = statistics_of(*data.open(recipe.data), most_looked_at);
    }
  }
  if (pipeline_arguments.json) {
    json result = {{"sheets", json::array()}, {"data", json::object()}};
    for (const WrittenSheet& sheet : sheets) {
      result["sheets"].push_back({{"place", sheet.recipe.place},
                                  {"data", sheet.recipe.data},
                                  {"views", sheet.recipe.views},
                                  {"file", sheet.file.string()}});
    }
    for (const auto& [name, one] : statistics) {
      result["data"][name] = to_json(one);
    }
    out << json_text(result, 2) << '\n';
    return exit_done;
  }
  for (const WrittenSheet& sheet : sheets) {
    out << sheet.file.string() << ": images of data." << spelled_key(sheet.recipe.data)
        << ", each before its " << sheet.recipe.views
        << (sheet.recipe.views == 1 ? " view\n" : " views\n");
  }
  print_statistics(statistics, out);
  return exit_done;
}

int run_bench_data(const PipelineArguments& pipeline_arguments, const BenchDataArguments& arguments,
                   PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  checked_device(pipeline_arguments.device);
  const auto pipeline = read_or_report(pipeline_arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  const std::vector<ViewRecipe> recipes = chosen_recipes(*pipeline, arguments.stage);
  const RunSettings settings = make_settings(pipeline_arguments, nullptr);
  const std::shared_ptr<DatasetCache> datasets = pipeline_arguments.make_datasets();
  const std::vector<StagePlan> plans = check_pipeline({.pipeline = *pipeline,
                                                       .settings = settings,
                                                       .out = pipeline_arguments.out,
                                                       .depth = TrialDepth::measured,
                                                       .datasets = datasets});
  if (has_errors(plans)) {
    print_findings(plans, err);
    return exit_wrong_input;
  }
  const std::map<std::string, double> gradients = gradients_per_second(plans);
  DataCatalog data(*pipeline, datasets);
  std::vector<PlaceCost> places;
  for (const ViewRecipe& recipe : recipes) {
    const auto component = read_at_each_call(*pipeline, recipe.data, *datasets);
    PlaceCost place{recipe, cost_of_views(recipe, data, arguments.seconds, component.get()), 0};
    const auto found = gradients.find(recipe.stage);
    if (recipe.trains && found != gradients.end()) {
      place.appetite = found->second * double(recipe.batch);
    }
    places.push_back(std::move(place));
  }
  if (pipeline_arguments.json) {
    out << json_text(to_json(places), 2) << '\n';
  } else {
    print_costs(places, out);
  }
  return exit_done;
}

}  // namespace bissl::host
