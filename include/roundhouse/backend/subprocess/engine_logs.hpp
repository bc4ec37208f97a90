#pragma once

#include <roundhouse/backend/subprocess/file_watch.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/identity_checks.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/log_growth.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/refused_files.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/detail/wakeable_wait.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Somebody who reads an engine's output. Used on the strand of the logs only.
struct output_reader {
    const uuid engine;
    log_position position;
    const watch_ptr followed; ///< Null if only what has been written is read.
    std::uint64_t left = 0;   ///< If so, how many bytes that is.
    wakeable_wait more;       ///< Ends when there may be more to read.
};

/// The logs of the engines: keeps each within its bound, notes how it grows, and hands it out to
/// those who read on. Its coroutines run on a strand of its own, because they read and copy files.
class engine_logs : public std::enable_shared_from_this<engine_logs> {
public:
    using rotations = std::vector<std::pair<uuid, log_rotation>>;

    /// `workloads` is the folder that has a workload folder of each engine.
    engine_logs(const asio::any_io_executor& executor, std::string workloads,
                std::uint64_t limit_bytes, std::size_t tail_bytes, log_sink log = {})
        : strand_{asio::make_strand(executor)},
          workloads_{std::move(workloads)},
          limit_bytes_{limit_bytes},
          tail_bytes_{tail_bytes},
          refused_{std::move(log)} {}

    [[nodiscard]] const asio::any_io_executor& strand() const noexcept { return strand_; }

    /// Looks at the logs of engines: rotates those that are too large, and notes the sizes. Looks at
    /// the identity files beside them too.
    asio::awaitable<rotations> look(std::vector<uuid> engines) {
        const auto self = shared_from_this();
        rotations rotated;
        for (const auto& engine : engines) {
            watch_again(engine);
            identities_.look(engine, folder_of(engine) + '/' + identity_name);
            if (note_size(engine) <= limit_bytes_) continue;
            const auto rotation = bound_log(folder_of(engine), limit_bytes_);
            if (!rotation) continue;
            rotated.emplace_back(engine, *rotation);
            apply(engine, *rotation);
            // A rotation takes some milliseconds, and readers are waiting.
            co_await asio::post(strand_, asio::use_awaitable);
        }
        co_return rotated;
    }

    /// Opens the output of an engine; with `followed`, until that workload has ended.
    asio::awaitable<result<log_source_ptr>> open(uuid engine, log_query query, watch_ptr followed) {
        note_size(engine);
        auto begin = query.since ? growth_[engine].position_at(*query.since) : log_position{};
        if (query.tail) {
            auto skipped = read_tail(tail_reader{*query.tail, tail_bytes_}, folder_of(engine),
                                     begin);
            if (!skipped) co_return unexpected{std::move(skipped.error())};
        }
        begin.inode = log_inode(folder_of(engine));
        const auto written = bytes_from(folder_of(engine), begin);
        const std::shared_ptr<output_reader> reader(
            new output_reader{engine, begin, std::move(followed), written, wakeable_wait{strand_}});
        if (auto added = add(reader); !added) co_return unexpected{added.error()};
        co_return std::make_shared<output>(shared_from_this(), reader);
    }

    // From any thread:

    /// What is told of files that are not used.
    [[nodiscard]] refused_files& refused() noexcept { return refused_; }
    /// The workload of an engine has ended.
    void ended(const uuid& engine) {
        asio::post(strand_, [self = shared_from_this(), engine] { self->wake(engine); });
    }
    /// The log of an engine was rotated, while no process wrote to it.
    void rotated(const uuid& engine, const log_rotation& rotation) {
        asio::post(strand_, [self = shared_from_this(), engine, rotation] {
            self->apply(engine, rotation);
        });
    }
    /// The engine is gone.
    void forget(const uuid& engine) {
        asio::post(strand_, [self = shared_from_this(), engine] {
            self->growth_.erase(engine);
            self->identities_.forget(engine);
            self->refused_.forget(engine);
        });
    }
    /// Nothing more is read.
    void close() {
        asio::post(strand_, [self = shared_from_this()] {
            self->closed_ = true;
            for (const auto& [engine, log] : self->logs_read_) self->wake(engine);
            self->stop_watching();
        });
    }

private:
    static constexpr std::size_t piece_bytes = std::size_t{16} * 1024;

    /// An engine's output in pieces.
    class output final : public log_source {
    public:
        output(std::shared_ptr<engine_logs> logs, std::shared_ptr<output_reader> reader)
            : logs_{std::move(logs)}, reader_{std::move(reader)} {}
        ~output() override {
            asio::post(logs_->strand_, [logs = logs_, reader = std::move(reader_)]() mutable {
                const auto engine = reader->engine;
                reader.reset();
                logs->drop_gone_readers(engine);
            });
        }

        asio::awaitable<result<std::string>> next() override {
            auto reading = logs_->read_on(reader_);
            return run_on(logs_->strand_, std::move(reading));
        }

    private:
        const std::shared_ptr<engine_logs> logs_;
        std::shared_ptr<output_reader> reader_;
    };

    /// A log that is read.
    struct read_log {
        /// That of the file's watch, if anybody follows it and it exists.
        std::optional<int> number;
        std::vector<std::weak_ptr<output_reader>> readers;
    };

    asio::awaitable<result<std::string>> read_on(std::shared_ptr<output_reader> reader) {
        const auto self = shared_from_this();
        for (;;) {
            if (closed_) co_return fail(errc::shutting_down, "The server is shutting down.");
            // Before the read: what was written before the end is read then.
            const bool last = !reader->followed || reader->followed->ended.load();
            const auto most = reader->followed ? piece_bytes
                                               : std::min<std::uint64_t>(piece_bytes, reader->left);
            auto piece = read_piece(folder_of(reader->engine), reader->position, most);
            if (piece && !reader->followed) reader->left -= piece->size();
            if (!piece || !piece->empty() || last) co_return piece;
            auto waiting = reader->more.wait();
            co_await std::move(waiting);
        }
    }

    [[nodiscard]] std::string folder_of(const uuid& engine) const {
        return workloads_ + '/' + to_string(engine);
    }

    /// Notes the size of an engine's log, and returns it.
    std::uint64_t note_size(const uuid& engine) {
        struct stat status {};
        const auto path = folder_of(engine) + '/' + log_name;
        if (::lstat(path.c_str(), &status) != 0) return 0;
        refused_.found_log(engine, path, status.st_mode);
        const auto size = static_cast<std::uint64_t>(status.st_size);
        const auto modified = std::chrono::seconds{status.st_mtim.tv_sec} +
                              std::chrono::nanoseconds{status.st_mtim.tv_nsec};
        growth_[engine].note(size, instant{std::chrono::ceil<duration>(modified)});
        return size;
    }

    void apply(const uuid& engine, const log_rotation& rotation) {
        growth_[engine].rotated(rotation);
        for_each_reader(engine, [&](output_reader& reader) {
            reader.position = reader.position.after(rotation);
            reader.more.wake();
        });
    }

    template <class Act> void for_each_reader(const uuid& engine, const Act& act) {
        const auto log = logs_read_.find(engine);
        if (log == logs_read_.end()) return;
        for (const auto& weak : log->second.readers)
            if (const auto reader = weak.lock()) act(*reader);
    }

    result<void> add(const std::shared_ptr<output_reader>& reader) {
        auto& log = logs_read_[reader->engine];
        if (reader->followed)
            if (auto watched = watch(reader->engine, log); !watched) {
                drop_gone_readers(reader->engine);
                return unexpected{watched.error()};
            }
        log.readers.push_back(reader);
        return {};
    }

    /// Watches the file that is an engine's log now. Returns whether it was another before.
    result<bool> watch(const uuid& engine, read_log& log) {
        if (!watch_)
            watch_ = std::make_shared<file_watch>(strand_, [weak = weak_from_this()](int number) {
                if (const auto self = weak.lock()) self->changed(number);
            });
        const auto number = watch_->add(folder_of(engine) + '/' + log_name);
        if (!number) return unexpected{number.error()};
        if (log.number == *number) return false;
        unwatch(engine, log);
        log.number = *number;
        if (log.number) numbers_.emplace(*log.number, engine);
        return true;
    }

    void unwatch(const uuid& engine, read_log& log) {
        if (!log.number) return;
        const auto [first, last] = numbers_.equal_range(*log.number);
        numbers_.erase(
            std::find_if(first, last, [&](const auto& known) { return known.second == engine; }));
        // What can write to the store's folder can make one file the log of several engines.
        if (!numbers_.contains(*log.number)) watch_->remove(*log.number);
        log.number.reset();
    }

    /// A log may be replaced while it is followed, such as by a tool that rotates logs.
    void watch_again(const uuid& engine) {
        const auto log = logs_read_.find(engine);
        if (log == logs_read_.end()) return;
        bool followed = false;
        for_each_reader(engine,
                        [&](output_reader& reader) { followed = followed || reader.followed; });
        if (!followed) return;
        const auto replaced = watch(engine, log->second);
        if (!replaced || !*replaced) return; // a failure is tried again at the next look
        wake(engine);
    }

    /// The log with this number was written to; -1 stands for all.
    void changed(int number) {
        const auto [first, last] = number < 0 ? std::pair{numbers_.begin(), numbers_.end()}
                                              : numbers_.equal_range(number);
        std::for_each(first, last, [this](const auto& known) { wake(known.second); });
    }

    void wake(const uuid& engine) {
        for_each_reader(engine, [](output_reader& reader) { reader.more.wake(); });
    }

    void drop_gone_readers(const uuid& engine) {
        const auto log = logs_read_.find(engine);
        if (log == logs_read_.end()) return;
        std::erase_if(log->second.readers,
                      [](const std::weak_ptr<output_reader>& one) { return one.expired(); });
        if (!log->second.readers.empty()) return;
        unwatch(engine, log->second);
        logs_read_.erase(log);
        if (numbers_.empty()) stop_watching();
    }

    void stop_watching() {
        if (watch_) watch_->close();
        watch_.reset();
        numbers_.clear();
        for (auto& [engine, log] : logs_read_) log.number.reset();
    }

    const asio::any_io_executor strand_;
    const std::string workloads_;
    const std::uint64_t limit_bytes_;
    const std::size_t tail_bytes_;
    refused_files refused_;
    identity_checks identities_{refused_};

    std::unordered_map<uuid, log_growth> growth_;
    std::unordered_map<uuid, read_log> logs_read_;
    std::unordered_multimap<int, uuid> numbers_;
    std::shared_ptr<file_watch> watch_;
    bool closed_ = false;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
