#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// How progress is shown.
struct ProgressStyle {
  bool terminal = false;  ///< one line that is redrawn, instead of a plain line now and then
  bool colour = false;    ///< only looked at on a terminal
  /// Columns of the terminal, asked for at each redraw; empty for 80.
  std::function<int()> width;
  /// Seconds since any fixed moment, never going back; empty for the system's clock.
  std::function<double()> clock;

  /// The style for an open file descriptor: a terminal unless TERM is "dumb", colour unless
  /// NO_COLOR is set to something.
  static ProgressStyle of(int fd);
};

/// "42s", "3m05s", "1h02m", "2d03h".
std::string format_duration(double seconds);

/// Shows how far one stage is. On a terminal:
///
///     pretrain  320/1000  32%  1234 images/s  2m10s left  loss 3.123
///
/// on one line that is redrawn at most 5 times a second and cut to the terminal's width; elsewhere
/// the same as a line at most every 10 seconds. Errors of the stream are ignored. Not for several
/// threads at once.
class Progress {
 public:
  using Values = std::vector<std::pair<std::string, double>>;

  /// What is counted: `total` steps of `items` each ("images").
  struct Plan {
    std::string stage;
    int64_t total = 0;
    int64_t items_per_step = 1;
    std::string unit = "images";
    int64_t first_step = 0;  ///< done before, by the run that this one continues
  };

  /// `out` must outlive the object.
  Progress(std::ostream& out, ProgressStyle style, Plan plan);
  /// Without finish() (an error, an interruption), shows the last state and ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `step` steps are done in all; the values are those to be shown.
  void update(int64_t step, Values values = {});

  /// The last line, however long: "pretrain  done in 2m10s  1234 images/s  SUMMARY".
  void finish(const std::string& summary = "");

 private:
  void sample_rate(double now);
  std::string state_line() const;
  void show(const std::string& line, bool cut);
  void redraw(double now);

  std::ostream& out_;
  ProgressStyle style_;
  Plan plan_;
  int64_t step_;
  Values values_;
  double start_;  ///< times in seconds of style_.clock
  double last_drawn_;
  double last_sample_;
  int64_t sampled_step_;
  double recent_steps_ = 0.0;  ///< both sums fade with age: see sample_rate
  double recent_seconds_ = 0.0;
  bool line_open_ = false;   ///< the cursor is behind text on the terminal
  bool up_to_date_ = false;  ///< the last state has been shown
  bool finished_ = false;
};

}  // namespace bissl::host
