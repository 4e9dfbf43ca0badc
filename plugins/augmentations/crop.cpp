#include "crop.h"

namespace bissl {

CropRange crop_range(const std::vector<double>& scale, const std::vector<double>& ratio) {
  return {scale[0], scale[1], ratio[0], ratio[1]};
}

void check_range(const std::string& parameter, const std::vector<double>& range,
                 std::vector<Finding>& findings) {
  if (range[0] > range[1]) {
    findings.push_back(
        {Finding::Severity::error, parameter,
         fmt::format("the bounds [{0}, {1}] are in the wrong order: the smaller number "
                     "comes first, [{1}, {0}]",
                     range[0], range[1])});
  }
}

}  // namespace bissl
