#include "cli/run_settings.h"

#include "bissl/error.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>

namespace bissl {
namespace {

c10::Device parse_device(const std::string& text) {
  try {
    return c10::Device(text);
  } catch (const c10::Error&) {
    fail_input("--device {}: not a device; expected cpu, cuda or cuda:N", text);
  }
}

}  // namespace

RunSettings make_settings(const PipelineArguments& arguments, std::ostream* progress) {
  RunSettings settings;
  settings.device = parse_device(arguments.device);
  const int threads = set_threads(arguments.threads);
  settings.loader_threads = std::max(1, threads / 4);
  if (progress != nullptr) {
    settings.progress = [progress](Progress::Plan plan) {
      return std::make_unique<Progress>(*progress, ProgressStyle::of(STDERR_FILENO),
                                        std::move(plan));
    };
  }
  return settings;
}

}  // namespace bissl
