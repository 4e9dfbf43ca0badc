#include "plugins/elf.h"

#include "bissl/error.h"
#include "plugins/refusal.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

constexpr std::string_view magic = ELFMAG;

constexpr const char* give_the_library =
    "this is not what the linker makes: give the path of the plugin's .so file, or take this file "
    "out of the folder";
constexpr const char* link_it =
    "link it as a shared library, as bissl_add_plugin does, and give the .so file";
constexpr const char* for_this_machine =
    "get the library for this machine, or build it here with bissl_add_plugin";
constexpr const char* copy_it =
    "a part of the file is missing: copy it again as a whole; if it was built here, see whether "
    "the disk was full, and link it again";

[[noreturn]] void refuse(std::string found, const char* advice) {
  throw Refusal({"", "open", "not_a_library", std::move(found),
                 "a shared library (ELF) for this machine", advice});
}

/// The first bytes of the file, at most `size`.
std::string head_of(std::ifstream& stream, size_t size) {
  std::string head(size, '\0');
  stream.seekg(0);
  stream.read(head.data(), static_cast<std::streamsize>(size));
  head.resize(static_cast<size_t>(std::max<std::streamsize>(0, stream.gcount())));
  stream.clear();
  return head;
}

bool is_text(const std::string& head) {
  return std::none_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f') ||
           byte == 0x7f;
  });
}

/// For a file that is not ELF.
[[noreturn]] void refuse_other_kind(const std::string& head) {
  if (head.empty()) {
    refuse("an empty file", copy_it);
  }
  if (head.rfind("!<arch>", 0) == 0) {
    refuse("a static library", link_it);
  }
  if (magic.compare(0, head.size(), head) == 0) {
    refuse(fmt::format("a library cut short to {} bytes", head.size()), copy_it);
  }
  if (head.rfind("version https://git-lfs", 0) == 0) {
    refuse("a pointer of Git LFS in the library's place",
           "fetch the library with \"git lfs pull\"");
  }
  refuse(is_text(head) ? "a text file" : "a file of another kind", give_the_library);
}

template <class T>
bool read_at(std::ifstream& stream, uint64_t offset, T* into, size_t count) {
  stream.seekg(static_cast<std::streamoff>(offset));
  stream.read(reinterpret_cast<char*>(into), static_cast<std::streamsize>(count * sizeof(T)));
  const bool complete = static_cast<bool>(stream);
  stream.clear();
  return complete;
}

/// The machine that this program itself was built for.
Elf64_Ehdr own_header() {
  Elf64_Ehdr header{};
  std::ifstream self("/proc/self/exe", std::ios::binary);
  if (!self || !read_at(self, 0, &header, 1)) {
    fail_run("cannot read the header of this program (/proc/self/exe); is /proc mounted?");
  }
  return header;
}

std::string type_name(uint16_t type) {
  switch (type) {
    case ET_REL:
      return "an object file";
    case ET_EXEC:
      return "a program";
    case ET_CORE:
      return "a core dump";
    default:
      return fmt::format("an ELF file of type {}", type);
  }
}

/// Whether `size` bytes from `offset` on lie within the file; safe against numbers that wrap.
bool within(uint64_t offset, uint64_t size, uint64_t file_size) {
  return offset <= file_size && size <= file_size - offset;
}

uint64_t bytes_in_file(std::ifstream& stream) {
  stream.seekg(0, std::ios::end);
  return static_cast<uint64_t>(std::max<std::streamoff>(0, stream.tellg()));
}

/// The bytes of a section; none where they are not all in the file.
std::string section_bytes(std::ifstream& stream, const Elf64_Shdr& section, uint64_t file_size) {
  std::string content;
  if (within(section.sh_offset, section.sh_size, file_size)) {
    content.resize(section.sh_size);
    if (!read_at(stream, section.sh_offset, content.data(), content.size())) {
      content.clear();
    }
  }
  return content;
}

/// Whether everything that the headers name is there.
bool is_complete(std::ifstream& stream, const Elf64_Ehdr& header, uint64_t file_size) {
  const uint64_t segments_size = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  const uint64_t sections_size = uint64_t{header.e_shnum} * header.e_shentsize;
  if (header.e_phentsize != sizeof(Elf64_Phdr) ||
      !within(header.e_phoff, segments_size, file_size) ||
      !within(header.e_shoff, sections_size, file_size)) {
    return false;
  }
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  return read_at(stream, header.e_phoff, segments.data(), segments.size()) &&
         std::all_of(segments.begin(), segments.end(), [&](const Elf64_Phdr& segment) {
           return segment.p_type == PT_NULL ||
                  within(segment.p_offset, segment.p_filesz, file_size);
         });
}

}  // namespace

void check_is_library(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const uint64_t file_size = bytes_in_file(stream);
  const std::string head = head_of(stream, 512);
  if (head.size() < magic.size() || head.compare(0, magic.size(), magic) != 0) {
    refuse_other_kind(head);
  }
  const Elf64_Ehdr own = own_header();
  const auto byte = [&](size_t index) {
    return index < head.size() ? static_cast<unsigned char>(head[index]) : own.e_ident[index];
  };
  if (byte(EI_CLASS) != own.e_ident[EI_CLASS]) {
    refuse(byte(EI_CLASS) == ELFCLASS32 ? "a 32-bit library, for another machine"
                                        : "an ELF file of an unknown class",
           for_this_machine);
  }
  if (byte(EI_DATA) != own.e_ident[EI_DATA]) {
    refuse("a library of the other byte order, for another machine", for_this_machine);
  }
  Elf64_Ehdr header{};
  if (head.size() < sizeof(header)) {
    refuse(fmt::format("a library cut short to {} bytes", file_size), copy_it);
  }
  std::memcpy(&header, head.data(), sizeof(header));
  if (header.e_machine != own.e_machine) {
    refuse(fmt::format("a library for another machine (ELF machine {}, here {})", header.e_machine,
                       own.e_machine),
           for_this_machine);
  }
  if (header.e_type != ET_DYN) {
    refuse(type_name(header.e_type), header.e_type == ET_REL ? link_it : give_the_library);
  }
  if (!is_complete(stream, header, file_size)) {
    refuse(fmt::format("a library cut short to {} bytes", file_size), copy_it);
  }
}

std::vector<std::string> exported_symbols(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  // A record of the file by its offset; nothing beyond the end is looked at.
  const auto record = [&](uint64_t offset, auto& into) {
    const bool inside = offset <= content.size() && sizeof(into) <= content.size() - offset;
    if (inside) {
      std::memcpy(&into, content.data() + offset, sizeof(into));
    }
    return inside;
  };
  Elf64_Ehdr header{};
  if (!stream || !record(0, header)) {
    fail_input("{}: cannot be read", file.string());
  }
  std::vector<std::string> names;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr table{};
    Elf64_Shdr texts{};
    if (!record(header.e_shoff + i * header.e_shentsize, table) || table.sh_type != SHT_DYNSYM ||
        !record(header.e_shoff + uint64_t{table.sh_link} * header.e_shentsize, texts)) {
      continue;
    }
    for (uint64_t place = 0; place + sizeof(Elf64_Sym) <= table.sh_size;
         place += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!record(table.sh_offset + place, symbol)) {
        break;
      }
      const auto type = ELF64_ST_TYPE(symbol.st_info);
      const uint64_t name = texts.sh_offset + symbol.st_name;
      const bool code_or_data = type == STT_FUNC || type == STT_OBJECT;
      if (symbol.st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL &&
          code_or_data && name < content.size()) {
        names.emplace_back(content.c_str() + name);
      }
    }
  }
  return names;
}

std::vector<std::string> needed_libraries(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<std::string> names;
  Elf64_Ehdr header{};
  if (!stream || !read_at(stream, 0, &header, 1) || header.e_shentsize != sizeof(Elf64_Shdr)) {
    return names;
  }
  const uint64_t file_size = bytes_in_file(stream);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  if (!read_at(stream, header.e_shoff, sections.data(), sections.size())) {
    return names;
  }
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNAMIC || section.sh_link >= sections.size()) {
      continue;
    }
    const std::string entries = section_bytes(stream, section, file_size);
    const std::string texts = section_bytes(stream, sections[section.sh_link], file_size);
    for (size_t place = 0; place + sizeof(Elf64_Dyn) <= entries.size();
         place += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry{};
      std::memcpy(&entry, entries.data() + place, sizeof(entry));
      if (entry.d_tag == DT_NEEDED && entry.d_un.d_val < texts.size()) {
        names.emplace_back(texts.c_str() + entry.d_un.d_val);
      }
    }
  }
  return names;
}

}  // namespace bissl::host
