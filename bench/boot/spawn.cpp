// Measures a provision through the orchestrator of an engine that is a process, beside the steps
// that it cannot do without: start the process, and ask for its health until it answers. Both use
// the same engine in the same environment, in turn; one at a time, and many at once.
//
//   bench_boot_spawn ENGINE [--rounds N] [--at-once N] [--rounds-at-once N]
//
// Prints two lines of JSON, and a third with provisions of one engine at a time in isolation beside
// such without.
#include "provisions.hpp"

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/environment.hpp>
#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/process.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace roundhouse_bench;

subprocess_options options_for(const std::string& engine, const std::filesystem::path& folder,
                               isolation_mode isolation = isolation_mode::automatic) {
    subprocess_options options;
    options.isolation = isolation;
    options.store_path = folder;
    options.command = {std::filesystem::absolute(engine).string()};
    if (const char* const path = std::getenv("PATH"))
        options.environment.emplace_back("PATH", path);
    return options;
}

void expect(int code, const char* step) {
    if (code != 0) throw std::system_error(code, std::system_category(), step);
}

/// Starts processes as the backend does: in their folder, with a log, in a session of their own.
class launcher {
public:
    explicit launcher(const std::string& folder) {
        const auto log = folder + "/engine.log";
        expect(::posix_spawn_file_actions_init(&actions_), "file actions");
        expect(::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0), "input");
        expect(::posix_spawn_file_actions_addopen(&actions_, 1, log.c_str(),
                                                  O_WRONLY | O_CREAT | O_APPEND, 0600),
               "output");
        expect(::posix_spawn_file_actions_adddup2(&actions_, 1, 2), "errors");
        expect(::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str()), "folder");
        expect(::posix_spawnattr_init(&attributes_), "attributes");
        expect(::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID), "session");
    }
    ~launcher() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }
    launcher(const launcher&) = delete;
    launcher& operator=(const launcher&) = delete;

    [[nodiscard]] pid_t spawn(const std::vector<std::string>& command,
                              const std::vector<std::string>& environment) const {
        namespace sub = roundhouse::detail::subprocess;
        pid_t pid = 0;
        expect(::posix_spawn(&pid, command.front().c_str(), &actions_, &attributes_,
                             sub::pointers_to(command).data(),
                             sub::pointers_to(environment).data()),
               command.front().c_str());
        return pid;
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

/// Asks `GET /health` once, over a connection of its own.
bool answers(std::uint16_t port) {
    const roundhouse::detail::subprocess::descriptor connection(
        ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = connection.get();
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return false; // it does not listen yet
    constexpr std::string_view question = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    if (::send(fd, question.data(), question.size(), MSG_NOSIGNAL) < 0) return false;
    std::array<char, 1024> answer{};
    const auto size = ::recv(fd, answer.data(), answer.size(), 0);
    return size > 0 && std::string_view(answer.data(), static_cast<std::size_t>(size))
                           .starts_with("HTTP/1.1 200");
}

/// The steps that are needed in any case.
class bare {
public:
    explicit bare(subprocess_options options) : options_(std::move(options)) {}
    ~bare() { end(SIGKILL); }
    bare(const bare&) = delete;
    bare& operator=(const bare&) = delete;

    /// Starts the engines at once; returns once all have answered healthy.
    void start(const std::vector<workload>& engines) {
        for (const auto& engine : engines) pids_.push_back(spawn(engine));
        auto waiting = engines;
        for (;;) {
            std::erase_if(waiting, [](const workload& engine) { return answers(engine.ref.port); });
            if (waiting.empty()) return;
            if (std::ranges::any_of(pids_, has_ended))
                throw std::runtime_error("an engine has ended instead of answering");
            // Short enough to notice the answer soon, and leaves the processor to the engine.
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    void remove(const std::vector<workload>& engines) {
        end(SIGTERM);
        for (const auto& engine : engines) std::filesystem::remove_all(folder_of(engine));
    }

private:
    [[nodiscard]] std::string folder_of(const workload& engine) const {
        return (options_.store_path / to_string(engine.ref.engine_id)).string();
    }

    [[nodiscard]] pid_t spawn(const workload& engine) const {
        const auto folder = folder_of(engine);
        std::filesystem::create_directory(folder);
        return launcher(folder).spawn(
            options_.command,
            roundhouse::detail::subprocess::engine_environment(options_, engine, folder));
    }

    /// Whether a process has ended; it is not reaped.
    static bool has_ended(pid_t pid) {
        siginfo_t end{};
        expect(::waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOHANG | WNOWAIT) == 0
                   ? 0
                   : errno,
               "waitid");
        return end.si_pid == pid;
    }

    void end(int signal) {
        for (const auto pid : pids_) ::kill(pid, signal);
        for (const auto pid : pids_) ::waitpid(pid, nullptr, 0);
        pids_.clear();
    }

    const subprocess_options options_;
    std::vector<pid_t> pids_;
};

/// A folder of a backend, and provisions with it.
struct provisions_in_folder {
    provisions_in_folder(const std::string& engine, isolation_mode isolation)
        : whole(
              [&](const asio::any_io_executor& executor, const lmdb_store&) {
                  // Engines in isolation run as users of their own.
                  std::filesystem::permissions(folder.path(), std::filesystem::perms{0755});
                  return std::make_shared<subprocess_backend>(
                      executor, options_for(engine, folder.path(), isolation));
              },
              "demo") {}

    double time_ms() {
        const auto took = time_of([&] { whole.start(1); }).count();
        whole.remove(1);
        return took;
    }

    temporary_folder folder;
    provisions<subprocess_backend> whole;
};

void measure_isolation(const std::string& engine, int rounds) {
    provisions_in_folder plain(engine, isolation_mode::none);
    provisions_in_folder isolated(engine, isolation_mode::automatic);
    plain.time_ms(); // warms the caches
    isolated.time_ms();
    std::vector<double> plain_ms;
    std::vector<double> isolated_ms;
    for (int round = 0; round < rounds; ++round) {
        plain_ms.push_back(plain.time_ms());
        isolated_ms.push_back(isolated.time_ms());
    }
    print_line(1, "plain_ms", plain_ms, "isolated_ms", isolated_ms);
}

void measure(const std::string& engine, const boot_sizes& sizes) {
    {
        const temporary_folder bare_folder;
        bare alone(options_for(engine, bare_folder.path()));
        provisions_in_folder provisioned(engine, isolation_mode::automatic);
        compare_all(alone, provisioned.whole, "demo", sizes);
    }
    measure_isolation(engine, sizes.rounds);
}

} // namespace

int main(int argc, char** argv) {
    boot_sizes sizes;
    std::string engine;
    for (int i = 1; i < argc; ++i)
        if (!take_option(sizes, argv, i, argc)) engine = argv[i];
    try {
        if (engine.empty()) throw std::invalid_argument("ENGINE is missing");
        measure(engine, sizes);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_boot_spawn: %s\n", problem.what());
        return 1;
    }
    return 0;
}
