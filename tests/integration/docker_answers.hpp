#pragma once

#include "../io_threads.hpp"
#include "recorded_daemon.hpp"

#include <roundhouse/backend/docker.hpp>
#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/log_text.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse_tests {

namespace rh = roundhouse;

[[nodiscard]] inline bool holds(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// The message of a failure of the backend. For any other outcome, a text that no test expects.
template <class T> std::string failure_of(const rh::result<T>& outcome) {
    if (outcome) return "(no failure)";
    const auto code = outcome.error().code;
    if (code != rh::errc::backend_error && code != rh::errc::backend_away)
        return "(not a backend_error)";
    return outcome.error().message;
}

/// A backend whose daemon is a `recorded_daemon`.
class docker_answers {
public:
    docker_answers() {
        options.host = daemon.host();
        options.installation_id = "here";
        options.call_timeout = patience;
        options.pull_timeout = patience;
        options.reconnect_min = rh::duration{1};
        options.reconnect_max = rh::duration{20};
        options.log = [this](const rh::log_line& line) {
            const std::lock_guard lock(mutex_);
            log_.emplace_back(line.level, rh::to_text(line));
        };
    }

    recorded_daemon daemon;
    rh::docker_options options; ///< Used by the construction of the backend.

    /// The backend, which is made by the first call.
    rh::docker_backend& backend() {
        if (!backend_) {
            backend_ = std::make_unique<rh::docker_backend>(io_.executor(), options);
            backend_->on_exit([this](const rh::workload_exit& exit) {
                const std::lock_guard lock(mutex_);
                exits_.push_back(exit);
            });
            backend_->on_pause([this](const rh::workload_pause& pause) {
                const std::lock_guard lock(mutex_);
                pauses_.push_back(pause);
            });
        }
        return *backend_;
    }
    /// The backend, once it follows the daemon's events.
    rh::docker_backend& listening() {
        backend();
        if (!eventually([&] { return daemon.stream_is_open() && !backend().trouble(); }))
            throw std::runtime_error{"the backend does not follow the events"};
        return backend();
    }
    void destroy_backend() { backend_.reset(); }
    io_threads& io() { return io_; }

    // These return when the operation has ended.

    auto create(const rh::workload& requested) {
        auto prepared = io_.wait(backend().prepare(requested));
        return prepared ? io_.wait(backend().create(requested)) : prepared;
    }
    auto stop(const rh::workload_ref& ref) { return io_.wait(backend().stop(ref, no_grace)); }
    auto pause(const rh::workload_ref& ref) { return io_.wait(backend().pause(ref)); }
    auto resume(const rh::workload_ref& ref) { return io_.wait(backend().resume(ref)); }
    auto destroy(const rh::workload_ref& ref) { return io_.wait(backend().destroy(ref)); }
    auto copy_data(const rh::workload_ref& ref,
                   std::optional<std::uint64_t> max_bytes = std::nullopt) {
        return io_.wait(backend().copy_data(ref, max_bytes));
    }
    auto restore_data(const rh::workload_ref& ref) { return io_.wait(backend().restore_data(ref)); }
    auto drop_copy(const rh::workload_ref& ref) { return io_.wait(backend().drop_copy(ref)); }
    auto list() { return io_.wait(backend().list()); }
    auto logs(const rh::workload_ref& ref, std::size_t tail = 100) {
        return io_.wait(backend().logs(ref, tail));
    }

    [[nodiscard]] std::vector<rh::workload_exit> exits() const {
        const std::lock_guard lock(mutex_);
        return exits_;
    }
    [[nodiscard]] std::vector<rh::workload_pause> pauses() const {
        const std::lock_guard lock(mutex_);
        return pauses_;
    }
    [[nodiscard]] std::vector<std::string> log_lines() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> lines;
        for (const auto& [level, line] : log_) lines.push_back(line);
        return lines;
    }

    static rh::workload engine(unsigned number = 1, std::uint64_t generation = 1) {
        rh::workload w;
        auto digits = std::to_string(number);
        digits.insert(0, 8 - digits.size(), '0');
        w.ref.engine_id = *rh::parse_uuid(digits + "-0000-4000-8000-000000000000");
        w.ref.generation = generation;
        w.ref.port = static_cast<std::uint16_t>(9000 + number);
        w.owner.product_id = *rh::parse_uuid("99999999-0000-4000-8000-000000000000");
        w.owner.user_id = "ann";
        w.version = "tiny:1";
        return w;
    }
    static std::string name_of(const rh::workload& w) {
        return rh::detail::docker::container_of(w.ref.engine_id);
    }
    static std::string volume_of(const rh::workload& w) {
        return rh::detail::docker::volume_of(w.ref.engine_id);
    }
    static std::string labels_of(const rh::workload& w,
                                 const std::string& installation_id = "here") {
        return R"({"dev.roundhouse.instance":")" + installation_id +
               R"(","dev.roundhouse.product":")" + to_string(w.owner.product_id) +
               R"(","dev.roundhouse.user":")" + w.owner.user_id + R"(","dev.roundhouse.engine":")" +
               to_string(w.ref.engine_id) + R"(","dev.roundhouse.generation":")" +
               std::to_string(w.ref.generation) + R"(","dev.roundhouse.port":")" +
               std::to_string(w.ref.port) + R"("})";
    }
    /// Gives the daemon a container of an engine.
    void put(const rh::workload& w, const std::string& status,
             const std::string& installation_id = "here") {
        daemon.put_container(name_of(w),
                             {.id = {}, .labels = labels_of(w, installation_id), .status = status});
    }

private:
    static constexpr rh::duration no_grace{0};

    mutable std::mutex mutex_;
    std::vector<rh::workload_exit> exits_;
    std::vector<rh::workload_pause> pauses_;
    std::vector<std::pair<rh::log_level, std::string>> log_;
    io_threads io_;
    std::unique_ptr<rh::docker_backend> backend_;
};

} // namespace roundhouse_tests
