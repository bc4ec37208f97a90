#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// What a store must do. `concepts.hpp` includes it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::member {

template <class T>
concept name = requires(const T& t) {
    { t.name() } noexcept -> std::same_as<std::string_view>;
};
template <class T>
concept trouble = requires(const T& t) {
    { t.trouble() } -> std::same_as<std::optional<std::string>>;
};
template <class S>
concept find_product = requires(const S& s, const sha256_digest& key_hash) {
    { s.find_product(key_hash) } -> std::same_as<result<product_ptr>>;
};
template <class S>
concept find_product_named = requires(const S& s, std::string_view id_or_slug) {
    { s.find_product_named(id_or_slug) } -> std::same_as<result<product_ptr>>;
};
template <class S>
concept find_product_by_id = requires(const S& s, const uuid& id) {
    { s.find_product_by_id(id) } -> std::same_as<result<product_ptr>>;
};
template <class S>
concept list_products = requires(const S& s, const product_query& query) {
    { s.list_products(query) } -> std::same_as<result<product_page>>;
};
template <class S>
concept find_engine = requires(const S& s, const uuid& product, std::string_view user) {
    { s.find_engine(product, user) } -> std::same_as<result<engine_ptr>>;
};
template <class S>
concept find_engine_by_id = requires(const S& s, const uuid& engine) {
    { s.find_engine_by_id(engine) } -> std::same_as<result<engine_ptr>>;
};
template <class S>
concept list_engines = requires(const S& s, const engine_query& query) {
    { s.list_engines(query) } -> std::same_as<result<engine_page>>;
};
template <class S>
concept for_each_engine = requires(const S& s,
                                   const std::function<void(const result<engine_ptr>&)>& visit) {
    { s.for_each_engine(visit) } -> std::same_as<result<void>>;
};
template <class S>
concept counts = requires(const S& s, const uuid& product) {
    { s.counts(product) } -> std::same_as<result<fleet_counts>>;
};
template <class S>
concept counts_of_all = requires(const S& s) {
    { s.counts_of_all() } -> std::same_as<result<fleet_counts>>;
};
template <class S>
concept audit = requires(const S& s, const audit_query& query) {
    { s.audit(query) } -> std::same_as<result<audit_page>>;
};
template <class S>
concept for_each_audit = requires(const S& s, instant since,
                                  const std::function<void(const result<audit_entry>&)>& visit) {
    { s.for_each_audit(since, visit) } -> std::same_as<result<void>>;
};
template <class S>
concept commit = requires(S& s, const change_set& changes) {
    { s.commit(changes) } -> std::same_as<result<committed>>;
};
template <class S>
concept note_activity = requires(S& s, std::span<const engine_activity> seen) {
    { s.note_activity(seen) } -> std::same_as<result<void>>;
};
template <class S>
concept prune_audit = requires(S& s, instant before, std::size_t most) {
    { s.prune_audit(before, most) } -> std::same_as<result<std::size_t>>;
};
template <class S>
concept find_idempotency = requires(const S& s, const idempotency_id& id) {
    { s.find_idempotency(id) } -> std::same_as<result<idempotency_ptr>>;
};
template <class S>
concept for_each_idempotency = requires(
    const S& s, const std::function<void(const result<idempotency_ptr>&)>& visit) {
    { s.for_each_idempotency(visit) } -> std::same_as<result<void>>;
};
template <class S>
concept prune_idempotency = requires(S& s, instant before, std::size_t most) {
    { s.prune_idempotency(before, most) } -> std::same_as<result<std::size_t>>;
};

} // namespace detail::member

/// Keeps the fleet. All members may be called from any thread.
///
/// - Reads do not wait for the I/O of a writer, and see the last commit that returned. A pointer
///   without an object means that there is none; a failure means that the record cannot be read.
/// - `commit` applies the whole batch durably before it returns success, or changes nothing. It
///   compares revisions, and takes quota, uniqueness and port inside the transaction. It may block
///   on I/O, so it must not be called on an I/O thread. `errc::store_unavailable` means that it may
///   succeed later (no room, an I/O error).
/// - `for_each_engine` visits a consistent state, and `for_each_audit` the rows of all products
///   since a time, oldest first. The visitors must not call the store. A record that cannot be read
///   is visited as the error that names it; listings and audit pages leave it out.
/// - `list_engines` answers a query by `user_prefix` or `metadata` in time that grows with the engines
///   that match it, not with the fleet, by the rows of the last commit. One of all products also
///   takes time that grows with the number of products. `counts_of_all` takes that time too.
/// - `audit` of all products, unless it is about one engine, ends a page after it has looked at
///   `audit_query::most_examined` rows.
/// - `note_activity` keeps the later of a record's `last_activity_at` and what was seen. It is no
///   change of the record: the revision stays, and engines that are gone are passed over. It is as
///   durable and as blocking as a commit.
/// - `find_idempotency` finds the record of a key, also one that is not in force any more.
///   `prune_idempotency` removes at most so many records that were made before a time, of each
///   product those that were added first; it may stop at one that is younger.
///   `for_each_idempotency` visits all of them as `for_each_engine` visits engines.
/// - `trouble` says why no commit can succeed at present; nothing if they can.
///
/// An orchestrator answers admits of running engines from what it has read of them once. While it is
/// there, nobody else may change engines in its store, but for what is sealed in them (`reseal_keys`).
template <class S>
concept store = detail::member::name<S> && detail::member::trouble<S> &&
                detail::member::find_product<S> && detail::member::find_product_named<S> &&
                detail::member::find_product_by_id<S> && detail::member::list_products<S> &&
                detail::member::find_engine<S> && detail::member::find_engine_by_id<S> &&
                detail::member::list_engines<S> && detail::member::for_each_engine<S> &&
                detail::member::counts<S> && detail::member::counts_of_all<S> &&
                detail::member::audit<S> && detail::member::for_each_audit<S> &&
                detail::member::commit<S> && detail::member::note_activity<S> &&
                detail::member::prune_audit<S> && detail::member::find_idempotency<S> &&
                detail::member::for_each_idempotency<S> && detail::member::prune_idempotency<S>;

/// Refuses a type that is no store, naming what it lacks.
template <class S> consteval bool require_store() {
    namespace member = detail::member;
    static_assert(member::name<S>, "store: lacks `std::string_view name() const noexcept`");
    static_assert(member::trouble<S>, "store: lacks `std::optional<std::string> trouble() const`");
    static_assert(member::find_product<S>,
                  "store: lacks `result<product_ptr> find_product(const sha256_digest&) const`");
    static_assert(member::find_product_named<S>,
                  "store: lacks `result<product_ptr> find_product_named(std::string_view) const`");
    static_assert(member::find_product_by_id<S>,
                  "store: lacks `result<product_ptr> find_product_by_id(const uuid&) const`");
    static_assert(member::list_products<S>,
                  "store: lacks `result<product_page> list_products(const product_query&) const`");
    static_assert(
        member::find_engine<S>,
        "store: lacks `result<engine_ptr> find_engine(const uuid&, std::string_view) const`");
    static_assert(member::find_engine_by_id<S>,
                  "store: lacks `result<engine_ptr> find_engine_by_id(const uuid&) const`");
    static_assert(member::list_engines<S>,
                  "store: lacks `result<engine_page> list_engines(const engine_query&) const`");
    static_assert(member::for_each_engine<S>,
                  "store: lacks `result<void> for_each_engine(const std::function<void(const "
                  "result<engine_ptr>&)>&) const`");
    static_assert(member::counts<S>,
                  "store: lacks `result<fleet_counts> counts(const uuid&) const`");
    static_assert(member::counts_of_all<S>,
                  "store: lacks `result<fleet_counts> counts_of_all() const`");
    static_assert(member::audit<S>,
                  "store: lacks `result<audit_page> audit(const audit_query&) const`");
    static_assert(
        member::for_each_audit<S>,
        "store: lacks `result<void> for_each_audit(instant, const std::function<void(const "
        "result<audit_entry>&)>&) const`");
    static_assert(member::commit<S>, "store: lacks `result<committed> commit(const change_set&)`");
    static_assert(member::note_activity<S>,
                  "store: lacks `result<void> note_activity(std::span<const engine_activity>)`");
    static_assert(member::prune_audit<S>,
                  "store: lacks `result<std::size_t> prune_audit(instant, std::size_t)`");
    static_assert(
        member::find_idempotency<S>,
        "store: lacks `result<idempotency_ptr> find_idempotency(const idempotency_id&) const`");
    static_assert(member::for_each_idempotency<S>,
                  "store: lacks `result<void> for_each_idempotency(const std::function<void(const "
                  "result<idempotency_ptr>&)>&) const`");
    static_assert(member::prune_idempotency<S>,
                  "store: lacks `result<std::size_t> prune_idempotency(instant, std::size_t)`");
    return true;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
