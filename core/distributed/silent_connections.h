#pragma once

#include <chrono>

namespace bissl::host {

/// How long nothing may come back on a connection between processes, not even what the other
/// machine's system sends by itself.
inline constexpr std::chrono::seconds silence_limit(12);

/// Has the system end each TCP connection of this process, those that listening sockets will accept
/// included, on which nothing has come back for about silence_limit: where a link is cut or a
/// machine lost its power, nobody closes it. Calls that use it then fail as where the other process
/// has ended. A process that computes for long does not count as silent: its system answers.
/// Connections to the port `meeting` that have carried no data stay as they are: a thread of
/// LibTorch's store waits for news on one and ends the program where that fails. To be called when
/// the connections that matter have carried some. Does nothing where the system is not Linux.
void end_silent_connections(int meeting) noexcept;

}  // namespace bissl::host
