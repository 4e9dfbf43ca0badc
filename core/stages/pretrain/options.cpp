#include "stages/pretrain/options.h"

#include "pipeline/matched_stage.h"
#include "stages/batch_statistics.h"
#include "stages/match.h"
#include "stages/monitor_options.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"
#include "stages/rates_options.h"

namespace bissl::host {
namespace {

const Schema<PretrainOptions>& pretrain_schema() {
  static const Schema<PretrainOptions> schema = [] {
    Schema<PretrainOptions> s;
    add_data(s, &PretrainOptions::data, "data source of the images");
    add_batch(s, &PretrainOptions::batch);
    add_accumulation(s, &PretrainOptions::accumulate);
    s.embed(&PretrainOptions::length, length_schema());
    add_clipping(s, &PretrainOptions::max_grad_norm, &PretrainOptions::grad_norm_guard);
    add_precision(s, &PretrainOptions::precision);
    add_batch_norm(s, &PretrainOptions::batch_norm);
    return s;
  }();
  return schema;
}

const Schema<SupervisedOptions>& supervised_schema() {
  static const Schema<SupervisedOptions> schema = [] {
    Schema<SupervisedOptions> s;
    add_data(s, &SupervisedOptions::data, "data source of the labelled images");
    add_batch(s, &SupervisedOptions::batch);
    s.add("weight", &SupervisedOptions::weight,
          "weight of the labelled task's loss beside the pretext loss")
        .more_than(0);
    return s;
  }();
  return schema;
}

TableSpec supervised_table() {
  TableSpec table = table_of(supervised_schema());
  table.augment = one_view();
  table.components = {downstream_slot()};
  return table;
}

}  // namespace

PretrainOptions parse_pretrain(const Table& table) { return pretrain_schema().parse(table.values); }

SupervisedOptions parse_supervised(const Table& table) {
  return supervised_schema().parse(table.values);
}

StageKindSpec pretrain_spec() {
  StageKindSpec kind;
  kind.name = "pretrain";
  kind.summary = "trains backbone and pretext head on the pretext loss";
  kind.table = table_of(pretrain_schema(), {{"epochs", "steps", match_key}, views_keys});
  mark_precision(kind.table);
  mark_batch_norm(kind.table);
  kind.table.augment = several_views();
  kind.table.components = {pretext_slot(), optimizer_slot()};
  kind.table.tables = {
      schedule_table(),
      rates_table(),
      monitor_table(),
      match_table(),
      {"supervised", supervised_table(), false,
       "a labelled task that is trained on the same backbone at the same time: each "
       "step is on the sum of both losses"}};
  kind.hands_on = {"backbone", "pretext"};
  kind.takes = {"backbone", "pretext"};
  return kind;
}

}  // namespace bissl::host
