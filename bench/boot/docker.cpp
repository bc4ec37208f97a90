// What a provision through the orchestrator costs on Docker beside the calls that it cannot do
// without: create a container, start it, ask for its health every 5 ms until it answers. Both are
// the same container, in turn; one at a time, and many at once.
//
//   bench_boot_docker IMAGE [--rounds N] [--at-once N]
//   bench_boot_docker --smoke
//
// DOCKER_HOST names the daemon. The smoke size wants none: without IMAGE nothing is measured.
#include <roundhouse/backend/docker.hpp>
#include <roundhouse/roundhouse.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace roundhouse;
namespace dk = roundhouse::detail::docker;
using fleet = orchestrator<docker_backend, lmdb_store, roundhouse::system_clock>;
using milliseconds = std::chrono::duration<double, std::milli>;

struct sizes {
    std::string image;
    int rounds = 11;
    int at_once = 50;
    int rounds_at_once = 5;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

docker_options options_for(const std::string& instance) {
    docker_options out;
    if (const char* const host = std::getenv("DOCKER_HOST")) out.host = host;
    out.instance = instance;
    out.network = "roundhouse-bench";
    return out;
}

/// The calls that nobody can do without.
class bare {
public:
    explicit bare(asio::thread_pool& threads)
        : threads_(threads),
          options_(options_for("bare")),
          daemon_(dk::parse_host(options_.host), options_.call_timeout) {}

    /// Starts so many at once; returns once all have answered healthy.
    void start(const std::vector<workload>& engines) {
        std::vector<std::future<void>> all;
        for (const auto& one : engines) all.push_back(spawn(boot(one)));
        for (auto& one : all) one.get();
    }

    void remove(const std::vector<workload>& engines) {
        for (const auto& one : engines) spawn(remove(one)).get();
    }

private:
    std::future<void> spawn(asio::awaitable<void> work) {
        return asio::co_spawn(asio::make_strand(threads_.get_executor()), std::move(work),
                              asio::use_future);
    }

    asio::awaitable<void> expect(unsigned status, std::string method, std::string target,
                                 std::string body) {
        auto calling = daemon_.call(std::move(method), target, std::move(body));
        const auto answer = co_await std::move(calling);
        if (!answer) throw std::runtime_error(answer.error().message);
        if (answer->status != status) throw std::runtime_error(target + ": " + answer->body);
    }

    asio::awaitable<void> boot(const workload& engine) {
        const auto name = dk::container_of(engine.ref.engine_id);
        auto body = dk::description(options_, engine).of_container();
        auto creating = expect(201, "POST", "/containers/create?name=" + name, std::move(body));
        co_await std::move(creating);
        auto starting = expect(204, "POST", "/containers/" + name + "/start", {});
        co_await std::move(starting);
        const roundhouse::detail::http_peer peer = asio::ip::tcp::endpoint{
            asio::ip::address_v4::loopback(), engine.ref.port};
        const roundhouse::detail::engine_answer_limits limits;
        for (;;) {
            auto asking = roundhouse::detail::ask_health(peer, engine.ref.engine_id, limits,
                                                         std::chrono::seconds(10));
            if (const auto healthy = co_await std::move(asking)) co_return;
            asio::steady_timer pause(threads_, std::chrono::milliseconds(5));
            co_await pause.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> remove(const workload& engine) {
        auto removing = expect(204, "DELETE",
                               "/containers/" + dk::container_of(engine.ref.engine_id) + "?force=1",
                               {});
        co_await std::move(removing);
        auto forgetting = expect(204, "DELETE", "/volumes/" + dk::volume_of(engine.ref.engine_id),
                                 {});
        co_await std::move(forgetting);
    }

    asio::thread_pool& threads_;
    const docker_options options_;
    dk::daemon daemon_;
};

std::vector<workload> engines_named(const std::string& image, int count, std::uint16_t first_port) {
    std::vector<workload> out;
    for (int n = 0; n < count; ++n) {
        workload one;
        one.ref = {crypto::make_uuid(crypto::system_entropy), 1,
                   static_cast<std::uint16_t>(first_port + n)};
        one.product_id = crypto::make_uuid(crypto::system_entropy);
        one.user_id = "bare-" + std::to_string(n);
        one.version = image;
        out.push_back(one);
    }
    return out;
}

template <class Work> double time_of(Work work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return milliseconds(std::chrono::steady_clock::now() - began).count();
}

/// The same through the orchestrator, with its store on disk.
class whole {
public:
    whole(asio::thread_pool& threads, const std::string& image)
        : folder_(std::filesystem::temp_directory_path() /
                  ("roundhouse-bench-" + to_string(crypto::make_uuid(crypto::system_entropy)))) {
        lmdb_options where;
        where.folder = folder_.string();
        auto store = or_throw(lmdb_store::open(where));
        const auto key = crypto::key_ring::make_key(crypto::system_entropy);
        orchestrator_options options(or_throw(crypto::key_ring::parse(key)));
        options.settings.default_version = image;
        options.settings.sleep_after = duration{0};
        auto backend = std::make_shared<docker_backend>(threads.get_executor(),
                                                        options_for(to_string(store->instance())));
        over_ = std::make_shared<fleet>(
            threads.get_executor(), std::move(backend), std::move(store),
            std::make_shared<roundhouse::system_clock>(), std::move(options));
        or_throw(over_->async_recover(asio::use_future).get());
        const auto made = or_throw(
            over_->async_register_product("bench", "Bench", {}, asio::use_future).get());
        product_ = or_throw(over_->authenticate(made.platform_key));
    }
    ~whole() {
        over_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start(int count) {
        std::vector<std::future<result<engine_view>>> all;
        for (int n = 0; n < count; ++n)
            all.push_back(over_->async_provision(product_, "user-" + std::to_string(n),
                                                 std::nullopt, asio::use_future));
        for (auto& one : all) or_throw(one.get());
    }

    void remove(int count) {
        for (int n = 0; n < count; ++n)
            or_throw(over_->async_destroy(product_, "user-" + std::to_string(n), asio::use_future)
                         .get());
    }

private:
    const std::filesystem::path folder_;
    std::shared_ptr<fleet> over_;
    product_ptr product_;
};

/// Prints the medians of both, in turn, and their ratio.
void compare(bare& calls, whole& over, const sizes& of, int count, int rounds) {
    std::vector<double> bare_ms;
    std::vector<double> whole_ms;
    for (int round = 0; round < rounds; ++round) {
        // Above the orchestrator's own ports.
        const auto engines = engines_named(of.image, count, 10'001);
        bare_ms.push_back(time_of([&] { calls.start(engines); }));
        calls.remove(engines);
        whole_ms.push_back(time_of([&] { over.start(count); }));
        over.remove(count);
    }
    const auto alone = median(bare_ms);
    const auto through = median(whole_ms);
    std::printf("%3d at once: bare calls %8.1f ms, provision %8.1f ms, ratio %.3f (median of %d)\n",
                count, alone, through, through / alone, rounds);
    std::fflush(stdout);
}

void measure(const sizes& of) {
    asio::thread_pool threads(4);
    {
        whole over(threads, of.image);
        // The network is made by the first provision.
        over.start(1);
        over.remove(1);
        bare calls(threads);
        compare(calls, over, of, 1, of.rounds);
        compare(calls, over, of, of.at_once, of.rounds_at_once);
    }
    threads.join();
}

} // namespace

int main(int argc, char** argv) {
    sizes of;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--smoke") of.rounds = of.rounds_at_once = of.at_once = 1;
        else if (word == "--rounds" && i + 1 < argc) of.rounds = std::atoi(argv[++i]);
        else if (word == "--at-once" && i + 1 < argc) of.at_once = std::atoi(argv[++i]);
        else of.image = word;
    }
    try {
        if (of.image.empty()) std::puts("bench_boot_docker: no IMAGE: nothing is measured");
        else measure(of);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_boot_docker: %s\n", problem.what());
        return 1;
    }
    return 0;
}
