#pragma once

#include "../subprocess_fixture.hpp"

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/process.hpp>

#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace roundhouse_tests {

namespace sub = rh::detail::subprocess;

/// The text of an identity file, as the process itself writes it.
[[nodiscard]] inline std::string identity_text(const sub::process_identity& identity) {
    return sub::identity_head(identity) + std::to_string(identity.pid) + "\nstart " +
           std::to_string(identity.start_time) + "\nend\n";
}

/// Writes the identity file of the engine that a folder is named after.
inline void write_identity(const std::filesystem::path& folder, sub::process_identity identity) {
    identity.engine_id = rh::parse_uuid(folder.filename().string()).value();
    std::filesystem::create_directories(folder);
    std::ofstream{folder / sub::identity_name} << identity_text(identity);
}

/// Names a process that runs as one of an engine.
[[nodiscard]] inline sub::process_identity identity_naming(pid_t pid) {
    return {.boot_id = sub::read_boot_id(),
            .generation = 3,
            .port = 9001,
            .pid = pid,
            .start_time = sub::read_process_stat(pid)->start_time};
}

/// A process that is no engine.
class stranger {
public:
    /// By default it leads a session and a group, as an engine does.
    explicit stranger(short flags = POSIX_SPAWN_SETSID) {
        posix_spawnattr_t attributes;
        ::posix_spawnattr_init(&attributes);
        ::posix_spawnattr_setflags(&attributes, flags);
        std::string program = "sleep";
        std::string time = "1000";
        char* const arguments[] = {program.data(), time.data(), nullptr};
        const int failed = ::posix_spawnp(&pid_, "sleep", nullptr, &attributes, arguments, environ);
        ::posix_spawnattr_destroy(&attributes);
        if (failed != 0) throw std::runtime_error{"no stranger"};
    }
    ~stranger() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    stranger(const stranger&) = delete;
    stranger& operator=(const stranger&) = delete;

    [[nodiscard]] sub::process_identity identity() const { return identity_naming(pid_); }
    /// Whether no signal has ended or stopped it.
    [[nodiscard]] bool unharmed() const {
        const auto stat = sub::read_process_stat(pid_);
        return stat && !stat->gone() && stat->state != 'T';
    }

private:
    pid_t pid_ = 0;
};

} // namespace roundhouse_tests
