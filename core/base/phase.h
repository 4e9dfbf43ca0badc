#pragma once

namespace bissl::host {

/// Called with the phases of all threads, each on its own thread. Names are literals.
class PhaseListener {
 public:
  virtual ~PhaseListener() = default;
  virtual void begin(const char* name) = 0;
  virtual void end() noexcept = 0;
};

/// Sets the process's listener, null for none; returns the one before. A phase ends with the
/// listener that it began with, which must outlive it.
PhaseListener* listen_to_phases(PhaseListener* listener);

// What a training step consists of, in a profile.
inline constexpr const char* trial_phase = "choice of threads";
inline constexpr const char* step_phase = "step";
inline constexpr const char* loader_phase = "wait for a batch";
inline constexpr const char* forward_phase = "forward";
inline constexpr const char* backward_phase = "backward";
inline constexpr const char* upper_phase = "upper gradient";
inline constexpr const char* solve_phase = "solve";
inline constexpr const char* product_phase = "Hessian product";
inline constexpr const char* optimizer_phase = "optimizer";
inline constexpr const char* scoring_phase = "scoring";
inline constexpr const char* checkpoint_phase = "checkpoint";

/// Names what this thread does while it lives. Phases nest. Without a listener it costs a load.
class Phase {
 public:
  explicit Phase(const char* name);
  ~Phase() { end(); }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  /// Ends it before its destruction.
  void end();

 private:
  PhaseListener* listener_;
};

}  // namespace bissl::host
