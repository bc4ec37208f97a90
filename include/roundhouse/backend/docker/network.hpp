#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error_code.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The network that engines are on, made if it is not there. Thread-safe.
///
/// One caller at a time makes it, and those who come meanwhile share the outcome: the daemon lets
/// two that are made at once have the same name (API, "Create a network", CheckDuplicate), and
/// starts nothing on a name that two have.
class engine_network : public std::enable_shared_from_this<engine_network> {
public:
    engine_network(const asio::any_io_executor& executor, std::shared_ptr<docker::daemon> daemon,
                   const docker_options& options)
        : daemon_(std::move(daemon)),
          name_(options.network),
          log_(options.log),
          traffic_(options.advertise == docker_advertise::network ||
                   options.hardening.traffic_between_engines),
          strand_(asio::make_strand(executor)),
          free_(strand_, asio::steady_timer::time_point::max()) {}

    asio::awaitable<result<void>> ensure() {
        if (there_.load()) co_return result<void>{};
        auto making = make(shared_from_this());
        auto elsewhere = run_on(strand_, std::move(making));
        co_return co_await std::move(elsewhere);
    }

    /// Somebody has removed it.
    void lost() noexcept { there_.store(false); }

private:
    /// Held by who makes it. It may be cancelled, and has no outcome then.
    class turn {
    public:
        explicit turn(engine_network& of) : of_(of) {
            of_.busy_ = true;
            of_.outcome_.reset();
        }
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        ~turn() {
            of_.busy_ = false;
            of_.free_.cancel();
        }

    private:
        engine_network& of_;
    };

    static asio::awaitable<result<void>> make(std::shared_ptr<engine_network> self) {
        while (self->busy_) {
            asio::error_code woken; // by the end of a turn
            co_await self->free_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
            if (!self->busy_ && self->outcome_) co_return *self->outcome_;
        }
        if (self->there_.load()) co_return result<void>{};
        const turn mine(*self);
        auto calling = self->daemon_->call("POST", "/networks/create", self->description());
        const auto answer = co_await std::move(calling);
        if (!answer) self->outcome_ = unexpected{answer.error()};
        else if (answer->status != 201 && answer->status != 409)
            self->outcome_ = daemon::refused("cannot make the network " + self->name_, *answer);
        else self->outcome_ = result<void>{};
        if (answer && answer->status == 409 && !self->traffic_) {
            auto looking = self->warn_of_traffic();
            co_await std::move(looking);
        }
        self->there_.store(self->outcome_->has_value());
        co_return *self->outcome_;
    }

    /// One that was there already is taken as it is.
    asio::awaitable<void> warn_of_traffic() {
        auto calling = daemon_->call("GET", "/networks/" + name_);
        const auto answer = co_await std::move(calling);
        if (!answer || answer->status != 200) co_return;
        const auto read = read_json(answer->body);
        if (!read || text_at((*read)->root, std::string{"/Options/"} + traffic_option) == "false")
            co_return;
        if (log_)
            log_(log_level::warning,
                 "the network " + name_ +
                     " was there already and lets engines talk to each other: remove it, so that "
                     "it is made anew, or name another");
    }

    [[nodiscard]] std::string description() const {
        std::string body;
        json::json_writer json(body);
        json.open('{').member("Name", name_).member("Driver", "bridge");
        json.member("CheckDuplicate", true).name("Options").open('{');
        json.foreign_name(traffic_option).value(traffic_ ? "true" : "false");
        json.close('}').close('}');
        return body;
    }

    static constexpr auto traffic_option = "com.docker.network.bridge.enable_icc";

    const std::shared_ptr<docker::daemon> daemon_;
    const std::string name_;
    const log_sink log_;
    const bool traffic_; ///< Whether containers on it may talk to each other.
    std::atomic<bool> there_ = false;
    const asio::any_io_executor strand_;
    // Touched on the strand.
    asio::steady_timer free_; ///< Cancelled at the end of a turn.
    bool busy_ = false;
    std::optional<result<void>> outcome_; ///< Of the last turn.
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
