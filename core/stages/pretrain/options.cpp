#include "stages/pretrain/options.h"

#include "stages/option_schemas.h"

namespace bissl {
namespace {

using FlatPretrain = WithLength<PretrainOptions>;

const Schema<FlatPretrain>& pretrain_schema() {
  static const Schema<FlatPretrain> schema = [] {
    Schema<FlatPretrain> s;
    add_data(s, flat<FlatPretrain>(&PretrainOptions::data), "data source of the images");
    add_batch(s, flat<FlatPretrain>(&PretrainOptions::batch));
    add_length(s);
    add_clipping(s, flat<FlatPretrain>(&PretrainOptions::max_grad_norm));
    return s;
  }();
  return schema;
}

}  // namespace

PretrainOptions parse_pretrain(const Table& table) {
  return with_length(pretrain_schema().parse(table.values));
}

StageKindSpec pretrain_spec() {
  StageKindSpec kind;
  kind.name = "pretrain";
  kind.summary = "trains backbone and pretext head on the pretext loss";
  kind.table = table_of(pretrain_schema(), {length_keys});
  kind.table.components = {augment_slot(), pretext_slot(), optimizer_slot()};
  kind.table.tables = {schedule_table()};
  kind.may_be_parent = true;
  kind.data_keys = {"data"};
  return kind;
}

}  // namespace bissl
