#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace bissl::host {

/// Keeps an event file of TensorBoard in step with an event log: one record for each event of the
/// log, with its numbers. The log is what counts; the file can be removed at any time and is made
/// again.
///
/// A file that is there is continued. A record that a kill cut off is removed first. Where the log
/// has become shorter, because a stage continues from its checkpoint, the records that it no longer
/// backs are left out: the others move into a file with a later name, which begins by telling
/// readers to forget these steps, so that a TensorBoard that is running shows none twice.
///
/// Times are those of the log's last change when it is read: a log that is followed has about the
/// times of its lines, one that is read afterwards the time of its end.
class TensorboardMirror {
 public:
  /// `folder` is made when there is something to write. `key` names the computation that the log is
  /// of: files of others in the folder, which this class wrote, are removed. Throws nothing.
  TensorboardMirror(std::filesystem::path log, std::filesystem::path folder, std::string key);

  /// Writes what the log has more by now; the number of events that the file has then. Throws
  /// Error(run) when it cannot be written.
  int64_t update();

  /// The event file; empty before the first update() that had something to write.
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path name_of(int64_t second, int64_t number) const;
  bool find_file();
  void look_into_file();
  void drop_records_beyond(int64_t events);
  void append(const std::string& records);

  std::filesystem::path log_;
  std::filesystem::path folder_;
  std::string key_;
  std::filesystem::path file_;
  bool known_ = false;     ///< what the file holds
  uint64_t size_ = 0;      ///< of the file, whole records
  int64_t written_ = 0;    ///< events in the file
  uint64_t position_ = 0;  ///< in the log
  int64_t read_ = 0;       ///< events before that
};

}  // namespace bissl::host
