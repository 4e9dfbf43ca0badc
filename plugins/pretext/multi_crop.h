#pragma once

#include "bissl/image.h"
#include "bissl/pretext.h"

#include <vector>

namespace bissl {

/// The views that targets are made of in tasks with multi-crop: the first ones, of full size.
inline constexpr int64_t full_size_views = 2;

/// How many views there are: as many as the pipeline declares, and two where it declares none.
int64_t declared_views(const PretextContext& context);

/// Throws Error(ErrorKind::input) unless the first two views have one size and no other is larger.
/// `made` is what they serve for: "assignments are made".
void require_full_size_first(const std::vector<ImageShape>& views, const char* made);

/// Features of all views, view after view, (V·N, D). Neighbours of one size go through the backbone
/// as one batch.
at::Tensor features_of_all(Backbone& backbone, const Views& views);

}  // namespace bissl
