#include "telemetry/limits.h"

#include "bissl/error.h"

#include "core/store/failing_disk.h"
#include "telemetry/memory_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <new>
#include <stdexcept>
#include <system_error>

namespace bissl::host::test {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Limits, TheLimitBehindAFailureIsNamedWithItsValue) {
  EXPECT_EQ(exit_code_of([] {
              const rlimit few{20, 20};
              setrlimit(RLIMIT_NOFILE, &few);
              const std::system_error files(EMFILE, std::generic_category(), "cannot list");
              _exit(has(explain_limits(files),
                        "cannot list: Too many open files. The limit on open "
                        "files (ulimit -n) is 20")
                        ? 0
                        : 1);
            }),
            0);
  EXPECT_EQ(exit_code_of([] {
              const rlimit few{500, 500};
              setrlimit(RLIMIT_NPROC, &few);
              const std::system_error threads(EAGAIN, std::generic_category());
              const std::string text = explain_limits(threads);
              _exit(has(text, "no further thread can be started") &&
                            has(text, "processes and threads (ulimit -u) is 500")
                        ? 0
                        : 1);
            }),
            0);
  EXPECT_EQ(
      exit_code_of([] {
        const rlimit much{rlim_t{1} << 40, rlim_t{1} << 40};
        setrlimit(RLIMIT_AS, &much);
        const std::string text = explain_limits(std::bad_alloc());
        _exit(has(text, "no memory left") && has(text, "(ulimit -v) is 1073741824 KiB") ? 0 : 1);
      }),
      0);
}

/// Against the limit stand what the process has mapped already, and what threads will.
TEST(Limits, OfAddressSpaceThereIsLeftWhatNothingHasMapped) {
  EXPECT_EQ(exit_code_of([] {
              constexpr double mebibyte = 1024.0 * 1024.0;
              constexpr double room = 512 * mebibyte;
              double pages = 0;
              std::ifstream("/proc/self/statm") >> pages;
              const double mapped = pages * static_cast<double>(sysconf(_SC_PAGESIZE));
              const auto bytes = static_cast<rlim_t>(mapped + room);
              const rlimit limit{bytes, bytes};
              setrlimit(RLIMIT_AS, &limit);
              const MemoryLimit alone = memory_limit();
              const MemoryLimit with_threads = memory_limit(2);
              _exit(has(alone.cause, "address space") && alone.bytes <= room &&
                            alone.bytes > room / 2 &&
                            alone.bytes - with_threads.bytes > 2 * 64 * mebibyte
                        ? 0
                        : 1);
            }),
            0);
}

TEST(Limits, ThreadsThatCannotRunAreRefusedBeforeALibraryWaitsForThem) {
  require_threads(3);
  EXPECT_EQ(exit_code_of([] {
              constexpr uid_t nobody = 65534;
              if (geteuid() == 0 && setuid(nobody) != 0) {  // the limit does not bind root
                _exit(2);
              }
              const rlimit one{1, 1};
              setrlimit(RLIMIT_NPROC, &one);
              try {
                require_threads(3);
              } catch (const Error& error) {
                _exit(has(error.what(), "of 3 threads could be started") &&
                              has(error.what(), "processes and threads (ulimit -u) is 1")
                          ? 0
                          : 1);
              }
              _exit(3);
            }),
            0);
}

/// Of components and of LibTorch; one that names the limit already is left as it is.
TEST(Limits, MemoryThatAComponentLacksIsExplained) {
  const std::string text =
      explain_limits(Error(ErrorKind::run, "dataset \"x\": not enough memory"));
  EXPECT_EQ(text.rfind("dataset \"x\": not enough memory. ", 0), 0U) << text;
  EXPECT_NE(text.find("ulimit -v"), std::string::npos) << text;
  const std::string named = "not enough memory: `ulimit -v` leaves 3 MB";
  EXPECT_EQ(explain_limits(Error(ErrorKind::run, named)), named);
}

TEST(Limits, OtherFailuresKeepTheirText) {
  EXPECT_EQ(explain_limits(std::runtime_error("some text")), "some text");
  EXPECT_EQ(limit_advice(ENOENT), "");
  EXPECT_EQ(explain_limits(std::system_error(ENOENT, std::generic_category(), "f")),
            "f: No such file or directory");
}

}  // namespace
}  // namespace bissl::host::test
