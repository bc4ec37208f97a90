#pragma once

#include "../support/stopwatch.hpp"
#include "../support/temporary_folder.hpp"

#include <roundhouse/detail/port_usable.hpp>
#include <roundhouse/roundhouse.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/thread_pool.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Measures a provision beside the steps that it cannot do without.
namespace roundhouse_bench {

using namespace roundhouse;

struct boot_sizes {
    int rounds = 11;        ///< With one engine at a time.
    int at_once = 50;       ///< Engines at the same time.
    int rounds_at_once = 5; ///< With that number of engines.
};

/// Parses an option of the command line and its number. Returns false if it is none of these.
inline bool take_option(boot_sizes& sizes, char** argv, int& at, int argc) {
    const std::string_view name = argv[at];
    int* const number = name == "--rounds"           ? &sizes.rounds
                        : name == "--at-once"        ? &sizes.at_once
                        : name == "--rounds-at-once" ? &sizes.rounds_at_once
                                                     : nullptr;
    if (number == nullptr || at + 1 >= argc) return false;
    *number = std::atoi(argv[++at]);
    return true;
}

/// Engines without an orchestrator, on free ports above the orchestrator's own. (Not ephemeral
/// ports: a connection to one may be assigned the same port, and so connect to itself.)
inline std::vector<workload> bare_engines(int count, const std::string& version) {
    std::vector<workload> engines;
    for (std::uint16_t port = 10'001; engines.size() < static_cast<std::size_t>(count); ++port) {
        if (!roundhouse::detail::port_usable(port)) continue;
        workload engine;
        engine.ref = {crypto::make_uuid(crypto::system_entropy), 1, port};
        engine.owner.product_id = crypto::make_uuid(crypto::system_entropy);
        engine.owner.user_id = "bare-" + std::to_string(port);
        engine.version = version;
        engine.key_hash = crypto::sha256(crypto::make_engine_key(crypto::system_entropy));
        engines.push_back(std::move(engine));
    }
    return engines;
}

/// Provisions through the orchestrator, with its store on disk.
template <class Backend> class provisions {
public:
    using fleet = orchestrator<Backend, lmdb_store, roundhouse::system_clock>;
    using backend_maker =
        std::function<std::shared_ptr<Backend>(const asio::any_io_executor&, const lmdb_store&)>;

    provisions(const backend_maker& make_backend, const std::string& version) {
        lmdb_options store_options;
        store_options.folder = folder_.path().string();
        auto store = or_throw(lmdb_store::open(store_options));
        auto backend = make_backend(threads_.get_executor(), *store);
        const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        orchestrator_options options(or_throw(crypto::key_ring::parse(key)));
        options.settings.default_version = version;
        options.settings.sleep_after = duration{0};
        fleet_ = std::make_shared<fleet>(
            threads_.get_executor(), std::move(backend), std::move(store),
            std::make_shared<roundhouse::system_clock>(), std::move(options));
        or_throw(fleet_->async_recover(wait));
        const auto made = or_throw(fleet_->async_register_product("bench", "Bench", {}, wait));
        product_ = or_throw(fleet_->authenticate(made.platform_key));
    }
    ~provisions() {
        // There is an engine left only after a failure, which has been reported.
        static_cast<void>(fleet_->async_stop_all(wait));
        fleet_.reset();
        threads_.join();
    }
    provisions(const provisions&) = delete;
    provisions& operator=(const provisions&) = delete;

    /// Starts `count` engines at once; returns once all have answered healthy.
    void start(int count) {
        for_all<engine_view>(count, [this](std::string user, auto done) {
            fleet_->async_provision(product_, std::move(user), std::nullopt, std::move(done));
        });
    }

    void remove(int count) {
        for_all<uuid>(count, [this](std::string user, auto done) {
            fleet_->async_destroy(product_, std::move(user), std::move(done));
        });
    }

private:
    template <class T, class Begin> void for_all(int count, const Begin& begin) {
        std::vector<std::future<result<T>>> all;
        for (int n = 0; n < count; ++n) {
            const auto done = std::make_shared<std::promise<result<T>>>();
            all.push_back(done->get_future());
            begin("user-" + std::to_string(n),
                  [done](result<T> outcome) { done->set_value(std::move(outcome)); });
        }
        for (auto& outcome : all) or_throw(outcome.get());
    }

    temporary_folder folder_;
    asio::thread_pool threads_{4};
    std::shared_ptr<fleet> fleet_;
    product_ptr product_;
};

inline void print_ms(std::string_view name, const std::vector<double>& values) {
    std::printf(R"(,"%.*s":)", static_cast<int>(name.size()), name.data());
    for (std::size_t n = 0; n < values.size(); ++n)
        std::printf("%s%.3f", n == 0 ? "[" : ",", values[n]);
    std::printf("]");
}

/// Prints a line of JSON with the times of two sides.
inline void print_line(int count, std::string_view one, const std::vector<double>& one_ms,
                       std::string_view other, const std::vector<double>& other_ms) {
    std::printf(R"({"at_once":%d)", count);
    print_ms(one, one_ms);
    print_ms(other, other_ms);
    std::puts("}");
    std::fflush(stdout);
}

/// Times both in turn, `rounds` times, each with `count` engines at once. Prints a line of JSON.
template <class Bare, class Whole>
void compare(Bare& bare, Whole& whole, const std::string& version, int count, int rounds) {
    std::vector<double> bare_ms;
    std::vector<double> provision_ms;
    for (int round = 0; round < rounds; ++round) {
        const auto engines = bare_engines(count, version);
        bare_ms.push_back(time_of([&] { bare.start(engines); }).count());
        bare.remove(engines);
        provision_ms.push_back(time_of([&] { whole.start(count); }).count());
        whole.remove(count);
    }
    print_line(count, "bare_ms", bare_ms, "provision_ms", provision_ms);
}

/// Times one engine at a time, and many at once, after a first round that warms the caches.
template <class Bare, class Whole>
void compare_all(Bare& bare, Whole& whole, const std::string& version, const boot_sizes& sizes) {
    whole.start(1);
    whole.remove(1);
    const auto first = bare_engines(1, version);
    bare.start(first);
    bare.remove(first);
    compare(bare, whole, version, 1, sizes.rounds);
    compare(bare, whole, version, sizes.at_once, sizes.rounds_at_once);
}

} // namespace roundhouse_bench
