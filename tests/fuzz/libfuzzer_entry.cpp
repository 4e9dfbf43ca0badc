// libFuzzer's entry of one program: the target is the one whose name ends the program's own.
#include "targets.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void (*chosen)(std::string_view) = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*count*/, char*** arguments) {
  const std::string_view program = (*arguments)[0];
  const size_t slash = program.rfind('/');
  const std::string_view name = program.substr(slash == std::string_view::npos ? 0 : slash + 1);
  for (const bissl::host::test::FuzzTarget& target : bissl::host::test::fuzz_targets()) {
    if (name == std::string("fuzz_") + target.name) {
      chosen = target.run;
    }
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "%s: no fuzz target has this name\n", (*arguments)[0]);
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  chosen({reinterpret_cast<const char*>(data), size});
  return 0;
}
