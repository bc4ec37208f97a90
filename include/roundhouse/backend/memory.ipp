#pragma once

#include <roundhouse/backend/memory.hpp>
#include <roundhouse/backend/memory_output.hpp>
#include <roundhouse/core/generation.hpp>
#include <roundhouse/crypto/keys.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <mutex>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL void memory_backend::memory_workload::put_down() {
    state = workload_state::down;
    if (output) output->end_of_workload();
}

ROUNDHOUSE_DECL detail::memory_output& memory_backend::memory_workload::own_output() {
    if (!output) output = std::make_shared<detail::memory_output>();
    return *output;
}

ROUNDHOUSE_DECL bool memory_backend::port_usable(std::uint16_t port) const {
    return !script_.port_usable || script_.port_usable(port);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::prepare(const workload& requested) {
    const auto takes = script_.prepare_time ? script_.prepare_time(requested) : duration{0};
    auto waiting = wait(takes);
    co_await std::move(waiting);
    co_return co_await begin(backend_operation::prepare, requested.ref);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::create(const workload& requested) {
    auto begun = co_await begin(backend_operation::create, requested.ref);
    if (!begun) co_return begun;
    const std::lock_guard lock(mutex_);
    auto& present = workloads_[requested.ref.engine_id];
    const auto plan = core::plan_create(requested.ref, present.ref.generation, present.state);
    if (!plan) co_return unexpected(plan.error());
    if (*plan == core::create_plan::keep) co_return begun;
    present.ref = requested.ref;
    present.owner = requested.owner;
    present.key_hash = requested.key_hash;
    present.env = requested.env;
    present.limits = requested.limits;
    present.state = workload_state::up;
    present.healthy_at = std::chrono::steady_clock::now() + script_.boot_delay;
    ++created_;
    co_return begun;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::stop(const workload_ref& ref,
                                                                   duration /*grace*/) {
    co_return co_await set(backend_operation::stop, ref, workload_state::down);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::pause(const workload_ref& ref) {
    co_return co_await set(backend_operation::pause, ref, workload_state::paused);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::resume(const workload_ref& ref) {
    co_return co_await set(backend_operation::resume, ref, workload_state::up);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::destroy(const workload_ref& ref) {
    auto begun = co_await begin(backend_operation::destroy, ref);
    if (!begun) co_return begun;
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found == workloads_.end()) co_return begun;
    found->second.put_down();
    workloads_.erase(found);
    co_return begun;
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
memory_backend::copy_data(const workload_ref& ref, std::optional<std::uint64_t> max_bytes) {
    auto begun = co_await begin(backend_operation::copy_data, ref);
    if (!begun) co_return unexpected(std::move(begun.error()));
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found == workloads_.end()) co_return false;
    auto& present = found->second;
    if (present.state != workload_state::down)
        co_return roundhouse::fail(errc::backend_error, "the workload still runs");
    present.copy.reset();
    if (max_bytes && present.data.size() > *max_bytes) co_return false;
    present.copy = present.data;
    co_return true;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
memory_backend::restore_data(const workload_ref& ref) {
    auto begun = co_await begin(backend_operation::restore_data, ref);
    if (!begun) co_return begun;
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found == workloads_.end() || !found->second.copy) co_return begun;
    auto& present = found->second;
    if (present.state != workload_state::down)
        co_return roundhouse::fail(errc::backend_error, "the workload still runs");
    present.data = *std::exchange(present.copy, std::nullopt);
    co_return begun;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::drop_copy(const workload_ref& ref) {
    auto begun = co_await begin(backend_operation::drop_copy, ref);
    if (!begun) co_return begun;
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found != workloads_.end()) found->second.copy.reset();
    co_return begun;
}

ROUNDHOUSE_DECL asio::awaitable<result<key_swap>>
memory_backend::swap_key(const workload_ref& ref, const std::string& key,
                         const sha256_digest& next) {
    auto begun = co_await begin(backend_operation::swap_key, ref);
    if (!begun) co_return unexpected(std::move(begun.error()));
    if (state_of(ref.engine_id) != workload_state::up) co_return key_swap::unknown;
    if (script_.swap) co_return script_.swap(ref);
    const auto present_hash = crypto::sha256(key);
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found == workloads_.end() || found->second.key_hash != present_hash)
        co_return key_swap::unknown;
    found->second.key_hash = next;
    co_return key_swap::done;
}

ROUNDHOUSE_DECL asio::awaitable<result<health>> memory_backend::probe(const workload_ref& ref,
                                                                      duration /*timeout*/) {
    if (auto failure = scripted_failure(backend_operation::probe, ref))
        co_return unexpected(std::move(*failure));
    {
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(ref.engine_id);
        if (found == workloads_.end() || found->second.state != workload_state::up)
            co_return roundhouse::fail(errc::backend_error, "the workload is not up");
        if (std::chrono::steady_clock::now() < found->second.healthy_at)
            co_return roundhouse::fail(errc::backend_error, "the workload is still booting");
    }
    if (script_.answer) co_return script_.answer(ref);
    co_return health{};
}

ROUNDHOUSE_DECL asio::awaitable<result<std::vector<found_workload>>> memory_backend::list() {
    const workload_ref all_engines;
    auto begun = co_await begin(backend_operation::list, all_engines);
    if (!begun) co_return unexpected(std::move(begun.error()));
    std::vector<found_workload> found;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, present] : workloads_)
        found.push_back({.ref = present.ref, .state = present.state, .owner = present.owner});
    co_return found;
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>> memory_backend::logs(const workload_ref& ref,
                                                                          std::size_t tail) {
    auto begun = co_await begin(backend_operation::logs, ref);
    if (!begun) co_return unexpected(std::move(begun.error()));
    if (script_.output) co_return script_.output(ref);
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    const bool wrote = found != workloads_.end() && found->second.output;
    co_return wrote ? found->second.output->last_lines(tail) : std::string();
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
memory_backend::boot_logs(const workload_ref& ref, std::size_t tail) {
    if (!script_.boot_output) co_return co_await logs(ref, tail);
    auto begun = co_await begin(backend_operation::logs, ref);
    if (!begun) co_return unexpected(std::move(begun.error()));
    co_return script_.boot_output(ref);
}

ROUNDHOUSE_DECL asio::awaitable<result<log_source_ptr>>
memory_backend::open_logs(const workload_ref& ref, const log_query& query) {
    auto begun = co_await begin(backend_operation::logs, ref);
    if (!begun) co_return unexpected(std::move(begun.error()));
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    if (found == workloads_.end())
        co_return std::make_shared<detail::memory_output>()->open(query, false);
    auto& present = found->second;
    co_return present.own_output().open(query, present.state != workload_state::down);
}

ROUNDHOUSE_DECL void memory_backend::write_output(const uuid& engine, std::string_view text) {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    if (found != workloads_.end()) found->second.own_output().write(text);
}

ROUNDHOUSE_DECL bool memory_backend::write_data(const uuid& engine, std::string text) {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    if (found == workloads_.end()) return false;
    found->second.data = std::move(text);
    return true;
}

ROUNDHOUSE_DECL std::string memory_backend::data_of(const uuid& engine) const {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    return found == workloads_.end() ? std::string() : found->second.data;
}

ROUNDHOUSE_DECL std::optional<std::string> memory_backend::copy_of(const uuid& engine) const {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    return found == workloads_.end() ? std::nullopt : found->second.copy;
}

ROUNDHOUSE_DECL void memory_backend::on_exit(std::function<void(const workload_exit&)> handler) {
    exit_handler_.set(std::move(handler));
}

ROUNDHOUSE_DECL void memory_backend::on_pause(std::function<void(const workload_pause&)> handler) {
    pause_handler_.set(std::move(handler));
}

ROUNDHOUSE_DECL bool memory_backend::set_paused(const uuid& engine, bool paused) {
    workload_pause report;
    {
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(engine);
        const auto before = paused ? workload_state::up : workload_state::paused;
        if (found == workloads_.end() || found->second.state != before) return false;
        auto& present = found->second;
        present.state = paused ? workload_state::paused : workload_state::up;
        report = {present.ref, present.owner, paused};
    }
    pause_handler_(report);
    return true;
}

ROUNDHOUSE_DECL bool memory_backend::crash(const uuid& engine, int exit_code) {
    workload_exit report;
    {
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(engine);
        if (found == workloads_.end() || found->second.state == workload_state::down) return false;
        auto& present = found->second;
        present.put_down();
        report.ref = present.ref;
        report.owner = present.owner;
        report.exit_code = exit_code;
    }
    exit_handler_(report);
    return true;
}

ROUNDHOUSE_DECL std::uint64_t memory_backend::created() const {
    const std::lock_guard lock(mutex_);
    return created_;
}

ROUNDHOUSE_DECL std::size_t memory_backend::alive() const {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto& [id, present] : workloads_)
        count += present.state != workload_state::down ? 1 : 0;
    return count;
}

ROUNDHOUSE_DECL std::optional<workload_state> memory_backend::state_of(const uuid& engine) const {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    if (found == workloads_.end()) return std::nullopt;
    return found->second.state;
}

ROUNDHOUSE_DECL named_texts memory_backend::env_of(const uuid& engine) const {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    return found == workloads_.end() ? named_texts{} : found->second.env;
}

ROUNDHOUSE_DECL engine_limits memory_backend::limits_of(const uuid& engine) const {
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(engine);
    return found == workloads_.end() ? engine_limits{} : found->second.limits;
}

ROUNDHOUSE_DECL std::optional<error>
memory_backend::scripted_failure(backend_operation operation, const workload_ref& ref) const {
    return script_.fail ? script_.fail(operation, ref) : std::nullopt;
}

ROUNDHOUSE_DECL asio::awaitable<void> memory_backend::wait(duration span) {
    if (span <= duration{0}) co_return;
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    timer.expires_after(span);
    co_await timer.async_wait(asio::use_awaitable);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> memory_backend::begin(backend_operation operation,
                                                                    const workload_ref& ref) {
    auto waiting = wait(script_.latency);
    co_await std::move(waiting);
    if (auto failure = scripted_failure(operation, ref)) co_return unexpected(std::move(*failure));
    co_return result<void>{};
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
memory_backend::set(backend_operation operation, const workload_ref& ref, workload_state state) {
    auto begun = co_await begin(operation, ref);
    if (!begun) co_return begun;
    const std::lock_guard lock(mutex_);
    const auto found = workloads_.find(ref.engine_id);
    const bool alive = found != workloads_.end() && found->second.state != workload_state::down;
    if (alive && state == workload_state::down) found->second.put_down();
    else if (alive) found->second.state = state;
    if (!alive && state != workload_state::down)
        co_return roundhouse::fail(errc::backend_error, "the workload is not up");
    co_return begun;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
