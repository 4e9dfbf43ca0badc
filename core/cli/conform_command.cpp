#include "cli/conform_command.h"

#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "plugins/load_report_json.h"

namespace bissl::host {

int run_conform(const std::filesystem::path& library, const ConformanceOptions& options, bool json,
                std::ostream& out) {
  std::error_code error;
  if (!std::filesystem::exists(library, error)) {
    fail_input("{}: there is no such file; expected a plugin library", library.string());
  }
  const ConformanceReport report = conform(library, options);
  out << (json ? dump(report, 2) + "\n" : to_text(report));
  switch (report.verdict()) {
    case Verdict::conforms:
      return exit_done;
    case Verdict::fails:
      return exit_run_failed;
    case Verdict::not_tested:
      return exit_not_tested;
  }
  return exit_run_failed;
}

}  // namespace bissl::host
