#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The audit rows and their indexes. The keys of an index end in the row's id, so that a query
/// walks the rows of its narrowest filter, newest first.
///
/// Times are found through `audit_by_time`. Its keys hold the latest timestamp so far, which grows
/// with the ids even where the wall clock was set back. `store_state::set_back` is the most that a
/// row's timestamp is before it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

[[nodiscard]] inline key_bytes audit_key_of(std::uint64_t id) { return key_bytes().number(id); }

/// The id of the row that an index entry leads to.
[[nodiscard]] inline std::uint64_t row_of(std::string_view index_key) noexcept {
    return load_big_endian<std::uint64_t>(index_key.data() + index_key.size() -
                                          sizeof(std::uint64_t));
}

/// Where an index leads to a row.
struct audit_index {
    database index;
    key_bytes prefix; ///< The row's id follows.
};

[[nodiscard]] inline audit_index by_product(const uuid& product) {
    return {database::audit_by_product, key_of(product)};
}
/// The zero byte separates a user from users whose ids begin with theirs.
[[nodiscard]] inline audit_index by_user(const uuid& product, std::string_view user) {
    return {database::audit_by_user, key_bytes().id(product).text(user).number(std::uint8_t{0})};
}
[[nodiscard]] inline audit_index by_engine(const uuid& engine) {
    return {database::audit_by_engine, key_of(engine)};
}
[[nodiscard]] inline audit_index by_action(const uuid& product, audit_action action) {
    return {database::audit_by_action,
            key_bytes().id(product).number(static_cast<std::uint8_t>(action))};
}

/// The entries of all indexes that lead to a row.
[[nodiscard]] inline std::vector<audit_index> indexes_of(const audit_entry& row) {
    std::vector<audit_index> out;
    if (row.engine_id) out.push_back(by_engine(*row.engine_id));
    if (!row.product_id) return out;
    out.push_back(by_product(*row.product_id));
    out.push_back(by_action(*row.product_id, row.action));
    if (row.user_id && row.user_id->size() <= longest_user_id)
        out.push_back(by_user(*row.product_id, *row.user_id));
    return out;
}

[[nodiscard]] inline std::uint64_t as_number(instant at) noexcept {
    return static_cast<std::uint64_t>(std::max(at, instant{}).time_since_epoch().count());
}

/// How far a row's timestamp is behind the latest so far. Times before 1970 count as 1970, as in
/// `audit_by_time`.
[[nodiscard]] inline duration behind(instant latest, const audit_entry& row) noexcept {
    return latest - std::max(row.timestamp, instant{});
}

/// Whether a row is the first of a second, and so has an entry in `audit_by_time`; `latest` is the
/// latest timestamp before it.
[[nodiscard]] inline bool begins_second(const audit_entry& row, instant latest) noexcept {
    const auto second = [](instant at) { return std::chrono::floor<std::chrono::seconds>(at); };
    return row.id == 1 || second(row.timestamp) > second(latest);
}

/// The key in `audit_by_time` of a row that begins a second: its timestamp is the latest so far.
[[nodiscard]] inline key_bytes time_key_of(const audit_entry& row) {
    return key_bytes().number(as_number(row.timestamp)).number(row.id);
}

inline void note_time(const transaction& txn, const audit_entry& row, store_state& state) {
    if (begins_second(row, state.latest_audit))
        txn.put(database::audit_by_time, time_key_of(row).view(), {});
    state.latest_audit = std::max(state.latest_audit, row.timestamp);
    state.set_back = std::max(state.set_back, behind(state.latest_audit, row));
}

/// Puts a row and its index entries.
inline void put_row(const transaction& txn, const audit_entry& row) {
    put_record(txn, database::audit, audit_key_of(row.id).view(), row);
    for (auto& [index, prefix] : indexes_of(row)) txn.put(index, prefix.number(row.id).view(), {});
}

/// Adds a row, and returns its id.
inline std::uint64_t append(const transaction& txn, audit_entry row, store_state& state) {
    row.id = ++state.last_audit_id;
    note_time(txn, row, state);
    put_row(txn, row);
    return row.id;
}

/// Replaces the metadata of a row, if it is still there.
inline void amend(const transaction& txn, const core::audit_amendment& amendment) {
    const auto key = audit_key_of(amendment.id);
    auto row = find_record<audit_entry>(txn, database::audit, key.view());
    if (!row) return;
    row->metadata = amendment.metadata;
    put_record(txn, database::audit, key.view(), *row);
}

/// A span of row ids: from `first` to before `end`.
struct id_range {
    std::uint64_t first = 0;
    std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
};

/// No row before the result has a timestamp of `since` or later.
[[nodiscard]] inline std::uint64_t first_id_since(const transaction& txn, instant since) {
    cursor times(txn, database::audit_by_time);
    const auto after = key_bytes().number(as_number(since)).number(id_range{}.end);
    if (!times.seek_before(after.view())) return 0;
    return row_of(times.key());
}

/// No row from the result on has a timestamp before `until`.
[[nodiscard]] inline std::uint64_t end_id_until(const transaction& txn, instant until,
                                                duration set_back) {
    if (until < instant{} || until > instant::max() - set_back) return id_range{}.end;
    cursor times(txn, database::audit_by_time);
    if (!times.seek(key_bytes().number(as_number(until + set_back)).view())) return id_range{}.end;
    return row_of(times.key());
}

/// The ids between which all matching rows lie.
[[nodiscard]] inline id_range range_of(const transaction& txn, const audit_query& query) {
    id_range ids;
    if (query.since) ids.first = first_id_since(txn, *query.since);
    if (query.until) ids.end = end_id_until(txn, *query.until, read_state(txn).set_back);
    if (query.before) ids.end = std::min(ids.end, *query.before);
    return ids;
}

/// The index for the narrowest filter of a query.
[[nodiscard]] inline audit_index narrowest(const audit_query& query) {
    if (query.engine_id) return by_engine(*query.engine_id);
    if (query.all_products) return {database::audit, key_bytes()};
    if (query.user_id) return by_user(query.product_id, *query.user_id);
    if (query.action) return by_action(query.product_id, *query.action);
    return by_product(query.product_id);
}

/// The row with this id; nothing if it does not exist or is damaged.
[[nodiscard]] inline std::optional<audit_entry> readable_row(const transaction& txn,
                                                             std::uint64_t id) {
    try {
        return find_record<audit_entry>(txn, database::audit, audit_key_of(id).view());
    } catch (const failure& failed) {
        if (failed.code() != MDB_SUCCESS) throw;
        return std::nullopt;
    }
}

[[nodiscard]] inline audit_page read_audit(const transaction& txn, const audit_query& query) {
    audit_page page;
    if (query.limit == 0 || (query.user_id && query.user_id->size() > longest_user_id)) return page;
    const auto ids = range_of(txn, query);
    const auto [index, prefix] = narrowest(query);
    cursor rows(txn, index);
    auto start = prefix;
    audit_walk walk(query);
    for (bool more = rows.seek_before(start.number(ids.end).view());
         more && rows.key().starts_with(prefix.view()); more = rows.previous()) {
        const auto id_bytes = rows.key().substr(prefix.view().size());
        if (id_bytes.size() != sizeof(std::uint64_t)) continue; // a longer user id
        const auto id = load_big_endian<std::uint64_t>(id_bytes.data());
        if (id < ids.first || !walk.may_examine(id, page)) break;
        auto row = readable_row(txn, id);
        if (!row || !matches(query, *row)) continue;
        if (page.entries.size() == query.limit) {
            page.next_before = page.entries.back().id;
            break;
        }
        page.entries.push_back(std::move(*row));
    }
    return page;
}

/// Visits the rows since a time, oldest first. A damaged one is visited as the error that names it.
inline void visit_audit(const transaction& txn, instant since,
                        const std::function<void(const result<audit_entry>&)>& visit) {
    cursor rows(txn, database::audit);
    for (bool more = rows.seek(audit_key_of(first_id_since(txn, since)).view()); more;
         more = rows.next()) {
        audit_entry row;
        try {
            read_record(database::audit, rows.key(), rows.value(), row);
        } catch (const failure& failed) {
            visit(unexpected(failed.cause()));
            continue;
        }
        if (row.timestamp >= since) visit(std::move(row));
    }
}

/// Removes a row and its index entries.
inline void remove_row(const transaction& txn, const audit_entry& row) {
    txn.remove(database::audit, audit_key_of(row.id).view());
    for (auto& [index, prefix] : indexes_of(row)) txn.remove(index, prefix.number(row.id).view());
}

/// Removes the index entries of damaged rows, in order, which do not tell their keys: looks at all entries of
/// all indexes, which takes long in a large log, but is seldom needed.
inline void remove_entries(const transaction& txn, const std::vector<std::uint64_t>& rows) {
    if (rows.empty()) return;
    for (const auto index : {database::audit_by_product, database::audit_by_user,
                             database::audit_by_engine, database::audit_by_action}) {
        std::vector<std::string> found;
        {
            cursor entries(txn, index);
            for (bool more = entries.first(); more; more = entries.next())
                if (std::ranges::binary_search(rows, row_of(entries.key())))
                    found.emplace_back(entries.key());
        }
        for (const auto& key : found) txn.remove(index, key);
    }
}

/// Removes the entries of `audit_by_time` up to a row. The entry of a second of which rows are left
/// goes too, which only widens the range of a query.
inline void remove_times(const transaction& txn, std::uint64_t last) {
    for (;;) {
        std::string key;
        {
            cursor times(txn, database::audit_by_time);
            if (!times.first()) return;
            key = times.key();
        }
        if (row_of(key) > last) return;
        txn.remove(database::audit_by_time, key);
    }
}

/// Rows that may be pruned.
struct old_rows {
    std::vector<audit_entry> readable;
    /// Ids of damaged rows that are older than a readable one, in order.
    std::vector<std::uint64_t> damaged;
};

/// Finds the oldest rows, at most `most` readable ones, up to the first whose timestamp is not
/// before `before`.
[[nodiscard]] inline old_rows find_old_rows(const transaction& txn, instant before,
                                            std::size_t most) {
    old_rows found;
    std::vector<std::uint64_t> damaged; // since the last readable row
    cursor rows(txn, database::audit);
    for (bool more = rows.first(); more && found.readable.size() < most; more = rows.next()) {
        const auto id = load_big_endian<std::uint64_t>(rows.key().data());
        auto row = readable_row(txn, id);
        if (!row) {
            damaged.push_back(id);
            continue;
        }
        if (row->timestamp >= before) break;
        found.damaged.insert(found.damaged.end(), damaged.begin(), damaged.end());
        damaged.clear();
        found.readable.push_back(std::move(*row));
    }
    return found;
}

/// Removes the rows that `find_old_rows` finds. Returns the number of readable ones.
inline std::size_t prune(const transaction& txn, instant before, std::size_t most) {
    const auto old = find_old_rows(txn, before, most);
    if (old.readable.empty()) return 0;
    for (const auto& row : old.readable) remove_row(txn, row);
    for (const auto id : old.damaged) txn.remove(database::audit, audit_key_of(id).view());
    remove_entries(txn, old.damaged);
    remove_times(txn, old.readable.back().id);
    return old.readable.size();
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
