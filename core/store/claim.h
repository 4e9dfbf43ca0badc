#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

/// How claims are held; every process of a store has to use the same lease.
struct ClaimPolicy {
  /// A claim of another machine counts as abandoned once it was not renewed for so long. It is
  /// renewed six times as often.
  std::chrono::milliseconds lease{60000};
  /// Tells this machine from others, and its boots from one another; empty: the kernel's boot id.
  std::string machine;
  /// Whether to use flock(2), which frees a claim the moment its process ends. Where the file
  /// system has none, claims rest on the lease alone.
  bool file_locks = true;
};

/// What somebody who waits remembers of a claim between two attempts: since when, by its own
/// clock, the claim has not been renewed. So the clocks of two machines are never compared.
struct ClaimWatch {
  std::string seen;
  std::chrono::steady_clock::time_point since;
};

/// The right to something that one process at a time may do, on one machine or on several that
/// share a file system. It is a file: whoever makes it (link(2) makes it with its content, or not
/// at all) has the claim, and removes it at the end. The holder keeps it locked and, from a thread
/// of its own, renews its modification time.
///
/// Somebody else takes over at once where the lock shows that a process of this machine is gone;
/// where the file is another machine's, after a lease without renewal.
class Claim {
 public:
  /// Takes the claim if nobody has it, or whoever had it is gone; none if somebody has it. Throws
  /// Error(run) if the file cannot be written. `watch` belongs to the file.
  static std::optional<Claim> try_take(const std::filesystem::path& file, ClaimWatch& watch,
                                       const ClaimPolicy& policy);

  Claim(Claim&&) noexcept;
  Claim& operator=(Claim&&) noexcept;
  ~Claim();  ///< gives it back

  /// Throws Error(run) if the claim was lost: this process did not run for longer than a lease, and
  /// another machine took over. Costs nothing while it is fresh.
  void confirm() const;

 private:
  struct Held;
  explicit Claim(std::unique_ptr<Held> held);
  std::unique_ptr<Held> held_;
};

/// Whether somebody has the claim, without taking it. A claim of another machine is taken for held
/// while its last renewal is less than two leases old by this machine's clock, and not more than
/// one lease ahead of it: a clock that is wrong, this machine's or the other's, must not keep a
/// claim for ever. What was taken for abandoned by mistake is safe: to take it over, try_take
/// watches it.
bool is_claimed(const std::filesystem::path& file, const ClaimPolicy& policy);

/// Who has it, for people: "process 12", with the machine's name if it is not this one.
std::string claim_owner(const std::filesystem::path& file, const ClaimPolicy& policy);

}  // namespace bissl::host
