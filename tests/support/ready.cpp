// Loaded into the program in front of its other libraries (LD_PRELOAD): the program starts and
// waits before its main, and each call that a test makes is a copy of the process that has started.
// Loading LibTorch's libraries costs more than most calls that tests make. The other side, and what
// the two send each other, is in ready_program.cpp.

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

constexpr const char* socket_variable = "BISSL_READY_SOCKET";
constexpr int trial_code = 42;
constexpr int no_call_code = 127;

Main main_of_program = nullptr;

/// Whether as much was read; the other side is gone otherwise.
bool read_all(int socket, void* into, size_t size) {
  char* place = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t count = ::read(socket, place, size);
    if (count <= 0 && !(count < 0 && errno == EINTR)) {
      return false;
    }
    if (count > 0) {
      place += count;
      size -= static_cast<size_t>(count);
    }
  }
  return true;
}

/// The texts of a call, each of which ends with a zero byte, as pointers into it.
std::vector<char*> words_of(std::string& call) {
  std::vector<char*> words;
  for (size_t begin = 0; begin < call.size(); begin += std::strlen(call.data() + begin) + 1) {
    words.push_back(call.data() + begin);
  }
  return words;
}

/// `file` for a standard stream; none means that the stream is closed.
void redirect(int stream, const char* file) {
  if (*file == '\0') {
    ::close(stream);
    return;
  }
  const int opened = ::open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (opened < 0 || ::dup2(opened, stream) < 0) {
    ::_exit(no_call_code);
  }
  if (opened != stream) {
    ::close(opened);
  }
}

/// Whether one of the variables has the name that `setting` (NAME=VALUE) begins with.
bool has_name_of(const std::vector<char*>& variables, const char* setting) {
  const char* const end = std::strchr(setting, '=');
  const size_t size = end == nullptr ? std::strlen(setting) : size_t(end - setting) + 1;
  for (const char* const variable : variables) {
    if (std::strncmp(variable, setting, size) == 0) {
      return true;
    }
  }
  return false;
}

bool begins(const char* text, const char* beginning) {
  return std::strncmp(text, beginning, std::strlen(beginning)) == 0;
}

/// Becomes the call: files of standard output and standard error, the folder, the number of
/// arguments, the arguments, and the environment.
[[noreturn]] void become(std::string& call) {
  if (call.empty()) {
    ::_exit(trial_code);
  }
  const std::vector<char*> words = words_of(call);
  constexpr size_t before_arguments = 4;
  const auto count = static_cast<size_t>(std::atoll(words[before_arguments - 1]));
  const auto arguments_end = words.begin() + static_cast<std::ptrdiff_t>(before_arguments + count);
  std::vector<char*> arguments(words.begin() + before_arguments, arguments_end);
  arguments.push_back(nullptr);
  std::vector<char*> variables(arguments_end, words.end());
  // What the program has set for its libraries, as it would have done in a process of its own.
  for (char** one = environ; *one != nullptr; ++one) {
    if (!has_name_of(variables, *one) && !begins(*one, "LD_PRELOAD=") &&
        !begins(*one, socket_variable)) {
      variables.push_back(*one);
    }
  }
  variables.push_back(nullptr);
  if (::chdir(words[2]) != 0) {
    ::_exit(no_call_code);
  }
  redirect(STDOUT_FILENO, words[0]);
  redirect(STDERR_FILENO, words[1]);
  environ = variables.data();
  const int code = main_of_program(static_cast<int>(count), arguments.data(), environ);
  std::fflush(nullptr);
  ::_exit(code);
}

/// A copy of this process as a child of its parent, the test, which so can wait for it and signal
/// to it as to any that it starts; its number, 0 in the copy. There is one thread here.
pid_t fork_sibling() {
  return static_cast<pid_t>(
      ::syscall(SYS_clone, static_cast<unsigned long>(CLONE_PARENT | SIGCHLD), 0UL, 0UL, 0UL, 0UL));
}

[[noreturn]] void serve(int socket) {
  std::uint64_t size = 0;
  while (read_all(socket, &size, sizeof(size))) {
    std::string call(size, '\0');
    if (!read_all(socket, call.data(), call.size())) {
      break;
    }
    const pid_t child = fork_sibling();
    if (child == 0) {
      ::close(socket);
      become(call);
    }
    const std::int64_t answer = child;
    if (::write(socket, &answer, sizeof(answer)) != static_cast<ssize_t>(sizeof(answer))) {
      break;
    }
  }
  ::_exit(0);
}

/// In the place of the program's main. With threads of libraries there is nothing to copy.
int serve_calls(int count, char** arguments, char** variables) {
  const char* const socket = std::getenv(socket_variable);
  if (socket == nullptr) {
    return main_of_program(count, arguments, variables);
  }
  const std::filesystem::directory_iterator threads("/proc/self/task");
  if (std::distance(threads, std::filesystem::directory_iterator()) != 1) {
    ::_exit(0);
  }
  serve(std::atoi(socket));
}

}  // namespace

/// What a program's first instructions call when all libraries are ready; the C library's follows.
extern "C" __attribute__((visibility("default"))) int __libc_start_main(
    Main entry, int count, char** arguments, void (*begin)(), void (*end)(), void (*unload)(),
    void* stack) {
  main_of_program = entry;
  const auto next = reinterpret_cast<StartMain>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  return next(serve_calls, count, arguments, begin, end, unload, stack);
}
