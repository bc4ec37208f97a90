#pragma once

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/boot_mark.hpp>
#include <roundhouse/backend/subprocess/data_copies.hpp>
#include <roundhouse/backend/subprocess/engine_command.hpp>
#include <roundhouse/backend/subprocess/environment.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/gradual_removal.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/launch_files.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/ownership.hpp>
#include <roundhouse/backend/subprocess/passed_listener.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/program.hpp>
#include <roundhouse/backend/subprocess/setup.hpp>
#include <roundhouse/backend/subprocess/supervisor.hpp>
#include <roundhouse/core/generation.hpp>
#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/detail/port_usable.hpp>
#include <roundhouse/detail/run_on.hpp>

#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

[[nodiscard]] inline http_peer engine_at(std::uint16_t port) {
    return asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), port};
}

/// An engine that has a folder, and what is known of its process.
struct engine_folder {
    uuid engine;
    std::optional<process_identity> identity;
};

} // namespace detail::subprocess

ROUNDHOUSE_DECL subprocess_backend::subprocess_backend(const asio::any_io_executor& executor,
                                                       subprocess_options options) {
    auto usable = detail::subprocess::checked(std::move(options));
    auto reached = detail::subprocess::make_ready(usable);
    supervisor_ = std::make_shared<detail::subprocess::supervisor>(executor, std::move(usable),
                                                                   std::move(reached));
}

ROUNDHOUSE_DECL subprocess_backend::~subprocess_backend() { supervisor_->close(); }

ROUNDHOUSE_DECL std::vector<std::string> subprocess_backend::isolation() const {
    const auto names = supervisor_->isolation().names();
    return {names.begin(), names.end()};
}

ROUNDHOUSE_DECL limit_support subprocess_backend::limits() const {
    return detail::subprocess::held_limits(supervisor_->options(), supervisor_->isolation());
}

ROUNDHOUSE_DECL std::string subprocess_backend::why_no_uids() const {
    return supervisor_->isolation().why_no_uids();
}

ROUNDHOUSE_DECL std::vector<std::string> subprocess_backend::unheld_ceilings() const {
    return detail::subprocess::unheld_ceilings(supervisor_->options(), supervisor_->isolation());
}

ROUNDHOUSE_DECL std::optional<std::string> subprocess_backend::trouble() const {
    const auto trouble_of = [](const std::string& folder) -> std::optional<std::string> {
        if (::access((folder + "/.").c_str(), R_OK | W_OK | X_OK) == 0) return std::nullopt;
        return folder + ": " + detail::subprocess::cause(errno);
    };
    auto found = trouble_of(supervisor_->engines());
    if (!found && supervisor_->settled()) found = trouble_of(supervisor_->workloads());
    return found;
}

ROUNDHOUSE_DECL std::string subprocess_backend::url(const uuid& /*engine*/,
                                                    std::uint16_t port) const {
    return "http://127.0.0.1:" + std::to_string(port);
}

ROUNDHOUSE_DECL bool subprocess_backend::port_usable(std::uint16_t port) const {
    auto& ports = supervisor_->ports();
    // Held first, so that the test does not disturb another server's engine that is about to bind.
    if (!ports.reserve(port)) return false;
    const bool usable = detail::port_usable(port);
    if (!usable) ports.release(port);
    return usable;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::create(const workload& requested) {
    auto work = do_create(requested);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::stop(const workload_ref& ref,
                                                                       duration grace) {
    auto work = do_stop(ref, grace);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::pause(const workload_ref& ref) {
    auto work = do_pause(ref, true);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::resume(const workload_ref& ref) {
    auto work = do_pause(ref, false);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::destroy(const workload_ref& ref) {
    auto work = do_destroy(ref);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<key_swap>>
subprocess_backend::swap_key(const workload_ref& ref, const std::string& key,
                             const sha256_digest& next) {
    auto work = do_swap_key(ref, key, next);
    return detail::run_on(supervisor_->own_strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<health>> subprocess_backend::probe(const workload_ref& ref,
                                                                          duration timeout) {
    auto work = do_probe(ref, timeout);
    return detail::run_on(supervisor_->own_strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::vector<found_workload>>> subprocess_backend::list() {
    auto work = do_list();
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
subprocess_backend::logs(const workload_ref& ref, std::size_t tail) {
    auto work = read_output(ref.engine_id, tail, {});
    return detail::run_on(supervisor_->own_strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
subprocess_backend::boot_logs(const workload_ref& ref, std::size_t tail) {
    auto work = do_boot_logs(ref, tail);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<log_source_ptr>>
subprocess_backend::open_logs(const workload_ref& ref, const log_query& query) {
    auto work = do_open_logs(ref, query);
    return detail::run_on(supervisor_->strand(), std::move(work));
}

ROUNDHOUSE_DECL void
subprocess_backend::on_exit(std::function<void(const workload_exit&)> handler) {
    supervisor_->on_exit(std::move(handler));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::do_create(const workload& requested) {
    auto settling = supervisor_->settle();
    const auto settled = co_await std::move(settling);
    if (!settled) co_return settled;
    const auto& engine = requested.ref.engine_id;
    const auto found = supervisor_->find(engine);
    if (!found) co_return unexpected{found.error()};
    if (const auto& present = *found) {
        const auto plan = core::plan_create(requested.ref, present->ref.generation,
                                            state_of(*present));
        if (!plan) co_return unexpected{plan.error()};
        if (*plan == core::create_plan::keep) {
            present->asked = false; // by a stop that was cancelled
            co_return result<void>{};
        }
    }
    const auto& cgroups = supervisor_->isolation().cgroups();
    // Processes of an engine may be left whose data folder is gone.
    if (*found || detail::subprocess::exists(supervisor_->folder_of(engine)) ||
        detail::subprocess::exists(supervisor_->workload_folder_of(engine)) ||
        cgroups.has(engine)) {
        auto ending = supervisor_->end(engine, supervisor_->options().short_grace);
        const auto ended = co_await std::move(ending);
        if (!ended) co_return ended;
    }
    if (const auto mended = supervisor_->copies().mend(engine); !mended) co_return mended;
    auto owning = own_data_folder(engine);
    const auto uid = co_await std::move(owning);
    if (!uid) co_return unexpected{uid.error()};
    const auto held = supervisor_->ports().keep(requested.ref.port, engine);
    const auto started = held ? start(requested, *uid) : held;
    if (!started) {
        supervisor_->ports().release(requested.ref.port, engine);
        static_cast<void>(cgroups.remove(engine)); // what stays is used by the next start
    }
    if (started || supervisor_->uids().of(engine) == *uid) co_return started;
    auto removing = remove_shared_memory(*uid); // it has undone what it made
    static_cast<void>(co_await std::move(removing));
    supervisor_->uids().release(engine, *uid);
    co_return started;
}

ROUNDHOUSE_DECL asio::awaitable<result<uid_t>>
subprocess_backend::own_data_folder(const uuid& engine) {
    const auto folder = supervisor_->folder_of(engine);
    auto& uids = supervisor_->uids();
    const auto uid = uids.choose(engine);
    const auto owner = detail::subprocess::owner_of(folder);
    if (!uid || *uid == 0 || !owner || *owner == *uid) co_return uid;
    auto changing = change_owner(folder, uids.range(), *uid);
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(changing));
    const auto changed = co_await std::move(elsewhere);
    if (changed) {
        supervisor_->logs().refused().left(engine, folder, *changed);
        co_return uid;
    }
    uids.release(engine, *uid);
    co_return unexpected{changed.error()};
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
subprocess_backend::change_owner(std::string folder, uid_range of_engines, uid_t uid) {
    detail::subprocess::ownership_change giving{std::move(folder), of_engines, uid};
    const auto given = giving.make();
    if (!given) co_return unexpected{given.error()};
    co_return giving.left();
}

ROUNDHOUSE_DECL result<void> subprocess_backend::start(const workload& requested, uid_t uid) {
    namespace sub = detail::subprocess;
    const auto wanted = sub::options_for(supervisor_->options(), requested.version);
    if (!wanted) return unexpected{wanted.error()};
    const auto& options = *wanted;
    const auto& ref = requested.ref;
    auto program = sub::find_program(options);
    if (!program) return unexpected{program.error()};
    sub::launch_files files{supervisor_->folder_of(ref.engine_id),
                            supervisor_->workload_folder_of(ref.engine_id)};
    if (auto made = files.make_folders(uid); !made) return made;
    // An engine whose log has reached the bound of a file could not print again.
    if (const auto rotation = sub::bound_log(files.workload(), options.log_limit_bytes))
        supervisor_->logs().rotated(ref.engine_id, *rotation);
    if (auto opened = files.open_log(uid); !opened) return opened;
    const auto& isolation = supervisor_->isolation();
    const auto rules = isolation.rules_for(options, *program, files.data(), files.log(), ref.port);
    if (!rules) return unexpected{rules.error()};
    const auto listener = sub::listener_to_pass(options, ref.port, uid);
    if (!listener) return unexpected{listener.error()};
    const auto ceilings = sub::ceilings_of(options, requested.limits);
    auto entrances = isolation.cgroups().make(ref.engine_id, ceilings);
    if (!entrances) return unexpected{entrances.error()};
    const sub::launch_plan plan{
        .program = std::move(*program),
        .arguments = options.command,
        .environment = sub::engine_environment(options, requested, files.data()),
        .folder = files.data(),
        .working_folder = files.folder(),
        .output = files.output(),
        .listener = listener->get(),
        .workload_folder = files.workload(),
        .identity_head = sub::identity_head({.engine_id = ref.engine_id,
                                             .boot_id = supervisor_->boot_id(),
                                             .generation = ref.generation,
                                             .port = ref.port,
                                             .owner = requested.owner,
                                             .uid = uid}),
        .lock = supervisor_->launch_lock(),
        .cgroups = std::move(*entrances),
        .isolation = sub::isolation_of(options, isolation, rules->get(), uid, ceilings)};
    const auto now = std::chrono::floor<duration>(std::chrono::system_clock::now());
    sub::mark_boot(files.output(), files.workload(), sub::boot_mark(ref.generation, now));
    supervisor_->launches().record(ref, files.workload());
    const auto kills = isolation.cgroups().out_of_memory_kills(ref.engine_id);
    const auto process = sub::launch(plan);
    if (!process) return unexpected{process.error()};
    auto watched = supervisor_->watch(ref, requested.owner, uid, *process,
                                      sub::open_pidfd(*process), kills);
    if (watched) {
        files.keep();
        return {};
    }
    if (const auto ended = sub::end_child(*process); !ended) {
        files.keep(); // the next call finds the process by its identity
        watched.error().message += "; " + ended.error().message;
    }
    return unexpected{watched.error()};
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::do_stop(const workload_ref& ref,
                                                                          duration grace) {
    auto settling = supervisor_->settle();
    const auto settled = co_await std::move(settling);
    if (!settled) co_return settled;
    auto ending = supervisor_->end(ref.engine_id, grace);
    const auto ended = co_await std::move(ending);
    if (ended) supervisor_->ports().release(ref.port, ref.engine_id); // of a boot that did not come
    co_return ended;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::do_pause(const workload_ref& ref,
                                                                           bool paused) {
    auto settling = supervisor_->settle();
    const auto settled = co_await std::move(settling);
    if (!settled) co_return settled;
    auto pausing = supervisor_->set_paused(ref.engine_id, paused);
    co_return co_await std::move(pausing);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::do_destroy(const workload_ref& ref) {
    auto stopping = do_stop(ref, supervisor_->options().short_grace);
    const auto stopped = co_await std::move(stopping);
    if (!stopped) co_return stopped;
    supervisor_->launches().forget(ref.engine_id);
    // While the folders still say whose it is, for a repeat to find if this is cancelled.
    const auto uid = supervisor_->uids().of(ref.engine_id);
    auto forgetting = remove_shared_memory(uid);
    static_cast<void>(co_await std::move(forgetting));
    auto removing = remove_folder_of(ref.engine_id);
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(removing));
    const auto removed = co_await std::move(elsewhere);
    supervisor_->logs().forget(ref.engine_id); // not before: the log would be noted again
    if (removed) supervisor_->uids().release(ref.engine_id, uid);
    co_return removed;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::remove_folder_of(const uuid& engine) {
    auto removing_copies = remove_copies_of(engine);
    if (const auto removed = co_await std::move(removing_copies); !removed) co_return removed;
    auto removing = take_away(supervisor_->engines(), engine);
    if (const auto removed = co_await std::move(removing); !removed) co_return removed;
    // The identity last: until then `list` shows that something is left. What is in its folder is
    // bounded, because engines do not write there.
    co_return detail::subprocess::remove_folder(supervisor_->workload_folder_of(engine));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> subprocess_backend::remove_shared_memory(uid_t uid) {
    if (uid == 0) co_return result<void>{};
    auto removing = detail::subprocess::remove_gradually(uid, detail::subprocess::shared_memory);
    auto elsewhere = detail::run_on(supervisor_->removals(), std::move(removing));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<key_swap>>
subprocess_backend::do_swap_key(const workload_ref& ref, const std::string& key,
                                const sha256_digest& next) {
    auto checking = check_port(ref, false);
    if (const auto checked = co_await std::move(checking); !checked)
        co_return unexpected{checked.error()};
    const auto peer = detail::subprocess::engine_at(ref.port);
    const auto& options = supervisor_->options();
    auto call = detail::offer_key(peer, ref.engine_id, key, next, options.answers,
                                  options.swap_timeout);
    co_return co_await std::move(call);
}

ROUNDHOUSE_DECL asio::awaitable<result<health>>
subprocess_backend::do_probe(const workload_ref& ref, duration timeout) {
    const auto peer = detail::subprocess::engine_at(ref.port);
    auto call = detail::ask_health(peer, supervisor_->options().answers, timeout);
    const auto answer = co_await std::move(call);
    auto checking = check_port(ref, answer.has_value());
    const auto checked = co_await std::move(checking);
    if (!checked) co_return unexpected{checked.error()};
    co_return answer;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
subprocess_backend::check_port(const workload_ref& ref, bool answered) {
    auto checking = supervisor_->check_port(ref.engine_id, ref.port, answered);
    return detail::run_on(supervisor_->strand(), std::move(checking));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
subprocess_backend::do_boot_logs(const workload_ref& ref, std::size_t tail) {
    const auto start = supervisor_->launches().find(ref);
    if (!start) co_return std::string{};
    auto reading = read_output(ref.engine_id, tail, *start);
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(reading));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<log_source_ptr>>
subprocess_backend::do_open_logs(workload_ref ref, log_query query) {
    detail::subprocess::watch_ptr followed;
    if (query.follow) {
        const auto found = supervisor_->find(ref.engine_id);
        if (!found) co_return unexpected{found.error()};
        followed = *found;
    }
    auto& logs = supervisor_->logs();
    auto opening = logs.open(ref.engine_id, query, std::move(followed));
    auto elsewhere = detail::run_on(logs.strand(), std::move(opening));
    co_return co_await std::move(elsewhere);
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
subprocess_backend::read_output(uuid engine, std::size_t tail,
                                detail::subprocess::log_position start) {
    co_return detail::subprocess::read_log_tail(supervisor_->workload_folder_of(engine), tail,
                                                supervisor_->options().log_tail_bytes, start);
}

ROUNDHOUSE_DECL asio::awaitable<result<std::vector<found_workload>>> subprocess_backend::do_list() {
    auto settling = supervisor_->settle();
    const auto settled = co_await std::move(settling);
    if (!settled) co_return unexpected{settled.error()};
    auto reading = read_engines();
    auto elsewhere = detail::run_on(supervisor_->own_strand(), std::move(reading));
    const auto found = co_await std::move(elsewhere);
    if (!found) co_return unexpected{found.error()};
    std::vector<found_workload> workloads;
    for (const auto& [engine, identity] : *found) {
        auto seen = look_at(engine, identity);
        if (!seen) co_return unexpected{seen.error()};
        workloads.push_back(*seen);
    }
    auto sweeping = supervisor_->end_leftovers();
    co_await std::move(sweeping);
    co_return workloads;
}

ROUNDHOUSE_DECL asio::awaitable<result<std::vector<detail::subprocess::engine_folder>>>
subprocess_backend::read_engines() {
    // An engine's process may run although its data folder is gone, and the other way round.
    const auto engines = detail::subprocess::engines_in_either(supervisor_->engines(),
                                                               supervisor_->workloads());
    if (!engines) co_return unexpected{engines.error()};
    std::vector<detail::subprocess::engine_folder> found;
    for (const auto& engine : *engines) {
        auto identity = supervisor_->identity_of(engine);
        if (!identity) co_return unexpected{identity.error()};
        found.push_back({.engine = engine, .identity = std::move(*identity)});
    }
    co_return found;
}

ROUNDHOUSE_DECL result<found_workload>
subprocess_backend::look_at(const uuid& engine,
                            const std::optional<detail::subprocess::process_identity>& identity) {
    found_workload seen{.ref = {.engine_id = engine, .generation = 0, .port = 0}};
    if (identity) {
        seen.ref.generation = identity->generation;
        seen.ref.port = identity->port;
        seen.owner = identity->owner;
    }
    // One that is watched runs, whatever lies in the place of its identity.
    const auto found = identity ? supervisor_->adopt(engine, *identity) : supervisor_->find(engine);
    if (!found) return unexpected{found.error()};
    const auto& watched = *found;
    if (!watched) return seen;
    seen.ref = watched->ref;
    seen.owner = watched->owner;
    seen.state = state_of(*watched);
    return seen;
}

ROUNDHOUSE_DECL workload_state
subprocess_backend::state_of(detail::subprocess::process_watch& watched) {
    const auto stat = detail::subprocess::read_process_stat(watched.pid);
    // In this order: if the process has not ended now, the pid was its own above.
    if (!stat || detail::subprocess::has_ended(watched.pidfd())) return workload_state::down;
    return stat->stopped() ? workload_state::paused : workload_state::up;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
