// What is asked of the system for connections that nobody closes. tests/network/run cuts some.

#include "distributed/silent_connections.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bissl::host {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }

 private:
  int number_;
};

int option_of(const Descriptor& of, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(*of, level, option, &value, &size) == 0 ? value : -1;
}

void expect_limited(const Descriptor& found) {
  const auto seconds = static_cast<int>(silence_limit.count());
  EXPECT_EQ(option_of(found, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option_of(found, IPPROTO_TCP, TCP_USER_TIMEOUT), 1000 * seconds);
  EXPECT_LT(option_of(found, IPPROTO_TCP, TCP_KEEPIDLE), seconds);
  EXPECT_GT(option_of(found, IPPROTO_TCP, TCP_KEEPIDLE), 0);
  EXPECT_LT(option_of(found, IPPROTO_TCP, TCP_KEEPINTVL), seconds);
}

/// Has the socket listen on the loopback; `address` becomes where.
bool listens(const Descriptor& socket, sockaddr_in& address) {
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  return ::bind(*socket, place, size) == 0 && ::listen(*socket, 4) == 0 &&
         ::getsockname(*socket, place, &size) == 0;
}

TEST(SilentConnections, AreEndedByTheSystemOnBothSides) {
#if defined(__linux__)
  sockaddr_in address{};
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  const socklen_t size = sizeof(address);
  const Descriptor listening(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_TRUE(listens(listening, address));
  const Descriptor before(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(*before, place, size), 0);
  const Descriptor other(::socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_EQ(option_of(before, SOL_SOCKET, SO_KEEPALIVE), 0);

  end_silent_connections(/*meeting=*/0);
  expect_limited(listening);
  expect_limited(before);
  EXPECT_EQ(option_of(other, SOL_SOCKET, SO_KEEPALIVE), 0);

  // What is accepted later has it from the socket that listens.
  const Descriptor waited(::accept(*listening, nullptr, nullptr));
  const Descriptor after(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(*after, place, size), 0);
  const Descriptor accepted(::accept(*listening, nullptr, nullptr));
  ASSERT_GE(*accepted, 0);
  expect_limited(accepted);
#else
  GTEST_SKIP() << "the system is not Linux";
#endif
}

/// One that has carried nothing is LibTorch's, which ends the program where such a one ends.
TEST(SilentConnections, ToTheMeetingAreEndedOnceTheyHaveCarriedData) {
#if defined(__linux__)
  sockaddr_in address{};
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  const socklen_t size = sizeof(address);
  const Descriptor listening(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_TRUE(listens(listening, address));
  const Descriptor asking(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(*asking, place, size), 0);
  ASSERT_EQ(::write(*asking, "x", 1), 1);
  const Descriptor waiting(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(*waiting, place, size), 0);

  end_silent_connections(ntohs(address.sin_port));
  expect_limited(asking);
  EXPECT_EQ(option_of(waiting, SOL_SOCKET, SO_KEEPALIVE), 0);
#else
  GTEST_SKIP() << "the system is not Linux";
#endif
}

}  // namespace
}  // namespace bissl::host
