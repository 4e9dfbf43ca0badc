#include "stages/auditor.h"

#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "stages/networks.h"
#include "stages/options.h"

namespace bissl {

Auditor::Auditor(const StageContext& context, const ComponentChoice& pretext,
                 const ImageShape& input, const AuditOptions& options,
                 const Hypergradient& hypergradient)
    : every_(options.every),
      setting_{.damping = options.damping.value_or(
                   hypergradient.damping().value_or(AuditSetting{}.damping)),
               .dense_below = options.dense_below,
               .iterations = options.iterations,
               .tolerance = options.tolerance} {
  const EvaluationGuard guard({}, 0);
  backbone_ = make_backbone(context, input, 0);
  pretext_ = make_pretext(context, pretext, *backbone_, 0);
  convert_to_double(backbone_->module());
  convert_to_double(pretext_->module());
}

AuditReport Auditor::audit(Backbone& backbone, Pretext& pretext, const TensorList& batches,
                           const PretextProblem::Setting& setting, const TensorList& u,
                           const TensorList& v) {
  copy_state(backbone.module(), backbone_->module());
  copy_state(pretext.module(), pretext_->module());
  TensorList doubles;
  for (const at::Tensor& batch : batches) {
    doubles.push_back(batch.to(at::kDouble));
  }
  PretextProblem problem(*backbone_, *pretext_, std::move(doubles), setting);
  return bissl::audit(u, v, problem, setting_);
}

}  // namespace bissl
