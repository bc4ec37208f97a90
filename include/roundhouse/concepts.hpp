#pragma once

#include <roundhouse/concepts_store.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/optional_member.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The three parameters of the orchestrator. Each member has a concept of its own, so that a type
/// which lacks a member is refused with the member's name by `require_backend`, `require_store` or
/// `require_clock`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::member {

template <class C>
concept now = requires(const C& c) {
    { c.now() } noexcept -> std::same_as<instant>;
};
template <class C>
concept steady_now = requires(const C& c) {
    { c.steady_now() } noexcept -> std::same_as<duration>;
};
template <class C>
concept wait_for = requires(C& c, duration d) {
    { c.wait_for(d) } -> std::same_as<asio::awaitable<void>>;
};

template <class B>
concept needs_port = requires(const B& b) {
    { b.needs_port() } noexcept -> std::same_as<bool>;
};
template <class B>
concept port_usable = requires(const B& b, std::uint16_t p) {
    { b.port_usable(p) } -> std::same_as<bool>;
};
template <class B>
concept url = requires(const B& b, const uuid& id, std::uint16_t p) {
    { b.url(id, p) } -> std::same_as<std::string>;
};
template <class B>
concept create = requires(B& b, const workload& w) {
    { b.create(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept stop = requires(B& b, const workload_ref& w, duration grace) {
    { b.stop(w, grace) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept pause = requires(B& b, const workload_ref& w) {
    { b.pause(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept resume = requires(B& b, const workload_ref& w) {
    { b.resume(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept destroy = requires(B& b, const workload_ref& w) {
    { b.destroy(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept swap_key = requires(B& b, const workload_ref& w, const std::string& key,
                            const sha256_digest& next) {
    { b.swap_key(w, key, next) } -> std::same_as<asio::awaitable<result<key_swap>>>;
};
template <class B>
concept probe = requires(B& b, const workload_ref& w, duration timeout) {
    { b.probe(w, timeout) } -> std::same_as<asio::awaitable<result<health>>>;
};
template <class B>
concept list = requires(B& b) {
    { b.list() } -> std::same_as<asio::awaitable<result<std::vector<found_workload>>>>;
};
template <class B>
concept logs = requires(B& b, const workload_ref& w, std::size_t tail) {
    { b.logs(w, tail) } -> std::same_as<asio::awaitable<result<std::string>>>;
};
template <class B>
concept on_exit = requires(B& b, std::function<void(const workload_exit&)> handler) {
    b.on_exit(std::move(handler));
};

template <class B>
concept prepare = requires(B& b, const workload& w) {
    { b.prepare(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept discard = requires(B& b, const workload_ref& w, duration grace) {
    { b.discard(w, grace) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept boot_logs = requires(B& b, const workload_ref& w, std::size_t tail) {
    { b.boot_logs(w, tail) } -> std::same_as<asio::awaitable<result<std::string>>>;
};
template <class B>
concept open_logs = requires(B& b, const workload_ref& w, const log_query& query) {
    { b.open_logs(w, query) } -> std::same_as<asio::awaitable<result<log_source_ptr>>>;
};
template <class B>
concept isolation = requires(const B& b) {
    { b.isolation() } -> std::same_as<std::vector<std::string>>;
};
template <class B>
concept limits = requires(const B& b) {
    { b.limits() } -> std::same_as<limit_support>;
};
template <class B>
concept copy_data = requires(B& b, const workload_ref& w, std::optional<std::uint64_t> max_bytes) {
    { b.copy_data(w, max_bytes) } -> std::same_as<asio::awaitable<result<bool>>>;
};
template <class B>
concept restore_data = requires(B& b, const workload_ref& w) {
    { b.restore_data(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept drop_copy = requires(B& b, const workload_ref& w) {
    { b.drop_copy(w) } -> std::same_as<asio::awaitable<result<void>>>;
};
template <class B>
concept on_pause = requires(B& b, std::function<void(const workload_pause&)> handler) {
    b.on_pause(std::move(handler));
};

/// What a type declares in `optional_members`; nothing if it does not.
template <class T> consteval optional_member declared() {
    if constexpr (requires { T::optional_members; }) return T::optional_members;
    else return optional_member::none;
}
template <class T> consteval bool declares(optional_member member) {
    return (static_cast<unsigned>(declared<T>()) & static_cast<unsigned>(member)) != 0;
}

} // namespace detail::member

/// Tells the time and waits. All members may be called from any thread.
///
/// - `now` is wall time, for records. It may be set back or forward at any moment.
/// - `steady_now` never goes back. It counts from an epoch of its own, for measuring.
/// - `wait_for` returns when as much time has passed on the steady clock; at once if that is none. It
///   can be cancelled through the cancellation slot of the awaiting coroutine, and throws
///   `asio::error::operation_aborted` then.
template <class C>
concept clock = detail::member::now<C> && detail::member::steady_now<C> &&
                detail::member::wait_for<C>;

/// Starts and ends workloads.
///
/// Operations on different engines may run at once, from any thread. On one engine the orchestrator
/// runs one at a time, except that `probe` and the logs may overlap with others. Arguments stay
/// alive until the awaitable is done. A coroutine may be cancelled at any of its waits. Failures of
/// the backend are `errc::backend_error`.
///
/// Every operation is idempotent for an (engine, generation): a repeat finds the work done and
/// succeeds.
///
/// - `create` returns once the workload has been started, not when it is healthy. It replaces what
///   is left of an older generation, and leaves a newer one alone and fails. If it fails it leaves
///   no workload: data that existed before stays, data that it made itself is removed. It fails
///   with `errc::backend_away` only if the backend could not be reached, so that surely nothing was
///   done, and with `errc::port_taken` if another program holds its port: the next boot gets another.
///   The workload has the variables of `workload::env`, but for those that have the name of one that
///   the backend sets itself.
/// - `stop`, `destroy`, `pause` and `resume` act on whatever generation of the engine they find.
///   `stop` and `destroy` succeed if there is nothing, and also end a paused workload. `stop` keeps
///   the data; only `destroy` removes it.
/// - `swap_key` fails only if the engine surely still has its old key. If that is not known it
///   returns `key_swap::unknown`.
/// - `probe` fails unless the engine answers as SPEC §5 asks of a healthy one within the timeout.
///   Its error says what the answer was. It fails with `errc::port_taken` if another process listens
///   in the engine's place: then a boot is given up, and the next one gets another port. So does
///   `swap_key`, without sending the key.
/// - `list` shows every workload, or remains of one, that carries this installation's mark. It is
///   used for recovery.
/// - `on_exit` sets the handler that is called once for each workload that ended without `stop`,
///   `destroy` or the `create` of a newer generation asking for it: from any thread, but never from
///   inside another call. After `on_exit(nullptr)` has returned no handler runs.
/// - `port_usable` says whether a host port is free for an engine: false if a process that is no
///   engine holds it. A backend may hold a port that it has called free against other programs, for
///   a while or until `stop` or `destroy`. It may make a few system calls, and does not block.
/// - `trouble` says why no workload can be handled at present; nothing if they can.
template <class B>
concept backend = detail::member::name<B> && detail::member::trouble<B> &&
                  detail::member::needs_port<B> && detail::member::port_usable<B> &&
                  detail::member::url<B> && detail::member::create<B> && detail::member::stop<B> &&
                  detail::member::pause<B> && detail::member::resume<B> &&
                  detail::member::destroy<B> && detail::member::swap_key<B> &&
                  detail::member::probe<B> && detail::member::list<B> && detail::member::logs<B> &&
                  detail::member::on_exit<B>;

// Optional members of a backend. A backend that has one says so in `optional_members`, so that a
// misspelt member is refused instead of ignored.

/// `asio::awaitable<result<void>> prepare(const workload&)` fetches what `create` will need, such as
/// an image. It may take long and be cancelled at any time; what it leaves is of no importance. It
/// fails as `create` does. Between it and `create` the boot may wait for its turn.
template <class B> concept prepares = backend<B> && detail::member::prepare<B>;

/// `asio::awaitable<result<void>> discard(const workload_ref&, duration grace)` leaves nothing of a
/// workload but its data, for a backend whose `stop` leaves more.
template <class B> concept discards = backend<B> && detail::member::discard<B>;

/// `void on_pause(std::function<void(const workload_pause&)>)` sets the handler that is called, as
/// that of `on_exit` is, when a workload is paused or resumed by somebody else than the backend.
template <class B> concept reports_pauses = backend<B> && detail::member::on_pause<B>;

/// `asio::awaitable<result<std::string>> boot_logs(const workload_ref&, std::size_t tail)` returns
/// what this workload wrote, for a backend whose `logs` also show what earlier ones wrote.
template <class B> concept separates_boot_logs = backend<B> && detail::member::boot_logs<B>;

/// `asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref&, const log_query&)` opens
/// the workload's output, to be read in pieces and followed. Of a workload that does not exist there
/// is nothing to read. Without this member, output can be read by `logs` only.
template <class B> concept opens_logs = backend<B> && detail::member::open_logs<B>;

/// `std::vector<std::string> isolation() const` names what keeps engines from this program and from
/// each other, for people.
template <class B> concept names_isolation = backend<B> && detail::member::isolation<B>;
/// `limit_support limits() const` says which ceilings of `workload::limits` it holds, and which hold
/// without them. It does not block. A backend without this member holds none, and gets none.
template <class B> concept holds_limits = backend<B> && detail::member::limits<B>;

/// Keeps one copy of an engine's data beside it, with three members. They are asked for an engine
/// whose workload does not run; if it does, `copy_data` and `restore_data` fail.
///
/// - `asio::awaitable<result<bool>> copy_data(const workload_ref&, std::optional<std::uint64_t>
///   max_bytes)` copies the data, in place of an earlier copy, which may be part of one that was
///   interrupted. False if there is no copy afterwards because the data is larger than `max_bytes`
///   or because there is no data. A copy that it reports outlives a crash of the machine. If it
///   fails it leaves no copy where that is possible. It may take long and be cancelled; what it
///   leaves then is no copy, and the next call replaces it.
/// - `asio::awaitable<result<void>> restore_data(const workload_ref&)` puts the copy in the place of
///   the data, which is lost; afterwards there is no copy. Ended at any instruction and repeated, it
///   ends with the copy's data. Without a copy it changes nothing and succeeds.
/// - `asio::awaitable<result<void>> drop_copy(const workload_ref&)` removes the copy, and succeeds if
///   there is none. It too first ends what an interrupted `restore_data` has begun.
///
/// `destroy` removes the copy too, and no other member does. `create` leaves it; but first it ends what
/// a `restore_data` that was interrupted has begun, or fails.
template <class B>
concept copies_data = backend<B> && detail::member::copy_data<B> &&
                      detail::member::restore_data<B> && detail::member::drop_copy<B>;

/// Refuses a type that is no clock, naming what it lacks.
template <class C> consteval bool require_clock() {
    namespace member = detail::member;
    static_assert(member::now<C>, "clock: lacks `instant now() const noexcept`");
    static_assert(member::steady_now<C>, "clock: lacks `duration steady_now() const noexcept`");
    static_assert(member::wait_for<C>, "clock: lacks `asio::awaitable<void> wait_for(duration)`");
    return true;
}

/// Refuses a type that is no backend, naming what it lacks.
template <class B> consteval bool require_backend() {
    namespace member = detail::member;
    static_assert(member::name<B>, "backend: lacks `std::string_view name() const noexcept`");
    static_assert(member::trouble<B>,
                  "backend: lacks `std::optional<std::string> trouble() const`");
    static_assert(member::needs_port<B>, "backend: lacks `bool needs_port() const noexcept`");
    static_assert(member::port_usable<B>, "backend: lacks `bool port_usable(std::uint16_t) const`");
    static_assert(member::url<B>,
                  "backend: lacks `std::string url(const uuid&, std::uint16_t) const`");
    static_assert(member::create<B>,
                  "backend: lacks `asio::awaitable<result<void>> create(const workload&)`");
    static_assert(
        member::stop<B>,
        "backend: lacks `asio::awaitable<result<void>> stop(const workload_ref&, duration)`");
    static_assert(member::pause<B>,
                  "backend: lacks `asio::awaitable<result<void>> pause(const workload_ref&)`");
    static_assert(member::resume<B>,
                  "backend: lacks `asio::awaitable<result<void>> resume(const workload_ref&)`");
    static_assert(member::destroy<B>,
                  "backend: lacks `asio::awaitable<result<void>> destroy(const workload_ref&)`");
    static_assert(
        member::swap_key<B>,
        "backend: lacks `asio::awaitable<result<key_swap>> swap_key(const workload_ref&, const "
        "std::string&, const sha256_digest&)`");
    static_assert(
        member::probe<B>,
        "backend: lacks `asio::awaitable<result<health>> probe(const workload_ref&, duration)`");
    static_assert(member::list<B>,
                  "backend: lacks `asio::awaitable<result<std::vector<found_workload>>> list()`");
    static_assert(member::logs<B>,
                  "backend: lacks `asio::awaitable<result<std::string>> logs(const "
                  "workload_ref&, std::size_t)`");
    static_assert(member::on_exit<B>,
                  "backend: lacks `void on_exit(std::function<void(const workload_exit&)>)`");
    static_assert(member::declares<B>(optional_member::prepare) == member::prepare<B>,
                  "backend: `optional_members` and `asio::awaitable<result<void>> prepare(const "
                  "workload&)` must both be there, or neither");
    static_assert(member::declares<B>(optional_member::discard) == member::discard<B>,
                  "backend: `optional_members` and `asio::awaitable<result<void>> discard(const "
                  "workload_ref&, duration)` must both be there, or neither");
    static_assert(member::declares<B>(optional_member::on_pause) == member::on_pause<B>,
                  "backend: `optional_members` and `void on_pause(std::function<void(const "
                  "workload_pause&)>)` must both be there, or neither");
    static_assert(member::declares<B>(optional_member::boot_logs) == member::boot_logs<B>,
                  "backend: `optional_members` and `asio::awaitable<result<std::string>> "
                  "boot_logs(const workload_ref&, std::size_t)` must both be there, or neither");
    static_assert(
        member::declares<B>(optional_member::open_logs) == member::open_logs<B>,
        "backend: `optional_members` and `asio::awaitable<result<log_source_ptr>> open_logs(const "
        "workload_ref&, const log_query&)` must both be there, or neither");
    static_assert(
        member::declares<B>(optional_member::isolation) == member::isolation<B>,
        "backend: `optional_members` and `std::vector<std::string> isolation() const` must "
        "both be there, or neither");
    static_assert(member::declares<B>(optional_member::limits) == member::limits<B>,
                  "backend: `optional_members` and `limit_support limits() const` must both be "
                  "there, or neither");
    static_assert(member::declares<B>(optional_member::data_copy) == member::copy_data<B>,
                  "backend: `optional_members` and `asio::awaitable<result<bool>> copy_data(const "
                  "workload_ref&, std::optional<std::uint64_t>)` must both be there, or neither");
    static_assert(member::declares<B>(optional_member::data_copy) == member::restore_data<B>,
                  "backend: `optional_members` and `asio::awaitable<result<void>> "
                  "restore_data(const workload_ref&)` must both be there, or neither");
    static_assert(member::declares<B>(optional_member::data_copy) == member::drop_copy<B>,
                  "backend: `optional_members` and `asio::awaitable<result<void>> "
                  "drop_copy(const workload_ref&)` must both be there, or neither");
    return true;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
