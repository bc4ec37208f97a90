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

/// What a provision costs beside the steps that nobody can do without.
namespace roundhouse_bench {

using namespace roundhouse;

struct boot_sizes {
    int rounds = 11; ///< One engine at a time.
    int at_once = 50;
    int rounds_at_once = 5;
};

/// Takes a word of the command line, and the number that follows it; false if it is none of these.
inline bool take_word(boot_sizes& into, char** argv, int& at, int argc) {
    const std::string_view word = argv[at];
    int* const number = word == "--rounds"           ? &into.rounds
                        : word == "--at-once"        ? &into.at_once
                        : word == "--rounds-at-once" ? &into.rounds_at_once
                                                     : nullptr;
    if (number == nullptr || at + 1 >= argc) return false;
    *number = std::atoi(argv[++at]);
    return true;
}

/// Engines that no orchestrator knows of, on ports above the orchestrator's own. (Not just any free
/// ones: a connection to a port that the kernel hands out may meet itself.)
inline std::vector<workload> bare_engines(int count, const std::string& version) {
    std::vector<workload> out;
    for (std::uint16_t port = 10'001; out.size() < static_cast<std::size_t>(count); ++port) {
        if (!roundhouse::detail::port_usable(port)) continue;
        workload one;
        one.ref = {crypto::make_uuid(crypto::system_entropy), 1, port};
        one.owner.product_id = crypto::make_uuid(crypto::system_entropy);
        one.owner.user_id = "bare-" + std::to_string(port);
        one.version = version;
        one.key_hash = crypto::sha256(crypto::make_engine_key(crypto::system_entropy));
        out.push_back(std::move(one));
    }
    return out;
}

/// Provisions through the orchestrator, with its store on disk.
template <class Backend> class provisions {
public:
    using fleet = orchestrator<Backend, lmdb_store, roundhouse::system_clock>;
    using backend_maker =
        std::function<std::shared_ptr<Backend>(const asio::any_io_executor&, const lmdb_store&)>;

    provisions(const backend_maker& make_backend, const std::string& version) {
        lmdb_options where;
        where.folder = folder_.path().string();
        auto store = or_throw(lmdb_store::open(where));
        auto backend = make_backend(threads_.get_executor(), *store);
        const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        orchestrator_options options(or_throw(crypto::key_ring::parse(key)));
        options.settings.default_version = version;
        options.settings.sleep_after = duration{0};
        over_ = std::make_shared<fleet>(
            threads_.get_executor(), std::move(backend), std::move(store),
            std::make_shared<roundhouse::system_clock>(), std::move(options));
        or_throw(over_->async_recover(wait));
        const auto made = or_throw(over_->async_register_product("bench", "Bench", {}, wait));
        product_ = or_throw(over_->authenticate(made.platform_key));
    }
    ~provisions() {
        // None is left unless something failed, which has been told then.
        static_cast<void>(over_->async_stop_all(wait));
        over_.reset();
        threads_.join();
    }
    provisions(const provisions&) = delete;
    provisions& operator=(const provisions&) = delete;

    /// Starts so many at once; returns once all have answered healthy.
    void start(int count) {
        for_all<engine_view>(count, [this](std::string user, auto done) {
            over_->async_provision(product_, std::move(user), std::nullopt, std::move(done));
        });
    }

    void remove(int count) {
        for_all<uuid>(count, [this](std::string user, auto done) {
            over_->async_destroy(product_, std::move(user), std::move(done));
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
        for (auto& one : all) or_throw(one.get());
    }

    temporary_folder folder_;
    asio::thread_pool threads_{4};
    std::shared_ptr<fleet> over_;
    product_ptr product_;
};

inline void print_ms(std::string_view name, const std::vector<double>& values) {
    std::printf(R"(,"%.*s":)", static_cast<int>(name.size()), name.data());
    for (std::size_t n = 0; n < values.size(); ++n)
        std::printf("%s%.3f", n == 0 ? "[" : ",", values[n]);
    std::printf("]");
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
    std::printf(R"({"at_once":%d)", count);
    print_ms("bare_ms", bare_ms);
    print_ms("provision_ms", provision_ms);
    std::puts("}");
    std::fflush(stdout);
}

/// One at a time, and many at once; after a first one of each, which finds the caches cold.
template <class Bare, class Whole>
void compare_all(Bare& bare, Whole& whole, const std::string& version, const boot_sizes& of) {
    whole.start(1);
    whole.remove(1);
    const auto first = bare_engines(1, version);
    bare.start(first);
    bare.remove(first);
    compare(bare, whole, version, 1, of.rounds);
    compare(bare, whole, version, of.at_once, of.rounds_at_once);
}

} // namespace roundhouse_bench
