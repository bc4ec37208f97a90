#pragma once

namespace roundhouse_tests {

/// Makes writes of this process to disk fail, as a full or broken disk does: stands before the C
/// library's pwrite, writev, fdatasync and fsync. For one thread at a time.
class disk_faults {
public:
    /// The call after `calls` more fails with `code`, and with `for_good` all after it do too,
    /// until the object goes.
    disk_faults(int calls, int code, bool for_good);
    ~disk_faults();
    disk_faults(const disk_faults&) = delete;
    disk_faults& operator=(const disk_faults&) = delete;

    /// Whether a call has failed.
    [[nodiscard]] bool fired() const;
};

} // namespace roundhouse_tests
