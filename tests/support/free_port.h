#pragma once

namespace bissl::host::test {

/// A port of this machine on which nobody listens now; 0 if there is none.
int free_port();

}  // namespace bissl::host::test
