#pragma once

#include "file_access.h"

#include <cstdint>
#include <functional>
#include <string>

namespace bissl {

/// A regular file in a tar archive.
struct TarMember {
  std::string name;     ///< relative, without "./" in front
  uint64_t offset = 0;  ///< of its content in the archive
  uint64_t size = 0;    ///< of its content
};

/// Calls `visit` for each regular file of an uncompressed archive, in their order; folders are
/// passed over. Formats: ustar, pax (path and size), GNU (long names, large sizes), and what came
/// before them. Only headers, and what follows the end, are read. Throws Error(ErrorKind::input)
/// for
///
/// - a header whose checksum is wrong, so for what is no archive;
/// - an archive that is cut short: within a member, or without the zero block at its end;
/// - anything but zeros behind that block, such as a second archive;
/// - a name that is absolute, has "..", NUL bytes or more than 4096 bytes;
/// - links, devices, named pipes, sparse members and other types: nothing is made of an archive but
///   bytes of its own.
void list_tar(const RandomAccessFile& archive, const std::function<void(const TarMember&)>& visit);

}  // namespace bissl
