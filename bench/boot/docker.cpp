// Measures a provision through the orchestrator on Docker beside the calls that it cannot do
// without: create a container, start it, ask for its health every 5 ms until it answers. Both use
// the same container, in turn; one at a time, and many at once.
//
//   bench_boot_docker IMAGE [--rounds N] [--at-once N] [--rounds-at-once N]
//
// DOCKER_HOST names the daemon. Prints two lines of JSON.
#include "provisions.hpp"

#include <roundhouse/backend/docker.hpp>
#include <roundhouse/backend/docker/address.hpp>
#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/daemon.hpp>

#include <asio/co_spawn.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace roundhouse_bench;
namespace dk = roundhouse::detail::docker;

docker_options options_for(const std::string& installation_id) {
    docker_options options;
    if (const char* const host = std::getenv("DOCKER_HOST")) options.host = host;
    options.installation_id = installation_id;
    options.network = "roundhouse-bench";
    return options;
}

/// The calls that are needed in any case.
class bare {
public:
    explicit bare(asio::thread_pool& threads)
        : threads_(threads),
          options_(options_for("bare")),
          daemon_(dk::daemon_of(options_), options_.call_timeout) {}

    /// Starts the engines at once; returns once all have answered healthy.
    void start(const std::vector<workload>& engines) {
        std::vector<std::future<void>> all;
        for (const auto& engine : engines) all.push_back(spawn(boot(engine)));
        for (auto& booted : all) booted.get();
    }

    void remove(const std::vector<workload>& engines) {
        for (const auto& engine : engines) spawn(remove(engine)).get();
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
            auto asking = roundhouse::detail::ask_health(peer, limits, std::chrono::seconds(10));
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

void measure(const std::string& image, const boot_sizes& sizes) {
    asio::thread_pool threads(4);
    {
        bare alone(threads);
        provisions<docker_backend> whole(
            [](const asio::any_io_executor& executor, const lmdb_store& store) {
                return std::make_shared<docker_backend>(
                    executor, options_for(to_string(store.installation_id())));
            },
            image);
        compare_all(alone, whole, image, sizes);
    }
    threads.join();
}

} // namespace

int main(int argc, char** argv) {
    boot_sizes sizes;
    std::string image;
    for (int i = 1; i < argc; ++i)
        if (!take_option(sizes, argv, i, argc)) image = argv[i];
    try {
        if (image.empty()) throw std::invalid_argument("IMAGE is missing");
        measure(image, sizes);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_boot_docker: %s\n", problem.what());
        return 1;
    }
    return 0;
}
