#pragma once

#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/shell/open_log_streams.hpp>
#include <roundhouse/shell/redaction.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/text_stream.hpp>

#include <asio/awaitable.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Reads a backend's `log_source` for a caller outside of the orchestrator's coroutines: each piece
/// is a task. Hides secrets, so that a piece may end before one that is not complete yet.
class log_reader final : public text_stream {
public:
    /// `tasks` keeps the orchestrator's state alive.
    log_reader(std::shared_ptr<task_group> tasks, log_source_ptr source, redactor hidden,
               std::shared_ptr<const open_log_streams::place> place)
        : tasks_(std::move(tasks)),
          output_(std::make_shared<output>(std::move(source), std::move(hidden))),
          place_(std::move(place)) {}
    ~log_reader() override {
        if (reading_) reading_->cancel();
    }

    void next(completion<std::string> done) override {
        auto ended = [done = std::move(done)](const std::exception_ptr& failure,
                                              result<std::string> piece) {
            if (failure) done(unexpected(going_away()));
            else done(std::move(piece));
        };
        reading_ = tasks_->make_task();
        tasks_->spawn(reading_, read(output_), std::move(ended));
    }

private:
    struct output {
        output(log_source_ptr from, redactor by) : source(std::move(from)), hidden(std::move(by)) {}

        const log_source_ptr source;
        redactor hidden;
        bool ended = false;
    };

    static asio::awaitable<result<std::string>> read(std::shared_ptr<output> from) {
        while (!from->ended) {
            auto reading = from->source->next();
            const auto piece = co_await std::move(reading);
            if (!piece) co_return piece;
            from->ended = piece->empty();
            auto shown = from->ended ? from->hidden.rest() : from->hidden.take(*piece);
            if (!shown.empty()) co_return shown;
        }
        co_return std::string();
    }

    const std::shared_ptr<task_group> tasks_;
    const std::shared_ptr<output> output_;
    const std::shared_ptr<const open_log_streams::place> place_;
    std::shared_ptr<task> reading_; ///< The latest; cancelling one that has ended does nothing.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
