#include "distributed/silent_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>

#if defined(__linux__)
#include <linux/tcp.h>
#endif

#include <charconv>
#include <cstddef>
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

/// The port at the other end; -1 where there is none.
int port_of_other(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(descriptor, place, &size) != 0) {
    return -1;
  }
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

/// Whether data has gone either way; true where the system does not say it.
bool has_carried_data(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  constexpr size_t needed =
      offsetof(tcp_info, tcpi_data_segs_out) + sizeof(info.tcpi_data_segs_out);
  return ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < needed ||
         info.tcpi_data_segs_in > 0 || info.tcpi_data_segs_out > 0;
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

void end_silent_connections([[maybe_unused]] int meeting) noexcept {
#if defined(__linux__)
  namespace fs = std::filesystem;
  try {
    std::error_code ignored;
    for (fs::directory_iterator item("/proc/self/fd", ignored), end; item != end;
         item.increment(ignored)) {
      const std::string name = item->path().filename().string();
      int descriptor = -1;
      std::from_chars(name.data(), name.data() + name.size(), descriptor);
      if (descriptor >= 0 && is_tcp(descriptor) &&
          (port_of_other(descriptor) != meeting || has_carried_data(descriptor))) {
        limit_silence(descriptor);
      }
    }
  } catch (const std::exception&) {
    // Out of memory: what is silent is then given up later.
  }
#endif
}

}  // namespace bissl::host
