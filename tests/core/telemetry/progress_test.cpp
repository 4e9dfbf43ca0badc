#include "telemetry/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <sstream>
#include <string>

namespace bissl::host::test {
namespace {

class ProgressTest : public testing::Test {
 protected:
  ProgressStyle style(bool terminal, bool colour = false) {
    return {terminal, colour, [this] { return width_; }, [this] { return now_; }};
  }
  /// What was written since the last call.
  std::string written() {
    const std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  double now_ = 1000.0;
  int width_ = 80;
};

TEST_F(ProgressTest, PlainLinesComeEveryTenSecondsAndAtTheEnd) {
  Progress progress(out_, style(false), {"pretrain", 100, 32});
  EXPECT_EQ(written(), "");
  for (int step = 1; step < 10; ++step) {
    now_ += 1.0;
    progress.update(step, {{"loss", 4.0}});
  }
  EXPECT_EQ(written(), "");
  now_ += 1.0;
  progress.update(10, {{"loss", 3.14159}, {"top1", 0.5}});
  EXPECT_EQ(written(), "pretrain  10/100  10%  32.0 images/s  1m30s left  loss 3.142  top1 0.5\n");
  now_ += 9.9;
  progress.update(20);
  EXPECT_EQ(written(), "");
  now_ += 0.1;
  progress.update(100);
  progress.finish("top1 71.2");
  EXPECT_TRUE(written().ends_with("\npretrain  done in 20s  160 images/s  top1 71.2\n"));
}

TEST_F(ProgressTest, TerminalLineIsRedrawnFiveTimesASecondAtMost) {
  Progress progress(out_, style(true), {"pretrain", 10, 1});
  EXPECT_EQ(written(), "\rpretrain  0/10  0%\x1b[K");
  now_ += 0.1;
  progress.update(1);
  EXPECT_EQ(written(), "");
  now_ += 0.15;
  progress.update(2, {{"loss", 1.0}});
  EXPECT_EQ(written(), "\rpretrain  2/10  20%  8.00 images/s  1s left  loss 1\x1b[K");
  int redraws = 0;
  for (int i = 0; i < 1000; ++i) {
    now_ += 0.001;
    progress.update(3);
    redraws += written().empty() ? 0 : 1;
  }
  EXPECT_GE(redraws, 4);
  EXPECT_LE(redraws, 5);
  now_ += 0.75;
  progress.update(10);
  written();
  progress.finish();
  EXPECT_EQ(written(), "\rpretrain  done in 2s  5.00 images/s\x1b[K\n");
}

TEST_F(ProgressTest, LineIsCutToTheWidthOfTheTerminal) {
  width_ = 20;
  Progress progress(out_, style(true), {"pretrain", 1000, 1});
  EXPECT_EQ(written(), "\rpretrain  0/1000  …\x1b[K");
  width_ = 80;
  now_ += 1.0;
  progress.update(1);
  EXPECT_EQ(written(), "\rpretrain  1/1000  0%  1.00 images/s  16m39s left\x1b[K");
}

TEST_F(ProgressTest, ColourIsForTheTerminalOnly) {
  Progress terminal(out_, style(true, true), {"pretrain", 10, 1});
  EXPECT_EQ(written(), "\r\x1b[1mpretrain\x1b[0m  0/10  0%\x1b[K");
  {
    Progress plain(out_, style(false, true), {"pretrain", 10, 1});
    plain.update(1);
    plain.finish();
    EXPECT_EQ(written().find('\x1b'), std::string::npos);
  }
}

TEST_F(ProgressTest, InterruptionShowsTheLastStateAndEndsTheLine) {
  {
    Progress progress(out_, style(true), {"pretrain", 10, 1});
    written();
    now_ += 0.1;
    progress.update(5);
    EXPECT_EQ(written(), "");
  }
  EXPECT_EQ(written(), "\rpretrain  5/10  50%  50.0 images/s  0s left\x1b[K\n");
  {
    Progress progress(out_, style(false), {"pretrain", 10, 1});
    now_ += 0.1;
    progress.update(5);
  }
  EXPECT_EQ(written(), "pretrain  5/10  50%  50.0 images/s  0s left\n");
  { Progress progress(out_, style(false), {"pretrain", 10, 1}); }
  EXPECT_EQ(written(), "");
}

TEST_F(ProgressTest, RateOfAResumedStageCountsOnlyItsOwnSteps) {
  Progress progress(out_, style(false), {"bissl", 100, 2, "images", 50});
  now_ += 10.0;
  progress.update(60);
  EXPECT_EQ(written(), "bissl  60/100  60%  2.00 images/s  40s left\n");
  now_ += 10.0;
  progress.finish();
  EXPECT_EQ(written(), "bissl  done in 20s  1.00 images/s\n");
}

TEST_F(ProgressTest, RateFollowsTheRecentPast) {
  Progress progress(out_, style(false), {"fit", 100000, 1, "steps"});
  now_ += 10.0;
  progress.update(100);
  written();
  now_ += 10.0;
  progress.update(1100);
  // (100/e + 1000) steps in (10/e + 10) seconds.
  const double expected = (100.0 / M_E + 1000.0) / (10.0 / M_E + 10.0);
  ASSERT_NEAR(expected, 75.8, 0.05);
  EXPECT_NE(written().find("  75.8 steps/s  "), std::string::npos);
  for (int i = 2; i < 12; ++i) {
    now_ += 10.0;
    progress.update(100 + 1000 * i);
  }
  EXPECT_TRUE(written().find("  100 steps/s  ") != std::string::npos);
}

TEST_F(ProgressTest, NothingToDoIsNoDivisionByZero) {
  Progress progress(out_, style(true), {"empty", 0, 0});
  progress.update(0, {{"loss", std::nan("")}});
  progress.finish();
  EXPECT_EQ(written(), "\rempty  0/0\x1b[K\rempty  done in 0s\x1b[K\n");
}

TEST_F(ProgressTest, StreamThatFailsIsIgnored) {
  out_.setstate(std::ios::badbit);
  Progress progress(out_, style(true), {"pretrain", 10, 1});
  now_ += 1.0;
  progress.update(5);
  progress.finish();
  EXPECT_EQ(written(), "");
}

TEST(ProgressStyleTest, PipeIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const ProgressStyle style = ProgressStyle::of(ends[1]);
  EXPECT_FALSE(style.terminal);
  EXPECT_FALSE(style.colour);
  EXPECT_EQ(style.width(), 80);
  close(ends[0]);
  close(ends[1]);
}

/// Sets a variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    const char* const previous = getenv(name);
    had_ = previous != nullptr;
    previous_ = had_ ? previous : "";
    setenv(name, value, 1);
  }
  ~Variable() {
    if (had_) {
      setenv(name_, previous_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  bool had_ = false;
  std::string previous_;
};

TEST(ProgressStyleTest, TerminalObeysNoColorAndDumb) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || isatty(terminal) != 1) {
    GTEST_SKIP() << "no pseudo-terminal to be had";
  }
  const Variable term("TERM", "xterm");
  const Variable no_colour("NO_COLOR", "");
  EXPECT_TRUE(ProgressStyle::of(terminal).terminal);
  EXPECT_TRUE(ProgressStyle::of(terminal).colour);
  winsize size{};
  size.ws_col = 33;
  size.ws_row = 10;
  ASSERT_EQ(ioctl(terminal, TIOCSWINSZ, &size), 0);
  EXPECT_EQ(ProgressStyle::of(terminal).width(), 33);
  {
    const Variable set("NO_COLOR", "1");
    EXPECT_TRUE(ProgressStyle::of(terminal).terminal);
    EXPECT_FALSE(ProgressStyle::of(terminal).colour);
  }
  const Variable dumb("TERM", "dumb");
  EXPECT_FALSE(ProgressStyle::of(terminal).terminal);
  EXPECT_FALSE(ProgressStyle::of(terminal).colour);
  close(terminal);
}

TEST(FormatDuration, ReadsWell) {
  EXPECT_EQ(format_duration(0.0), "0s");
  EXPECT_EQ(format_duration(59.4), "59s");
  EXPECT_EQ(format_duration(59.6), "1m00s");
  EXPECT_EQ(format_duration(185.0), "3m05s");
  EXPECT_EQ(format_duration(3720.0), "1h02m");
  EXPECT_EQ(format_duration(2 * 86400.0 + 3 * 3600.0), "2d03h");
  EXPECT_EQ(format_duration(-5.0), "0s");
  EXPECT_EQ(format_duration(1e300), "1000d00h");
}

}  // namespace
}  // namespace bissl::host::test
