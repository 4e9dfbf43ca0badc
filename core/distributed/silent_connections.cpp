#include "distributed/silent_connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>

namespace bissl::host {
namespace {

#if defined(__linux__)
constexpr int probe_pause = 3;  // seconds

int socket_number(int descriptor, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool is_tcp(int descriptor) {
  const int domain = socket_number(descriptor, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) &&
         socket_number(descriptor, SO_TYPE) == SOCK_STREAM;
}

void set_number(int descriptor, int level, int option, int value) {
  ::setsockopt(descriptor, level, option, &value, sizeof(value));  // it stays as it was otherwise
}

/// An idle connection is asked for a sign of life, one with data that nobody acknowledges is not
/// waited for longer (tcp(7)).
void limit_silence(int descriptor) {
  constexpr auto seconds = static_cast<int>(silence_limit.count());
  set_number(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, probe_pause);
  set_number(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, probe_pause);
  set_number(descriptor, IPPROTO_TCP, TCP_KEEPCNT, seconds / probe_pause);
  set_number(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000 * seconds);
  set_number(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
}
#endif

}  // namespace

void end_silent_connections() noexcept {
#if defined(__linux__)
  namespace fs = std::filesystem;
  try {
    std::error_code ignored;
    for (fs::directory_iterator item("/proc/self/fd", ignored), end; item != end;
         item.increment(ignored)) {
      const std::string name = item->path().filename().string();
      int descriptor = -1;
      std::from_chars(name.data(), name.data() + name.size(), descriptor);
      if (descriptor >= 0 && is_tcp(descriptor)) {
        limit_silence(descriptor);
      }
    }
  } catch (const std::exception&) {
    // Out of memory: what is silent is then given up later.
  }
#endif
}

}  // namespace bissl::host
