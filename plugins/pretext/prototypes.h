#pragma once

#include <cstdint>

namespace bissl {

struct PretextContext;

/// Throws Error(ErrorKind::input), which names both numbers, where a task has fewer prototypes than
/// the data has classes: samples of several classes would have to share one.
void require_prototypes(const char* task, int64_t prototypes, const PretextContext& context);

}  // namespace bissl
