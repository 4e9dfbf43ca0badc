// What the program arranges before its libraries are initialised, and how it ends under limits that
// they do not cope with. Nothing here may use them, nor C++ objects with constructors: begin() runs
// when only libc is ready.

#include <dlfcn.h>
#include <fcntl.h>
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

/// What stands aside for limit_spinning until the libraries are initialised; null if nothing does.
char* set_aside = nullptr;

bool begins(const char* text, const char* beginning) {
  return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool is_unread(const char* variable) {
  return std::any_of(std::begin(unread_variables), std::end(unread_variables),
                     [&](const char* name) { return begins(variable, name); });
}

/// Starts the program once more, with a further variable. Costs what loading the libraries does.
void start_again(char* variable, char** arguments, char** environment) {
  static char* extended[4096];
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (count + 2 >= std::size(extended)) {
      return;
    }
    extended[count] = environment[count];
  }
  extended[count] = variable;
  execve("/proc/self/exe", arguments, extended);
}

/// GNU OpenMP's threads wait by spinning, which starves the loader's threads and every neighbour on
/// a machine whose cores are all in use: they get a short spin, unless the user has chosen. libgomp
/// reads its settings when it is initialised, from the environment as the kernel has laid it out,
/// which has no room for another variable: one that nobody reads so early makes room.
void limit_spinning(char** arguments, char** environment) {
  static char spin[] = "GOMP_SPINCOUNT=20000";
  char** unread = nullptr;
  for (char** variable = environment; *variable != nullptr; ++variable) {
    if (begins(*variable, "GOMP_SPINCOUNT=") || begins(*variable, "OMP_WAIT_POLICY=")) {
      return;
    }
    if (is_unread(*variable)) {
      unread = variable;
    }
  }
  if (unread == nullptr || BISSL_SANITIZED) {  // begin() is then called after libgomp
    start_again(spin, arguments, environment);
  } else {
    set_aside = *unread;
    *unread = spin;
  }
}

/// After the libraries' constructors, since those of the program come last.
__attribute__((constructor)) void put_back() {
  if (set_aside != nullptr) {
    putenv(set_aside);
  }
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
  limit_spinning(arguments, environment);
  check_stack();
  // A write beyond the limit on file sizes (ulimit -f) then fails, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  prepare_cpu_limit();
  prepare_memory_limit();
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
