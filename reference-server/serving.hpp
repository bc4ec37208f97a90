#pragma once

#include "disk_store.hpp"
#include "exit_codes.hpp"
#include "named_admins.hpp"
#include "open_files.hpp"
#include "serve.hpp"
#include "store_folder.hpp"
#include "transport/listener.hpp"

#include <roundhouse/clock/system.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/version.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

/// Serves over any backend and store. Each backend has a source file of its own that includes this
/// header, because it takes long to compile.
namespace roundhouse::server {

/// How long the server waits for calls in flight when it stops (SPEC §9).
inline constexpr std::chrono::seconds calls_may_take{30};
inline constexpr std::chrono::seconds commit_may_take{30};
inline constexpr std::chrono::seconds flush_may_take{5};
inline constexpr std::chrono::seconds first_recovery_retry{1};
inline constexpr std::chrono::seconds last_recovery_retry{5};

inline std::size_t loop_count() { return std::max(1U, std::thread::hardware_concurrency()); }

/// Writes a line for each request and its reply.
class logged_request final : public http::reply_channel {
public:
    logged_request(logger& log, const http::request& request, http::reply_channel& channel)
        : line_(std::make_shared<line>(line{log, std::chrono::steady_clock::now(),
                                            std::string(request.method),
                                            std::string(request.target)})),
          channel_(channel) {}

    std::function<void(http::reply)> open() override {
        return [line = line_, later = channel_.open()](http::reply reply) {
            line->write(reply);
            later(std::move(reply));
        };
    }
    void write(const http::reply& reply) const { line_->write(reply); }

private:
    struct line {
        logger& log;
        std::chrono::steady_clock::time_point began;
        std::string method;
        std::string target;

        void write(const http::reply& reply) const {
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
                std::chrono::steady_clock::now() - began);
            log.write(log_level::debug, "call",
                      {{"request_id", reply.request_id},
                       {"method", method},
                       {"target", target},
                       {"status", reply.status},
                       {"took_us", took.count()}});
        }
    };

    std::shared_ptr<line> line_;
    http::reply_channel& channel_;
};

/// Returns a handler that passes requests to the api, and logs them at the level `debug`.
inline request_handler handler_for(std::shared_ptr<http::api> api, logger& log) {
    if (!log.shows(log_level::debug))
        return [api = std::move(api)](const http::request& request, http::reply_channel& channel) {
            return api->handle(request, channel);
        };
    return
        [api = std::move(api), &log](const http::request& request, http::reply_channel& channel) {
            logged_request logged(log, request, channel);
            auto reply = api->handle(request, logged);
            if (reply) logged.write(*reply);
            return reply;
        };
}

/// The reference server over one backend and one store.
template <class Backend, class Store> class serving {
public:
    using orchestrator_type = orchestrator<Backend, Store, system_clock>;

    serving(const server_context& context, std::shared_ptr<Backend> backend,
            std::shared_ptr<Store> store)
        : context_(context),
          orchestrator_(std::make_shared<orchestrator_type>(
              context.workers.executor(), std::move(backend), std::move(store),
              std::make_shared<system_clock>(), orchestrator_options_for(context))) {}

    int run() {
        if (!configure_bootstrap_product() || !listen()) return exit_code::bad_options;
        recover();
        std::chrono::steady_clock::duration wait = first_recovery_retry;
        std::optional<std::chrono::steady_clock::time_point> recover_at;
        for (;;) {
            const auto event = context_.events.next(recover_at);
            if (!event) {
                recover_at.reset();
                recover();
            } else if (const auto* const stop = std::get_if<stop_asked>(&*event)) {
                context_.log.write(log_level::info, "stopping", {{"signal", stop->signal}});
                break;
            } else if (std::holds_alternative<reload_asked>(*event)) {
                reload();
            } else if (const auto& outcome = std::get<recovery_ended>(*event).outcome; outcome) {
                context_.log.write(log_level::info, "ready");
            } else {
                context_.log.write(log_level::error,
                                   "recovery failed and is tried again. Mend what the reason tells",
                                   {{"reason", outcome.error().message}});
                recover_at = std::chrono::steady_clock::now() + wait;
                wait = std::min<std::chrono::steady_clock::duration>(wait * 2, last_recovery_retry);
            }
        }
        shut_down();
        return exit_code::good;
    }

private:
    static orchestrator_options orchestrator_options_for(const server_context& context) {
        orchestrator_options out(*context.options.master_keys);
        out.settings = context.options.settings;
        for (const auto& [name, value] : context.options.engine.passed_through())
            out.redacted.push_back(value);
        out.log = context.log.sink();
        return out;
    }

    /// Whether the server may start: not if its bootstrap product does not exist.
    bool configure_bootstrap_product() {
        const auto& product = context_.options.bootstrap;
        if (!product) return true;
        const auto done = orchestrator_->async_configure_platform_key(
            product->slug, std::string(product->platform_key), context_.options.bootstrap_overlap,
            wait_for(commit_may_take));
        if (done) {
            log_bootstrap(*product, *done);
            return true;
        }
        const auto known = orchestrator_->find_product_named(product->slug);
        const bool exists = known && *known;
        context_.log.write(log_level::error,
                           exists ? "ORCH_BOOTSTRAP_PLATFORM_KEY: the product does not get its "
                                    "configured key, and goes on with those that it has"
                                  : "ORCH_BOOTSTRAP_PRODUCT: the product could not be registered",
                           {{"product", product->slug}, {"reason", done.error().message}});
        return exists;
    }

    void log_bootstrap(const bootstrap_product& product, configured_key outcome) {
        switch (outcome) {
        case configured_key::in_force: break;
        case configured_key::registered:
            context_.log.write(log_level::info, "the bootstrap product was registered",
                               {{"product", product.slug}});
            break;
        case configured_key::rotated:
            context_.log.write(log_level::info,
                               "ORCH_BOOTSTRAP_PLATFORM_KEY: the product has the configured key, "
                               "in place of the one that was configured before",
                               {{"product", product.slug},
                                {"overlap_ms", context_.options.bootstrap_overlap.count()}});
            break;
        case configured_key::not_taken:
            context_.log.write(log_level::warning,
                               "ORCH_BOOTSTRAP_PLATFORM_KEY: the product is there already with "
                               "keys that were not configured: they stay, and the configured key "
                               "is not taken. Configure one of them, or leave the option out",
                               {{"product", product.slug}});
            break;
        }
    }

    bool listen() {
        const auto& options = context_.options;
        const auto files = plan_open_files(raise_open_file_limit(), options);
        if (files.scarce)
            context_.log.write(log_level::warning,
                               "few files may be open at once (ulimit -n): connections are limited",
                               {{"connections", files.connections}});
        auto& log = context_.log;
        api_ = std::make_shared<http::api>(
            orchestrator_->calls(),
            http::api_options{.admin_key = std::string(options.admin_key),
                              .log = log.sink(),
                              .named_admins = keys_of(options.named_admins)});
        auto listening = listener_options_for(files, api_->max_body_bytes());
        try {
            listener_.emplace(std::move(listening), handler_for(api_, log));
        } catch (const std::system_error& problem) {
            log.write(log_level::error, std::string("ORCH_LISTEN: cannot listen on ") +
                                            problem.what() +
                                            "; stop what listens there or choose another address");
            return false;
        }
        log_listening();
        return true;
    }

    listener_options listener_options_for(const open_file_plan& files, std::size_t max_body_bytes) {
        const auto& options = context_.options;
        listener_options out;
        for (const auto& address : options.listen)
            out.places.push_back(
                {.host = address.host,
                 .port = address.port,
                 .unix_path = address.unix_path,
                 .descriptor = address.descriptor,
                 .tls = is_encrypted(address, options) ? options.loaded_tls : nullptr});
        out.loops = loop_count();
        out.trusted = options.trusted_proxies;
        out.limits.max_connections = files.connections;
        out.limits.max_connections_per_address = files.connections_per_address;
        out.limits.max_body_bytes = max_body_bytes;
        out.warn = [&log = context_.log](std::string_view line) {
            log.write(log_level::warning, line);
        };
        return out;
    }

    void log_listening() {
        const auto health = orchestrator_->health();
        for (std::size_t i = 0; i < context_.options.listen.size(); ++i) {
            auto address = context_.options.listen[i];
            address.port = listener_->ports()[i];
            context_.log.write(log_level::info, "listening",
                               {{"address", address.text()},
                                {"version", version_string},
                                {"backend", health.backend},
                                {"store", health.store}});
        }
    }

    /// Reads again what can be changed while the server serves.
    void reload() {
        const auto& options = context_.options;
        if (options.loaded_tls) reload_certificate(*options.loaded_tls);
        if (!options.named_admins_file.empty()) reload_admins();
        if (!options.loaded_tls && options.named_admins_file.empty())
            context_.log.write(log_level::info, "there is nothing to read again");
    }

    void reload_admins() {
        const auto& options = context_.options;
        const auto admins = read_named_admins(options.named_admins_file, options.admin_key);
        if (!admins)
            return context_.log.write(log_level::error,
                                      "ORCH_ADMIN_KEYS: " + admins.error().message +
                                          "; the administrators before stay");
        api_->replace_named_admins(keys_of(*admins));
        std::string names;
        for (const auto& admin : *admins)
            names.append(names.empty() ? "" : ", ").append(admin.name);
        context_.log.write(log_level::info, "the named administrators were read again",
                           {{"names", names}});
    }

    /// The api overwrites them.
    static std::vector<http::named_admin> keys_of(const std::vector<named_admin>& admins) {
        std::vector<http::named_admin> out;
        out.reserve(admins.size());
        for (const auto& [name, key] : admins) out.push_back({name, std::string(key)});
        return out;
    }

    void reload_certificate(tls_settings& tls) {
        const auto loaded = tls.reload();
        if (loaded) context_.log.write(log_level::info, "the certificate was read again");
        else
            context_.log.write(log_level::error,
                               loaded.error().message + "; the one before stays in use");
    }

    void recover() {
        orchestrator_->async_recover([&events = context_.events](result<void> outcome) {
            events.enqueue(recovery_ended{std::move(outcome)});
        });
    }

    /// Takes no more calls, lets the calls under way end, stops the engines if that is asked for,
    /// and writes what is only in memory.
    void shut_down() {
        if (!listener_->drain(calls_may_take))
            context_.log.write(log_level::warning,
                               "calls were still under way after 30 s: they are cut off");
        const bool stop_engines = context_.options.backend == backend_kind::subprocess &&
                                  context_.options.on_exit == on_exit::stop;
        if (stop_engines) {
            const auto& settings = context_.options.settings;
            const auto ended = orchestrator_->async_stop_all(
                wait_for(settings.stop_grace + settings.backend_timeout));
            if (!ended)
                context_.log.write(log_level::error,
                                   "not all engines could be stopped. Check their processes",
                                   {{"reason", ended.error().message}});
        }
        if (!orchestrator_->async_close(wait_for(flush_may_take)))
            context_.log.write(log_level::warning,
                               "work was still under way: the next start takes it up");
        listener_->stop();
        listener_.reset();
        orchestrator_.reset();
    }

    server_context context_;
    std::shared_ptr<orchestrator_type> orchestrator_;
    std::shared_ptr<http::api> api_;
    std::optional<listener> listener_;
};

/// Serves over the store that the options name, and returns the exit code. `make_backend` is given
/// the installation id, which stays the same as long as the store exists.
template <class MakeBackend>
int serve_over(const server_context& context, MakeBackend make_backend) {
    const auto& options = context.options;
    const auto refuse = [&](const error& cause) {
        context.log.write(log_level::error, cause.message);
        return exit_code::bad_options;
    };
    switch (options.store) {
    case store_kind::memory: {
        const auto installation_id = installation_id_of(options.store_path);
        if (!installation_id) return refuse(installation_id.error());
        return serving(context, make_backend(*installation_id), std::make_shared<memory_store>())
            .run();
    }
    case store_kind::lmdb: {
        auto store = open_disk_store(options.store_path, *options.master_keys, context.log.sink());
        if (!store) return refuse(store.error());
        auto backend = make_backend(to_string((*store)->installation_id()));
        return serving(context, std::move(backend), std::move(*store)).run();
    }
    }
    return exit_code::bad_options;
}

} // namespace roundhouse::server
