#pragma once

#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/detail/wakeable_wait.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What was written to the output of an engine that is only a record in memory. Thread-safe.
class memory_output : public std::enable_shared_from_this<memory_output> {
public:
    void write(std::string_view text) {
        {
            const std::lock_guard lock(mutex_);
            const auto now = std::chrono::system_clock::now();
            writes_.push_back({std::chrono::floor<duration>(now), dropped_ + text_.size()});
            text_.append(text);
            if (text_.size() > most_bytes) {
                const auto excess = text_.size() - most_bytes;
                text_.erase(0, excess);
                dropped_ += excess;
            }
            while (!writes_.empty() && writes_.front().begin < dropped_) writes_.pop_front();
        }
        wake_readers();
    }

    /// The workload that wrote has ended.
    void end_of_workload() {
        {
            const std::lock_guard lock(mutex_);
            ++workloads_ended_;
        }
        wake_readers();
    }

    [[nodiscard]] std::string last_lines(std::size_t count) const {
        const std::lock_guard lock(mutex_);
        return text_.substr(begin_of_last_lines(count));
    }

    /// Opens the output; with `runs`, a query that follows waits for the end of the workload.
    [[nodiscard]] log_source_ptr open(const log_query& query, bool runs) {
        const std::lock_guard lock(mutex_);
        auto begin = dropped_;
        if (query.since) {
            const auto first = std::ranges::find_if(
                writes_, [&](const timed_write& one) { return one.at >= *query.since; });
            begin = first == writes_.end() ? dropped_ + text_.size() : first->begin;
        }
        if (query.tail) begin = std::max(begin, dropped_ + begin_of_last_lines(*query.tail));
        reader from{.output = shared_from_this(), .position = begin};
        if (query.follow && runs) from.follows = workloads_ended_;
        else from.end = dropped_ + text_.size();
        return std::make_shared<source>(std::move(from));
    }

private:
    static constexpr std::size_t most_bytes = std::size_t{1024} * 1024;
    static constexpr std::size_t piece_bytes = std::size_t{16} * 1024;

    struct timed_write {
        instant at;
        std::uint64_t begin = 0; ///< Bytes that were written before.
    };

    struct reader {
        std::shared_ptr<memory_output> output;
        std::uint64_t position = 0;
        std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
        /// The workloads that had ended when it was opened; empty if nothing is followed.
        std::optional<std::uint64_t> follows = {};
    };

    class source final : public log_source {
    public:
        explicit source(reader from) : reader_(std::make_shared<reader>(std::move(from))) {}

        asio::awaitable<result<std::string>> next() override { return next_of(reader_); }

    private:
        static asio::awaitable<result<std::string>> next_of(std::shared_ptr<reader> from) {
            const asio::any_io_executor executor = co_await asio::this_coro::executor;
            const asio::any_io_executor strand = asio::make_strand(executor);
            auto reading = read_on(std::move(from), strand);
            auto elsewhere = run_on(strand, std::move(reading));
            co_return co_await std::move(elsewhere);
        }

        static asio::awaitable<result<std::string>> read_on(std::shared_ptr<reader> from,
                                                            asio::any_io_executor strand) {
            for (;;) {
                const auto waits = std::make_shared<wakeable_wait>(strand);
                if (auto piece = from->output->read(*from, waits)) co_return std::move(*piece);
                auto waiting = waits->wait();
                co_await std::move(waiting);
            }
        }

        const std::shared_ptr<reader> reader_;
    };

    /// Reads a piece, and moves the reader along. If there is nothing and more may come, returns
    /// nothing, and wakes `waits` when it has come.
    std::optional<std::string> read(reader& from, const std::shared_ptr<wakeable_wait>& waits) {
        const std::lock_guard lock(mutex_);
        from.position = std::max(from.position, dropped_);
        const auto left = from.end - std::min(from.end, from.position);
        auto piece = text_.substr(from.position - dropped_,
                                  std::min<std::uint64_t>(left, piece_bytes));
        from.position += piece.size();
        if (!piece.empty() || from.follows != workloads_ended_) return piece;
        std::erase_if(readers_, [](const auto& gone) { return gone.expired(); });
        readers_.push_back(waits);
        return std::nullopt;
    }

    void wake_readers() {
        std::vector<std::weak_ptr<wakeable_wait>> readers;
        {
            const std::lock_guard lock(mutex_);
            readers.swap(readers_);
        }
        for (const auto& weak : readers)
            if (const auto waits = weak.lock())
                asio::post(waits->strand(), [waits] { waits->wake(); });
    }

    /// The offset in the text.
    [[nodiscard]] std::size_t begin_of_last_lines(std::size_t count) const {
        if (count == 0) return text_.size();
        auto begin = text_.size();
        if (begin > 0 && text_.back() == '\n') --begin;
        for (; begin > 0; --begin)
            if (text_[begin - 1] == '\n' && --count == 0) break;
        return begin;
    }

    mutable std::mutex mutex_;
    std::string text_;
    std::uint64_t dropped_ = 0; ///< Bytes before `text_`.
    std::deque<timed_write> writes_;
    std::uint64_t workloads_ended_ = 0;
    std::vector<std::weak_ptr<wakeable_wait>> readers_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
