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

/// The audit rows and their indexes. An index ends in the row's id, so that a query walks the rows
/// that its narrowest filter names, newest first.
///
/// Times are found through `audit_by_time`, which has the *latest timestamp so far*: that grows
/// with the ids even where the wall clock was set back. `store_state::set_back` bounds what a row
/// can be behind it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

[[nodiscard]] inline key_bytes audit_key_of(std::uint64_t id) { return key_bytes().number(id); }

struct index_entry {
    database index;
    key_bytes prefix; ///< The row's id follows.
};

[[nodiscard]] inline index_entry by_product(const uuid& product) {
    return {database::audit_by_product, key_of(product)};
}
/// The zero keeps a user apart from those whose ids begin with theirs.
[[nodiscard]] inline index_entry by_user(const uuid& product, std::string_view user) {
    return {database::audit_by_user, engine_key_of(product, user).number(std::uint8_t{0})};
}
[[nodiscard]] inline index_entry by_engine(const uuid& engine) {
    return {database::audit_by_engine, key_of(engine)};
}
[[nodiscard]] inline index_entry by_action(const uuid& product, audit_action action) {
    return {database::audit_by_action,
            key_bytes().id(product).number(static_cast<std::uint8_t>(action))};
}

/// Every index that leads to a row.
[[nodiscard]] inline std::vector<index_entry> indexes_of(const audit_entry& row) {
    std::vector<index_entry> out;
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

/// How far a row's time is behind the latest so far. Times before 1970 count as 1970, here as in
/// the index.
[[nodiscard]] inline duration behind(instant latest, const audit_entry& row) noexcept {
    return latest - std::max(row.timestamp, instant{});
}

/// Keeps the index of times: an entry for the first row of each second.
inline void note_time(const transaction& in, const audit_entry& row, store_state& state) {
    const auto before = state.latest_audit;
    state.latest_audit = std::max(before, row.timestamp);
    state.set_back = std::max(state.set_back, behind(state.latest_audit, row));
    const auto second = [](instant at) { return std::chrono::floor<std::chrono::seconds>(at); };
    if (row.id == 1 || second(state.latest_audit) > second(before))
        in.put(database::audit_by_time,
               key_bytes().number(as_number(state.latest_audit)).number(row.id).view(), {});
}

/// Adds a row, and returns its id.
inline std::uint64_t append(const transaction& in, audit_entry row, store_state& state) {
    row.id = ++state.last_audit_id;
    note_time(in, row, state);
    put_record(in, database::audit, audit_key_of(row.id).view(), row);
    for (auto& [index, prefix] : indexes_of(row)) in.put(index, prefix.number(row.id).view(), {});
    return row.id;
}

/// Replaces the metadata of a row, if it is still there.
inline void amend(const transaction& in, const core::audit_amendment& amendment) {
    const auto key = audit_key_of(amendment.id);
    auto row = find_record<audit_entry>(in, database::audit, key.view());
    if (!row) return;
    row->metadata = amendment.metadata;
    put_record(in, database::audit, key.view(), *row);
}

/// A span of row ids: from `first` to before `end`.
struct id_range {
    std::uint64_t first = 0;
    std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
};

/// No row before the result has a timestamp of `since` or later.
[[nodiscard]] inline std::uint64_t first_id_since(const transaction& in, instant since) {
    cursor times(in, database::audit_by_time);
    const auto after = key_bytes().number(as_number(since)).number(id_range{}.end);
    if (!times.seek_before(after.view())) return 0;
    return load_big_endian<std::uint64_t>(times.key().data() + sizeof(std::uint64_t));
}

/// No row from the result on has a timestamp before `until`.
[[nodiscard]] inline std::uint64_t end_id_until(const transaction& in, instant until,
                                                duration set_back) {
    if (until < instant{} || until > instant::max() - set_back) return id_range{}.end;
    cursor times(in, database::audit_by_time);
    if (!times.seek(key_bytes().number(as_number(until + set_back)).view())) return id_range{}.end;
    return load_big_endian<std::uint64_t>(times.key().data() + sizeof(std::uint64_t));
}

/// Where rows that can match are; not all of them do.
[[nodiscard]] inline id_range range_of(const transaction& in, const audit_query& query) {
    id_range ids;
    if (query.since) ids.first = first_id_since(in, *query.since);
    if (query.until) ids.end = end_id_until(in, *query.until, read_state(in).set_back);
    if (query.before) ids.end = std::min(ids.end, *query.before);
    return ids;
}

/// The index that leads to the fewest rows.
[[nodiscard]] inline index_entry narrowest(const audit_query& query) {
    if (query.engine_id) return by_engine(*query.engine_id);
    if (query.user_id) return by_user(query.product_id, *query.user_id);
    if (query.action) return by_action(query.product_id, *query.action);
    return by_product(query.product_id);
}

/// A row, or nothing if it is damaged: it is left out then.
[[nodiscard]] inline std::optional<audit_entry> readable_row(const transaction& in,
                                                             std::uint64_t id) {
    try {
        return find_record<audit_entry>(in, database::audit, audit_key_of(id).view());
    } catch (const failure& cause) {
        if (cause.code() != MDB_SUCCESS) throw;
        return std::nullopt;
    }
}

[[nodiscard]] inline audit_page read_audit(const transaction& in, const audit_query& query) {
    audit_page page;
    if (query.limit == 0 || (query.user_id && query.user_id->size() > longest_user_id)) return page;
    const auto ids = range_of(in, query);
    const auto [index, prefix] = narrowest(query);
    cursor rows(in, index);
    auto start = prefix;
    for (bool more = rows.seek_before(start.number(ids.end).view());
         more && rows.key().starts_with(prefix.view()); more = rows.previous()) {
        const auto id_bytes = rows.key().substr(prefix.view().size());
        if (id_bytes.size() != sizeof(std::uint64_t)) continue; // another, longer user id
        const auto id = load_big_endian<std::uint64_t>(id_bytes.data());
        if (id < ids.first) break;
        auto row = readable_row(in, id);
        if (!row || !matches(query, *row)) continue;
        if (page.entries.size() == query.limit) {
            page.next_before = page.entries.back().id;
            break;
        }
        page.entries.push_back(std::move(*row));
    }
    return page;
}

/// Visits the rows since a time, oldest first; one that is damaged as the error that names it.
inline void visit_audit(const transaction& in, instant since,
                        const std::function<void(const result<audit_entry>&)>& visit) {
    cursor rows(in, database::audit);
    for (bool more = rows.seek(audit_key_of(first_id_since(in, since)).view()); more;
         more = rows.next()) {
        audit_entry row;
        try {
            read_record(database::audit, rows.key(), rows.value(), row);
        } catch (const failure& cause) {
            visit(unexpected(cause.told()));
            continue;
        }
        if (row.timestamp >= since) visit(std::move(row));
    }
}

/// Removes a row and all that leads to it.
inline void remove_row(const transaction& in, const audit_entry& row) {
    in.remove(database::audit, audit_key_of(row.id).view());
    for (auto& [index, prefix] : indexes_of(row)) in.remove(index, prefix.number(row.id).view());
}

/// Removes the times of rows up to one. A second that is cut in two loses its entry, which only
/// makes the range of a query wider.
inline void remove_times(const transaction& in, std::uint64_t last) {
    for (;;) {
        std::string key;
        {
            cursor times(in, database::audit_by_time);
            if (!times.first()) return;
            key = times.key();
        }
        if (load_big_endian<std::uint64_t>(key.data() + sizeof(std::uint64_t)) > last) return;
        in.remove(database::audit_by_time, key);
    }
}

/// The oldest rows, as long as they are from before a time, and at most `most`; and among them
/// those that are damaged, of which only the id is known.
struct old_rows {
    std::vector<audit_entry> readable;
    std::vector<std::uint64_t> damaged;
};

[[nodiscard]] inline old_rows find_old_rows(const transaction& in, instant before,
                                            std::size_t most) {
    old_rows found;
    std::vector<std::uint64_t> damaged; // since the last row that is known to be old
    cursor rows(in, database::audit);
    for (bool more = rows.first(); more && found.readable.size() < most; more = rows.next()) {
        const auto id = load_big_endian<std::uint64_t>(rows.key().data());
        auto row = readable_row(in, id);
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

/// Removes the oldest rows, as long as they are from before a time, and at most `most`. Returns how
/// many went.
inline std::size_t prune(const transaction& in, instant before, std::size_t most) {
    const auto old = find_old_rows(in, before, most);
    if (old.readable.empty()) return 0;
    for (const auto& row : old.readable) remove_row(in, row);
    for (const auto id : old.damaged) in.remove(database::audit, audit_key_of(id).view());
    remove_times(in, old.readable.back().id);
    return old.readable.size();
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
