#include "store/claim.h"

#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// What a claim's file holds.
struct Owner {
  std::string machine;
  std::string host;
  int64_t process = 0;
};

std::string this_machine(const ClaimPolicy& policy) {
  if (!policy.machine.empty()) {
    return policy.machine;
  }
  static const std::string boot = [] {
    try {
      // Files of /proc have no size, so read_whole would see nothing.
      const FileDescriptor open = open_for_reading("/proc/sys/kernel/random/boot_id");
      std::string text(64, '\0');
      text.resize(read_at(open, text.data(), text.size(), 0, "boot_id"));
      return text.substr(0, text.find('\n'));
    } catch (const Error&) {
      return std::string();
    }
  }();
  return boot;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

std::string content_of(const ClaimPolicy& policy) {
  return json_text(
             {{"machine", this_machine(policy)}, {"host", host_name()}, {"process", getpid()}}) +
         "\n";
}

std::optional<Owner> parse_owner(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    return Owner{json.at("machine").get<std::string>(), json.at("host").get<std::string>(),
                 json.at("process").get<int64_t>()};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string read_content(const FileDescriptor& open, const fs::path& file) {
  std::string text(1024, '\0');
  text.resize(read_at(open, text.data(), text.size(), 0, file));
  return text;
}

/// The moment of the last renewal and the file's identity: changes exactly when the claim does.
std::string renewal_of(const struct stat& status) {
  return fmt::format("{}:{}:{}.{:09}", status.st_dev, status.st_ino, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec);
}

bool same_file(const FileDescriptor& open, const fs::path& file) {
  struct stat opened {};
  struct stat named {};
  return fstat(open.get(), &opened) == 0 && stat(file.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

enum class Locked { yes, by_another, not_possible };

Locked lock(const FileDescriptor& open, const ClaimPolicy& policy, int kind = LOCK_EX) {
  if (!policy.file_locks) {
    return Locked::not_possible;
  }
  while (flock(open.get(), kind | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Locked::by_another;
    }
    if (errno != EINTR) {
      return Locked::not_possible;
    }
  }
  return Locked::yes;
}

bool process_is_gone(int64_t process) {
  return process > 0 && kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH;
}

/// A temporary file beside `file` with this process's name in it, locked where that is possible.
std::pair<FileDescriptor, fs::path> make_own_file(const fs::path& file, const ClaimPolicy& policy) {
  fs::path temporary = temporary_path(file.parent_path());
  FileDescriptor open(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!open.valid()) {
    fail_write(file, errno);
  }
  const std::string content = content_of(policy);
  if (pwrite(open.get(), content.data(), content.size(), 0) !=
      static_cast<ssize_t>(content.size())) {
    const int error = errno;
    ::unlink(temporary.c_str());
    fail_write(file, error);
  }
  lock(open, policy);
  return {std::move(open), std::move(temporary)};
}

/// Makes the claim's file with its content, or reports that there is one: an invalid descriptor.
FileDescriptor create(const fs::path& file, const ClaimPolicy& policy) {
  auto [open, temporary] = make_own_file(file, policy);
  const bool made = ::link(temporary.c_str(), file.c_str()) == 0;
  const int error = errno;
  ::unlink(temporary.c_str());
  if (!made && error != EEXIST) {
    fail_write(file, error);
  }
  return made ? std::move(open) : FileDescriptor();
}

/// Replaces another machine's abandoned file by an own one. Two machines may do so at the
/// same time: the last one to rename has it, and both see that after a moment.
FileDescriptor replace(const fs::path& file, const ClaimPolicy& policy) {
  auto [open, temporary] = make_own_file(file, policy);
  rename_path(temporary, file);
  std::this_thread::sleep_for(std::min(policy.lease / 10, std::chrono::milliseconds(2000)));
  return same_file(open, file) ? std::move(open) : FileDescriptor();
}

}  // namespace

struct Claim::Held {
  Held(FileDescriptor open, fs::path path, const ClaimPolicy& policy)
      : file(std::move(open)), name(std::move(path)), lease(policy.lease) {
    renewed = Clock::now();
    thread = std::thread([this] { keep_renewing(); });
  }
  ~Held() {
    {
      const std::lock_guard<std::mutex> guard(mutex);
      ending = true;
    }
    wake.notify_one();
    thread.join();
    if (same_file(file, name)) {
      ::unlink(name.c_str());  // before the lock goes, so that nobody locks what has no name
    }
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  /// Under the mutex.
  void renew() {
    lost = lost || !same_file(file, name);
    if (!lost && futimens(file.get(), nullptr) == 0) {
      renewed = Clock::now();
    }
  }

  void keep_renewing() {
    std::unique_lock<std::mutex> guard(mutex);
    while (!wake.wait_for(guard, lease / 6, [this] { return ending; })) {
      renew();
    }
  }

  FileDescriptor file;
  fs::path name;
  std::chrono::milliseconds lease;
  std::mutex mutex;
  std::condition_variable wake;
  Clock::time_point renewed;
  bool lost = false;
  bool ending = false;
  std::thread thread;
};

Claim::Claim(std::unique_ptr<Held> held) : held_(std::move(held)) {}
Claim::Claim(Claim&&) noexcept = default;
Claim& Claim::operator=(Claim&&) noexcept = default;
Claim::~Claim() = default;

void Claim::confirm() const {
  const std::lock_guard<std::mutex> guard(held_->mutex);
  if (!held_->lost && Clock::now() - held_->renewed > held_->lease / 2) {
    held_->renew();
  }
  if (held_->lost) {
    fail_run(
        "the claim {} was lost: this process stood still for longer than {} ms, and another "
        "machine took over. Its work continues there",
        held_->name.string(), held_->lease.count());
  }
}

std::optional<Claim> Claim::try_take(const fs::path& file, ClaimWatch& watch,
                                     const ClaimPolicy& policy) {
  const auto take = [&](FileDescriptor open) -> std::optional<Claim> {
    if (!open.valid()) {
      return std::nullopt;
    }
    watch = {};
    return Claim(std::make_unique<Held>(std::move(open), file, policy));
  };
  for (;;) {
    FileDescriptor open(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    if (!open.valid()) {
      if (errno != ENOENT) {
        fail_write(file, errno);
      }
      if (FileDescriptor made = create(file, policy); made.valid()) {
        return take(std::move(made));
      }
      continue;
    }
    const Locked locked = lock(open, policy);
    if (locked == Locked::by_another) {
      return std::nullopt;
    }
    struct stat status {};
    if (!same_file(open, file) || fstat(open.get(), &status) != 0) {
      continue;  // given back, or taken over, since it was opened
    }
    const std::optional<Owner> owner = parse_owner(read_content(open, file));
    const bool ours = owner && owner->machine == this_machine(policy);
    // Whoever had the claim on this machine also had the lock.
    if (locked == Locked::yes && (ours || !owner)) {
      const std::string content = content_of(policy);
      if (pwrite(open.get(), content.data(), content.size(), 0) < 0 ||
          ftruncate(open.get(), static_cast<off_t>(content.size())) != 0) {
        fail_write(file, errno);
      }
      return take(std::move(open));
    }
    const std::string renewal = renewal_of(status);
    if (watch.seen != renewal) {
      watch = {renewal, Clock::now()};
    }
    if ((ours && process_is_gone(owner->process)) || Clock::now() - watch.since > policy.lease) {
      return take(replace(file, policy));
    }
    return std::nullopt;
  }
}

bool is_claimed(const fs::path& file, const ClaimPolicy& policy) {
  const FileDescriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!open.valid() || fstat(open.get(), &status) != 0) {
    return false;
  }
  const Locked locked = lock(open, policy, LOCK_SH);
  if (locked == Locked::by_another) {
    return true;
  }
  const std::optional<Owner> owner = parse_owner(read_content(open, file));
  if (owner && owner->machine == this_machine(policy)) {
    return locked != Locked::yes && !process_is_gone(owner->process);
  }
  // Whole seconds, as file systems may round times, so one may be counted that has not passed. A
  // time ahead is not that of a renewal a moment ago, but of another clock, which says nothing
  // about when it was.
  const std::chrono::seconds age(::time(nullptr) - status.st_mtim.tv_sec);
  const auto oldest = 2 * policy.lease + std::chrono::seconds(1);
  const auto ahead = std::max<std::chrono::milliseconds>(policy.lease, std::chrono::seconds(1));
  return owner.has_value() && age < oldest && -age <= ahead;
}

std::string claim_owner(const fs::path& file, const ClaimPolicy& policy) {
  try {
    const std::optional<Owner> owner = parse_owner(read_whole(file, 1024));
    if (owner) {
      return owner->machine == this_machine(policy)
                 ? fmt::format("process {}", owner->process)
                 : fmt::format("process {} on {}", owner->process, owner->host);
    }
  } catch (const Error&) {
    // It was given back in the meantime.
  }
  return "another process";
}

}  // namespace bissl::host
