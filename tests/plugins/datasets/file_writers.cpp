#include "file_writers.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

// Needs <cstdio> before it.
#include <jpeglib.h>

namespace bissl::host::test {
namespace {

std::string deflated(const std::string& content, int window_bits) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  std::string packed(deflateBound(&stream, content.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
    throw std::runtime_error("deflate");
  }
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

template <class T>
std::string little(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string padded(std::string bytes, size_t to) {
  bytes.resize((bytes.size() + to - 1) / to * to, '\0');
  return bytes;
}

std::string octal(uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string gzip_of(const std::string& content) { return deflated(content, 15 + 16); }
std::string zlib_of(const std::string& content) { return deflated(content, 15); }

std::string tar_header(const std::string& name, uint64_t size, char type,
                       const std::string& size_field) {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, size_field.empty() ? octal(size, 11) : size_field);
  put(136, "00000000000");
  put(148, "        ");
  header[156] = type;
  put(257, std::string("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (const char c : header) {
    sum += static_cast<unsigned char>(c);
  }
  put(148, octal(sum, 6) + std::string("\0 ", 2));
  return header;
}

std::string tar_member(const std::string& name, const std::string& content, char type) {
  return tar_header(name, content.size(), type) + padded(content, 512);
}

std::string tar_end() { return std::string(1024, '\0'); }

std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) {
    ++length;
  }
  return tar_member("PaxHeader", std::to_string(length) + rest, 'x');
}

std::string tar_of(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string archive;
  for (const auto& [name, content] : members) {
    archive += tar_member(name, content);
  }
  return archive + tar_end();
}

namespace pickled {

std::string integer(int64_t value) { return "J" + little(static_cast<int32_t>(value)); }
std::string bytes(const std::string& value) {
  return "T" + little(static_cast<uint32_t>(value.size())) + value;
}
std::string text(const std::string& value) {
  return "X" + little(static_cast<uint32_t>(value.size())) + value;
}

std::string list(const std::vector<std::string>& items) {
  std::string all = "](";
  for (const std::string& item : items) {
    all += item;
  }
  return all + "e";
}

std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string all = "}(";
  for (const auto& [key, value] : entries) {
    all += bytes(key) + value;
  }
  return all + "u";
}

std::string array(int64_t rows, int64_t columns, const std::string& content) {
  return "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK" + std::string(1, '\0') +
         "\x85U\x01"
         "b\x87R(K\x01" +
         integer(rows) + integer(columns) +
         "\x86"
         "cnumpy\ndtype\nU\x02u1K" +
         std::string(1, '\0') + "K\x01\x87R(K\x03U\x01|NNN" + integer(-1) + integer(-1) + "K" +
         std::string(1, '\0') + "tb\x89" + bytes(content) + "tb";
}

std::string file(const std::string& value) { return "\x80\x02" + value + "."; }

}  // namespace pickled

namespace mat {
namespace {

std::string element(uint32_t type, const std::string& data) {
  return little(type) + little(static_cast<uint32_t>(data.size())) + padded(data, 8);
}

std::string matrix(uint32_t kind, const std::string& name, const std::vector<int32_t>& dimensions,
                   const std::string& rest) {
  std::string sizes;
  for (const int32_t dimension : dimensions) {
    sizes += little(dimension);
  }
  return element(14, element(6, little(kind) + little(uint32_t{0})) + element(5, sizes) +
                         element(1, name) + rest);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) {
    all += part;
  }
  return all;
}

}  // namespace

std::string bytes(const std::string& name, const std::vector<int32_t>& dimensions,
                  const std::string& content) {
  return matrix(9, name, dimensions, element(2, content));
}

std::string doubles(const std::string& name, const std::vector<int32_t>& dimensions,
                    const std::vector<double>& numbers) {
  std::string content;
  for (const double number : numbers) {
    content += little(number);
  }
  return matrix(6, name, dimensions, element(9, content));
}

std::string text(const std::string& name, const std::string& characters) {
  std::string content;
  for (const char c : characters) {
    content += little(static_cast<uint16_t>(static_cast<unsigned char>(c)));
  }
  return matrix(4, name, {1, static_cast<int32_t>(characters.size())}, element(4, content));
}

std::string cell(const std::string& name, const std::vector<int32_t>& dimensions,
                 const std::vector<std::string>& parts) {
  return matrix(1, name, dimensions, joined(parts));
}

std::string structure(const std::string& name, const std::vector<int32_t>& dimensions,
                      const std::vector<std::string>& fields,
                      const std::vector<std::string>& parts) {
  constexpr size_t length = 32;
  std::string names;
  for (const std::string& field : fields) {
    names += field + std::string(length - field.size(), '\0');
  }
  // The length stands in a small element, as MATLAB writes it.
  return matrix(2, name, dimensions,
                little(uint32_t{4 << 16 | 5}) + little(static_cast<uint32_t>(length)) +
                    element(1, names) + joined(parts));
}

std::string compressed(const std::string& variable) {
  const std::string packed = zlib_of(variable);
  return little(uint32_t{15}) + little(static_cast<uint32_t>(packed.size())) + packed;
}

std::string file(const std::vector<std::string>& variables) {
  std::string header = "MATLAB 5.0 MAT-file";
  header.resize(124, ' ');
  return header + std::string("\0\x01IM", 4) + joined(variables);
}

}  // namespace mat

std::string png_of(int width, int height, int depth, PngKind kind,
                   const std::vector<uint8_t>& values) {
  const auto big = [](uint32_t value) {
    std::string bytes(4, '\0');
    for (size_t i = 0; i < 4; ++i) {
      bytes[i] = static_cast<char>(value >> (24 - 8 * i));
    }
    return bytes;
  };
  const auto chunk = [&](const std::string& type, const std::string& content) {
    const std::string checked = type + content;
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
    return big(static_cast<uint32_t>(content.size())) + checked + big(static_cast<uint32_t>(sum));
  };
  std::string header = big(static_cast<uint32_t>(width)) + big(static_cast<uint32_t>(height));
  const bool palette = kind == PngKind::palette;
  const int samples = kind == PngKind::colour ? 3 : 1;
  header += {static_cast<char>(depth), static_cast<char>(palette ? 3 : samples - 1), 0, 0, 0};
  std::string colours;
  for (int i = 0; i < 1 << depth; ++i) {
    colours += {static_cast<char>(255 - i), static_cast<char>(i * 7), static_cast<char>(i + 99)};
  }
  std::string rows;
  for (int y = 0; y < height; ++y) {
    std::string row(static_cast<size_t>((width * samples * depth + 7) / 8), '\0');
    for (int x = 0; x < width * samples; ++x) {
      const int bit = x * depth;
      const int value = values.at(static_cast<size_t>(y * width + x / samples))
                        << (8 - depth - bit % 8);
      row[static_cast<size_t>(bit / 8)] =
          static_cast<char>(row[static_cast<size_t>(bit / 8)] | value);
    }
    rows += '\0' + row;  // no filter
  }
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", header) + (palette ? chunk("PLTE", colours) : "") +
         chunk("IDAT", zlib_of(rows)) + chunk("IEND", "");
}

std::string jpeg_of(int width, int height, uint8_t value) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_start_compress(&info, TRUE);
  std::vector<JSAMPLE> row(static_cast<size_t>(width), value);
  JSAMPROW rows[] = {row.data()};
  for (int y = 0; y < height; ++y) {
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return bytes;
}

}  // namespace bissl::host::test
