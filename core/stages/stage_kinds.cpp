#include "bissl/error.h"
#include "stages/analyse/analyse.h"
#include "stages/bissl/bissl.h"
#include "stages/evaluate/evaluate.h"
#include "stages/finetune/finetune.h"
#include "stages/import/import.h"
#include "stages/knn/knn.h"
#include "stages/pretrain/pretrain.h"
#include "stages/stage_kind.h"

namespace bissl::host {
namespace {

struct Kinds {
  std::vector<const StageKind*> kinds;
  std::vector<StageKindSpec> specs;

  explicit Kinds(const std::vector<const StageKind*>& all) {
    for (const StageKind* kind : all) {
      add(*kind);
    }
  }
  void add(const StageKind& kind) {
    kinds.push_back(&kind);
    specs.push_back(kind.spec());
  }
};

Kinds& known() {
  static Kinds kinds({
      &pretrain_kind(),
      &bissl_kind(),
      &finetune_kind(),
      &evaluate_kind(),
      &knn_kind(),
      &analyse_kind(),
      &import_kind(),
  });
  return kinds;
}

}  // namespace

const StageKind& stage_kind(const std::string& name) {
  for (const StageKind* kind : known().kinds) {
    if (kind->spec().name == name) {
      return *kind;
    }
  }
  fail_run("there is no kind of stage \"{}\"", name);
}

const std::vector<StageKindSpec>& stage_kinds() { return known().specs; }

void add_stage_kind(const StageKind& kind) { known().add(kind); }

}  // namespace bissl::host
