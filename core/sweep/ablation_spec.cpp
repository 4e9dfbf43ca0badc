#include "sweep/ablation_spec.h"

#include "pipeline/diagnostics.h"
#include "pipeline/metric_name.h"
#include "pipeline/plain_names.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

const Schema<AblationOptions>& ablation_schema() {
  static const Schema<AblationOptions> schema = [] {
    using Options = AblationOptions;
    Schema<Options> s;
    s.add("name", &Options::name, "names the sweep's folder; the file's name if absent")
        .accepts(plain_name_rule());
    s.add("pipeline", &Options::pipeline, "the pipeline whose keys are varied")
        .required()
        .accepts("the path of a pipeline's TOML file, relative to this one");
    s.add("metric", &Options::metric,
          "what cells are compared by: the first decides, all are shown")
        .required()
        .or_one()
        .accepts(fmt::format("{}, or several of them", metric_form));
    s.add("reference", &Options::reference, "a metric that the first one is compared with")
        .accepts(metric_form);
    s.add("goal", &Options::goal,
          "whether more or less of the metric is better; as the task declares it if absent")
        .choices({"max", "min"});
    s.add("stages", &Options::stages,
          "the stages to run, with those that they continue; all if absent")
        .or_one();
    s.add("tasks", &Options::tasks,
          "the axis whose values are tasks of one kind: arms are compared over all of them, paired "
          "by task, and tasks are not compared with each other")
        .accepts("the name of an axis, or a key that it varies");
    s.add("include", &Options::include,
          "other files, over which this one is laid; each relative to the file that names it")
        .path();
    s.add("unset", &Options::unset, "keys of included files that are taken away");
    return s;
  }();
  return schema;
}

const Schema<SearchOptions>& search_schema() {
  static const Schema<SearchOptions> schema = [] {
    using Options = SearchOptions;
    Schema<Options> s;
    s.add("draws", &Options::draws, "how many sets of values are drawn in each cell")
        .required()
        .at_least(1)
        .at_most(static_cast<double>(most_choices))
        .unit("draws");
    s.add("seed", &Options::seed, "seed of the draws").at_least(0);
    s.add("select", &Options::select, "the metric by which a draw is chosen, on a validation split")
        .required()
        .accepts(metric_form);
    s.add("goal", &Options::goal,
          "whether more or less of that metric is better; as the task declares it if absent")
        .choices({"max", "min"});
    s.add("per_seed", &Options::per_seed,
          "choose for each seed; else at the first seed for all of them");
    return s;
  }();
  return schema;
}

const Schema<ZipOptions>& zip_schema() {
  static const Schema<ZipOptions> schema = [] {
    Schema<ZipOptions> s;
    s.add("name", &ZipOptions::name, "name of the axis; made of the keys if absent");
    s.add("labels", &ZipOptions::labels,
          "what its choices are called in tables and folders; made of the values if absent");
    return s;
  }();
  return schema;
}

TableSpec keys_table(std::string free_keys) {
  TableSpec spec;
  spec.free_keys = std::move(free_keys);
  return spec;
}

TableSpec zip_table() {
  TableSpec zip = keys_table("keys of the pipeline with lists of one length");
  zip.parameters = zip_schema().specs();
  return zip;
}

TableSpec make_search_spec() {
  TableSpec search = keys_table(
      "keys of the pipeline, each with { uniform = [a, b] }, { log_uniform = [a, b] } or { choice "
      "= "
      "[…] }");
  search.parameters = search_schema().specs();
  search.tables = {{"final", keys_table("keys of the pipeline with values"), false,
                    "what is set on top of the chosen draw for its score"}};
  return search;
}

TableSpec make_spec() {
  TableSpec spec;
  spec.parameters = ablation_schema().specs();
  spec.tables = {
      {"set", keys_table("keys of the pipeline with values"), false, "set in all cells"},
      {"axes", keys_table("keys of the pipeline, each with a list of values"), false,
       "what is varied: each combination is a cell"},
      {"zip", zip_table(), false,
       "what is varied together: the first values make one choice, and so on", true},
      {"exclude", keys_table("keys of the pipeline with values"), false,
       "combinations that are left out", true},
      {"baseline", keys_table("keys that are varied, each with one of its values"), false,
       "what the other choices are compared with; the first of each list if absent"},
      {"search", search_spec(), false,
       "values that are drawn in each cell, the best of which is scored"}};
  return spec;
}

/// The values with empty ones for what is required and not there.
ParameterValues without_holes(const Table& table, const std::vector<ParameterSpec>& specs) {
  ParameterValues values = table.values;
  for (const ParameterSpec& spec : specs) {
    Value& value = values[spec.name];
    if (!spec.required || type_of(value) != ValueType::none) {
      continue;
    }
    if (spec.type == ValueType::integer) {
      value = int64_t{0};
    } else if (spec.type == ValueType::strings) {
      value = std::vector<std::string>{};
    } else {
      value = std::string();
    }
  }
  return values;
}

}  // namespace

const TableSpec& search_spec() {
  static const TableSpec spec = make_search_spec();
  return spec;
}

const TableSpec& ablation_spec() {
  static const TableSpec spec = make_spec();
  return spec;
}

AblationOptions parse_ablation(const Table& table) {
  return ablation_schema().parse(without_holes(table, ablation_schema().specs()));
}

SearchOptions parse_search(const Table& table) {
  return search_schema().parse(without_holes(table, search_schema().specs()));
}

}  // namespace bissl::host
