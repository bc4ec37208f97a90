#include "run_program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace roundhouse::server {

namespace {

unexpected cannot_run(const std::string& path, int cause) {
    return fail(errc::backend_error,
                path + " cannot be run: " + std::generic_category().message(cause));
}

/// Starts a program whose output goes to a descriptor. It has no signal blocked or ignored, whatever
/// this process has. Returns an errno.
int start(pid_t& started, const std::string& path, const std::vector<std::string>& arguments,
          int output) {
    std::vector<char*> words{const_cast<char*>(path.c_str())}; // which posix_spawn does not change
    for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    std::array<char*, 1> no_environment{nullptr};

    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&files);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    const int failed = ::posix_spawn(&started, path.c_str(), &files, &attributes, words.data(),
                                     no_environment.data());
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    return failed;
}

std::string read_to_the_end(int from) {
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const auto got = ::read(from, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
}

} // namespace

result<program_outcome> run_program(const std::string& path,
                                    const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return cannot_run(path, errno);
    pid_t started = 0;
    const int failed = start(started, path, arguments, ends[1]);
    ::close(ends[1]);
    program_outcome outcome;
    if (failed == 0) outcome.output = read_to_the_end(ends[0]);
    ::close(ends[0]);
    if (failed != 0) return cannot_run(path, failed);
    int status = 0;
    while (::waitpid(started, &status, 0) < 0)
        if (errno != EINTR) return cannot_run(path, errno);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
}

} // namespace roundhouse::server
