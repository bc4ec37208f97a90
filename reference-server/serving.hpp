#pragma once

#include "disk_store.hpp"
#include "exit_codes.hpp"
#include "listener.hpp"
#include "open_files.hpp"
#include "serve.hpp"
#include "store_folder.hpp"

#include <roundhouse/clock/system.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/version.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

/// Serving, over any backend and store. Each backend has a source file of its own that includes
/// this, since it takes long to compile.
namespace roundhouse::server {

inline constexpr std::chrono::seconds calls_may_take{30}; ///< SPEC §9: calls in flight, at the end.
inline constexpr std::chrono::seconds commit_may_take{30};
inline constexpr std::chrono::seconds flush_may_take{5};
inline constexpr std::chrono::seconds first_recovery_retry{1};
inline constexpr std::chrono::seconds last_recovery_retry{5};

/// Begins a call and waits for its outcome, but not for ever: nothing if it did not come.
/// (asio::use_future would complete on the system executor, which starts threads of its own.)
template <class T, class Begin>
std::optional<result<T>> await(std::chrono::steady_clock::duration most, Begin begin) {
    auto promise = std::make_shared<std::promise<result<T>>>();
    auto outcome = promise->get_future();
    begin([promise](result<T> value) { promise->set_value(std::move(value)); });
    if (outcome.wait_for(most) != std::future_status::ready) return std::nullopt;
    return outcome.get();
}

inline std::size_t loop_count() { return std::max(1U, std::thread::hardware_concurrency()); }

/// Serves the api over HTTP, and logs calls where that is asked for.
template <class Api> request_handler handler_for(std::shared_ptr<Api> api, logger& log) {
    if (!log.shows(log_level::debug))
        return [api = std::move(api)](const http::request& request,
                                      std::function<void(http::reply)> later) {
            return api->handle(request, std::move(later));
        };
    return [api = std::move(api), &log](const http::request& request,
                                        std::function<void(http::reply)> later) {
        const auto tell = [&log, began = std::chrono::steady_clock::now(),
                           method = std::string(request.method),
                           target = std::string(request.target)](const http::reply& reply) {
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
                std::chrono::steady_clock::now() - began);
            log.write(log_level::debug, method + " " + target,
                      {{"request_id", reply.request_id},
                       {"status", std::to_string(reply.status)},
                       {"took_us", std::to_string(took.count())}});
        };
        auto now = api->handle(request, [tell, later = std::move(later)](http::reply reply) {
            tell(reply);
            later(std::move(reply));
        });
        if (now) tell(*now);
        return now;
    };
}

/// The reference server over one backend and one store.
template <class Backend, class Store> class serving {
public:
    using orchestrator_type = orchestrator<Backend, Store, system_clock>;

    serving(const surroundings& around, std::shared_ptr<Backend> backend,
            std::shared_ptr<Store> store)
        : around_(around),
          orchestrator_(std::make_shared<orchestrator_type>(
              around.workers.executor(), std::move(backend), std::move(store),
              std::make_shared<system_clock>(), orchestrator_options_for(around))) {}

    int run() {
        if (!register_bootstrap_product() || !listen()) return exit_code::bad_options;
        recover();
        std::chrono::steady_clock::duration wait = first_recovery_retry;
        std::optional<std::chrono::steady_clock::time_point> recover_at;
        for (;;) {
            const auto event = around_.events.next(recover_at);
            if (!event) {
                recover_at.reset();
                recover();
            } else if (const auto* const stop = std::get_if<stop_asked>(&*event)) {
                around_.log.write(log_level::info, "stopping",
                                  {{"signal", std::to_string(stop->signal)}});
                break;
            } else if (const auto& outcome = std::get<recovery_ended>(*event).outcome; outcome) {
                around_.log.write(log_level::info, "ready");
            } else {
                around_.log.write(log_level::error, "recovery failed and will be tried again: " +
                                                        outcome.error().message);
                recover_at = std::chrono::steady_clock::now() + wait;
                wait = std::min<std::chrono::steady_clock::duration>(wait * 2, last_recovery_retry);
            }
        }
        leave();
        return exit_code::good;
    }

private:
    static orchestrator_options orchestrator_options_for(const surroundings& around) {
        orchestrator_options out(*around.options.master_keys);
        out.settings = around.options.settings;
        for (const auto& [name, value] : around.options.engine.passed_through())
            out.hidden.push_back(value);
        out.log = [&log = around.log](log_level level, std::string_view line) {
            log.write(level, line);
        };
        return out;
    }

    bool register_bootstrap_product() {
        const auto& product = around_.options.bootstrap;
        if (!product) return true;
        const auto known = orchestrator_->find_product_named(product->slug);
        if (known && *known) {
            if (!orchestrator_->authenticate(product->platform_key))
                around_.log.write(log_level::warning,
                                  "ORCH_BOOTSTRAP_PLATFORM_KEY: product " + product->slug +
                                      " is there already, with another key that stays as it is");
            return true;
        }
        const auto made = await<registration>(commit_may_take, [&](auto done) {
            orchestrator_->async_register_product_with_key(product->slug, product->slug, policy{},
                                                           product->platform_key, std::move(done));
        });
        const bool done = made && *made;
        if (!done)
            around_.log.write(log_level::error,
                              "ORCH_BOOTSTRAP_PRODUCT: " + product->slug +
                                  " could not be registered: " +
                                  (made ? made->error().message : "the store does not answer"));
        return done;
    }

    bool listen() {
        const auto& options = around_.options;
        const auto files = plan_open_files(raise_open_file_limit(), options);
        if (files.scarce)
            around_.log.write(log_level::warning,
                              "few files may be open at once (ulimit -n): connections are limited",
                              {{"connections", std::to_string(files.connections)}});
        auto& log = around_.log;
        auto api = std::make_shared<http::api<orchestrator_type>>(
            orchestrator_,
            http::api_options{.admin_key = options.admin_key, .log = [&log](std::string_view line) {
                                  log.write(log_level::error, line);
                              }});
        listener_options where;
        where.host = options.listen.host;
        where.port = options.listen.port;
        where.loops = loop_count();
        where.limits.max_connections = files.connections;
        where.limits.max_body_bytes = api->max_body_bytes();
        where.warn = [&log](std::string_view line) { log.write(log_level::warning, line); };
        try {
            listener_.emplace(std::move(where), handler_for(std::move(api), log));
        } catch (const std::system_error& problem) {
            log.write(log_level::error, "ORCH_LISTEN: cannot listen on " + options.listen.text() +
                                            ": " + problem.code().message() +
                                            "; stop what listens there or choose another address");
            return false;
        }
        tell_listening();
        return true;
    }

    void tell_listening() {
        const auto health = orchestrator_->health();
        auto address = around_.options.listen;
        address.port = listener_->port();
        around_.log.write(log_level::info, "listening",
                          {{"address", address.text()},
                           {"version", version_string},
                           {"backend", health.backend},
                           {"store", health.store}});
    }

    void recover() {
        orchestrator_->async_recover([&events = around_.events](result<void> outcome) {
            events.tell(recovery_ended{std::move(outcome)});
        });
    }

    /// Nothing is begun any more, what was begun ends, and what is known is written.
    void leave() {
        if (!listener_->drain(calls_may_take))
            around_.log.write(log_level::warning,
                              "calls were still under way after 30 s: they are cut off");
        const bool stop_engines = around_.options.backend == backend_kind::subprocess &&
                                  around_.options.on_exit == on_exit::stop;
        if (stop_engines) {
            const auto& numbers = around_.options.settings;
            const auto ended = await<void>(
                numbers.stop_grace + numbers.backend_timeout,
                [this](auto done) { orchestrator_->async_stop_all(std::move(done)); });
            if (!ended || !*ended)
                around_.log.write(log_level::error,
                                  "not all engines could be stopped" +
                                      (ended ? ": " + ended->error().message : std::string()));
        }
        const auto closed = await<void>(
            flush_may_take, [this](auto done) { orchestrator_->async_close(std::move(done)); });
        if (!closed)
            around_.log.write(log_level::warning,
                              "work was still under way: the next start takes it up");
        listener_->stop();
        listener_.reset();
        orchestrator_.reset();
    }

    surroundings around_;
    std::shared_ptr<orchestrator_type> orchestrator_;
    std::optional<listener> listener_;
};

/// Serves over the store that the options name. `make_backend` is given the name of this
/// installation, which stays the same for as long as its store does. Returns the exit code.
template <class MakeBackend> int serve_over(const surroundings& around, MakeBackend make_backend) {
    const auto& options = around.options;
    const auto refuse = [&](const error& why) {
        around.log.write(log_level::error, why.message);
        return exit_code::bad_options;
    };
    if (options.store == store_kind::memory) {
        const auto installation_id = installation_id_of(options.store_path);
        if (!installation_id) return refuse(installation_id.error());
        return serving(around, make_backend(*installation_id), std::make_shared<memory_store>())
            .run();
    }
    auto store = open_disk_store(options.store_path, *options.master_keys);
    if (!store) return refuse(store.error());
    auto backend = make_backend(to_string((*store)->installation_id()));
    return serving(around, std::move(backend), std::move(*store)).run();
}

} // namespace roundhouse::server
