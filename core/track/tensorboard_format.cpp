#include "track/tensorboard_format.h"

#include "track/crc32c.h"

#include <bit>
#include <cmath>

namespace bissl::host {
namespace {

constexpr int wire_varint = 0;
constexpr int wire_64 = 1;
constexpr int wire_bytes = 2;
constexpr int wire_32 = 5;

// Fields of Event.
constexpr int event_time = 1;
constexpr int event_step = 2;
constexpr int event_version = 3;
constexpr int event_summary = 5;
constexpr int event_session_log = 7;

constexpr size_t header_bytes = 12;
constexpr size_t sum_bytes = 4;

template <class Number>
std::string little_endian(Number number) {
  std::string bytes(sizeof(Number), '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(number & 0xFFU);
    number = static_cast<Number>(number >> 8);
  }
  return bytes;
}

template <class Number>
Number from_little_endian(std::string_view bytes) {
  Number number = 0;
  for (size_t i = sizeof(Number); i-- > 0;) {
    number = static_cast<Number>((number << 8) | static_cast<unsigned char>(bytes[i]));
  }
  return number;
}

uint32_t masked_sum(std::string_view bytes) {
  const uint32_t sum = crc32c(bytes);
  return ((sum >> 15) | (sum << 17)) + 0xA282EAD8U;
}

ProtoMessage event_at(double time, int64_t step) {
  ProtoMessage event;
  event.add_double(event_time, time);
  event.add_integer(event_step, step);
  return event;
}

/// An event whose only value is of the plugin "hparams": HParamsPluginData with one member.
std::string hparams_event(double time, const char* tag, int member, const std::string& content) {
  ProtoMessage data;
  data.add_present(member, content);
  ProtoMessage plugin;
  plugin.add_bytes(1, "hparams");
  plugin.add_bytes(2, data.bytes());
  ProtoMessage metadata;
  metadata.add_present(1, plugin.bytes());
  ProtoMessage value;
  value.add_bytes(1, tag);
  value.add_present(9, metadata.bytes());
  ProtoMessage summary;
  summary.add_present(1, value.bytes());
  ProtoMessage event = event_at(time, 0);
  event.add_present(event_summary, summary.bytes());
  return event.bytes();
}

/// google.protobuf.Value
std::string struct_value(const HyperParameters::mapped_type& given) {
  ProtoMessage value;
  if (const auto* number = std::get_if<double>(&given)) {
    value.add_present_double(2, *number);
  } else if (const auto* flag = std::get_if<bool>(&given)) {
    value.add_present_bool(4, *flag);
  } else {
    value.add_present(3, std::get<std::string>(given));
  }
  return value.bytes();
}

/// Whether an Event of ours has a summary: what follows its time and its step.
bool has_summary(std::string_view event) {
  size_t at = 0;
  while (at < event.size()) {
    const auto key = static_cast<unsigned char>(event[at++]);
    if (key == (event_time << 3 | wire_64)) {
      at += sizeof(double);
    } else if (key == (event_step << 3 | wire_varint)) {
      while (at < event.size() && (static_cast<unsigned char>(event[at]) & 0x80U) != 0) {
        ++at;
      }
      ++at;
    } else {
      return key == (event_summary << 3 | wire_bytes);
    }
  }
  return false;
}

}  // namespace

void ProtoMessage::add_varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_ += static_cast<char>((value & 0x7FU) | 0x80U);
    value >>= 7;
  }
  bytes_ += static_cast<char>(value);
}

void ProtoMessage::add_key(int field, int wire) {
  add_varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}

void ProtoMessage::add_integer(int field, int64_t value) {
  if (value != 0) {
    add_key(field, wire_varint);
    add_varint(static_cast<uint64_t>(value));
  }
}

void ProtoMessage::add_double(int field, double value) {
  if (std::bit_cast<uint64_t>(value) != 0) {
    add_present_double(field, value);
  }
}

void ProtoMessage::add_float(int field, float value) {
  if (std::bit_cast<uint32_t>(value) != 0) {
    add_present_float(field, value);
  }
}

void ProtoMessage::add_present_float(int field, float value) {
  add_key(field, wire_32);
  bytes_ += little_endian(std::bit_cast<uint32_t>(value));
}

void ProtoMessage::add_bytes(int field, std::string_view value) {
  if (!value.empty()) {
    add_present(field, value);
  }
}

void ProtoMessage::add_present(int field, std::string_view value) {
  add_key(field, wire_bytes);
  add_varint(value.size());
  bytes_ += value;
}

void ProtoMessage::add_present_double(int field, double value) {
  add_key(field, wire_64);
  bytes_ += little_endian(std::bit_cast<uint64_t>(value));
}

void ProtoMessage::add_present_bool(int field, bool value) {
  add_key(field, wire_varint);
  add_varint(value ? 1 : 0);
}

void ProtoMessage::add_doubles(int field, const std::vector<double>& values) {
  std::string packed;
  for (const double value : values) {
    packed += little_endian(std::bit_cast<uint64_t>(value));
  }
  add_bytes(field, packed);
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian(static_cast<uint64_t>(data.size()));
  std::string record = length + little_endian(masked_sum(length));
  record += data;
  return record + little_endian(masked_sum(data));
}

std::string version_event(double time) {
  ProtoMessage event = event_at(time, 0);
  event.add_bytes(event_version, "brain.Event:2");
  return event.bytes();
}

std::string start_event(double time, int64_t step) {
  ProtoMessage log;
  log.add_integer(1, 1);  // SessionLog.status = START
  ProtoMessage event = event_at(time, step);
  event.add_present(event_session_log, log.bytes());
  return event.bytes();
}

std::string scalars_event(double time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& values,
                          const std::vector<EventHistogram>& histograms) {
  ProtoMessage summary;
  for (const auto& [tag, number] : values) {
    ProtoMessage value;
    value.add_bytes(1, tag);
    value.add_present_float(2, static_cast<float>(number));
    summary.add_present(1, value.bytes());
  }
  for (const EventHistogram& one : histograms) {
    ProtoMessage histogram;
    histogram.add_double(1, one.min);
    histogram.add_double(2, one.max);
    histogram.add_double(3, one.num);
    histogram.add_double(4, one.sum);
    histogram.add_double(5, one.squares);
    histogram.add_doubles(6, one.limits);
    histogram.add_doubles(7, one.counts);
    ProtoMessage value;
    value.add_bytes(1, one.tag);
    value.add_present(5, histogram.bytes());
    summary.add_present(1, value.bytes());
  }
  ProtoMessage event = event_at(time, step);
  event.add_present(event_summary, summary.bytes());
  return event.bytes();
}

std::string images_event(double time, int64_t step, const std::vector<TaggedImage>& images) {
  ProtoMessage summary;
  for (const TaggedImage& one : images) {
    ProtoMessage image;
    image.add_integer(1, one.height);
    image.add_integer(2, one.width);
    image.add_integer(3, 3);  // red, green and blue
    image.add_bytes(4, one.png);
    ProtoMessage value;
    value.add_bytes(1, one.tag);
    value.add_present(4, image.bytes());
    summary.add_present(1, value.bytes());
  }
  ProtoMessage event = event_at(time, step);
  event.add_present(event_summary, summary.bytes());
  return event.bytes();
}

std::string session_start_event(double time, const HyperParameters& parameters,
                                const std::string& group) {
  ProtoMessage start;
  for (const auto& [name, value] : parameters) {
    ProtoMessage entry;
    entry.add_bytes(1, name);
    entry.add_present(2, struct_value(value));
    start.add_present(1, entry.bytes());
  }
  start.add_bytes(4, group);
  start.add_double(5, time);
  return hparams_event(time, "_hparams_/session_start_info", 3, start.bytes());
}

std::string session_end_event(double time) {
  ProtoMessage end;
  end.add_integer(1, 1);  // STATUS_SUCCESS
  end.add_double(2, time);
  return hparams_event(time, "_hparams_/session_end_info", 4, end.bytes());
}

RecordScan scan_records(std::string_view file) {
  RecordScan scan;
  while (file.size() - scan.end >= header_bytes + sum_bytes) {
    const std::string_view rest = file.substr(scan.end);
    const auto length = from_little_endian<uint64_t>(rest);
    if (from_little_endian<uint32_t>(rest.substr(8)) != masked_sum(rest.substr(0, 8)) ||
        length > rest.size() - header_bytes - sum_bytes) {
      break;
    }
    const std::string_view data = rest.substr(header_bytes, length);
    if (from_little_endian<uint32_t>(rest.substr(header_bytes + length)) != masked_sum(data)) {
      break;
    }
    scan.records.push_back({scan.end, has_summary(data)});
    scan.end += header_bytes + length + sum_bytes;
  }
  return scan;
}

}  // namespace bissl::host
