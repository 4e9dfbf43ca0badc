#include "distributed/process_group.h"

namespace bissl::host {

// In gloo_group.cpp's place where LibTorch or Gloo's headers do not have what that needs.

bool has_process_groups() { return false; }

std::unique_ptr<Meeting> meet(const MeetingPlace& /*place*/) {
  fail_input(
      "this program was built without several processes: LibTorch's process groups or Gloo's "
      "headers (package libgloo-dev) were not found. Install them and build it again, or run on "
      "one process");
}

}  // namespace bissl::host
