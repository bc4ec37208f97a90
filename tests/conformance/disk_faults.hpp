#pragma once

namespace roundhouse_tests {

/// Makes this process's writes to disk fail, as a full or broken disk does. Replaces the C
/// library's pwrite, writev, fdatasync and fsync. For one thread at a time.
class disk_faults {
public:
    /// After `calls` more calls one fails with `code`. With `permanent`, all calls after it fail
    /// too, until the object is destroyed.
    disk_faults(int calls, int code, bool permanent);
    ~disk_faults();
    disk_faults(const disk_faults&) = delete;
    disk_faults& operator=(const disk_faults&) = delete;

    /// Whether a call has failed.
    [[nodiscard]] bool fired() const;
};

} // namespace roundhouse_tests
