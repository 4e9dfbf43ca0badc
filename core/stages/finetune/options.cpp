#include "stages/finetune/options.h"

#include "stages/batch_statistics.h"
#include "stages/finetune/validation.h"
#include "stages/mix.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"
#include "stages/rates_options.h"
#include "stages/scoring.h"

namespace bissl::host {
namespace {

const Schema<FinetuneOptions>& finetune_schema() {
  static const Schema<FinetuneOptions> schema = [] {
    Schema<FinetuneOptions> s;
    add_data(s, &FinetuneOptions::data, "data source of the labelled images");
    add_batch(s, &FinetuneOptions::batch);
    add_accumulation(s, &FinetuneOptions::accumulate);
    s.embed(&FinetuneOptions::length, length_schema());
    add_clipping(s, &FinetuneOptions::max_grad_norm, &FinetuneOptions::grad_norm_guard);
    add_precision(s, &FinetuneOptions::precision);
    add_batch_norm(s, &FinetuneOptions::batch_norm);
    s.add("ema_decay", &FinetuneOptions::ema_decay,
          "decay of a moving average of the weights along the training, which is scored and kept "
          "instead of the last weights; 0: the last weights")
        .at_least(0)
        .less_than(1)
        .formerly("ema");
    s.add("freeze_backbone", &FinetuneOptions::freeze_backbone,
          "train the head only, on features of the backbone in evaluation mode (linear probe)");
    s.add("proximity", &FinetuneOptions::proximity,
          "λ of a term (λ/2)·‖θ − θ₀‖² that ties the backbone's parameters to those that it begins "
          "with (Li et al. 2018, arXiv 1802.01483); 0: none")
        .at_least(0)
        .only_with("freeze_backbone", false);
    s.add("repeats", &FinetuneOptions::repeats,
          "how many times to fine-tune, each with a random stream of its own; results are given "
          "as mean and standard deviation")
        .at_least(1)
        .at_most(1000)
        .unit("repeats");
    return s;
  }();
  return schema;
}

}  // namespace

FinetuneOptions parse_finetune(const Table& table) { return finetune_schema().parse(table.values); }

StageKindSpec finetune_spec() {
  StageKindSpec kind;
  kind.name = "finetune";
  kind.summary = "trains backbone and a new head on labelled images, and scores them";
  kind.table = table_of(finetune_schema(), {length_keys});
  mark_precision(kind.table);
  mark_batch_norm(kind.table);
  kind.table.augment = one_view();
  kind.table.components = {downstream_slot(), optimizer_slot()};
  kind.table.tables = {schedule_table(),
                       rates_table(),
                       mix_table(),
                       {"validate", validate_table(), false,
                        "what to score the network on along the training: its best weights are "
                        "kept"},
                       {"evaluate", evaluate_table(), false,
                        "what to score the result on; a stage of kind \"evaluate\" does it apart"}};
  kind.needs_parent = true;
  kind.hands_on = {"backbone", "head"};
  kind.takes = {"backbone"};
  return kind;
}

}  // namespace bissl::host
