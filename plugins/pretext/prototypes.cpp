#include "prototypes.h"

#include "bissl/error.h"
#include "bissl/pretext.h"

namespace bissl {

void require_prototypes(const char* task, int64_t prototypes, const PretextContext& context) {
  if (prototypes < context.classes) {
    fail_input(
        "{}: prototypes = {} is fewer than the {} classes of the data: samples of several classes "
        "would have to share one. Take more prototypes",
        task, prototypes, context.classes);
  }
}

}  // namespace bissl
