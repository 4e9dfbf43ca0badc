#include "stages/pretrain/options.h"

#include "stages/option_schemas.h"
#include "stages/rates.h"

namespace bissl::host {
namespace {

const Schema<PretrainOptions>& pretrain_schema() {
  static const Schema<PretrainOptions> schema = [] {
    Schema<PretrainOptions> s;
    add_data(s, &PretrainOptions::data, "data source of the images");
    add_batch(s, &PretrainOptions::batch);
    add_accumulation(s, &PretrainOptions::accumulate);
    s.embed(&PretrainOptions::length, length_schema());
    add_clipping(s, &PretrainOptions::max_grad_norm);
    return s;
  }();
  return schema;
}

}  // namespace

PretrainOptions parse_pretrain(const Table& table) { return pretrain_schema().parse(table.values); }

StageKindSpec pretrain_spec() {
  StageKindSpec kind;
  kind.name = "pretrain";
  kind.summary = "trains backbone and pretext head on the pretext loss";
  kind.table = table_of(pretrain_schema(), {length_keys, views_keys});
  kind.table.augment = several_views();
  kind.table.components = {pretext_slot(), optimizer_slot()};
  kind.table.tables = {schedule_table(), rates_table()};
  kind.hands_on = {"backbone", "pretext"};
  kind.takes = {"backbone", "pretext"};
  return kind;
}

}  // namespace bissl::host
