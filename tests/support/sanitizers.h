#pragma once

namespace bissl::host::test {

/// Whether this is a build with sanitizers, in which some tests cannot hold: limits on address
/// space (a sanitizer reserves terabytes), and fixtures that misuse memory on purpose.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace bissl::host::test
