#pragma once

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/watched.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// Follows the daemon's events, and reports workloads that ended, or were paused or resumed,
/// without having been asked to. When the stream breaks it is opened again, and a list of the
/// containers shows what happened meanwhile. All public members may be called from any thread.
class event_stream : public std::enable_shared_from_this<event_stream> {
public:
    event_stream(const asio::any_io_executor& executor, std::shared_ptr<docker::daemon> daemon,
                 std::shared_ptr<watched_engines> watched, const docker_options& options)
        : strand_(asio::make_strand(executor)),
          daemon_(std::move(daemon)),
          watched_(std::move(watched)),
          options_(options) {}

    void start() {
        auto work = run(shared_from_this());
        asio::co_spawn(strand_, std::move(work),
                       asio::bind_cancellation_slot(
                           cancel_.slot(), [self = shared_from_this()](std::exception_ptr) {}));
    }

    /// No handler runs once this has returned.
    void close() {
        on_exit(nullptr);
        on_pause(nullptr);
        asio::post(strand_, [self = shared_from_this()] {
            self->closed_ = true;
            self->cancel_.emit(asio::cancellation_type::terminal);
        });
    }

    /// Handlers are called on the strand, with no lock held.
    void on_exit(std::function<void(const workload_exit&)> handler) {
        exit_handler_.set(std::move(handler));
    }
    void on_pause(std::function<void(const workload_pause&)> handler) {
        pause_handler_.set(std::move(handler));
    }

    /// Reports the expected workloads that have ended.
    asio::awaitable<result<void>> look_for_ends() {
        auto looking = catch_up();
        auto elsewhere = run_on(strand_, std::move(looking));
        co_return co_await std::move(elsewhere);
    }
    /// Reports the end of a workload that was found down, if it is expected.
    void look_at_end(const workload_ref& ref) {
        asio::post(strand_, [self = shared_from_this(), ref] { self->handle_end(ref); });
    }

    [[nodiscard]] std::optional<std::string> trouble() const {
        const std::lock_guard lock(trouble_mutex_);
        return trouble_;
    }

private:
    static asio::awaitable<void> run(std::shared_ptr<event_stream> self) {
        auto reconnect_after = self->options_.reconnect_min;
        while (!self->closed_) {
            auto following = self->follow_or_fail(reconnect_after);
            const auto failed = co_await std::move(following);
            self->set_away(failed.message);
            asio::steady_timer timer{self->strand_, reconnect_after};
            co_await timer.async_wait(asio::use_awaitable);
            reconnect_after = std::min(reconnect_after * 2, self->options_.reconnect_max);
        }
    }

    /// Like `follow`, but turns exceptions into errors, except the cancellation by `close`.
    asio::awaitable<error> follow_or_fail(duration& reconnect_after) {
        try {
            auto following = follow(reconnect_after);
            co_return co_await std::move(following);
        } catch (const std::system_error& ended) {
            if (ended.code() == asio::error::operation_aborted) throw;
            co_return error{errc::backend_error, ended.what()};
        } catch (const std::exception& problem) {
            co_return error{errc::backend_error, problem.what()};
        }
    }

    /// Opens the stream and handles its events. Returns the cause when it has broken. Resets the
    /// wait before the next attempt once the stream is open.
    asio::awaitable<error> follow(duration& reconnect_after) {
        daemon_->forget_version();
        // Podman sends `die` too, but its filter knows it as `died`.
        auto asking = daemon_->streaming(
            "GET", "/events?filters=" +
                       filters_for(options_.installation_id, {"die", "died", "pause", "unpause"}));
        const auto request = co_await std::move(asking);
        if (!request) co_return request.error();
        const http_limits limits{.deadline = no_deadline,
                                 .body_bytes = std::size_t{16} * 1024 * 1024,
                                 .watch_peer = true};
        http_exchange exchange{strand_, daemon_->peer(), limits, false};
        auto sending = exchange.send(*request);
        const auto sent = co_await std::move(sending);
        if (!sent) co_return sent.error();
        auto reading_head = exchange.read_head();
        const auto has_head = co_await std::move(reading_head);
        if (!has_head) co_return has_head.error();
        if (exchange.response().status != 200)
            co_return daemon::refusal("cannot follow its events", exchange.response());
        auto catching_up = catch_up();
        const auto caught_up = co_await std::move(catching_up);
        if (!caught_up) co_return caught_up.error();
        set_back();
        reconnect_after = options_.reconnect_min;
        for (bool open = true; open;) {
            auto taking = take_lines(exchange.response().body);
            co_await std::move(taking);
            auto reading = exchange.read_more();
            const auto more = co_await std::move(reading);
            if (!more) co_return more.error();
            open = *more;
        }
        co_return error{errc::backend_error, "the daemon ended its event stream"};
    }

    /// Reports what happened while the stream was not open.
    asio::awaitable<result<void>> catch_up() {
        const auto expected = watched_->all();
        const auto last_change = watched_->last_change();
        if (expected.empty()) co_return result<void>{};
        auto listing = daemon_->call("GET", "/containers/json?all=1&filters=" +
                                                filters_for(options_.installation_id));
        const auto answer = co_await std::move(listing);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 200) co_return daemon::refused("cannot list", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        struct found_container {
            std::uint64_t generation = 0;
            bool paused = false;
        };
        std::unordered_map<uuid, found_container> alive;
        simdjson::dom::array containers;
        if ((*read)->root.get(containers) == simdjson::SUCCESS)
            for (const auto entry : containers) {
                const auto made = read_marks(entry["Labels"]);
                const auto status = text_at(entry, "/State");
                const auto state = state_of(status);
                // A container that is about to be started has not ended.
                if (made && !made->copy && (state != workload_state::down || status == "created"))
                    alive[made->ref.engine_id] = {made->ref.generation,
                                                  state == workload_state::paused};
            }
        for (const auto& ref : expected) {
            const auto found = alive.find(ref.engine_id);
            if (found != alive.end() && found->second.generation == ref.generation) {
                report_pause(ref, found->second.paused, last_change);
                continue;
            }
            handle_end(ref);
        }
        co_return result<void>{};
    }

    /// Takes the complete lines out of the text, each a JSON object, and handles them.
    asio::awaitable<void> take_lines(std::string& text) {
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            const auto line = text.substr(0, end);
            text.erase(0, end + 1);
            const auto read = read_json(line);
            if (!read) continue; // the next list shows what it was about
            simdjson::dom::element attributes;
            if ((*read)->root.at_pointer("/Actor/Attributes").get(attributes)) continue;
            const auto made = marks_of(options_.installation_id, attributes);
            if (!made) continue;
            if (text_at((*read)->root, "/Action") == "die") {
                handle_end(made->ref, text_at((*read)->root, "/Actor/ID"),
                           number_in(text_at(attributes, "/exitCode")));
            } else {
                auto looking = check_whether_paused(made->ref);
                co_await std::move(looking);
            }
        }
    }

    static std::optional<int> number_in(std::string_view text) {
        int number = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (text.empty() || problem != std::errc{}) return std::nullopt;
        return number;
    }

    /// Looks at the container, because the event may be that of a pause by this backend, and older
    /// than the backend's last change.
    asio::awaitable<void> check_whether_paused(workload_ref ref) {
        const auto last_change = watched_->last_change();
        auto inspecting = inspect(ref);
        const auto found = co_await std::move(inspecting);
        const auto state = found ? state_of(found->status) : workload_state::down;
        if (state != workload_state::down)
            report_pause(ref, state == workload_state::paused, last_change);
    }

    void report_pause(const workload_ref& ref, bool paused, std::uint64_t last_change) {
        if (const auto owner = watched_->observed(ref, paused, last_change))
            pause_handler_({ref, *owner, paused});
    }

    /// The container of a workload; empty if there is none of that generation, or the inspection
    /// fails.
    asio::awaitable<std::optional<container>> inspect(workload_ref ref) {
        auto looking = inspect_container(*daemon_, ref.engine_id, options_.network,
                                         options_.look_timeout);
        auto found = co_await std::move(looking);
        const bool there = found && *found && (*found)->made &&
                           (*found)->made->ref.generation == ref.generation;
        co_return there ? std::move(*found) : std::nullopt;
    }

    /// The end of a workload that is to be reported.
    struct pending_exit {
        workload_exit exit;
        bool inspected = false;
    };

    /// Inspects the container, which alone shows whether it ran out of memory, and then reports the
    /// end. Inspections overlap, because many workloads may end at once; the reports keep the order
    /// of the ends.
    void handle_end(const workload_ref& ref, const std::string& container = {},
                    std::optional<int> exit_code = std::nullopt) {
        const auto expected = watched_->ended(ref, container);
        if (!expected) return;
        auto pending = std::make_shared<pending_exit>();
        pending->exit.ref = expected->ref;
        pending->exit.owner = expected->owner;
        pending->exit.exit_code = exit_code;
        exits_.push_back(pending);
        auto inspecting = complete(shared_from_this(), pending);
        asio::co_spawn(strand_, std::move(inspecting),
                       [self = shared_from_this(), pending](const std::exception_ptr&) {
                           pending->inspected = true;
                           self->report_exits();
                       });
    }

    static asio::awaitable<void> complete(std::shared_ptr<event_stream> self,
                                          std::shared_ptr<pending_exit> pending) {
        auto inspecting = self->inspect(pending->exit.ref);
        const auto found = co_await std::move(inspecting);
        if (!found) co_return;
        auto& exit = pending->exit;
        exit.out_of_memory = found->out_of_memory;
        if (!exit.exit_code) exit.exit_code = static_cast<int>(found->exit_code);
    }

    void report_exits() {
        while (!exits_.empty() && exits_.front()->inspected) {
            const auto reported = std::move(exits_.front());
            exits_.pop_front();
            exit_handler_(reported->exit);
        }
    }

    void set_away(const std::string& cause) {
        bool was_away = false;
        {
            const std::lock_guard lock(trouble_mutex_);
            was_away = std::exchange(away_, true);
            trouble_ = cause;
        }
        if (was_away || closed_ || !options_.log) return;
        const log_field reason("reason", cause);
        options_.log({log_level::warning, "Docker is away; it is tried until it is back",
                      std::span(&reason, 1)});
    }
    void set_back() {
        bool was_away = false;
        {
            const std::lock_guard lock(trouble_mutex_);
            was_away = std::exchange(away_, false);
            trouble_.reset();
        }
        if (was_away && options_.log) options_.log({log_level::info, "Docker is back", {}});
    }

    const asio::any_io_executor strand_; ///< Runs the private members.
    const std::shared_ptr<docker::daemon> daemon_;
    const std::shared_ptr<watched_engines> watched_;
    const docker_options options_;
    asio::cancellation_signal cancel_;
    bool closed_ = false;
    std::deque<std::shared_ptr<pending_exit>> exits_; ///< In the order of the ends.
    replaceable_handler<workload_exit> exit_handler_;
    replaceable_handler<workload_pause> pause_handler_;
    mutable std::mutex trouble_mutex_;
    std::optional<std::string> trouble_;
    bool away_ = false;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
