#include "support/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bissl::host::test {

int free_port() {
  const int open = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool found = ::bind(open, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(open, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(open);
  return found ? ntohs(address.sin_port) : 0;
}

}  // namespace bissl::host::test
