#pragma once

#include <cstdint>
#include <string_view>

namespace bissl::host {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4): reflected polynomial 0x82F63B78.
uint32_t crc32c(std::string_view bytes);

}  // namespace bissl::host
