#include "core/store/failing_disk.h"

#include "bissl/error.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <stdexcept>

namespace bissl::host::test {

FileSizeLimit::FileSizeLimit(unsigned long bytes) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  previous_ = limit.rlim_cur;
  limit.rlim_cur = bytes;
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
    throw std::runtime_error("cannot limit the size of files");
  }
}

FileSizeLimit::~FileSizeLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = previous_;
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_DFL);
}

void as_ordinary_user(const std::function<void()>& body) {
  constexpr uid_t nobody = 65534;
  const bool is_root = geteuid() == 0;
  if (is_root && seteuid(nobody) != 0) {
    throw std::runtime_error("cannot give up the rights of root");
  }
  try {
    body();
  } catch (...) {
    if (is_root && seteuid(0) != 0) {
      abort();
    }
    throw;
  }
  if (is_root && seteuid(0) != 0) {
    abort();
  }
}

std::string on_small_disk(const std::filesystem::path& folder, unsigned long bytes,
                          const std::function<std::string()>& body) {
  int ends[2];
  if (pipe(ends) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  const pid_t child = fork();
  if (child == 0) {
    std::string answer = "unavailable";
    const int spaces = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (unshare(spaces) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        mount("tmpfs", folder.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0) {
      try {
        answer = body();
      } catch (const std::exception& error) {
        answer = fmt::format("exception: {}", error.what());
      }
    }
    [[maybe_unused]] const ssize_t count = write(ends[1], answer.data(), answer.size());
    _exit(0);
  }
  close(ends[1]);
  std::string answer;
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(count));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return answer;
}

int exit_code_of(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      body();
    } catch (...) {
      _exit(99);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return (error.kind() == ErrorKind::input ? "input: " : "run: ") + std::string(error.what());
  }
  return "no error";
}

std::string listing(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  std::string text;
  for (const std::string& name : names) {
    text += text.empty() ? name : " " + name;
  }
  return text;
}

}  // namespace bissl::host::test
