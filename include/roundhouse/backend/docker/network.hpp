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

/// The network of the engines, which is created if it does not exist. Thread-safe.
///
/// One caller at a time creates it, and the callers that wait meanwhile share the outcome: two
/// networks that are created at the same time may get the same name (API, "Create a network",
/// CheckDuplicate), and no container can be started on a name that two networks have.
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
          turn_ended_(strand_, asio::steady_timer::time_point::max()) {}

    asio::awaitable<result<void>> ensure() {
        if (exists_.load()) co_return result<void>{};
        auto making = make(shared_from_this());
        auto elsewhere = run_on(strand_, std::move(making));
        co_return co_await std::move(elsewhere);
    }

    /// Creates the network again at the next `ensure`, because it has been removed.
    void forget() noexcept { exists_.store(false); }

private:
    /// The right to create the network. A holder that is cancelled leaves no outcome.
    class turn {
    public:
        explicit turn(engine_network& network) : network_(network) {
            network_.busy_ = true;
            network_.outcome_.reset();
        }
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        ~turn() {
            network_.busy_ = false;
            network_.turn_ended_.cancel();
        }

    private:
        engine_network& network_;
    };

    static asio::awaitable<result<void>> make(std::shared_ptr<engine_network> self) {
        while (self->busy_) {
            asio::error_code cancelled; // by the end of a turn
            co_await self->turn_ended_.async_wait(
                asio::redirect_error(asio::use_awaitable, cancelled));
            if (!self->busy_ && self->outcome_) co_return *self->outcome_;
        }
        if (self->exists_.load()) co_return result<void>{};
        const turn own_turn(*self);
        auto calling = self->daemon_->call("POST", "/networks/create", self->description());
        const auto answer = co_await std::move(calling);
        if (!answer) self->outcome_ = unexpected{answer.error()};
        else if (answer->status == 201) {
            self->outcome_ = result<void>{};
            self->warn_if_open();
        } else {
            auto taking = self->take_present(*answer);
            self->outcome_ = co_await std::move(taking);
        }
        self->exists_.store(self->outcome_->has_value());
        co_return *self->outcome_;
    }

    /// Logs a warning if the daemon lets engines talk to each other whatever the options say.
    void warn_if_open() const {
        if (traffic_ || !log_ || !daemon_->is_podman()) return;
        log_({log_level::warning,
              "Podman lets the engines on the network " + name_ +
                  " talk to each other: only their keys guard them; Docker can forbid it",
              {}});
    }

    /// Takes a network that existed before as it is, and logs a warning if it lets engines talk to
    /// each other against the options. Fails with the daemon's refusal if there is none.
    asio::awaitable<result<void>> take_present(const http_response& refusal) {
        auto calling = daemon_->call("GET", "/networks/" + name_);
        const auto answer = co_await std::move(calling);
        const bool present = answer && answer->status == 200;
        // Docker answers 409 if the name is in use, Podman 500.
        if (!present && refusal.status != 409)
            co_return daemon::refused("cannot make the network " + name_, refusal);
        if (!present || traffic_) co_return result<void>{};
        const auto read = read_json(answer->body);
        if (!read || text_at((*read)->root, std::string{"/Options/"} + traffic_option) == "false")
            co_return result<void>{};
        if (log_)
            log_({log_level::warning,
                  "the network " + name_ +
                      " was there already and lets engines talk to each other: remove it, so that "
                      "it is made anew, or name another",
                  {}});
        co_return result<void>{};
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
    std::atomic<bool> exists_ = false;
    const asio::any_io_executor strand_;
    // Used on the strand only.
    asio::steady_timer turn_ended_; ///< Cancelled at the end of a turn.
    bool busy_ = false;
    std::optional<result<void>> outcome_; ///< Of the last turn.
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
