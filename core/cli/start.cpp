// What the program arranges before its libraries are initialised, and how it ends under limits that
// they do not cope with. Nothing here may use them, nor C++ objects with constructors: begin() runs
// when only libc is ready.

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// A sanitizer has to be ready before the first instrumented function, reserves terabytes of address
// space, and has an mmap and handlers of its own.
#define BISSL_START __attribute__((constructor))
#define BISSL_SANITIZED 1
#else
#define BISSL_START
#define BISSL_SANITIZED 0
#endif

namespace {

constexpr int failed = 1;  // exit_run_failed
constexpr rlim_t kibibyte = 1024;
constexpr rlim_t mebibyte = 1024 * kibibyte;

/// Threads get stacks of this limit's size, and LibTorch's need about a quarter of this.
constexpr rlim_t least_stack = mebibyte;
/// Less than that below a limit on memory, a library's next buffer does not fit.
constexpr rlim_t little_memory = 160 * mebibyte;
/// How often in a row a thread may be refused address space: none that copes asks as often.
constexpr int most_refusals = 1000;

void write_error(const char* text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, strlen(text));
}

rlim_t limit_of(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

/// Writes " The limit on NAME is N KiB." where one is set.
void write_limit(const char* name, decltype(RLIMIT_AS) resource) {
  if (const rlim_t limit = limit_of(resource); limit != RLIM_INFINITY) {
    char text[128];
    snprintf(text, sizeof(text), " The limit on %s is %llu KiB.", name,
             static_cast<unsigned long long>(limit / kibibyte));
    write_error(text);
  }
}

[[noreturn]] void end_without_memory(const char* what) {
  write_error("error: ");
  write_error(what);
  write_limit("address space (ulimit -v)", RLIMIT_AS);
  write_limit("data (ulimit -d)", RLIMIT_DATA);
  write_error(
      " Raise it, or use fewer threads (OMP_NUM_THREADS=1 and --threads 1), each of which needs "
      "some hundred MiB of it.\n");
  _exit(failed);
}

/// Variables of shells that no library reads while it is initialised.
constexpr const char* unread_variables[] = {"_=", "OLDPWD=", "SHLVL=", "LS_COLORS=", "MAIL="};

/// What the program sets for its libraries, at most.
constexpr size_t most_settings = 2;

/// What stands aside for settings until the libraries are initialised.
char* set_aside[most_settings] = {};

bool begins(const char* text, const char* beginning) {
  return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool is_unread(const char* variable) {
  return std::any_of(std::begin(unread_variables), std::end(unread_variables),
                     [&](const char* name) { return begins(variable, name); });
}

bool is_set(char** environment, const char* beginning) {
  while (*environment != nullptr && !begins(*environment, beginning)) {
    ++environment;
  }
  return *environment != nullptr;
}

/// The setting of OpenBLAS's kernels for this processor's vector instructions, or null where the
/// choice is left to it. OpenBLAS goes by model numbers, and takes kernels of 2004 (SSE3), up to
/// five times slower, on models that are younger than itself.
const char* openblas_kernels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return "OPENBLAS_CORETYPE=SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return __builtin_cpu_is("amd") ? "OPENBLAS_CORETYPE=Zen" : "OPENBLAS_CORETYPE=Haswell";
  }
#endif
  return nullptr;
}

/// Starts the program once more, with further variables. Costs what loading the libraries does.
void start_again(char* const* settings, size_t wanted, char** arguments, char** environment) {
  static char* extended[4096];
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (count + wanted + 1 >= std::size(extended)) {
      return;
    }
    extended[count] = environment[count];
  }
  std::copy_n(settings, wanted, extended + count);
  execve("/proc/self/exe", arguments, extended);
}

/// What the user has not chosen:
/// - GNU OpenMP's threads wait by spinning, which starves the loader's threads and every neighbour
///   on a machine whose cores are all in use: they get a short spin.
/// - OpenBLAS's kernels.
/// Libraries read these settings when they are initialised, from the environment as the kernel has
/// laid it out, which has no room for another variable: those that nobody reads so early make room.
void arrange_libraries(char** arguments, char** environment) {
  static char spin[] = "GOMP_SPINCOUNT=20000";
  char* settings[most_settings];
  size_t wanted = 0;
  if (!is_set(environment, "GOMP_SPINCOUNT=") && !is_set(environment, "OMP_WAIT_POLICY=")) {
    settings[wanted++] = spin;
  }
  const char* const kernels = openblas_kernels();
  if (kernels != nullptr && !is_set(environment, "OPENBLAS_CORETYPE=")) {
    settings[wanted++] = const_cast<char*>(kernels);
  }
  char** places[most_settings];
  size_t found = 0;
  for (char** variable = environment; *variable != nullptr && found < wanted; ++variable) {
    if (is_unread(*variable)) {
      places[found++] = variable;
    }
  }
  if (found < wanted || (BISSL_SANITIZED && wanted > 0)) {  // begin() is then called after libgomp
    start_again(settings, wanted, arguments, environment);
    return;
  }
  for (size_t i = 0; i < wanted; ++i) {
    set_aside[i] = *places[i];
    *places[i] = settings[i];
  }
}

/// After the libraries' constructors, since those of the program come last.
__attribute__((constructor)) void put_back() {
  for (char* const variable : set_aside) {
    if (variable != nullptr) {
      putenv(variable);
    }
  }
}

/// What libraries take for themselves while they are initialised: UCX, which Debian 13's LibTorch
/// brings by way of MPI, takes faults, to print its stack frames, and SIGHUP, to wait for a
/// debugger.
constexpr int taken_signals[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGSEGV,
                                 SIGBUS, SIGABRT, SIGFPE,  SIGILL};

/// Their actions before: nohup starts a program with SIGHUP ignored.
struct sigaction kept_actions[std::size(taken_signals)] = {};
bool actions_are_kept = false;

void keep_signals() {
  for (size_t i = 0; i < std::size(taken_signals); ++i) {
    sigaction(taken_signals[i], nullptr, &kept_actions[i]);
  }
  actions_are_kept = true;
}

/// After the libraries' constructors, as put_back().
__attribute__((constructor)) void give_back_signals() {
  for (size_t i = 0; actions_are_kept && i < std::size(taken_signals); ++i) {
    sigaction(taken_signals[i], &kept_actions[i], nullptr);
  }
}

/// Where whoever starts the program ignores SIGCHLD, as some supervisors do, the system forgets how
/// a child ended, and waitpid() gives nothing: a worker that is gone would pass for one that runs,
/// a command that failed for one that succeeded.
__attribute__((constructor)) void keep_ends_of_children() { std::signal(SIGCHLD, SIG_DFL); }

/// A training step takes and frees the same large tensors as the one before. By itself the C
/// library gives their memory back to the system each time, which then clears every page anew: a
/// tenth to a quarter of a step. Each stage gives back what the one before it has left
/// (reset_peak_memory).
__attribute__((constructor)) void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, int(1024 * mebibyte));
  mallopt(M_TRIM_THRESHOLD, int(2047 * mebibyte));
#endif
}

/// A thread whose stack is too small dies of a memory fault somewhere in LibTorch.
void check_stack() {
  if (const rlim_t stack = limit_of(RLIMIT_STACK); stack < least_stack) {
    write_error("error: the program needs more stack.");
    write_limit("the stack (ulimit -s)", RLIMIT_STACK);
    write_error(" Raise it to 1024 KiB or more; 8192 is usual.\n");
    _exit(failed);
  }
}

void end_at_cpu_limit(int) {
  write_error(
      "error: the limit on CPU time (ulimit -t) is reached. Raise it; threads count together.\n");
  _exit(failed);
}

/// The system kills a process at the hard limit, which the shell's ulimit sets together with the
/// soft one: SIGXCPU has to come some time before that, so that a checkpoint can be written.
void prepare_cpu_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_CPU, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return;
  }
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max > 1) {
    const rlim_t margin = std::clamp<rlim_t>(limit.rlim_max / 10, 1, 60);
    limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max - margin);
    setrlimit(RLIMIT_CPU, &limit);
  }
  // A run replaces this by what writes a checkpoint.
  std::signal(SIGXCPU, end_at_cpu_limit);
}

/// The first numbers of /proc/self/statm are the size in pages: in all, and the sixth that of
/// data.
bool is_near_memory_limit() {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[256] = {};
  const ssize_t count = read(file, text, sizeof(text) - 1);
  close(file);
  unsigned long long all = 0;
  unsigned long long data = 0;
  if (count <= 0 || sscanf(text, "%llu %*u %*u %*u %*u %llu", &all, &data) != 2) {
    return false;
  }
  const auto page = static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  // No limit is the greatest number, and far away.
  return limit_of(RLIMIT_AS) - std::min<rlim_t>(limit_of(RLIMIT_AS), all * page) < little_memory ||
         limit_of(RLIMIT_DATA) - std::min<rlim_t>(limit_of(RLIMIT_DATA), data * page) <
             little_memory;
}

/// Libraries that do not look at what an allocation gave die of a memory fault, or of an exception
/// where there can be none.
void end_at_fault(int signal) {
  std::signal(signal, SIG_DFL);
  if (is_near_memory_limit()) {
    end_without_memory("a library ended the program after it got no more memory.");
  }
  raise(signal);
}

void prepare_memory_limit() {
  if (!BISSL_SANITIZED &&
      (limit_of(RLIMIT_AS) != RLIM_INFINITY || limit_of(RLIMIT_DATA) != RLIM_INFINITY)) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) {
      std::signal(signal, end_at_fault);
    }
  }
}

BISSL_START void begin(int /*count*/, char** arguments, char** environment) {
  arrange_libraries(arguments, environment);
  check_stack();
  // A write beyond the limit on file sizes (ulimit -f) then fails, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  prepare_cpu_limit();
  prepare_memory_limit();
  if (!BISSL_SANITIZED) {  // else the libraries are ready already
    keep_signals();
  }
}

#if !BISSL_SANITIZED

/// What the loader calls before the initialisers of all libraries.
__attribute__((section(".preinit_array"), used)) void (*before_libraries)(int, char**,
                                                                          char**) = begin;

void* map(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  static thread_local int refusals = 0;
  const long result = syscall(SYS_mmap, address, size, protection, flags, file, offset);
  if (result != -1) {
    refusals = 0;
  } else if (errno == ENOMEM && ++refusals >= most_refusals) {
    end_without_memory("a library asks for address space without end, and there is none.");
  }
  return reinterpret_cast<void*>(result);
}

#endif

}  // namespace

#if !BISSL_SANITIZED

// OpenBLAS asks for its buffers until it gets them, when it is loaded and at any later product.
// These take the place of the C library's functions in all libraries.
extern "C" {

__attribute__((visibility("default"))) void* mmap(void* address, size_t size, int protection,
                                                  int flags, int file, off_t offset) noexcept {
  return map(address, size, protection, flags, file, offset);
}

__attribute__((visibility("default"))) void* mmap64(void* address, size_t size, int protection,
                                                    int flags, int file, off64_t offset) noexcept {
  return map(address, size, protection, flags, file, offset);
}
}

#endif
