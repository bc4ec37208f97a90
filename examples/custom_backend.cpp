// A custom backend, in which every engine is a thread of this process. The concepts in concepts.hpp
// describe each member; the compiler names a member that is missing.
#include <roundhouse/roundhouse.hpp>

#include <asio/thread_pool.hpp>

#include <condition_variable>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace roundhouse;

namespace {

class thread_backend {
public:
    [[nodiscard]] std::string_view name() const noexcept { return "thread"; }
    [[nodiscard]] std::optional<std::string> trouble() const { return std::nullopt; }
    [[nodiscard]] bool needs_port() const noexcept { return false; }
    [[nodiscard]] bool port_usable(std::uint16_t) const { return true; }
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t) const {
        return "thread:" + short_id(engine);
    }

    asio::awaitable<result<void>> create(const workload& wanted) {
        const std::lock_guard lock(mutex_);
        auto& engine = engines_[wanted.ref.engine_id];
        if (engine.thread.joinable() && engine.ref.generation == wanted.ref.generation)
            co_return result<void>{};
        engine.ref = wanted.ref;
        engine.thread = std::jthread(work); // the assignment ends an older generation
        co_return result<void>{};
    }

    asio::awaitable<result<void>> stop(const workload_ref& ref, duration) {
        end(ref.engine_id);
        co_return result<void>{};
    }
    asio::awaitable<result<void>> destroy(const workload_ref& ref) {
        end(ref.engine_id);
        co_return result<void>{};
    }

    asio::awaitable<result<void>> pause(const workload_ref&) { co_return cannot("be paused"); }
    asio::awaitable<result<void>> resume(const workload_ref&) { co_return cannot("be resumed"); }
    asio::awaitable<result<key_swap>> swap_key(const workload_ref&, const std::string&,
                                               const sha256_digest&) {
        co_return key_swap::unsupported; // the workload is recreated with the new key instead
    }

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration) {
        const std::lock_guard lock(mutex_);
        if (!engines_.contains(ref.engine_id)) co_return cannot("answer: it is gone");
        co_return health{};
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        std::vector<found_workload> all;
        const std::lock_guard lock(mutex_);
        for (const auto& [id, engine] : engines_)
            all.push_back({engine.ref, workload_state::up, true});
        co_return all;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref&, std::size_t) {
        co_return std::string();
    }
    // Nothing to report: a thread ends only when it is stopped.
    void on_exit(std::function<void(const workload_exit&)>) {}

private:
    struct running {
        workload_ref ref;
        std::jthread thread;
    };

    static unexpected cannot(const std::string& action) {
        return fail(errc::backend_error, "A thread cannot " + action + ".");
    }

    static void work(const std::stop_token& stop) {
        std::mutex idle;
        std::condition_variable_any stopped;
        std::unique_lock lock(idle);
        stopped.wait(lock, stop, [] { return false; });
    }

    void end(const uuid& id) {
        running ended; // joined outside the lock
        const std::lock_guard lock(mutex_);
        if (const auto found = engines_.find(id); found != engines_.end()) {
            ended = std::move(found->second);
            engines_.erase(found);
        }
    }

    std::mutex mutex_;
    std::map<uuid, running> engines_;
};

static_assert(backend<thread_backend>);

} // namespace

int main() {
    asio::thread_pool threads(2);
    using thread_orchestrator =
        orchestrator<thread_backend, memory_store, roundhouse::system_clock>;
    const auto master_key = crypto::key_ring::make_key(crypto::system_entropy);
    auto orchestrator = std::make_shared<thread_orchestrator>(
        threads.get_executor(), std::make_shared<thread_backend>(),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options(or_throw(crypto::key_ring::parse(master_key))));
    {
        or_throw(orchestrator->async_recover(wait));
        const auto registered = or_throw(
            orchestrator->async_register_product("demo", "Demo", {}, wait));
        const auto demo = orchestrator->of(
            or_throw(orchestrator->authenticate(registered.platform_key)));
        const auto engine = or_throw(demo.provision("ada"));
        std::cout << "ada's engine is " << engine.url << '\n';
        std::cout << "its new key is "
                  << (or_throw(demo.rotate_key("ada")) != engine.api_key ? "another" : "the same")
                  << '\n';
        or_throw(demo.destroy("ada"));
    }
    orchestrator.reset();
    threads.join();
}
