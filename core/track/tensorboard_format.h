#pragma once

#include "telemetry/event_reader.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bissl::host {

// The format of TensorBoard's event files: records of TensorFlow's TFRecord form, each of which is
// a protocol buffer `Event`. Messages and their field numbers: tensorflow/core/util/event.proto,
// tensorflow/core/framework/summary.proto, tensorboard/plugins/hparams/plugin_data.proto. Fields
// with their default are left out, as proto3 has it.

/// A protocol buffer while it is written.
class ProtoMessage {
 public:
  void add_integer(int field, int64_t value);
  void add_double(int field, double value);
  void add_float(int field, float value);
  void add_bytes(int field, std::string_view value);
  /// The same, also when it is empty: a member of a oneof, an empty message.
  void add_present(int field, std::string_view value);
  /// A repeated field, packed.
  void add_doubles(int field, const std::vector<double>& values);
  void add_present_double(int field, double value);
  void add_present_float(int field, float value);
  void add_present_bool(int field, bool value);

  const std::string& bytes() const { return bytes_; }

 private:
  void add_key(int field, int wire);
  void add_varint(uint64_t value);

  std::string bytes_;
};

/// A record around `data`: its length (8 bytes), the masked CRC-32C of that (4), `data`, its masked
/// CRC-32C (4); all little endian.
std::string tf_record(std::string_view data);

/// `Event`s. `time` in seconds since 1970.
std::string version_event(double time);
/// Readers forget what they have of this step and later ones.
std::string start_event(double time, int64_t step);
/// Numbers by tag, which TensorBoard keeps as 32-bit floats, and histograms.
std::string scalars_event(double time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& values,
                          const std::vector<EventHistogram>& histograms = {});

/// A picture with its tag.
struct TaggedImage {
  std::string tag;
  int64_t height = 0;
  int64_t width = 0;
  std::string png;  ///< of red, green and blue
};
std::string images_event(double time, int64_t step, const std::vector<TaggedImage>& images);

/// What was chosen for a run, for TensorBoard's page "HParams".
using HyperParameters = std::map<std::string, std::variant<double, bool, std::string>>;
/// The beginning and the end of a run with these; `group` joins repetitions.
std::string session_start_event(double time, const HyperParameters& parameters,
                                const std::string& group);
std::string session_end_event(double time);

/// What a file of records holds.
struct RecordScan {
  uint64_t end = 0;  ///< behind the last whole record
  /// For each record where it begins and whether it holds a summary.
  struct Record {
    uint64_t begin = 0;
    bool has_summary = false;
  };
  std::vector<Record> records;
};
/// Reads up to the first record that is not whole or whose sums do not fit.
RecordScan scan_records(std::string_view file);

}  // namespace bissl::host
