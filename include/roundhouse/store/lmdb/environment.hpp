#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/long_reads.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/readers.hpp>
#include <roundhouse/store/lmdb/schema.hpp>

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// An open LMDB environment with its databases. Hands out transactions, and grows the map.
///
/// Reads take no lock and write nothing that others write. The map can only be exchanged while
/// nobody reads: short reads are held off for that moment (`readers`); long ones (`visit`) hold off
/// the writer instead, so that no short read ever waits for a long one.
class environment {
    template <class Body> using outcome = std::invoke_result_t<const Body&, const transaction&>;

public:
    /// Opens what is in the folder, or begins it. Throws `failure`.
    explicit environment(const lmdb_options& options) : options_(options) { open(); }
    ~environment() { close(); }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    /// `body(transaction)` on the state of the last commit. It must not call the store.
    template <class Body> outcome<Body> read(const Body& body) const {
        for (;;) {
            try {
                return read_once(body);
            } catch (const failure& cause) {
                if (!mends_reads(cause.code())) throw;
            }
        }
    }

    /// The same for what may take long.
    template <class Body> outcome<Body> visit(const Body& body) const {
        for (;;) {
            try {
                const long_reads::shared long_read(long_reads_);
                return read_once(body);
            } catch (const failure& cause) {
                if (!mends_reads(cause.code())) throw;
            }
        }
    }

    /// `body(transaction)` and then a durable commit; nothing is changed if either throws. The body
    /// is run again after the map has grown. One write at a time.
    template <class Body> outcome<Body> write(const Body& body) {
        const std::lock_guard alone(writers_);
        for (;;) {
            try {
                return write_once(body);
            } catch (const failure& cause) {
                if (!mend(cause.code())) throw;
            }
        }
    }

    /// Writes a consistent copy, without the free pages, to an open file. Others go on meanwhile.
    void copy_to(int descriptor) const {
        visit([&](const transaction&) {
            check(mdb_env_copyfd2(env_, descriptor, MDB_CP_COMPACT), "backup");
        });
    }

    /// Frees the places of readers that died, whose pages could else never be used again.
    void clear_stale_readers() const {
        read([&](const transaction&) { mdb_reader_check(env_, nullptr); });
    }

private:
    /// A read transaction for as long as it lives.
    class reading {
    public:
        explicit reading(const environment& from) : slot_(from.readers_.enter()) {
            auto* const env = from.env_; // not exchanged from here on
            int code = env == nullptr ? MDB_PANIC : slot_.begin(env);
            if (code == MDB_READERS_FULL) {
                mdb_reader_check(env, nullptr);
                code = slot_.begin(env);
            }
            if (code == MDB_SUCCESS) return;
            slot_.leave();
            throw failure(code, "environment");
        }
        ~reading() { slot_.leave(); }
        reading(const reading&) = delete;
        reading& operator=(const reading&) = delete;

        [[nodiscard]] MDB_txn* txn() const noexcept { return slot_.txn; }

    private:
        reader& slot_;
    };

    /// Aborted unless it is committed.
    class writing {
    public:
        explicit writing(MDB_env* env) {
            const int code = env == nullptr ? MDB_PANIC : mdb_txn_begin(env, nullptr, 0, &txn_);
            check(code, "environment");
        }
        ~writing() {
            if (txn_ != nullptr) mdb_txn_abort(txn_);
        }
        writing(const writing&) = delete;
        writing& operator=(const writing&) = delete;

        [[nodiscard]] MDB_txn* txn() const noexcept { return txn_; }
        void commit() { check(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit"); }

    private:
        MDB_txn* txn_ = nullptr;
    };

    template <class Body> outcome<Body> read_once(const Body& body) const {
        const reading one(*this);
        return body(transaction(one.txn(), handles_));
    }

    template <class Body> outcome<Body> write_once(const Body& body) {
        writing one(env_);
        auto made = body(transaction(one.txn(), handles_));
        one.commit();
        return made;
    }

    /// True if what failed with the code can be tried again now. Only by who holds `writers_`.
    bool mend(int code) {
        switch (code) {
        case MDB_MAP_FULL: grow(); return true;
        case MDB_MAP_RESIZED: resize(0); return true; // another process has let it grow
        case MDB_PANIC: reopen(); return true;
        default: return false;
        }
    }

    /// The same for a read, which must have ended. Of several that come at once each mends, which
    /// does no harm.
    bool mends_reads(int code) const {
        if (code != MDB_MAP_RESIZED && code != MDB_PANIC) return false;
        const std::lock_guard alone(writers_);
        return const_cast<environment*>(this)->mend(code); // what is read is the same after it
    }

    void open() {
        check(mdb_env_create(&env_), "environment");
        try {
            check(mdb_env_set_maxdbs(env_, database_names.size()), "environment");
            check(mdb_env_set_maxreaders(env_, max_readers), "environment");
            check(mdb_env_set_mapsize(env_, std::max(map_size_, options_.map_size)), "environment");
            // Without MDB_NOTLS a read transaction would belong to the thread that began it.
            const unsigned flags = MDB_NOTLS | (options_.read_only ? MDB_RDONLY : 0U);
            check(mdb_env_open(env_, options_.folder.c_str(), flags, 0600), options_.folder);
            mdb_reader_check(env_, nullptr);
            open_databases();
        } catch (...) {
            mdb_env_close(std::exchange(env_, nullptr));
            throw;
        }
        map_size_ = current_map_size();
    }

    void open_databases() {
        MDB_txn* txn = nullptr;
        check(mdb_txn_begin(env_, nullptr, options_.read_only ? MDB_RDONLY : 0U, &txn),
              "environment");
        for (std::size_t i = 0; i < database_names.size(); ++i) {
            const int code = mdb_dbi_open(txn, database_names[i],
                                          options_.read_only ? 0U : MDB_CREATE, &handles_[i]);
            if (code == MDB_SUCCESS) continue;
            mdb_txn_abort(txn);
            throw failure(code, database_names[i]);
        }
        try {
            check_schema(transaction(txn, handles_), options_.read_only);
        } catch (...) {
            mdb_txn_abort(txn);
            throw;
        }
        check(mdb_txn_commit(txn), "environment"); // also of a read: that keeps the handles
    }

    void close() noexcept {
        if (env_ == nullptr) return;
        readers_.end_all();
        mdb_env_close(std::exchange(env_, nullptr));
    }

    /// After an error at the end of a commit LMDB refuses everything, reads too, until it is opened
    /// anew.
    void reopen() {
        const long_reads::none no_long_reads(long_reads_);
        const readers::pause nobody_reads(readers_);
        close();
        open();
    }

    [[nodiscard]] std::size_t current_map_size() const {
        MDB_envinfo info{};
        check(mdb_env_info(env_, &info), "environment");
        return info.me_mapsize;
    }

    void grow() {
        const auto wanted = std::min(map_size_ * 2, options_.max_map_size);
        if (wanted <= map_size_)
            throw failure({errc::store_unavailable,
                           "store: " + options_.folder + " has reached its bound of " +
                               std::to_string(options_.max_map_size) + " bytes (max_map_size)",
                           1});
        resize(wanted);
    }

    /// 0 takes the size that the file tells.
    void resize(std::size_t wanted) {
        // LMDB gives the old map up before it asks for the new one: see first that there is room.
        if (!address_space_has(wanted)) throw failure(ENOMEM, "map");
        const long_reads::none no_long_reads(long_reads_);
        const readers::pause nobody_reads(readers_);
        check(mdb_env_set_mapsize(env_, wanted), "map");
        map_size_ = current_map_size();
    }

    static bool address_space_has(std::size_t bytes) noexcept {
        if (bytes == 0) return true;
        void* const place = ::mmap(nullptr, bytes, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) return false;
        ::munmap(place, bytes);
        return true;
    }

    static constexpr unsigned max_readers = 1024; ///< of all processes that have it open

    const lmdb_options options_;
    // Changed by who holds `writers_`, while nobody reads.
    MDB_env* env_ = nullptr; ///< Null if it could not be opened anew.
    database_handles handles_{};
    std::size_t map_size_ = 0;

    mutable std::mutex writers_; ///< Held across I/O: only writers wait for it.
    mutable long_reads long_reads_;
    mutable readers readers_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
