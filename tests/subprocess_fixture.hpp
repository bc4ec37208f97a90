#pragma once

#include "io_threads.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/boot_mark.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/port_locks.hpp>
#include <roundhouse/backend/subprocess/process.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse_tests {

namespace rh = roundhouse;

/// Why a test of who listens is skipped.
constexpr auto no_sock_diag = "this kernel does not tell who listens on a port";

[[nodiscard]] inline std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream{file};
    return {std::istreambuf_iterator<char>{stream}, {}};
}

[[nodiscard]] inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream{text};
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// An engine's log without the lines that mark its boots.
[[nodiscard]] inline std::string without_marks(const std::string& log) {
    std::string out;
    for (const auto& line : lines_of(log))
        if (!line.starts_with(rh::detail::subprocess::boot_mark_begin)) out += line + '\n';
    return out;
}

[[nodiscard]] inline bool holds(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Whether a process runs; a zombie does not.
[[nodiscard]] inline bool runs(pid_t pid) {
    const auto stat = rh::detail::subprocess::read_process_stat(pid);
    return stat && !stat->gone();
}

/// A port that is free at the time of the call: no connection on it is being closed, and no backend
/// holds it.
[[nodiscard]] inline std::uint16_t free_port() {
    constexpr bool share = false;
    for (;;) {
        asio::io_context context;
        asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}, share};
        const auto port = acceptor.local_endpoint().port();
        if (rh::detail::subprocess::lock_port(port)) return port;
    }
}

/// A random id, which no other test has.
[[nodiscard]] inline rh::uuid fresh_id() {
    std::ifstream stream{"/proc/sys/kernel/random/uuid"};
    std::string text;
    stream >> text;
    return rh::parse_uuid(text).value();
}

[[nodiscard]] inline rh::workload new_workload() {
    rh::workload w;
    w.ref = {.engine_id = fresh_id(), .generation = 1, .port = free_port()};
    w.owner.user_id = "ada";
    w.version = "v1";
    w.key_hash.fill(0xAB);
    return w;
}

[[nodiscard]] inline rh::workload next_generation(rh::workload w) {
    ++w.ref.generation;
    return w;
}

/// A subprocess backend on a temporary store. Its engines are destroyed at the end of the test.
class subprocess_fixture {
public:
    subprocess_fixture() {
        options.store_path = store.path();
        options.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}};
        run_shell("exec sleep 1000");
    }
    ~subprocess_fixture() {
        if (!backend_) open();
        for (const auto& ref : started_) static_cast<void>(io->wait(backend_->destroy(ref)));
        backend_.reset();
    }

    /// Lets engines run this script. Its working folder is the engine's.
    void run_shell(const std::string& script) { options.command = {"/bin/sh", "-c", script}; }

    /// The backend. It is made with the present options by the first call, and by the first after
    /// `close`.
    rh::subprocess_backend& backend() {
        if (!backend_) open();
        return *backend_;
    }
    void close() { backend_.reset(); }
    /// Makes a new backend on the same store, with the present options.
    void reopen() {
        close();
        open();
    }

    rh::result<void> create(const rh::workload& w) {
        started_.push_back(w.ref);
        return wait(backend().create(w));
    }
    rh::workload create_new() {
        const auto w = new_workload();
        if (const auto made = create(w); !made) throw std::runtime_error{made.error().message};
        return w;
    }
    /// Creates an engine and waits until its script has made the file `ready`.
    rh::workload create_ready() {
        auto w = create_new();
        if (!eventually([&] { return has(w, "ready"); }))
            throw std::runtime_error{"the engine's script hangs"};
        return w;
    }

    template <class T> T wait(asio::awaitable<T> work) { return io->wait(std::move(work)); }
    rh::result<void> stop(const rh::workload& w, rh::duration grace = std::chrono::seconds{30}) {
        return wait(backend().stop(w.ref, grace));
    }
    std::optional<rh::found_workload> listed(const rh::workload& w) {
        const auto all = wait(backend().list());
        if (!all) throw std::runtime_error{all.error().message};
        for (const auto& each : *all)
            if (each.ref.engine_id == w.ref.engine_id) return each;
        return std::nullopt;
    }

    [[nodiscard]] std::filesystem::path folder(const rh::workload& w) const {
        return store.path() / "engines" / to_string(w.ref.engine_id);
    }
    /// Where the backend keeps what the engine must not write.
    [[nodiscard]] std::filesystem::path workload_folder(const rh::workload& w) const {
        return store.path() / "workloads" / to_string(w.ref.engine_id);
    }
    [[nodiscard]] std::filesystem::path log_of(const rh::workload& w) const {
        return workload_folder(w) / "engine.log";
    }
    [[nodiscard]] std::string text(const rh::workload& w, const std::string& file) const {
        return text_of(folder(w) / file);
    }
    [[nodiscard]] bool has(const rh::workload& w, const std::string& file) const {
        return std::filesystem::exists(folder(w) / file);
    }
    /// The number in a file that a script wrote to its folder.
    [[nodiscard]] pid_t pid_in(const rh::workload& w, const std::string& file) const {
        return static_cast<pid_t>(std::stol(text(w, file)));
    }
    /// The process that leads the engine.
    [[nodiscard]] pid_t pid_of(const rh::workload& w) const {
        return rh::detail::subprocess::read_identity((workload_folder(w) / "identity").string())
            .value()
            .value()
            .pid;
    }

    [[nodiscard]] std::vector<rh::workload_exit> exits() const {
        const std::lock_guard lock{exits_mutex_};
        return exits_;
    }

    temporary_folder store;
    rh::subprocess_options options;
    /// Made at the first use, because a test may fork before.
    std::unique_ptr<io_threads> io;

private:
    void open() {
        if (!io) io = std::make_unique<io_threads>(3);
        backend_ = std::make_unique<rh::subprocess_backend>(io->executor(), options);
        backend_->on_exit([this](const rh::workload_exit& exit) {
            const std::lock_guard lock{exits_mutex_};
            exits_.push_back(exit);
        });
    }

    std::vector<rh::workload_ref> started_;
    mutable std::mutex exits_mutex_;
    std::vector<rh::workload_exit> exits_;
    std::unique_ptr<rh::subprocess_backend> backend_;
};

} // namespace roundhouse_tests
