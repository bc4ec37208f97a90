#pragma once

#include <roundhouse/core/store_plan/index_entries.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/engine_entries.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/idempotency.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/store/lmdb/report.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <lmdb.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::lmdb {

/// Checks that every record can be read, and that indexes, counters and ports agree with the
/// records: each record has all its index entries, and no index has any other entry.
class checker {
public:
    explicit checker(const transaction& txn) : txn_(txn) {}

    [[nodiscard]] lmdb_report run() {
        check_products();
        check_engines();
        check_counters();
        check_audit();
        check_idempotency();
        for (std::size_t i = 0; i < expected_.size(); ++i)
            check_size(static_cast<database>(i), expected_[i]);
        return std::move(report_);
    }

private:
    void check_products() {
        each<product>(database::products, [this](std::string_view key, const product& row) {
            ++report_.products;
            if (key != bytes_of(row.id)) problem(database::products, key, "is another product's");
            if (row.deleting_since && !row.keys.empty())
                problem(database::products, key, "is being deleted, and has platform keys");
            expect(database::products_by_slug, row.slug, bytes_of(row.id));
            for (const auto& platform_key : row.keys)
                expect(database::products_by_key, key_of(platform_key.hash).view(),
                       bytes_of(row.id));
        });
        expected(database::products) = report_.products;
    }

    void check_engines() {
        each<engine_record>(
            database::engines, [this](std::string_view key, const engine_record& engine) {
                ++report_.engines;
                expect_owner(key, engine);
                const number_bytes number(number_bytes::read(key));
                for (const auto& entry : core::entries_of(engine))
                    expect(stored_entry(entry, engine, number));
                if (engine.port != 0)
                    expect(database::ports, port_key_of(engine.port).view(), bytes_of(engine.id));
                auto& counted = found_[engine.product_id];
                ++counted.by_status[static_cast<std::size_t>(engine.status)];
                counted.reserved_memory_mb += engine.reserved_memory_mb;
                last_sequence_ = std::max(last_sequence_, engine.sequence);
            });
        expected(database::engines) = report_.engines;
        if (read_state(txn_).last_sequence < last_sequence_)
            problem(database::meta, state_key, "counts fewer engines than there were");
    }

    void check_counters() {
        each<fleet_counts>(
            database::counters, [this](std::string_view key, const fleet_counts& counts) {
                ++expected(database::counters);
                const auto& counted = found_[to_uuid(key)];
                if (all_readable() && counts.by_status != counted.by_status)
                    problem(database::counters, key, "does not agree with the engines by status");
                if (all_readable() && counts.reserved_memory_mb != counted.reserved_memory_mb)
                    problem(database::counters, key,
                            "does not agree with the memory that engines reserve");
                if (counts.total() != counts.total_provisions - counts.total_destroys)
                    problem(database::counters, key,
                            "does not agree with the engines provisioned and destroyed");
                found_.erase(to_uuid(key));
            });
        for (const auto& [id, counts] : found_)
            problem(database::counters, bytes_of(id), "is not there, and its product has engines");
    }

    void check_audit() {
        instant latest{};
        bool whole = true; // no row before is gone or damaged, which may have been the latest
        std::uint64_t last_id = 0;
        const auto state = read_state(txn_);
        each<audit_entry>(database::audit, [&](std::string_view key, const audit_entry& row) {
            ++report_.audit_rows;
            if (key != audit_key_of(row.id).view())
                problem(database::audit, key, "is another row's");
            for (auto& [index, prefix] : indexes_of(row))
                expect(index, prefix.number(row.id).view(), {});
            whole = whole && row.id == last_id + 1;
            last_id = row.id;
            const auto time = time_key_of(row);
            if (whole ? begins_second(row, latest)
                      : txn_.has(database::audit_by_time, time.view())) {
                expect(database::audit_by_time, time.view(), {});
                whole = true; // this row is the latest
            }
            latest = std::max(latest, row.timestamp);
            if (row.id > state.last_audit_id || behind(latest, row) > state.set_back)
                problem(database::meta, state_key, "is behind the audit log");
        });
        expected(database::audit) = report_.audit_rows;
        if (latest > state.latest_audit)
            problem(database::meta, state_key, "is behind the audit log");
    }

    void check_idempotency() {
        each<idempotency_record>(
            database::idempotency, [this](std::string_view key, const idempotency_record& record) {
                ++expected(database::idempotency);
                if (key != key_of(record.id).view())
                    problem(database::idempotency, key, "is another key's");
                expect(database::idempotency_by_sequence,
                       sequence_key_of(record.id.product_id, record.sequence).view(), key);
            });
    }

    /// Visits each readable record of a database, and reports the others as problems.
    template <class Record, class Visit> void each(database from, const Visit& visit) {
        cursor records(txn_, from);
        for (bool more = records.first(); more; more = records.next()) {
            Record record{};
            try {
                read_record(from, records.key(), records.value(), record);
            } catch (const failure& failed) {
                add(failed.cause().message);
                ++unreadable_[static_cast<std::size_t>(from)];
                continue;
            }
            visit(records.key(), record);
        }
    }

    /// Checks that a readable record has this index entry.
    void expect(database index, std::string_view key, std::string_view value) {
        ++expected(index);
        const auto found = txn_.find(index, key);
        if (!found) problem(index, key, "is not there, and its record is");
        else if (*found != value) problem(index, key, "leads elsewhere");
    }

    /// Checks that an engine has this index entry.
    void expect(const engine_entry& entry) {
        if (!has_values(entry.index))
            return expect(entry.index, entry.key.view(), entry.value.view());
        ++expected(entry.index);
        if (!has_entry(txn_, entry))
            problem(entry.index, entry.key.view(), "lacks an engine that has this member");
    }

    /// Checks that an engine is found by its owner.
    void expect_owner(std::string_view number, const engine_record& engine) {
        const number_bytes hash(txn_.owner_hash(engine.product_id, engine.user_id));
        if (number != hash.view()) ++expected(database::engines_displaced);
        if (!is_found_by_owner(engine))
            problem(database::engines, number, "is not found by its owner");
    }

    [[nodiscard]] bool is_found_by_owner(const engine_record& engine) const {
        try {
            const auto found = find_engine(txn_, engine.product_id, engine.user_id);
            return found && found->id == engine.id;
        } catch (const failure& failed) { // a damaged record has the same hash
            if (failed.code() != MDB_SUCCESS) throw;
            return false;
        }
    }

    /// Whether all records could be read. The index entries of unreadable records are not known.
    [[nodiscard]] bool all_readable() const noexcept {
        return std::ranges::all_of(unreadable_, [](auto count) { return count == 0; });
    }

    /// Checks that a database has no entries beside the expected ones.
    void check_size(database checked, std::uint64_t count) {
        if (checked == database::meta || !all_readable()) return;
        const auto size = txn_.size(checked);
        if (size != count)
            add("store: database " + std::string(name_of(checked)) + " has " +
                std::to_string(size) + " entries, and should have " + std::to_string(count));
    }

    [[nodiscard]] std::uint64_t& expected(database index) noexcept {
        return expected_[static_cast<std::size_t>(index)];
    }

    void problem(database from, std::string_view key, std::string_view fault) {
        add("store: the entry " + describe(from, key) + " in database " +
            std::string(name_of(from)) + " " + std::string(fault));
    }

    void add(std::string line) {
        constexpr std::size_t most = 1000;
        if (report_.problems.size() < most) report_.problems.push_back(std::move(line));
    }

    const transaction& txn_;
    lmdb_report report_;
    std::map<uuid, fleet_counts> found_; ///< Counted from the rows, by product.
    std::uint64_t last_sequence_ = 0;    ///< The highest of any row.
    std::array<std::uint64_t, database_names.size()> expected_{};   ///< Entries, by database.
    std::array<std::uint64_t, database_names.size()> unreadable_{}; ///< Records, by database.
};

} // namespace detail::lmdb

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
